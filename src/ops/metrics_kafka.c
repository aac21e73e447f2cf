/* A chosen few of librdkafka's statistics (its STATISTICS.md): enough to tell a slow broker from a slow stage. */
#include "ops/metrics_text.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BROKERS_SHOWN 16 /* of each client, the first in order of their number */

static const char *const client_names[KAFKA_CLIENTS] = {"item-content", "interactions", "producer"};

static void parse(void *self, const char *json, size_t len) {
    *(json_t **)self = json_loadb(json, len, 0, NULL);
}

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* ---- brokers ---- */

static const struct {
    const char *name, *type, *help, *field;
    double unit;
} broker_metrics[] = {
    {"coldstream_kafka_broker_up", "gauge", "Whether the client is connected to the broker.",
     "state", 1},
    {"coldstream_kafka_broker_rtt_seconds", "gauge",
     "Mean round-trip time of the last few seconds.", "rtt", 1e-6},
    {"coldstream_kafka_broker_waiting_requests", "gauge",
     "Requests that are sent and not answered.", "waitresp_cnt", 1},
    {"coldstream_kafka_broker_sent_bytes_total", "counter", "Bytes sent to the broker.", "txbytes",
     1},
    {"coldstream_kafka_broker_received_bytes_total", "counter", "Bytes received from it.",
     "rxbytes", 1},
    {"coldstream_kafka_broker_errors_total", "counter",
     "Transmissions, receptions and requests that failed.", "txerrs", 1},
};

static double broker_value(const json_t *broker, size_t metric) {
    const char *field = broker_metrics[metric].field;
    const char *state = json_string_value(json_object_get(broker, "state"));
    if (strcmp(field, "state") == 0)
        return state != NULL && strcmp(state, "UP") == 0;
    if (strcmp(field, "rtt") == 0)
        return number(json_object_get(broker, "rtt"), "avg") * broker_metrics[metric].unit;
    if (strcmp(field, "txerrs") == 0)
        return number(broker, "txerrs") + number(broker, "rxerrs") + number(broker, "req_timeouts");
    return number(broker, field) * broker_metrics[metric].unit;
}

/* Those with a number: the names that librdkafka gives to bootstrap addresses and coordinators are aliases. */
static void add_brokers(struct metrics *m, json_t *const statistics[KAFKA_CLIENTS], size_t metric) {
    char labels[LABEL_BYTES + 96], name[LABEL_BYTES];
    for (int c = 0; c < KAFKA_CLIENTS; c++) {
        const char *key;
        json_t *broker, *brokers = json_object_get(statistics[c], "brokers");
        int shown = 0;
        json_object_foreach(brokers, key, broker) {
            const char *at = json_string_value(json_object_get(broker, "nodename"));
            if (number(broker, "nodeid") < 0 || at == NULL || shown++ >= BROKERS_SHOWN)
                continue;
            snprintf(labels, sizeof labels, "client=\"%s\",broker=\"%s\"", client_names[c],
                     metrics_label(at, name));
            metrics_value(m, broker_metrics[metric].name, labels, broker_value(broker, metric));
        }
    }
}

/* ---- queues ---- */

/* Of all partitions of a reader: fetched, and not yet taken by the stage. */
static double fetched(const json_t *statistics, const char *field) {
    const char *topic_key, *key;
    json_t *topic, *partition;
    double sum = 0;
    json_object_foreach(json_object_get(statistics, "topics"), topic_key, topic)
        json_object_foreach(json_object_get(topic, "partitions"), key, partition) {
        double value = number(partition, field);
        sum += isfinite(value) ? value : 0;
    }
    return sum;
}

static double queued(json_t *const statistics[KAFKA_CLIENTS], int client, bool bytes) {
    const json_t *of = statistics[client];
    if (of == NULL)
        return (double)NAN;
    if (client == KAFKA_CLIENT_PRODUCER)
        return number(of, bytes ? "msg_size" : "msg_cnt");
    return fetched(of, bytes ? "fetchq_size" : "fetchq_cnt");
}

static void add_queues(struct metrics *m, json_t *const statistics[KAFKA_CLIENTS]) {
    char labels[48];
    for (int bytes = 0; bytes < 2; bytes++) {
        const char *name =
            bytes ? "coldstream_kafka_queue_bytes" : "coldstream_kafka_queue_records";
        metrics_family(m, name, "gauge",
                       bytes ? "Bytes of these."
                             : "Fetched and not yet taken by the stage; of the producer: produced "
                               "and not yet delivered.");
        for (int c = 0; c < KAFKA_CLIENTS; c++) {
            snprintf(labels, sizeof labels, "client=\"%s\"", client_names[c]);
            metrics_value(m, name, labels, queued(statistics, c, bytes));
        }
    }
}

void metrics_kafka(struct metrics *m, struct kafka_statistics *statistics) {
    json_t *parsed[KAFKA_CLIENTS] = {NULL};
    for (int c = 0; c < KAFKA_CLIENTS; c++)
        kafka_statistics_look(statistics, (enum kafka_client)c, parse, &parsed[c]);
    for (size_t k = 0; k < sizeof broker_metrics / sizeof broker_metrics[0]; k++) {
        metrics_family(m, broker_metrics[k].name, broker_metrics[k].type, broker_metrics[k].help);
        add_brokers(m, parsed, k);
    }
    add_queues(m, parsed);
    for (int c = 0; c < KAFKA_CLIENTS; c++)
        json_decref(parsed[c]);
}
