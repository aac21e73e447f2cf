/* The state at the boundary where a recording begins, folded from the compacted topics: what `replay --verify` starts from when the
 * inputs of earlier epochs are gone. Two files of the recording: state.snapshot, and state.yaml, the configuration in force there. */
#ifndef CLI_RECORD_STATE_H
#define CLI_RECORD_STATE_H

#include "cli/record_plan.h"

/* Folds what the outputs have up to plan->start into the session's tables (its stage is made here, under the configuration in force
 * there) and checks it against the manifest. *whole = false: rows as they were then have been compacted away; the stage is gone again.
 * Otherwise plan->first is where that epoch has left off. */
enum status record_state_fold(struct session *session, struct record_plan *plan, bool *whole,
                              struct error *err);
enum status record_state_write(const struct session *session, const struct record_plan *plan,
                               const char *dir, struct error *err);

/* "" when the recording begins with nothing. Memory from the session. */
enum status record_state_config(struct session *session, const char *dir, const char **text,
                                struct error *err);
/* Into the session's empty tables, once its stage is made, and resumes the stage; *epoch = 0: the recording begins with nothing. */
enum status record_state_read(struct session *session, const char *dir, uint64_t *epoch,
                              struct error *err);

#endif
