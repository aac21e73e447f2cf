#include "apply/fold.h"

static enum status fold_table(struct table *table, const struct folded_row *rows, uint32_t count,
                              bool removals, struct error *err) {
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].table == table && (rows[i].value.data == NULL) == removals)
            TRY(table_restore(table, rows[i].key, rows[i].position, rows[i].version, rows[i].value,
                              err));
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
        if (!wanted(self, name, &digest) || !digest_equal(digest, table_digest(table)))
            return name;
    }
    return NULL;
}
