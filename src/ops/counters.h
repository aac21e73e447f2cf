/* What is counted while the stage runs, and how long things took. Plain values: a copy is a picture of a moment, and the difference of two copies is what
 * happened between. */
#ifndef OPS_COUNTERS_H
#define OPS_COUNTERS_H

#include "stage/stage.h"

/* Bin i holds durations up to histogram_bound_s(i): 0.5 ms times 2^(i/4), so a quantile is within a fifth of the truth; the last one holds all that are longer
 * than 110 s. Every fourth bound is a power of two times 0.5 ms: those are shown. */
#define HISTOGRAM_BINS 73
#define HISTOGRAM_SHOWN_EVERY 4
struct histogram {
    uint64_t counts[HISTOGRAM_BINS];
    double sum_s;
};
void histogram_add(struct histogram *histogram, double seconds);
double histogram_bound_s(uint32_t bin); /* infinity for the last one */
uint64_t histogram_count(const struct histogram *histogram);
/* Of what `now` has and `then` had not; NaN when that is nothing, infinity beyond the last bound. share: 0.5, 0.99 */
double histogram_quantile(const struct histogram *now, const struct histogram *then, double share);
/* Mean of the same, in seconds; NaN when there is nothing. */
double histogram_mean(const struct histogram *now, const struct histogram *then);

/* Of an epoch that was committed. collect: from the first record taken since the epoch before; apply: check, label, score, learn; publish: encode, produce, wait
 * for delivery; commit: the transaction's end. */
enum phase { PHASE_COLLECT, PHASE_APPLY, PHASE_PUBLISH, PHASE_COMMIT, PHASES };
extern const char *const phase_names[PHASES];

struct traffic {
    uint64_t records, bytes;
};
struct counters {
    int64_t at_ms;      /* of the monotonic clock */
    uint64_t epochs[2]; /* by enum epoch_kind */
    uint64_t aborted;
    double waiting_s; /* in the source, for records */
    double watched_s; /* of the stage's thread, for pictures, the survey and look-ups */
    struct histogram phases[PHASES];
    uint64_t events, labelled; /* of this process's epochs */
    /* of listings that got their SID: record's timestamp -> commit, arrival in this process -> commit */
    struct histogram listing_latency, listing_stay;
    struct traffic read[STAGE_PARTITIONS_MAX]; /* by the watch's number of the input partition */
    struct traffic written[TOPIC_COUNT];       /* committed */
};

#endif
