/* How a finished replay went: read from its outputs, epoch by epoch, with a look at the state at moments that lie evenly in stream time. For the
 * report. */
#ifndef CLI_TIMELINE_H
#define CLI_TIMELINE_H

#include "cli/session.h"
#include "cli/stories.h"
#include "model/score_window.h"

#define MOMENTS 72
#define TIMELINE_INPUTS_MAX 64 /* partitions that are listed one by one */

/* Events by how often their item had been shown before. */
enum timeline_part {
    PART_ALL,
    PART_COLD,
    PART_WARM,
    PART_BUCKETS, /* and those after it: exposure_bucket_names */
    PARTS = PART_BUCKETS + EXPOSURE_BUCKETS
};
const struct score_slice *timeline_part(const struct score_figures *figures, uint32_t part);
/* So many clicks, and so many events without one, make a point of a part's line; until they are there, its events wait for the next
 * moment. The standard error of its AUC is about 0.04 then. */
#define PART_CLASS_MIN 50

/* The state after an epoch, and what came since the moment before. */
struct moment {
    bool there; /* false: no epoch ended in this part of the stream's time */
    uint64_t epoch;
    int64_t time_ms;
    double days; /* of stream time since the moment before; 0 for the first one */
    struct score_slice
        parts[PARTS];        /* of the events since the part's last point; 0 events: no point */
    struct evaluation state; /* cumulative, as everywhere */
    struct stage_totals totals;
    uint64_t records, dead_letters, rows; /* since the moment before; rows published */
    uint64_t moves[4];                    /* SIDs that changed, by enum sid_reason; never SID_NEW */
};

struct timeline_input {
    enum topic topic;
    int32_t partition;
    int64_t first_offset, last_offset;
    uint64_t records;
};

struct timeline {
    struct moment moments[MOMENTS]; /* the last one is the end, and always there */
    struct timeline_input inputs[TIMELINE_INPUTS_MAX];
    uint32_t input_count;
    uint64_t inputs_left_out; /* records of partitions beyond these */
    int64_t first_ms, last_ms;
    uint64_t rows;
    char build[128], blas_core[32];
    struct score_figures whole; /* of all events after the warm-up */
    struct stories stories;
};

/* Opens the session as restore_finished() does, and fills `out`. */
enum status timeline_read(struct session *session, const char *dir, struct timeline *out,
                          struct error *err);

#endif
