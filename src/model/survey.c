#include "model/survey.h"
#include "math/vector.h"
#include "model/model_private.h"
#include "model/pairs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a round has seen at a position of `items`; sequence 0: no SID. */
struct seen_item {
    uint32_t sequence;
    uint16_t codes[SID_CODES];
};

struct survey {
    uint32_t books[SID_CODES];
    struct seen_item *seen,
        *before; /* [items_max] this round and the one before; [0, end) mean something */
    uint32_t end, before_end;
    uint16_t (*sorted)[SID_CODES]; /* [items_max] */
    uint32_t *occupancy[SID_CODES];
    uint32_t item, user; /* next positions to visit */
    uint32_t stride;     /* one of so many items is in the sample */
    struct quantised error;
    double cosine_sum, pair_sum, pair_weight;
    uint64_t sampled;
};

enum status survey_create(struct survey **out, const struct model_config *config,
                          struct arena *arena, struct error *err) {
    size_t items = config->items_max;
    struct survey *s = arena_alloc(arena, sizeof *s);
    if (s == NULL)
        return FAIL(err, FATAL, EX_OSERR, "no memory for the survey of items");
    *s = (struct survey){.seen = arena_alloc(arena, items * sizeof *s->seen),
                         .before = arena_alloc(arena, items * sizeof *s->before),
                         .sorted = arena_alloc(arena, items * sizeof *s->sorted)};
    bool enough = s->seen != NULL && s->before != NULL && s->sorted != NULL;
    for (uint32_t l = 0; l < SID_CODES && enough; l++) {
        s->books[l] = config->tokenizer.books[l];
        s->occupancy[l] = arena_alloc(arena, s->books[l] * sizeof **s->occupancy);
        enough = s->occupancy[l] != NULL;
    }
    if (!enough)
        return FAIL(err, FATAL, EX_OSERR, "no memory for the survey of items");
    *out = s;
    return OK;
}

void survey_begin(struct survey *s) {
    s->item = s->user = s->end = 0;
    s->stride = 0;
    s->error = (struct quantised){0};
    s->cosine_sum = s->pair_sum = s->pair_weight = 0;
    s->sampled = 0;
}

/* ---- step ---- */

static void visit_z(struct survey *s, const struct model *m, uint32_t row) {
    uint32_t dims = m->config.tokenizer.z_dims;
    float decoded[Z_DIMS_MAX];
    const struct sid_row *sid = table_value(m->sid, row);
    const float *z = table_value(m->z, row);
    if (sid->generation != model_generation(m))
        return;
    semantic_id_measure(m, row, &s->error);
    tokenizer_decode(m->tokenizer, sid->codes, decoded);
    double lengths = (double)vector_dot(dims, z, z) * (double)vector_dot(dims, decoded, decoded);
    if (lengths <= 0)
        return;
    s->cosine_sum += (double)vector_dot(dims, z, decoded) / sqrt(lengths);
    s->sampled++;
}

static void visit_item(struct survey *s, const struct model *m, uint32_t row) {
    struct seen_item *seen = &s->seen[row];
    *seen = (struct seen_item){0};
    if (!table_live(m->sid, row))
        return;
    seen->sequence = item_at(m, row)->sequence;
    memcpy(seen->codes, ((const struct sid_row *)table_value(m->sid, row))->codes,
           sizeof seen->codes);
    if (row % s->stride == 0)
        visit_z(s, m, row);
}

static void visit_user(struct survey *s, const struct model *m, uint32_t row) {
    struct bytes id;
    const struct user_score_row *user = model_user_scores(m, row, &id);
    struct pairs pairs = {0};
    if (user == NULL)
        return;
    for (uint32_t bin = 0; bin < USER_BINS; bin++)
        pairs_add(&pairs, user->all.negatives[bin], user->all.positives[bin]);
    if (pairs.negatives == 0 || pairs.positives == 0)
        return;
    s->pair_sum += pairs_auc(&pairs) * (pairs.negatives + pairs.positives);
    s->pair_weight += pairs.negatives + pairs.positives;
}

bool survey_step(struct survey *s, struct model *m, uint32_t rows) {
    uint32_t items = table_end(m->sid), users = model_users_end(m);
    if (s->stride == 0)
        s->stride = items / SURVEY_SAMPLE + 1;
    for (; rows > 0 && s->item < items; rows--)
        visit_item(s, m, s->item++);
    s->end = s->item;
    for (; rows > 0 && s->user < users; rows--)
        visit_user(s, m, s->user++);
    return s->item >= items && s->user >= users;
}

/* ---- count ---- */

static int compare_codes(const void *a, const void *b) {
    const uint16_t *left = a, *right = b;
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (left[l] != right[l])
            return left[l] < right[l] ? -1 : 1;
    return 0;
}

/* Levels that two SIDs share from the first on. */
static uint32_t shared(const uint16_t *a, const uint16_t *b) {
    uint32_t l = 0;
    while (l < SID_CODES && a[l] == b[l])
        l++;
    return l;
}

static void count_collisions(struct survey *s, uint32_t items, struct survey_figures *out) {
    uint64_t alone[SID_CODES] = {0};
    qsort(s->sorted, items, sizeof *s->sorted, compare_codes);
    for (uint32_t i = 0; i < items; i++) {
        uint32_t like_before = i > 0 ? shared(s->sorted[i - 1], s->sorted[i]) : 0;
        uint32_t like_after = i + 1 < items ? shared(s->sorted[i], s->sorted[i + 1]) : 0;
        uint32_t like = like_before > like_after ? like_before : like_after;
        for (uint32_t l = like; l < SID_CODES; l++)
            alone[l]++;
    }
    for (uint32_t l = 0; l < SID_CODES; l++)
        out->levels[l].collisions = 1 - (double)alone[l] / items;
    out->unique = (double)alone[SID_CODES - 1] / items;
}

static void count_level(const struct survey *s, uint32_t l, uint32_t items,
                        struct survey_level *out) {
    double entropy = 0;
    for (uint32_t c = 0; c < s->books[l]; c++) {
        double share = (double)s->occupancy[l][c] / items;
        out->used += share > 0;
        entropy -= share > 0 ? share * (double)log_f32((float)share) : 0;
    }
    out->perplexity = (double)exp_f32((float)entropy);
}

/* The items of this round into `sorted`, by level into `occupancy`; returns how many. */
static uint32_t gather(struct survey *s, struct survey_figures *out) {
    uint32_t items = 0;
    for (uint32_t l = 0; l < SID_CODES; l++)
        memset(s->occupancy[l], 0, s->books[l] * sizeof **s->occupancy);
    for (uint32_t row = 0; row < s->end; row++) {
        const struct seen_item *now = &s->seen[row], *before = &s->before[row];
        if (now->sequence == 0)
            continue;
        bool stayed = row < s->before_end && before->sequence == now->sequence;
        for (uint32_t l = 0; l < SID_CODES; l++) {
            s->occupancy[l][now->codes[l]]++;
            out->levels[l].changed += stayed && before->codes[l] != now->codes[l];
        }
        memcpy(s->sorted[items++], now->codes, sizeof now->codes);
    }
    return items;
}

void survey_count(struct survey *s, struct survey_figures *out) {
    *out = (struct survey_figures){
        .unique = (double)NAN,
        .quantisation_error = s->error.all > 0 ? s->error.wrong / s->error.all : (double)NAN,
        .cosine = s->sampled > 0 ? s->cosine_sum / (double)s->sampled : (double)NAN,
        .gauc = s->pair_weight > 0 ? s->pair_sum / s->pair_weight : (double)NAN};
    uint32_t items = gather(s, out);
    out->items = items;
    for (uint32_t l = 0; l < SID_CODES; l++) {
        out->occupancy[l] = s->occupancy[l];
        out->levels[l].perplexity = out->levels[l].collisions = (double)NAN;
        if (items > 0)
            count_level(s, l, items, &out->levels[l]);
    }
    if (items > 0)
        count_collisions(s, items, out);
    struct seen_item *before = s->before;
    s->before = s->seen;
    s->before_end = s->end;
    s->seen = before;
}
