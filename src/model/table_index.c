#include "base/words.h"
#include "model/table_private.h"

#include "base/poison.h"

struct bytes slot_key(const struct table *table, const unsigned char *slot) {
    if (table->root->spec.key_kind == KEY_U64)
        return bytes_of(slot, 8);
    uint32_t len;
    memcpy(&len, slot, sizeof len);
    return bytes_of(slot + sizeof len, len);
}

struct bytes row_key(const struct table *table, uint32_t row, uint8_t scratch[8]) {
    const struct table *root = table->root;
    if (root->spec.key_kind == KEY_DENSE) {
        put_be64(scratch, row);
        return bytes_of(scratch, 8);
    }
    return slot_key(root, root->keys + (size_t)row * root->key_slot);
}

bool key_fits(const struct table *table, struct bytes key) {
    if (key.data == NULL)
        return false;
    const struct table_spec *spec = &table->root->spec;
    return spec->key_kind == KEY_STRING ? key.len >= 1 && key.len <= spec->key_bytes_max
                                        : key.len == 8;
}

void key_store(struct table *table, uint32_t row, struct bytes key) {
    unsigned char *slot = table->keys + (size_t)row * table->key_slot;
    unsigned char tail[4] = {0};
    size_t whole = key.len / 4 * 4;
    if (table->spec.key_kind == KEY_STRING) {
        uint32_t len = (uint32_t)key.len;
        words_store(slot, &len, sizeof len);
        slot += sizeof len;
    }
    words_store(slot, key.data, whole);
    memcpy(tail, key.data + whole, key.len - whole);
    if (whole < key.len)
        words_store(slot + whole, tail, sizeof tail);
}

/* ---- hash index ---- The upper half of the hash is kept in the slot: it gives the slot's home,
 * and spares most comparisons with keys that lie elsewhere in memory. Taking out shifts the run's
 * later entries back, so there are no tombstones, and a table that churns for months looks up as
 * fast as a new one. */

uint64_t key_hash(struct bytes key) {
    return hash64(key.data, key.len, 0);
}

static uint64_t home(const struct table *table, uint64_t entry) {
    return entry >> 32 & (table->index_slots - 1);
}

uint32_t index_find(const struct table *table, uint64_t hash, struct bytes key) {
    uint64_t mask = table->index_slots - 1;
    for (uint64_t slot = home(table, hash);; slot = (slot + 1) & mask) {
        uint64_t entry = table->index[slot];
        if (entry == 0)
            return NO_ROW;
        if (entry >> 32 != hash >> 32)
            continue;
        uint32_t row = (uint32_t)entry - 1;
        struct bytes found = slot_key(table, table->keys + (size_t)row * table->key_slot);
        if (found.len == key.len && memcmp(found.data, key.data, key.len) == 0)
            return row;
    }
}

static void index_put(struct table *table, uint64_t entry) {
    uint64_t mask = table->index_slots - 1, slot = home(table, entry);
    while (table->index[slot] != 0)
        slot = (slot + 1) & mask;
    table->index[slot] = entry;
}

void index_insert(struct table *table, uint64_t hash, uint32_t row) {
    index_put(table, hash >> 32 << 32 | (row + 1));
}

static void index_rebuild(struct table *table, uint64_t slots) {
    memset(table->index, 0, table->index_slots * sizeof table->index[0]);
    table->index_slots = slots;
    for (uint32_t word = 0; word < words_for(table->end); word++)
        for (uint64_t left = table->live[word]; left != 0; left &= left - 1) {
            uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(left);
            struct bytes key = slot_key(table, table->keys + (size_t)row * table->key_slot);
            index_insert(table, key_hash(key), row);
        }
}

void index_grow(struct table *table) {
    if (((uint64_t)table->rows + 1) * 3 <= table->index_slots * 2)
        return;
    ASSERT(table->index_slots < table->index_slots_max);
    index_rebuild(table, table->index_slots * 2);
}

void index_remove(struct table *table, uint32_t row) {
    uint64_t mask = table->index_slots - 1;
    struct bytes key = slot_key(table, table->keys + (size_t)row * table->key_slot);
    uint64_t hole = home(table, key_hash(key));
    while ((uint32_t)table->index[hole] != row + 1) {
        ASSERT(table->index[hole] != 0);
        hole = (hole + 1) & mask;
    }
    for (uint64_t slot = (hole + 1) & mask; table->index[slot] != 0; slot = (slot + 1) & mask) {
        /* An entry may move to the hole when the hole is not before its home. */
        uint64_t entry = table->index[slot];
        if (((slot - home(table, entry)) & mask) >= ((slot - hole) & mask)) {
            table->index[hole] = entry;
            hole = slot;
        }
    }
    table->index[hole] = 0;
}

/* ---- live rows and free positions ---- */

uint32_t lowest_free(struct table *table) {
    ASSERT(table->rows < table->spec.rows_max);
    uint32_t word = table->free_hint;
    while (table->full[word] == UINT64_MAX)
        word++;
    table->free_hint = word;
    uint32_t live_word = word * 64 + (uint32_t)__builtin_ctzll(~table->full[word]);
    uint32_t row = live_word * 64 + (uint32_t)__builtin_ctzll(~table->live[live_word]);
    ASSERT(row < table->spec.rows_max);
    return row;
}

void set_live(struct table *table, uint32_t row) {
    ASSERT(!bit_get(table->live, row));
    bit_set(table->live, row);
    if (table->live[row / 64] == UINT64_MAX)
        bit_set(table->full, row / 64);
    table->rows++;
    if (row >= table->end)
        table->end = row + 1;
    if (table->end > table->end_peak)
        table->end_peak = table->end;
}

/* One past the highest live position at or below `row`. */
static uint32_t end_below(const struct table *table, uint32_t row) {
    for (uint32_t word = row / 64 + 1; word-- > 0;)
        if (table->live[word] != 0)
            return word * 64 + 64 - (uint32_t)__builtin_clzll(table->live[word]);
    return 0;
}

void clear_live(struct table *table, uint32_t row) {
    ASSERT(bit_get(table->live, row));
    bit_clear(table->live, row);
    bit_clear(table->full, row / 64);
    if (row / 64 / 64 < table->free_hint)
        table->free_hint = row / 64 / 64;
    table->rows--;
    if (row + 1 == table->end)
        table->end = end_below(table, row);
}
