/* Asking a running stage for its status over HTTP, without standing still meanwhile. */
#ifndef CLI_TOP_FETCH_H
#define CLI_TOP_FETCH_H

#include "base/error.h"
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>

struct top_fetch;

#define TOP_URL_BYTES 1024

/* place: "HOST:PORT" or a URL, to which /status.json is added. FATAL EX_USAGE when it is neither. */
enum status top_fetch_open(struct top_fetch **out, const char *place, struct error *err);
void top_fetch_close(struct top_fetch *fetch);
const char *top_fetch_url(const struct top_fetch *fetch);

void top_fetch_begin(struct top_fetch *fetch);
/* Waits for the answer or one of `others`, at most wait_ms. *done: the request that was begun is over; then OK and *status is the stage's, the
 * caller's to free; or RETRY: nothing (EX_UNAVAILABLE), or something that is no coldstream (EX_DATAERR), answers there. */
enum status top_fetch_wait(struct top_fetch *fetch, struct pollfd *others, unsigned other_count,
                           int wait_ms, bool *done, json_t **status, struct error *err);

#endif
