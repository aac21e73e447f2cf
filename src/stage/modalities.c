#include "stage/modalities.h"

#include "base/digest.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GRAM_BYTES 3

static const struct modality *named(const struct content_layout *layout, struct bytes name,
                                    uint32_t *at) {
    *at = 0;
    for (uint32_t m = 0; m < layout->modality_count; m++) {
        if (bytes_equal(bytes_text(layout->modalities[m].name), name))
            return &layout->modalities[m];
        *at += layout->modalities[m].dims;
    }
    return NULL;
}

enum status modalities_parse(const char *text, struct content_layout *out, struct error *err) {
    out->modality_count = 0;
    for (const char *at = text + strspn(text, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t name = strcspn(at, ": "), word = strcspn(at, " ");
        char *end = NULL;
        unsigned long dims = at[name] == ':' ? strtoul(at + name + 1, &end, 10) : 0;
        uint32_t place;
        if (name == 0 || name >= sizeof out->modalities[0].name || end != at + word || dims == 0 ||
            dims > 16384 || out->modality_count == MODALITIES_MAX ||
            named(out, bytes_of(at, name), &place) != NULL)
            return FAIL(err, FATAL, EX_CONFIG,
                        "content.modalities: \"%.*s\" is not NAME:DIMS, or one too many, or there "
                        "already: write up to %d such as text:384 image:512",
                        (int)word, at, MODALITIES_MAX);
        struct modality *m = &out->modalities[out->modality_count++];
        memset(m->name, 0, sizeof m->name);
        memcpy(m->name, at, name);
        m->dims = (uint32_t)dims;
        at += word;
    }
    return OK;
}

/* ---- what a listing brings ---- */

static enum status check_finite(const struct listing *listing, struct error *err) {
    for (uint32_t i = 0; i < listing->dims; i++)
        if (!isfinite(listing->vector[i]))
            return FAIL(err, BAD_RECORD, EX_DATAERR,
                        "number %u of the vector (counted from 0) is %g; send finite numbers only",
                        i, (double)listing->vector[i]);
    return OK;
}

static enum status check_parts(const struct content_layout *layout, const struct listing *listing,
                               struct error *err) {
    bool seen[MODALITIES_MAX] = {false};
    if (listing->part_count > MODALITIES_MAX)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%u modalities; at most %d are read",
                    listing->part_count, MODALITIES_MAX);
    for (uint32_t p = 0; p < listing->part_count; p++) {
        const struct listing_part *part = &listing->parts[p];
        uint32_t at;
        const struct modality *m = named(layout, part->name, &at);
        int shown = part->name.len > 32 ? 32 : (int)part->name.len;
        if (m == NULL)
            return FAIL(err, BAD_RECORD, EX_DATAERR,
                        "modality \"%.*s\" is not one of content.modalities", shown,
                        (const char *)part->name.data);
        if (part->dims != m->dims || seen[m - layout->modalities])
            return FAIL(err, BAD_RECORD, EX_DATAERR,
                        "modality \"%s\" has %u numbers, or comes twice; send %u once", m->name,
                        part->dims, m->dims);
        seen[m - layout->modalities] = true;
    }
    return OK;
}

enum status modalities_check(const struct content_layout *layout, uint32_t content_dims,
                             const struct listing *listing, enum dead_reason *reason,
                             struct error *err) {
    bool has_text = layout->ngram_dims > 0 && listing->text.len >= GRAM_BYTES;
    *reason = DEAD_VECTOR;
    if (layout->modality_count > 0)
        TRY(check_parts(layout, listing, err));
    else if (listing->dims != content_dims - layout->ngram_dims &&
             !(listing->dims == 0 && has_text))
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "the modalities' vectors have %u numbers together, the model takes %u; send "
                    "the same modalities in the same order with every listing",
                    listing->dims, content_dims - layout->ngram_dims);
    if (listing->dims == 0 && !has_text)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "no vector, and no text that could stand for it (content.ngrams): send one");
    return check_finite(listing, err);
}

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

/* Counts of runs of three bytes, each in a place and with a sign that its hash says, to unit length. */
static void hash_text(struct bytes text, uint32_t dims, float *out) {
    float square = 0;
    memset(out, 0, dims * sizeof *out);
    for (size_t i = 0; i + GRAM_BYTES <= text.len; i++) {
        uint8_t gram[GRAM_BYTES];
        for (size_t k = 0; k < GRAM_BYTES; k++)
            gram[k] = lower(text.data[i + k]);
        uint64_t hash = hash64(gram, sizeof gram, 0);
        out[(hash >> 1) % dims] += hash & 1 ? 1.0f : -1.0f;
    }
    for (uint32_t i = 0; i < dims; i++)
        square += out[i] * out[i];
    for (uint32_t i = 0; i < dims && square > 0.0f; i++)
        out[i] /= sqrtf(square);
}

void modalities_arrange(const struct content_layout *layout, uint32_t content_dims,
                        const struct listing *listing, float *out) {
    uint32_t vectors = content_dims - layout->ngram_dims, from = 0;
    for (uint32_t i = 0; i < content_dims; i++)
        out[i] = __builtin_nanf("");
    if (layout->modality_count == 0)
        memcpy(out, listing->vector, listing->dims * sizeof *out);
    for (uint32_t p = 0; layout->modality_count > 0 && p < listing->part_count; p++) {
        uint32_t at;
        named(layout, listing->parts[p].name, &at);
        memcpy(out + at, listing->vector + from, listing->parts[p].dims * sizeof *out);
        from += listing->parts[p].dims;
    }
    if (layout->ngram_dims > 0 && listing->text.len >= GRAM_BYTES)
        hash_text(listing->text, layout->ngram_dims, out + vectors);
}
