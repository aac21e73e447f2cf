/* Configuration to librdkafka's clients, and librdkafka's errors to ours. */
#include "transport/kafka_client.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"

#include "base/poison.h"

/* These decide whether an epoch is applied exactly once, or are fields of struct kafka_config. */
static const char *const owned[] = {"bootstrap.servers",
                                    "metadata.broker.list",
                                    "transactional.id",
                                    "transaction.timeout.ms",
                                    "enable.idempotence",
                                    "enable.gapless.guarantee",
                                    "acks",
                                    "request.required.acks",
                                    "max.in.flight",
                                    "max.in.flight.requests.per.connection",
                                    "retries",
                                    "message.send.max.retries",
                                    "message.timeout.ms",
                                    "delivery.timeout.ms",
                                    "partitioner",
                                    "isolation.level",
                                    "enable.auto.commit",
                                    "auto.commit.enable",
                                    "auto.commit.interval.ms",
                                    "enable.auto.offset.store",
                                    "auto.offset.reset",
                                    "group.id",
                                    "group.instance.id",
                                    "group.protocol.type",
                                    "partition.assignment.strategy",
                                    "session.timeout.ms",
                                    "heartbeat.interval.ms",
                                    "max.poll.interval.ms",
                                    "enable.partition.eof",
                                    "queued.max.messages.kbytes",
                                    "queued.min.messages",
                                    "topic.metadata.refresh.interval.ms",
                                    "queue.buffering.max.kbytes",
                                    "queue.buffering.max.messages",
                                    "allow.auto.create.topics",
                                    "consume.callback.max.messages",
                                    "batch.size"};

int64_t kafka_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- properties ---- */

static bool is_owned(const char *key) {
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (strcasecmp(key, owned[i]) == 0)
            return true;
    return false;
}

/* librdkafka's texts repeat the value. */
static bool is_secret(const char *key) {
    static const char *const words[] = {"password", "secret", "pem",     "key",
                                        "oauth",    "jaas",   "username"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(key, words[i]) != NULL)
            return true;
    return false;
}

static enum status set(rd_kafka_conf_t *conf, const char *key, const char *value,
                       struct error *err) {
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, key, value, text, sizeof text);
    if (result == RD_KAFKA_CONF_OK)
        return OK;
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return FAIL(err, FATAL, EX_CONFIG, "librdkafka %s has no property `%s'",
                    rd_kafka_version_str(), key);
    return FAIL(err, FATAL, EX_CONFIG, "librdkafka does not take the value of `%s'%s%s", key,
                is_secret(key) ? "" : ": ", is_secret(key) ? " (not shown)" : text);
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
    return set_number(conf, "heartbeat.interval.ms", config->session_timeout_ms / 6 + 1, err);
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

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_config *config,
                           const struct client_options *options, struct error *err) {
    enum client_role role = options->role;
    if (strlen(config->prefix) > KAFKA_NAME_BYTES - 32)
        return FAIL(err, FATAL, EX_CONFIG,
                    "the prefix of the topics' names is longer than %d bytes",
                    KAFKA_NAME_BYTES - 32);
    TRY(set(conf, "bootstrap.servers", config->brokers, err));
    TRY(set(conf, "client.id", config->application, err));
    TRY(set(conf, "socket.nagle.disable", "true", err));
    TRY(set(conf, "reconnect.backoff.max.ms", "1000", err));
    TRY(set_number(conf, "message.max.bytes", KAFKA_MESSAGE_BYTES_MAX, err));
    if (role != CLIENT_PRODUCER && role != CLIENT_ADMIN)
        TRY(set_consumer(conf, config, err));
    if (role == CLIENT_READER || role == CLIENT_LOG)
        TRY(set_fetching(conf, config->fetch_bytes_max, err));
    if (role == CLIENT_LEADER)
        TRY(set_leader(conf, config, err));
    if (role == CLIENT_LOG)
        TRY(set(conf, "enable.partition.eof", "true", err));
    if (role == CLIENT_PRODUCER)
        TRY(set_producer(conf, config, options, err));
    for (uint32_t i = 0; i < config->property_count; i++) {
        const char *key = config->property_keys[i];
        if (is_owned(key))
            return FAIL(err, FATAL, EX_CONFIG,
                        "the property `%s' is the stage's own: exactly-once, or another setting, "
                        "depends on it; remove it",
                        key);
        TRY(set(conf, key, config->property_values[i], err));
    }
    return OK;
}

/* ---- clients ---- */

/* Called by librdkafka's threads. */
static void log_message(const rd_kafka_t *client, int level, const char *facility,
                        const char *text) {
    enum log_level ours = level <= 2 ? LOG_ERROR : level <= 4 ? LOG_WARN : LOG_DEBUG;
    /* a property of producers given to consumers, and the reverse: one list serves all clients */
    if (strcmp(facility, "CONFWARN") == 0)
        ours = LOG_DEBUG;
    log_line(ours, "kafka.client", "client=%s facility=%s text=\"%s\"",
             client != NULL ? rd_kafka_name(client) : "-", facility, text);
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
    enum status status = set_all(conf, config, options, err);
    if (status == OK) {
        rd_kafka_type_t type =
            options->role == CLIENT_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
        *out = rd_kafka_new(type, conf, text, sizeof text);
        if (*out == NULL)
            status = FAIL(err, FATAL, EX_CONFIG, "Kafka client: %s", text);
    }
    if (status != OK)
        rd_kafka_conf_destroy(conf);
    else if (options->role != CLIENT_PRODUCER)
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

void kafka_topic_name(const struct kafka_config *config, enum topic topic,
                      char out[KAFKA_NAME_BYTES]) {
    snprintf(out, KAFKA_NAME_BYTES, "%s%s", config->prefix, topic_name(topic));
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
    size_t prefix = strlen(config->prefix);
    rd_kafka_timestamp_type_t type;
    *out = (struct record){.partition = message->partition,
                           .offset = message->offset,
                           .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                           .key = bytes_of(message->key, message->key_len),
                           .value = bytes_of(message->payload, message->len)};
    take_headers(message, out);
    return strncmp(name, config->prefix, prefix) == 0 &&
           topic_of_name(bytes_text(name + prefix), &out->topic);
}
