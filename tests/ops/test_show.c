/* What is shown of a picture made by hand: labels, partitions, readiness, histograms. The whole of it on a real stage: tests/kafka/test_metrics.py. */
#include "ops/metrics_text.h"
#include "ops/outside.h"
#include "ops/watch_private.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES ((size_t)4 << 20)

static struct show *make_show(void) {
    struct show *show = calloc(1, sizeof *show);
    show->facts.version = "1";
    show->facts.application = "shop";
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
        snprintf(show->facts.topics[topic], KAFKA_NAME_BYTES, "shop.%s", topic_name(topic));
    show->picture.number = 1;
    show->picture.committed_ms = -1;
    show->status.state = WATCH_LEADING;
    return show;
}

static char *metrics_of(const struct show *show) {
    char *text = malloc(TEXT_BYTES);
    size_t length = show_metrics(show, text, TEXT_BYTES);
    ck_assert_uint_lt(length, TEXT_BYTES);
    ck_assert_uint_eq(strlen(text), length);
    return text;
}

static void has(const char *text, const char *line) {
    ck_assert_msg(strstr(text, line) != NULL, "not there: %s", line);
}

START_TEST(names_are_escaped) {
    struct show *show = make_show();
    char label[LABEL_BYTES];
    snprintf(show->facts.topics[TOPIC_INTERACTIONS], KAFKA_NAME_BYTES, "a\"b\\c\nd\x1b\xff");
    show->picture.inputs[0] = (struct shown_input){TOPIC_INTERACTIONS, 3, 5, 9, -1};
    show->picture.input_count = 1;
    char *text = metrics_of(show);
    has(text, "\ncoldstream_input_lag_records{topic=\"a\\\"b\\\\c\\nd??\",partition=\"3\"} 4\n");
    ck_assert_uint_lt(strlen(metrics_label("\"\"\"\"", label)), LABEL_BYTES);
    free(text);
    free(show);
}
END_TEST

/* The 64 first have values of their own; the others' records and lags add up, and the worst lag in seconds stands for them. */
START_TEST(many_partitions_are_bounded) {
    struct show *show = make_show();
    struct picture *p = &show->picture;
    int64_t now_ms = watch_wall_ms();
    for (int32_t i = 0; i < STAGE_PARTITIONS_MAX; i++) {
        p->inputs[i] = (struct shown_input){TOPIC_INTERACTIONS, i, 10, 12, now_ms - 1000 * i};
        p->now.read[i].records = 7;
    }
    p->input_count = STAGE_PARTITIONS_MAX;
    char *text = metrics_of(show);
    has(text, "coldstream_input_records_total{topic=\"shop.interactions\",partition=\"63\"} 7\n");
    ck_assert_ptr_null(strstr(text, "partition=\"64\""));
    has(text,
        "coldstream_input_records_total{topic=\"shop.interactions\",partition=\"other\"} 1344\n");
    has(text,
        "coldstream_input_lag_records{topic=\"shop.interactions\",partition=\"other\"} 384\n");
    const char *worst = strstr(
        text, "coldstream_input_lag_seconds{topic=\"shop.interactions\",partition=\"other\"} ");
    ck_assert_ptr_nonnull(worst);
    ck_assert_double_eq_tol(strtod(strchr(worst, '}') + 1, NULL), 255, 30);
    free(text);
    free(show);
}
END_TEST

START_TEST(what_is_not_known_has_no_value) {
    struct show *show = make_show();
    show->picture.inputs[0] = (struct shown_input){TOPIC_ITEM_CONTENT, 0, -1, -1, -1};
    show->picture.input_count = 1;
    char *text = metrics_of(show);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf "));
    ck_assert_ptr_null(strstr(text, "coldstream_input_end{"));
    ck_assert_ptr_null(strstr(text, "\ncoldstream_auc{"));
    has(text, "# TYPE coldstream_auc gauge\n");
    json_t *status = show_status(show);
    ck_assert(json_is_null(json_object_get(json_object_get(status, "quality"), "auc")));
    ck_assert(json_is_null(json_object_get(json_object_get(status, "epoch"), "number")));
    json_t *input = json_array_get(json_object_get(status, "inputs"), 0);
    ck_assert(json_is_null(json_object_get(input, "lag")));
    ck_assert(json_is_null(json_object_get(input, "lag_s")));
    json_decref(status);
    free(text);
    free(show);
}
END_TEST

/* Else an instance that stepped down would look ever further behind. */
START_TEST(who_does_not_lead_has_no_lag) {
    struct show *show = make_show();
    show->picture.inputs[0] = (struct shown_input){TOPIC_INTERACTIONS, 0, 5, 9, 1000};
    show->picture.input_count = 1;
    ck_assert_int_eq(show_lag(show, &show->picture.inputs[0]), 4);
    ck_assert(show_lag_s(show, &show->picture.inputs[0]) > 0);
    show->status.state = WATCH_STANDBY;
    ck_assert_int_eq(show_lag(show, &show->picture.inputs[0]), -1);
    char *text = metrics_of(show);
    ck_assert_ptr_null(strstr(text, "coldstream_input_lag_seconds{"));
    free(text);
    free(show);
}
END_TEST

static void expect_ready(struct show *show, bool ready, const char *reason) {
    char text[REASON_BYTES];
    ck_assert_int_eq(show_ready(show, text), ready);
    ck_assert_str_eq(text, reason);
}

START_TEST(readiness_has_reasons) {
    struct show *show = make_show();
    struct watch_status *s = &show->status;
    s->state = WATCH_STARTING;
    expect_ready(show, false, "starting");
    s->state = WATCH_WAITING;
    strcpy(s->reason, "no broker");
    expect_ready(show, false, "waiting: no broker");
    *s = (struct watch_status){
        .state = WATCH_RESTORING, .restoring = true, .restored = 419, .restore_total = 1000};
    expect_ready(show, false, "restoring 41 %");
    s->restored = 2000; /* the log may have grown */
    expect_ready(show, false, "restoring 100 %");
    *s = (struct watch_status){.state = WATCH_STANDBY};
    expect_ready(show, false, "standby");
    s->state = WATCH_DRAINING;
    expect_ready(show, false, "draining");
    s->state = WATCH_LEADING;
    expect_ready(show, true, "leading");
    s->call_s = 4.9;
    expect_ready(show, true, "leading");
    s->call_s = 6;
    expect_ready(show, false, "waiting: the broker has not answered for 6 s");
    *s = (struct watch_status){.state = WATCH_LEADING, .trouble = "cannot", .trouble_s = 4};
    expect_ready(show, true, "leading");
    s->trouble_s = 6;
    expect_ready(show, false, "waiting: cannot");
    free(show);
}
END_TEST

START_TEST(histograms_keep_their_bounds) {
    struct histogram now = {0}, then;
    ck_assert_double_eq(histogram_bound_s(0), 0.0005);
    ck_assert_double_eq_tol(histogram_bound_s(4), 0.001, 1e-12);
    ck_assert(isinf(histogram_bound_s(HISTOGRAM_BINS - 1)));
    ck_assert(isnan(histogram_quantile(&now, &now, 0.5)) && isnan(histogram_mean(&now, &now)));
    for (uint32_t bin = 0; bin + 1 < HISTOGRAM_BINS; bin++) { /* on its bound, and just past it */
        struct histogram one = {0};
        histogram_add(&one, histogram_bound_s(bin) * (1 - 1e-9));
        histogram_add(&one, histogram_bound_s(bin) * (1 + 1e-9));
        ck_assert_uint_eq(one.counts[bin], 1);
        ck_assert_uint_eq(one.counts[bin + 1], 1);
    }
    histogram_add(&now, -1);
    histogram_add(&now, 1e9);
    ck_assert_uint_eq(histogram_count(&now), 2);
    then = now;
    for (int ms = 1; ms <= 1000; ms++)
        histogram_add(&now, ms / 1e3);
    ck_assert_double_eq_tol(histogram_quantile(&now, &then, 0.5), 0.5, 0.05);
    ck_assert_double_eq_tol(histogram_quantile(&now, &then, 0.99), 0.99, 0.1);
    ck_assert_double_eq_tol(histogram_mean(&now, &then), 0.5005, 1e-3);
    struct histogram beyond = {0}, none = {0};
    histogram_add(&beyond, 1000);
    ck_assert(isinf(histogram_quantile(&beyond, &none, 0.5)));
}
END_TEST

START_TEST(texts_from_outside_are_texts) {
    static const char latin[] = "caf\xe9", nul[] = "a\0b";
    json_t *json = outside_text(bytes_of(latin, 4));
    ck_assert_str_eq(json_string_value(json), "caf\xc3\xa9");
    json_decref(json);
    json = outside_text(bytes_of(nul, 3));
    ck_assert_uint_eq(json_string_length(json), 3);
    json_decref(json);
    struct shown_text shown;
    char longest[RECENT_TEXT_BYTES + 8];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + RECENT_TEXT_BYTES - 2, "\xf0\x9f\x94\xa5",
           4); /* the cut would be in its middle */
    watch_cut(&shown, bytes_of(longest, sizeof longest));
    ck_assert_uint_eq(shown.len, RECENT_TEXT_BYTES - 2);
    watch_cut(&shown, bytes_text("short"));
    ck_assert_uint_eq(shown.len, 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("show");
    TCase *cases = tcase_create("show");
    tcase_add_test(cases, names_are_escaped);
    tcase_add_test(cases, many_partitions_are_bounded);
    tcase_add_test(cases, what_is_not_known_has_no_value);
    tcase_add_test(cases, who_does_not_lead_has_no_lag);
    tcase_add_test(cases, readiness_has_reasons);
    tcase_add_test(cases, histograms_keep_their_bounds);
    tcase_add_test(cases, texts_from_outside_are_texts);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
