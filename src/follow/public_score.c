/* Scores of items for a user, with the published ranker as of a view: the stage's own ranker over a set of tables of its own, whose rows are taken
 * from the view when they are first needed, at the positions that they have there. */
#include "follow/public.h"

#include <math.h>

#include "base/poison.h"

#define SCRATCH_BYTES ((size_t)4 << 30) /* of address space */

struct cs_scorer {
    struct arena arena; /* itself, the ranker, the batch */
    const cs_view *view;
    struct tables *set;
    struct table *items, *embedding, *z, *sid;
    struct ranker *ranker;
    struct ranker_config config;
    bool gate;
    struct batch batch;
    uint32_t *stamp,
        *index;      /* [rows_max] the batch in which an item was seen last; its index there */
    uint32_t *event; /* [B] which candidate an event is */
    uint32_t stamp_now;
    float *logits;    /* [B] */
    uint32_t *buffer; /* a row */
    bool stale;
};

/* ---- rows from the view ---- */

static enum status put_row(struct table *table, uint32_t row, const void *value,
                           struct error *err) {
    uint8_t key[8];
    put_be64(key, row);
    return table_restore(table, bytes_of(key, 8), row, 1,
                         bytes_of(value, table_spec(table)->value_bytes), err);
}

/* The row of the public table of the same name, unless it is here already. */
static enum status take_row(cs_scorer *s, struct table *table, uint32_t row, struct error *err) {
    if (table == NULL || table_live(table, row))
        return OK;
    const struct table *from =
        tables_named(s->view->follower->set, bytes_text(table_spec(table)->name));
    if (from == NULL || !view_value(s->view, from, row, s->buffer, &s->stale))
        return OK;
    return put_row(table, row, s->buffer, err);
}

/* An item's rows and those that its SID names. *there: it has an embedding. */
static enum status take_item(cs_scorer *s, uint32_t position, bool *there, struct error *err) {
    static const uint32_t nothing[1];
    *there = false;
    if (position >= table_spec(s->items)->rows_max)
        return OK;
    if (!table_live(s->items, position)) {
        bool lives = versions_live(s->view->follower->versions, s->view->facts.step,
                                   s->view->follower->items, position);
        if (!lives)
            return OK;
        TRY(put_row(s->items, position, nothing, err));
        TRY(take_row(s, s->embedding, position, err));
        TRY(take_row(s, s->z, position, err));
        TRY(take_row(s, s->sid, position, err));
    }
    *there = table_live(s->embedding, position);
    if (!table_live(s->sid, position))
        return OK;
    const struct sid_row *sid = table_value(s->sid, position);
    for (int use = 0; use < CODE_USES; use++)
        for (uint32_t level = 0; level < SID_CODES; level++) {
            const char *name = code_table_names[use][level];
            if (name != NULL)
                TRY(take_row(s, tables_named(s->set, bytes_text(name)),
                             code_row(&s->config, sid, level), err));
        }
    return OK;
}

static enum status take_tensors(cs_scorer *s, struct error *err) {
    for (uint32_t t = 0; t < tables_count(s->set); t++) {
        struct table *table = tables_at(s->set, t);
        const struct table_spec *spec = table_spec(table);
        for (uint32_t row = 0; strncmp(spec->name, "dense.", 6) == 0 && spec->output == TO_DELTAS &&
                               row < spec->rows_max;
             row++) {
            TRY(take_row(s, table, row, err));
            if (!table_live(table, row))
                return FAIL(err, FATAL, EX_DATAERR, "tensor %s is not there", spec->name);
        }
    }
    return OK;
}

/* ---- opening ---- */

static enum status add_items(cs_scorer *s, const cs_follower *f, struct error *err) {
    struct table_spec spec = {.name = "items",
                              .key_kind = KEY_DENSE,
                              .output = TO_NOTHING,
                              .value_bytes = 4,
                              .rows_max = table_spec(f->items)->rows_max};
    TRY(tables_add(s->set, &spec, &s->items, err));
    struct table **children[] = {&s->embedding, &s->z, &s->sid};
    const char *const names[] = {"embedding", "z", "sid"};
    for (int i = 0; i < 3; i++) {
        spec = *table_spec(tables_named(f->set, bytes_text(names[i])));
        spec.parent = s->items;
        TRY(tables_add(s->set, &spec, children[i], err));
    }
    return OK;
}

static void make_batch(cs_scorer *s, uint32_t items_max) {
    size_t events = s->config.batch, items = events + s->config.history;
    struct batch *b = &s->batch;
    b->item_row = arena_must(&s->arena, items * sizeof(uint32_t));
    b->candidate = arena_must(&s->arena, events * sizeof(uint32_t));
    b->user = arena_must(&s->arena, events * sizeof(uint32_t));
    b->history = arena_must(&s->arena, s->config.history * sizeof(uint32_t));
    b->history_length = arena_must(&s->arena, sizeof(uint32_t));
    b->features = arena_must(&s->arena, events * FEATURES * sizeof(float));
    b->item_features = arena_must(&s->arena, items * GATE_FEATURES * sizeof(float));
    b->labels = arena_must(&s->arena, events * sizeof(float));
    b->users = 1;
    s->logits = arena_must(&s->arena, events * sizeof(float));
    s->event = arena_must(&s->arena, events * sizeof(uint32_t));
    s->stamp = arena_must(&s->arena, items_max * sizeof(uint32_t));
    s->index = arena_must(&s->arena, items_max * sizeof(uint32_t));
}

static enum status open_parts(cs_scorer *s, struct error *err) {
    const cs_follower *f = s->view->follower;
    uint32_t widest = 0;
    TRY(tables_create(&s->set, err));
    TRY(add_items(s, f, err));
    struct item_tables items = {s->items, s->embedding, NULL, s->z, s->sid};
    TRY(ranker_create(&s->ranker, &s->config, &items, s->set, &s->arena, err));
    for (uint32_t t = 0; t < tables_count(f->set); t++) {
        uint32_t bytes = table_spec(tables_at(f->set, t))->value_bytes;
        widest = bytes > widest ? bytes : widest;
    }
    s->buffer = arena_must(&s->arena, widest);
    s->gate = ranker_parts(&s->config).gate;
    make_batch(s, table_spec(s->items)->rows_max);
    return take_tensors(s, err);
}

int cs_scorer_open(const cs_view *view, cs_scorer **out, cs_error *error) {
    struct arena arena;
    struct error err = {0};
    *out = NULL;
    enum status status = arena_reserve(&arena, "scorer", SCRATCH_BYTES, &err);
    if (status != OK)
        return public_status(status, &err, error);
    cs_scorer *scorer = arena_must(&arena, sizeof *scorer);
    *scorer = (cs_scorer){.arena = arena, .view = view, .config = view->follower->model->ranker};
    status = open_parts(scorer, &err);
    bool stale = scorer->stale;
    if (status == OK && !stale) {
        *out = scorer;
        return CS_OK;
    }
    cs_scorer_close(scorer);
    return stale ? public_fail(error, CS_STALE, EX_UNAVAILABLE,
                               "the view's epoch has left memory; open a new one")
                 : public_status(status, &err, error);
}

void cs_scorer_close(cs_scorer *scorer) {
    if (scorer == NULL)
        return;
    tables_destroy(scorer->set);
    struct arena arena = scorer->arena; /* it lies in it */
    arena_release(&arena);
}

/* ---- scoring ---- */

static void counts_of(cs_scorer *s, uint32_t position, struct item_row *out) {
    float counts[4];
    *out = (struct item_row){.first_exposed_ms = -1};
    if (view_value(s->view, s->view->follower->counts, position, counts, &s->stale))
        item_counts(counts, out);
}

/* The item's index among those of the batch. */
static uint32_t item_index(cs_scorer *s, uint32_t position, int64_t now_ms) {
    struct batch *b = &s->batch;
    struct item_row counts;
    if (s->stamp[position] == s->stamp_now)
        return s->index[position];
    s->stamp[position] = s->stamp_now;
    s->index[position] = b->items;
    b->item_row[b->items] = position;
    if (s->gate) {
        counts_of(s, position, &counts);
        item_features(&counts, now_ms, b->item_features + (size_t)b->items * GATE_FEATURES);
    }
    return b->items++;
}

static enum status add_history(cs_scorer *s, const cs_user *user, int64_t now_ms,
                               struct error *err) {
    struct batch *b = &s->batch;
    uint32_t length = 0;
    for (uint32_t h = 0; h < user->history_length && h < s->config.history; h++) {
        bool there;
        TRY(take_item(s, user->history[h], &there, err));
        if (there)
            b->history[length++] = item_index(s, user->history[h], now_ms);
    }
    b->history_length[0] = length;
    return OK;
}

static void add_event(cs_scorer *s, const cs_user *user, uint32_t position, int64_t now_ms) {
    struct batch *b = &s->batch;
    struct item_row counts;
    uint32_t times = 0, event = b->events++;
    float *features = b->features + (size_t)event * FEATURES;
    b->user[event] = 0;
    b->candidate[event] = item_index(s, position, now_ms);
    for (uint32_t h = 0; h < b->history_length[0]; h++)
        times += b->history[h] == b->candidate[event];
    counts_of(s, position, &counts);
    item_features(&counts, now_ms, features);
    user_features(user->clicks, times, features);
}

/* At most a mini-batch of candidates, from *next on. */
static enum status score_some(cs_scorer *s, const cs_user *user, int64_t now_ms, uint32_t n,
                              const uint32_t *candidates, uint32_t *next, float *logits,
                              struct error *err) {
    struct batch *b = &s->batch;
    b->events = b->items = 0;
    s->stamp_now++;
    TRY(add_history(s, user, now_ms, err));
    for (; *next < n && b->events < s->config.batch; ++*next) {
        bool there;
        TRY(take_item(s, candidates[*next], &there, err));
        logits[*next] = NAN;
        if (!there)
            continue;
        s->event[b->events] = *next;
        add_event(s, user, candidates[*next], now_ms);
    }
    if (b->events == 0 || s->stale)
        return OK;
    ranker_score(s->ranker, b, s->logits);
    for (uint32_t e = 0; e < b->events; e++)
        logits[s->event[e]] = s->logits[e];
    return OK;
}

int cs_score(cs_scorer *scorer, const cs_user *user, size_t user_size, int64_t now_ms, uint32_t n,
             const uint32_t *candidates, float *logits, cs_error *error) {
    cs_user who = {0};
    struct error err = {0};
    memcpy(&who, user, user_size < sizeof who ? user_size : sizeof who);
    for (uint32_t next = 0; next < n && !scorer->stale;) {
        enum status status = score_some(scorer, &who, now_ms, n, candidates, &next, logits, &err);
        if (status != OK)
            return public_status(status, &err, error);
    }
    return scorer->stale ? public_fail(error, CS_STALE, EX_UNAVAILABLE,
                                       "the view's epoch has left memory; open a new one")
                         : CS_OK;
}
