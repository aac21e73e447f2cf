/* Scratch folders below COLDSTREAM_BUILD, random records, and comparing them: shared by the
 * tests of this room. */
#ifndef TESTS_TRANSPORT_SCRATCH_H
#define TESTS_TRANSPORT_SCRATCH_H

#include "base/rng.h"
#include "transport/recording.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline uint64_t test_seed(const char *test) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr, "%s: seed %llu (again: COLDSTREAM_SEED=%llu ctest -R %s)\n", test,
            (unsigned long long)seed, (unsigned long long)seed, test);
    return seed;
}

static inline int scratch_remove_one(const char *path, const struct stat *about, int flag,
                                     struct FTW *walk) {
    (void)about, (void)flag, (void)walk;
    return remove(path);
}

static inline void scratch_remove(const char *path) {
    nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A folder's name that is free; `slot` tells several of one test apart. */
static inline const char *scratch_dir(const char *name) {
    static char paths[8][512];
    static int turn;
    char *path = paths[turn++ % 8];
    const char *build = getenv("COLDSTREAM_BUILD");
    char base[400];
    snprintf(base, sizeof base, "%s/scratch", build != NULL ? build : "/tmp");
    mkdir(base, 0777);
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    scratch_remove(path);
    return path;
}

/* A record that is a function of (seed, topic, i); its bytes lie in `arena`. */
static inline struct record test_record(uint64_t seed, enum topic topic, uint64_t i,
                                        struct arena *arena) {
    struct rng rng = rng_stream(seed, RNG_TEST, (uint64_t)topic, i);
    struct record record = {.topic = topic, .offset = -1};
    record.timestamp_ms = 1000000 + (int64_t)i * 10 + rng_below(&rng, 30);
    uint32_t key = rng_below(&rng, 20), value = rng_below(&rng, 300);
    uint8_t *bytes = arena_must(arena, key + value + 64);
    for (uint32_t b = 0; b < key + value + 64; b++)
        bytes[b] = (uint8_t)rng_u32(&rng);
    if (rng_below(&rng, 10) > 0)
        record.key = bytes_of(bytes, key);
    if (rng_below(&rng, 10) > 0)
        record.value = bytes_of(bytes + key, value);
    if (topic == TOPIC_DEAD_LETTER) {
        record.header_count = 2;
        record.headers[0] = (struct header){bytes_text("topic"), bytes_text("interactions")};
        record.headers[1] = (struct header){bytes_text("raw"), bytes_of(bytes + key + value, 40)};
    }
    return record;
}

static inline bool same_record(const struct record *a, const struct record *b) {
    bool same = a->topic == b->topic && a->partition == b->partition && a->offset == b->offset &&
                a->timestamp_ms == b->timestamp_ms && bytes_equal(a->key, b->key) &&
                bytes_equal(a->value, b->value) && a->header_count == b->header_count &&
                (a->damage == NULL) == (b->damage == NULL);
    for (uint32_t i = 0; same && i < a->header_count; i++)
        same = bytes_equal(a->headers[i].key, b->headers[i].key) &&
               bytes_equal(a->headers[i].value, b->headers[i].value);
    return same;
}

#endif
