/* What the tests of labels and parking stand on: a set of tables with a small model, labels and
 * parking in it, and a list of the samples that came out. */
#ifndef TESTS_STAGE_WORLD_H
#define TESTS_STAGE_WORLD_H

#include "stage/labels.h"
#include "stage/parking.h"
#include <check.h>

#define WORLD_SAMPLES_MAX 100000

struct world {
    struct stage_config config;
    struct tables *set;
    struct arena arena;
    struct model *model;
    struct labels *labels;
    struct parking *parking;
    struct sample samples[WORLD_SAMPLES_MAX];
    uint32_t count;
    enum dead_reason reason; /* of the last refusal */
    struct error err;
};

/* window 100 ms, lateness 20, idle 500, 1000 impressions, 4 negatives half of them popular among
 * 100 clicks, 1000 repeats, parking of 64 records of up to 128 bytes for 50 ms */
struct stage_config world_config(void);
/* A world of its own memory; the caller destroys it. */
struct world *world_create(const struct stage_config *config);
struct world *world_create_seeded(const struct stage_config *config, uint64_t seed);
void world_destroy(struct world *world);

/* The end of an epoch. Commit also validates the tables. */
void world_commit(struct world *world);
void world_rollback(struct world *world);
/* A new world with the committed rows of this one, put one by one from the last position to the
 * first. */
struct world *world_restart(struct world *world);
/* The same through a snapshot file. */
struct world *world_reload(struct world *world);
/* Digest of all tables; ends the epoch by a commit. */
struct digest world_digest(struct world *world);

uint32_t world_list(struct world *world, const char *item);
void world_delist(struct world *world, const char *item);
uint32_t world_user(struct world *world, const char *user);
uint32_t world_item(struct world *world, const char *item);

struct event_spec {
    int32_t partition;
    int64_t offset;
    const char *user, *item, *request; /* request NULL: none */
    int64_t time_ms;
    enum action action;
    bool has_label;
    float label;
    bool has_position;
    int32_t position;
};
struct record world_record(const struct event_spec *spec);
struct interaction world_interaction(const struct event_spec *spec);
/* labels_advance, then labels_apply on the item's row (listed if it is not there). Checks that
 * labels_expected told the number of samples: for sampled clicks and items that are gone at least
 * so many. Returns the status of labels_apply; the reason is in world->reason. */
enum status world_apply(struct world *world, const struct event_spec *spec);
/* labels_apply_released on the item's row, which must be there. */
enum status world_release(struct world *world, const struct event_spec *spec);
/* Event time of a partition without an interaction. */
void world_advance(struct world *world, int32_t partition, int64_t time_ms);

/* Order by time, user, item, label; 0 when equal. For qsort. */
int world_compare_samples(const void *a, const void *b);

/* COLDSTREAM_SEED, or the default. */
uint64_t world_seed(uint64_t otherwise);

#endif
