/* Is all well? The limits of each judgement, on both sides; and numbers for people. */
#include "ops/human.h"
#include "ops/verdict.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* JSON with ' for " */
static json_t *json_of(const char *text) {
    char quoted[2048];
    json_error_t error;
    ck_assert_uint_lt(strlen(text), sizeof quoted);
    strcpy(quoted, text);
    for (char *c = quoted; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(quoted, 0, &error);
    ck_assert_msg(json != NULL, "%s: %s", text, error.text);
    return json;
}

static const char well[] =
    "{'state': 'leading', 'ready': true, 'reason': 'leading', 'now_ms': 1000000,"
    " 'epoch': {'committed_ms': 999900},"
    " 'inputs': [{'topic': 'x.interactions', 'partition': 3, 'lag': 5, 'lag_s': 0.2}],"
    " 'totals': {'events': 100000, 'dead_letters': 100, 'labelled': 90000, 'items': 5000},"
    " 'listing_latency_ms': {'count': 10, 'p50': 35.0, 'p99': 80.0},"
    " 'quality': {'calibration': 1.0, 'history': [{'events': 900, 'auc': 0.7, 'ne': 0.9}]},"
    " 'codebooks': {'levels': [{'name': 'RQ 1', 'codes': 64, 'used': 60}]},"
    " 'dead_letters': {'latest': [{'time_ms': 1000, 'reason': 'vector'}]},"
    " 'memory': {'tables': [{'table': 'items', 'rows': 5000, 'rows_max': 10000},"
    "                       {'table': 'codebooks', 'rows': 64, 'rows_max': 64}]}}";

/* over replaces members of the stage that is well; level and the beginning of the sentence. */
static const struct {
    const char *over, *level, *text;
} cases[] = {
    {"{}", "good", "All is well: leading, 0.2 s behind, new listings have their SID after 35 ms"},
    {"{'listing_latency_ms': {'count': 0, 'p50': null}}", "good",
     "All is well: leading, 0.2 s behind"},
    {"{'listing_latency_ms': {'count': 2, 'p50': 1500.0, 'p99': 900.0}}", "good",
     "All is well: leading, 0.2 s behind, new listings have their SID after 1.5 s"},
    {"{'state': 'standby', 'reason': 'standby', 'ready': false}", "good",
     "All is well: standing by, ready to take over"},
    {"{'reason': 'fenced: another instance leads', 'ready': false}", "bad",
     "Fenced: another instance leads"},
    {"{'state': 'standby', 'reason': 'standby: catching up', 'ready': false}", "warn",
     "Standby: catching up"},
    {"{'state': 'starting', 'reason': 'starting', 'ready': false}", "warn",
     "Not at work yet: starting"},
    {"{'state': 'restoring', 'restore': {'share': 0.419}}", "warn",
     "Not at work yet: restoring, 41 % done"},
    {"{'state': 'restoring', 'restore': null}", "warn", "Not at work yet: restoring"},
    {"{'state': 'waiting', 'reason': 'waiting: broker'}", "bad", "Waiting: broker"},
    {"{'state': 'draining'}", "warn", "Leaving: "},
    {"{'state': 7}", "warn", "Not at work yet: leading"},
    {"{'inputs': [{'topic': 't', 'partition': 0, 'lag': 9, 'lag_s': 9.9}]}", "good",
     "All is well: leading, 9.9 s behind"},
    {"{'inputs': [{'topic': 't', 'partition': 0, 'lag': 9, 'lag_s': 10}]}", "warn",
     "t partition 0: 10 s behind (9 records)"},
    {"{'inputs': [{'topic': 't', 'partition': 0, 'lag': 9000, 'lag_s': 60}]}", "bad",
     "t partition 0: 60 s behind (9,000 records)"},
    {"{'inputs': [{'topic': 't', 'partition': 0, 'lag': 9, 'lag_s': 11}, {'topic': 't', "
     "'partition': 1, 'lag': 9, 'lag_s': 99}]}",
     "bad", "t partition 1: 99 s behind (9 records); and 1 more"},
    {"{'epoch': {'committed_ms': 969000}}", "bad",
     "Nothing was committed for 31 s, and records wait"},
    {"{'epoch': {'committed_ms': 971000}}", "good", "All is well"},
    {"{'epoch': {'committed_ms': 1}, 'inputs': []}", "good", "All is well: leading, new listings"},
    {"{'listing_latency_ms': {'count': 1, 'p50': 1, 'p99': 1000}}", "good", "All is well"},
    {"{'listing_latency_ms': {'count': 1, 'p50': 1, 'p99': 1001}}", "warn",
     "new listings: one in a hundred waits 1.0 s"},
    {"{'listing_latency_ms': {'count': 1, 'p50': 1, 'p99': 10001}}", "bad",
     "new listings: one in a hundred waits 10 s"},
    {"{'dead_letters': {'latest': [{'time_ms': 699999}]}}", "good", "All is well"},
    {"{'dead_letters': {'latest': [{'time_ms': 1}, {'time_ms': 700000, 'reason': 'r', 'topic': "
     "'t', 'partition': 1, 'offset': 17}]}}",
     "warn", "t partition 1 offset 17: 1 dead letter in the last 5 minutes, the last one for: r"},
    {"{'dead_letters': {'latest': [{'time_ms': 999999}]}, 'totals': {'events': 100, "
     "'dead_letters': 2}}",
     "bad", ""},
    {"{'quality': {'history': [{'events': 500, 'auc': 0.49, 'ne': 1.1}]}}", "warn",
     "ranking: AUC 0.490 of late"},
    {"{'quality': {'history': [{'events': 500, 'auc': 0.6, 'ne': 1.1}]}}", "warn",
     "ranking: NE 1.100 of late"},
    {"{'quality': {'history': [{'events': 499, 'auc': 0.4, 'ne': 1.1}]}}", "good", "All is well"},
    {"{'quality': {'history': [{'events': 500, 'auc': 0.4}, {'events': 500, 'auc': 0.6}]}}", "good",
     "All is well"},
    {"{'quality': {'calibration': 1.3}}", "warn", "ranking: predicts 1.30 clicks"},
    {"{'quality': {'calibration': 0.7}, 'totals': {'labelled': 9999}}", "good", "All is well"},
    {"{'codebooks': {'levels': [{'name': 'RQ 2', 'codes': 100, 'used': 49}]}, 'totals': {'items': "
     "10001}}",
     "warn", "RQ 2: only 49 of 100 codes are used"},
    {"{'codebooks': {'levels': [{'name': 'RQ 2', 'codes': 100, 'used': 50}]}, 'totals': {'items': "
     "10001}}",
     "good", "All is well"},
    {"{'codebooks': {'levels': [{'name': 'RQ 2', 'codes': 100, 'used': 49}]}, 'totals': {'items': "
     "10000}}",
     "good", "All is well"},
    {"{'quality': {'auc': 0.76, 'history': [{'events': 500, 'auc': 0.705}]}}", "warn",
     "ranking: AUC 0.705 of late, 0.760 over all"},
    {"{'quality': {'auc': 0.76, 'history': [{'events': 500, 'auc': 0.715}]}}", "good",
     "All is well"},
    {"{'picture_ms': 969000}", "bad",
     "The stage has not come round for 31 s; the figures are as old"},
    {"{'picture_ms': 971000}", "good", "All is well"},
    {"{'picture_ms': 1, 'state': 'standby', 'reason': 'standby'}", "good",
     "All is well: standing by"},
    {"{'memory': {'tables': [{'table': 'items', 'rows': 899, 'rows_max': 1000}]}}", "good",
     "All is well"},
    {"{'memory': {'tables': [{'table': 'items', 'rows': 900, 'rows_max': 1000}]}}", "warn",
     "table items: 900 of 1,000 rows are taken"},
    {"{'memory': {'tables': [{'table': 'users', 'rows': 990, 'rows_max': 1000}]}}", "bad",
     "table users: 990 of 1,000 rows"},
    {"{'inputs': 3, 'totals': [], 'quality': 'x', 'codebooks': null, 'memory': {'tables': {}}, "
     "'dead_letters': 1, 'epoch': 0}",
     "good", "All is well: leading, new listings"},
};

START_TEST(each_limit) {
    json_t *status = json_of(well), *over = json_of(cases[_i].over);
    json_object_update(status, over);
    json_t *before = json_deep_copy(status), *verdict = verdict_of(status);
    const char *level, *text;
    json_t *problems;
    ck_assert_int_eq(json_unpack(verdict, "{s:s, s:s, s:o}", "level", &level, "text", &text,
                                 "problems", &problems),
                     0);
    ck_assert_msg(strcmp(level, cases[_i].level) == 0 &&
                      strncmp(text, cases[_i].text, strlen(cases[_i].text)) == 0,
                  "%s: %s: %s", cases[_i].over, level, text);
    ck_assert_int_eq(json_array_size(problems) == 0, strcmp(level, "good") == 0);
    ck_assert(json_equal(status, before));
    json_decref(status);
    json_decref(over);
    json_decref(before);
    json_decref(verdict);
}
END_TEST

START_TEST(texts_that_are_too_long) {
    char topic[3000], quoted[6000];
    for (size_t i = 0; i + 2 < sizeof topic; i += 2)
        memcpy(topic + i, "\xC3\xA4", 3); /* cut at any place, it may be within a character */
    for (size_t shift = 0; shift < 2; shift++) {
        snprintf(quoted, sizeof quoted, "{\"state\": \"waiting\", \"reason\": \"%s%s\"}",
                 shift ? "x" : "", topic);
        json_t *status = json_loads(quoted, 0, NULL), *verdict = verdict_of(status);
        ck_assert_str_eq(json_string_value(json_object_get(verdict, "level")), "bad");
        ck_assert_uint_eq(json_array_size(json_object_get(verdict, "problems")), 1);
        ck_assert_uint_gt(json_string_length(json_object_get(verdict, "text")), 300);
        json_decref(status);
        json_decref(verdict);
    }
}
END_TEST

START_TEST(numbers) {
    char out[HUMAN_BYTES];
    ck_assert_str_eq(human_count(0, out), "0");
    ck_assert_str_eq(human_count(999, out), "999");
    ck_assert_str_eq(human_count(1000, out), "1,000");
    ck_assert_str_eq(human_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
    ck_assert_str_eq(human_number(0.4, out), "0.4");
    ck_assert_str_eq(human_number(3, out), "3");
    ck_assert_str_eq(human_number(9.94, out), "9.9");
    ck_assert_str_eq(human_number(9.95, out), "10");
    ck_assert_str_eq(human_number(1203.4, out), "1,203");
    ck_assert_str_eq(human_number(NAN, out), "-");
    ck_assert_str_eq(human_number(INFINITY, out), "-");
    ck_assert_str_eq(human_number(1e300, out), "-");
    ck_assert_str_eq(human_place(99120, out), "99120");
    ck_assert_str_eq(human_place(NAN, out), "-");
    ck_assert_str_eq(human_place(1e300, out), "-");
    ck_assert_str_eq(human_span(-3, out), "0.0 s");
    ck_assert_str_eq(human_span(0.25, out), "0.2 s");
    ck_assert_str_eq(human_span(9.96, out), "10 s");
    ck_assert_str_eq(human_span(119.4, out), "119 s");
    ck_assert_str_eq(human_span(120, out), "2 min 0 s");
    ck_assert_str_eq(human_span(11520, out), "3 h 12 min");
    ck_assert_str_eq(human_span(187200, out), "2 d 4 h");
    ck_assert_str_eq(human_span(NAN, out), "-");
    ck_assert_str_eq(human_span(1e300, out), "-");
    ck_assert_str_eq(human_size(1023, out), "1023 B");
    ck_assert_str_eq(human_size(1536, out), "1.5 KiB");
    ck_assert_str_eq(human_size(UINT64_MAX, out), "16777216.0 TiB");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("verdict");
    TCase *all = tcase_create("all");
    suite_add_tcase(suite, all);
    tcase_add_loop_test(all, each_limit, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(all, texts_that_are_too_long);
    tcase_add_test(all, numbers);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
