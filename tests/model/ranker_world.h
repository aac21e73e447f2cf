/* A ranker with its tables and a few items, and mini-batches for it: for tests and benchmarks.
 * Whatever fails ends the program with its message. */
#ifndef TESTS_RANKER_WORLD_H
#define TESTS_RANKER_WORLD_H

#include "../ranker_whole.h"
#include "base/rng.h"
#include "model/ranker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_ARENA_BYTES ((size_t)1 << 30)

struct world {
    struct arena arena;
    struct tables *set;
    struct item_tables items;
    struct ranker *ranker;
    struct ranker_config config;
    uint32_t items_max;
};

static inline void world_must(enum status status, const struct error *err) {
    if (status == OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static inline struct ranker_config world_config(enum variant variant) {
    return (struct ranker_config){.variant = variant,
                                  .width = 32,
                                  .history = 30,
                                  .batch = 512,
                                  .z_dims = 64,
                                  .books = {64, 64, 64, 64, 64},
                                  .prefix_rows = 16384,
                                  .hidden = {64, 32},
                                  RANKER_WHOLE,
                                  .gate_hidden = 16,
                                  .seed = 1};
}

static inline void world_add(struct world *w, const char *name, struct table *parent, size_t bytes,
                             struct table **out) {
    struct error err;
    struct table_spec spec = {.name = name,
                              .key_kind = parent ? KEY_CHILD : KEY_U64,
                              .output = TO_CHANGELOG,
                              .parent = parent,
                              .value_bytes = (uint32_t)bytes,
                              .rows_max = w->items_max};
    world_must(tables_add(w->set, &spec, out, &err), &err);
}

static inline void world_open(struct world *w, const struct ranker_config *config,
                              uint32_t items_max) {
    struct error err;
    *w = (struct world){.config = *config, .items_max = items_max};
    world_must(arena_reserve(&w->arena, "world", WORLD_ARENA_BYTES, &err), &err);
    world_must(tables_create(&w->set, &err), &err);
    world_add(w, "items", NULL, 4, &w->items.items);
    world_add(w, "embedding", w->items.items, (config->width + 1) * sizeof(float),
              &w->items.embedding);
    world_add(w, "optimiser", w->items.items, 2 * sizeof(float), &w->items.optimiser);
    world_add(w, "z", w->items.items, config->z_dims * sizeof(float), &w->items.z);
    world_add(w, "semantic-ids", w->items.items, sizeof(struct sid_row), &w->items.sid);
    world_must(ranker_create(&w->ranker, config, &w->items, w->set, &w->arena, &err), &err);
    world_must(ranker_start(w->ranker, &err), &err);
}

static inline void world_close(struct world *w) {
    tables_destroy(w->set);
    arena_release(&w->arena);
}

/* codes and z may be NULL: an item without a SID, without content. Returns its position. */
static inline uint32_t world_item(struct world *w, const uint16_t *codes, const float *z) {
    struct error err;
    uint32_t row;
    world_must(table_insert_u64(w->items.items, table_rows(w->items.items), &row, &err), &err);
    if (codes) {
        world_must(table_insert_child(w->items.sid, row, &err), &err);
        struct sid_row *sid = table_edit(w->items.sid, row);
        memcpy(sid->codes, codes, sizeof sid->codes);
    }
    if (z) {
        world_must(table_insert_child(w->items.z, row, &err), &err);
        memcpy(table_edit(w->items.z, row), z, w->config.z_dims * sizeof *z);
    }
    world_must(ranker_admit(w->ranker, row, &err), &err);
    return row;
}

/* An item with random codes and a random z of length 4. */
static inline uint32_t world_random_item(struct world *w, struct rng *rng) {
    uint16_t codes[SID_CODES];
    float z[4096], square = 0.0f;
    for (uint32_t l = 0; l < SID_CODES; l++)
        codes[l] = (uint16_t)rng_below(rng, w->config.books[l]);
    for (uint32_t i = 0; i < w->config.z_dims; i++) {
        z[i] = rng_normal(rng);
        square += z[i] * z[i];
    }
    for (uint32_t i = 0; i < w->config.z_dims; i++)
        z[i] *= Z_SCALE / __builtin_sqrtf(square);
    return world_item(w, codes, z);
}

/* Ends the epoch, so that the next edit is the first of a new one. */
static inline void world_commit(struct world *w) {
    tables_seal(w->set);
    tables_commit(w->set);
}

/* Room for a batch of config.batch events; candidate and history hold positions in `items` until
 * batch_index(). */
static inline struct batch batch_new(const struct world *w) {
    size_t n = w->config.batch, h = w->config.history;
    struct batch b = {.item_row = calloc(n * (h + 1), sizeof(uint32_t)),
                      .candidate = calloc(n, sizeof(uint32_t)),
                      .user = calloc(n, sizeof(uint32_t)),
                      .history = calloc(n * h, sizeof(uint32_t)),
                      .history_length = calloc(n, sizeof(uint32_t)),
                      .features = calloc(n * FEATURES, sizeof(float)),
                      .item_features = calloc(n * (h + 1) * GATE_FEATURES, sizeof(float)),
                      .labels = calloc(n, sizeof(float)),
                      .contrast_item = calloc(CONTRAST_ITEMS_MAX, sizeof(uint32_t)),
                      .positive = calloc(CONTRAST_ITEMS_MAX * CONTRAST_ITEMS_MAX, 1)};
    return b;
}

static inline void batch_free(struct batch *b) {
    void *all[] = {b->item_row, b->candidate,     b->user,   b->history,       b->history_length,
                   b->features, b->item_features, b->labels, b->contrast_item, b->positive};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Turns positions into indices of item_row, ascending. */
static inline void batch_index(const struct world *w, struct batch *b) {
    size_t h = w->config.history;
    uint32_t *index = calloc(w->items_max, sizeof *index);
    for (uint32_t e = 0; e < b->events; e++)
        index[b->candidate[e]] = 1;
    for (uint32_t u = 0; u < b->users; u++)
        for (uint32_t j = 0; j < b->history_length[u]; j++)
            index[b->history[u * h + j]] = 1;
    b->items = 0;
    for (uint32_t row = 0; row < w->items_max; row++)
        if (index[row]) {
            b->item_row[b->items] = row;
            index[row] = b->items++;
        }
    for (uint32_t e = 0; e < b->events; e++)
        b->candidate[e] = index[b->candidate[e]];
    for (uint32_t u = 0; u < b->users; u++)
        for (uint32_t j = 0; j < b->history_length[u]; j++)
            b->history[u * h + j] = index[b->history[u * h + j]];
    free(index);
}

/* The first distinct candidates with a SID are in the contrast; each is a positive of another with the probability
 * `share`. */
static inline void batch_contrast(const struct world *w, struct batch *b, float share,
                                  struct rng *rng) {
    uint8_t *seen = calloc(b->items, 1);
    b->contrast_items = 0;
    for (uint32_t e = 0; e < b->events && b->contrast_items < CONTRAST_ITEMS_MAX; e++) {
        if (seen[b->candidate[e]]++ || !table_live(w->items.sid, b->item_row[b->candidate[e]]))
            continue;
        b->contrast_item[b->contrast_items++] = b->candidate[e];
    }
    for (uint32_t i = 0; i < b->contrast_items; i++)
        for (uint32_t j = 0; j < b->contrast_items; j++)
            b->positive[i * b->contrast_items + j] = i != j && rng_unit(rng) < share;
    free(seen);
}

/* Random candidates, users, features and labels; histories of full length, or of any length when
 * ragged. */
static inline void batch_random(const struct world *w, struct batch *b, uint32_t events,
                                uint32_t users, bool ragged, struct rng *rng) {
    uint32_t h = w->config.history, items = table_rows(w->items.items);
    b->events = events;
    b->users = users;
    for (uint32_t e = 0; e < events; e++) {
        b->user[e] = e < users ? e : rng_below(rng, users);
        b->candidate[e] = rng_below(rng, items);
        b->labels[e] = rng_unit(rng) < 0.3f ? 1.0f : 0.0f;
        for (uint32_t i = 0; i < FEATURES; i++)
            b->features[e * FEATURES + i] = rng_normal(rng);
    }
    for (uint32_t u = 0; u < users; u++) {
        b->history_length[u] = ragged ? rng_below(rng, h + 1) : h;
        for (uint32_t j = 0; j < h; j++)
            b->history[u * h + j] = rng_below(rng, items);
    }
    batch_index(w, b);
    for (uint32_t i = 0; i < b->items * GATE_FEATURES; i++)
        b->item_features[i] = rng_normal(rng);
    batch_contrast(w, b, 0.2f, rng);
}

#endif
