/* What `record` takes of each partition. The manifests decide it: the outputs end with a whole epoch, and the inputs begin where
 * the first epoch that can be recomputed begins. */
#ifndef CLI_RECORD_PLAN_H
#define CLI_RECORD_PLAN_H

#include "cli/session.h"
#include "transport/kafka.h"
#include "transport/recording.h"
#include <signal.h>

#define RECORD_OFFSETS_MAX 64

enum bound_kind {
    BOUND_OPEN,   /* from: all there is; until: as it comes */
    BOUND_LATEST, /* the end of what is committed */
    BOUND_TIME,
    BOUND_OFFSETS /* of the inputs named; OPEN (from), LATEST (until) for the others */
};
struct record_bound {
    enum bound_kind kind;
    int64_t time_ms;
    uint32_t offset_count;
    struct output_end offsets[RECORD_OFFSETS_MAX];
};
/* "earliest", "latest", "2026-11-25T16:00:00Z", milliseconds since 1970, or "interactions:0=1500,item-content:0=40". FATAL EX_USAGE
 * says what is possible. */
enum status record_bound_parse(const char *text, struct record_bound *out, struct error *err);

/* A place between two epochs: after this one. */
struct epoch_mark {
    uint64_t epoch; /* 0: before the first */
    int64_t offset; /* of its manifest */
    int64_t timestamp_ms;
    uint64_t config_hash;
    struct digest state; /* of all tables */
    uint32_t end_count;
    struct output_end ends[RECORDED_PARTITIONS_MAX];
};

struct record_plan {
    /* given */
    struct kafka_copy *asking; /* a client for questions and manifests */
    struct codec *codec;
    struct arena scratch; /* one manifest */
    struct record_bound from, until;
    const volatile sig_atomic_t *stop;
    /* found */
    int32_t partitions[TOPIC_COUNT];                     /* 0: the topic is not there */
    int64_t first[TOPIC_INPUTS][STAGE_PARTITIONS_MAX];   /* inputs: where the recording can begin */
    int64_t applied[TOPIC_INPUTS][STAGE_PARTITIONS_MAX]; /* ... and how far the last epoch reads */
    struct epoch_mark
        start; /* the recording begins after it: every later epoch's inputs are there */
    struct epoch_mark last;
    /* configurations, as the manifests up to `last` and up to `start` tell; "" when none does */
    char config[SESSION_TEXT_BYTES], start_config[SESSION_TEXT_BYTES];
    uint32_t span_count;
    struct kafka_span spans[RECORDED_PARTITIONS_MAX];
};

/* Partitions, manifests, start and last; spans[].next_offset. May be called again after RETRY. */
enum status record_plan_begin(struct record_plan *plan, struct error *err);
/* The recording begins after the last epoch, or after `start` (where the inputs now begin is known): spans[].next_offset anew. */
void record_plan_start_at_last(struct record_plan *plan);
enum status record_plan_place(struct record_plan *plan, struct error *err);
/* spans[].end_offset: by `until`, and by the manifests that are there now. */
enum status record_plan_end(struct record_plan *plan, struct error *err);
#endif
