/* Codebooks as rows: what the tokenizer's arrays hold is published, restored and undone like everything else. */
#include "model/model_private.h"
#include <string.h>

uint64_t codebook_key(uint32_t generation, enum codebook_level level, uint32_t code) {
    return (uint64_t)generation << 40 | (uint64_t)level << 32 | code;
}

int codebook_views(const struct tokenizer_config *c, bool balance, struct codebooks *b,
                   struct codebook_view views[CODEBOOK_LEVELS]) {
    uint32_t dz = c->z_dims, dc = c->content_dims;
    for (uint32_t l = 0; l < RQ_LEVELS; l++)
        views[l] =
            (struct codebook_view){LEVEL_RQ_1 + l, b->rq[l], c->books[l], dz, c->books[l] * dz};
    for (uint32_t k = 0; k < OPQ_CODES; k++) {
        uint32_t codes = c->books[RQ_LEVELS + k];
        views[RQ_LEVELS + k] =
            (struct codebook_view){LEVEL_OPQ_1 + k, b->opq[k], codes, dz / 2, codes * (dz / 2)};
    }
    views[5] = (struct codebook_view){LEVEL_ROTATION, b->rotation, dz, dz, dz * dz};
    views[6] = (struct codebook_view){LEVEL_ENCODER, b->encoder, dc, dz, dc * dz};
    views[7] = (struct codebook_view){LEVEL_MEAN, b->mean, (dc + dz - 1) / dz, dz, dc};
    uint32_t factors = c->books[RQ_LEVELS - 1];
    views[8] =
        (struct codebook_view){LEVEL_BALANCE, b->balance, (factors + dz - 1) / dz, dz, factors};
    return balance ? 9 : 8;
}

size_t codebook_row_bytes(const struct codebook_view *view, uint32_t row) {
    uint32_t left = view->total - row * view->width;
    return (left < view->width ? left : view->width) * sizeof(float);
}

static int views_of(const struct model *m, struct tokenizer *tokenizer,
                    struct codebook_view views[CODEBOOK_LEVELS]) {
    return codebook_views(&m->config.tokenizer, m->config.updates.on,
                          tokenizer_codebooks(tokenizer), views);
}

static enum status publish_level(struct table *table, const struct codebook_view *view,
                                 uint32_t generation, struct error *err) {
    for (uint32_t code = 0; code < view->rows; code++) {
        uint64_t key = codebook_key(generation, view->level, code);
        const float *value = view->values + (size_t)code * view->width;
        uint32_t row = table_find_u64(table, key);
        if (row == NO_ROW)
            TRY(table_insert_u64(table, key, &row, err));
        if (memcmp(table_value(table, row), value, codebook_row_bytes(view, code)) != 0)
            memcpy(table_edit(table, row), value, codebook_row_bytes(view, code));
    }
    return OK;
}

static enum status load_level(const struct table *table, const struct codebook_view *view,
                              uint32_t generation, struct error *err) {
    for (uint32_t code = 0; code < view->rows; code++) {
        uint32_t row = table_find_u64(table, codebook_key(generation, view->level, code));
        if (row == NO_ROW)
            return FAIL(err, FATAL, EX_DATAERR,
                        "codebook row (generation %u, level %d, code %u) is missing from the "
                        "restored state: restore from the log again",
                        generation, (int)view->level, code);
        memcpy(view->values + (size_t)code * view->width, table_value(table, row),
               codebook_row_bytes(view, code));
    }
    return OK;
}

bool codebooks_have(const struct model *model, uint32_t generation, uint32_t level, uint32_t code) {
    return table_find_u64(model->codebooks, codebook_key(generation, LEVEL_RQ_1 + level, code)) !=
           NO_ROW;
}

static void mark_loaded(struct model *m) {
    m->loaded_version = model_codebook_version(m);
    m->loaded_generation = model_generation(m);
}

enum status codebooks_publish_rows(struct model *model, struct book_rows rows, struct error *err) {
    struct codebook_view views[CODEBOOK_LEVELS];
    int count = views_of(model, rows.tokenizer, views);
    for (int i = 0; i < count; i++)
        TRY(publish_level(rows.table, &views[i], rows.generation, err));
    return OK;
}

enum status codebooks_load_rows(struct model *model, struct book_rows rows, struct error *err) {
    struct codebook_view views[CODEBOOK_LEVELS];
    int count = views_of(model, rows.tokenizer, views);
    for (int i = 0; i < count; i++)
        TRY(load_level(rows.table, &views[i], rows.generation, err));
    tokenizer_refresh(rows.tokenizer);
    return OK;
}

static struct book_rows live_rows(const struct model *m) {
    return (struct book_rows){m->codebooks, m->tokenizer, model_generation(m)};
}

enum status codebooks_load(struct model *model, struct error *err) {
    if (model_codebook_version(model) > 0)
        TRY(codebooks_load_rows(model, live_rows(model), err));
    mark_loaded(model);
    model_refresh_neighbours(model);
    return OK;
}

enum status codebooks_publish(struct model *model, struct error *err) {
    TRY(codebooks_publish_rows(model, live_rows(model), err));
    mark_loaded(model);
    model_refresh_neighbours(model);
    return OK;
}

void codebooks_retire(struct model *model, uint32_t generation) {
    for (uint32_t row = 0; row < table_end(model->codebooks); row++)
        if (table_live(model->codebooks, row) &&
            table_key_u64(model->codebooks, row) >> 40 == generation)
            table_remove(model->codebooks, row);
}

enum status codebooks_train(struct model *model, struct error *err) {
    uint32_t dims = model->config.tokenizer.content_dims, count = 0;
    arena_reset(&model->scratch);
    float *x =
        arena_alloc(&model->scratch, (size_t)model_state(model)->waiting * dims * sizeof(float));
    if (x == NULL)
        return FAIL(
            err, FATAL, EX_CONFIG,
            "%u listings of %u dims do not fit the training memory: lower tokenizer.train_listings",
            model_state(model)->waiting, dims);
    for (uint32_t row = 0; row < table_end(model->items); row++)
        if (table_live(model->items, row) && table_live(model->content, row))
            memcpy(x + (size_t)count++ * dims, table_value(model->content, row),
                   dims * sizeof(float));
    ASSERT(count == model_state(model)->waiting);

    struct model_row *state = model_edit_state(model);
    state->generation = 1;
    state->codebook_version = 1;
    TRY(tokenizer_train(model->tokenizer, x, count, state->codebook_version, &model->scratch, err));
    return codebooks_publish(model, err);
}
