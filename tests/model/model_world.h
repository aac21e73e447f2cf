/* A small model in tables of its own, and items whose vectors lie in clusters: for tests of what happens to SIDs over epochs.
 * Every epoch ends with model_validate() and the tables' own checks. */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include "../ranker_whole.h"
#include "base/rng.h"
#include "model/model_private.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS = 16, USERS = 40, BATCH = 32, ITEMS_MAX = 2048 };

struct model_world {
    struct model_config config;
    struct tables *set;
    struct arena arena;
    struct model *model;
    struct error err;
    uint64_t epoch;
    uint32_t items, listed_at[ITEMS_MAX]; /* how many were listed; their event times */
};

#define MUST(call) ck_assert_msg((call) == OK, "%s", world->err.text)

static inline struct model_config small_model(void) {
    return (struct model_config){
        .tokenizer = {.content_dims = DIMS, .z_dims = 8, .books = {8, 8, 8, 8, 8}, .seed = 3},
        .updates = {.on = 1,
                    .publish_epochs = 2,
                    .memory = {4000, 2000, 1000, 1000, 1000},
                    .popularity = 1,
                    .weight_max = 1000,
                    .reluctance_first = 0.2f,
                    .reluctance = 0.1f,
                    .reset_share = 0.1f,
                    .reset_versions = 2,
                    .sweep = 64,
                    .collision_tries = 0},
        .ranker = {.variant = VARIANT_FULL,
                   .width = 8,
                   .history = 5,
                   .batch = BATCH,
                   .z_dims = 8,
                   .books = {8, 8, 8, 8, 8},
                   .prefix_rows = 64,
                   .hidden = {8, 4},
                   RANKER_WHOLE,
                   .gate_hidden = 4,
                   .seed = 3},
        .train_listings = 200,
        .items_max = ITEMS_MAX,
        .users_max = 64,
        .id_bytes_max = 16,
        .title_bytes = 4,
        .seed = 3};
}

static inline struct model_world *world_create(const struct model_config *config) {
    struct model_world *world = calloc(1, sizeof *world);
    world->config = *config;
    MUST(arena_reserve(&world->arena, "world", (size_t)256 << 20, &world->err));
    MUST(tables_create(&world->set, &world->err));
    MUST(model_create(&world->model, config, world->set, &world->arena, &world->err));
    MUST(model_start(world->model, &world->err));
    return world;
}

static inline void world_destroy(struct model_world *world) {
    model_destroy(world->model);
    tables_destroy(world->set);
    arena_release(&world->arena);
    free(world);
}

static inline struct digest world_end_epoch(struct model_world *world) {
    tables_seal(world->set);
    MUST(model_validate(world->model, &world->err));
    struct digest digest = tables_digest(world->set);
    tables_commit(world->set);
    for (uint32_t i = 0; i < tables_count(world->set); i++)
        MUST(table_validate(tables_at(world->set, i), &world->err));
    return digest;
}

static inline struct bytes world_name(uint32_t item, char name[16]) {
    return bytes_of(name, (size_t)snprintf(name, 16, "i%u", item));
}

static inline uint32_t world_row(const struct model_world *world, uint32_t item) {
    char name[16];
    return model_find_item(world->model, world_name(item, name));
}

/* Around one of `clusters` centres that `where` names; another `where`, other centres. */
static inline void world_vector(uint32_t item, uint32_t where, uint32_t clusters, float noise,
                                float x[DIMS]) {
    struct rng centre = rng_stream(11, RNG_TEST, where, item % clusters),
               own = rng_stream(12, RNG_TEST, where, item);
    for (uint32_t i = 0; i < DIMS; i++)
        x[i] = rng_normal(&centre) + noise * rng_normal(&own);
}

/* In the open epoch. */
static inline void world_list(struct model_world *world, uint32_t item, const float x[DIMS]) {
    char name[16];
    enum list_result result;
    MUST(model_list(world->model, world_name(item, name), ++world->listed_at[item], x,
                    (struct bytes){0}, world->epoch, &result, &world->err));
    ck_assert(result == LIST_NEW || result == LIST_CHANGED);
    if (item >= world->items)
        world->items = item + 1;
}

/* `count` more items in a content epoch of their own. */
static inline void world_list_many(struct model_world *world, uint32_t count, uint32_t where) {
    world->epoch++;
    for (uint32_t i = 0; i < count; i++) {
        float x[DIMS];
        world_vector(world->items, where, 24, 0.3f, x);
        world_list(world, world->items, x);
    }
    world_end_epoch(world);
}

/* One mini-batch of random interactions with the items from .. world->items - 1, in the open epoch. */
static inline void world_learn(struct model_world *world, uint64_t draw, uint32_t from) {
    struct sample samples[BATCH];
    struct rng rng = rng_stream(13, RNG_TEST, draw, 0);
    for (uint32_t i = 0; i < BATCH; i++) {
        char name[16];
        struct bytes user =
            bytes_of(name, (size_t)snprintf(name, sizeof name, "u%u", rng_below(&rng, USERS)));
        samples[i].item_row = world_row(world, from + rng_below(&rng, world->items - from));
        samples[i].time_ms = (int64_t)draw * 1000;
        samples[i].label = rng_below(&rng, 4) == 0;
        MUST(model_user(world->model, user, &samples[i].user_row, &world->err));
    }
    MUST(model_learn(world->model, samples, BATCH, &world->err));
}

/* Click epochs of two mini-batches each. */
static inline void world_click_epochs(struct model_world *world, uint32_t count, uint32_t from) {
    for (uint32_t i = 0; i < count; i++) {
        world->epoch++;
        world_learn(world, 2 * world->epoch, from);
        world_learn(world, 2 * world->epoch + 1, from);
        MUST(model_align(world->model, world->epoch, &world->err));
        world_end_epoch(world);
    }
}

static inline const struct sid_row *world_sid(const struct model_world *world, uint32_t item) {
    uint32_t row = world_row(world, item);
    ck_assert(row != NO_ROW && table_live(world->model->sid, row));
    return table_value(world->model->sid, row);
}

static inline struct evaluation world_evaluation(struct model_world *world) {
    struct evaluation evaluation;
    model_evaluate(world->model, &evaluation);
    return evaluation;
}

#endif
