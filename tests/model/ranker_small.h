/* A ranker small enough to look at every number of it, with parameters far from their first values. */
#ifndef TESTS_RANKER_SMALL_H
#define TESTS_RANKER_SMALL_H

#include "model/ranker_private.h"
#include "ranker_world.h"
#include <check.h>

#define EVENTS 12
#define ITEMS 30

static inline uint64_t seed(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t value = text ? strtoull(text, NULL, 10) : 1;
    printf("rerun with COLDSTREAM_SEED=%llu\n", (unsigned long long)value);
    return value;
}

static inline struct ranker_config small_config(enum variant variant) {
    struct ranker_config c = world_config(variant);
    c.width = 8;
    c.history = 5;
    c.batch = EVENTS;
    c.z_dims = 12;
    memcpy(c.books, (uint32_t[SID_CODES]){4, 5, 6, 3, 7}, sizeof c.books);
    c.gate_hidden = 6;
    c.prefix_rows = 50; /* less than 4 * 5 * 6: prefixes share rows */
    c.hidden[0] = 17;
    c.hidden[1] = 12;
    return c;
}

/* Every row of a table: values plus deviation * N(0, 1). */
static inline void shake(struct table *table, float deviation, struct rng *rng) {
    for (uint32_t row = 0; row < table_end(table); row++)
        if (table_live(table, row)) {
            float *value = table_edit(table, row);
            for (uint32_t i = 0; i < table_spec(table)->value_bytes / 4; i++)
                value[i] += deviation * rng_normal(rng);
        }
}

/* A small world with random items, two without a SID and without content, parameters far from their
 * first values. */
static inline void open_small_as(struct world *w, const struct ranker_config *config,
                                 struct rng *rng) {
    world_open(w, config, ITEMS);
    for (int i = 0; i < ITEMS - 2; i++)
        world_random_item(w, rng);
    world_item(w, NULL, NULL);
    world_item(w, NULL, NULL);
    shake(w->items.embedding, 1.0f, rng);
    for (int t = 0; t < TENSORS; t++)
        if (w->ranker->tensors[t].count > 0)
            shake(w->ranker->tensors[t].values, 0.3f, rng);
    for (int l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (w->ranker->levels[l].of[use].rows)
                shake(w->ranker->levels[l].of[use].rows, 0.5f, rng);
    world_commit(w);
}

static inline void open_small(struct world *w, enum variant variant, struct rng *rng) {
    struct ranker_config config = small_config(variant);
    open_small_as(w, &config, rng);
}

static inline float *copy(const float *from, size_t count) {
    float *to = malloc((count + 1) * sizeof *to);
    ck_assert_ptr_nonnull(to);
    if (count > 0)
        memcpy(to, from, count * sizeof *to);
    return to;
}

#endif
