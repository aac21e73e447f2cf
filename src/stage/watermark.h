/* How far event time has come, over the partitions of `interactions`:
 *
 *   W = min over partitions p that are not idle of (largest event time seen of p) - lateness_ms
 *
 * A partition is idle while its largest event time is more than idle_ms behind that of the furthest
 * partition: there is no clock here, so that a replay sees the same watermark. A partition not seen
 * yet holds nothing. The caller keeps W from going back. State: a row of the table `watermarks` for
 * each partition. */
#ifndef STAGE_WATERMARK_H
#define STAGE_WATERMARK_H

#include "model/table.h"
#include "stage/stage.h"

#define WATERMARK_NONE INT64_MIN /* before the first event */

struct watermark {
    struct table *partitions; /* KEY_U64 (topic << 32 | partition): int64_t largest event time */
    int64_t lateness_ms, idle_ms;
};

enum status watermark_create(struct watermark *out, const struct stage_config *config,
                             struct tables *set, struct error *err);
/* *moved tells whether this was the largest event time (>= 0) of the record's partition so far.
 * FATAL when there are more than STAGE_PARTITIONS_MAX partitions. */
enum status watermark_observe(struct watermark *watermark, const struct record *record,
                              int64_t event_time_ms, bool *moved, struct error *err);
/* W as the rows stand; WATERMARK_NONE when no partition was seen. */
int64_t watermark_reached(const struct watermark *watermark);

#endif
