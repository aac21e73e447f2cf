/* After a commit whose answer was lost: what the epochs topic says is what happened. The answer is lost here by asking librdkafka
 * to commit behind the sink's back, which needs the sink's inside. */
#include "kafka_world.h"

#include "transport/kafka_sink.c"

static struct kafka_sink *in_commit(struct kafka_leader *leader, const struct world *w) {
    struct error err = {0};
    struct kafka_sink *sink = world_sink(w, leader);
    struct record row = world_record(TOPIC_DEAD_LETTER, "a", "1");
    struct record manifest = world_record(TOPIC_EPOCHS, "1", "manifest 1");
    ck_assert_msg(sink_begin(sink, 1, &err) == OK, "%s", err.text);
    ck_assert_msg(sink_put(sink, &row, &err) == OK, "%s", err.text);
    ck_assert_msg(sink_put(sink, &manifest, &err) == OK, "%s", err.text);
    return sink;
}

static void second_epoch(struct kafka_sink *sink) {
    struct error err = {0};
    struct record manifest = world_record(TOPIC_EPOCHS, "2", "manifest 2");
    ck_assert_msg(sink_begin(sink, 2, &err) == OK, "%s", err.text);
    ck_assert_msg(sink_put(sink, &manifest, &err) == OK, "%s", err.text);
    ck_assert_msg(sink_commit(sink, NULL, 0, &err) == OK, "%s", err.text);
}

START_TEST(committed_and_not_told) {
    struct world *w = world_with_topics("told");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *sink = in_commit(leader, w);
    ck_assert_ptr_null(rd_kafka_commit_transaction(sink->producer, -1));
    ck_assert_msg(settle(sink, &err) == OK, "%s", err.text);
    second_epoch(sink);
    ck_assert_int_eq(world_read(w, TOPIC_DEAD_LETTER, NULL, NULL), 1);
    ck_assert_int_eq(world_read(w, TOPIC_EPOCHS, NULL, NULL), 2);
    kafka_sink_close(sink);
    kafka_leader_leave(leader);
}
END_TEST

START_TEST(never_committed) {
    struct world *w = world_with_topics("never");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *sink = in_commit(leader, w);
    ck_assert_int_eq(rd_kafka_flush(sink->producer, 5000), 0);
    ck_assert_msg(settle(sink, &err) == ABORT_EPOCH, "%s", err.text);
    ck_assert_int_eq(sink_abort(sink, &err), OK);
    second_epoch(sink);
    ck_assert_int_eq(world_read(w, TOPIC_DEAD_LETTER, NULL, NULL), 0);
    ck_assert_int_eq(world_read(w, TOPIC_EPOCHS, NULL, NULL), 1);
    kafka_sink_close(sink);
    kafka_leader_leave(leader);
}
END_TEST

/* Another instance led meanwhile: this one's state is old, and it must not go on. */
START_TEST(an_epoch_of_another_instance_ends_this_one) {
    struct world *w = world_with_topics("other");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *sink = in_commit(leader, w), *other = world_sink(w, leader);
    second_epoch(other);
    ck_assert_int_eq(settle(sink, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_UNAVAILABLE && strstr(err.text, "another instance"), "%s",
                  err.text);
    ck_assert_int_eq(world_read(w, TOPIC_EPOCHS, NULL, NULL), 1);
    kafka_sink_close(sink);
    kafka_sink_close(other);
    kafka_leader_leave(leader);
}
END_TEST

START_TEST(without_the_lead_it_does_not_fence_the_one_that_has_it) {
    struct world *w = world_with_topics("nolead");
    w->config.transaction_timeout_ms = 1000;
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *sink = in_commit(leader, w);
    struct kafka_leader *standby = world_join(w);
    sink->leader = standby;
    ck_assert_int_eq(settle(sink, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_UNAVAILABLE && strstr(err.text, "does not lead"), "%s",
                  err.text);
    kafka_sink_close(sink);
    kafka_leader_leave(standby);
    kafka_leader_leave(leader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka settle");
    TCase *cases = tcase_create("settle");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, committed_and_not_told);
    tcase_add_test(cases, never_committed);
    tcase_add_test(cases, an_epoch_of_another_instance_ends_this_one);
    tcase_add_test(cases, without_the_lead_it_does_not_fence_the_one_that_has_it);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
