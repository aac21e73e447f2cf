/* How many items of a recording would wait for their first codebooks. */
#ifndef CLI_COUNT_LISTINGS_H
#define CLI_COUNT_LISTINGS_H

#include "cli/session.h"

/* Items that stand after all records of `item-content` up to `end_ms`, counted up to `max`: repeats,
 * new content, listings that the stage would set aside and those that were taken back do not count,
 * since none of them makes one more item wait. The session's codec must be open and its content_dims
 * known. */
enum status count_listings(struct session *session, int64_t end_ms, uint32_t max, uint32_t *count,
                           struct error *err);

#endif
