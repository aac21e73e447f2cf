/* Clicks without impressions: negatives of stage/labels.h, what they are drawn from and how often. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

static struct world *world;

static void setup(void) {
    const struct stage_config config = world_config();
    world = world_create(&config);
}

static void teardown(void) {
    world_destroy(world);
}

static void reopen(const struct stage_config *config) {
    world_destroy(world);
    world = world_create(config);
}

static enum status click(const char *user, const char *item, int64_t time_ms) {
    const struct event_spec spec = {
        .user = user, .item = item, .time_ms = time_ms, .action = ACTION_CLICK};
    return world_apply(world, &spec);
}

static void list_items(uint32_t count) {
    char name[16];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "item%u", i);
        world_list(world, name);
    }
}

START_TEST(a_click_without_impressions_comes_with_negatives_after_it) {
    list_items(50);
    ck_assert_int_eq(click("u", "item7", 1000), OK);
    ck_assert_uint_eq(world->count, 5);
    const struct sample positive = {
        .user_row = world_user(world, "u"),
        .item_row = world_item(world, "item7"),
        .time_ms = 1000,
        .label = 1,
    };
    ck_assert_int_eq(world_compare_samples(&world->samples[0], &positive), 0);
    for (uint32_t i = 1; i < 5; i++) {
        ck_assert_float_eq(world->samples[i].label, 0);
        ck_assert_uint_ne(world->samples[i].item_row, world_item(world, "item7"));
        ck_assert_uint_eq(world->samples[i].user_row, world->samples[0].user_row);
        ck_assert_int_eq(world->samples[i].time_ms, 1000);
    }
}
END_TEST

START_TEST(once_an_impression_was_seen_clicks_are_joined) {
    list_items(50);
    click("u", "item7", 1000);
    const struct event_spec shown = {.user = "u", .item = "item8", .time_ms = 1000};
    ck_assert_int_eq(shown.action, ACTION_IMPRESSION);
    world_apply(world, &shown);
    click("u", "item9", 1000);
    ck_assert_uint_eq(world->count, 5);
}
END_TEST

START_TEST(without_another_item_there_are_no_negatives) {
    ck_assert_int_eq(click("u", "only", 1000), OK);
    ck_assert_int_eq(click("u", "only", 1001), OK);
    ck_assert_uint_eq(world->count, 2);
}
END_TEST

START_TEST(negatives_are_live_listings_and_uniform) {
    struct stage_config config = world_config();
    config.negatives_popular = 0;
    reopen(&config);
    list_items(40);
    uint32_t unlisted, drawn[64] = {0};
    ck_assert_int_eq(
        model_admit_unlisted(world->model, bytes_text("unlisted"), &unlisted, &world->err), OK);
    const uint32_t gone = world_item(world, "item5");
    world_delist(world, "item5");
    struct event_spec spec = {
        .user = "u", .item = "item0", .time_ms = 1000, .action = ACTION_CLICK};
    for (spec.offset = 0; spec.offset < 10000; spec.offset++)
        world_apply(world, &spec);
    ck_assert_uint_eq(world->count, 50000);
    for (uint32_t i = 0; i < world->count; i++)
        drawn[world->samples[i].item_row] += world->samples[i].label == 0;
    ck_assert_uint_eq(drawn[gone], 0);
    ck_assert_uint_eq(drawn[unlisted], 0);
    ck_assert_uint_eq(drawn[world_item(world, "item0")], 0);
    double chi2 = 0;
    for (uint32_t row = 0; row < 64; row++)
        if (drawn[row] > 0)
            chi2 += (drawn[row] - 40000.0 / 38) * (drawn[row] - 40000.0 / 38) / (40000.0 / 38);
    ck_assert_double_lt(chi2, 69.3); /* 37 degrees of freedom: 1 in 1000 */
}
END_TEST

START_TEST(popular_negatives_follow_the_recent_clicks) {
    struct stage_config config = world_config();
    config.negatives_popular = 0.75f;
    reopen(&config);
    list_items(200);
    struct event_spec spec = {.user = "u", .time_ms = 1000, .action = ACTION_CLICK};
    /* the ring of 100 holds item11 36 times and item10 64 times, after it was full of item12 */
    for (spec.offset = 0; spec.offset < 200; spec.offset++) {
        spec.item = spec.offset < 100 ? "item12" : spec.offset < 136 ? "item11" : "item10";
        world_apply(world, &spec);
    }
    uint32_t drawn[200] = {0}, negatives = 0;
    world_commit(world); /* the same state for each draw */
    for (; spec.offset < 10200; spec.offset++) {
        world->count = 0;
        spec.item = "item13";
        world_apply(world, &spec);
        world_rollback(world);
        for (uint32_t i = 1; i < world->count; i++, negatives++)
            drawn[world->samples[i].item_row]++;
    }
    ck_assert_uint_eq(negatives, 40000);
    /* 40000 * (0.75 * 0.64 + 0.25 / 199) and so on; five standard deviations are about 500 */
    ck_assert_double_eq_tol(drawn[world_item(world, "item10")], 19250, 500);
    ck_assert_double_eq_tol(drawn[world_item(world, "item11")], 10850, 500);
    ck_assert_double_lt(drawn[world_item(world, "item12")], 100);
    ck_assert_uint_lt(drawn[0], 100); /* nor an empty place of the ring */
    ck_assert_uint_eq(drawn[world_item(world, "item13")], 0);
}
END_TEST

START_TEST(empty_places_of_the_ring_are_not_drawn) {
    struct stage_config config = world_config();
    config.negatives_popular = 1;
    reopen(&config);
    list_items(50);
    click("u", "item8", 1000);
    world->count = 0;
    for (int i = 0; i < 5; i++)
        click("u", "item9", 1000);
    ck_assert_uint_eq(world->count, 25);
    for (uint32_t i = 0; i < world->count; i++)
        ck_assert_uint_eq(world->samples[i].item_row,
                          world_item(world, i % 5 == 0 ? "item9" : "item8"));
}
END_TEST

START_TEST(draws_depend_on_the_seed) {
    struct world *first = world, *other = world_create_seeded(&world->config, 8);
    bool differ = false;
    list_items(50);
    click("u", "item0", 1000);
    world = other;
    list_items(50);
    click("u", "item0", 1000);
    ck_assert_uint_eq(first->count, other->count);
    for (uint32_t i = 0; i < first->count; i++)
        differ |= world_compare_samples(&first->samples[i], &other->samples[i]) != 0;
    ck_assert(differ);
    world = first;
    world_destroy(other);
}
END_TEST

START_TEST(popular_negatives_that_were_delisted_are_not_drawn) {
    struct stage_config config = world_config();
    config.negatives_popular = 1;
    reopen(&config);
    list_items(3);
    for (int i = 0; i < 20; i++)
        click("u", "item1", 1000);
    const uint32_t gone = world_item(world, "item1");
    world_delist(world, "item1");
    world->count = 0;
    for (int i = 0; i < 20; i++)
        click("u", "item0", 1000);
    ck_assert_uint_eq(world->count, 100);
    for (uint32_t i = 0; i < world->count; i++)
        ck_assert_uint_ne(world->samples[i].item_row, gone);
}
END_TEST

START_TEST(draws_depend_on_the_record_and_the_state_alone) {
    list_items(100);
    struct event_spec spec = {
        .user = "u", .item = "item0", .time_ms = 1000, .action = ACTION_CLICK};
    for (; spec.offset < 50; spec.offset++)
        world_apply(world, &spec);
    world_delist(world, "item99"); /* the end of the live rows is not what it was */
    world_commit(world);
    struct world *restarted = world_restart(world);
    world->count = 0;
    bool partitions_differ = false;
    for (spec.offset = 50; spec.offset < 80; spec.offset++) {
        const uint32_t first = world->count;
        world_apply(world, &spec);
        world_apply(restarted, &spec);
        ck_assert_uint_eq(world->count, restarted->count);
        ck_assert_uint_eq(world->count, first + 5);
        for (uint32_t i = first; i < world->count; i++)
            ck_assert_int_eq(world_compare_samples(&world->samples[i], &restarted->samples[i]), 0);
        world_commit(world);
        world_commit(restarted);
        spec.partition = 1;
        world_apply(world, &spec);
        for (uint32_t i = first; i < first + 5; i++)
            partitions_differ |=
                world_compare_samples(&world->samples[i], &world->samples[i + 5]) != 0;
        world_rollback(world);
        world->count -= 5;
        spec.partition = 0;
    }
    ck_assert(partitions_differ);
    ck_assert(digest_equal(world_digest(world), world_digest(restarted)));
    world_destroy(restarted);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("labels_sampled");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, a_click_without_impressions_comes_with_negatives_after_it);
    tcase_add_test(rules, once_an_impression_was_seen_clicks_are_joined);
    tcase_add_test(rules, without_another_item_there_are_no_negatives);
    tcase_add_test(rules, negatives_are_live_listings_and_uniform);
    tcase_add_test(rules, popular_negatives_follow_the_recent_clicks);
    tcase_add_test(rules, empty_places_of_the_ring_are_not_drawn);
    tcase_add_test(rules, draws_depend_on_the_seed);
    tcase_add_test(rules, popular_negatives_that_were_delisted_are_not_drawn);
    tcase_add_test(rules, draws_depend_on_the_record_and_the_state_alone);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
