/* What the model tells people who look: reports only, nothing here is on an epoch's way. */
#include "math/vector.h"
#include "model/model_private.h"
#include <string.h>

void model_item_facts(const struct model *model, uint32_t item_row, struct item_facts *out) {
    uint8_t scratch[8];
    const struct sid_row *sid = table_value(model->sid, item_row);
    const char *title = (const char *)table_value(model->content, item_row) +
                        (size_t)model->config.tokenizer.content_dims * 4;
    out->id = table_key(model->items, item_row, scratch);
    out->title = bytes_of(title, strnlen(title, model->config.title_bytes));
    out->listed_ms = item_at(model, item_row)->listed_ms;
    memcpy(out->codes, sid->codes, sizeof out->codes);
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

#define BEST_MAX 32

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
