/* Folding compacted topics as a whole: restart and standby from Kafka, where old records may or may not still be there and the
 * partitions come in any order. (A recording has every epoch: fold.h.)
 *
 * Two passes over the log: first the rows of tables that are nobody's child, then the children. Why that is right, with keys in any partitions:
 *  - a key's records are in order within its partition, so the last one seen of a key is its state
 *  - two keys may have stood at one position, one after the other; the one with the later epoch is there now, the other's later
 *    record (a move or a tombstone) is still to come, or came before
 *  - a child stands where its key stands; a record of an earlier life is followed by its tombstone or successor. */
#ifndef APPLY_COMPACTED_H
#define APPLY_COMPACTED_H

#include "apply/fold.h"

enum compacted_pass { PASS_PARENTS, PASS_CHILDREN };

struct compacted;

/* Folds into `set`, which must be empty. Address space for one epoch number per row comes from `arena`; FATAL EX_CONFIG when it does not fit. */
enum status compacted_create(struct compacted **out, struct tables *set, struct arena *arena,
                             struct error *err);
/* One record of the log in this pass: records of the other pass are left alone (*folded = false). BAD_RECORD when a row does not
 * fit its table. */
enum status compacted_fold(struct compacted *compacted, enum compacted_pass pass,
                           const struct folded_row *row, uint64_t epoch, bool *folded,
                           struct error *err);

#endif
