/* A recorded live run held against the recomputed one. Its topics were compacted: of a row that was overwritten later, earlier records
 * may be gone, and control records leave gaps in the offsets. So what is there must be equal, in order, and within its epoch's ends; what
 * is not there must have been overwritten. */
#ifndef CLI_VERIFY_LIVE_H
#define CLI_VERIFY_LIVE_H

#include "cli/output_log.h"

struct live_rows;
/* How a record that was recomputed stands to the recording. */
enum live_match {
    LIVE_EQUAL,
    LIVE_COMPACTED,   /* not there; a later record of its key must be */
    LIVE_OTHER_VALUE, /* its key is there with another value, timestamp or headers */
    LIVE_MISSING      /* not there, and of a topic that is not compacted */
};

/* `written`: partitions of each output topic. Memory from `arena`. */
enum status live_rows_create(struct live_rows **out, struct output_log *log,
                             const struct recording_writer_config *written, struct arena *arena,
                             struct error *err);
void live_rows_close(struct live_rows *rows);
/* From now on records of this epoch (borrowed). */
void live_rows_begin(struct live_rows *rows, const struct manifest *manifest);
enum status live_rows_match(struct live_rows *rows, const struct record *made,
                            enum live_match *match, struct error *err);
/* After an epoch, or after the last: a recorded record that was not recomputed; borrowed; *got = false: there is none. */
enum status live_rows_left(struct live_rows *rows, bool after_last, struct record *out, bool *got,
                           struct error *err);
uint64_t live_rows_compared(const struct live_rows *rows);
uint64_t live_rows_compacted(const struct live_rows *rows);
/* Of those compacted away: keys without a later record in the recording, so overwritten after its end, or lost. */
uint64_t live_rows_unseen(const struct live_rows *rows);

#endif
