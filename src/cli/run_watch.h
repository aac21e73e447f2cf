/* `run` watched: the watch and the HTTP server that shows it, or nothing where http.listen is empty. */
#ifndef CLI_RUN_WATCH_H
#define CLI_RUN_WATCH_H

#include "cli/session.h"
#include "ops/http.h"

struct run_watch {
    struct watch *watch; /* NULL: nobody watches, and the calls below do nothing */
    struct http *http;
    struct kafka_statistics *statistics;
    struct session *session;
    bool fenced; /* it led once, and has lost the lead */
};

/* From here on /healthz answers. Adds what the transport has to report to `kafka`. FATAL EX_CONFIG: it cannot listen there: a stage that nobody can
 * see is worse than one that does not start. */
enum status run_watch_open(struct run_watch *run, struct session *session,
                           struct kafka_config *kafka, struct error *err);
void run_watch_close(struct run_watch *run);

/* The ports as they are, or with the watch between. */
struct source_port run_watch_source(struct run_watch *run, struct source_port source);
struct sink_port run_watch_sink(struct run_watch *run, struct sink_port sink);

void run_watch_state(struct run_watch *run, enum watch_state state, const char *reason);
void run_watch_standby(struct run_watch *run);
/* The stage will be made anew: what it had may be of an epoch that was never committed. */
void run_watch_fenced(struct run_watch *run);
/* Between epochs. */
void run_watch_serve(struct run_watch *run, const struct kafka_source *source,
                     struct kafka_sink *sink);

#endif
