/* The source: explicit positions, never a silent reset. */
#include "kafka_world.h"

static struct kafka_source *open_ok(const struct world *w) {
    struct kafka_source *source = NULL;
    struct error err = {0};
    ck_assert_msg(kafka_source_open(&source, &w->config, &err) == OK, "%s", err.text);
    return source;
}

/* The next record within ten seconds; its value must be as expected. */
static void expect(const struct source_port *port, const char *value) {
    struct record record;
    struct error err = {0};
    bool got = false, end = false;
    for (int64_t limit = world_ms() + 10000; !got && world_ms() < limit;) {
        enum status status = port->next(port->self, &record, &got, &end, &err);
        ck_assert_msg(status == OK || status == RETRY, "%s", err.text);
    }
    ck_assert_msg(got && !end, "nothing came where %s was expected", value);
    ck_assert_msg(bytes_equal(record.value, bytes_text(value)), "%.*s instead of %s",
                  (int)record.value.len, (const char *)record.value.data, value);
    ck_assert(bytes_equal(record.key, record.value));
    ck_assert_ptr_null(record.damage);
    ck_assert_int_gt(record.timestamp_ms, 0);
}

START_TEST(goes_back_to_positions) {
    struct world *w = world_with_topics("rewind");
    struct error err = {0};
    world_produce(w, "interactions", 0, "click ", 10);
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    for (int i = 0; i < 6; i++) {
        char value[32];
        snprintf(value, sizeof value, "click %d", i);
        expect(&port, value);
    }
    struct position at_3 = {TOPIC_INTERACTIONS, 0, 3, 0};
    ck_assert_msg(port.rewind(port.self, &at_3, 1, &err) == OK, "%s", err.text);
    expect(&port, "click 3");
    expect(&port, "click 4");
    ck_assert_msg(port.rewind(port.self, NULL, 0, &err) == OK, "%s", err.text);
    expect(&port, "click 0");
    struct position at_end = {TOPIC_INTERACTIONS, 0, 10, 0};
    ck_assert_msg(port.rewind(port.self, &at_end, 1, &err) == OK, "%s", err.text);
    struct record record;
    bool got = true, end = true;
    ck_assert_msg(port.next(port.self, &record, &got, &end, &err) == OK, "%s", err.text);
    ck_assert(!got && !end);
    world_produce(w, "interactions", 0, "later ", 1);
    expect(&port, "later 0");
    kafka_source_close(source);
}
END_TEST

START_TEST(what_retention_took_is_an_error_with_a_remedy) {
    struct world *w = world_with_topics("gone");
    struct error err = {0};
    world_produce(w, "interactions", 0, "click ", 10);
    world_delete_before(w, "interactions", 0, 5);
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    struct position at_3 = {TOPIC_INTERACTIONS, 0, 3, 0};
    ck_assert_int_eq(port.rewind(port.self, &at_3, 1, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_DATAERR);
    ck_assert_msg(strstr(err.text, "interactions-0") && strstr(err.text, "is 3,") &&
                      strstr(err.text, "5 to 10") && strstr(err.text, "retention"),
                  "%s", err.text);
    struct position at_99 = {TOPIC_INTERACTIONS, 0, 99, 0};
    ck_assert_int_eq(port.rewind(port.self, &at_99, 1, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_DATAERR && strstr(err.text, "truncated"), "%s", err.text);
    struct position no_partition = {TOPIC_INTERACTIONS, 8, 4, 0};
    ck_assert_int_eq(port.rewind(port.self, &no_partition, 1, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_DATAERR, "%s", err.text);
    /* the beginning is what the topic has */
    ck_assert_msg(port.rewind(port.self, NULL, 0, &err) == OK, "%s", err.text);
    expect(&port, "click 5");
    kafka_source_close(source);
}
END_TEST

/* Deleted under the reader: the position that was reached is gone. */
START_TEST(what_is_deleted_while_reading_is_an_error_too) {
    struct world *w = world_with_topics("lost");
    struct error err = {0};
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    world_produce(w, "interactions", 0, "click ", 2);
    expect(&port, "click 0");
    struct position at_1 = {TOPIC_INTERACTIONS, 0, 1, 0};
    world_delete_before(w, "interactions", 0, 2);
    ck_assert_int_eq(port.rewind(port.self, &at_1, 1, &err), FATAL);
    ck_assert_msg(strstr(err.text, "2 to 2") != NULL, "%s", err.text);
    kafka_source_close(source);
}
END_TEST

START_TEST(clicks_are_due_when_the_first_has_waited) {
    struct world *w = world_with_topics("due");
    w->config.linger_ms = 300;
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    world_produce(w, "item-content", 0, "item ", 1);
    expect(&port, "item 0");
    usleep(400000);
    ck_assert(!port.due(port.self)); /* listings wait for nothing */
    world_produce(w, "interactions", 0, "click ", 3);
    expect(&port, "click 0");
    ck_assert(!port.due(port.self));
    usleep(200000);
    expect(&port, "click 1");
    usleep(200000);
    ck_assert(port.due(port.self)); /* counted from the first, not the last */
    port.formed(port.self);
    ck_assert(!port.due(port.self));
    expect(&port, "click 2");
    ck_assert(!port.due(port.self));
    usleep(400000);
    ck_assert(port.due(port.self));
    kafka_source_close(source);
}
END_TEST

/* Whatever interactions were fetched before it. */
START_TEST(a_listing_overtakes_a_backlog_of_interactions) {
    enum { BACKLOG = 20000 };
    struct world *w = world_with_topics("backlog");
    struct error err = {0};
    world_produce(w, "interactions", 0, "click ", BACKLOG);
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    for (int i = 0; i < 10; i++) {
        char value[32];
        snprintf(value, sizeof value, "click %d", i);
        expect(&port, value);
    }
    world_produce(w, "item-content", 0, "item ", 1);
    struct record record = {0};
    bool got = false, end, listing = false;
    int before = 10;
    for (; before < BACKLOG && !listing; before += got && !listing) {
        usleep(1000); /* an interaction takes its time */
        ck_assert_msg(port.next(port.self, &record, &got, &end, &err) == OK, "%s", err.text);
        listing = got && record.topic == TOPIC_ITEM_CONTENT;
    }
    ck_assert_msg(listing, "the listing came after %d interactions", before);
    kafka_source_close(source);
}
END_TEST

/* The budgets bound what waits, not how fast it goes: all comes, in order. */
START_TEST(small_budgets_only_fetch_more_often) {
    enum { BACKLOG = 20000 };
    struct world *w = world_with_topics("budget");
    w->config.fetch_bytes_max = 65536;
    world_produce(w, "interactions", 0, "click ", BACKLOG);
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    for (int i = 0; i < BACKLOG; i++) {
        char value[32];
        snprintf(value, sizeof value, "click %d", i);
        expect(&port, value);
    }
    kafka_source_close(source);
}
END_TEST

START_TEST(a_partition_that_is_added_is_read_from_its_beginning) {
    struct world *w = world_with_topics("grown");
    char name[256], text[256];
    world_name(w, "interactions", name);
    world_produce(w, "interactions", 0, "old ", 2);
    struct kafka_source *source = open_ok(w);
    struct source_port port = kafka_source_port(source);
    expect(&port, "old 0");
    rd_kafka_t *admin = world_admin(w);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(name, 2, text, sizeof text);
    rd_kafka_CreatePartitions(admin, &more, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    ck_assert(event != NULL && rd_kafka_event_error(event) == 0);
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
    sleep(1);
    world_produce(w, "interactions", 1, "new ", 1);
    expect(&port, "old 1");
    sleep(31); /* partitions are looked for every 30 s */
    expect(&port, "new 0");
    kafka_source_close(source);
}
END_TEST

START_TEST(a_topic_that_is_missing_is_named) {
    struct world *w = world_new("none");
    struct kafka_source *source;
    struct error err = {0};
    ck_assert_int_eq(kafka_source_open(&source, &w->config, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_CONFIG && strstr(err.text, "item-content"), "%s", err.text);
    w = world_with_topics("narrow");
    w->config.input_partitions_max = 0;
    ck_assert_int_eq(kafka_source_open(&source, &w->config, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka source");
    TCase *cases = tcase_create("source");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, goes_back_to_positions);
    tcase_add_test(cases, what_retention_took_is_an_error_with_a_remedy);
    tcase_add_test(cases, what_is_deleted_while_reading_is_an_error_too);
    tcase_add_test(cases, clicks_are_due_when_the_first_has_waited);
    tcase_add_test(cases, a_listing_overtakes_a_backlog_of_interactions);
    tcase_add_test(cases, small_budgets_only_fetch_more_often);
    tcase_add_test(cases, a_partition_that_is_added_is_read_from_its_beginning);
    tcase_add_test(cases, a_topic_that_is_missing_is_named);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
