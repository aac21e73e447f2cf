/* Restoring a replay's state from its own outputs: the log is the state. */
#ifndef CLI_RESTORE_H
#define CLI_RESTORE_H

#include "apply/fold.h"
#include "cli/session.h"

#define SNAPSHOT_FILE "state.snapshot"

/* Resuming goes on with the configuration that the outputs in session->to were begun with: FATAL EX_CONFIG names the first
 * setting that is another. OK as well when there are no outputs yet. Changes nothing. */
enum status restore_check_config(struct session *session, struct error *err);
/* Folds the outputs up to and with the sealed epoch into the stage's (empty) tables, from the snapshot in the folder where it is
 * sound and not newer; checks every digest of that epoch's manifest; resumes the stage. Counts of parked and dead come
 * back with the rows. */
enum status restore_stage(struct session *session, uint64_t epoch, struct error *err);
/* Someone who looks on while outputs are folded epoch by epoch. */
struct restore_watch {
    void *self;
    /* Each row, before its epoch is in the tables. */
    enum status (*row)(void *self, const struct row_output *row, struct error *err);
    /* After each epoch: the tables are as they were then; what is derived from them only after stage_resume(). */
    enum status (*epoch)(void *self, const struct manifest *manifest, struct error *err);
};
/* restore_stage() from the first epoch on, whatever snapshot there is, for `watch`. */
enum status restore_watched(struct session *session, uint64_t epoch,
                            const struct restore_watch *watch, struct error *err);
/* The state that a finished replay left in `dir`, to be looked at: its own configuration, its stage with every row, no input. FATAL EX_NOINPUT
 * when it is no finished replay. session_close() ends it, also after a failure. */
enum status restore_finished(struct session *session, const char *dir, struct error *err);
/* Its first half: all but the rows. *epochs: how many there are. */
enum status restore_open(struct session *session, const char *dir, uint64_t *epochs,
                         struct error *err);
/* Writes the snapshot of the state after `epoch`. */
enum status restore_snapshot(struct session *session, uint64_t epoch, struct error *err);

/* A record of a live stage's outputs as a row to fold into the session's tables; borrowed until the next record is decoded. FATAL EX_CONFIG:
 * its table is none of this configuration's. */
enum status restore_row(const struct session *session, const struct record *record,
                        struct folded_row *out, uint64_t *epoch, struct error *err);
/* FATAL EX_DATAERR when a table is not what the manifest says; `where` names the log for the message. */
enum status restore_check_state(const struct session *session, struct manifest *manifest,
                                const char *where, struct error *err);

#endif
