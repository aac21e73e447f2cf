/* From a commit on the broker to its epoch being visible: when a follower shows each epoch, against when a bare read_committed consumer of the epochs topic, in the same
 * process, has its manifest. One JSON object. follow_staleness BROKERS PREFIX SECONDS */
#include "coldstream/coldstream.h"
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EPOCHS_MAX 1000000u

static double shown_ms[EPOCHS_MAX], had_ms[EPOCHS_MAX]; /* by epoch; 0: not */
static double end_ms;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* The key of a manifest: five bytes of framing, then the epoch as a zigzag varint. */
static uint64_t epoch_of(const rd_kafka_message_t *message) {
    const uint8_t *key = message->key;
    uint64_t bits = 0;
    for (size_t i = 5, shift = 0; i < message->key_len && shift < 64; i++, shift += 7) {
        bits |= (uint64_t)(key[i] & 0x7f) << shift;
        if (key[i] < 0x80)
            break;
    }
    return bits >> 1;
}

static rd_kafka_t *open_consumer(const char *brokers, const char *topic) {
    static const char *const settings[][2] = {{"group.id", "follow_staleness"},
                                              {"isolation.level", "read_committed"},
                                              {"enable.auto.commit", "false"},
                                              {"fetch.wait.max.ms", "50"}};
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return consumer;
}

static void *consume(void *consumer) {
    while (now_ms() < end_ms) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 50);
        if (message == NULL)
            continue;
        uint64_t epoch = message->err == 0 && message->key_len > 5 ? epoch_of(message) : 0;
        if (epoch > 0 && epoch < EPOCHS_MAX)
            had_ms[epoch] = now_ms();
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int report(const cs_stats *stats) {
    double *beyond = calloc(EPOCHS_MAX, sizeof *beyond);
    size_t count = 0;
    for (size_t epoch = 0; epoch < EPOCHS_MAX; epoch++)
        if (shown_ms[epoch] > 0 && had_ms[epoch] > 0)
            beyond[count++] = shown_ms[epoch] - had_ms[epoch];
    if (count == 0) {
        fprintf(stderr, "no epoch came\n");
        return 75;
    }
    qsort(beyond, count, sizeof *beyond, ascending);
    printf("{\"bench\": \"follow_staleness\", \"epochs\": %zu, \"beyond_ms_p50\": %.2f, "
           "\"beyond_ms_p99\": %.2f, \"beyond_ms_max\": %.2f, \"resyncs\": %" PRIu64 "}\n",
           count, beyond[count / 2], beyond[count * 99 / 100], beyond[count - 1], stats->resyncs);
    free(beyond);
    return 0;
}

int main(int argc, char **argv) {
    cs_follower *follower;
    cs_error error = {0};
    cs_stats stats;
    pthread_t thread;
    char topic[300];
    if (argc != 4) {
        fprintf(stderr, "follow_staleness BROKERS PREFIX SECONDS\n");
        return 64;
    }
    snprintf(topic, sizeof topic, "%sepochs", argv[2]);
    cs_options *options = cs_options_new();
    cs_options_set(options, "kafka.brokers", argv[1], &error);
    cs_options_set(options, "kafka.prefix", argv[2], &error);
    if (cs_open_kafka(&follower, options, &error) != CS_OK ||
        cs_wait(follower, CS_LATEST, 60000, &error) != CS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return error.exit_code;
    }
    cs_options_free(options);
    end_ms = now_ms() + atof(argv[3]) * 1e3;
    rd_kafka_t *consumer = open_consumer(argv[1], topic);
    pthread_create(&thread, NULL, consume, consumer);
    int outcome = CS_OK;
    while (now_ms() < end_ms && (outcome == CS_OK || outcome == CS_AGAIN)) {
        outcome = cs_step(follower, 50, &error);
        cs_follower_stats(follower, &stats, sizeof stats);
        if (outcome == CS_OK && stats.epoch < EPOCHS_MAX)
            shown_ms[stats.epoch] = now_ms();
    }
    pthread_join(thread, NULL);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    cs_close(follower);
    return report(&stats);
}
