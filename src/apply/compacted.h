/* Folding a compacted log as a whole: restart, and a follower that catches up, where old records may or may not still be there and
 * partitions come in any order. (A recording, and a follower that keeps up, have every record of an epoch: fold.h.)
 *
 * One pass. Why it is right, with keys in any partitions:
 *  - a key's records are in order within its partition, so the last one seen of a key is its state
 *  - two keys may have stood at one position, one after the other; the one with the later epoch is there now, the other's later
 *    record (another position or a tombstone) is still to come, or came before
 *  - a child's record names its position itself, so it is put there whether or not its parent has come; the digests of a hash of each
 *    child's key tell at the end whether the parent at that position is its own. */
#ifndef APPLY_COMPACTED_H
#define APPLY_COMPACTED_H

#include "apply/fold.h"

struct compacted;

/* Address space for 16 bytes and more per row of each table is reserved here; FATAL EX_OSERR when it is refused. */
enum status compacted_create(struct compacted **out, struct tables *set, struct error *err);
void compacted_destroy(struct compacted *compacted);

/* Begins with the rows that the set has now: they are older than every record to come. */
void compacted_begin(struct compacted *compacted);
/* One record of the log. BAD_RECORD when a row does not fit its table. */
enum status compacted_fold(struct compacted *compacted, const struct folded_row *row,
                           uint64_t epoch, struct error *err);
/* Whether the rows folded so far are a state that digests tell: name of the first table that is not, or NULL. Children without their parent do not count. Until
 * compacted_end the set must not be used otherwise; more may be folded, and compared again. */
const char *compacted_differs(struct compacted *compacted, wanted_digest *wanted, void *self);
/* Children without their parent go: the set is whole again. What was known of rows is forgotten: compacted_begin before anything more. */
void compacted_end(struct compacted *compacted);

#endif
