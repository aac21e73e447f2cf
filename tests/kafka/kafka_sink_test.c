/* Epochs as transactions on a real broker, and the log that reads them back. */
#include "kafka_world.h"

#define PUT(sink, record) put_ok(&(sink), (record))

static void put_ok(const struct sink_port *sink, struct record record) {
    struct error err = {0};
    ck_assert_msg(sink->put(sink->self, &record, &err) == OK, "%s", err.text);
}

static void begin_ok(const struct sink_port *sink, uint64_t epoch) {
    struct error err = {0};
    enum status status;
    int64_t end = world_ms() + WORLD_RETRY_MS;
    while ((status = sink->begin(sink->self, epoch, &err)) == RETRY && world_ms() < end)
        usleep(100000);
    ck_assert_msg(status == OK, "%s", err.text);
}

/* One epoch: three rows, the ends, the manifest. */
static void fill(const struct sink_port *sink, uint64_t epoch, struct output_end ends[16],
                 uint32_t *count) {
    char key[32], value[64];
    struct error err = {0};
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "row-%d", i);
        snprintf(value, sizeof value, "%llu", (unsigned long long)epoch);
        put_ok(sink, world_record(TOPIC_CHANGELOG, key, value));
    }
    ck_assert_msg(sink->ends(sink->self, ends, 16, count, &err) == OK, "%s", err.text);
    snprintf(value, sizeof value, "manifest %llu", (unsigned long long)epoch);
    put_ok(sink, world_record(TOPIC_EPOCHS, "epoch", value));
}

static const struct position at_7 = {TOPIC_INTERACTIONS, 0, 7, 0};

START_TEST(what_is_committed_is_seen_and_what_is_aborted_is_not) {
    struct world *w = world_with_topics("commit");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    struct output_end ends[16];
    uint32_t count;
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    for (uint64_t epoch = 1; epoch <= 6; epoch++) {
        begin_ok(&sink, epoch);
        fill(&sink, epoch, ends, &count);
        if (epoch % 3 == 0)
            ck_assert_int_eq(sink.abort(sink.self, &err), OK);
        else
            ck_assert_msg(sink.commit(sink.self, &at_7, 1, &err) == OK, "%s", err.text);
    }
    ck_assert_int_eq(world_read(w, TOPIC_CHANGELOG, NULL, NULL), 12);
    ck_assert_int_eq(world_read(w, TOPIC_EPOCHS, NULL, NULL), 4);
    ck_assert_int_eq(world_read(w, TOPIC_DEAD_LETTER, NULL, NULL), 0);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

struct last_seen {
    int64_t offset[TOPIC_COUNT][4];
    char value[64];
    uint32_t headers;
    int64_t timestamp_ms;
};

static void remember(void *self, const struct record *record) {
    struct last_seen *seen = self;
    seen->offset[record->topic][record->partition] = record->offset;
    struct bytes value = record->value.data != NULL ? record->value : bytes_text("null");
    snprintf(seen->value, sizeof seen->value, "%.*s", (int)value.len, (const char *)value.data);
    seen->headers = record->header_count;
    seen->timestamp_ms = record->timestamp_ms;
}

START_TEST(ends_are_one_past_the_last_records) {
    struct world *w = world_with_topics("ends");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    struct output_end ends[16];
    uint32_t count;
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    for (uint64_t epoch = 1; epoch <= 8; epoch++) {
        begin_ok(&sink, epoch);
        fill(&sink, epoch, ends, &count);
        if (epoch == 4) {
            ck_assert_int_eq(sink.abort(sink.self, &err), OK);
            continue;
        }
        ck_assert_msg(sink.commit(sink.self, &at_7, 1, &err) == OK, "%s", err.text);
        struct last_seen seen = {0};
        memset(seen.offset, 0xff, sizeof seen.offset);
        world_read(w, TOPIC_CHANGELOG, remember, &seen);
        world_read(w, TOPIC_EPOCHS, remember, &seen);
        ck_assert_uint_eq(count, 10);
        for (uint32_t i = 0; i < count; i++) {
            int64_t last = seen.offset[ends[i].topic][ends[i].partition];
            /* of epochs: where the manifest will be */
            ck_assert_int_eq(ends[i].end_offset, last + (ends[i].topic != TOPIC_EPOCHS));
        }
    }
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

START_TEST(a_record_keeps_its_bytes_headers_and_time) {
    struct world *w = world_with_topics("bytes");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    struct last_seen seen = {0};
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    begin_ok(&sink, 1);
    struct record record = world_record(TOPIC_DEAD_LETTER, "k", "raw");
    record.header_count = 2;
    record.headers[0] = (struct header){bytes_text("topic"), bytes_text("interactions")};
    record.headers[1] = (struct header){bytes_text("offset"), bytes_text("12")};
    PUT(sink, record);
    PUT(sink, world_record(TOPIC_CODEBOOKS, "gone", NULL));
    ck_assert_msg(sink.commit(sink.self, NULL, 0, &err) == OK, "%s", err.text);
    ck_assert_int_eq(world_read(w, TOPIC_DEAD_LETTER, remember, &seen), 1);
    ck_assert_str_eq(seen.value, "raw");
    ck_assert_uint_eq(seen.headers, 2);
    ck_assert_int_eq(seen.timestamp_ms, 1700000000000);
    ck_assert_int_eq(world_read(w, TOPIC_CODEBOOKS, remember, &seen), 1);
    ck_assert_str_eq(seen.value, "null");
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

/* The offsets that the transaction committed for the group. */
START_TEST(positions_are_committed_with_the_epoch) {
    struct world *w = world_with_topics("offsets");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    char name[256], text[256];
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    begin_ok(&sink, 1);
    PUT(sink, world_record(TOPIC_CHANGELOG, "a", "b"));
    ck_assert_msg(sink.commit(sink.self, &at_7, 1, &err) == OK, "%s", err.text);
    struct position aborted = {TOPIC_INTERACTIONS, 0, 9, 0};
    begin_ok(&sink, 2);
    PUT(sink, world_record(TOPIC_CHANGELOG, "a", "c"));
    (void)aborted;
    ck_assert_int_eq(sink.abort(sink.self, &err), OK);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", w->brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "group.id", w->application, text, sizeof text);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    world_name(w, "interactions", name);
    rd_kafka_topic_partition_list_add(list, name, 0);
    ck_assert_int_eq(rd_kafka_committed(reader, list, 10000), 0);
    ck_assert_int_eq(list->elems[0].offset, 7);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(reader);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

START_TEST(a_second_sink_fences_the_first) {
    struct world *w = world_with_topics("fence");
    struct kafka_leader *leader = world_join(w), *standby;
    struct error err = {0};
    struct output_end ends[16];
    uint32_t count;
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    begin_ok(&sink, 1);
    fill(&sink, 1, ends, &count);
    standby = world_join(w);
    struct kafka_sink *second = world_sink(w, standby);
    ck_assert_int_eq(sink.commit(sink.self, &at_7, 1, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_UNAVAILABLE, "%s", err.text);
    ck_assert_msg(strstr(err.text, "another instance") != NULL, "%s", err.text);
    /* who does not lead publishes nothing */
    struct sink_port port = kafka_sink_port(second);
    ck_assert_int_eq(port.begin(port.self, 1, &err), RETRY);
    ck_assert_int_eq(world_read(w, TOPIC_CHANGELOG, NULL, NULL), 0);
    kafka_sink_close(kafka);
    kafka_sink_close(second);
    kafka_leader_leave(standby);
    kafka_leader_leave(leader);
}
END_TEST

START_TEST(a_record_that_is_too_large_is_named_before_it_is_sent) {
    static char large[(4 << 20) + 1];
    struct world *w = world_with_topics("large");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    begin_ok(&sink, 1);
    memset(large, 'x', sizeof large - 1);
    struct record record = world_record(TOPIC_CODEBOOKS, "big", large);
    ck_assert_int_eq(sink.put(sink.self, &record, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    ck_assert_msg(strstr(err.text, "codebooks") != NULL &&
                      strstr(err.text, "max.message.bytes") != NULL,
                  "%s", err.text);
    record.value.len -= 1024; /* what is allowed arrives */
    PUT(sink, record);
    ck_assert_msg(sink.commit(sink.self, NULL, 0, &err) == OK, "%s", err.text);
    ck_assert_int_eq(world_read(w, TOPIC_CODEBOOKS, NULL, NULL), 1);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

/* The broker ends a transaction that takes too long; a new producer finds that the epoch was not committed. */
START_TEST(an_expired_transaction_is_formed_again) {
    struct world *w = world_with_topics("expired");
    w->config.transaction_timeout_ms = 2000;
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    struct output_end ends[16];
    uint32_t count;
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    begin_ok(&sink, 1);
    fill(&sink, 1, ends, &count);
    sleep(14); /* the broker looks every 10 s */
    enum status status = sink.commit(sink.self, &at_7, 1, &err);
    ck_assert_msg(status == ABORT_EPOCH, "%s: %s", status_name(status), err.text);
    ck_assert_int_eq(sink.abort(sink.self, &err), OK);
    ck_assert_int_eq(world_read(w, TOPIC_CHANGELOG, NULL, NULL), 0);
    begin_ok(&sink, 1);
    fill(&sink, 1, ends, &count);
    ck_assert_msg(sink.commit(sink.self, &at_7, 1, &err) == OK, "%s", err.text);
    ck_assert_int_eq(world_read(w, TOPIC_CHANGELOG, NULL, NULL), 3);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

/* Compaction takes records out, and the last offsets are control records: the log still comes to its end. */
START_TEST(a_compacted_log_is_read_to_its_end) {
    struct world *w = world_new("compacted");
    w->config.partitions[TOPIC_CHANGELOG] = 1;
    world_create(w, "changelog", 1,
                 (const char *const[][2]){{"cleanup.policy", "compact"},
                                          {"max.message.bytes", "4194304"},
                                          {"segment.ms", "200"},
                                          {"min.cleanable.dirty.ratio", "0.01"},
                                          {"delete.retention.ms", "0"},
                                          {NULL, NULL}});
    struct error err = {0};
    struct output_end ends[16];
    struct last_seen seen = {0};
    uint32_t count, epochs = 0, records = 0;
    ck_assert_msg(kafka_create_topics(&w->config, &err) == OK, "%s", err.text);
    struct kafka_leader *leader = world_join(w);
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    for (int64_t end = world_ms() + 30000; world_ms() < end; usleep(300000)) {
        epochs++;
        begin_ok(&sink, epochs);
        fill(&sink, epochs, ends, &count);
        ck_assert_msg(sink.commit(sink.self, &at_7, 1, &err) == OK, "%s", err.text);
        records = world_read(w, TOPIC_CHANGELOG, remember, &seen);
        if (records < 3 * epochs)
            break;
    }
    ck_assert_msg(records < 3 * epochs, "no compaction in %u epochs", epochs);
    ck_assert_uint_ge(records, 3);
    ck_assert_int_eq(atoi(seen.value), (int)epochs);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka sink and log");
    TCase *cases = tcase_create("sink");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, what_is_committed_is_seen_and_what_is_aborted_is_not);
    tcase_add_test(cases, ends_are_one_past_the_last_records);
    tcase_add_test(cases, a_record_keeps_its_bytes_headers_and_time);
    tcase_add_test(cases, positions_are_committed_with_the_epoch);
    tcase_add_test(cases, a_second_sink_fences_the_first);
    tcase_add_test(cases, a_record_that_is_too_large_is_named_before_it_is_sent);
    tcase_add_test(cases, an_expired_transaction_is_formed_again);
    tcase_add_test(cases, a_compacted_log_is_read_to_its_end);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
