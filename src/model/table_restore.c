#include "base/words.h"
#include "model/table_private.h"

#include "base/poison.h"

/* XXH3-128 over: digest of the value (16 bytes), version (8), position (4), key length (4), key.
 * The lengths stand before what they measure and the value's is fixed, so two different rows never
 * give the same bytes. */
struct digest row_digest(const struct table *table, uint32_t row) {
    unsigned char text[32 + KEY_BYTES_LIMIT];
    uint8_t scratch[8];
    struct bytes key = row_key(table, row, scratch);
    struct digest value = digest_of(value_at(table, row), table->stride, 0);
    uint32_t key_len = (uint32_t)key.len;
    memcpy(text, &value, 16);
    memcpy(text + 16, &table->versions[row], 8);
    memcpy(text + 24, &row, 4);
    memcpy(text + 28, &key_len, 4);
    memcpy(text + 32, key.data, key.len);
    return digest_of(text, 32 + key.len, 0);
}

/* ---- restore ---- */

static void tell_before(const struct table *t, uint32_t row) {
    if (t->set->watch.before != NULL)
        t->set->watch.before(t->set->watch.self, t, row);
}

static void tell_after(const struct table *t, uint32_t row) {
    if (t->set->watch.after != NULL)
        t->set->watch.after(t->set->watch.self, t, row);
}

/* Takes out a row and its children, outside of any epoch. */
static void take_out(struct table *t, uint32_t row) {
    for (struct table *child = t->first_child; child != NULL; child = child->next_child)
        if (table_live(child, row))
            take_out(child, row);
    table_take(t, row);
}

/* The end of what tell_before() began. */
static void fill(struct table *t, uint32_t row, uint64_t version, struct bytes value) {
    if (t->spec.output !=
        TO_NOTHING) { /* else there is nothing but the key: no memory for the rest */
        words_store(value_at(t, row), value.data, t->stride);
        t->versions[row] = version;
        t->digests[row] = row_digest(t, row);
        t->digest = digest_add(t->digest, t->digests[row]);
    }
    tell_after(t, row);
}

static enum status check_row(const struct table *t, uint32_t position, uint64_t version,
                             struct bytes value, struct error *err) {
    if (value.len != t->stride)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a row of %zu bytes, but its rows have %zu; was it written with "
                    "other sizes in the configuration?",
                    t->name, value.len, t->stride);
    if (position >= t->spec.rows_max)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a row at position %u, but the limit is %u rows; was it written "
                    "with a higher limit in the configuration?",
                    t->name, position, t->spec.rows_max);
    if (version == 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "table %s: the row at position %u has version 0",
                    t->name, position);
    return OK;
}

static enum status key_misfit(const struct table *t, struct bytes key, struct error *err) {
    return FAIL(err, BAD_RECORD, EX_DATAERR, "table %s: a key of %zu bytes does not fit", t->name,
                key.len);
}

enum status table_restore_child(struct table *table, uint32_t position, uint64_t version,
                                struct bytes value, struct error *err) {
    TRY(check_row(table, position, version, value, err));
    if (!table_live(table->root, position))
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a row at position %u, where its parent table %s has none",
                    table->name, position, table->root->name);
    tell_before(table, position);
    if (bit_get(table->live, position))
        table->digest = digest_sub(table->digest, table->digests[position]);
    else
        set_live(table, position);
    fill(table, position, version, value);
    return OK;
}

static enum status restore_child(struct table *t, struct bytes key, uint32_t position,
                                 uint64_t version, struct bytes value, struct error *err) {
    uint8_t scratch[8];
    bool stands = table_live(t->root, position) && bytes_equal(row_key(t, position, scratch), key);
    uint32_t row = stands ? position : table_find(t->root, key);
    if (value.data == NULL) {
        if (row != NO_ROW && bit_get(t->live, row))
            take_out(t, row);
        return OK;
    }
    if (row != position)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a row at position %u, but its parent table %s has this key %s",
                    t->name, position, t->root->name, row == NO_ROW ? "not at all" : "elsewhere");
    return table_restore_child(t, position, version, value, err);
}

static enum status restore_dense(struct table *t, struct bytes key, uint32_t position,
                                 uint64_t version, struct bytes value, struct error *err) {
    uint32_t row = table_find(t, key);
    if (value.data == NULL) {
        if (row != NO_ROW)
            take_out(t, row);
        return OK;
    }
    TRY(check_row(t, position, version, value, err));
    if (get_be64(key.data) != position)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "table %s: the row of key %llu at position %u",
                    t->name, (unsigned long long)get_be64(key.data), position);
    tell_before(t, position);
    if (row == NO_ROW)
        set_live(t, position);
    else
        t->digest = digest_sub(t->digest, t->digests[row]);
    fill(t, position, version, value);
    return OK;
}

enum status table_restore(struct table *table, struct bytes key, uint32_t position,
                          uint64_t version, struct bytes value, struct error *err) {
    ASSERT(table->set->touched == 0 && !table->set->sealed);
    if (!key_fits(table, key))
        return key_misfit(table, key, err);
    if (table->spec.key_kind == KEY_CHILD)
        return restore_child(table, key, position, version, value, err);
    if (table->spec.key_kind == KEY_DENSE)
        return restore_dense(table, key, position, version, value, err);
    uint64_t hash = key_hash(key);
    uint32_t row = index_find(table, hash, key);
    if (value.data == NULL) {
        if (row != NO_ROW)
            take_out(table, row);
        return OK;
    }
    TRY(check_row(table, position, version, value, err));
    if (row == position) {
        tell_before(table, position);
        table->digest = digest_sub(table->digest, table->digests[row]);
    } else {
        if (row != NO_ROW)
            take_out(table, row);
        if (bit_get(table->live, position))
            take_out(table, position);
        tell_before(table, position);
        index_grow(table);
        set_live(table, position);
        key_store(table, position, key);
        index_insert(table, hash, position);
    }
    fill(table, position, version, value);
    return OK;
}

/* ---- rows and children each by themselves ---- */

void table_take(struct table *table, uint32_t row) {
    tell_before(table, row);
    table->digest = digest_sub(table->digest, table->digests[row]);
    if (key_is_hashed(table))
        index_remove(table, row);
    clear_live(table, row);
    tell_after(table, row);
}

void table_unsettle(struct table *child, uint32_t row) {
    child->digest = digest_sub(child->digest, child->digests[row]);
    child->digests[row] = (struct digest){0, 0};
}

void table_settle(struct table *child, uint32_t row) {
    if (!digest_equal(child->digests[row], (struct digest){0, 0}))
        return;
    child->digests[row] = row_digest(child, row);
    child->digest = digest_add(child->digest, child->digests[row]);
}

static void place_child(struct table *t, uint32_t position, uint64_t version, struct bytes value) {
    tell_before(t, position);
    if (bit_get(t->live, position))
        table_unsettle(t, position);
    else
        set_live(t, position);
    words_store(value_at(t, position), value.data, t->stride);
    t->versions[position] = version;
    t->digests[position] = (struct digest){0, 0};
    tell_after(t, position);
}

static void place_hashed(struct table *t, struct bytes key, uint32_t position, uint64_t version,
                         struct bytes value) {
    uint64_t hash = key_hash(key);
    uint32_t row = index_find(t, hash, key);
    if (row == position) {
        tell_before(t, position);
        t->digest = digest_sub(t->digest, t->digests[row]);
    } else {
        if (row != NO_ROW)
            table_take(t, row);
        if (bit_get(t->live, position))
            table_take(t, position);
        tell_before(t, position);
        index_grow(t);
        set_live(t, position);
        key_store(t, position, key);
        index_insert(t, hash, position);
    }
    fill(t, position, version, value);
}

enum status table_place(struct table *table, struct bytes key, uint32_t position, uint64_t version,
                        struct bytes value, struct error *err) {
    ASSERT(table->set->touched == 0 && !table->set->sealed);
    if (!key_fits(table, key))
        return key_misfit(table, key, err);
    if (table->spec.key_kind == KEY_DENSE)
        return restore_dense(table, key, position, version, value, err);
    TRY(check_row(table, position, version, value, err));
    if (table->spec.key_kind == KEY_CHILD)
        place_child(table, position, version, value);
    else
        place_hashed(table, key, position, version, value);
    return OK;
}

void tables_clear(struct tables *set) {
    ASSERT(set->touched == 0 && !set->sealed);
    for (uint32_t i = set->count; i-- > 0;) { /* children come after their parents */
        struct table *t = set->at[i];
        while (t->end > 0)
            take_out(t, t->end - 1);
    }
}

/* ---- validation ---- */

static enum status validate_positions(const struct table *t, struct error *err) {
    uint32_t words = words_for(t->spec.rows_max), rows = 0, end = 0;
    for (uint32_t word = 0; word < words; word++) {
        rows += (uint32_t)__builtin_popcountll(t->live[word]);
        if (t->live[word] != 0)
            end = word * 64 + 64 - (uint32_t)__builtin_clzll(t->live[word]);
        if (bit_get(t->full, word) != (t->live[word] == UINT64_MAX))
            return FAIL(err, FATAL, EX_SOFTWARE,
                        "table %s: word %u of the positions is wrongly marked", t->name, word);
        if (t->set->touched == 0 && (t->dirty[word] | t->fresh[word]) != 0)
            return FAIL(err, FATAL, EX_SOFTWARE, "table %s: dirty rows near %u outside of an epoch",
                        t->name, word * 64);
    }
    if (rows != t->rows || end != t->end || end > t->spec.rows_max)
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: %u rows up to %u, counted %u up to %u",
                    t->name, t->rows, t->end, rows, end);
    for (uint32_t word = 0; word < t->free_hint; word++)
        if (t->full[word] != UINT64_MAX)
            return FAIL(err, FATAL, EX_SOFTWARE, "table %s: a free position below the hint %u",
                        t->name, t->free_hint);
    return OK;
}

static enum status validate_index(const struct table *t, struct error *err) {
    uint64_t entries = 0;
    for (uint64_t slot = 0; slot < t->index_slots; slot++)
        entries += t->index[slot] != 0;
    if (entries != (key_is_hashed(t) ? t->rows : 0))
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: the index has %llu entries for %u rows",
                    t->name, (unsigned long long)entries, t->rows);
    return OK;
}

static enum status validate_row(const struct table *t, uint32_t row, bool with_digest,
                                struct error *err) {
    uint8_t scratch[8];
    struct bytes key = row_key(t, row, scratch);
    if (!key_fits(t, key) || table_find(t->root, key) != row)
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: row %u is not found by its key", t->name,
                    row);
    if (!with_digest || t->spec.output == TO_NOTHING)
        return OK;
    if (t->versions[row] == 0)
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: row %u has no version", t->name, row);
    if (!digest_equal(t->digests[row], row_digest(t, row)))
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: row %u does not have its digest", t->name,
                    row);
    return OK;
}

enum status table_validate(const struct table *table, struct error *err) {
    TRY(validate_positions(table, err));
    TRY(validate_index(table, err));
    /* in an open epoch digests are as of the last seal */
    bool with_digest = table->set->touched == 0 || table->set->sealed;
    struct digest sum = {0, 0};
    for (uint32_t row = 0; row < table->end; row++) {
        if (!bit_get(table->live, row))
            continue;
        TRY(validate_row(table, row, with_digest, err));
        sum = digest_add(sum, table->digests[row]);
    }
    if (with_digest && !digest_equal(sum, table->digest))
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: its digest is not the sum of its rows'",
                    table->name);
    return OK;
}
