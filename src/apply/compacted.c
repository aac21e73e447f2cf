#include "apply/compacted.h"

struct compacted {
    struct tables *set;
    uint64_t **
        epochs; /* [tables] -> [rows_max]: epoch of the row that stands at a position; NULL for children */
};

enum status compacted_create(struct compacted **out, struct tables *set, struct arena *arena,
                             struct error *err) {
    uint32_t tables = tables_count(set);
    struct compacted *c = arena_alloc(arena, sizeof *c);
    if (c != NULL)
        c->epochs = arena_alloc(arena, tables * sizeof *c->epochs);
    for (uint32_t t = 0; c != NULL && c->epochs != NULL && t < tables; t++) {
        const struct table_spec *spec = table_spec(tables_at(set, t));
        bool child = spec->key_kind == KEY_CHILD;
        c->epochs[t] = child ? NULL : arena_alloc(arena, (size_t)spec->rows_max * sizeof(uint64_t));
        if (!child && c->epochs[t] == NULL)
            c->epochs = NULL;
    }
    if (c == NULL || c->epochs == NULL)
        return FAIL(
            err, FATAL, EX_CONFIG,
            "the epochs of all rows do not fit in %zu bytes: lower limits.items or limits.users",
            arena->reserved);
    c->set = set;
    *out = c;
    return OK;
}

static uint64_t *epochs_of(const struct compacted *c, const struct table *table) {
    for (uint32_t t = 0; t < tables_count(c->set); t++)
        if (tables_at(c->set, t) == table)
            return c->epochs[t];
    return NULL;
}

/* Whether another key's later record has taken the position already. */
static bool overtaken(const struct folded_row *row, const uint64_t *epochs, uint64_t epoch) {
    uint8_t scratch[8];
    bool taken =
        row->position < table_spec(row->table)->rows_max && table_live(row->table, row->position);
    return taken && !bytes_equal(table_key(row->table, row->position, scratch), row->key) &&
           epochs[row->position] > epoch;
}

static enum status fold_parent(struct compacted *c, const struct folded_row *row, uint64_t epoch,
                               struct error *err) {
    uint64_t *epochs = epochs_of(c, row->table);
    if (row->value.data != NULL && overtaken(row, epochs, epoch)) {
        /* the key has left its old place, if it had one, for this one, which it has lost since */
        return table_restore(row->table, row->key, 0, 0, (struct bytes){0}, err);
    }
    TRY(table_restore(row->table, row->key, row->position, row->version, row->value, err));
    if (row->value.data != NULL)
        epochs[row->position] = epoch;
    return OK;
}

static enum status fold_child(const struct folded_row *row, struct error *err) {
    const struct table *parent = table_spec(row->table)->parent;
    uint32_t position = table_find(parent, row->key);
    if (position == NO_ROW)
        return OK;
    return table_restore(row->table, row->key, position, row->version, row->value, err);
}

enum status compacted_fold(struct compacted *compacted, enum compacted_pass pass,
                           const struct folded_row *row, uint64_t epoch, bool *folded,
                           struct error *err) {
    bool child = table_spec(row->table)->key_kind == KEY_CHILD;
    *folded = child == (pass == PASS_CHILDREN);
    if (!*folded)
        return OK;
    return child ? fold_child(row, err) : fold_parent(compacted, row, epoch, err);
}
