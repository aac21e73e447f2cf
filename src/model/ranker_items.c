#include "model/ranker_private.h"

#include "math/matmul.h"
#include "math/vector.h"

#include "base/poison.h"

uint32_t code_row(const struct ranker_config *c, const struct sid_row *sid, uint32_t level) {
    uint64_t row = sid->codes[level];
    if (level == 1 || level == 2)
        row = sid->codes[0] * (uint64_t)c->books[1] + sid->codes[1];
    if (level == 2)
        row = (row * c->books[2] + sid->codes[2]) % c->prefix_rows;
    return (uint32_t)row;
}

/* ---- behaviour: I_id and bias ---- */

static void behaviour_forward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    float *x = r->view[VIEW_BEHAVIOUR].x;
    const float *rows = table_values(r->items.embedding);
    for (uint32_t u = 0; u < batch->items; u++) {
        ASSERT(table_live(r->items.embedding, batch->item_row[u]));
        const float *row = rows + batch->item_row[u] * (d + 1);
        memcpy(x + u * d, row, d * sizeof *x);
        r->bias[u] = row[d];
    }
}

/* ---- modal from codes: I_RQ + I_OPQ ---- */

/* The distinct row's index, made when it is met first. */
static uint32_t distinct_row(struct code_level *level, uint32_t row) {
    ASSERT(row < level->rows_max);
    if (level->slot[row] == NO_ROW) {
        ASSERT(table_live(level->rows, row));
        level->row[level->distinct] = row;
        level->slot[row] = level->distinct++;
    }
    return level->slot[row];
}

/* The distinct rows of every level, and which of them each item has. */
static void find_rows(struct ranker *r, const struct batch *batch) {
    for (uint32_t l = 0; l < SID_CODES; l++)
        r->levels[l].distinct = 0;
    for (uint32_t u = 0; u < batch->items; u++) {
        uint32_t item = batch->item_row[u];
        const struct sid_row *sid =
            table_live(r->items.sid, item) ? table_value(r->items.sid, item) : NULL;
        for (uint32_t l = 0; l < SID_CODES; l++)
            r->levels[l].of_item[u] =
                sid ? distinct_row(&r->levels[l], code_row(&r->config, sid, l)) : NO_ROW;
    }
}

static void level_forward(struct ranker *r, uint32_t l) {
    struct code_level *level = &r->levels[l];
    size_t d = r->config.width;
    const float *rows = table_values(level->rows);
    for (uint32_t i = 0; i < level->distinct; i++) {
        memcpy(level->value + i * d, rows + level->row[i] * d, d * sizeof *rows);
        level->slot[level->row[i]] = NO_ROW;
    }
    if (l < RQ_LEVELS)
        fuse_forward(level->distinct, d, level->value, r->tensors[TENSOR_FUSE].value + l * d * d,
                     level->part);
}

static void codes_forward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    float *x = r->view[VIEW_MODAL].x;
    memset(x, 0, batch->items * d * sizeof *x);
    find_rows(r, batch);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        level_forward(r, l);
        const struct code_level *level = &r->levels[l];
        for (uint32_t u = 0; u < batch->items; u++)
            if (level->of_item[u] != NO_ROW)
                vector_add(d, level->part + level->of_item[u] * d, x + u * d);
    }
}

static void codes_backward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    const float *dx = r->view[VIEW_MODAL].dx;
    struct tensor *fuse = &r->tensors[TENSOR_FUSE];
    for (uint32_t l = 0; l < SID_CODES; l++) {
        struct code_level *level = &r->levels[l];
        memset(level->dpart, 0, level->distinct * d * sizeof *dx);
        for (uint32_t u = 0; u < batch->items; u++)
            if (level->of_item[u] != NO_ROW)
                vector_add(d, dx + u * d, level->dpart + level->of_item[u] * d);
        if (l < RQ_LEVELS)
            fuse_backward(level->distinct, d, level->value, fuse->value + l * d * d, level->dpart,
                          r->fuse_scratch, level->gradient, fuse->gradient + l * d * d);
    }
}

/* ---- modal from content: z Wz ---- */

static void content_forward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, dz = r->config.z_dims;
    for (uint32_t u = 0; u < batch->items; u++) {
        if (table_live(r->items.z, batch->item_row[u]))
            memcpy(r->z + u * dz, table_value(r->items.z, batch->item_row[u]), dz * sizeof *r->z);
        else
            memset(r->z + u * dz, 0, dz * sizeof *r->z);
    }
    matmul(batch->items, d, dz, r->z, dz, r->tensors[TENSOR_WZ].value, d, r->view[VIEW_MODAL].x, d);
}

static void content_backward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, dz = r->config.z_dims;
    matmul_transposed_add(dz, d, batch->items, r->z, dz, r->view[VIEW_MODAL].dx, d,
                          r->tensors[TENSOR_WZ].gradient, d);
}

/* ---- all views ---- */

void items_forward(struct ranker *r, const struct batch *batch) {
    behaviour_forward(r, batch);
    if (r->config.variant == VARIANT_ID_SID)
        codes_forward(r, batch);
    if (r->config.variant == VARIANT_ID_CONTENT)
        content_forward(r, batch);
    for (uint32_t v = 0; v < r->views; v++) {
        struct view *view = &r->view[v];
        normalise_forward(batch->items, r->config.width, ATTENTION_EPSILON, view->x, view->unit,
                          view->inverse);
    }
}

void items_backward(struct ranker *r, const struct batch *batch) {
    for (uint32_t v = 0; v < r->views; v++) {
        struct view *view = &r->view[v];
        normalise_backward(batch->items, r->config.width, view->unit, view->inverse, view->dunit,
                           view->dx);
    }
    if (r->config.variant == VARIANT_ID_SID)
        codes_backward(r, batch);
    if (r->config.variant == VARIANT_ID_CONTENT)
        content_backward(r, batch);
}
