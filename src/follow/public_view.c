/* Views: opening, rows, keys, dense arrays, changes. */
#include "follow/public.h"

#include "base/poison.h"

#define OPEN_TRIES 8

/* Rows go out as they lie: cs_sid is sid_row under a public name. */
#define SAME(member)                                                                               \
    _Static_assert(offsetof(cs_sid, member) == offsetof(struct sid_row, member), #member)
_Static_assert(sizeof(cs_sid) == sizeof(struct sid_row), "cs_sid");
SAME(codes);
SAME(previous);
SAME(reason);
SAME(has_previous);
SAME(generation);
SAME(codebook_version);
SAME(quantisation_error);
SAME(epoch);
SAME(event_time_ms);

/* ---- opening ---- */

/* A slot that nobody has; the search begins where the last one ended. NULL: all are taken. */
static cs_view *take_view(cs_follower *f) {
    uint32_t first = atomic_fetch_add_explicit(&f->next_view, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < CS_VIEWS_MAX; i++) {
        cs_view *view = &f->views[(first + i) % CS_VIEWS_MAX];
        bool closed = false;
        if (atomic_compare_exchange_strong(&view->open, &closed, true))
            return view;
    }
    return NULL;
}

static int open_step(cs_follower *f, const struct step_facts *facts, cs_view **out,
                     cs_error *error) {
    cs_view *view = take_view(f);
    if (view == NULL)
        return public_fail(error, CS_AGAIN, EX_TEMPFAIL, "%d views are open: close some",
                           CS_VIEWS_MAX);
    view->facts = *facts;
    *out = view;
    return CS_OK;
}

int cs_view_open(cs_follower *f, cs_view **out, cs_error *error) {
    struct step_facts facts;
    *out = NULL;
    for (int i = 0; i < OPEN_TRIES; i++) {
        uint64_t newest = versions_newest(f->versions);
        if (newest > 0 && versions_facts(f->versions, newest, &facts) == SEEN_LIVE)
            return open_step(f, &facts, out, error);
    }
    return public_fail(error, CS_AGAIN, EX_TEMPFAIL, "no epoch is in memory yet");
}

int cs_view_open_at(cs_follower *f, uint64_t epoch, cs_view **out, cs_error *error) {
    struct step_facts facts;
    uint64_t high = versions_newest(f->versions), low = versions_oldest(f->versions);
    *out = NULL;
    if (high == 0 || low > high)
        return public_fail(error, CS_AGAIN, EX_TEMPFAIL, "no epoch is in memory yet");
    if (versions_facts(f->versions, high, &facts) == SEEN_LIVE && facts.epoch < epoch)
        return public_fail(error, CS_AGAIN, EX_TEMPFAIL, "epoch %llu is not visible yet",
                           (unsigned long long)epoch);
    while (low < high) { /* the first step whose epoch is not before this one */
        uint64_t middle = low + (high - low) / 2;
        if (versions_facts(f->versions, middle, &facts) != SEEN_LIVE || facts.epoch < epoch)
            low = middle + 1;
        else
            high = middle;
    }
    if (versions_facts(f->versions, low, &facts) == SEEN_LIVE && facts.epoch == epoch)
        return open_step(f, &facts, out, error);
    bool gone = facts.epoch > epoch && low == versions_oldest(f->versions);
    return public_fail(error, gone ? CS_STALE : CS_ABSENT, EX_UNAVAILABLE,
                       "epoch %llu is not in memory", (unsigned long long)epoch);
}

void cs_view_close(cs_view *view) {
    if (view == NULL)
        return;
    for (uint32_t t = 0; t < tables_count(view->follower->set); t++) {
        struct dense *dense = atomic_exchange(&view->dense[t], NULL);
        if (dense != NULL)
            dense_release(dense);
    }
    atomic_store(&view->open, false);
}

uint64_t cs_view_epoch(const cs_view *view) {
    return view->facts.epoch;
}

int cs_view_check(const cs_view *view) {
    return versions_oldest(view->follower->versions) > view->facts.step ? CS_STALE : CS_OK;
}

int cs_view_facts(const cs_view *view, cs_epoch *out, size_t size) {
    const struct step_facts *facts = &view->facts;
    cs_epoch epoch = {.epoch = facts->epoch,
                      .timestamp_ms = facts->timestamp_ms,
                      .watermark_ms = facts->watermark_ms,
                      .generation = facts->generation,
                      .codebook_version = facts->codebook_version,
                      .items = facts->items};
    public_copy(out, size, &epoch, sizeof epoch);
    return CS_OK;
}

/* ---- rows ---- */

bool view_value(const cs_view *view, const struct table *table, uint32_t row, void *out,
                bool *stale) {
    enum seen seen = versions_value(view->follower->versions, view->facts.step, table, row, out);
    *stale = *stale || seen == SEEN_STALE;
    return seen == SEEN_LIVE;
}

int cs_view_find(const cs_view *view, uint32_t number, const void *key, size_t key_bytes,
                 uint32_t *position) {
    const cs_follower *f = view->follower;
    const struct table *table = public_table(f, number);
    if (table == NULL || key == NULL)
        return CS_INVALID;
    *position = NO_ROW;
    struct bytes bytes = bytes_of(key, key_bytes);
    if (table_spec(table)->key_kind == KEY_DENSE) {
        if (key_bytes != 8 || get_be64(key) >= table_spec(table)->rows_max)
            return CS_ABSENT;
        *position = (uint32_t)get_be64(key);
    } else {
        enum seen seen = versions_find(f->versions, view->facts.step, table, bytes,
                                       versions_hash(bytes), position);
        if (seen != SEEN_LIVE)
            return public_seen(seen);
    }
    if (versions_live(f->versions, view->facts.step, table, *position))
        return CS_OK;
    return cs_view_check(view) == CS_STALE ? CS_STALE : CS_ABSENT;
}

int cs_view_row(const cs_view *view, uint32_t number, uint32_t position, void *out, size_t bytes) {
    const struct table *table = public_table(view->follower, number);
    if (table == NULL)
        return CS_INVALID;
    if (bytes < table_spec(table)->value_bytes)
        return CS_TOO_SMALL;
    return public_seen(
        versions_value(view->follower->versions, view->facts.step, table, position, out));
}

int cs_view_rows(const cs_view *view, uint32_t number, uint32_t n, const uint32_t *positions,
                 void *out, size_t bytes, uint8_t *found) {
    const struct table *table = public_table(view->follower, number);
    bool stale = false;
    if (table == NULL)
        return CS_INVALID;
    size_t stride = table_spec(table)->value_bytes;
    if (bytes / stride < n)
        return CS_TOO_SMALL;
    for (uint32_t i = 0; i < n && !stale; i++) {
        unsigned char *row = (unsigned char *)out + i * stride;
        found[i] = view_value(view, table, positions[i], row, &stale);
        if (!found[i])
            memset(row, 0, stride);
    }
    return stale ? CS_STALE : CS_OK;
}

int cs_view_key(const cs_view *view, uint32_t number, uint32_t position, void *out, size_t bytes,
                size_t *key_bytes) {
    const struct table *table = public_table(view->follower, number);
    _Alignas(8) unsigned char key[1024 + 8];
    uint32_t length = 0;
    if (table == NULL)
        return CS_INVALID;
    if (!versions_live(view->follower->versions, view->facts.step, table, position))
        return cs_view_check(view) == CS_STALE ? CS_STALE : CS_ABSENT;
    enum seen seen =
        versions_key(view->follower->versions, view->facts.step, table, position, key, &length);
    *key_bytes = length;
    if (seen != SEEN_LIVE)
        return public_seen(seen);
    if (bytes < length)
        return CS_TOO_SMALL;
    memcpy(out, key, length);
    return CS_OK;
}

int cs_view_next(const cs_view *view, uint32_t number, uint32_t *position) {
    const struct versions *versions = view->follower->versions;
    const struct table *table = public_table(view->follower, number);
    if (table == NULL)
        return CS_INVALID;
    for (uint32_t end = versions_end(versions, table); *position < end; ++*position)
        if (versions_live(versions, view->facts.step, table, *position))
            return CS_OK;
    return cs_view_check(view) == CS_STALE ? CS_STALE : CS_END;
}

int cs_view_changes(const cs_view *view, uint32_t number, uint32_t *positions, uint32_t max,
                    uint32_t *found) {
    const struct table *table = public_table(view->follower, number);
    if (table == NULL)
        return CS_INVALID;
    return public_seen(
        versions_changes(view->follower->versions, view->facts.step, table, positions, max, found));
}

/* ---- dense arrays ---- */

void dense_release(struct dense *dense) {
    struct arena arena = dense->arena; /* it lies in it */
    arena_release(&arena);
}

static enum status dense_make(const cs_view *view, const struct table *table, struct dense **out,
                              bool *stale, struct error *err) {
    struct arena arena;
    uint32_t end = versions_end(view->follower->versions, table);
    size_t stride = table_spec(table)->value_bytes;
    TRY(arena_reserve(&arena, "dense table", sizeof(struct dense) + end * (stride + 1) + 256, err));
    struct dense *dense = arena_must(&arena, sizeof *dense);
    *dense =
        (struct dense){.data = arena_must(&arena, end * stride), .live = arena_must(&arena, end)};
    for (uint32_t row = 0; row < end && !*stale; row++) {
        unsigned char *to = (unsigned char *)dense->data + row * stride;
        dense->live[row] = view_value(view, table, row, to, stale);
        if (dense->live[row])
            dense->rows = row + 1;
        else
            memset(to, 0, stride); /* what was copied and did not hold */
    }
    dense->arena = arena;
    *out = dense;
    return OK;
}

int cs_view_dense(cs_view *view, uint32_t number, const void **data, const uint8_t **live,
                  uint32_t *rows, cs_error *error) {
    const struct table *table = public_table(view->follower, number);
    struct error err = {0};
    bool stale = false;
    if (table == NULL)
        return public_fail(error, CS_INVALID, EX_USAGE, "there is no table %u", number);
    _Atomic(struct dense *) *place = &view->dense[table_number(table)];
    struct dense *dense = atomic_load(place), *none = NULL;
    if (dense == NULL) {
        if (dense_make(view, table, &dense, &stale, &err) != OK)
            return public_status(FATAL, &err, error);
        if (stale) {
            dense_release(dense);
            return public_fail(error, CS_STALE, EX_UNAVAILABLE,
                               "the view's epoch has left memory; open a new one");
        }
        if (!atomic_compare_exchange_strong(place, &none, dense)) { /* another thread was first */
            dense_release(dense);
            dense = none;
        }
    }
    *data = dense->data;
    *rows = dense->rows;
    if (live != NULL)
        *live = dense->live;
    return CS_OK;
}
