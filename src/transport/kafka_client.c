/* Configuration to librdkafka's clients, and librdkafka's errors to ours. */
#include "transport/kafka_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"

#include "base/poison.h"

/* Between a client's statistics; kafka.properties may say otherwise. */
#define STATISTICS_MS 5000

/* These decide whether an epoch is applied exactly once, or a setting of ours is for them. */
static const struct {
    const char *key, *setting;
} owned[] = {
    {"bootstrap.servers", "kafka.brokers"},
    {"metadata.broker.list", "kafka.brokers"},
    {"transactional.id", "kafka.application"},
    {"group.id", "kafka.application"},
    {"transaction.timeout.ms", "kafka.transaction_timeout_ms"},
    {"session.timeout.ms", "kafka.session_timeout_ms"},
    {"queued.max.messages.kbytes", "kafka.fetch_bytes"},
    {"queued.min.messages", "kafka.fetch_bytes"},
    {"queue.buffering.max.kbytes", "kafka.produce_bytes"},
    {"queue.buffering.max.messages", "kafka.produce_bytes"},
    {"enable.idempotence", NULL},
    {"enable.gapless.guarantee", NULL},
    {"acks", NULL},
    {"request.required.acks", NULL},
    {"max.in.flight", NULL},
    {"max.in.flight.requests.per.connection", NULL},
    {"retries", NULL},
    {"message.send.max.retries", NULL},
    {"message.timeout.ms", NULL},
    {"delivery.timeout.ms", NULL},
    {"delivery.report.only.error", NULL},
    {"produce.offset.report", NULL},
    {"queuing.strategy", NULL},
    {"partitioner", NULL},
    {"isolation.level", NULL},
    {"enable.auto.commit", NULL},
    {"auto.commit.enable", NULL},
    {"auto.commit.interval.ms", NULL},
    {"enable.auto.offset.store", NULL},
    {"auto.offset.reset", NULL},
    {"group.instance.id", NULL},
    {"group.protocol.type", NULL},
    {"partition.assignment.strategy", NULL},
    {"heartbeat.interval.ms", NULL},
    {"max.poll.interval.ms", NULL},
    {"enable.partition.eof", NULL},
    {"topic.metadata.refresh.interval.ms", NULL},
    {"allow.auto.create.topics", NULL},
    {"consume.callback.max.messages", NULL},
    {"batch.size", NULL},
    {"plugin.library.paths", NULL}, /* interceptors */
    {"test.mock.num.brokers", NULL},
};

/* ---- properties ---- */

static enum status refuse_owned(const char *key, struct error *err) {
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        const char *setting = owned[i].setting;
        if (strcasecmp(key, owned[i].key) == 0)
            return FAIL(err, FATAL, EX_CONFIG,
                        "the property `%s' is the stage's own: %s%s; remove it", key,
                        setting != NULL ? "the setting for it is " : "exactly-once depends on it",
                        setting != NULL ? setting : "");
    }
    return OK;
}

static bool has_word(const char *key, const char *const *words) {
    for (; *words != NULL; words++)
        if (strcasestr(key, *words) != NULL)
            return true;
    return false;
}

bool kafka_property_secret(const char *key) {
    static const char *const words[] = {"password",           "secret", "pem", "username",
                                        "oauthbearer.config", NULL};
    return has_word(key, words);
}

/* librdkafka's texts repeat the value: what may be one that is meant for a secret next to it is left out, too. */
static bool hides_value(const char *key) {
    static const char *const words[] = {"key", "oauth", "jaas", NULL};
    return kafka_property_secret(key) || has_word(key, words);
}

static enum status unknown_property(const char *key, struct error *err) {
    return FAIL(err, FATAL, EX_CONFIG, "librdkafka %s has no property `%s'", rd_kafka_version_str(),
                key);
}

static enum status set_quietly(rd_kafka_conf_t *conf, const char *key, const char *value,
                               bool hidden, struct error *err) {
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, key, value, text, sizeof text);
    if (result == RD_KAFKA_CONF_OK)
        return OK;
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return unknown_property(key, err);
    hidden = hidden || hides_value(key);
    return FAIL(err, FATAL, EX_CONFIG, "librdkafka does not take the value of `%s'%s%s", key,
                hidden ? "" : ": ", hidden ? " (not shown)" : text);
}

static enum status set(rd_kafka_conf_t *conf, const char *key, const char *value,
                       struct error *err) {
    return set_quietly(conf, key, value, false, err);
}

enum status kafka_check_property(const char *key, const char *value, struct error *err) {
    TRY(refuse_owned(key, err));
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum status status = OK;
    if (value != NULL)
        status = set(conf, key, value, err);
    else if (rd_kafka_conf_set(conf, key, "", text, sizeof text) == RD_KAFKA_CONF_UNKNOWN)
        status = unknown_property(key, err);
    rd_kafka_conf_destroy(conf);
    return status;
}

static enum status set_number(rd_kafka_conf_t *conf, const char *key, uint32_t value,
                              struct error *err) {
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    return set(conf, key, text, err);
}

/* librdkafka's own memory for one record that was fetched and not yet taken, beside its bytes. */
#define FETCHED_OVERHEAD_BYTES 512
/* A reader's queue is looked after so often. */
#define REFILL_MS "100"

/* A queue that is full is bounded by the records' bytes, which do not count librdkafka's own memory, and by their count. Where it was full once,
 * librdkafka 2.0.2 goes on fetching only when its thread wakes up by itself, after a second: 100,000 records a second at most with its
 * defaults. A request for metadata wakes it. */
static enum status set_fetching(rd_kafka_conf_t *conf, uint32_t bytes, struct error *err) {
    uint32_t kbytes = bytes / 1024, count = bytes / FETCHED_OVERHEAD_BYTES;
    TRY(set_number(conf, "queued.max.messages.kbytes", kbytes < 1 ? 1 : kbytes, err));
    TRY(set_number(conf, "queued.min.messages", count < 1 ? 1 : count, err));
    return set(conf, "topic.metadata.refresh.interval.ms", REFILL_MS, err);
}

static enum status set_consumer(rd_kafka_conf_t *conf, const struct kafka_config *config,
                                struct error *err) {
    TRY(set(conf, "group.id", config->application, err));
    TRY(set(conf, "enable.auto.commit", "false", err));
    TRY(set(conf, "isolation.level", "read_committed", err));
    TRY(set(conf, "auto.offset.reset", "error", err));
    return set(conf, "check.crcs", "true", err);
}

static enum status set_leader(rd_kafka_conf_t *conf, const struct kafka_config *config,
                              struct error *err) {
    TRY(set(conf, "auto.offset.reset", "latest", err)); /* the leader topic has no records */
    /* sticky: an instance that joins never takes the lead from one that has it */
    TRY(set(conf, "partition.assignment.strategy", "cooperative-sticky", err));
    TRY(set_number(conf, "session.timeout.ms", config->session_timeout_ms, err));
    /* a standby hears at its next heartbeat that the leader has left */
    return set_number(conf, "heartbeat.interval.ms", config->session_timeout_ms / 12 + 1, err);
}

static enum status set_producer(rd_kafka_conf_t *conf, const struct kafka_config *config,
                                const struct client_options *options, struct error *err) {
    TRY(set(conf, "transactional.id", config->application, err));
    TRY(set_number(conf, "transaction.timeout.ms", config->transaction_timeout_ms, err));
    /* an undelivered message must fail before the broker gives the transaction up */
    TRY(set_number(conf, "message.timeout.ms", config->transaction_timeout_ms / 4 * 3, err));
    TRY(set_number(conf, "batch.size", (uint32_t)options->batch_bytes_max, err));
    TRY(set_number(conf, "queue.buffering.max.kbytes",
                   config->produce_bytes_max < 1024 ? 1 : config->produce_bytes_max / 1024, err));
    TRY(set(conf, "queue.buffering.max.messages", "10000000", err)); /* bytes are what is bounded */
    return set(conf, "retry.backoff.ms", "10", err); /* of commits: 35 ms instead of 110 */
}

static bool produces(enum client_role role) {
    return role == CLIENT_PRODUCER || role == CLIENT_PROBE;
}

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_config *config,
                           const struct client_options *options, struct error *err) {
    enum client_role role = options->role;
    for (int topic = 0; topic < KAFKA_TOPICS; topic++)
        if (strlen(config->prefix) + strlen(kafka_own_name(config, topic)) >= KAFKA_NAME_BYTES)
            return FAIL(err, FATAL, EX_CONFIG,
                        "the name of topic %s%s is longer than Kafka's %d bytes", config->prefix,
                        kafka_own_name(config, topic), KAFKA_NAME_BYTES - 1);
    TRY(set(conf, "bootstrap.servers", config->brokers, err));
    TRY(set(conf, "client.id", config->application, err));
    TRY(set(conf, "socket.nagle.disable", "true", err));
    TRY(set(conf, "reconnect.backoff.max.ms", "1000", err));
    TRY(set_number(conf, "message.max.bytes", KAFKA_MESSAGE_BYTES_MAX, err));
    if (!produces(role) && role != CLIENT_ADMIN)
        TRY(set_consumer(conf, config, err));
    if (role == CLIENT_READER || role == CLIENT_LOG) {
        TRY(set_fetching(conf, config->fetch_bytes_max, err));
        TRY(set(conf, "enable.partition.eof", "true", err));
    }
    if (role == CLIENT_LEADER)
        TRY(set_leader(conf, config, err));
    if (role == CLIENT_LOG)
        TRY(set(conf, "fetch.wait.max.ms", "50", err)); /* an empty answer tells the end */
    if (role == CLIENT_PRODUCER)
        TRY(set_producer(conf, config, options, err));
    if (config->statistics != NULL && options->statistics != NULL)
        TRY(set_number(conf, "statistics.interval.ms", STATISTICS_MS, err));
    for (uint32_t i = 0; i < config->property_count; i++) {
        const struct kafka_property *property = &config->properties[i];
        TRY(refuse_owned(property->key, err));
        TRY(set_quietly(conf, property->key, property->value, property->secret, err));
    }
    if (role == CLIENT_PROBE)
        TRY(set_number(conf, "message.max.bytes", 2 * PROBE_BYTES_MAX, err));
    return OK;
}

/* ---- clients ---- */

/* While a broker is away each client says so at every try: one line for all of them in this time. */
#define AWAY_LINE_MS 10000

static bool tells_of_connection(const char *facility) {
    return strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0;
}

/* Whether it is time for a line about the broker being away; *left_out: how many were not written since the last. */
static bool away_line_due(uint32_t *left_out) {
    static _Atomic int64_t last_ms = -AWAY_LINE_MS;
    static _Atomic uint32_t count;
    int64_t now_ms = clock_ms(), last = last_ms;
    if (now_ms - last < AWAY_LINE_MS || !atomic_compare_exchange_strong(&last_ms, &last, now_ms)) {
        count++;
        return false;
    }
    *left_out = atomic_exchange(&count, 0);
    return true;
}

/* Called by librdkafka's threads. */
static void log_message(const rd_kafka_t *client, int level, const char *facility,
                        const char *text) {
    enum log_level ours = level <= 2 ? LOG_ERROR : level <= 4 ? LOG_WARN : LOG_DEBUG;
    const char *name = client != NULL ? rd_kafka_name(client) : "-";
    uint32_t left_out;
    /* a property of producers given to consumers, and the reverse: one list serves all clients */
    if (strcmp(facility, "CONFWARN") == 0)
        ours = LOG_DEBUG;
    if (tells_of_connection(facility) && ours != LOG_DEBUG) {
        if (away_line_due(&left_out))
            log_warn("kafka.away", LOG_TEXT("client", name), LOG_TEXT("text", text),
                     LOG_UINT("left_out", left_out));
        ours = LOG_DEBUG;
    }
    LOG_AT(ours, "kafka.client", LOG_TEXT("client", name), LOG_TEXT("facility", facility),
           LOG_TEXT("text", text));
}

#define API_KEY_END_TXN 26

/* Called by librdkafka's threads. */
static rd_kafka_resp_err_t request_sent(rd_kafka_t *client, int socket, const char *name,
                                        int32_t broker, int16_t api_key, int16_t version,
                                        int32_t correlation, size_t size, void *opaque) {
    (void)client, (void)socket, (void)name, (void)broker, (void)version, (void)correlation;
    (void)size;
    if (api_key == API_KEY_END_TXN)
        atomic_fetch_add((atomic_uint *)opaque, 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t count_requests(rd_kafka_t *client, const rd_kafka_conf_t *conf,
                                          void *opaque, char *text, size_t size) {
    (void)conf, (void)text, (void)size;
    return rd_kafka_interceptor_add_on_request_sent(client, "coldstream", request_sent, opaque);
}

enum status kafka_client_create(rd_kafka_t **out, const struct kafka_config *config,
                                const struct client_options *options, struct error *err) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    rd_kafka_conf_set_log_cb(conf, log_message);
    rd_kafka_conf_set_opaque(conf, options->opaque);
    if (options->rebalanced != NULL)
        rd_kafka_conf_set_rebalance_cb(conf, options->rebalanced);
    if (options->delivered != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, options->delivered);
    if (options->end_txn_sent != NULL)
        rd_kafka_conf_interceptor_add_on_new(conf, "coldstream", count_requests,
                                             options->end_txn_sent);
    if (options->failed != NULL)
        rd_kafka_conf_set_error_cb(conf, options->failed);
    if (config->statistics != NULL && options->statistics != NULL)
        rd_kafka_conf_set_stats_cb(conf, options->statistics);
    enum status status = set_all(conf, config, options, err);
    if (status == OK) {
        rd_kafka_type_t type = produces(options->role) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
        *out = rd_kafka_new(type, conf, text, sizeof text);
        if (*out == NULL)
            status = FAIL(err, FATAL, EX_CONFIG, "Kafka client: %s", text);
    }
    if (status != OK)
        rd_kafka_conf_destroy(conf);
    else if (!produces(options->role))
        rd_kafka_poll_set_consumer(*out);
    return status;
}

/* ---- errors ---- */

/* Another producer has the transactional id, or the broker has given the transaction up. */
static const rd_kafka_resp_err_t fenced_codes[] = {
    RD_KAFKA_RESP_ERR__FENCED,
    RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
};
/* Rights, sizes, settings: only an operator can help. */
static const rd_kafka_resp_err_t config_codes[] = {
    RD_KAFKA_RESP_ERR__AUTHENTICATION,
    RD_KAFKA_RESP_ERR__SSL,
    RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
    RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
    RD_KAFKA_RESP_ERR_INVALID_CONFIG,
    RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
    RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
    RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
    RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
    RD_KAFKA_RESP_ERR__INVALID_ARG,
    RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
};
/* The log does not have, or cannot give, what is asked for. */
static const rd_kafka_resp_err_t data_codes[] = {
    RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
    RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
    RD_KAFKA_RESP_ERR__BAD_MSG,
    RD_KAFKA_RESP_ERR_INVALID_MSG,
    RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
};
/* Brokers away, moving, slow or starting. An unknown topic or partition may be metadata that is not there yet: what is truly
 * missing is found by kafka_partitions(). */
static const rd_kafka_resp_err_t retry_codes[] = {
    RD_KAFKA_RESP_ERR__TRANSPORT,
    RD_KAFKA_RESP_ERR__RESOLVE,
    RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
    RD_KAFKA_RESP_ERR__TIMED_OUT,
    RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, /* stopped for minutes: it has lost the lead, no more */
    RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
    RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
    RD_KAFKA_RESP_ERR__QUEUE_FULL,
    RD_KAFKA_RESP_ERR__WAIT_COORD,
    RD_KAFKA_RESP_ERR__WAIT_CACHE,
    RD_KAFKA_RESP_ERR__IN_PROGRESS,
    RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
    RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
    RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
    RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
    RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
};

#define HAS(codes, code) has(codes, sizeof codes / sizeof codes[0], code)
static bool has(const rd_kafka_resp_err_t *codes, size_t count, rd_kafka_resp_err_t code) {
    for (size_t i = 0; i < count; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static struct verdict verdict(enum status status, int exit_code) {
    return (struct verdict){.status = status, .exit_code = exit_code};
}

struct verdict kafka_verdict(rd_kafka_resp_err_t code) {
    if (HAS(fenced_codes, code))
        return (struct verdict){.status = FATAL, .exit_code = EX_UNAVAILABLE, .fenced = true};
    if (HAS(retry_codes, code))
        return verdict(RETRY, EX_TEMPFAIL);
    if (HAS(config_codes, code))
        return verdict(FATAL, EX_CONFIG);
    return verdict(FATAL, HAS(data_codes, code) ? EX_DATAERR : EX_SOFTWARE);
}

struct verdict kafka_verdict_of(const rd_kafka_error_t *error) {
    struct verdict by_code = kafka_verdict(rd_kafka_error_code(error));
    if (by_code.fenced)
        return by_code;
    if (rd_kafka_error_is_fatal(error))
        return verdict(FATAL, by_code.status == FATAL ? by_code.exit_code : EX_SOFTWARE);
    if (rd_kafka_error_txn_requires_abort(error))
        return verdict(ABORT_EPOCH, EX_TEMPFAIL);
    if (rd_kafka_error_is_retriable(error))
        return verdict(RETRY, EX_TEMPFAIL);
    /* what no flag says is no transient error of a transaction, whatever its code */
    return verdict(FATAL, by_code.status == FATAL ? by_code.exit_code : EX_SOFTWARE);
}

/* ---- topics and records ---- */

const char *kafka_own_name(const struct kafka_config *config, int topic) {
    if (config->names[topic] != NULL)
        return config->names[topic];
    return topic == KAFKA_TOPIC_LEADER ? "leader" : topic_name((enum topic)topic);
}

void kafka_topic_name(const struct kafka_config *config, int topic, char out[KAFKA_NAME_BYTES]) {
    snprintf(out, KAFKA_NAME_BYTES, "%s%s", config->prefix, kafka_own_name(config, topic));
}

bool kafka_topic_of(const struct kafka_config *config, const char *name, enum topic *out) {
    size_t prefix = strlen(config->prefix);
    if (strncmp(name, config->prefix, prefix) != 0)
        return false;
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        if (strcmp(name + prefix, kafka_own_name(config, topic)) == 0) {
            *out = (enum topic)topic;
            return true;
        }
    return false;
}

enum status kafka_partitions(rd_kafka_t *client, const char *name, int32_t *count,
                             struct error *err) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    *count = 0;
    if (topic == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "topic %s: %s", name,
                    rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, topic, &metadata, KAFKA_REQUEST_MS);
    rd_kafka_topic_destroy(topic);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1) {
            code = metadata->topics[0].err;
            *count = metadata->topics[0].partition_cnt;
        }
        rd_kafka_metadata_destroy(metadata);
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return OK;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return OK;
    struct verdict v = kafka_verdict(code);
    return FAIL(err, v.status, v.exit_code, "topic %s: cannot ask for its partitions: %s", name,
                rd_kafka_err2str(code));
}

enum status kafka_range(rd_kafka_t *client, const char *name, int32_t partition, int64_t *low,
                        int64_t *high, struct error *err) {
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(client, name, partition, low, high, KAFKA_REQUEST_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return OK;
    struct verdict v = kafka_verdict(code);
    return FAIL(err, v.status, v.exit_code, "%s-%d: cannot ask for its first and last offset: %s",
                name, partition, rd_kafka_err2str(code));
}

static void take_headers(const rd_kafka_message_t *message, struct record *out) {
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const char *name;
    const void *value;
    size_t len;
    while (out->header_count < HEADERS_MAX &&
           rd_kafka_header_get_all(headers, out->header_count, &name, &value, &len) ==
               RD_KAFKA_RESP_ERR_NO_ERROR)
        out->headers[out->header_count++] =
            (struct header){.key = bytes_text(name), .value = bytes_of(value, len)};
}

bool kafka_record(const struct kafka_config *config, const rd_kafka_message_t *message,
                  struct record *out) {
    const char *name = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";
    rd_kafka_timestamp_type_t type;
    *out = (struct record){.partition = message->partition,
                           .offset = message->offset,
                           .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                           .key = bytes_of(message->key, message->key_len),
                           .value = bytes_of(message->payload, message->len)};
    take_headers(message, out);
    return kafka_topic_of(config, name, &out->topic);
}
