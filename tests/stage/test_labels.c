/* The rules of stage/labels.h one by one: window 100 ms, lateness 20, idle 500 (world_config).
 * Clicks without impressions: test_labels_sampled.c. Random streams against a naive model:
 * test_labels_random.c. */
#include "world.h"

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

static enum status send(enum action action, const char *user, const char *item, const char *request,
                        int64_t time_ms) {
    const struct event_spec spec = {
        .user = user, .item = item, .request = request, .time_ms = time_ms, .action = action};
    return world_apply(world, &spec);
}

static enum status impression(const char *user, const char *item, int64_t time_ms) {
    return send(ACTION_IMPRESSION, user, item, NULL, time_ms);
}

static enum status click(const char *user, const char *item, int64_t time_ms) {
    return send(ACTION_CLICK, user, item, NULL, time_ms);
}

static void expect_sample(uint32_t index, const char *user, const char *item, int64_t time_ms,
                          float label) {
    ck_assert_uint_lt(index, world->count);
    const struct sample *sample = &world->samples[index];
    ck_assert_uint_eq(sample->user_row, world_user(world, user));
    ck_assert_uint_eq(sample->item_row, world_item(world, item));
    ck_assert_int_eq(sample->time_ms, time_ms);
    ck_assert_float_eq(sample->label, label);
}

static void expect_refused(enum status status, enum dead_reason reason) {
    ck_assert_int_eq(status, BAD_RECORD);
    ck_assert_int_eq(world->reason, reason);
    ck_assert_uint_gt(strlen(world->err.text), 20);
}

static struct labels_totals totals(void) {
    struct labels_totals out;
    labels_totals(world->labels, &out);
    return out;
}

/* ---- given ---- */

START_TEST(a_given_label_is_one_sample_whatever_the_action) {
    struct event_spec spec = {
        .user = "u", .item = "a", .time_ms = 1000, .has_label = true, .label = 0};
    spec.action = ACTION_CLICK;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    spec.action = ACTION_IMPRESSION;
    spec.label = 1;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    ck_assert_uint_eq(world->count, 2);
    expect_sample(0, "u", "a", 1000, 0);
    expect_sample(1, "u", "a", 1000, 1);
    ck_assert_uint_eq(totals().impressions, 0);
}
END_TEST

START_TEST(a_given_label_is_never_late) {
    impression("u", "a", 5000);
    const struct event_spec spec = {
        .user = "u", .item = "a", .time_ms = 10, .has_label = true, .label = 1};
    ck_assert_int_eq(world_apply(world, &spec), OK);
    expect_sample(0, "u", "a", 10, 1);
}
END_TEST

/* ---- joined ---- */

START_TEST(a_click_gives_its_impression_label_1_and_silence_label_0) {
    impression("u", "a", 1000);
    impression("u", "b", 1001);
    ck_assert_uint_eq(world->count, 0);
    ck_assert_int_eq(click("u", "a", 1050), OK);
    ck_assert_uint_eq(world->count, 1);
    expect_sample(0, "u", "a", 1000, 1);
    world_advance(world, 0, 2000);
    ck_assert_uint_eq(world->count, 2);
    expect_sample(1, "u", "b", 1001, 0);
}
END_TEST

START_TEST(cart_and_purchase_count_as_clicks) {
    impression("u", "a", 1000);
    impression("u", "b", 1000);
    ck_assert_int_eq(send(ACTION_CART, "u", "a", NULL, 1010), OK);
    ck_assert_int_eq(send(ACTION_PURCHASE, "u", "b", NULL, 1010), OK);
    expect_sample(0, "u", "a", 1000, 1);
    expect_sample(1, "u", "b", 1000, 1);
}
END_TEST

START_TEST(the_window_includes_its_end) {
    impression("u", "a", 1000);
    impression("u", "b", 1000);
    ck_assert_int_eq(click("u", "a", 1100), OK);
    ck_assert_uint_eq(world->count, 1);
    ck_assert_int_eq(click("u", "b", 1101), OK);
    ck_assert_uint_eq(world->count, 1);
    world_advance(world, 0, 1120); /* the watermark stands at the end: not passed */
    ck_assert_int_eq(labels_watermark(world->labels), 1100);
    ck_assert_uint_eq(world->count, 1);
    world_advance(world, 0, 1121);
    ck_assert_uint_eq(world->count, 2);
    expect_sample(1, "u", "b", 1000, 0);
}
END_TEST

START_TEST(a_click_at_its_impressions_time_joins_and_one_before_does_not) {
    impression("u", "a", 1000);
    impression("u", "b", 1000);
    click("u", "a", 1000);
    click("u", "b", 999);
    ck_assert_uint_eq(world->count, 1);
    expect_sample(0, "u", "a", 1000, 1);
}
END_TEST

START_TEST(a_further_click_does_nothing) {
    impression("u", "a", 1000);
    click("u", "a", 1010);
    ck_assert_int_eq(click("u", "a", 1020), OK);
    ck_assert_int_eq(send(ACTION_PURCHASE, "u", "a", NULL, 1030), OK);
    world_advance(world, 0, 9000);
    ck_assert_uint_eq(world->count, 1);
    ck_assert_uint_eq(totals().clicks_unmatched, 0);
}
END_TEST

START_TEST(a_click_before_its_impression_is_held) {
    impression("v", "z", 900);
    ck_assert_int_eq(click("u", "a", 1010), OK);
    ck_assert_uint_eq(world->count, 0);
    ck_assert_int_eq(impression("u", "a", 1000), OK);
    expect_sample(0, "u", "a", 1000, 1);
    /* over the border between two buckets of the window, and the end of the window */
    click("u", "b", 1110);
    impression("u", "b", 1095);
    expect_sample(1, "v", "z", 900, 0);
    expect_sample(2, "u", "b", 1095, 1);
    click("u", "c", 1195);
    impression("u", "c", 1195);
    expect_sample(3, "u", "c", 1195, 1);
    world_advance(world, 0, 9000);
    ck_assert_uint_eq(world->count, 4);
    ck_assert_uint_eq(totals().clicks_unmatched, 0);
}
END_TEST

START_TEST(a_held_click_outside_the_window_does_not_match) {
    impression("v", "z", 900);
    click("u", "a", 1000);
    impression("u", "a", 1001); /* after the click */
    world_advance(world, 0, 9000);
    ck_assert_uint_eq(world->count, 2);
    expect_sample(1, "u", "a", 1001, 0);
    ck_assert_uint_eq(totals().clicks_unmatched, 1);
}
END_TEST

START_TEST(held_clicks_of_one_bucket_each_keep_their_window) {
    struct stage_config config = world_config();
    config.lateness_ms = 200;
    reopen(&config);
    impression("v", "z", 1000);
    /* buckets of 100 ms: both clicks are in the next one; 1160 is past the window, 1140 is not */
    click("u", "a", 1160);
    click("u", "a", 1140);
    impression("u", "a", 1050);
    expect_sample(0, "u", "a", 1050, 1);
    /* in the same bucket: the latest click counts, and it is held for its own time */
    click("u", "b", 1210);
    click("u", "b", 1250);
    click("u", "b", 1230);
    world_advance(world, 0, 1440);
    ck_assert_int_eq(labels_watermark(world->labels), 1240);
    const uint32_t before = world->count;
    impression("u", "b", 1245);
    expect_sample(before, "u", "b", 1245, 1);
}
END_TEST

START_TEST(a_click_without_impression_gives_nothing) {
    impression("v", "z", 1000);
    ck_assert_int_eq(click("u", "a", 1000), OK);
    world_advance(world, 0, 1020); /* the watermark stands at the click */
    ck_assert_uint_eq(totals().clicks_unmatched, 0);
    world_advance(world, 0, 1021);
    ck_assert_uint_eq(totals().clicks_unmatched, 1);
    ck_assert_uint_eq(world->count, 0);
}
END_TEST

START_TEST(late_is_behind_the_watermark) {
    impression("v", "z", 1000);
    world_advance(world, 0, 1070);
    ck_assert_int_eq(labels_watermark(world->labels), 1050);
    ck_assert_int_eq(impression("u", "a", 1050), OK);
    expect_refused(impression("u", "b", 1049), DEAD_LATE);
    ck_assert_int_eq(click("u", "c", 1050), OK);
    expect_refused(click("u", "d", 1049), DEAD_LATE);
    /* its impression waits: the window is what counts */
    ck_assert_int_eq(click("v", "z", 1010), OK);
    expect_sample(0, "v", "z", 1000, 1);
}
END_TEST

static enum status release(enum action action, const char *item, int64_t time_ms) {
    const struct event_spec spec = {
        .user = "u", .item = item, .time_ms = time_ms, .action = action};
    return world_release(world, &spec);
}

/* Both waited for their item until the watermark had passed the window. */
START_TEST(a_released_impression_waits_for_its_released_click) {
    impression("v", "z", 1000);
    world_advance(world, 0, 5000);
    world_list(world, "a"), world_list(world, "b");
    const uint32_t before = world->count;
    ck_assert_int_eq(release(ACTION_IMPRESSION, "a", 1000), OK);
    ck_assert_int_eq(release(ACTION_IMPRESSION, "b", 1001), OK);
    expect_refused(release(ACTION_IMPRESSION, "a", 1001), DEAD_DUPLICATE);
    expect_refused(release(ACTION_CLICK, "a", 1101), DEAD_LATE);
    ck_assert_uint_eq(world->count, before);
    ck_assert_int_eq(release(ACTION_CLICK, "a", 1100), OK);
    ck_assert_uint_eq(world->count, before + 1);
    expect_sample(before, "u", "a", 1000, 1);
    world_advance(world, 0, 5001);
    ck_assert_uint_eq(world->count, before + 2);
    expect_sample(before + 1, "u", "b", 1001, 0);
    expect_refused(release(ACTION_CLICK, "b", 1002), DEAD_LATE);
}
END_TEST

START_TEST(a_released_click_without_impression_is_late) {
    impression("v", "z", 1000);
    world_advance(world, 0, 5000);
    world_list(world, "a");
    expect_refused(release(ACTION_CLICK, "a", 4979), DEAD_LATE);
    ck_assert_int_eq(release(ACTION_CLICK, "a", 4980), OK);
    ck_assert_int_eq(release(ACTION_IMPRESSION, "a", 4900), OK); /* served by it */
    expect_sample(1, "u", "a", 4900, 1);
    expect_refused(impression("u", "a", 4700), DEAD_LATE); /* one that comes now */
}
END_TEST

START_TEST(requests_and_users_and_items_are_told_apart) {
    send(ACTION_IMPRESSION, "ab", "c", "r1", 1000);
    send(ACTION_IMPRESSION, "ab", "c", NULL, 1000);
    ck_assert_int_eq(send(ACTION_CLICK, "a", "bc", "r1", 1001), OK);
    ck_assert_int_eq(send(ACTION_CLICK, "ab", "c", "r2", 1001), OK);
    ck_assert_uint_eq(world->count, 0);
    ck_assert_int_eq(send(ACTION_CLICK, "ab", "c", "", 1001), OK); /* empty: none */
    ck_assert_uint_eq(world->count, 1);
    ck_assert_int_eq(send(ACTION_CLICK, "ab", "c", "r1", 1001), OK);
    ck_assert_uint_eq(world->count, 2);
}
END_TEST

START_TEST(windows_close_in_order_of_deadline_then_arrival) {
    impression("u", "late", 1010);
    impression("u", "b", 1000);
    impression("u", "c", 1000);
    impression("u", "a", 1000);
    world_advance(world, 0, 5000);
    ck_assert_uint_eq(world->count, 4);
    expect_sample(0, "u", "b", 1000, 0);
    expect_sample(1, "u", "c", 1000, 0);
    expect_sample(2, "u", "a", 1000, 0);
    expect_sample(3, "u", "late", 1010, 0);
}
END_TEST

START_TEST(an_item_delisted_while_its_impression_waits_gives_no_sample) {
    impression("u", "a", 1000);
    impression("u", "b", 1000);
    world_delist(world, "a");
    world_delist(world, "b");
    world_list(world, "b"); /* in the same place, another listing */
    world_list(world, "a");
    ck_assert_int_eq(click("u", "b", 1010), OK);
    world_advance(world, 0, 9000);
    ck_assert_uint_eq(world->count, 0);
    ck_assert_uint_eq(totals().items_gone, 2);
}
END_TEST

START_TEST(what_is_expected_does_not_depend_on_listings) {
    impression("u", "a", 1000);
    const struct event_spec spec = {
        .user = "u", .item = "a", .time_ms = 1010, .action = ACTION_CLICK};
    const struct interaction interaction = world_interaction(&spec);
    ck_assert_uint_eq(labels_expected(world->labels, &interaction), 1);
    world_delist(world, "a");
    ck_assert_uint_eq(labels_expected(world->labels, &interaction), 1);
}
END_TEST

START_TEST(a_full_table_closes_the_window_that_ends_first) {
    struct stage_config config = world_config();
    config.join_rows_max = 2;
    reopen(&config);
    impression("u", "a", 1010);
    impression("u", "b", 1000);
    impression("u", "c", 1015); /* world_apply checks that labels_expected knows of b */
    expect_sample(0, "u", "b", 1000, 0);
    click("v", "z", 1015); /* held: a goes */
    expect_sample(1, "u", "a", 1010, 0);
    ck_assert_uint_eq(totals().windows_cut, 2);
    ck_assert_int_eq(click("u", "c", 1016), OK);
    expect_sample(2, "u", "c", 1015, 1);
    click("v", "y", 1017); /* the held click goes, without a sample */
    ck_assert_uint_eq(totals().clicks_unmatched, 1);
    ck_assert_uint_eq(world->count, 3);
}
END_TEST

/* ---- watermark ---- */

START_TEST(the_watermark_is_that_of_the_slowest_partition_and_never_goes_back) {
    ck_assert_int_eq(labels_watermark(world->labels), INT64_MIN);
    world_advance(world, 0, 1000);
    ck_assert_int_eq(labels_watermark(world->labels), 980);
    world_advance(world, 1, 900);
    ck_assert_int_eq(labels_watermark(world->labels), 980);
    world_advance(world, 0, 1400);
    ck_assert_int_eq(labels_watermark(world->labels), 980);
    world_advance(world, 1, 1100);
    ck_assert_int_eq(labels_watermark(world->labels), 1080);
    world_advance(world, 1, 1000);
    ck_assert_int_eq(labels_watermark(world->labels), 1080);
}
END_TEST

START_TEST(an_idle_partition_does_not_hold_the_watermark) {
    world_advance(world, 0, 1000);
    world_advance(world, 1, 1000);
    world_advance(world, 0, 1500); /* 500 behind is not idle */
    ck_assert_int_eq(labels_watermark(world->labels), 980);
    world_advance(world, 0, 1501);
    ck_assert_int_eq(labels_watermark(world->labels), 1481);
    world_advance(world, 1, 1490); /* it wakes up: it counts again, and nothing goes back */
    world_advance(world, 0, 1600);
    ck_assert_int_eq(labels_watermark(world->labels), 1481);
    world_advance(world, 1, 1550);
    ck_assert_int_eq(labels_watermark(world->labels), 1530);
}
END_TEST

START_TEST(listings_and_impossible_times_do_not_move_the_watermark) {
    const struct sample_port port = {NULL, NULL};
    const struct record listing = {.topic = TOPIC_ITEM_CONTENT, .partition = 0};
    ck_assert_int_eq(labels_advance(world->labels, &listing, 100000, port, &world->err), OK);
    world_advance(world, 0, -5);
    world_advance(world, 0, INT64_MAX);
    ck_assert_int_eq(labels_watermark(world->labels), INT64_MIN);
}
END_TEST

START_TEST(the_window_waits_for_the_slowest_partition) {
    struct event_spec spec = {.partition = 1, .user = "u", .item = "a", .time_ms = 1000};
    world_advance(world, 0, 1000);
    world_apply(world, &spec);
    world_advance(world, 0, 1400);
    ck_assert_uint_eq(world->count, 0);
    spec.action = ACTION_CLICK;
    spec.time_ms = 1100;
    world_apply(world, &spec);
    expect_sample(0, "u", "a", 1000, 1);
}
END_TEST

/* ---- repeats ---- */

START_TEST(an_impression_within_the_window_of_another_is_a_repeat) {
    ck_assert_int_eq(impression("u", "a", 1000), OK);
    expect_refused(impression("u", "a", 1000), DEAD_DUPLICATE);
    expect_refused(impression("u", "a", 1010), DEAD_DUPLICATE);
    click("u", "a", 1010);
    expect_refused(impression("u", "a", 1100), DEAD_DUPLICATE); /* also after its click */
    ck_assert_int_eq(impression("u", "a", 1101), OK);
    ck_assert_int_eq(click("u", "a", 1102), OK);
    ck_assert_uint_eq(world->count, 2);
    expect_sample(1, "u", "a", 1101, 1);
}
END_TEST

START_TEST(an_event_with_a_request_id_counts_once) {
    struct event_spec spec = {
        .user = "u", .item = "a", .request = "r", .time_ms = 1000, .action = ACTION_CLICK};
    ck_assert_int_eq(world_apply(world, &spec), OK);
    expect_refused(world_apply(world, &spec), DEAD_DUPLICATE);
    spec.has_position = true; /* each of these makes it another event */
    ck_assert_int_eq(world_apply(world, &spec), OK);
    spec.position = 3;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    spec.action = ACTION_CART;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    spec.time_ms = 1001;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    expect_refused(world_apply(world, &spec), DEAD_DUPLICATE);
    spec.request = NULL;
    ck_assert_int_eq(world_apply(world, &spec), OK);
    ck_assert_int_eq(world_apply(world, &spec), OK);
}
END_TEST

START_TEST(repeats_are_forgotten_when_the_watermark_has_passed_their_window) {
    const struct event_spec spec = {
        .user = "u", .item = "a", .request = "r", .time_ms = 1000, .action = ACTION_CLICK};
    world_apply(world, &spec);
    world_advance(world, 0, 1120);
    expect_refused(world_apply(world, &spec), DEAD_DUPLICATE);
    world_advance(world, 0, 1121);
    ck_assert_int_eq(world_apply(world, &spec), OK);
}
END_TEST

START_TEST(the_oldest_repeat_is_forgotten_when_memory_is_full) {
    struct stage_config config = world_config();
    config.duplicate_rows_max = 2;
    config.negatives = 0;
    reopen(&config);
    const int64_t times_ms[] = {1002, 1000, 1001, 1000};
    for (int i = 0; i < 4; i++) /* 1000 is forgotten for 1001, so it is accepted again */
        ck_assert_int_eq(send(ACTION_CLICK, "u", "a", "r", times_ms[i]), OK);
    expect_refused(send(ACTION_CLICK, "u", "a", "r", 1002), DEAD_DUPLICATE);
    ck_assert_int_eq(send(ACTION_CLICK, "u", "a", "r", 1001), OK);
}
END_TEST

START_TEST(a_refused_interaction_leaves_the_state_as_it_was) {
    send(ACTION_IMPRESSION, "u", "a", "r", 1000);
    impression("u", "a", 1000);
    world_advance(world, 0, 1070);
    world_list(world, "b");
    const struct digest before = world_digest(world);
    expect_refused(send(ACTION_IMPRESSION, "u", "a", "r", 1000), DEAD_DUPLICATE);
    expect_refused(impression("u", "a", 1060), DEAD_DUPLICATE);
    expect_refused(send(ACTION_IMPRESSION, "new", "b", "r", 1049), DEAD_LATE);
    expect_refused(send(ACTION_CLICK, "new", "b", "r", 1049), DEAD_LATE);
    ck_assert(digest_equal(before, world_digest(world)));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("labels");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, a_given_label_is_one_sample_whatever_the_action);
    tcase_add_test(rules, a_given_label_is_never_late);
    tcase_add_test(rules, a_click_gives_its_impression_label_1_and_silence_label_0);
    tcase_add_test(rules, cart_and_purchase_count_as_clicks);
    tcase_add_test(rules, the_window_includes_its_end);
    tcase_add_test(rules, a_click_at_its_impressions_time_joins_and_one_before_does_not);
    tcase_add_test(rules, a_further_click_does_nothing);
    tcase_add_test(rules, a_click_before_its_impression_is_held);
    tcase_add_test(rules, a_held_click_outside_the_window_does_not_match);
    tcase_add_test(rules, held_clicks_of_one_bucket_each_keep_their_window);
    tcase_add_test(rules, a_click_without_impression_gives_nothing);
    tcase_add_test(rules, late_is_behind_the_watermark);
    tcase_add_test(rules, a_released_impression_waits_for_its_released_click);
    tcase_add_test(rules, a_released_click_without_impression_is_late);
    tcase_add_test(rules, requests_and_users_and_items_are_told_apart);
    tcase_add_test(rules, windows_close_in_order_of_deadline_then_arrival);
    tcase_add_test(rules, an_item_delisted_while_its_impression_waits_gives_no_sample);
    tcase_add_test(rules, what_is_expected_does_not_depend_on_listings);
    tcase_add_test(rules, a_full_table_closes_the_window_that_ends_first);
    tcase_add_test(rules, the_watermark_is_that_of_the_slowest_partition_and_never_goes_back);
    tcase_add_test(rules, an_idle_partition_does_not_hold_the_watermark);
    tcase_add_test(rules, listings_and_impossible_times_do_not_move_the_watermark);
    tcase_add_test(rules, the_window_waits_for_the_slowest_partition);
    tcase_add_test(rules, an_impression_within_the_window_of_another_is_a_repeat);
    tcase_add_test(rules, an_event_with_a_request_id_counts_once);
    tcase_add_test(rules, repeats_are_forgotten_when_the_watermark_has_passed_their_window);
    tcase_add_test(rules, the_oldest_repeat_is_forgotten_when_memory_is_full);
    tcase_add_test(rules, a_refused_interaction_leaves_the_state_as_it_was);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
