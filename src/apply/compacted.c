#include "apply/compacted.h"

/* Of the row that stands at a position. */
struct mark {
    uint64_t epoch;
    uint64_t key; /* of a child: its key's hash */
};

/* What is known of one table's rows. `slots` finds a child by its key's hash: its position + 1, open addressing. */
struct marks {
    struct mark *at; /* [rows_max] */
    uint32_t *slots; /* [slot_mask + 1]; NULL for tables that are nobody's child */
    uint32_t slot_mask;
};

struct compacted {
    struct tables *set;
    struct arena arena;  /* itself, and what points into: */
    struct arena pages;  /* what is known of rows, between begin and end */
    struct marks *marks; /* [tables] */
};

static bool is_child(const struct table *table) {
    return table_spec(table)->key_kind == KEY_CHILD;
}

static uint64_t hash_of(struct bytes key) {
    return hash64(key.data, key.len, 0);
}

/* ---- memory ---- */

/* A power of two, at most half full. */
static uint32_t slots_for(uint32_t rows) {
    uint32_t slots = 16;
    while (slots < rows * UINT64_C(2))
        slots *= 2;
    return slots;
}

static size_t bytes_needed(const struct tables *set) {
    size_t bytes = 4096;
    for (uint32_t t = 0; t < tables_count(set); t++) {
        const struct table *table = tables_at(set, t);
        uint32_t rows = table_spec(table)->rows_max;
        bytes += (size_t)rows * sizeof(struct mark) + 128;
        if (is_child(table))
            bytes += (size_t)slots_for(rows) * sizeof(uint32_t);
    }
    return bytes;
}

enum status compacted_create(struct compacted **out, struct tables *set, struct error *err) {
    struct arena arena, pages;
    uint32_t tables = tables_count(set);
    TRY(arena_reserve(&arena, "compacted log",
                      sizeof(struct compacted) + tables * sizeof(struct marks) + 256, err));
    enum status status = arena_reserve(&pages, "compacted log's rows", bytes_needed(set), err);
    if (status != OK) {
        arena_release(&arena);
        return status;
    }
    struct compacted *c = arena_must(&arena, sizeof *c);
    c->marks = arena_must(&arena, tables * sizeof *c->marks);
    for (uint32_t t = 0; t < tables; t++) {
        const struct table *table = tables_at(set, t);
        uint32_t rows = table_spec(table)->rows_max, slots = slots_for(rows);
        c->marks[t].at = arena_must(&pages, rows * sizeof(struct mark));
        c->marks[t].slot_mask = slots - 1;
        c->marks[t].slots = is_child(table) ? arena_must(&pages, slots * sizeof(uint32_t)) : NULL;
    }
    c->set = set;
    c->arena = arena;
    c->pages = pages;
    *out = c;
    compacted_begin(c);
    return OK;
}

void compacted_destroy(struct compacted *compacted) {
    arena_release(&compacted->pages);
    struct arena arena = compacted->arena; /* it lies in it */
    arena_release(&arena);
}

static struct marks *marks_of(const struct compacted *c, const struct table *table) {
    return &c->marks[table_number(table)];
}

/* ---- children by key ---- */

/* Where the key is, or where it would be put. */
static uint32_t slot_of(const struct marks *marks, uint64_t key) {
    uint32_t slot = (uint32_t)key & marks->slot_mask;
    while (marks->slots[slot] != 0 && marks->at[marks->slots[slot] - 1].key != key)
        slot = (slot + 1) & marks->slot_mask;
    return slot;
}

static void forget(struct marks *marks, uint64_t key) {
    uint32_t mask = marks->slot_mask, hole = slot_of(marks, key);
    marks->slots[hole] = 0;
    for (uint32_t slot = (hole + 1) & mask; marks->slots[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t home = (uint32_t)marks->at[marks->slots[slot] - 1].key & mask;
        if (((slot - home) & mask) < ((slot - hole) & mask))
            continue;
        marks->slots[hole] = marks->slots[slot];
        marks->slots[slot] = 0;
        hole = slot;
    }
}

static void remember(struct marks *marks, uint64_t key, uint32_t position, uint64_t epoch) {
    marks->at[position] = (struct mark){.epoch = epoch, .key = key};
    marks->slots[slot_of(marks, key)] = position + 1;
}

/* ---- folding ---- */

static void begin_children(struct marks *marks, const struct table *table) {
    const struct table *parent = table_spec(table)->parent;
    uint8_t scratch[8];
    memset(marks->slots, 0, ((size_t)marks->slot_mask + 1) * sizeof *marks->slots);
    for (uint32_t row = 0; row < table_end(table); row++)
        if (table_live(table, row))
            remember(marks, hash_of(table_key(parent, row, scratch)), row, 0);
}

void compacted_begin(struct compacted *c) {
    for (uint32_t t = 0; t < tables_count(c->set); t++) {
        const struct table *table = tables_at(c->set, t);
        for (uint32_t row = 0; row < table_end(table); row++)
            c->marks[t].at[row].epoch = 0;
        if (is_child(table))
            begin_children(&c->marks[t], table);
    }
}

/* Whether another key's later record has taken the position already. The row has left its old place, if it had one, for this
 * one, which it has lost since. */
static bool overtaken(const struct marks *marks, const struct folded_row *row, bool same_key,
                      uint64_t epoch) {
    return row->position < table_spec(row->table)->rows_max &&
           table_live(row->table, row->position) && !same_key &&
           marks->at[row->position].epoch > epoch;
}

static enum status fold_parent(struct marks *marks, const struct folded_row *row, uint64_t epoch,
                               struct error *err) {
    uint32_t old = table_find(row->table, row->key);
    if (row->value.data == NULL || overtaken(marks, row, old == row->position, epoch)) {
        if (old != NO_ROW)
            table_take(row->table, old);
        return OK;
    }
    TRY(table_place(row->table, row->key, row->position, row->version, row->value, err));
    marks->at[row->position].epoch = epoch;
    return OK;
}

/* The parent's row from its child's, unless a later record has placed this key, or another one here. (Of one epoch there cannot be two.) */
static enum status imply_parent(struct compacted *c, const struct folded_row *row, uint64_t epoch,
                                struct error *err) {
    struct table *parent = table_spec(row->table)->parent;
    struct marks *marks = marks_of(c, parent);
    static const uint32_t nothing[1];
    uint32_t at = table_find(parent, row->key);
    bool later = at != NO_ROW && marks->at[at].epoch > epoch;
    if (table_live(parent, row->position))
        later = later || marks->at[row->position].epoch > epoch;
    if (later)
        return OK;
    if (at != row->position)
        TRY(table_place(parent, row->key, row->position, 1, bytes_of(nothing, sizeof nothing),
                        err));
    marks->at[row->position].epoch = epoch;
    return OK;
}

static enum status fold_child(struct compacted *c, struct marks *marks,
                              const struct folded_row *row, uint64_t epoch, struct error *err) {
    uint64_t key = hash_of(row->key);
    uint32_t old = marks->slots[slot_of(marks, key)]; /* position + 1 */
    bool gone = row->value.data == NULL || overtaken(marks, row, old == row->position + 1, epoch);
    if (old != 0 && (gone || old != row->position + 1)) {
        forget(marks, key);
        table_take(row->table, old - 1);
    }
    if (gone)
        return OK;
    if (fold_implied(row->table))
        TRY(imply_parent(c, row, epoch, err));
    bool other = old != row->position + 1 && row->position < table_spec(row->table)->rows_max &&
                 table_live(row->table, row->position);
    if (other)
        forget(marks, marks->at[row->position].key);
    TRY(table_place(row->table, row->key, row->position, row->version, row->value, err));
    remember(marks, key, row->position, epoch);
    return OK;
}

enum status compacted_fold(struct compacted *compacted, const struct folded_row *row,
                           uint64_t epoch, struct error *err) {
    struct marks *marks = marks_of(compacted, row->table);
    return is_child(row->table) ? fold_child(compacted, marks, row, epoch, err)
                                : fold_parent(marks, row, epoch, err);
}

/* ---- the end ---- */

static bool parent_stands(const struct marks *marks, const struct table *table, uint32_t row) {
    const struct table *parent = table_spec(table)->parent;
    uint8_t scratch[8];
    return table_live(parent, row) &&
           hash_of(table_key(parent, row, scratch)) == marks->at[row].key;
}

const char *compacted_differs(struct compacted *compacted, wanted_digest *wanted, void *self) {
    for (uint32_t t = 0; t < tables_count(compacted->set); t++) {
        struct table *table = tables_at(compacted->set, t);
        for (uint32_t row = 0; is_child(table) && row < table_end(table); row++)
            if (table_live(table, row) && parent_stands(&compacted->marks[t], table, row))
                table_settle(table, row);
            else if (table_live(table, row))
                table_unsettle(table, row);
    }
    return fold_differs(compacted->set, wanted, self);
}

void compacted_end(struct compacted *compacted) {
    for (uint32_t t = 0; t < tables_count(compacted->set); t++) {
        struct table *table = tables_at(compacted->set, t);
        struct marks *marks = &compacted->marks[t];
        for (uint32_t row = table_end(table); is_child(table) && row-- > 0;) {
            if (!table_live(table, row))
                continue;
            if (parent_stands(marks, table, row)) {
                table_settle(table, row);
            } else {
                forget(marks, marks->at[row].key);
                table_take(table, row);
            }
        }
    }
    for (uint32_t t = 0; t < tables_count(compacted->set); t++) {
        struct table *table = tables_at(compacted->set, t);
        for (uint32_t row = table_end(table); table_spec(table)->output == TO_NOTHING && row-- > 0;)
            if (table_live(table, row) && table_childless(table, row))
                table_take(table, row);
    }
    arena_give_back(&compacted->pages); /* a follower that keeps up does not come back for long */
}
