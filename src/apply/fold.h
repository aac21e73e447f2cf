/* Folding: the stage's published rows back into tables. One code for resume, restore, standby and the follower library. */
#ifndef APPLY_FOLD_H
#define APPLY_FOLD_H

#include "model/table.h"

/* A published row, from whatever topic. value.data == NULL: it is gone. */
struct folded_row {
    struct table *table;
    struct bytes key;
    uint32_t position;
    uint64_t version;
    struct bytes value;
};

/* Puts all rows of one epoch into the set, whatever the order in which the partitions delivered them (each key's records in their order):
 * removals first, children before parents, then rows, parents before children. BAD_RECORD when a row does not
 * fit its table. */
enum status fold_epoch(struct tables *set, const struct folded_row *rows, uint32_t count,
                       struct error *err);

/* Whether the table's parent has no records of its own (TO_NOTHING), as where only the public topics are read: a row of it, 4 bytes of zero, stands where a
 * child's does, and goes with the last of them. It is in no digest. */
bool fold_implied(const struct table *table);

/* A manifest's digest of a table; false when the manifest does not know it. */
typedef bool wanted_digest(void *self, const char *table, struct digest *out);

/* Whether the set is in the state that a manifest tells: name of the first table that is not, or NULL. */
const char *fold_differs(const struct tables *set, wanted_digest *wanted, void *self);

#endif
