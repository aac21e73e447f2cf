/* What is shown, and how: one thread's copy of the last picture with all that is said beside it, as Prometheus text and as JSON (docs/HTTP.md). */
#ifndef OPS_SHOW_H
#define OPS_SHOW_H

#include "ops/watch.h"
#include "transport/kafka_statistics.h"
#include <jansson.h>

/* Of what does not change while the stage runs; texts are borrowed. */
struct show_facts {
    const char *version, *application;
    char topics[TOPIC_COUNT][KAFKA_NAME_BYTES]; /* as they are called on the broker */
    uint32_t books[SID_CODES];
    struct kafka_statistics *statistics;
    int64_t started_ms;
};

#define HTTP_PATHS 8 /* what requests are counted by: known paths, and all others */
struct show {
    struct show_facts facts;
    struct picture picture;
    struct watch_status status;
    const struct survey_figures *survey; /* NULL: none yet */
    uint64_t changed[SID_CODES];
    uint64_t requests[HTTP_PATHS];
};
extern const char *const http_path_names[HTTP_PATHS];

void show_refresh(struct show *show, struct watch *watch);
/* Whether it does what it is there for; else `reason` says why not, in a few words. */
bool show_ready(const struct show *show, char reason[REASON_BYTES]);
/* Records that the partition's log has and no epoch yet; -1: not known, which is so unless this instance leads. */
int64_t show_lag(const struct show *show, const struct shown_input *input);
/* How old the newest record taken is while there are more; 0 when there are none; NaN: not known. */
double show_lag_s(const struct show *show, const struct shown_input *input);
uint64_t show_memory_bytes(void); /* resident */

/* Prometheus text format 0.0.4 into `out`; returns its length, less than max. */
size_t show_metrics(const struct show *show, char *out, size_t max);
/* The object of /status.json, the caller's. */
json_t *show_status(const struct show *show);

#endif
