/* The shadow encoder's life: it starts as a copy of the live one, learns a few steps at the end of each click epoch, and is
 * judged every judge_epochs on the pairs that came since. Bounded work per epoch. */
#include "model/shadow_private.h"

#define ACCUMULATORS_PER_ROW 32u

enum status shadow_create(struct model *m, struct arena *arena, struct error *err) {
    const struct tokenizer_config *t = &m->config.tokenizer;
    uint32_t accumulator_rows = (t->content_dims + ACCUMULATORS_PER_ROW - 1) / ACCUMULATORS_PER_ROW;
    if (!m->config.encoder.on)
        return OK;
#define DENSE(field, name, bytes, rows)                                                            \
    TRY(tables_add(                                                                                \
        m->set,                                                                                    \
        &(struct table_spec){name, KEY_DENSE, TO_CHANGELOG, NULL, 0, (uint32_t)(bytes), rows},     \
        &m->encoder.field, err))
    DENSE(state, "encoder", sizeof(struct shadow_row), 1);
    DENSE(pairs, "encoder.pairs", sizeof(struct pair_row), m->config.encoder.pairs);
    DENSE(accumulators, "encoder.adagrad", ACCUMULATORS_PER_ROW * 4, accumulator_rows);
#undef DENSE
    struct table_spec books = *table_spec(m->codebooks);
    books.name = "codebooks.shadow";
    books.output = TO_CHANGELOG;
    TRY(tables_add(m->set, &books, &m->encoder.books, err));
    return tokenizer_create(&m->encoder.shadow, t, 1, arena, err);
}

static struct book_rows shadow_rows(const struct model *m) {
    return (struct book_rows){m->encoder.books, m->encoder.shadow, 0};
}

float *shadow_accumulator(struct model *m, uint32_t row) {
    float *chunk = table_edit(m->encoder.accumulators, row / ACCUMULATORS_PER_ROW);
    return &chunk[row % ACCUMULATORS_PER_ROW];
}

/* They were of an encoder that is live now: the one that starts has nothing to show yet. */
static void forget_judgements(struct model *m) {
    struct shadow_row *state = shadow_edit(m);
    state->tested = state->shadow_only = state->live_only = 0;
    for (uint32_t s = 0; s < JUDGED_SPACES; s++)
        state->hits[s] = 0;
}

enum status shadow_start(struct model *m, struct error *err) {
    uint32_t row;
    if (!m->config.encoder.on)
        return OK;
    if (!table_live(m->encoder.state, 0)) {
        TRY(table_insert_u64(m->encoder.state, 0, &row, err));
        for (uint32_t i = 0; i < table_spec(m->encoder.accumulators)->rows_max; i++)
            TRY(table_insert_u64(m->encoder.accumulators, i, &row, err));
    }
    for (uint32_t i = 0; i < m->config.tokenizer.content_dims; i++)
        *shadow_accumulator(m, i) = 1e-6f; /* of gradients that are about 1e-2 */
    forget_judgements(m);
    tokenizer_copy(m->encoder.shadow, m->tokenizer);
    return codebooks_publish_rows(m, shadow_rows(m), err);
}

enum status shadow_refresh(struct model *m, struct error *err) {
    if (!m->config.encoder.on || !table_live(m->encoder.state, 0))
        return OK;
    return codebooks_load_rows(m, shadow_rows(m), err);
}

/* Books for the shadow's z as it is now, on a sample of the items. */
static enum status refit(struct model *m, struct error *err) {
    uint32_t max = m->config.train_listings, n = 0;
    size_t dz = m->config.tokenizer.z_dims, mark = arena_mark(&m->scratch);
    uint32_t *item = arena_alloc(&m->scratch, max * sizeof *item);
    float *z = arena_alloc(&m->scratch, max * dz * sizeof *z);
    if (z == NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "books on %u items do not fit the training memory: lower "
                    "tokenizer.train_listings",
                    max);
    n = semantic_ids_sample(m, model_generation(m), shadow_state(m)->steps, max, item);
    for (uint32_t i = 0; i < n; i++)
        tokenizer_project(m->encoder.shadow, table_value(m->content, item[i]), z + i * dz);
    if (n >= 2)
        TRY(tokenizer_train_books(m->encoder.shadow, z, n, FIT_FROM_BOOKS, shadow_state(m)->steps,
                                  &m->scratch, err));
    arena_rewind(&m->scratch, mark);
    return OK;
}

static enum status judge(struct model *m, struct error *err) {
    shadow_edit(m)->epochs = 0;
    TRY(refit(m, err));
    return shadow_judge(m, err);
}

enum status shadow_end_epoch(struct model *m, struct error *err) {
    const struct encoder_config *c = &m->config.encoder;
    if (!c->on || !table_live(m->encoder.state, 0))
        return OK;
    arena_reset(&m->scratch);
    for (uint32_t i = 0; i < c->steps; i++)
        TRY(shadow_step(m, shadow_state(m)->steps, err));
    if (++shadow_edit(m)->epochs >= c->judge_epochs)
        TRY(judge(m, err));
    return codebooks_publish_rows(m, shadow_rows(m), err);
}
