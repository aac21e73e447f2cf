#include "model/ranker_private.h"

#include "base/poison.h"

/* The distinct row's index, made when it is met first. */
static uint32_t distinct_row(struct code_level *level, uint32_t row) {
    ASSERT(row < level->rows_max);
    if (level->slot[row] == NO_ROW) {
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
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (uint32_t i = 0; i < r->levels[l].distinct; i++)
            r->levels[l].slot[r->levels[l].row[i]] = NO_ROW;
}

/* out [U, d] += what the level's rows are to each item */
static void rows_forward(struct ranker *r, const struct batch *batch, enum code_use use, uint32_t l,
                         float *out) {
    const struct code_level *level = &r->levels[l];
    const struct code_rows *c = &level->of[use];
    size_t d = r->config.width;
    for (uint32_t i = 0; i < level->distinct; i++)
        ASSERT(table_live(c->rows, level->row[i]));
    gather(level->distinct, d, level->row, table_values(c->rows), c->value, d);
    if (c->block)
        fuse_forward(level->distinct, d, c->value, c->block, c->part);
    gather_add(batch->items, d, level->of_item, c->part, out);
}

static void rows_backward(struct ranker *r, const struct batch *batch, enum code_use use,
                          uint32_t l, const float *dout) {
    const struct code_level *level = &r->levels[l];
    const struct code_rows *c = &level->of[use];
    size_t d = r->config.width;
    memset(c->dpart, 0, level->distinct * d * sizeof *dout);
    scatter_add(batch->items, d, level->of_item, dout, d, c->dpart);
    if (c->block)
        fuse_backward(level->distinct, d, c->value, c->block, c->dpart, r->square, c->gradient,
                      c->dblock);
}

void codes_forward(struct ranker *r, const struct batch *batch) {
    size_t bytes = batch->items * r->config.width * sizeof(float);
    find_rows(r, batch);
    if (r->rq)
        memset(r->rq, 0, bytes);
    if (r->opq && r->opq != r->rq)
        memset(r->opq, 0, bytes);
    if (r->parts.mba)
        memset(r->residual.tanh, 0, bytes);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        if (r->levels[l].of[CODES_EMBEDDING].rows)
            rows_forward(r, batch, CODES_EMBEDDING, l, l < RQ_LEVELS ? r->rq : r->opq);
        if (r->levels[l].of[CODES_RESIDUAL].rows)
            rows_forward(r, batch, CODES_RESIDUAL, l, r->residual.tanh);
    }
}

void codes_backward(struct ranker *r, const struct batch *batch) {
    for (uint32_t l = 0; l < SID_CODES; l++) {
        if (r->levels[l].of[CODES_EMBEDDING].rows)
            rows_backward(r, batch, CODES_EMBEDDING, l, l < RQ_LEVELS ? r->drq : r->dopq);
        if (r->levels[l].of[CODES_RESIDUAL].rows)
            rows_backward(r, batch, CODES_RESIDUAL, l, r->residual_gradients.h);
    }
}
