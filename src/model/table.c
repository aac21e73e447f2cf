#include "model/snapshot_private.h"
#include "model/table_private.h"

#include "base/poison.h"

#define INDEX_SLOTS_FIRST 64u

/* ---- the set ---- */

enum status tables_create(struct tables **out, struct error *err) {
    struct arena arena;
    size_t bytes = sizeof(struct tables) + TABLES_MAX * (sizeof(struct table) + 64) +
                   SNAPSHOT_BUFFER_BYTES + 4096;
    TRY(arena_reserve(&arena, "the set of tables", bytes, err));
    struct tables *set = arena_must(&arena, sizeof *set);
    set->buffer = arena_must(&arena, SNAPSHOT_BUFFER_BYTES);
    set->arena = arena;
    *out = set;
    return OK;
}

static void table_release(struct table *table) {
    for (int i = 0; i < TABLE_ARENAS; i++)
        arena_release(&table->arenas[i]);
}

void tables_destroy(struct tables *set) {
    if (set == NULL)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        table_release(set->at[i]);
    struct arena arena = set->arena; /* the set lies in it */
    arena_release(&arena);
}

static enum status check_spec(const struct tables *set, const struct table_spec *spec,
                              struct error *err) {
    size_t length = strlen(spec->name);
    ASSERT(length > 0 && length < TABLE_NAME_BYTES);
    ASSERT(spec->value_bytes > 0 && spec->value_bytes % 4 == 0 && spec->rows_max > 0);
    ASSERT((spec->key_kind == KEY_CHILD) == (spec->parent != NULL));
    ASSERT(spec->key_kind != KEY_STRING || spec->key_bytes_max > 0);
    if (spec->parent != NULL) {
        ASSERT(spec->parent->set == set);
        ASSERT(spec->parent->spec.key_kind != KEY_CHILD); /* one level: the parent has the keys */
    }
    if (tables_named(set, bytes_text(spec->name)) != NULL)
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: there are two tables of this name",
                    spec->name);
    if (set->count == TABLES_MAX)
        return FAIL(err, FATAL, EX_SOFTWARE, "table %s: a stage has at most %d tables", spec->name,
                    TABLES_MAX);
    if (spec->value_bytes > VALUE_BYTES_LIMIT)
        return FAIL(err, FATAL, EX_CONFIG,
                    "table %s: a row of %u bytes is larger than the limit of %u", spec->name,
                    spec->value_bytes, VALUE_BYTES_LIMIT);
    if (spec->key_kind == KEY_STRING && spec->key_bytes_max > KEY_BYTES_LIMIT)
        return FAIL(err, FATAL, EX_CONFIG,
                    "table %s: keys of %u bytes are longer than the limit of %u", spec->name,
                    spec->key_bytes_max, KEY_BYTES_LIMIT);
    if (spec->rows_max > NO_ROW - 64)
        return FAIL(err, FATAL, EX_CONFIG, "table %s: %u rows are more than positions can number",
                    spec->name, spec->rows_max);
    return OK;
}

static size_t key_slot_bytes(const struct table_spec *root) {
    switch (root->key_kind) {
    case KEY_STRING:
        return (sizeof(uint32_t) + root->key_bytes_max + 3) / 4 * 4;
    case KEY_U64:
        return 8;
    default:
        return 0;
    }
}

/* Address space for every array at rows_max; the index's largest size keeps it at most 2/3 full. */
static enum status reserve_arrays(struct table *t, struct error *err) {
    const char *name = t->name;
    size_t rows = t->spec.rows_max, words = words_for(t->spec.rows_max);
    size_t full_words = words_for((uint32_t)words), slack = 8 * 64;
    bool hashed = key_is_hashed(t);
    t->index_slots_max = INDEX_SLOTS_FIRST;
    while (t->index_slots_max * 2 < rows * 3)
        t->index_slots_max *= 2;
    const size_t bytes[TABLE_ARENAS] = {
        [ARENA_VALUES] = rows * t->stride,
        [ARENA_VERSIONS] = rows * sizeof t->versions[0],
        [ARENA_DIGESTS] = rows * sizeof t->digests[0],
        [ARENA_KEYS] = hashed ? rows * t->key_slot : 0,
        [ARENA_INDEX] = hashed ? t->index_slots_max * sizeof t->index[0] : 0,
        [ARENA_FLAGS] = (3 * words + full_words) * sizeof(uint64_t) + slack,
        [ARENA_TOUCHED] = rows * sizeof t->touched[0],
        [ARENA_OLD_VALUES] = rows * t->stride,
        [ARENA_DEPARTED] = rows * (sizeof t->departed[0] + t->key_slot) + slack,
        [ARENA_LISTS] = rows * 2 * sizeof(uint32_t) + slack};
    for (int i = 0; i < TABLE_ARENAS; i++)
        TRY(arena_reserve(&t->arenas[i], name, bytes[i], err));
    struct arena *a = t->arenas;
    t->values = arena_must(&a[ARENA_VALUES], bytes[ARENA_VALUES]);
    t->versions = arena_must(&a[ARENA_VERSIONS], bytes[ARENA_VERSIONS]);
    t->digests = arena_must(&a[ARENA_DIGESTS], bytes[ARENA_DIGESTS]);
    t->keys = arena_must(&a[ARENA_KEYS], bytes[ARENA_KEYS]);
    t->index = arena_must(&a[ARENA_INDEX], bytes[ARENA_INDEX]);
    t->index_slots = hashed ? INDEX_SLOTS_FIRST : 0;
    t->live = arena_must(&a[ARENA_FLAGS], words * sizeof t->live[0]);
    t->dirty = arena_must(&a[ARENA_FLAGS], words * sizeof t->dirty[0]);
    t->fresh = arena_must(&a[ARENA_FLAGS], words * sizeof t->fresh[0]);
    t->full = arena_must(&a[ARENA_FLAGS], full_words * sizeof t->full[0]);
    t->touched = arena_must(&a[ARENA_TOUCHED], bytes[ARENA_TOUCHED]);
    t->old_values = arena_must(&a[ARENA_OLD_VALUES], bytes[ARENA_OLD_VALUES]);
    t->departed = arena_must(&a[ARENA_DEPARTED], rows * sizeof t->departed[0]);
    t->departed_keys = arena_must(&a[ARENA_DEPARTED], rows * t->key_slot);
    t->dirty_rows = arena_must(&a[ARENA_LISTS], rows * sizeof t->dirty_rows[0]);
    t->removed = arena_must(&a[ARENA_LISTS], rows * sizeof t->removed[0]);
    return OK;
}

enum status tables_add(struct tables *set, const struct table_spec *spec, struct table **out,
                       struct error *err) {
    ASSERT(set->touched == 0 && !set->sealed);
    TRY(check_spec(set, spec, err));
    struct table *t = arena_must(&set->arena, sizeof *t);
    *t = (struct table){
        .spec = *spec, .number = set->count, .set = set, .stride = spec->value_bytes};
    memcpy(t->name, spec->name, strlen(spec->name));
    t->spec.name = t->name;
    t->root = spec->parent != NULL ? spec->parent : t;
    t->key_slot = key_slot_bytes(&t->root->spec);
    enum status status = reserve_arrays(t, err);
    if (status != OK) {
        table_release(t);
        return status;
    }
    if (spec->parent != NULL) {
        t->next_child = spec->parent->first_child;
        spec->parent->first_child = t;
    }
    set->at[set->count++] = t;
    *out = t;
    return OK;
}

uint32_t tables_count(const struct tables *set) {
    return set->count;
}

struct table *tables_at(const struct tables *set, uint32_t index) {
    ASSERT(index < set->count);
    return set->at[index];
}

struct table *tables_named(const struct tables *set, struct bytes name) {
    for (uint32_t i = 0; i < set->count; i++)
        if (bytes_equal(bytes_text(set->at[i]->name), name))
            return set->at[i];
    return NULL;
}

void tables_watch(struct tables *set, const struct table_watch *watch) {
    set->watch = *watch;
}

/* ---- access ---- */

const struct table_spec *table_spec(const struct table *table) {
    return &table->spec;
}
uint32_t table_number(const struct table *table) {
    return table->number;
}
uint32_t table_rows(const struct table *table) {
    return table->rows;
}
uint32_t table_end(const struct table *table) {
    return table->end;
}

uint32_t table_find(const struct table *table, struct bytes key) {
    ASSERT(table->spec.key_kind != KEY_CHILD);
    if (!key_fits(table, key))
        return NO_ROW;
    if (table->spec.key_kind == KEY_DENSE)
        return table_find_u64(table, get_be64(key.data));
    return index_find(table, key_hash(key), key);
}

uint32_t table_find_u64(const struct table *table, uint64_t key) {
    if (table->spec.key_kind == KEY_DENSE)
        return key < table->spec.rows_max && bit_get(table->live, (uint32_t)key) ? (uint32_t)key
                                                                                 : NO_ROW;
    ASSERT(table->spec.key_kind == KEY_U64);
    uint8_t bytes[8];
    put_be64(bytes, key);
    return index_find(table, key_hash(bytes_of(bytes, 8)), bytes_of(bytes, 8));
}

bool table_live(const struct table *table, uint32_t row) {
    return row < table->spec.rows_max && bit_get(table->live, row);
}

struct bytes table_key(const struct table *table, uint32_t row, uint8_t scratch[8]) {
    ASSERT(row < table->spec.rows_max);
    return row_key(table, row, scratch);
}

uint64_t table_key_u64(const struct table *table, uint32_t row) {
    ASSERT(table->root->spec.key_kind == KEY_U64 || table->root->spec.key_kind == KEY_DENSE);
    uint8_t scratch[8];
    return get_be64(table_key(table, row, scratch).data);
}

uint64_t table_version(const struct table *table, uint32_t row) {
    ASSERT(table_live(table, row));
    return bit_get(table->fresh, row) && !table->set->sealed ? 0 : table->versions[row];
}

const void *table_value(const struct table *table, uint32_t row) {
    ASSERT(table_live(table, row));
    return value_at(table, row);
}

void *table_values(const struct table *table) {
    return table->values;
}

const void *table_keys(const struct table *table, size_t *slot_bytes) {
    *slot_bytes = key_is_hashed(table) ? table->key_slot : 0;
    return key_is_hashed(table) ? table->keys : NULL;
}

bool table_childless(const struct table *table, uint32_t row) {
    for (const struct table *child = table->first_child; child != NULL; child = child->next_child)
        if (table_live(child, row))
            return false;
    return true;
}

struct digest table_digest(const struct table *table) {
    return table->digest;
}

struct digest tables_digest(const struct tables *set) {
    /* chained: the digest so far, the table's, its name */
    struct digest sum = {0, 0};
    for (uint32_t i = 0; i < set->count; i++) {
        unsigned char pair[2 * sizeof sum + TABLE_NAME_BYTES];
        memcpy(pair, &sum, sizeof sum);
        memcpy(pair + sizeof sum, &set->at[i]->digest, sizeof sum);
        memcpy(pair + 2 * sizeof sum, set->at[i]->name, TABLE_NAME_BYTES);
        sum = digest_of(pair, sizeof pair, 0);
    }
    return sum;
}

uint64_t table_memory(const struct table *t) {
    bool keys_alone = t->spec.output == TO_NOTHING;
    size_t row = keys_alone ? 0 : t->stride + sizeof t->versions[0] + sizeof t->digests[0];
    if (key_is_hashed(t))
        row += t->key_slot;
    size_t touched = t->stride + sizeof t->touched[0] + sizeof t->dirty_rows[0];
    size_t departed = t->key_slot + sizeof t->departed[0];
    return t->end_peak * (uint64_t)row + words_for(t->end_peak) * (3 * sizeof(uint64_t)) +
           t->index_slots * sizeof t->index[0] + t->touched_peak * (uint64_t)touched +
           t->departed_peak * (uint64_t)departed;
}
