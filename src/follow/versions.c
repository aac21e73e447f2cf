/* The writer's half: keeps what goes, and makes steps visible. */
#include "follow/versions_private.h"

#include "base/poison.h"

/* ---- memory ---- */

static uint32_t children_of(const struct tables *set, const struct table *parent) {
    uint32_t children = 0;
    for (uint32_t t = 0; t < tables_count(set); t++)
        children += table_spec(tables_at(set, t))->parent == parent;
    return children;
}

/* A parent's and its children's words together: a look-up needs several of them, and memory comes in lines of 64 bytes. */
static void place_words(struct versions *v, struct versioned *t) {
    const struct table *parent = table_spec(t->table)->parent;
    if (parent == NULL) {
        t->word_stride = 1 + children_of(v->set, t->table);
        t->words = arena_must(&v->arena, (size_t)t->rows_max * t->word_stride * sizeof *t->words);
        return;
    }
    const struct versioned *first = &v->tables[table_number(parent)];
    uint32_t place = 1;
    for (const struct versioned *other = v->tables; other < t; other++)
        place += table_spec(other->table)->parent == parent;
    t->word_stride = first->word_stride;
    t->words = first->words + place;
}

static enum status create_table(struct versions *v, const struct table *table,
                                struct versioned *out, struct error *err) {
    const struct table_spec *spec = table_spec(table);
    *out = (struct versioned){.table = table,
                              .values = table_values(table),
                              .stride = spec->value_bytes,
                              .rows_max = spec->rows_max};
    out->keys = table_keys(table, &out->key_slot);
    place_words(v, out);
    if (out->key_slot > 0)
        TRY(key_index_create(&out->index, "index of keys",
                             spec->rows_max + v->ring_units / (sizeof(struct kept) / UNIT_BYTES),
                             err));
    return OK;
}

static size_t bytes_needed(const struct tables *set) {
    size_t bytes = sizeof(struct versions) + STEPS_MAX * sizeof(struct step_facts) +
                   tables_count(set) * sizeof(struct versioned) + 4096;
    for (uint32_t t = 0; t < tables_count(set); t++)
        bytes += (size_t)table_spec(tables_at(set, t))->rows_max * sizeof(uint64_t) + 64;
    return bytes;
}

static void before(void *self, const struct table *table, uint32_t row);
static void after(void *self, const struct table *table, uint32_t row);

enum status versions_create(struct versions **out, struct tables *set, size_t undo_bytes,
                            struct error *err) {
    struct arena arena, ring;
    TRY(arena_reserve(&arena, "versions", bytes_needed(set), err));
    enum status status = arena_reserve(&ring, "undo", undo_bytes, err);
    if (status != OK) {
        arena_release(&arena);
        return status;
    }
    struct versions *v = arena_must(&arena, sizeof *v);
    *v = (struct versions){.arena = arena, .ring_arena = ring, .set = set, .step = 1, .oldest = 1};
    v->ring_units = undo_bytes / UNIT_BYTES;
    v->ring = arena_must(&v->ring_arena, undo_bytes);
    v->notes = arena_must(&v->arena, STEPS_MAX * sizeof(struct step_facts));
    v->table_count = tables_count(set);
    v->tables = arena_must(&v->arena, v->table_count * sizeof *v->tables);
    for (uint32_t t = 0; t < v->table_count && status == OK; t++)
        status = create_table(v, tables_at(set, t), &v->tables[t], err);
    if (status == OK) {
        tables_watch(set, &(struct table_watch){v, before, after});
        *out = v;
    } else {
        versions_destroy(v);
    }
    return status;
}

void versions_destroy(struct versions *v) {
    tables_watch(v->set, &(struct table_watch){0});
    for (uint32_t t = 0; t < v->table_count; t++)
        if (v->tables[t].key_slot > 0)
            key_index_destroy(&v->tables[t].index);
    arena_release(&v->ring_arena);
    struct arena arena = v->arena; /* it lies in it */
    arena_release(&arena);
}

uint64_t versions_memory(const struct versions *v) {
    uint64_t ring = v->head < v->ring_units ? v->head : v->ring_units, bytes = ring * UNIT_BYTES;
    for (uint32_t t = 0; t < v->table_count; t++) {
        bytes += v->tables[t].end * sizeof(uint64_t);
        if (v->tables[t].key_slot > 0)
            bytes += key_index_memory(&v->tables[t].index);
    }
    return bytes;
}

/* Eight bytes of key for a numbered row; a child's are its parent's, about. */
static uint64_t key_bytes_of(const struct versions *v, const struct table *table) {
    const struct table *parent = table_spec(table)->parent;
    const struct versioned *root = &v->tables[table_number(parent != NULL ? parent : table)];
    uint32_t rows = table_rows(root->table);
    if (root->key_slot == 0 || rows == 0)
        return (uint64_t)table_rows(table) * 8;
    return root->key_bytes * table_rows(table) / rows;
}

uint64_t versions_row_bytes(const struct versions *v) {
    uint64_t bytes = 0;
    for (uint32_t t = 0; t < v->table_count; t++) {
        const struct table *table = v->tables[t].table;
        if (table_spec(table)->output != TO_NOTHING)
            bytes += (uint64_t)table_rows(table) * table_spec(table)->value_bytes +
                     key_bytes_of(v, table);
    }
    return bytes;
}

/* ---- the ring ---- */

static void load_kept(const struct versions *v, uint64_t unit, struct kept *out) {
    words_load(out, unit_at(v, unit), sizeof *out);
}

/* The oldest that is kept goes, and with it all steps before the one that replaced it. */
static void drop_oldest(struct versions *v) {
    struct kept kept;
    load_kept(v, v->tail, &kept);
    if (kept.table != NO_ROW) {
        if (atomic_load_explicit(&v->oldest, memory_order_relaxed) < kept.step)
            atomic_store_explicit(&v->oldest, kept.step, memory_order_release);
        if (kept.leaving)
            key_index_remove(&v->tables[kept.table].index, (uint64_t)kept.hash << 32, kept.row);
    }
    v->tail += kept.units;
}

/* This step is more than the ring holds: whoever reads an older one is out of luck. */
static void give_up_keeping(struct versions *v) {
    while (v->tail < v->head)
        drop_oldest(v);
    atomic_store_explicit(&v->oldest, v->step, memory_order_release);
    v->keeps = false;
}

/* Room for so many units in one piece; false: there is none without this step's own. */
static bool make_room(struct versions *v, uint64_t units) {
    uint64_t left = v->ring_units - v->head % v->ring_units;
    bool wraps = left < units;
    uint64_t wanted = wraps ? left + units : units;
    if (wanted > v->ring_units)
        return false;
    while (v->head + wanted - v->tail > v->ring_units) {
        if (v->tail >= v->first_unit)
            return false;
        drop_oldest(v);
    }
    if (wraps) {
        struct kept padding = {.table = NO_ROW, .units = (uint32_t)left};
        words_store((void *)unit_at(v, v->head), &padding, sizeof padding);
        v->head += left;
    }
    return true;
}

static void keep(struct versions *v, const struct versioned *t, uint32_t row, uint64_t word) {
    uint64_t units = (sizeof(struct kept) + t->stride + t->key_slot + UNIT_BYTES - 1) / UNIT_BYTES;
    if (!make_room(v, units)) {
        give_up_keeping(v);
        return;
    }
    struct kept kept = {.word = word,
                        .table = table_number(t->table),
                        .row = row,
                        .units = (uint32_t)units,
                        .step = (uint32_t)v->step};
    unsigned char *to = (unsigned char *)unit_at(v, v->head);
    words_store(to, &kept, sizeof kept);
    if (word_lives(word)) {
        words_store(to + sizeof kept, t->values + row * t->stride, t->stride);
        if (t->key_slot > 0)
            words_store(to + sizeof kept + t->stride, t->keys + row * t->key_slot, t->key_slot);
    }
    atomic_store_explicit(word_at(t, row),
                          word_of(v->step, word_lives(word), (uint32_t)(v->head % v->ring_units)),
                          memory_order_release); /* after what it names */
    v->head += units;
}

/* ---- rows that change ---- */

static void before(void *self, const struct table *table, uint32_t row) {
    struct versions *v = self;
    struct versioned *t = &v->tables[table_number(table)];
    uint64_t word = atomic_load_explicit(word_at(t, row), memory_order_relaxed);
    if (word_step(word) == v->step)
        return;
    if (v->keeps)
        keep(v, t, row, word);
    if (!v->keeps)
        atomic_store_explicit(word_at(t, row), word_of(v->step, word_lives(word), 0),
                              memory_order_release); /* after `oldest`: it names nothing */
}

static uint64_t hash_of_slot(const struct versioned *t, uint32_t row) {
    uint8_t scratch[8];
    return versions_hash(table_key(t->table, row, scratch));
}

/* The index forgets a key that has left at once, unless it is one that older steps may ask for: then with what is kept of it. */
static void leave(struct versions *v, struct versioned *t, uint32_t row, uint64_t word) {
    uint64_t hash = hash_of_slot(t, row);
    if (v->keeps) {
        unsigned char *at = (unsigned char *)unit_at(v, (uint32_t)word);
        struct kept kept;
        words_load(&kept, at, sizeof kept);
        if (word_lives(kept.word) && !kept.leaving) {
            kept.leaving = 1;
            kept.hash = (uint32_t)(hash >> 32);
            words_store(at, &kept, sizeof kept);
            return;
        }
    }
    key_index_remove(&t->index, hash, row);
}

static void after(void *self, const struct table *table, uint32_t row) {
    struct versions *v = self;
    struct versioned *t = &v->tables[table_number(table)];
    uint64_t word = atomic_load_explicit(word_at(t, row), memory_order_relaxed);
    bool lived = word_lives(word), lives = table_live(table, row);
    if (lived == lives)
        return;
    if (t->key_slot > 0) {
        uint8_t scratch[8];
        uint64_t key_bytes = table_key(table, row, scratch).len;
        t->key_bytes = lives ? t->key_bytes + key_bytes : t->key_bytes - key_bytes;
        if (lives)
            key_index_add(&t->index, hash_of_slot(t, row), row);
        else
            leave(v, t, row, word);
    }
    atomic_store_explicit(word_at(t, row), word_of(v->step, lives, (uint32_t)word),
                          memory_order_release);
    if (row >= t->end)
        atomic_store_explicit(&t->end, row + 1, memory_order_release);
}

/* ---- steps ---- */

void versions_publish(struct versions *v, struct step_facts *facts) {
    facts->step = v->step;
    facts->whole = v->keeps;
    facts->first_unit = v->first_unit;
    facts->end_unit = v->head;
    if (v->step >= STEPS_MAX && v->oldest <= v->step - STEPS_MAX)
        atomic_store_explicit(&v->oldest, v->step - STEPS_MAX + 1, memory_order_release);
    words_store(v->notes + v->step % STEPS_MAX * (sizeof *facts / 4), facts, sizeof *facts);
    atomic_store_explicit(&v->newest, v->step, memory_order_release);
    v->step++;
    v->first_unit = v->head;
    v->keeps = true;
}
