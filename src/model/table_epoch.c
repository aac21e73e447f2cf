#include "model/table_private.h"

#include "base/poison.h"

/* ---- writing ---- */

static void touch(struct table *t, uint32_t row, bool is_live) {
    if (bit_get(t->dirty, row))
        return;
    bit_set(t->dirty, row);
    uint32_t n = t->touched_count++;
    t->touched[n].row = row;
    t->touched[n].was_live = is_live;
    if (is_live)
        memcpy(t->old_values + (size_t)n * t->stride, value_at(t, row), t->stride);
    if (n == 0) {
        t->touched_low = t->touched_high = row;
    } else if (row < t->touched_low) {
        t->touched_low = row;
    } else if (row > t->touched_high) {
        t->touched_high = row;
    }
    t->set->touched++;
}

void *table_edit(struct table *table, uint32_t row) {
    ASSERT(!table->set->sealed && table_live(table, row));
    touch(table, row, true);
    return value_at(table, row);
}

/* A live row with a zero value; its key is the caller's to store. */
static void place(struct table *t, uint32_t row) {
    touch(t, row, false);
    bit_set(t->fresh, row);
    set_live(t, row);
    memset(value_at(t, row), 0, t->stride);
}

static enum status fail_full(const struct table *t, struct error *err) {
    return FAIL_SEE(err, FATAL, EX_CONFIG, "table-full",
                    "table %s: all of its %u rows are in use; raise what limits it (limits.items, "
                    "limits.users, "
                    "labels.waiting_impressions, parking.rows) and go on from here",
                    t->name, t->spec.rows_max);
}

static enum status insert_dense(struct table *t, uint64_t key, uint32_t *row, struct error *err) {
    if (key >= t->spec.rows_max)
        return FAIL_SEE(
            err, FATAL, EX_CONFIG, "table-full",
            "table %s: row %llu is beyond its limit of %u rows; raise the limit that the "
            "configuration sets for it and restart",
            t->name, (unsigned long long)key, t->spec.rows_max);
    *row = (uint32_t)key;
    ASSERT(!bit_get(t->live, *row));
    place(t, *row);
    return OK;
}

enum status table_insert(struct table *table, struct bytes key, uint32_t *row, struct error *err) {
    ASSERT(!table->set->sealed && table->spec.key_kind != KEY_CHILD);
    if (!key_fits(table, key))
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a key of %zu bytes; it must have 1 to %u bytes", table->name,
                    key.len, table->spec.key_kind == KEY_STRING ? table->spec.key_bytes_max : 8);
    if (table->spec.key_kind == KEY_DENSE)
        return insert_dense(table, get_be64(key.data), row, err);
    if (table->rows == table->spec.rows_max)
        return fail_full(table, err);
    uint64_t hash = key_hash(key);
    ASSERT(index_find(table, hash, key) == NO_ROW);
    index_grow(table);
    *row = lowest_free(table);
    place(table, *row);
    key_store(table, *row, key);
    index_insert(table, hash, *row);
    return OK;
}

enum status table_insert_u64(struct table *table, uint64_t key, uint32_t *row, struct error *err) {
    ASSERT(table->spec.key_kind == KEY_U64 || table->spec.key_kind == KEY_DENSE);
    uint8_t bytes[8];
    put_be64(bytes, key);
    return table_insert(table, bytes_of(bytes, 8), row, err);
}

enum status table_insert_child(struct table *table, uint32_t parent_row, struct error *err) {
    ASSERT(!table->set->sealed && table->spec.key_kind == KEY_CHILD);
    ASSERT(table_live(table->root, parent_row));
    if (parent_row >= table->spec.rows_max)
        return fail_full(table, err);
    ASSERT(!bit_get(table->live, parent_row));
    place(table, parent_row);
    return OK;
}

/* Notes a row of the epoch's beginning that goes. A child's key is still its parent's at this
 * time. */
static void depart(struct table *t, uint32_t row) {
    uint32_t n = t->departed_count++;
    t->departed[n] = (struct departed){.version = t->versions[row], .row = row};
    if (t->key_slot > 0)
        memcpy(t->departed_keys + n * t->key_slot, t->root->keys + row * t->key_slot, t->key_slot);
}

void table_remove(struct table *table, uint32_t row) {
    ASSERT(!table->set->sealed && table_live(table, row));
    for (const struct table *child = table->first_child; child != NULL; child = child->next_child)
        ASSERT(!table_live(child, row));
    touch(table, row, true);
    if (!bit_get(table->fresh, row))
        depart(table, row);
    if (key_is_hashed(table))
        index_remove(table, row);
    clear_live(table, row);
}

/* ---- seal ---- */

static struct bytes departed_key(const struct table *t, uint32_t n, uint8_t scratch[8]) {
    if (t->key_slot == 0) {
        put_be64(scratch, t->departed[n].row);
        return bytes_of(scratch, 8);
    }
    return slot_key(t, t->departed_keys + n * t->key_slot);
}

/* Where the key lives now; NO_ROW when it is gone. */
static uint32_t find_any_kind(const struct table *t, struct bytes key) {
    uint32_t row = table_find(t->root, key);
    return row != NO_ROW && table_live(t, row) ? row : NO_ROW;
}

/* A row that was removed either lives again (then its version goes on, wherever it lives) or is
 * gone: then it is published as a removed row of its position, or by its key alone when the
 * position has another key now. */
static void seal_departed(struct table *t) {
    for (uint32_t n = 0; n < t->departed_count; n++) {
        uint32_t row = t->departed[n].row;
        uint8_t scratch[8], scratch_now[8];
        struct bytes key = departed_key(t, n, scratch);
        if (key_is_hashed(t) && !bit_get(t->live, row))
            memcpy(t->keys + row * t->key_slot, t->departed_keys + n * t->key_slot, t->key_slot);
        uint32_t now = find_any_kind(t, key);
        if (now != NO_ROW)
            t->versions[now] = t->departed[n].version + 1;
        else if (!bit_get(t->live, row) && bytes_equal(key, row_key(t, row, scratch_now)))
            bit_set(t->dirty, row);
        else
            t->removed[t->removed_count++] = n;
    }
}

static void list_dirty(struct table *t) {
    for (uint32_t word = t->touched_low / 64; word <= t->touched_high / 64; word++)
        for (uint64_t left = t->dirty[word]; left != 0; left &= left - 1)
            t->dirty_rows[t->dirty_count++] = word * 64 + (uint32_t)__builtin_ctzll(left);
}

static void seal_table(struct table *t) {
    t->digest_before = t->digest;
    if (t->touched_count == 0)
        return;
    for (uint32_t n = 0; n < t->touched_count; n++) {
        struct touched *touched = &t->touched[n];
        uint32_t row = touched->row;
        touched->old_version = t->versions[row];
        touched->old_digest = t->digests[row];
        if (touched->was_live)
            t->digest = digest_sub(t->digest, touched->old_digest);
        if (!bit_get(t->live, row))
            bit_clear(t->dirty, row); /* seal_departed knows which of these are published */
        else
            t->versions[row] = bit_get(t->fresh, row) ? 1 : touched->old_version + 1;
    }
    seal_departed(t);
    list_dirty(t);
    for (uint32_t n = 0; n < t->touched_count; n++) {
        uint32_t row = t->touched[n].row;
        if (!bit_get(t->live, row))
            continue;
        t->digests[row] = row_digest(t, row);
        t->digest = digest_add(t->digest, t->digests[row]);
    }
}

void tables_seal(struct tables *set) {
    ASSERT(!set->sealed);
    for (uint32_t i = 0; i < set->count; i++) /* parents come before their children */
        seal_table(set->at[i]);
    set->sealed = true;
}

uint32_t table_dirty_count(const struct table *table) {
    ASSERT(table->set->sealed);
    return table->dirty_count;
}

uint32_t table_dirty_at(const struct table *table, uint32_t index) {
    ASSERT(table->set->sealed && index < table->dirty_count);
    return table->dirty_rows[index];
}

uint32_t table_removed_count(const struct table *table) {
    ASSERT(table->set->sealed);
    return table->removed_count;
}

struct bytes table_removed_key(const struct table *table, uint32_t index, uint8_t scratch[8]) {
    ASSERT(table->set->sealed && index < table->removed_count);
    return departed_key(table, table->removed[index], scratch);
}

/* ---- end of the epoch ---- */

static void forget_epoch(struct table *t) {
    for (uint32_t n = 0; n < t->touched_count; n++) {
        bit_clear(t->dirty, t->touched[n].row);
        bit_clear(t->fresh, t->touched[n].row);
    }
    if (t->touched_count > t->touched_peak)
        t->touched_peak = t->touched_count;
    if (t->departed_count > t->departed_peak)
        t->departed_peak = t->departed_count;
    t->touched_count = t->departed_count = t->dirty_count = t->removed_count = 0;
}

static void forget_epochs(struct tables *set) {
    for (uint32_t i = 0; i < set->count; i++)
        forget_epoch(set->at[i]);
    set->touched = 0;
    set->sealed = false;
}

void tables_commit(struct tables *set) {
    ASSERT(set->sealed);
    forget_epochs(set);
}

static void rollback_table(struct table *t) {
    /* first all new rows go, then the departed come back: a key may be among both */
    for (uint32_t n = 0; n < t->touched_count; n++) {
        uint32_t row = t->touched[n].row;
        if (!bit_get(t->live, row) || !bit_get(t->fresh, row))
            continue;
        if (key_is_hashed(t))
            index_remove(t, row);
        clear_live(t, row);
    }
    for (uint32_t n = 0; n < t->departed_count; n++) {
        uint32_t row = t->departed[n].row;
        set_live(t, row);
        if (!key_is_hashed(t))
            continue;
        memcpy(t->keys + row * t->key_slot, t->departed_keys + n * t->key_slot, t->key_slot);
        index_insert(t, key_hash(slot_key(t, t->keys + row * t->key_slot)), row);
    }
    for (uint32_t n = 0; n < t->touched_count; n++) {
        const struct touched *touched = &t->touched[n];
        if (touched->was_live)
            memcpy(value_at(t, touched->row), t->old_values + n * t->stride, t->stride);
        if (t->set->sealed) {
            t->versions[touched->row] = touched->old_version;
            t->digests[touched->row] = touched->old_digest;
        }
    }
    if (t->set->sealed)
        t->digest = t->digest_before;
}

void tables_rollback(struct tables *set) {
    for (uint32_t i = 0; i < set->count; i++)
        rollback_table(set->at[i]);
    forget_epochs(set);
}
