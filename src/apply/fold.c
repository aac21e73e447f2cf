#include "apply/fold.h"

bool fold_implied(const struct table *table) {
    const struct table *parent = table_spec(table)->parent;
    return parent != NULL && table_spec(parent)->output == TO_NOTHING;
}

static bool stands_at(const struct table *table, struct bytes key, uint32_t position) {
    uint8_t scratch[8];
    return table_live(table, position) && bytes_equal(table_key(table, position, scratch), key);
}

/* A child's row, and with it its parent's, which has no records of its own. */
static enum status restore_implied(const struct folded_row *row, struct error *err) {
    struct table *parent = table_spec(row->table)->parent;
    static const uint32_t nothing[1];
    bool gone = row->value.data == NULL;
    if (!gone && !stands_at(parent, row->key, row->position))
        TRY(table_restore(parent, row->key, row->position, 1, bytes_of(nothing, sizeof nothing),
                          err));
    TRY(table_restore(row->table, row->key, row->position, row->version, row->value, err));
    uint32_t at = gone ? table_find(parent, row->key) : NO_ROW;
    if (at != NO_ROW && table_childless(parent, at))
        table_take(parent, at);
    return OK;
}

static enum status restore(const struct folded_row *row, struct error *err) {
    if (fold_implied(row->table))
        return restore_implied(row, err);
    return table_restore(row->table, row->key, row->position, row->version, row->value, err);
}

static enum status fold_table(struct table *table, const struct folded_row *rows, uint32_t count,
                              bool removals, struct error *err) {
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].table == table && (rows[i].value.data == NULL) == removals)
            TRY(restore(&rows[i], err));
    return OK;
}

/* A pass per table and direction: cheap beside decoding, and it needs no order between partitions. */
enum status fold_epoch(struct tables *set, const struct folded_row *rows, uint32_t count,
                       struct error *err) {
    uint32_t tables = tables_count(set);
    for (uint32_t t = tables; t-- > 0;)
        TRY(fold_table(tables_at(set, t), rows, count, true, err));
    for (uint32_t t = 0; t < tables; t++)
        TRY(fold_table(tables_at(set, t), rows, count, false, err));
    return OK;
}

const char *fold_differs(const struct tables *set, wanted_digest *wanted, void *self) {
    for (uint32_t t = 0; t < tables_count(set); t++) {
        const struct table *table = tables_at(set, t);
        struct digest digest;
        const char *name = table_spec(table)->name;
        if (table_spec(table)->output == TO_NOTHING)
            continue;
        if (!wanted(self, name, &digest) || !digest_equal(digest, table_digest(table)))
            return name;
    }
    return NULL;
}
