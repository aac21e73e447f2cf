/* Every rule of stage/check.h: a good event passes, and each way to break it gives its reason and a
 * message with the value. */
#include "stage/check.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static const struct stage_config config = {.ahead_ms = 1000};
static const struct model_config model = {.tokenizer = {.content_dims = 3}, .id_bytes_max = 8};
static float vector[3];
static struct record record;
static struct event event;
static enum dead_reason reason;
static struct error err;

static void interaction(void) {
    record = (struct record){.topic = TOPIC_INTERACTIONS, .timestamp_ms = 5000};
    event = (struct event){.kind = EVENT_INTERACTION,
                           .as.interaction = {.user_id = bytes_text("user"),
                                              .item_id = bytes_text("item"),
                                              .event_time_ms = 5000,
                                              .action = ACTION_CLICK}};
}

static void listing(void) {
    vector[0] = 1, vector[1] = -2, vector[2] = 0;
    record = (struct record){.topic = TOPIC_ITEM_CONTENT, .timestamp_ms = 5000};
    event = (struct event){
        .kind = EVENT_LISTING,
        .as.listing = {
            .item_id = bytes_text("item"), .event_time_ms = 5000, .vector = vector, .dims = 3}};
}

static void delisting(void) {
    record = (struct record){
        .topic = TOPIC_ITEM_CONTENT, .timestamp_ms = 5000, .key = bytes_text("item")};
    event = (struct event){.kind = EVENT_DELISTING, .as.delisted_item_id = bytes_text("item")};
}

static void good(void) {
    const enum status status = check_event(&config, &model, &record, &event, &reason, &err);
    ck_assert_msg(status == OK, "%s", err.text);
}

static void bad(enum dead_reason wanted, const char *text) {
    reason = DEAD_REASON_COUNT;
    err = (struct error){0};
    ck_assert_int_eq(check_event(&config, &model, &record, &event, &reason, &err), BAD_RECORD);
    ck_assert_int_eq(reason, wanted);
    ck_assert_msg(strstr(err.text, text) != NULL, "\"%s\" is not in: %s", text, err.text);
}

START_TEST(good_events_pass) {
    interaction();
    good();
    record.key = bytes_text("user");
    event.as.interaction.request_id = bytes_text("r\xC3\xA4");
    event.as.interaction.has_label = true;
    event.as.interaction.label = 1;
    good();
    event.as.interaction.label = 0;
    event.as.interaction.user_id = record.key = bytes_text("12345678");
    good();
    listing();
    good();
    record.key = bytes_text("item");
    event.as.listing.text = bytes_text("a lamp, much longer than a title: \xE2\x82\xAC 12");
    good();
    delisting();
    good();
}
END_TEST

START_TEST(bad_ids_are_named) {
    struct bytes *ids[] = {&event.as.interaction.user_id, &event.as.interaction.item_id};
    const char *const fields[] = {"user_id", "item_id"};
    for (int i = 0; i < 2; i++) {
        interaction();
        *ids[i] = bytes_text("");
        bad(DEAD_ID, fields[i]);
        *ids[i] = (struct bytes){0};
        bad(DEAD_ID, fields[i]);
        *ids[i] = bytes_text("123456789");
        bad(DEAD_ID, "9 bytes, 8 are allowed");
        *ids[i] = bytes_text("a\xFF\"");
        bad(DEAD_ID, "\"a\\xff\\x22\"");
        *ids[i] = bytes_of("a\0b", 3);
        bad(DEAD_ID, "a\\x00b");
        ck_assert_ptr_nonnull(strstr(err.text, fields[i]));
    }
    listing();
    event.as.listing.item_id = bytes_text("\xED\xA0\x80");
    bad(DEAD_ID, "\\xed\\xa0\\x80");
    delisting();
    event.as.delisted_item_id = record.key = bytes_text("");
    bad(DEAD_ID, "empty");
}
END_TEST

START_TEST(bad_request_ids_are_named) {
    static char text[257];
    memset(text, 'r', sizeof text);
    interaction();
    event.as.interaction.request_id = bytes_of(text, 256);
    good();
    event.as.interaction.request_id = bytes_of(text, 257);
    bad(DEAD_ID, "257 bytes, 256 are allowed");
    ck_assert_ptr_nonnull(strstr(err.text, "rrr\"...")); /* bounded */
    ck_assert_uint_lt(strlen(err.text), 200);
    event.as.interaction.request_id = bytes_text("\xC3");
    bad(DEAD_ID, "request_id \"\\xc3\"");
    event.as.interaction.request_id = bytes_text("");
    good();
}
END_TEST

START_TEST(keys_must_be_the_id) {
    interaction();
    record.key = bytes_text("item");
    bad(DEAD_KEY, "\"item\" is not its user_id \"user\"");
    record.key = bytes_text("");
    bad(DEAD_KEY, "user_id");
    listing();
    record.key = bytes_text("Item");
    bad(DEAD_KEY, "item_id");
    delisting();
    record.key = bytes_text("other");
    bad(DEAD_KEY, "item_id");
    record.key = (struct bytes){0};
    bad(DEAD_KEY, "no key");
}
END_TEST

START_TEST(times_must_be_plausible) {
    int64_t *times[] = {&event.as.interaction.event_time_ms, &event.as.listing.event_time_ms};
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            interaction();
        else
            listing();
        *times[i] = 0;
        good();
        *times[i] = -1;
        bad(DEAD_TIME, "-1 is before 1970");
        *times[i] = INT64_MIN;
        bad(DEAD_TIME, "before 1970");
        *times[i] = 6000;
        good();
        *times[i] = 6001;
        bad(DEAD_TIME, "6001 is more than 1000 ms past the record's timestamp 5000");
        record.timestamp_ms = EVENT_TIME_MS_MAX;
        *times[i] = EVENT_TIME_MS_MAX;
        good();
        *times[i] = EVENT_TIME_MS_MAX + 1;
        bad(DEAD_TIME, "9999");
        *times[i] = INT64_MAX;
        bad(DEAD_TIME, "9999");
        record.timestamp_ms = INT64_MIN;
        *times[i] = 0;
        bad(DEAD_TIME, "timestamp -9223372036854775808");
    }
}
END_TEST

START_TEST(records_are_of_this_age) {
    void (*const kinds[])(void) = {interaction, listing, delisting};
    for (int i = 0; i < 3; i++) {
        kinds[i]();
        record.timestamp_ms = EVENT_TIME_MS_MAX;
        good();
        record.timestamp_ms = EVENT_TIME_MS_MAX + 1;
        bad(DEAD_TIME, "timestamp 253402300800000 is after the year 9999");
        record.timestamp_ms = INT64_C(1) << 62;
        bad(DEAD_TIME, "timestamp 4611686018427387904");
    }
    delisting();
    record.timestamp_ms = -1; /* a log without times */
    good();
}
END_TEST

START_TEST(labels_are_0_or_1) {
    const float values[] = {-1, 0.5f, 1.0000001f, 2, NAN, INFINITY, -INFINITY};
    interaction();
    event.as.interaction.has_label = true;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        event.as.interaction.label = values[i];
        bad(DEAD_LABEL, "neither 0 nor 1");
    }
    event.as.interaction.label = 0.5f;
    bad(DEAD_LABEL, "label 0.5");
    event.as.interaction.has_label = false;
    good();
}
END_TEST

START_TEST(vectors_have_the_models_length_and_finite_numbers) {
    listing();
    event.as.listing.dims = 2;
    bad(DEAD_VECTOR, "2 numbers together, the model takes 3");
    event.as.listing.dims = 4;
    bad(DEAD_VECTOR, "4 numbers together, the model takes 3");
    event.as.listing.dims = 0;
    bad(DEAD_VECTOR, "0 numbers");
    listing();
    vector[1] = NAN;
    bad(DEAD_VECTOR, "number 1 of the vector");
    listing();
    vector[2] = -INFINITY;
    bad(DEAD_VECTOR, "number 2 of the vector (counted from 0) is -inf");
}
END_TEST

START_TEST(texts_are_utf8) {
    listing();
    event.as.listing.text = bytes_text("caf\xE9");
    bad(DEAD_DECODE, "caf\\xe9");
    event.as.listing.text = bytes_of("a\0b", 3);
    bad(DEAD_DECODE, "NUL");
    event.as.listing.text = bytes_text("");
    good();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("check");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, good_events_pass);
    tcase_add_test(rules, bad_ids_are_named);
    tcase_add_test(rules, bad_request_ids_are_named);
    tcase_add_test(rules, keys_must_be_the_id);
    tcase_add_test(rules, times_must_be_plausible);
    tcase_add_test(rules, records_are_of_this_age);
    tcase_add_test(rules, labels_are_0_or_1);
    tcase_add_test(rules, vectors_have_the_models_length_and_finite_numbers);
    tcase_add_test(rules, texts_are_utf8);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
