/* kafka_passthrough: the least that an exactly-once stage has to do on librdkafka, to hold the stage against: a loop of consume,
 * transform (nothing), produce, send offsets, commit, with the stage's client settings.
 *
 *   kafka_passthrough backlog BROKERS PREFIX RECORDS ROWS BYTES   reads PREFIXinteractions from its beginning to its end; for each RECORDS of them
 *                                                                 ROWS records of BYTES go out in one transaction; prints JSON
 *   kafka_passthrough live BROKERS PREFIX                         copies PREFIXitem-content to PREFIXsemantic-ids, each time what is there at once,
 *                                                                 until SIGTERM */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define CALL_MS 10000
#define KEY_BYTES 16
#define AT_ONCE 256 /* listings of one transaction */

static volatile sig_atomic_t stop_asked;
static rd_kafka_t *producer, *consumer;
static const char *prefix;

static void ask_stop(int number) {
    (void)number;
    stop_asked = 1;
}

_Noreturn static void stop(const char *what, const char *why) {
    fprintf(stderr, "kafka_passthrough: %s: %s\n", what, why);
    exit(EX_UNAVAILABLE);
}

static void must(rd_kafka_error_t *error, const char *what) {
    if (error != NULL)
        stop(what, rd_kafka_error_string(error));
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers,
                          const char *const settings[][2]) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    for (int i = 0; settings[i][0] != NULL; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text) !=
            RD_KAFKA_CONF_OK)
            stop(settings[i][0], text);
    rd_kafka_t *made = rd_kafka_new(type, conf, text, sizeof text);
    if (made == NULL)
        stop("client", text);
    return made;
}

static void open_clients(const char *brokers) {
    char id[256];
    snprintf(id, sizeof id, "%spassthrough", prefix);
    const char *const producing[][2] = {{"transactional.id", id},
                                        {"socket.nagle.disable", "true"},
                                        {"retry.backoff.ms", "10"},
                                        {"batch.size", "1000000"},
                                        {"queue.buffering.max.kbytes", "65536"},
                                        {"queue.buffering.max.messages", "10000000"},
                                        {NULL, NULL}};
    const char *const consuming[][2] = {{"group.id", id},
                                        {"socket.nagle.disable", "true"},
                                        {"enable.auto.commit", "false"},
                                        {"queued.min.messages", "131072"},
                                        {"topic.metadata.refresh.interval.ms", "100"},
                                        {"enable.partition.eof", "true"},
                                        {NULL, NULL}};
    producer = client(RD_KAFKA_PRODUCER, brokers, producing);
    consumer = client(RD_KAFKA_CONSUMER, brokers, consuming);
    rd_kafka_poll_set_consumer(consumer);
    must(rd_kafka_init_transactions(producer, CALL_MS), "transactional id");
}

static rd_kafka_topic_t *topic(const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return rd_kafka_topic_new(producer, full, NULL);
}

/* Partition 0 from its beginning. */
static rd_kafka_topic_partition_list_t *assign(const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, full, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    return list;
}

static void put(rd_kafka_topic_t *to, const void *key, size_t key_len, void *value, size_t len) {
    while (rd_kafka_produce(to, 0, RD_KAFKA_MSG_F_COPY, value, len, key, key_len, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            stop("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, 10);
    }
}

static void commit(rd_kafka_topic_partition_list_t *positions) {
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
    must(rd_kafka_send_offsets_to_transaction(producer, positions, group, CALL_MS), "offsets");
    rd_kafka_consumer_group_metadata_destroy(group);
    must(rd_kafka_commit_transaction(producer, CALL_MS), "commit");
}

/* Takes up to `max` records; returns how many. *end: there are no more. */
static long take(long max, rd_kafka_topic_partition_list_t *positions, bool *end) {
    long count = 0;
    while (count < max && !*end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
        if (message == NULL)
            continue;
        *end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            positions->elems[0].offset = message->offset + 1;
            count++;
        }
        rd_kafka_message_destroy(message);
    }
    return count;
}

static void backlog(long per_epoch, long rows, long bytes) {
    static char value[1 << 20];
    char key[32];
    rd_kafka_topic_t *to[] = {topic("ranker-deltas"), topic("changelog")};
    rd_kafka_topic_partition_list_t *positions = assign("interactions");
    long records = 0, epochs = 0;
    bool end = false;
    unsigned noise = 1;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)((noise = noise * 1664525 + 1013904223) >> 24);
    double start = now_s();
    while (!end && !stop_asked) {
        must(rd_kafka_begin_transaction(producer), "begin");
        records += take(per_epoch, positions, &end);
        for (long row = 0; row < rows; row++) {
            snprintf(key, sizeof key, "%016ld", row);
            put(to[row % 2], key, KEY_BYTES, value, (size_t)bytes);
        }
        commit(positions);
        epochs++;
    }
    double seconds = now_s() - start;
    printf("{\"events\": %ld, \"seconds\": %.2f, \"events_per_s\": %.0f, \"epochs\": %ld, "
           "\"rows_per_epoch\": %ld, \"row_bytes\": %ld}\n",
           records, seconds, (double)records / seconds, epochs, rows, bytes);
    rd_kafka_topic_partition_list_destroy(positions);
    rd_kafka_topic_destroy(to[0]);
    rd_kafka_topic_destroy(to[1]);
}

static void live(void) {
    rd_kafka_topic_t *to = topic("semantic-ids");
    rd_kafka_topic_partition_list_t *positions = assign("item-content");
    while (!stop_asked) {
        int count = 0;
        for (int wait_ms = 1000; count < AT_ONCE; wait_ms = 0) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, wait_ms);
            if (message == NULL)
                break;
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                if (count++ == 0)
                    must(rd_kafka_begin_transaction(producer), "begin");
                put(to, message->key, message->key_len, message->payload, message->len);
                positions->elems[0].offset = message->offset + 1;
            }
            rd_kafka_message_destroy(message);
        }
        if (count > 0)
            commit(positions);
    }
    rd_kafka_topic_partition_list_destroy(positions);
    rd_kafka_topic_destroy(to);
}

int main(int argc, char **argv) {
    bool is_live = argc == 4 && strcmp(argv[1], "live") == 0;
    if (!is_live && (argc != 7 || strcmp(argv[1], "backlog") != 0)) {
        fprintf(stderr, "see the head of bench/kafka_passthrough.c\n");
        return EX_USAGE;
    }
    signal(SIGTERM, ask_stop);
    signal(SIGINT, ask_stop);
    prefix = argv[3];
    open_clients(argv[2]);
    if (is_live)
        live();
    else
        backlog(atol(argv[4]), atol(argv[5]), atol(argv[6]));
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    return EX_OK;
}
