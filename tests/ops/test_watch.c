/* The watch between ports that a test drives: what counts only when it is committed, trouble, look-ups. With a stage behind it: tests/kafka/test_metrics.py. */
#include "ops/watch_private.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct watch *watch;
    struct error err;
    struct source_port source;
    struct sink_port sink;
    struct record
        next; /* topic, partition, offset ... of what the source gives; TOPIC_COUNT: nothing */
    enum status source_says, begin_says, commit_says;
};

#define MUST(call) ck_assert_msg((call) == OK, "%s", world->err.text)

static enum status give(void *self, struct record *out, bool *got, bool *end, struct error *err) {
    struct world *world = self;
    *end = false;
    *got = world->source_says == OK && world->next.topic != TOPIC_COUNT;
    *out = world->next;
    return world->source_says == OK ? OK : FAIL(err, world->source_says, EX_TEMPFAIL, "no broker");
}
static enum status rewind_to(void *self, const struct position *positions, uint32_t count,
                             struct error *err) {
    (void)self, (void)positions, (void)count, (void)err;
    return OK;
}
static enum status begin(void *self, uint64_t epoch, struct error *err) {
    struct world *world = self;
    (void)epoch;
    return world->begin_says == OK ? OK : FAIL(err, world->begin_says, EX_TEMPFAIL, "not leading");
}
static enum status put(void *self, const struct record *record, struct error *err) {
    (void)self, (void)record, (void)err;
    return OK;
}
static enum status commit(void *self, const struct position *positions, uint32_t count,
                          struct error *err) {
    struct world *world = self;
    (void)positions, (void)count;
    return world->commit_says == OK ? OK
                                    : FAIL(err, world->commit_says, EX_TEMPFAIL, "it was aborted");
}
static enum status abort_it(void *self, struct error *err) {
    (void)self, (void)err;
    return OK;
}

static struct world *world_create(void) {
    struct world *world = calloc(1, sizeof *world);
    struct model_config model = {
        .tokenizer.books = {8, 8, 8, 8, 8}, .items_max = 100, .users_max = 100, .id_bytes_max = 16};
    MUST(watch_create(&world->watch, &model, 4, &world->err));
    world->source =
        watch_source(world->watch, (struct source_port){world, give, rewind_to, NULL, NULL});
    world->sink =
        watch_sink(world->watch, (struct sink_port){world, begin, put, NULL, commit, abort_it});
    ck_assert(world->source.due == NULL && world->source.formed == NULL);
    return world;
}
static void world_destroy(struct world *world) {
    watch_destroy(world->watch);
    free(world);
}

static void read_one(struct world *world, enum topic topic, int64_t offset, const char *key) {
    bool got, end;
    struct record out;
    world->next = (struct record){.topic = topic,
                                  .partition = 2,
                                  .offset = offset,
                                  .timestamp_ms = 1000 + offset,
                                  .key = bytes_text(key),
                                  .value = bytes_text("value")};
    MUST(world->source.next(world->source.self, &out, &got, &end, &world->err));
    ck_assert(got && out.offset == offset);
}

static void put_one(struct world *world, enum topic topic) {
    struct record record = {.topic = topic, .key = bytes_text("key"), .value = bytes_text("value")};
    if (topic == TOPIC_DEAD_LETTER) {
        record.header_count = 5;
        record.headers[0] = (struct header){bytes_text("topic"), bytes_text("interactions")};
        record.headers[1] = (struct header){bytes_text("partition"), bytes_text("2")};
        record.headers[2] = (struct header){bytes_text("offset"), bytes_text("17")};
        record.headers[3] = (struct header){bytes_text("reason"), bytes_text("vector")};
        record.headers[4] = (struct header){bytes_text("error"), bytes_text("too short")};
    }
    MUST(world->sink.put(world->sink.self, &record, &world->err));
}

/* A dead letter, two rows, a manifest. */
static enum status epoch(struct world *world, uint64_t number, int64_t next_offset) {
    struct position position = {TOPIC_INTERACTIONS, 2, next_offset, 0};
    enum status status = world->sink.begin(world->sink.self, number, &world->err);
    if (status == OK) {
        put_one(world, TOPIC_DEAD_LETTER);
        put_one(world, TOPIC_CHANGELOG);
        put_one(world, TOPIC_CHANGELOG);
        put_one(world, TOPIC_EPOCHS);
        status = world->sink.commit(world->sink.self, &position, 1, &world->err);
    }
    if (status != OK) {
        MUST(world->sink.abort(world->sink.self, &world->err));
        MUST(world->source.rewind(world->source.self, NULL, 0, &world->err));
    }
    return status;
}

START_TEST(only_what_is_committed_counts) {
    struct world *world = world_create();
    const struct picture *p = world->watch->next;
    read_one(world, TOPIC_INTERACTIONS, 5, "u");
    ck_assert_uint_eq(p->now.read[0].records, 1);
    ck_assert_uint_eq(p->now.read[0].bytes, 6);
    world->commit_says = ABORT_EPOCH;
    ck_assert_int_eq(epoch(world, 1, 6), ABORT_EPOCH);
    ck_assert_uint_eq(p->now.aborted, 1);
    ck_assert_uint_eq(p->now.written[TOPIC_CHANGELOG].records, 0);
    ck_assert_int_eq(p->inputs[0].position, -1);
    ck_assert_uint_eq(histogram_count(&p->now.phases[PHASE_COMMIT]), 0);
    ck_assert(!world->watch->committed);
    world->commit_says = OK;
    read_one(world, TOPIC_INTERACTIONS, 5, "u");
    ck_assert_int_eq(epoch(world, 1, 6), OK);
    ck_assert_uint_eq(p->now.aborted, 1);
    ck_assert_uint_eq(p->now.written[TOPIC_CHANGELOG].records, 2);
    ck_assert_uint_eq(p->now.written[TOPIC_CHANGELOG].bytes, 16);
    ck_assert_uint_eq(p->now.written[TOPIC_EPOCHS].records, 1);
    ck_assert_int_eq(p->inputs[0].position, 6);
    for (int phase = 0; phase < PHASES; phase++)
        ck_assert_uint_eq(histogram_count(&p->now.phases[phase]), 1);
    ck_assert(world->watch->committed);
    ck_assert_uint_eq(world->watch->dead_count, 1);
    const struct shown_dead *dead = &world->watch->dead[0];
    ck_assert_str_eq(dead->reason, "vector");
    ck_assert(dead->topic == TOPIC_INTERACTIONS && dead->partition == 2 && dead->offset == 17);
    ck_assert_int_eq(memcmp(dead->text.data, "too short", dead->text.len), 0);
    world_destroy(world);
}
END_TEST

/* What is read again after an abort is expected once; the oldest goes where there is no room; an id that no item can have is left out. */
START_TEST(listings_are_expected_within_bounds) {
    struct world *world = world_create();
    struct watch *w = world->watch;
    read_one(world, TOPIC_ITEM_CONTENT, 0, "item");
    read_one(world, TOPIC_ITEM_CONTENT, 1, "an id that is too long for any");
    ck_assert_uint_eq(w->expected_count, 1);
    world->commit_says = ABORT_EPOCH;
    ck_assert_int_eq(epoch(world, 1, 0), ABORT_EPOCH);
    ck_assert_uint_eq(w->expected_count, 0);
    for (int64_t offset = 0; offset < (int64_t)w->expected_max + 3; offset++)
        read_one(world, TOPIC_ITEM_CONTENT, offset, "item");
    ck_assert_uint_eq(w->expected_count, w->expected_max);
    ck_assert_int_eq(w->expected[w->expected_first].offset, 3);
    world_destroy(world);
}
END_TEST

START_TEST(trouble_lasts_until_a_call_succeeds) {
    struct world *world = world_create();
    struct watch_status status;
    struct record out;
    bool got, end;
    world->source_says = RETRY;
    ck_assert_int_eq(world->source.next(world->source.self, &out, &got, &end, &world->err), RETRY);
    watch_status(world->watch, &status);
    ck_assert_str_eq(status.trouble, "no broker");
    world->source_says = OK;
    read_one(world, TOPIC_INTERACTIONS, 0, "u");
    watch_status(world->watch, &status);
    ck_assert_str_eq(status.trouble, "");
    world->begin_says = RETRY; /* no transaction was begun: none was aborted */
    ck_assert_int_eq(epoch(world, 1, 1), RETRY);
    ck_assert_uint_eq(world->watch->next->now.aborted, 0);
    read_one(world, TOPIC_INTERACTIONS, 0, "u");
    watch_status(world->watch, &status);
    ck_assert_str_eq(status.trouble, "not leading"); /* of the output: the input does not end it */
    world->begin_says = OK;
    ck_assert_int_eq(epoch(world, 1, 1), OK);
    watch_status(world->watch, &status);
    ck_assert_str_eq(status.trouble, "");
    ck_assert(status.call_s == 0);
    world_destroy(world);
}
END_TEST

START_TEST(one_look_up_at_a_time) {
    struct world *world = world_create();
    char *json;
    ck_assert(!watch_ask(world->watch, "a")); /* nobody leads */
    watch_state(world->watch, WATCH_LEADING, NULL);
    ck_assert(watch_ask(world->watch, "a"));
    ck_assert(!watch_ask(world->watch, "b"));
    ck_assert(!watch_answer(world->watch, &json));
    watch_give_up(world->watch);
    ck_assert(watch_ask(world->watch, "b"));
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("watch");
    TCase *cases = tcase_create("watch");
    tcase_add_test(cases, only_what_is_committed_counts);
    tcase_add_test(cases, listings_are_expected_within_bounds);
    tcase_add_test(cases, trouble_lasts_until_a_call_succeeds);
    tcase_add_test(cases, one_look_up_at_a_time);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
