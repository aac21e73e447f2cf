/* run's local snapshot: the state after some epoch in a file, so that a restart folds only what the log has after it. It is never
 * needed: absent, damaged or of another log, the log alone gives the same state.
 *
 * It is written by a forked child from its copy-on-write memory: the epochs go on meanwhile. */
#ifndef CLI_RUN_SNAPSHOT_H
#define CLI_RUN_SNAPSHOT_H

#include "cli/session.h"
#include <sys/types.h>

/* Where in the log a snapshot stands. */
struct snapshot_note {
    uint64_t epoch;                /* 0: there is no snapshot of use */
    const struct output_end *ends; /* of every output partition, as in that epoch's manifest */
    uint32_t end_count;
};

struct run_snapshot {
    int folder_fd;  /* locked: one instance to a folder; -1: no snapshots */
    pid_t child;    /* that writes one; 0: none */
    int child_says; /* the reading end of its error text */
    uint64_t child_epoch;
    uint64_t last_epoch; /* tried last; counting begins before the first epoch of this instance */
    int64_t begun_ms;
};

/* Makes and locks snapshot.folder, takes away what killed writers left there. FATAL EX_CONFIG when another instance has it. With no
 * folder set, this and all calls below do nothing. */
enum status run_snapshot_open(struct run_snapshot *snapshot, const struct session *session,
                              struct error *err);

/* The snapshot into the (empty) tables of session->stage. note->epoch == 0 when there is none, or when it could not be used and was set
 * aside; the tables are empty then. note->ends lies in session->arena. FATAL EX_CONFIG when it is of another kafka.application
 * or kafka.prefix. */
enum status run_snapshot_read(struct session *session, struct snapshot_note *note,
                              struct error *err);
/* The log says that the snapshot is not of its past: the file gets another name, and a line of the log says why. */
void run_snapshot_set_aside(const struct session *session, const char *why);

/* Between epochs, after each: begins a snapshot when snapshot.epochs have passed since the last one, and hears what became of it. A
 * failure is a warning. `manifest` is of the state that the tables have. */
void run_snapshot_serve(struct run_snapshot *snapshot, const struct session *session,
                        const struct manifest *manifest);
/* At an orderly end, manifest as before: writes the last one and waits for it. manifest == NULL: only lets go. */
void run_snapshot_close(struct run_snapshot *snapshot, const struct session *session,
                        const struct manifest *manifest);

#endif
