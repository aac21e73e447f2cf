/* What a replay found, for a person or (--json) as one line for a machine. */
#ifndef CLI_SUMMARY_H
#define CLI_SUMMARY_H

#include "cli/session.h"
#include <jansson.h>
#include <stdio.h>

struct summary {
    struct stage_totals totals;
    struct evaluation evaluation;
    const struct tables *tables;
    struct digest digest; /* of all state */
    double seconds;
    uint64_t run_events; /* of this process: for events_per_s */
    uint64_t peak_rss_bytes;
    bool synthetic;
    const char *variant, *blas_core;
};
void summary_collect(const struct session *session, double seconds, uint64_t events_before,
                     struct summary *out);
/* A line to the log when most of the input went to the dead letters. */
void summary_warn(const struct summary *summary);
void summary_json(const struct summary *summary, FILE *out);
/* Keeps the same object, with the recording's name, beside the outputs, as `replay.json`: how long it took is in no topic. */
enum status summary_keep(const struct summary *summary, const char *recording, const char *dir,
                         struct error *err);
/* What was kept there, for the caller to free; NULL: nothing that can be read. */
json_t *summary_kept(const char *dir);
void summary_text(const struct summary *summary, FILE *out);
/* The last listings with their SIDs and their nearest items' titles. */
void summary_listings(const struct session *session, uint32_t count, FILE *out);
/* Memory in use by each table, to the log at level info. */
void summary_memory(const struct session *session);

#endif
