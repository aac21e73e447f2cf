/* Events and rows from a stream of random draws, and comparing them: shared by the tests of this
 * room. */
#ifndef TESTS_CODEC_EVENTS_H
#define TESTS_CODEC_EVENTS_H

#include "base/rng.h"
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>

#define TEST_BYTES_MAX ((size_t)64 << 20)

static inline uint64_t test_seed(const char *test) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr, "%s: seed %llu (again: COLDSTREAM_SEED=%llu ctest -R %s)\n", test,
            (unsigned long long)seed, (unsigned long long)seed, test);
    return seed;
}

static inline struct bytes random_text(struct rng *rng, struct arena *arena, uint32_t max) {
    uint32_t len = rng_below(rng, max + 1);
    char *text = arena_text(arena, "", 0);
    text = arena_alloc(arena, len + 1);
    for (uint32_t i = 0; i < len; i++)
        text[i] = (char)('!' + rng_below(rng, 90));
    return bytes_of(text, len);
}

static inline struct bytes random_bytes(struct rng *rng, struct arena *arena, uint32_t len) {
    uint8_t *data = arena_alloc(arena, len + 1);
    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)rng_u32(rng);
    return bytes_of(data, len);
}

static inline struct interaction random_interaction(struct rng *rng, struct arena *arena) {
    struct interaction event = {.user_id = random_text(rng, arena, 40),
                                .item_id = random_text(rng, arena, 40),
                                .event_time_ms = (int64_t)rng_u64(rng),
                                .action = (enum action)rng_below(rng, 4)};
    event.has_label = rng_below(rng, 2) != 0;
    event.label = event.has_label ? (float)rng_below(rng, 2) : 0;
    event.request_id = rng_below(rng, 2) ? random_text(rng, arena, 20) : (struct bytes){0};
    event.has_position = rng_below(rng, 2) != 0;
    event.position = event.has_position ? (int32_t)rng_u32(rng) : 0;
    return event;
}

static inline struct listing random_listing(struct rng *rng, struct arena *arena) {
    struct listing event = {.item_id = random_text(rng, arena, 40),
                            .event_time_ms = (int64_t)rng_u64(rng),
                            .dims = rng_below(rng, 100)};
    event.vector = (const float *)(const void *)random_bytes(rng, arena, event.dims * 4).data;
    event.text = rng_below(rng, 2) ? random_text(rng, arena, 80) : (struct bytes){0};
    return event;
}

#endif
