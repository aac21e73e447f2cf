/* What the model tells people who look: reports only, nothing here is on an epoch's way. */
#include "base/digest.h"
#include "math/vector.h"
#include "model/model_private.h"
#include <string.h>

void model_item_facts(const struct model *model, uint32_t item_row, struct item_facts *out) {
    uint8_t scratch[8];
    const struct item_row *item = item_at(model, item_row);
    *out = (struct item_facts){.id = table_key(model->items, item_row, scratch),
                               .title = bytes_text(""),
                               .listed_ms = item->listed_ms,
                               .first_shown_ms = item->first_exposed_ms,
                               .exposures = item->exposures,
                               .clicks = item->clicks,
                               .has_sid = table_live(model->sid, item_row)};
    if (table_live(model->content, item_row)) {
        const char *title = (const char *)table_value(model->content, item_row) +
                            (size_t)model->config.tokenizer.content_dims * 4;
        out->title = bytes_of(title, strnlen(title, model->config.title_bytes));
    }
    if (!out->has_sid)
        return;
    const struct sid_row *sid = table_value(model->sid, item_row);
    memcpy(out->codes, sid->codes, sizeof out->codes);
    out->generation = sid->generation;
    out->codebook_version = sid->codebook_version;
    out->sid_epoch = sid->epoch;
    out->quantisation_error = sid->quantisation_error;
    float features[GATE_FEATURES];
    item_features(item, model_state(model)->last_ms, features);
    out->gate = ranker_item_gate(model->ranker, features);
}

/* Keeps rows[0 .. *count) in falling order of score, at most max of them. */
static void keep_best(uint32_t *rows, double *scores, uint32_t *count, uint32_t max, uint32_t row,
                      double score) {
    uint32_t place = *count;
    while (place > 0 && scores[place - 1] < score)
        place--;
    if (place >= max)
        return;
    uint32_t last = *count < max ? *count : max - 1;
    for (uint32_t i = last; i > place; i--) {
        rows[i] = rows[i - 1];
        scores[i] = scores[i - 1];
    }
    rows[place] = row;
    scores[place] = score;
    *count = last + 1;
}

#define BEST_MAX 64

uint32_t model_panel(const struct model *model, uint32_t *user_rows, uint32_t max) {
    double scores[BEST_MAX];
    uint32_t count = 0;
    ASSERT(max > 0 && max <= BEST_MAX);
    for (uint32_t row = 0; row < table_end(model->users); row++) {
        uint8_t scratch[8];
        if (!table_live(model->users, row) || user_at(model, row)->clicks == 0)
            continue;
        struct bytes id = table_key(model->users, row, scratch);
        keep_best(user_rows, scores, &count, max, row, -(double)hash64(id.data, id.len, 0));
    }
    return count;
}

void model_score(struct model *model, const struct sample *samples, uint32_t count,
                 float *probabilities) {
    ASSERT(count > 0 && count <= model->config.ranker.batch);
    batch_build(model, samples, count);
    ranker_score(model->ranker, &model->batch, model->logits);
    for (uint32_t e = 0; e < count; e++)
        probabilities[e] = 1.0f / (1.0f + exp_f32(-model->logits[e]));
}

uint32_t model_last_listed(const struct model *model, uint32_t *rows, uint32_t max) {
    double scores[BEST_MAX];
    uint32_t count = 0;
    ASSERT(max > 0 && max <= BEST_MAX);
    for (uint32_t row = 0; row < table_end(model->sid); row++)
        if (table_live(model->sid, row))
            keep_best(rows, scores, &count, max, row, (double)item_at(model, row)->sequence);
    return count;
}

uint32_t model_nearest(const struct model *model, uint32_t item_row, uint32_t *rows, uint32_t max) {
    double scores[BEST_MAX];
    uint32_t count = 0, dims = model->config.tokenizer.z_dims;
    ASSERT(max > 0 && max <= BEST_MAX);
    const float *z = table_value(model->z, item_row);
    for (uint32_t row = 0; row < table_end(model->z); row++)
        if (row != item_row && table_live(model->z, row))
            keep_best(rows, scores, &count, max, row,
                      (double)vector_dot(dims, z, table_value(model->z, row)));
    return count;
}

/* 2^40 for each leading RQ code, 2^38 for each OPQ code: more than any z . z (at most 16). */
static double alike(const struct sid_row *a, const struct sid_row *b) {
    double score = 0;
    for (uint32_t l = 0; l < RQ_LEVELS && a->codes[l] == b->codes[l]; l++)
        score += 0x1p40;
    for (uint32_t l = RQ_LEVELS; l < SID_CODES; l++)
        score += a->codes[l] == b->codes[l] ? 0x1p38 : 0;
    return score;
}

uint32_t model_nearest_by_sid(const struct model *model, uint32_t item_row, uint32_t *rows,
                              uint32_t max) {
    double scores[BEST_MAX];
    uint32_t count = 0, dims = model->config.tokenizer.z_dims;
    ASSERT(max > 0 && max <= BEST_MAX);
    const struct sid_row *own = table_value(model->sid, item_row);
    const float *z = table_value(model->z, item_row);
    for (uint32_t row = 0; row < table_end(model->sid); row++) {
        if (row == item_row || !table_live(model->sid, row))
            continue;
        const struct sid_row *sid = table_value(model->sid, row);
        if (sid->generation == own->generation && sid->codes[0] == own->codes[0])
            keep_best(rows, scores, &count, max, row,
                      alike(own, sid) + (double)vector_dot(dims, z, table_value(model->z, row)));
    }
    return count;
}

uint32_t model_with_prefix(const struct model *model, const uint16_t codes[SID_CODES],
                           uint32_t depth, uint32_t *rows, uint32_t max, uint64_t *found) {
    double scores[BEST_MAX];
    uint32_t count = 0;
    ASSERT(max > 0 && max <= BEST_MAX && depth <= SID_CODES);
    *found = 0;
    for (uint32_t row = 0; row < table_end(model->sid); row++) {
        if (!table_live(model->sid, row))
            continue;
        const struct sid_row *sid = table_value(model->sid, row);
        if (memcmp(sid->codes, codes, depth * sizeof *codes) != 0)
            continue;
        ++*found;
        keep_best(rows, scores, &count, max, row, (double)item_at(model, row)->exposures);
    }
    return count;
}
