#include "apply/follower.h"
#include "apply/compacted.h"
#include <inttypes.h>

#define PENDING_MAX 64 /* manifests that wait for their rows */
#define ROW_BYTES_MIN 64

struct staged_row {
    struct folded_row row;
    int64_t offset;
    uint64_t epoch;
    struct staged_row *next; /* of the same partition */
};

struct partition {
    int64_t reached; /* all before it has come */
    int64_t folded;  /* all before it has been folded or is no row */
    struct staged_row *first, *last;
};

struct wanted {
    uint64_t epoch;
    int64_t *ends;          /* [partitions] */
    struct digest *digests; /* [tables] */
    bool *known;            /* [tables]: the manifest has the table */
};

struct follower {
    struct tables *set;
    struct compacted *compacted;
    struct arena arena;
    struct arena staged[2]; /* the second takes the rows that stay when the first is cleaned up */
    size_t dead_bytes;      /* in staged[0], of rows folded already */
    struct arena batch;     /* rows of the epoch that is folded */
    uint32_t partitions;
    struct partition *at; /* [partitions] */
    bool exact, has_target, checked;
    uint64_t epoch; /* exact: of the state */
    struct wanted target;
    struct wanted pending[PENDING_MAX]; /* newer than target and state, oldest first */
    uint32_t pending_count;
    uint64_t newest, rows;
    const char *differs;
    void (*on_exact)(void *self, uint64_t epoch); /* NULL: nobody asks */
    void *on_exact_self;
};

/* ---- memory ---- */

static void make_wanted(struct follower *f, struct wanted *wanted) {
    uint32_t tables = tables_count(f->set);
    wanted->ends = arena_must(&f->arena, f->partitions * sizeof *wanted->ends);
    wanted->digests = arena_must(&f->arena, tables * sizeof *wanted->digests);
    wanted->known = arena_must(&f->arena, tables * sizeof *wanted->known);
}

static enum status reserve(struct follower *f, size_t staged_bytes_max, struct error *err) {
    TRY(arena_reserve(&f->staged[0], "staged rows", staged_bytes_max, err));
    TRY(arena_reserve(&f->staged[1], "staged rows", staged_bytes_max, err));
    TRY(arena_reserve(&f->batch, "rows of an epoch", staged_bytes_max, err));
    return compacted_create(&f->compacted, f->set, err);
}

enum status follower_create(struct follower **out, struct tables *set, uint32_t partitions,
                            size_t staged_bytes_max, struct error *err) {
    struct arena arena;
    size_t wanted_bytes = (size_t)partitions * sizeof(int64_t) +
                          (size_t)tables_count(set) * (sizeof(struct digest) + 1) + 256;
    size_t bytes = sizeof(struct follower) + (size_t)partitions * sizeof(struct partition) +
                   (PENDING_MAX + 1) * wanted_bytes + 256;
    TRY(arena_reserve(&arena, "follower", bytes, err));
    struct follower *f = arena_must(&arena, sizeof *f);
    *f = (struct follower){.set = set, .partitions = partitions, .arena = arena};
    f->at = arena_must(&f->arena, partitions * sizeof *f->at);
    make_wanted(f, &f->target);
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        make_wanted(f, &f->pending[i]);
    enum status status = reserve(f, staged_bytes_max, err);
    if (status != OK) {
        follower_destroy(f);
        return status;
    }
    *out = f;
    follower_begin(f);
    return OK;
}

void follower_destroy(struct follower *follower) {
    if (follower->compacted != NULL)
        compacted_destroy(follower->compacted);
    arena_release(&follower->staged[0]);
    arena_release(&follower->staged[1]);
    arena_release(&follower->batch);
    struct arena arena = follower->arena; /* it lies in it */
    arena_release(&arena);
}

void follower_begin(struct follower *f) {
    for (uint32_t p = 0; p < f->partitions; p++)
        f->at[p] = (struct partition){.reached = INT64_MIN, .folded = INT64_MIN};
    arena_reset(&f->staged[0]);
    f->dead_bytes = 0;
    f->exact = f->has_target = f->checked = false;
    f->epoch = f->newest = f->rows = 0;
    f->pending_count = 0;
    f->differs = NULL;
    compacted_begin(f->compacted);
}

void follower_on_exact(struct follower *f, void (*exact)(void *self, uint64_t epoch), void *self) {
    f->on_exact = exact;
    f->on_exact_self = self;
}

/* ---- staging ---- */

static size_t room_of(const struct folded_row *row) {
    /* three pieces, each rounded up to the arena's 64 bytes */
    return sizeof(struct staged_row) + row->key.len + row->value.len + (size_t)3 * ROW_BYTES_MIN;
}

/* False when it does not fit. */
static bool copy_row(struct arena *arena, struct partition *at, int64_t offset, uint64_t epoch,
                     const struct folded_row *row) {
    if (arena->reserved - arena->used < room_of(row))
        return false;
    struct staged_row *staged = arena_must(arena, sizeof *staged);
    *staged = (struct staged_row){.row = *row, .offset = offset, .epoch = epoch};
    staged->row.key.data = arena_copy(arena, row->key.data, row->key.len);
    if (row->value.data != NULL)
        staged->row.value.data = arena_copy(arena, row->value.data, row->value.len);
    if (at->first == NULL)
        at->first = staged;
    else
        at->last->next = staged;
    at->last = staged;
    return true;
}

static const struct staged_row *take_staged(struct follower *f, struct partition *at) {
    struct staged_row *staged = at->first;
    at->first = staged->next;
    at->folded = staged->offset + 1;
    f->dead_bytes += room_of(&staged->row);
    f->rows++;
    return staged;
}

/* Rows that stay move to the other arena when most of this one is dead. */
static void clean_up(struct follower *f) {
    struct arena *from = &f->staged[0], *to = &f->staged[1];
    bool empty = true;
    for (uint32_t p = 0; p < f->partitions; p++)
        empty = empty && f->at[p].first == NULL;
    if (empty)
        arena_reset(from);
    if (empty || f->dead_bytes < from->used / 2 || from->used < from->reserved / 4) {
        f->dead_bytes = empty ? 0 : f->dead_bytes;
        return;
    }
    for (uint32_t p = 0; p < f->partitions; p++) {
        struct staged_row *row = f->at[p].first;
        f->at[p].first = NULL;
        for (; row != NULL; row = row->next)
            ASSERT(copy_row(to, &f->at[p], row->offset, row->epoch, &row->row));
    }
    arena_reset(from);
    struct arena other = *from;
    *from = *to;
    *to = other;
    f->dead_bytes = 0;
}

/* ---- catching up ---- */

/* Everything staged, up to these ends; NULL: all of it. */
static enum status fold_staged(struct follower *f, const int64_t *ends, struct error *err) {
    for (uint32_t p = 0; p < f->partitions; p++) {
        struct partition *at = &f->at[p];
        while (at->first != NULL && (ends == NULL || at->first->offset < ends[p])) {
            const struct staged_row *staged = take_staged(f, at);
            TRY(compacted_fold(f->compacted, &staged->row, staged->epoch, err));
        }
    }
    clean_up(f);
    return OK;
}

static bool covers(const struct follower *f, const struct wanted *wanted) {
    for (uint32_t p = 0; p < f->partitions; p++)
        if (f->at[p].folded > wanted->ends[p])
            return false;
    return true;
}

static bool reached(const struct follower *f, const struct wanted *wanted) {
    for (uint32_t p = 0; p < f->partitions; p++)
        if (f->at[p].reached < wanted->ends[p])
            return false;
    return true;
}

static void swap_wanted(struct wanted *one, struct wanted *other) {
    struct wanted was = *one;
    *one = *other;
    *other = was;
}

/* The newest manifest as target, if no row that was folded is past it; the older ones do not matter any more. */
static enum status aim(struct follower *f, struct error *err) {
    if (f->pending_count == 0 || !covers(f, &f->pending[f->pending_count - 1]))
        return OK;
    swap_wanted(&f->target, &f->pending[f->pending_count - 1]);
    f->pending_count = 0;
    f->has_target = true;
    f->checked = false;
    f->differs = NULL;
    return fold_staged(f, f->target.ends, err);
}

static enum status catch_up(struct follower *f, struct error *err) {
    if (f->exact)
        compacted_begin(f->compacted);
    f->exact = f->has_target = false;
    f->differs = NULL;
    TRY(fold_staged(f, NULL, err));
    return aim(f, err);
}

/* ---- what comes ---- */

enum status follower_row(struct follower *f, uint32_t partition, int64_t offset, uint64_t epoch,
                         const struct folded_row *row, struct error *err) {
    struct partition *at = &f->at[partition];
    at->reached = offset + 1;
    if (f->exact || (f->has_target && offset >= f->target.ends[partition])) {
        if (copy_row(&f->staged[0], at, offset, epoch, row))
            return OK;
        TRY(catch_up(f, err));
        if (f->has_target && offset >= f->target.ends[partition] &&
            copy_row(&f->staged[0], at, offset, epoch, row))
            return OK;
    }
    at->folded = offset + 1;
    f->rows++;
    return compacted_fold(f->compacted, row, epoch, err);
}

void follower_reached(struct follower *f, uint32_t partition, int64_t offset) {
    if (f->at[partition].reached < offset)
        f->at[partition].reached = offset;
}

static void copy_manifest(struct follower *f, struct wanted *to, uint64_t epoch,
                          const int64_t *ends, wanted_digest *wanted, void *self) {
    to->epoch = epoch;
    memcpy(to->ends, ends, f->partitions * sizeof *ends);
    for (uint32_t t = 0; t < tables_count(f->set); t++)
        to->known[t] = wanted(self, table_spec(tables_at(f->set, t))->name, &to->digests[t]);
}

enum status follower_manifest(struct follower *f, uint64_t epoch, const int64_t *ends,
                              wanted_digest *wanted, void *self, struct error *err) {
    if (epoch <= f->newest)
        return OK;
    uint64_t before = f->exact && f->pending_count == 0 ? f->epoch : f->newest;
    bool follows = epoch == before + 1 && f->pending_count < PENDING_MAX;
    if (!follows)
        f->pending_count = 0;
    copy_manifest(f, &f->pending[f->pending_count++], epoch, ends, wanted, self);
    f->newest = epoch;
    if (f->exact)
        return follows ? OK : catch_up(f, err);
    return f->has_target ? OK : aim(f, err);
}

/* ---- whole epochs ---- */

struct digests {
    const struct follower *follower;
    const struct wanted *wanted;
};

static bool digest_of_table(void *self, const char *table, struct digest *out) {
    const struct digests *digests = self;
    for (uint32_t t = 0; t < tables_count(digests->follower->set); t++)
        if (strcmp(table_spec(tables_at(digests->follower->set, t))->name, table) == 0) {
            *out = digests->wanted->digests[t];
            return digests->wanted->known[t];
        }
    return false;
}

static uint32_t gather(struct follower *f, const struct wanted *wanted, struct folded_row **rows) {
    uint32_t count = 0;
    for (uint32_t p = 0; p < f->partitions; p++)
        for (const struct staged_row *row = f->at[p].first;
             row != NULL && row->offset < wanted->ends[p]; row = row->next)
            count++;
    arena_reset(&f->batch);
    *rows = arena_must(&f->batch, count * sizeof **rows);
    count = 0;
    for (uint32_t p = 0; p < f->partitions; p++)
        while (f->at[p].first != NULL && f->at[p].first->offset < wanted->ends[p])
            (*rows)[count++] = take_staged(f, &f->at[p])->row;
    return count;
}

/* Not all rows of the epoch are in the log any more: later ones have superseded them, and compaction was faster. */
static enum status fold_remains(struct follower *f, uint64_t epoch, const struct folded_row *rows,
                                uint32_t count, struct error *err) {
    compacted_begin(f->compacted);
    f->exact = false;
    for (uint32_t i = 0; i < count; i++)
        TRY(compacted_fold(f->compacted, &rows[i], epoch, err));
    return catch_up(f, err);
}

static void tell_exact(const struct follower *f) {
    if (f->on_exact != NULL)
        f->on_exact(f->on_exact_self, f->epoch);
}

static enum status fold_whole(struct follower *f, const struct wanted *wanted, struct error *err) {
    struct digests digests = {f, wanted};
    struct folded_row *rows;
    uint32_t count = gather(f, wanted, &rows);
    enum status status = fold_epoch(f->set, rows, count, err);
    if (status == OK && fold_differs(f->set, digest_of_table, &digests) != NULL)
        status = BAD_RECORD;
    if (status == BAD_RECORD)
        return fold_remains(f, wanted->epoch, rows, count, err);
    TRY(status);
    f->epoch = wanted->epoch;
    tell_exact(f);
    clean_up(f);
    return OK;
}

static enum status advance_exact(struct follower *f, struct error *err) {
    while (f->exact && f->pending_count > 0 && reached(f, &f->pending[0])) {
        TRY(fold_whole(f, &f->pending[0], err));
        if (!f->exact)
            break;
        f->pending_count--;
        for (uint32_t i = 0; i < f->pending_count; i++)
            swap_wanted(&f->pending[i], &f->pending[i + 1]);
    }
    return OK;
}

/* At the target: exact, or on to the next one. */
static enum status advance_loose(struct follower *f, struct error *err) {
    while (f->has_target && reached(f, &f->target) && !(f->checked && f->pending_count == 0)) {
        struct digests digests = {f, &f->target};
        bool follows = f->pending_count == 0 || f->pending[0].epoch == f->target.epoch + 1;
        if (!f->checked && follows) {
            f->differs = compacted_differs(f->compacted, digest_of_table, &digests);
            f->checked = true;
        }
        if (f->checked && f->differs == NULL) {
            compacted_end(f->compacted);
            f->exact = true;
            f->epoch = f->target.epoch;
            tell_exact(f);
            TRY(advance_exact(f, err));
            if (f->exact)
                return OK;
            continue;
        }
        TRY(aim(f, err));
        if (f->pending_count > 0)
            return FAIL(err, BAD_RECORD, EX_DATAERR,
                        "the manifest of epoch %" PRIu64 " ends before an older one: the outputs "
                        "were made anew or changed",
                        f->newest);
    }
    return OK;
}

enum status follower_advance(struct follower *f, struct error *err) {
    TRY(advance_exact(f, err));
    return f->exact ? OK : advance_loose(f, err);
}

void follower_state(const struct follower *f, struct follower_state *out) {
    *out = (struct follower_state){.exact = f->exact,
                                   .epoch = f->exact        ? f->epoch
                                            : f->has_target ? f->target.epoch
                                                            : 0,
                                   .newest = f->newest,
                                   .differs = f->differs,
                                   .rows = f->rows,
                                   .staged_bytes = f->staged[0].used};
}
