/* Random streams through labels against a naive model, which keeps every impression, click and
 * repeat in a list and looks at all of them each time: same samples in the same order, same
 * refusals, whatever is rolled back or restarted on the way. */
#include "world.h"

#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>

#define EVENTS 1500
#define PARTITIONS 3

/* ---- the naive model ---- */

struct naive_impression {
    struct event_spec spec;
    uint32_t item_row, listing;
    bool matched, closed;
};
struct naive {
    struct naive_impression impressions[EVENTS];
    struct event_spec clicks[EVENTS]; /* held */
    struct event_spec seen[EVENTS];   /* with a request id */
    uint32_t impression_count, click_count, seen_count;
    int64_t largest_ms[PARTITIONS]; /* -1: none */
    int64_t watermark_ms;
};

static void naive_start(struct naive *naive) {
    *naive = (struct naive){.watermark_ms = INT64_MIN, .largest_ms = {-1, -1, -1}};
}

static bool same_text(const char *a, const char *b) {
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_key(const struct event_spec *a, const struct event_spec *b) {
    return same_text(a->user, b->user) && same_text(a->item, b->item) &&
           same_text(a->request, b->request);
}

static bool in_window(const struct stage_config *config, int64_t impression_ms, int64_t click_ms) {
    return click_ms >= impression_ms && click_ms <= impression_ms + config->join_window_ms;
}

struct outcome {
    bool refused;
    enum dead_reason reason;
    struct sample samples[EVENTS];
    uint32_t count;
};

/* How often each item was listed, so that an item that comes back is another one. */
static uint32_t listings[8];

static void naive_emit(struct outcome *out, struct world *world,
                       const struct naive_impression *impression, float label) {
    const uint32_t item = (uint32_t)(impression->spec.item[1] - '0');
    if (listings[item] != impression->listing)
        return;
    out->samples[out->count++] =
        (struct sample){.user_row = world_user(world, impression->spec.user),
                        .item_row = impression->item_row,
                        .time_ms = impression->spec.time_ms,
                        .label = label};
}

static int by_deadline(const void *a, const void *b) {
    const struct naive_impression *x = *(struct naive_impression *const *)a;
    const struct naive_impression *y = *(struct naive_impression *const *)b;
    if (x->spec.time_ms != y->spec.time_ms)
        return x->spec.time_ms < y->spec.time_ms ? -1 : 1;
    return x < y ? -1 : x > y; /* of one array, in order of arrival */
}

static void naive_advance(struct naive *naive, const struct world *of, struct world *world,
                          int32_t partition, int64_t time_ms, struct outcome *out) {
    const struct stage_config *config = &of->config;
    int64_t furthest_ms = -1, reached_ms = INT64_MAX;
    if (time_ms > naive->largest_ms[partition])
        naive->largest_ms[partition] = time_ms;
    for (int p = 0; p < PARTITIONS; p++)
        if (naive->largest_ms[p] > furthest_ms)
            furthest_ms = naive->largest_ms[p];
    for (int p = 0; p < PARTITIONS; p++)
        if (naive->largest_ms[p] >= 0 && furthest_ms - naive->largest_ms[p] <= config->idle_ms &&
            naive->largest_ms[p] < reached_ms)
            reached_ms = naive->largest_ms[p];
    if (reached_ms - config->lateness_ms > naive->watermark_ms)
        naive->watermark_ms = reached_ms - config->lateness_ms;
    struct naive_impression *due[EVENTS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < naive->impression_count; i++) {
        struct naive_impression *impression = &naive->impressions[i];
        if (impression->closed ||
            impression->spec.time_ms + config->join_window_ms >= naive->watermark_ms)
            continue;
        impression->closed = true;
        if (!impression->matched)
            due[count++] = impression;
    }
    qsort(due, count, sizeof due[0], by_deadline);
    for (uint32_t i = 0; i < count; i++)
        naive_emit(out, world, due[i], 0);
}

static void refuse(struct outcome *out, enum dead_reason reason) {
    out->refused = true;
    out->reason = reason;
}

static void naive_impress(struct naive *naive, struct world *world, const struct event_spec *spec,
                          struct outcome *out) {
    const int64_t window_ms = world->config.join_window_ms;
    if (spec->time_ms < naive->watermark_ms)
        return refuse(out, DEAD_LATE);
    for (uint32_t i = 0; i < naive->impression_count; i++) {
        const struct naive_impression *other = &naive->impressions[i];
        if (!other->closed && same_key(&other->spec, spec) &&
            llabs(other->spec.time_ms - spec->time_ms) <= window_ms)
            return refuse(out, DEAD_DUPLICATE);
    }
    struct naive_impression *impression = &naive->impressions[naive->impression_count++];
    *impression = (struct naive_impression){.spec = *spec,
                                            .item_row = world_item(world, spec->item),
                                            .listing = listings[spec->item[1] - '0']};
    for (uint32_t i = 0; i < naive->click_count && !impression->matched; i++)
        impression->matched = same_key(&naive->clicks[i], spec) &&
                              in_window(&world->config, spec->time_ms, naive->clicks[i].time_ms);
    if (impression->matched)
        naive_emit(out, world, impression, 1);
}

static void naive_click(struct naive *naive, struct world *world, const struct event_spec *spec,
                        struct outcome *out) {
    for (uint32_t i = 0; i < naive->impression_count; i++) {
        struct naive_impression *impression = &naive->impressions[i];
        if (impression->closed || !same_key(&impression->spec, spec) ||
            !in_window(&world->config, impression->spec.time_ms, spec->time_ms))
            continue;
        if (!impression->matched)
            naive_emit(out, world, impression, 1);
        impression->matched = true;
        return;
    }
    if (spec->time_ms < naive->watermark_ms)
        return refuse(out, DEAD_LATE);
    naive->clicks[naive->click_count++] = *spec;
}

static bool naive_repeated(const struct naive *naive, const struct world *world,
                           const struct event_spec *spec) {
    for (uint32_t i = 0; i < naive->seen_count; i++) {
        const struct event_spec *other = &naive->seen[i];
        if (other->time_ms + world->config.join_window_ms >= naive->watermark_ms &&
            same_key(other, spec) && other->time_ms == spec->time_ms &&
            other->action == spec->action && other->has_position == spec->has_position &&
            other->position == spec->position)
            return true;
    }
    return false;
}

static void naive_apply(struct naive *naive, struct world *world, const struct event_spec *spec,
                        struct outcome *out) {
    *out = (struct outcome){.count = 0};
    naive_advance(naive, world, world, spec->partition, spec->time_ms, out);
    if (spec->request != NULL && naive_repeated(naive, world, spec))
        return refuse(out, DEAD_DUPLICATE);
    if (spec->has_label)
        out->samples[out->count++] = (struct sample){.user_row = world_user(world, spec->user),
                                                     .item_row = world_item(world, spec->item),
                                                     .time_ms = spec->time_ms,
                                                     .label = spec->label};
    else if (spec->action == ACTION_IMPRESSION)
        naive_impress(naive, world, spec, out);
    else
        naive_click(naive, world, spec, out);
    if (!out->refused && spec->request != NULL)
        naive->seen[naive->seen_count++] = *spec;
}

/* ---- the stream ---- */

static const char *const users[] = {"u0", "u1", "u2"};
static const char *const items[] = {"i0", "i1", "i2", "i3"};
static const char *const requests[] = {NULL, NULL, "r1", "r2"};

static struct stage_config random_config(struct rng *rng) {
    struct stage_config config = world_config();
    config.join_window_ms = rng_below(rng, 5) == 0 ? 0 : rng_below(rng, 120);
    config.lateness_ms = rng_below(rng, 80);
    config.idle_ms = rng_below(rng, 400);
    config.join_rows_max = 100000;
    config.duplicate_rows_max = 100000;
    return config;
}

/* Times go up by 3 ms an event on average and are up to 100 ms out of order; partitions wander
 * apart at times. */
static struct event_spec random_event(struct rng *rng, int64_t offset) {
    const int32_t partition = (int32_t)rng_below(rng, PARTITIONS);
    const int64_t behind_ms = offset / 300 % 2 == 1 && partition == 1 ? 350 : 0;
    struct event_spec spec = {.partition = partition,
                              .offset = offset,
                              .user = users[rng_below(rng, 3)],
                              .item = items[rng_below(rng, 4)],
                              .request = requests[rng_below(rng, 4)],
                              .time_ms = 1000 + 3 * offset - behind_ms + rng_below(rng, 100),
                              .action = (enum action)rng_below(rng, 4)};
    if (rng_below(rng, 3) > 0)
        spec.action = ACTION_IMPRESSION;
    if (rng_below(rng, 20) == 0) {
        spec.has_label = true;
        spec.label = (float)rng_below(rng, 2);
    }
    return spec;
}

/* So that joins are in use from the start. */
static const struct event_spec first = {
    .user = "u0", .item = "i0", .time_ms = 900, .action = ACTION_IMPRESSION};

struct run {
    struct world *world;
    struct naive naive, saved;
    struct event_spec events[EVENTS];
    uint32_t saved_listings[8];
    struct outcome out;
};

static void list(struct world *world, uint32_t item) {
    if (world_item(world, items[item]) != NO_ROW)
        return;
    world_list(world, items[item]);
    listings[item]++;
}

static void step(struct run *run, uint32_t at, const char *rerun) {
    struct world *world = run->world;
    const struct event_spec *spec = &run->events[at];
    if (at % 97 == 96)
        world_delist(world, items[at % 4]);
    for (uint32_t item = 0; item < 4; item++)
        list(world, item);
    naive_apply(&run->naive, world, spec, &run->out);
    const uint32_t before = world->count;
    const enum status status = world_apply(world, spec);
    ck_assert_msg(run->out.refused == (status == BAD_RECORD), "event %u: %s, expected %s; %s", at,
                  status_name(status), run->out.refused ? "a refusal" : "none", rerun);
    ck_assert_msg(!run->out.refused || run->out.reason == world->reason,
                  "event %u: reason %d, expected %d; %s", at, world->reason, run->out.reason,
                  rerun);
    ck_assert_msg(run->out.count == world->count - before, "event %u: %u samples, expected %u; %s",
                  at, world->count - before, run->out.count, rerun);
    for (uint32_t i = 0; i < run->out.count; i++)
        ck_assert_msg(world_compare_samples(&run->out.samples[i], &world->samples[before + i]) == 0,
                      "event %u: sample %u differs; %s", at, i, rerun);
    ck_assert_int_eq(run->naive.watermark_ms, labels_watermark(world->labels));
}

/* The world anew from its rows or from a snapshot; the samples so far go with it. */
static struct world *restart(struct world *world, struct rng *rng) {
    struct world *restarted = rng_below(rng, 4) > 0 ? world_restart(world) : world_reload(world);
    restarted->count = world->count;
    memcpy(restarted->samples, world->samples, world->count * sizeof(struct sample));
    world_destroy(world);
    return restarted;
}

/* Epochs of random length; now and then one is rolled back in the middle and done again, or all is
 * restarted. */
static void run_epochs(struct run *run, struct rng *rng, const char *rerun) {
    uint32_t at = 0;
    while (at < EVENTS) {
        const uint32_t left = EVENTS - at, wanted = 1 + rng_below(rng, 60);
        const uint32_t length = wanted < left ? wanted : left, kept = run->world->count;
        if (rng_below(rng, 3) == 0) {
            run->saved = run->naive;
            memcpy(run->saved_listings, listings, sizeof listings);
            for (uint32_t i = 0; i < length; i++)
                step(run, at + i, rerun);
            if (rng_below(rng, 2) == 0)
                tables_seal(run->world->set);
            world_rollback(run->world);
            run->world->count = kept;
            run->naive = run->saved;
            memcpy(listings, run->saved_listings, sizeof listings);
        }
        for (uint32_t i = 0; i < length; i++)
            step(run, at + i, rerun);
        at += length;
        world_commit(run->world);
        if (rng_below(rng, 10) == 0)
            run->world = restart(run->world, rng);
    }
}

START_TEST(streams_give_the_samples_of_the_naive_model) {
    const uint64_t seed = world_seed((uint64_t)_i + 1);
    char rerun[64];
    snprintf(rerun, sizeof rerun, "COLDSTREAM_SEED=%llu test_labels_random",
             (unsigned long long)seed);
    struct rng rng = rng_stream(seed, RNG_TEST, 1, 0);
    const struct stage_config config = random_config(&rng);
    struct run *run = calloc(1, sizeof *run);
    ck_assert_ptr_nonnull(run);
    memset(listings, 0, sizeof listings);
    run->world = world_create(&config);
    naive_start(&run->naive);
    run->events[0] = first;
    for (uint32_t i = 1; i < EVENTS; i++) /* one in 8 comes again */
        run->events[i] = i > 10 && rng_below(&rng, 8) == 0
                             ? run->events[i - 1 - rng_below(&rng, 10)]
                             : random_event(&rng, i);
    run_epochs(run, &rng, rerun);
    ck_assert_msg(run->world->count > 100, "only %u samples; %s", run->world->count, rerun);
    world_destroy(run->world);
    free(run);
}
END_TEST

/* ---- rollback and restart, with tables so small that they overflow ---- */

/* Applies an epoch of events; refusals are part of the stream. */
static void apply_epoch(struct world *world, const struct event_spec *events, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        world_apply(world, &events[i]);
}

START_TEST(rollback_and_restart_leave_no_trace) {
    const uint64_t seed = world_seed((uint64_t)_i + 1);
    struct rng rng = rng_stream(seed, RNG_TEST, 3, 0);
    struct stage_config config = random_config(&rng);
    config.join_rows_max = 1 + rng_below(&rng, 10);
    config.duplicate_rows_max = rng_below(&rng, 10);
    config.popular_clicks = rng_below(&rng, 150);
    struct event_spec *events = calloc(EVENTS, sizeof *events);
    ck_assert_ptr_nonnull(events);
    for (uint32_t i = 0; i < EVENTS; i++) {
        events[i] = random_event(&rng, i);
        if (i < EVENTS / 3) /* at first there are clicks only */
            events[i].action = ACTION_CLICK;
    }
    struct world *straight = world_create(&config), *tried = world_create(&config);
    for (uint32_t at = 0; at < EVENTS; at += 50) {
        const uint32_t kept = tried->count;
        apply_epoch(straight, &events[at], 50);
        if (rng_below(&rng, 2) == 0) {
            apply_epoch(tried, &events[at], rng_below(&rng, 51));
            world_rollback(tried);
            tried->count = kept;
        }
        apply_epoch(tried, &events[at], 50);
        ck_assert(digest_equal(world_digest(straight), world_digest(tried)));
        if (rng_below(&rng, 3) == 0)
            tried = restart(tried, &rng);
    }
    ck_assert_uint_eq(straight->count, tried->count);
    for (uint32_t i = 0; i < straight->count; i++)
        ck_assert_msg(world_compare_samples(&straight->samples[i], &tried->samples[i]) == 0,
                      "sample %u differs; COLDSTREAM_SEED=%llu test_labels_random", i,
                      (unsigned long long)seed);
    world_destroy(straight);
    world_destroy(tried);
    free(events);
}
END_TEST

/* ---- arrival order ---- */

static int by_time(const void *a, const void *b) {
    const struct event_spec *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static struct world *samples_of(const struct stage_config *config, const struct event_spec *events,
                                uint32_t count) {
    struct world *world = world_create(config);
    for (uint32_t u = 0; u < 3; u++)
        world_user(world, users[u]);
    for (uint32_t i = 0; i < 4; i++)
        world_list(world, items[i]);
    world_apply(world, &first);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(world_apply(world, &events[i]), OK);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        world_advance(world, partition, INT64_C(1) << 40);
    qsort(world->samples, world->count, sizeof(struct sample), world_compare_samples);
    return world;
}

START_TEST(within_the_lateness_arrival_order_makes_no_difference) {
    const uint64_t seed = world_seed((uint64_t)_i + 1);
    struct rng rng = rng_stream(seed, RNG_TEST, 2, 0);
    struct stage_config config = world_config();
    config.lateness_ms = 100;
    config.idle_ms = 1000000;
    struct event_spec *events = calloc(EVENTS, sizeof *events);
    ck_assert_ptr_nonnull(events);
    char(*names)[16] = calloc(EVENTS, sizeof *names);
    ck_assert_ptr_nonnull(names);
    /* one impression a request, so that no two are taken for one, and clicks around it */
    for (uint32_t i = 0; i < EVENTS; i++) {
        const uint32_t showing = i / 3;
        snprintf(names[i], sizeof names[i], "r%u", showing);
        events[i] = (struct event_spec){.partition = (int32_t)rng_below(&rng, PARTITIONS),
                                        .offset = i,
                                        .user = users[showing % 3],
                                        .item = items[showing % 4],
                                        .request = names[i],
                                        .time_ms = 1000 + 3 * (int64_t)showing,
                                        .action = i % 3 == 0 ? ACTION_IMPRESSION : ACTION_CLICK,
                                        .has_position = true,
                                        .position = (int32_t)i};
        if (i % 3 != 0)
            events[i].time_ms += (int64_t)rng_below(&rng, 200) - 20;
    }
    qsort(events, EVENTS, sizeof *events, by_time);
    struct world *in_order = samples_of(&config, events, EVENTS);
    for (uint32_t i = 0; i + 1 < EVENTS; i++) { /* swaps that stay within the lateness */
        const uint32_t j = i + rng_below(&rng, 20);
        if (j < EVENTS && events[j].time_ms - events[i].time_ms <= 30) {
            const struct event_spec kept = events[i];
            events[i] = events[j];
            events[j] = kept;
        }
    }
    struct world *shuffled = samples_of(&config, events, EVENTS);
    ck_assert_uint_eq(in_order->count, EVENTS / 3 + 1);
    ck_assert_uint_eq(shuffled->count, in_order->count);
    for (uint32_t i = 0; i < shuffled->count; i++)
        ck_assert_msg(world_compare_samples(&in_order->samples[i], &shuffled->samples[i]) == 0,
                      "sample %u differs by arrival order; COLDSTREAM_SEED=%llu test_labels_random",
                      i, (unsigned long long)seed);
    world_destroy(in_order);
    world_destroy(shuffled);
    free(names);
    free(events);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("labels_random");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 120);
    tcase_add_loop_test(random, streams_give_the_samples_of_the_naive_model, 0, 20);
    tcase_add_loop_test(random, rollback_and_restart_leave_no_trace, 0, 20);
    tcase_add_loop_test(random, within_the_lateness_arrival_order_makes_no_difference, 0, 10);
    suite_add_tcase(suite, random);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
