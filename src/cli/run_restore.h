/* The state of a live stage from its own output topics: the log is the state. One code for a restart and for an instance that stands
 * by: it follows the topics while another one leads, and goes to their end when it is its turn. */
#ifndef CLI_RUN_RESTORE_H
#define CLI_RUN_RESTORE_H

#include "cli/session.h"
#include "ops/watch.h"
#include "transport/kafka.h"
#include <signal.h>

struct run_follower;

/* Follows into the tables of session->stage, which must be empty; both are borrowed. Topics must be there. Reads nothing yet. */
enum status run_follower_open(struct run_follower **out, struct session *session,
                              const struct kafka_config *kafka, struct error *err);
/* Where it tells how far it is. NULL: nowhere. */
void run_follower_watch(struct run_follower *follower, struct watch *watch);
/* Takes what has come; waits wait_ms at most. Reports progress. RETRY: the broker is away. FATAL: this configuration cannot take the rows. */
enum status run_follower_step(struct run_follower *follower, uint32_t wait_ms, struct error *err);
/* To the end of the log: nobody else may write any more; `leader` is served meanwhile. The tables are then the state after *epoch, the one committed last, and its digests have been checked;
 * 0: there is none, and they are empty. A state that is not what the manifest says is made anew from the beginning of the log, once; then it is
 * FATAL EX_DATAERR. RETRY when *stop was set, or the lead lost, before the end. The stage is not resumed. */
enum status run_follower_finish(struct run_follower *follower, struct kafka_leader *leader,
                                const volatile sig_atomic_t *stop, uint64_t *epoch,
                                struct error *err);
void run_follower_close(struct run_follower *follower);

#endif
