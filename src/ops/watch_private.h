/* What the files of the watch share. */
#ifndef OPS_WATCH_PRIVATE_H
#define OPS_WATCH_PRIVATE_H

#include "base/arena.h"
#include "ops/watch.h"
#include <pthread.h>
#include <stdatomic.h>

#define RING_SLOTS 13 /* of counters, RATES_MS / (RING_SLOTS - 1) apart */

/* A listing on its way to its commit. */
struct expected_listing {
    uint32_t input;
    int64_t offset, timestamp_ms;
    int64_t arrived_ms, arrived_us; /* of the wall clock, of the monotonic one */
    uint32_t id_len;
};

struct trouble {
    int64_t since_us; /* 0: none */
    char text[REASON_BYTES];
};

enum look_up { LOOK_UP_FREE, LOOK_UP_ASKED, LOOK_UP_ANSWERED };

struct watch {
    struct arena arena;
    struct model_config model;

    /* ---- the stage's thread alone ---- */
    struct source_port source;
    struct sink_port sink;
    struct picture *next; /* what the next picture will be */
    struct counters ring[RING_SLOTS];
    double
        ring_latency_max_s[RING_SLOTS]; /* of the listings up to that slot, from the one before */
    uint32_t ring_count, ring_at;       /* ring_at: the newest */
    double latency_max_s;               /* since the newest slot */
    uint32_t input_last;                /* where the last record came from */

    /* the epoch under way, in microseconds of the monotonic clock */
    int64_t first_us, begun_us, published_us, commit_us, committed_us;
    bool begun, publishing, committed; /* committed: watch_serve() has not seen it yet */
    struct traffic written[TOPIC_COUNT];
    struct shown_dead dead[RECENT_MAX]; /* of this epoch, the last of them */
    uint32_t dead_count;

    /* a ring: listings read and not committed yet */
    struct expected_listing *expected; /* [expected_max] */
    unsigned char *ids;                /* [expected_max][model.id_bytes_max] */
    uint32_t expected_max, expected_first, expected_count;

    int64_t picture_due_us, quality_due_us;
    struct score_window *window, *whole;
    bool window_begun;
    int64_t survey_due_us, survey_begun_us, survey_spent_us;
    bool surveying;
    int64_t look_up_due_us;

    /* ---- both, under the mutex ---- */
    pthread_mutex_t mutex;
    struct picture *last;
    struct watch_status status;
    struct trouble source_trouble, sink_trouble;
    enum look_up look_up;
    char item_id[WATCH_ID_BYTES];
    char *answer;

    atomic_llong call_since_us; /* 0: not in a call of the broker that may take long */
    atomic_bool survey_ready; /* the round is complete, and the other side's until it has counted */
    struct survey *survey;    /* whose side it is on, survey_ready says */

    /* ---- the other side alone ---- */
    struct survey_figures figures;
    bool has_figures;
    uint64_t changed[SID_CODES];
};

int64_t watch_us(void); /* of the monotonic clock */
void watch_cut(struct shown_text *out, struct bytes text);

/* watch_ports.c: NULL when nobody watches the partition (there are too many). */
uint32_t watch_input(struct watch *watch, enum topic topic, int32_t partition);
#define WATCH_NO_INPUT UINT32_MAX

/* watch_recent.c: of the epoch that has just been committed. */
void watch_settle(struct watch *watch, struct stage *stage, uint64_t epoch);

#endif
