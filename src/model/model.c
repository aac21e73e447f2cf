#include "model/model_private.h"

static enum status add_tables(struct model *m, struct arena *arena, struct error *err) {
    const struct model_config *c = &m->config;
    uint32_t z_bytes = c->tokenizer.z_dims * 4, items = c->items_max, users = c->users_max;
    uint32_t content_bytes = c->tokenizer.content_dims * 4 + c->title_bytes;
    uint32_t user_bytes =
        (uint32_t)(sizeof(struct user_row) + c->ranker.history * sizeof(struct item_handle));
    uint32_t codebook_rows =
        c->tokenizer.z_dims + 2 * c->tokenizer.content_dims + c->tokenizer.books[2] + 8;
    for (int l = 0; l < SID_CODES; l++)
        codebook_rows += c->tokenizer.books[l];
    codebook_rows *= c->generations.on ? 2 : 1;

    TRY(tables_add(m->set,
                   &(struct table_spec){"items", KEY_STRING, TO_CHANGELOG, NULL, c->id_bytes_max,
                                        sizeof(struct item_row), items},
                   &m->items, err));
#define CHILD(field, name, output, parent, bytes, rows)                                            \
    TRY(tables_add(m->set, &(struct table_spec){name, KEY_CHILD, output, parent, 0, bytes, rows},  \
                   &m->field, err))
    CHILD(content, "content", TO_CHANGELOG, m->items, content_bytes, items);
    CHILD(z, "z", TO_DELTAS, m->items, z_bytes, items);
    CHILD(sid, "sid", TO_SEMANTIC_IDS, m->items, sizeof(struct sid_row), items);
    CHILD(embedding, "embedding", TO_DELTAS, m->items, (c->ranker.width + 1) * 4, items);
    CHILD(optimiser, "embedding.adagrad", TO_CHANGELOG, m->items, 8, items);
    CHILD(counts, "counts", TO_DELTAS, m->items, 16, items);
    TRY(tables_add(m->set,
                   &(struct table_spec){"users", KEY_STRING, TO_CHANGELOG, NULL, c->id_bytes_max,
                                        user_bytes, users},
                   &m->users, err));
    CHILD(user_scores, "user_scores", TO_CHANGELOG, m->users, sizeof(struct user_score_row), users);
#undef CHILD
    TRY(tables_add(
        m->set,
        &(struct table_spec){"codebooks", KEY_U64, TO_CODEBOOKS, NULL, 0, z_bytes, codebook_rows},
        &m->codebooks, err));
    TRY(tables_add(m->set,
                   &(struct table_spec){"model", KEY_DENSE, TO_CHANGELOG, NULL, 0,
                                        sizeof(struct model_row), 1},
                   &m->state, err));
    TRY(semantic_ids_create(m, err));
    TRY(shadow_create(m, arena, err));
    TRY(generations_create(m, arena, err));
    return evaluation_create(m, err);
}

enum status model_create(struct model **out, const struct model_config *config, struct tables *set,
                         struct arena *arena, struct error *err) {
    struct model *m = arena_must(arena, sizeof *m);
    *m = (struct model){.config = *config, .set = set};
    TRY(add_tables(m, arena, err));
    TRY(tokenizer_create(&m->tokenizer, &config->tokenizer, 1, arena, err));
    struct item_tables items = {m->items, m->embedding, m->optimiser, m->z, m->sid};
    TRY(ranker_create(&m->ranker, &config->ranker, &items, set, arena, err));
    m->parts = ranker_parts(&config->ranker);
    if (m->parts.contrast)
        TRY(neighbours_create(&m->neighbours, config->tokenizer.books + RQ_LEVELS, arena, err));
    batch_create(m, arena);
    TRY(codebook_updates_create(m, arena, err));
    /* training sees the content of the waiting listings several times over: vectors, z, residuals, assignments */
    size_t training_bytes =
        ((size_t)config->train_listings * (config->tokenizer.content_dims + 8) * 4 +
         (size_t)config->tokenizer.content_dims * config->tokenizer.content_dims * 8) *
            8 +
        ((size_t)256 << 20);
    TRY(arena_reserve(&m->scratch, "training", training_bytes, err));
    *out = m;
    return OK;
}

void model_destroy(struct model *model) {
    if (model != NULL)
        arena_release(&model->scratch);
}

enum status model_start(struct model *model, struct error *err) {
    uint32_t row;
    TRY(table_insert_u64(model->state, 0, &row, err));
    struct model_row *state = model_edit_state(model);
    state->next_sequence = 1;
    state->first_ms = state->last_ms = -1;
    return ranker_start(model->ranker, err);
}

void model_refresh_neighbours(struct model *m) {
    const struct codebooks *books = tokenizer_codebooks(m->tokenizer);
    if (m->neighbours == NULL || model_codebook_version(m) == 0)
        return;
    neighbours_start(m->neighbours, (const float *const[]){books->opq[0], books->opq[1]},
                     m->config.tokenizer.z_dims / 2);
    for (uint32_t row = 0; row < table_end(m->sid); row++)
        if (table_live(m->sid, row))
            sid_count(m, row, 1);
}

enum status model_refresh(struct model *model, struct error *err) {
    codebook_updates_forget(model);
    if (!table_live(model->state, 0))
        return OK;
    TRY(shadow_refresh(model, err));
    if (model->loaded_version != model_codebook_version(model) ||
        model->loaded_generation != model_generation(model))
        TRY(codebooks_load(model, err));
    model_refresh_neighbours(model);
    return OK;
}

uint32_t model_find_item(const struct model *model, struct bytes item_id) {
    return table_find(model->items, item_id);
}

bool model_item_alive(const struct model *model, struct item_handle handle) {
    return handle.position < table_end(model->items) && table_live(model->items, handle.position) &&
           item_at(model, handle.position)->sequence == handle.sequence;
}

struct item_handle model_item_handle(const struct model *model, uint32_t item_row) {
    return (struct item_handle){item_row, item_at(model, item_row)->sequence};
}

const struct table *model_items(const struct model *model) {
    return model->items;
}

enum status model_user(struct model *model, struct bytes user_id, uint32_t *user_row,
                       struct error *err) {
    *user_row = table_find(model->users, user_id);
    if (*user_row != NO_ROW)
        return OK;
    TRY(table_insert(model->users, user_id, user_row, err));
    return table_insert_child(model->user_scores, *user_row, err);
}

enum status model_learn(struct model *model, const struct sample *samples, uint32_t count,
                        struct error *err) {
    ASSERT(count > 0 && count <= model->config.ranker.batch);
    batch_build(model, samples, count);
    if (model->parts.contrast)
        batch_find_positives(model);
    ranker_score(model->ranker, &model->batch, model->logits);
    TRY(evaluation_count(model, samples, count, err));
    (void)ranker_learn(model->ranker, &model->batch);
    return batch_remember(model, samples, count, err);
}

enum status model_align(struct model *model, uint64_t epoch, struct error *err) {
    TRY(codebook_updates_end_epoch(model, epoch, err));
    TRY(shadow_end_epoch(model, err));
    return generations_end_epoch(model, epoch, err);
}

uint32_t model_codebook_version(const struct model *model) {
    return table_live(model->state, 0) ? model_state(model)->codebook_version : 0;
}
uint32_t model_generation(const struct model *model) {
    return table_live(model->state, 0) ? model_state(model)->generation : 0;
}
