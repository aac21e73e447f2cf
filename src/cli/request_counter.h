/* How many events of each request came so far. Requests are told apart by 64-bit hashes: of ten
 * million, the chance that any two meet is 3 in a million, and then one request's places begin
 * above 0. */
#ifndef CLI_REQUEST_COUNTER_H
#define CLI_REQUEST_COUNTER_H

#include "base/arena.h"
#include "base/bytes.h"

struct request_counter {
    struct arena *arena;
    uint64_t *hashes; /* [slots], 0: free */
    int32_t *counts;  /* [slots] */
    uint64_t slots;   /* a power of two */
    uint64_t used;
};

enum status request_counter_create(struct request_counter *counter, struct arena *arena,
                                   struct error *err);
/* *place: 0 for a request's first event, then 1, 2, ... */
enum status request_counter_next(struct request_counter *counter, struct bytes request,
                                 int32_t *place, struct error *err);

#endif
