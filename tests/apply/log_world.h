/* A random life of items, their children and numbered rows, published epoch by epoch to partitions, and compacted at random as a broker would. */
#ifndef TESTS_APPLY_LOG_WORLD_H
#define TESTS_APPLY_LOG_WORLD_H

#include "apply/fold.h"
#include "base/rng.h"

#define PARTITIONS 3
#define RECORDS_MAX 60000
#define EPOCHS_MAX 400
#define TABLES 4

struct logged {
    uint32_t table;
    uint8_t key[16];
    uint32_t key_len, position;
    uint64_t version, epoch;
    uint8_t value[8];
    bool tombstone, kept;
};
struct sealed_epoch {
    int64_t ends[PARTITIONS];
    struct digest digests[TABLES];
};
struct log_world {
    struct tables *set;
    struct rng rng;
    struct logged *records[PARTITIONS]; /* offset == index */
    uint32_t count[PARTITIONS];
    struct sealed_epoch epochs[EPOCHS_MAX + 1]; /* [epoch] */
    uint64_t epoch;                             /* the last one */
};

/* An empty set of the world's tables. implied: for a follower that does not get the items' own records. */
struct tables *world_tables(bool implied);
struct log_world *world_create(uint64_t seed);
void world_destroy(struct log_world *world);
/* Lives on for one epoch. */
void world_epoch(struct log_world *world);
/* What a broker may have dropped, up to a random offset of each partition: records with a later one of the same key, and with `tombstones` those too, some of them. */
void world_compact(struct log_world *world, bool tombstones);
/* The record as a row of `set`; false when it was dropped, or the set does not get it. */
bool world_row(const struct log_world *world, uint32_t partition, uint32_t offset,
               struct tables *set, struct folded_row *row);
/* An epoch's digest of a table: a wanted_digest; self is a struct sealed_epoch. */
bool world_digest(void *self, const char *table, struct digest *out);
/* The seed of this round of a loop test: COLDSTREAM_SEED, or the round's own. */
uint64_t world_seed(int round);

#endif
