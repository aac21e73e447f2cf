/* The readers' half: the state after a step, beside a writer that goes on. */
#include "follow/versions_private.h"

#include "base/poison.h"

uint64_t versions_newest(const struct versions *v) {
    return atomic_load_explicit(&v->newest, memory_order_acquire);
}

uint64_t versions_oldest(const struct versions *v) {
    return atomic_load_explicit(&v->oldest, memory_order_acquire);
}

static bool stale(const struct versions *v, uint64_t step) {
    return versions_oldest(v) > step;
}

enum seen versions_facts(const struct versions *v, uint64_t step, struct step_facts *out) {
    words_load(out, v->notes + step % STEPS_MAX * (sizeof *out / 4), sizeof *out);
    return stale(v, step) ? SEEN_STALE : SEEN_LIVE;
}

uint64_t versions_hash(struct bytes key) {
    return hash64(key.data, key.len, 0);
}

uint32_t versions_end(const struct versions *v, const struct table *table) {
    return atomic_load_explicit(&versioned_of(v, table)->end, memory_order_acquire);
}

/* The state of a position at a step: where its value and key lie, and the word under which they do. */
struct found {
    const unsigned char *value, *key;
    uint64_t word;
    bool kept; /* in the ring */
};

/* Back through what is kept, from a word that is newer than the step. */
static enum seen follow_back(const struct versions *v, const struct versioned *t, uint64_t step,
                             uint64_t word, struct found *out) {
    struct kept kept;
    const unsigned char *at = NULL;
    while (word_step(word) > step) {
        if (stale(v, step) || (uint32_t)word >= v->ring_units)
            return SEEN_STALE;
        at = v->ring + (uint64_t)(uint32_t)word * UNIT_BYTES;
        words_load(&kept, at, sizeof kept);
        if (stale(v, step)) /* and so what was read may be of something else */
            return SEEN_STALE;
        word = kept.word;
    }
    if (!word_lives(word))
        return SEEN_ABSENT;
    *out = (struct found){at + sizeof kept, at + sizeof kept + t->stride, word, true};
    return SEEN_LIVE;
}

static enum seen find_state(const struct versions *v, const struct versioned *t, uint64_t step,
                            uint32_t row, struct found *out) {
    if (row >= t->rows_max)
        return SEEN_ABSENT;
    uint64_t word = atomic_load_explicit(word_at(t, row), memory_order_acquire);
    if (word_step(word) > step)
        return follow_back(v, t, step, word, out);
    if (!word_lives(word))
        return SEEN_ABSENT;
    *out = (struct found){t->values + row * t->stride, t->keys + row * t->key_slot, word, false};
    return SEEN_LIVE;
}

/* Whether what was copied from there was still that state. */
static bool held(const struct versions *v, const struct versioned *t, uint64_t step, uint32_t row,
                 const struct found *found) {
    if (found->kept)
        return !stale(v, step);
    return atomic_load_explicit(word_at(t, row), memory_order_acquire) == found->word;
}

bool versions_live(const struct versions *v, uint64_t step, const struct table *table,
                   uint32_t row) {
    struct found found;
    return find_state(v, versioned_of(v, table), step, row, &found) == SEEN_LIVE;
}

enum seen versions_value(const struct versions *v, uint64_t step, const struct table *table,
                         uint32_t row, void *out) {
    const struct versioned *t = versioned_of(v, table);
    struct found found;
    for (;;) {
        enum seen seen = find_state(v, t, step, row, &found);
        if (seen != SEEN_LIVE)
            return seen;
        words_load(out, found.value, t->stride);
        if (held(v, t, step, row, &found))
            return SEEN_LIVE;
    }
}

/* The table that has the keys: a child's parent, or the table itself. */
static const struct table *root_of(const struct table *table) {
    const struct table *parent = table_spec(table)->parent;
    return parent != NULL ? parent : table;
}

enum seen versions_key(const struct versions *v, uint64_t step, const struct table *table,
                       uint32_t row, void *out, uint32_t *key_bytes) {
    const struct table *root = root_of(table);
    const struct versioned *t = versioned_of(v, root);
    struct found found;
    if (table != root && !versions_live(v, step, table, row))
        return stale(v, step) ? SEEN_STALE : SEEN_ABSENT;
    for (;;) {
        enum seen seen = find_state(v, t, step, row, &found);
        if (seen != SEEN_LIVE)
            return seen;
        uint32_t bytes = 8;
        if (t->key_slot == 0) {
            put_be64(out, row);
        } else if (table_spec(root)->key_kind == KEY_U64) {
            words_load(out, found.key, 8);
        } else {
            words_load(&bytes, found.key, 4);
            if (bytes <= t->key_slot - 4)
                words_load(out, found.key + 4, (bytes + 3) / 4 * 4);
        }
        *key_bytes = bytes;
        if (held(v, t, step, row, &found))
            return SEEN_LIVE;
    }
}

/* ---- by key ---- */

/* The key in the slot, word by word, as long as it lasts. */
static bool slot_equals(const struct versioned *t, const unsigned char *slot, struct bytes key) {
    uint32_t word, tail = 0;
    if (table_spec(t->table)->key_kind == KEY_STRING) {
        words_load(&word, slot, 4);
        if (word != key.len)
            return false;
        slot += 4;
    }
    size_t whole = key.len / 4 * 4;
    for (size_t i = 0; i < whole; i += 4) {
        words_load(&word, slot + i, 4);
        if (memcmp(&word, key.data + i, 4) != 0)
            return false;
    }
    if (whole == key.len)
        return true;
    memcpy(&tail, key.data + whole, key.len - whole);
    words_load(&word, slot + whole, 4);
    return word == tail;
}

/* LIVE: the key stands at the row; ABSENT: it does not. */
static enum seen stands(const struct versions *v, const struct versioned *t, uint64_t step,
                        uint32_t row, struct bytes key) {
    struct found found;
    for (;;) {
        enum seen seen = find_state(v, t, step, row, &found);
        if (seen != SEEN_LIVE)
            return seen;
        bool equal = slot_equals(t, found.key, key);
        if (held(v, t, step, row, &found))
            return equal ? SEEN_LIVE : SEEN_ABSENT;
    }
}

static bool key_fits(const struct versioned *t, struct bytes key) {
    bool string = table_spec(t->table)->key_kind == KEY_STRING;
    return string ? key.len > 0 && key.len <= t->key_slot - 4 : key.len == 8;
}

enum seen versions_find(const struct versions *v, uint64_t step, const struct table *table,
                        struct bytes key, uint64_t hash, uint32_t *row) {
    const struct versioned *t = versioned_of(v, root_of(table));
    struct key_probe probe;
    *row = NO_ROW;
    if (!key_fits(t, key))
        return SEEN_ABSENT;
    do {
        uint32_t at;
        key_probe_begin(&t->index, hash, &probe);
        while (key_probe_next(&probe, &at)) {
            enum seen seen = stands(v, t, step, at, key);
            if (seen == SEEN_LIVE)
                *row = at;
            if (seen != SEEN_ABSENT)
                return seen;
        }
    } while (!key_probe_holds(&t->index, &probe));
    return stale(v, step) ? SEEN_STALE : SEEN_ABSENT;
}

#define LINE_BYTES 64u
#define NEAR_BYTES_MAX 256u /* longer rows are read fast enough by the hardware's own prefetching */

static void near(const unsigned char *from, size_t bytes) {
    for (size_t at = 0; at < bytes + LINE_BYTES - 1; at += LINE_BYTES)
        __builtin_prefetch(from + (at < bytes ? at : bytes - 1));
}

void versions_near_index(const struct versions *v, const struct table *table, uint64_t hash) {
    struct key_probe probe;
    key_probe_begin(&versioned_of(v, root_of(table))->index, hash, &probe);
    uint64_t mask = atomic_load_explicit(&probe.place->mask, memory_order_relaxed);
    __builtin_prefetch((const void *)&probe.place->slots[probe.slot & mask]);
}

uint32_t versions_near_rows(const struct versions *v, const struct table *table, uint64_t hash) {
    const struct versioned *t = versioned_of(v, root_of(table));
    struct key_probe probe;
    uint32_t row;
    key_probe_begin(&t->index, hash, &probe);
    if (!key_probe_next(&probe, &row) || row >= t->rows_max)
        return NO_ROW;
    __builtin_prefetch((const void *)word_at(t, row));
    near(t->keys + row * t->key_slot, t->key_slot < 64 ? t->key_slot : 64);
    return row;
}

void versions_near_value(const struct versions *v, const struct table *table, uint32_t row) {
    const struct versioned *t = versioned_of(v, table);
    if (row >= t->rows_max)
        return;
    __builtin_prefetch((const void *)word_at(t, row));
    near(t->values + row * t->stride, t->stride < NEAR_BYTES_MAX ? t->stride : NEAR_BYTES_MAX);
}

/* ---- what a step changed ---- */

enum seen versions_changes(const struct versions *v, uint64_t step, const struct table *table,
                           uint32_t *rows, uint32_t max, uint32_t *found) {
    struct step_facts facts;
    *found = 0;
    if (versions_facts(v, step, &facts) == SEEN_STALE)
        return SEEN_STALE;
    if (!facts.whole)
        return SEEN_ABSENT;
    for (uint64_t unit = facts.first_unit; unit < facts.end_unit;) {
        struct kept kept;
        words_load(&kept, unit_at(v, unit), sizeof kept);
        if (versions_oldest(v) >= step) /* what it kept may be gone */
            return SEEN_STALE;
        if (kept.table == table_number(table)) {
            if (*found < max)
                rows[*found] = kept.row;
            ++*found;
        }
        unit += kept.units;
    }
    return SEEN_LIVE;
}
