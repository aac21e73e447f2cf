/* Content vectors to codes, with the codebooks of a view: the stage's tokenizer, filled from the rows. */
#include "follow/public.h"

#include "model/codebooks.h"

#include <math.h>

#include "base/poison.h"

struct cs_encoder {
    struct arena arena; /* itself, the tokenizer */
    struct tokenizer *tokenizer;
    struct tokenizer_config config;
};

static enum status load_row(const cs_view *view, uint64_t key, void *row, struct error *err) {
    const cs_follower *f = view->follower;
    uint8_t bytes[8];
    uint32_t position;
    bool stale = false;
    put_be64(bytes, key);
    enum seen seen = versions_find(f->versions, view->facts.step, f->codebooks, bytes_of(bytes, 8),
                                   versions_hash(bytes_of(bytes, 8)), &position);
    if (seen == SEEN_LIVE && view_value(view, f->codebooks, position, row, &stale))
        return OK;
    if (seen == SEEN_STALE || stale)
        return FAIL(err, RETRY, EX_UNAVAILABLE, "the view's epoch has left memory; open a new one");
    return FAIL(err, FATAL, EX_DATAERR, "a row of generation %u is missing from the codebooks",
                view->facts.generation);
}

static enum status load_codebooks(const cs_view *view, cs_encoder *encoder, struct error *err) {
    struct codebook_view views[CODEBOOK_LEVELS];
    float row[Z_DIMS_MAX];
    int levels = codebook_views(&encoder->config, view->follower->model->updates.on,
                                tokenizer_codebooks(encoder->tokenizer), views);
    for (int l = 0; l < levels; l++)
        for (uint32_t code = 0; code < views[l].rows; code++) {
            TRY(load_row(view, codebook_key(view->facts.generation, views[l].level, code), row,
                         err));
            memcpy(views[l].values + (size_t)code * views[l].width, row,
                   codebook_row_bytes(&views[l], code));
        }
    tokenizer_refresh(encoder->tokenizer);
    return OK;
}

/* Twice the arrays, and what is derived from them for the search. */
static size_t bytes_needed(const struct tokenizer_config *c) {
    size_t rows = (size_t)c->content_dims * 4 + (size_t)c->z_dims * 8 + 64;
    for (int l = 0; l < SID_CODES; l++)
        rows += (size_t)c->books[l] * 8;
    return rows * ((size_t)c->z_dims + 64) * sizeof(float) + ((size_t)16 << 20);
}

int cs_encoder_open(const cs_view *view, cs_encoder **out, cs_error *error) {
    const struct tokenizer_config *config = &view->follower->model->tokenizer;
    struct arena arena;
    struct error err = {0};
    *out = NULL;
    if (view->facts.codebook_version == 0)
        return public_fail(error, CS_ABSENT, EX_UNAVAILABLE,
                           "there are no codebooks yet in epoch %llu",
                           (unsigned long long)view->facts.epoch);
    enum status status = arena_reserve(&arena, "encoder", bytes_needed(config), &err);
    if (status != OK)
        return public_status(status, &err, error);
    cs_encoder *encoder = arena_must(&arena, sizeof *encoder);
    *encoder = (cs_encoder){.config = *config};
    status = tokenizer_create(&encoder->tokenizer, config, 1, &arena, &err);
    if (status == OK)
        status = load_codebooks(view, encoder, &err);
    if (status != OK) {
        arena_release(&arena);
        int outcome = public_status(status, &err, error);
        return status == RETRY ? public_fail(error, CS_STALE, EX_UNAVAILABLE, "%s", err.text)
                               : outcome;
    }
    encoder->arena = arena;
    *out = encoder;
    return CS_OK;
}

void cs_encoder_close(cs_encoder *encoder) {
    if (encoder == NULL)
        return;
    struct arena arena = encoder->arena; /* it lies in it */
    arena_release(&arena);
}

uint32_t cs_encoder_content_dims(const cs_encoder *encoder) {
    return encoder->config.content_dims;
}

uint32_t cs_encoder_z_dims(const cs_encoder *encoder) {
    return encoder->config.z_dims;
}

int cs_encode(cs_encoder *encoder, uint32_t n, const float *vectors, uint16_t *codes, float *z,
              float *error_out, cs_error *error) {
    static const struct assignment nearest; /* nothing to keep, nothing taken */
    size_t dims = encoder->config.content_dims, dz = encoder->config.z_dims;
    float own_z[Z_DIMS_MAX], left;
    for (size_t i = 0; i < n * dims; i++)
        if (isinf(vectors[i]))
            return public_fail(
                error, CS_INVALID, EX_DATAERR,
                "vector %zu has an infinity at %zu: the stage refuses such a listing", i / dims,
                i % dims);
    for (uint32_t i = 0; i < n; i++) {
        tokenizer_project(encoder->tokenizer, vectors + i * dims, own_z);
        tokenizer_assign(encoder->tokenizer, &nearest, own_z, NULL, codes + (size_t)i * SID_CODES,
                         &left);
        if (z != NULL)
            memcpy(z + i * dz, own_z, dz * sizeof *z);
        if (error_out != NULL)
            error_out[i] = left;
    }
    return CS_OK;
}
