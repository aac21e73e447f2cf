/* The synthetic marketplace: the same seed gives the same events, and its structure is there to
 * be learned. */
#include "base/rng.h"
#include "cli/market.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct arena arena;
static struct market *market;

static struct market_config small(void) {
    return (struct market_config){.items = 300,
                                  .users = 200,
                                  .events = 20000,
                                  .days = 10,
                                  .dims = 32,
                                  .seed = 5,
                                  .drift_at = -1};
}

static void make(const struct market_config *config) {
    struct error err;
    arena_release(&arena);
    ck_assert_int_eq(arena_reserve(&arena, "market", market_bytes(config), &err), OK);
    ck_assert_msg(market_create(&market, config, &arena, &err) == OK, "%s", err.text);
}

static uint64_t hash_run(struct bytes run, uint64_t seed) {
    return hash64(run.data, run.len, seed);
}

/* Of everything that is written to the topics. */
static uint64_t hash_of_market(const struct market_config *config) {
    struct event event;
    uint64_t hash = 0;
    make(config);
    for (uint32_t i = 0; i < config->items; i++) {
        market_listing(market, i, &event);
        const struct listing *listing = &event.as.listing;
        hash = hash_run(listing->item_id, hash_run(listing->text, hash));
        hash = hash64(listing->vector, listing->dims * sizeof(float),
                      hash ^ (uint64_t)listing->event_time_ms);
    }
    for (uint64_t i = 0; i < config->events; i++) {
        market_interaction(market, i, &event);
        const struct interaction *one = &event.as.interaction;
        hash = hash_run(one->item_id, hash_run(one->user_id, hash_run(one->request_id, hash)));
        int64_t rest[] = {one->event_time_ms, one->action, one->has_label, (int64_t)one->label,
                          one->position};
        hash = hash64(rest, sizeof rest, hash);
    }
    return hash;
}

START_TEST(seed_decides_everything) {
    struct market_config config = small();
    uint64_t first = hash_of_market(&config);
    ck_assert_uint_eq(hash_of_market(&config), first);
    /* the same on every machine and in every build */
    ck_assert_msg(first == 0x46099315ba677758ull, "digest is 0x%llxull", (unsigned long long)first);
    config.seed++;
    ck_assert_uint_ne(hash_of_market(&config), first);
}
END_TEST

START_TEST(order_and_listings) {
    struct market_config config = small();
    struct event event;
    int64_t listed_ms[300], before_ms = 0;
    make(&config);
    for (uint32_t i = 0; i < config.items; i++) {
        market_listing(market, i, &event);
        listed_ms[i] = event.as.listing.event_time_ms;
        ck_assert_int_ge(listed_ms[i], before_ms);
        before_ms = listed_ms[i];
    }
    before_ms = 0;
    uint32_t on_new = 0;
    for (uint64_t i = 0; i < config.events; i++) {
        market_interaction(market, i, &event);
        const struct interaction *one = &event.as.interaction;
        uint32_t item = (uint32_t)atoi((const char *)one->item_id.data + 5);
        ck_assert_int_ge(one->event_time_ms, before_ms);
        ck_assert_msg(listed_ms[item] < one->event_time_ms, "event %llu on an item not yet listed",
                      (unsigned long long)i);
        before_ms = one->event_time_ms;
        on_new += item >= 180;
    }
    struct market_truth truth;
    market_truth(market, &truth);
    ck_assert_uint_eq(truth.listed_later, 120);
    ck_assert_uint_gt(on_new, 2000);
    ck_assert_uint_lt(on_new, 10000);
}
END_TEST

static float cosine(const float *a, const float *b, uint32_t dims) {
    float sum = 0;
    for (uint32_t i = 0; i < dims; i++)
        sum += a[i] * b[i];
    return sum;
}

START_TEST(content_tells_the_taste) {
    struct market_config config = small();
    static float vectors[300][32];
    struct event event;
    double same = 0, other = 0, same_count = 0, other_count = 0;
    make(&config);
    for (uint32_t i = 0; i < config.items; i++) {
        market_listing(market, i, &event);
        memcpy(vectors[i], event.as.listing.vector, sizeof vectors[i]);
        ck_assert_float_eq_tol(cosine(vectors[i], vectors[i], 32), 1, 1e-5f);
    }
    for (uint32_t i = 0; i < config.items; i++)
        for (uint32_t j = 0; j < i; j++) {
            bool equal = market_taste(market, i) == market_taste(market, j);
            *(equal ? &same : &other) += (double)cosine(vectors[i], vectors[j], 32);
            *(equal ? &same_count : &other_count) += 1;
        }
    ck_assert_double_gt(same / same_count, 0.7);
    ck_assert_double_lt(other / other_count, 0.15);
}
END_TEST

START_TEST(clicks_follow_taste) {
    struct market_config config = small();
    struct market_truth truth;
    make(&config);
    market_truth(market, &truth);
    double rate = (double)truth.clicked / (double)truth.shown;
    ck_assert_uint_ge(truth.shown, config.events);
    ck_assert_double_gt(rate, 0.2);
    ck_assert_double_lt(rate, 0.5);
    ck_assert_double_gt(truth.auc_best, 0.72);
    ck_assert_double_lt(truth.auc_best, 0.9);
    ck_assert_int_eq(truth.drift_ms, -1);
}
END_TEST

/* Share of the events before and after the middle that are equal in two marketplaces. */
static void compare_halves(const struct market_config *a, const struct market_config *b,
                           double equal[2]) {
    static struct {
        char item[16];
        float label;
    } seen[20000];
    struct event event;
    uint64_t same[2] = {0, 0};
    make(a);
    for (uint64_t i = 0; i < a->events; i++) {
        market_interaction(market, i, &event);
        memcpy(seen[i].item, event.as.interaction.item_id.data,
               event.as.interaction.item_id.len + 1);
        seen[i].label = event.as.interaction.label;
    }
    make(b);
    for (uint64_t i = 0; i < b->events; i++) {
        market_interaction(market, i, &event);
        same[2 * i >= b->events] +=
            bytes_equal(event.as.interaction.item_id, bytes_text(seen[i].item)) &&
            event.as.interaction.label == seen[i].label;
    }
    for (int half = 0; half < 2; half++)
        equal[half] = 2 * (double)same[half] / (double)a->events;
}

START_TEST(drift_begins_at_its_moment) {
    struct market_config calm = small(), drifting = small();
    struct market_truth truth;
    double equal[2];
    drifting.drift_at = 0.5;
    drifting.drift_strength = 1;
    compare_halves(&calm, &drifting, equal);
    market_truth(market, &truth);
    ck_assert_int_eq(truth.drift_ms, MARKET_START_MS + 5 * 86400000);
    ck_assert_double_gt(equal[0], 0.99); /* sessions that overlap the moment */
    ck_assert_double_lt(equal[1], 0.7);
    drifting.drift_strength = 0;
    compare_halves(&calm, &drifting, equal);
    ck_assert_double_eq(equal[1], 1);
}
END_TEST

START_TEST(labels_are_told_in_three_ways) {
    struct market_config config = small();
    struct event event;
    for (enum market_labels labels = MARKET_GIVEN; labels <= MARKET_CLICKS; labels++) {
        uint64_t clicks = 0, impressions = 0, labelled = 0;
        config.labels = labels;
        make(&config);
        for (uint64_t i = 0; i < config.events; i++) {
            market_interaction(market, i, &event);
            clicks += event.as.interaction.action == ACTION_CLICK;
            impressions += event.as.interaction.action == ACTION_IMPRESSION;
            labelled += event.as.interaction.has_label;
        }
        ck_assert_uint_eq(clicks + impressions, config.events);
        ck_assert_uint_eq(labelled, labels == MARKET_GIVEN ? config.events : 0);
        if (labels == MARKET_CLICKS)
            ck_assert_uint_eq(impressions, 0);
        else
            ck_assert_uint_gt(impressions, clicks);
    }
}
END_TEST

START_TEST(smallest_marketplace) {
    struct market_config config = {.items = 1,
                                   .users = 1,
                                   .events = 1,
                                   .days = 1,
                                   .dims = 1,
                                   .drift_at = 0,
                                   .drift_strength = 0.01};
    struct event event;
    make(&config);
    market_listing(market, 0, &event);
    market_interaction(market, 0, &event);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("market");
    TCase *all = tcase_create("all");
    suite_add_tcase(suite, all);
    tcase_add_test(all, seed_decides_everything);
    tcase_add_test(all, order_and_listings);
    tcase_add_test(all, content_tells_the_taste);
    tcase_add_test(all, clicks_follow_taste);
    tcase_add_test(all, drift_begins_at_its_moment);
    tcase_add_test(all, labels_are_told_in_three_ways);
    tcase_add_test(all, smallest_marketplace);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
