/* Topics: created as DESIGN section 2 has them, compared, never altered; properties that are refused. */
#include "kafka_world.h"

START_TEST(creates_what_is_missing_and_finds_it_right) {
    struct world *w = world_new("create");
    struct topic_check checks[KAFKA_TOPICS];
    struct error err = {0};
    ck_assert_msg(kafka_check_topics(&w->config, checks, &err) == OK, "%s", err.text);
    for (int t = 0; t < KAFKA_TOPICS; t++)
        ck_assert_int_eq(checks[t].state, TOPIC_MISSING);
    ck_assert_str_eq(checks[TOPIC_RANKER_DELTAS].text,
                     "will be created with 3 partitions, cleanup.policy compact");
    ck_assert_msg(kafka_create_topics(&w->config, &err) == OK, "%s", err.text);
    ck_assert_msg(kafka_create_topics(&w->config, &err) == OK, "again: %s", err.text);
    ck_assert_msg(kafka_check_topics(&w->config, checks, &err) == OK, "%s", err.text);
    for (int t = 0; t < KAFKA_TOPICS; t++)
        ck_assert_msg(checks[t].state == TOPIC_THERE, "%s: %s", checks[t].name, checks[t].text);
}
END_TEST

START_TEST(tells_what_differs_and_leaves_it) {
    struct world *w = world_new("differs");
    struct topic_check checks[KAFKA_TOPICS];
    struct error err = {0};
    world_create(w, "changelog", 5,
                 (const char *const[][2]){
                     {"cleanup.policy", "delete"}, {"max.message.bytes", "1000000"}, {NULL, NULL}});
    ck_assert_msg(kafka_create_topics(&w->config, &err) == OK, "%s", err.text);
    ck_assert_msg(kafka_check_topics(&w->config, checks, &err) == OK, "%s", err.text);
    ck_assert_int_eq(checks[TOPIC_CHANGELOG].state, TOPIC_DIFFERS);
    ck_assert_str_eq(checks[TOPIC_CHANGELOG].text,
                     "5 partitions instead of 2; cleanup.policy delete instead of compact; "
                     "segment.ms 604800000 instead of 3600000; "
                     "segment.bytes 1073741824 instead of 134217728; "
                     "min.cleanable.dirty.ratio 0.5 instead of 0.3; "
                     "delete.retention.ms 86400000 instead of at least 604800000; "
                     "max.message.bytes 1000000 instead of at least 4194304");
    ck_assert(checks[TOPIC_CHANGELOG].must);
    ck_assert_int_eq(checks[TOPIC_EPOCHS].state, TOPIC_THERE);
}
END_TEST

static enum status with_property(const char *key, const char *value, struct error *err) {
    struct world *w = world_new("property");
    struct topic_check checks[KAFKA_TOPICS];
    struct kafka_property property = {.key = key, .value = value};
    w->config.property_count = 1;
    w->config.properties = &property;
    return kafka_check_topics(&w->config, checks, err);
}

START_TEST(refuses_properties_that_exactly_once_owns) {
    static const char *const owned[] = {"transactional.id",
                                        "enable.idempotence",
                                        "acks",
                                        "isolation.level",
                                        "enable.auto.commit",
                                        "group.id",
                                        "auto.offset.reset",
                                        "Group.ID"};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        struct error err = {0};
        ck_assert_int_eq(with_property(owned[i], "1", &err), FATAL);
        ck_assert_int_eq(err.exit_code, EX_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.text, owned[i]));
    }
    struct error err = {0};
    ck_assert_msg(with_property("compression.type", "lz4", &err) == OK, "%s", err.text);
}
END_TEST

START_TEST(names_a_wrong_property_and_never_a_secret) {
    struct error err = {0};
    ck_assert_int_eq(with_property("compresion.type", "lz4", &err), FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "compresion.type"));
    ck_assert_int_eq(with_property("sasl.oauthbearer.method", "hunter2", &err), FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "sasl.oauthbearer.method"));
    ck_assert_ptr_null(strstr(err.text, "hunter2"));
    ck_assert_int_eq(with_property("linger.ms", "many", &err), FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "linger.ms"));
}
END_TEST

START_TEST(a_broker_that_is_away_is_no_fatal_error) {
    struct world *w = world_new("away");
    struct topic_check checks[KAFKA_TOPICS];
    struct error err = {0};
    w->config.brokers = "127.0.0.1:1";
    ck_assert_int_eq(kafka_check_topics(&w->config, checks, &err), RETRY);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka topics");
    TCase *cases = tcase_create("topics");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, creates_what_is_missing_and_finds_it_right);
    tcase_add_test(cases, tells_what_differs_and_leaves_it);
    tcase_add_test(cases, refuses_properties_that_exactly_once_owns);
    tcase_add_test(cases, names_a_wrong_property_and_never_a_secret);
    tcase_add_test(cases, a_broker_that_is_away_is_no_fatal_error);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
