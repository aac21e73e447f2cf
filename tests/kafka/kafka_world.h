/* The broker of the test group, a configuration with topic names of its own, and records: shared by the tests of Kafka. */
#ifndef TESTS_KAFKA_KAFKA_WORLD_H
#define TESTS_KAFKA_KAFKA_WORLD_H

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/kafka.h"

#define WORLD_RETRY_MS 60000

struct world {
    struct kafka_config config;
    char brokers[64], prefix[64], application[64];
};

static inline int64_t world_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The folder of the test's broker (tests/kafka/CMakeLists.txt). */
static inline const char *world_broker_dir(void) {
    const char *dir = getenv("COLDSTREAM_BROKER");
    return dir != NULL ? dir : "kafka-broker";
}

static inline void world_need_broker(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/broker.pid", world_broker_dir());
    if (access(path, R_OK) == 0)
        return;
    fprintf(stderr, "skipped: no Kafka broker is running at %s (java and mvn are needed)\n", path);
    exit(77);
}

/* A world with no topics. */
static inline struct world *world_new(const char *test) {
    static struct world worlds[4];
    static int turn;
    struct world *w = &worlds[turn++ % 4];
    char path[600];
    snprintf(path, sizeof path, "%s/broker.address", world_broker_dir());
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%63s", w->brokers), 1);
    fclose(file);
    long long now = (long long)time(NULL);
    snprintf(w->prefix, sizeof w->prefix, "%s-%lld-%d.", test, now, (int)getpid());
    snprintf(w->application, sizeof w->application, "app-%s-%lld-%d", test, now, (int)getpid());
    w->config = (struct kafka_config){.brokers = w->brokers,
                                      .prefix = w->prefix,
                                      .application = w->application,
                                      .input_partitions_max = 16,
                                      .partitions = {[TOPIC_SEMANTIC_IDS] = 2,
                                                     [TOPIC_RANKER_DELTAS] = 3,
                                                     [TOPIC_CHANGELOG] = 2,
                                                     [TOPIC_CODEBOOKS] = 1,
                                                     [TOPIC_EPOCHS] = 1,
                                                     [TOPIC_DEAD_LETTER] = 1},
                                      .topics = {.segment_ms = 3600000,
                                                 .segment_bytes = 134217728,
                                                 .dirty_ratio = 0.3,
                                                 .delete_retention_ms = 604800000,
                                                 .retention_ms = 2592000000},
                                      .transaction_timeout_ms = 15000,
                                      .session_timeout_ms = 6000,
                                      .fetch_bytes_max = 64 << 20,
                                      .produce_bytes_max = 64 << 20,
                                      .poll_ms = 20,
                                      .linger_ms = 500};
    return w;
}

static inline struct world *world_with_topics(const char *test) {
    struct world *w = world_new(test);
    struct error err = {0};
    ck_assert_msg(kafka_create_topics(&w->config, &err) == OK, "%s", err.text);
    return w;
}

static inline void world_name(const struct world *w, const char *topic, char out[256]) {
    snprintf(out, 256, "%s%s", w->prefix, topic);
}

/* Polls until this instance leads. */
static inline void world_lead(struct kafka_leader *leader) {
    bool leads = false;
    struct error err = {0};
    for (int64_t end = world_ms() + WORLD_RETRY_MS; !leads && world_ms() < end;)
        ck_assert_msg(kafka_leader_poll(leader, 100, &leads, &err) == OK, "%s", err.text);
    ck_assert_msg(leads, "no leader after a minute");
}

static inline struct kafka_leader *world_join(const struct world *w) {
    struct kafka_leader *leader = NULL;
    struct error err = {0};
    ck_assert_msg(kafka_leader_join(&leader, &w->config, &err) == OK, "%s", err.text);
    return leader;
}

static inline struct kafka_sink *world_sink(const struct world *w, struct kafka_leader *leader) {
    struct kafka_sink *sink = NULL;
    struct error err = {0};
    enum status status;
    int64_t end = world_ms() + WORLD_RETRY_MS;
    while ((status = kafka_sink_open(&sink, &w->config, leader, &err)) == RETRY && world_ms() < end)
        usleep(100000);
    ck_assert_msg(status == OK, "%s", err.text);
    return sink;
}

static inline struct record world_record(enum topic topic, const char *key, const char *value) {
    return (struct record){.topic = topic,
                           .timestamp_ms = 1700000000000,
                           .key = bytes_text(key),
                           .value = value != NULL ? bytes_text(value) : (struct bytes){0}};
}

/* Puts input records as any client would. */
static inline void world_produce(const struct world *w, const char *topic, int32_t partition,
                                 const char *first, int count) {
    char name[256], text[256], value[64];
    world_name(w, topic, name);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", w->brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "enable.idempotence", "true", text, sizeof text); /* keeps the order */
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    ck_assert_ptr_nonnull(producer);
    for (int i = 0; i < count; i++) {
        snprintf(value, sizeof value, "%s%d", first, i);
        ck_assert_int_eq(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(name),
                                           RD_KAFKA_V_PARTITION(partition),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                           RD_KAFKA_V_KEY(value, strlen(value)),
                                           RD_KAFKA_V_VALUE(value, strlen(value)), RD_KAFKA_V_END),
                         0);
    }
    ck_assert_int_eq(rd_kafka_flush(producer, 10000), 0);
    rd_kafka_destroy(producer);
}

/* A client for what only tests do with topics. */
static inline rd_kafka_t *world_admin(const struct world *w) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", w->brokers, text, sizeof text);
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
}

static inline void world_create(const struct world *w, const char *topic, int partitions,
                                const char *const settings[][2]) {
    char name[256], text[256];
    world_name(w, topic, name);
    rd_kafka_t *admin = world_admin(w);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_NewTopic_t *one = rd_kafka_NewTopic_new(name, partitions, 1, text, sizeof text);
    for (int i = 0; settings[i][0] != NULL; i++)
        rd_kafka_NewTopic_set_config(one, settings[i][0], settings[i][1]);
    rd_kafka_CreateTopics(admin, &one, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    ck_assert_ptr_nonnull(event);
    ck_assert_int_eq(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(one);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
}

static inline void world_delete_before(const struct world *w, const char *topic, int32_t partition,
                                       int64_t offset) {
    char name[256];
    world_name(w, topic, name);
    rd_kafka_t *admin = world_admin(w);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(admin, &records, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    ck_assert_ptr_nonnull(event);
    ck_assert_int_eq(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(records);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
}

static inline rd_kafka_t *world_consumer(const struct world *w, const char *isolation) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", w->brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "isolation.level", isolation, text, sizeof text);
    return rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
}

/* Waits until no transaction is open in the topic: the broker writes a commit's markers after it has answered. */
static inline void world_settled(const struct world *w, enum topic topic) {
    char name[256];
    world_name(w, topic_name(topic), name);
    rd_kafka_t *committed = world_consumer(w, "read_committed");
    rd_kafka_t *all = world_consumer(w, "read_uncommitted");
    int32_t partitions = w->config.partitions[topic];
    for (int32_t p = 0; p < partitions; p++) {
        int64_t low, stable = -1, high = -2;
        for (int64_t end = world_ms() + WORLD_RETRY_MS; stable != high && world_ms() < end;) {
            rd_kafka_query_watermark_offsets(all, name, p, &low, &high, 5000);
            rd_kafka_query_watermark_offsets(committed, name, p, &low, &stable, 5000);
        }
        ck_assert_int_eq(stable, high);
    }
    rd_kafka_destroy(committed);
    rd_kafka_destroy(all);
}

/* Every committed record of an output topic, in order of arrival: `each` may be NULL. Returns the count. */
typedef void world_each(void *self, const struct record *record);
static inline uint32_t world_read(const struct world *w, enum topic topic, world_each *each,
                                  void *self) {
    struct kafka_log *log = NULL;
    struct error err = {0};
    enum status status;
    uint32_t count = 0, slot;
    world_settled(w, topic);
    ck_assert_msg(kafka_log_open(&log, &w->config, &topic, 1, &err) == OK, "%s", err.text);
    ck_assert_msg(kafka_log_start(log, NULL, &err) == OK, "%s", err.text);
    for (int64_t end = world_ms() + WORLD_RETRY_MS; world_ms() < end && kafka_log_share(log) < 1;) {
        struct record record;
        bool got;
        status = kafka_log_next(log, 20, &record, &got, &slot, &err);
        ck_assert_msg(status == OK, "%s", err.text);
        if (!got)
            continue;
        count++;
        if (each != NULL)
            each(self, &record);
    }
    ck_assert_msg(kafka_log_share(log) >= 1, "the log did not come to its end");
    kafka_log_close(log);
    return count;
}

static inline int world_run(Suite *suite) {
    world_need_broker();
    log_set_level(getenv("COLDSTREAM_VERBOSE") != NULL ? LOG_DEBUG : LOG_ERROR);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
