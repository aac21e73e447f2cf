/* Generations: a new encoder and new books take over from the old ones while the stream goes on (DESIGN section 3).
 *
 *   release   the shadow's encoder if it is the better one, else the live one; rotated onto the old z, so that what the
 *             ranker learned of that space still holds; books fitted anew from where they stand; their codes renamed so that as many items as
 *             possible keep theirs. From here on listings are encoded with these.
 *             Code rows are keyed by generation, too: a new one is the mean of the rows that its items come from.
 *   move      at the end of each click epoch a slice of items: z, SID and rows in one epoch.
 *   window    both generations' books and rows stay for window_epochs. generation.hold names the old one: then items move back.
 *   retire    the other generation's rows go, a slice per epoch; then the next release may come.
 *
 * A release comes when the shadow is better, when quantisation has become worse by the drift factor, or on schedule. */
#include "math/assignment.h"
#include "math/linalg.h"
#include "model/model_private.h"
#include <string.h>

#define RENAMED_MAX 1024 /* codes of a book: the assignment takes the cube of it */

/* The one row of `generations`. */
struct generation_row {
    uint32_t newest;   /* the largest number ever given */
    uint32_t previous; /* whose rows are still there; 0: none */
    uint32_t moving;   /* 1: there are items of `previous` */
    uint32_t position; /* of the next item to look at */
    uint32_t epochs;   /* click epochs since the release, or since the move was complete */
    uint32_t reserved;
    uint64_t releases;
    double error; /* quantisation error of the live books when they were new; 0: not measured yet */
};

enum status generations_create(struct model *m, struct arena *arena, struct error *err) {
    struct table_spec spec = {.name = "generations",
                              .key_kind = KEY_DENSE,
                              .output = TO_CHANGELOG,
                              .value_bytes = sizeof(struct generation_row),
                              .rows_max = 1};
    if (!m->config.generations.on)
        return OK;
    TRY(tables_add(m->set, &spec, &m->generations, err));
    return tokenizer_create(&m->next, &m->config.tokenizer, 1, arena, err);
}

static struct generation_row *edit(struct model *m) {
    return table_edit(m->generations, 0);
}
static const struct generation_row *state_of(const struct model *m) {
    return table_value(m->generations, 0);
}

static uint32_t generation_of(const struct model *m, uint32_t item_row) {
    return ((const struct sid_row *)table_value(m->sid, item_row))->generation;
}

/* ---- a sample of the items, bounded ---- */

struct sample_items {
    uint32_t n;
    uint32_t *item;               /* [n] rows */
    float *z;                     /* [n, Dz] of the new encoder */
    uint16_t (*codes)[SID_CODES]; /* [n] of the new books */
};

/* At most train_listings of the generation's items. */
static enum status take_sample(struct model *m, uint32_t generation, struct sample_items *s,
                               struct error *err) {
    uint32_t max = m->config.train_listings;
    size_t dz = m->config.tokenizer.z_dims;
    s->item = arena_alloc(&m->scratch, max * sizeof *s->item);
    s->z = arena_alloc(&m->scratch, max * dz * sizeof *s->z);
    s->codes = arena_alloc(&m->scratch, max * sizeof *s->codes);
    if (s->codes == NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "a sample of %u items does not fit the training memory: lower "
                    "tokenizer.train_listings",
                    max);
    s->n = semantic_ids_sample(m, generation, model_codebook_version(m), max, s->item);
    return OK;
}

static void encode_sample(const struct model *m, struct tokenizer *tokenizer,
                          struct sample_items *s) {
    size_t dz = m->config.tokenizer.z_dims;
    for (uint32_t i = 0; i < s->n; i++) {
        tokenizer_project(tokenizer, table_value(m->content, s->item[i]), s->z + i * dz);
        tokenizer_encode(tokenizer, s->z + i * dz, 1, s->codes[i], NULL, NULL);
    }
}

/* Mean |z - decoded z|^2 of the sample under the SIDs it has, over |z|^2. */
static double sample_error(const struct model *m, const struct sample_items *s) {
    struct quantised sum = {0};
    for (uint32_t i = 0; i < s->n; i++)
        semantic_id_measure(m, s->item[i], &sum);
    return sum.all > 0 ? sum.wrong / sum.all : 0;
}

/* ---- the release ---- */

/* W R for the rotation R that takes the new z of the sample nearest to the old ones. */
static enum status rotate_encoder(struct model *m, const struct sample_items *s,
                                  struct error *err) {
    int dz = (int)m->config.tokenizer.z_dims, dc = (int)m->config.tokenizer.content_dims;
    size_t square = (size_t)dz * (size_t)dz, whole = (size_t)dc * (size_t)dz;
    float *encoder = tokenizer_codebooks(m->next)->encoder;
    double *rotation = arena_alloc(&m->scratch, square * sizeof *rotation);
    float *small = arena_alloc(&m->scratch, square * sizeof *small);
    float *turned = arena_alloc(&m->scratch, whole * sizeof *turned);
    if (turned == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "the encoder does not fit the training memory");
    memset(rotation, 0, square * sizeof *rotation);
    for (uint32_t i = 0; i < s->n; i++) {
        const float *fresh = s->z + (size_t)i * (size_t)dz, *old = table_value(m->z, s->item[i]);
        for (int a = 0; a < dz; a++)
            for (int b = 0; b < dz; b++)
                rotation[a * dz + b] += (double)fresh[a] * (double)old[b];
    }
    TRY(nearest_orthogonal(dz, rotation, &m->scratch, err));
    for (size_t i = 0; i < square; i++)
        small[i] = (float)rotation[i];
    gemm(false, false, dc, dz, dz, 1, encoder, dz, small, dz, 0, turned, dz);
    memcpy(encoder, turned, whole * sizeof *turned);
    return OK;
}

/* Renames one level's codes: the new code whose items mostly had old code k becomes k (staleness alignment, PAPERS 3.11). */
static enum status rename_level(struct model *m, uint32_t level, const struct sample_items *s,
                                struct error *err) {
    struct codebooks *books = tokenizer_codebooks(m->next);
    uint32_t codes = m->config.tokenizer.books[level], dz = m->config.tokenizer.z_dims,
             dims = level < RQ_LEVELS ? dz : dz / OPQ_CODES;
    float *book = level < RQ_LEVELS ? books->rq[level] : books->opq[level - RQ_LEVELS];
    size_t mark = arena_mark(&m->scratch), whole = (size_t)codes * dims;
    if (codes > RENAMED_MAX)
        return OK;
    uint32_t *together = arena_alloc(&m->scratch, (size_t)codes * codes * sizeof *together);
    uint32_t *name = arena_alloc(&m->scratch, codes * sizeof *name);
    float *renamed = arena_alloc(&m->scratch, whole * sizeof *renamed);
    if (renamed == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "renaming %u codes does not fit the training memory",
                    codes);
    memset(together, 0, (size_t)codes * codes * sizeof *together);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct sid_row *sid = table_value(m->sid, s->item[i]);
        together[(size_t)s->codes[i][level] * codes + sid->codes[level]]++;
    }
    TRY(assign_greatest(codes, together, name, &m->scratch, err));
    for (uint32_t k = 0; k < codes; k++)
        memcpy(renamed + (size_t)name[k] * dims, book + (size_t)k * dims, dims * sizeof *book);
    memcpy(book, renamed, whole * sizeof *book);
    for (uint32_t i = 0; i < s->n; i++)
        s->codes[i][level] = (uint16_t)name[s->codes[i][level]];
    arena_rewind(&m->scratch, mark);
    return OK;
}

/* Encoder and books of the next generation, in m->next; the sample with its codes. */
static enum status prepare(struct model *m, struct sample_items *s, struct error *err) {
    struct codebooks *books = tokenizer_codebooks(m->next);
    tokenizer_copy(m->next, m->tokenizer);
    if (shadow_is_better(m))
        memcpy(books->encoder, tokenizer_codebooks(m->encoder.shadow)->encoder,
               (size_t)m->config.tokenizer.content_dims * m->config.tokenizer.z_dims *
                   sizeof(float));
    encode_sample(m, m->next, s);
    TRY(rotate_encoder(m, s, err));
    encode_sample(m, m->next, s);
    TRY(tokenizer_train_books(m->next, s->z, s->n, FIT_FROM_BOOKS, state_of(m)->newest + 1,
                              &m->scratch, err));
    for (uint32_t k = 0; k < m->config.tokenizer.books[RQ_LEVELS - 1]; k++)
        books->balance[k] = 1.0f;
    tokenizer_refresh(m->next);
    encode_sample(m, m->next, s);
    for (uint32_t l = 0; l < SID_CODES; l++)
        TRY(rename_level(m, l, s, err));
    tokenizer_refresh(m->next);
    return OK;
}

/* From here on `generation` is the one that items belong to; the one so far is `previous`. */
static void turn_to(struct model *m, uint32_t generation) {
    struct model_row *model = model_edit_state(m);
    struct generation_row *state = edit(m);
    state->previous = model->generation;
    state->moving = 1;
    state->position = state->epochs = 0;
    state->error = 0;
    model->generation = generation;
    model->codebook_version++;
}

static enum status release(struct model *m, struct sample_items *s, struct error *err) {
    uint32_t live = model_generation(m), next = state_of(m)->newest + 1;
    next += (next ^ live) % 2 == 0; /* the rows of two generations lie side by side, odd and even */
    bool learned = shadow_is_better(m);
    TRY(prepare(m, s, err));
    uint32_t *counts = arena_alloc(&m->scratch, s->n * sizeof *counts);
    if (counts == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "%u items do not fit the training memory", s->n);
    TRY(ranker_inherit(m->ranker, s->item, (const uint16_t(*)[SID_CODES])s->codes, s->n, next,
                       counts, err));
    tokenizer_copy(m->tokenizer, m->next);
    turn_to(m, next);
    edit(m)->newest = next;
    edit(m)->releases++;
    TRY(codebooks_publish(m, err));
    TRY(codebook_updates_start(m, (const uint16_t(*)[SID_CODES])s->codes, s->n, err));
    return learned ? shadow_start(m, err) : OK;
}

/* Back to the generation that the configuration holds; its rows and books are there. */
static enum status bring_back(struct model *m, uint32_t generation, struct error *err) {
    struct sample_items s;
    TRY(take_sample(m, model_generation(m), &s, err));
    turn_to(m, generation);
    TRY(codebooks_load(m, err));
    encode_sample(m, m->tokenizer, &s);
    return codebook_updates_start(m, (const uint16_t(*)[SID_CODES])s.codes, s.n, err);
}

/* ---- what each epoch does ---- */

static enum status move_slice(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t at = state_of(m)->position, end = table_end(m->sid), moved = 0;
    for (; at < end && moved < m->config.generations.slice; at++)
        if (table_live(m->sid, at) && generation_of(m, at) != model_generation(m)) {
            TRY(semantic_id_encode(m, at, epoch, SID_GENERATION, err));
            moved++;
        }
    edit(m)->position = at;
    if (at >= end) { /* what came since has been encoded with these books */
        edit(m)->moving = 0;
        edit(m)->epochs = 0;
    }
    return OK;
}

static void retire_slice(struct model *m) {
    uint32_t previous = state_of(m)->previous;
    if (ranker_retire(m->ranker, previous, m->config.generations.slice) > 0)
        return;
    codebooks_retire(m, previous);
    edit(m)->previous = 0;
    edit(m)->epochs = 0;
}

static bool is_due(const struct model *m, double error) {
    const struct generation_config *c = &m->config.generations;
    bool scheduled = c->schedule_epochs > 0 && state_of(m)->epochs >= c->schedule_epochs,
         drifted = c->drift > 0.0f && error > (double)c->drift * state_of(m)->error;
    return scheduled || drifted || shadow_is_better(m);
}

static enum status consider(struct model *m, struct error *err) {
    struct sample_items s;
    if (m->config.generations.hold != 0 ||
        state_of(m)->epochs % m->config.generations.check_epochs != 0)
        return OK;
    TRY(take_sample(m, model_generation(m), &s, err));
    if (s.n < 2)
        return OK;
    double error = sample_error(m, &s);
    if (state_of(m)->error == 0)
        edit(m)->error = error;
    return is_due(m, error) ? release(m, &s, err) : OK;
}

static enum status next_step(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t hold = m->config.generations.hold, previous = state_of(m)->previous;
    edit(m)->epochs++;
    if (previous != 0 && hold == previous)
        return bring_back(m, hold, err);
    if (state_of(m)->moving)
        return move_slice(m, epoch, err);
    if (previous == 0)
        return consider(m, err);
    if (state_of(m)->epochs >= m->config.generations.window_epochs)
        retire_slice(m);
    return OK;
}

enum status generations_end_epoch(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t row;
    if (!m->config.generations.on || model_codebook_version(m) == 0)
        return OK;
    if (!table_live(m->generations, 0)) {
        TRY(table_insert_u64(m->generations, 0, &row, err));
        edit(m)->newest = model_generation(m);
    }
    arena_reset(&m->scratch);
    return next_step(m, epoch, err);
}

void generations_evaluate(const struct model *m, struct evaluation *out) {
    out->generation = model_generation(m);
    if (m->generations != NULL && table_live(m->generations, 0)) {
        out->releases = state_of(m)->releases;
        out->previous_generation = state_of(m)->previous;
    }
}
