/* The state of a live stage from its own output topics: the log is the state. */
#ifndef CLI_RUN_RESTORE_H
#define CLI_RUN_RESTORE_H

#include "cli/session.h"
#include "transport/kafka.h"
#include <signal.h>

/* Folds the output topics into the stage's (empty) tables: the state after the epoch committed last, its digests checked. Nobody may
 * write meanwhile. Reports progress. *epoch == 0: there is no epoch in the log, and the tables stay empty. The stage is not resumed.
 * RETRY when *stop was set before the end. */
enum status run_restore(struct session *session, const struct kafka_config *kafka,
                        const volatile sig_atomic_t *stop, uint64_t *epoch, struct error *err);

#endif
