/* What a decoded event must satisfy before anything is changed for it. */
#ifndef STAGE_CHECK_H
#define STAGE_CHECK_H

#include "stage/stage.h"

#define REQUEST_ID_BYTES_MAX 256u
#define EVENT_TIME_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

/* OK, or BAD_RECORD with *reason and a sentence that names the field, its value and the remedy, but
 * not the topic, partition and offset: the caller knows them.
 *
 *   DEAD_ID      user_id, item_id: 1 .. model->id_bytes_max bytes of UTF-8 without NUL;
 *                request_id: at most REQUEST_ID_BYTES_MAX bytes of UTF-8 without NUL
 *   DEAD_KEY     the record has a key that is not the user_id (interactions) or the item_id
 *                (listings), or a tombstone has no key
 *   DEAD_TIME    event_time is negative, past EVENT_TIME_MS_MAX, or more than ahead_ms past the
 *                record's timestamp, or the record's timestamp is past EVENT_TIME_MS_MAX
 *   DEAD_LABEL   the label is not exactly 0 or 1
 *   DEAD_VECTOR  the vector has not model->tokenizer.content_dims numbers, or one is not finite
 *   DEAD_DECODE  the text is not UTF-8 without NUL (any length will do: the model cuts it) */
enum status check_event(const struct stage_config *config, const struct model_config *model,
                        const struct record *record, const struct event *event,
                        enum dead_reason *reason, struct error *err);

#endif
