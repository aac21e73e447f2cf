/* Topics as the stage needs them: described, compared, created; never altered. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/kafka_client.h"

#include "base/poison.h"

/* What the stage says of a topic when it creates it, and what it compares. */
enum setting {
    CLEANUP_POLICY,
    SEGMENT_MS,
    SEGMENT_BYTES,
    DIRTY_RATIO,
    DELETE_RETENTION_MS,
    RETENTION_MS,
    MESSAGE_BYTES,
    TIMESTAMP_TYPE,
};
enum rule { SAME_TEXT, SAME_NUMBER, AT_LEAST };
static const struct {
    const char *key;
    enum rule rule;
} known[TOPIC_SETTINGS] = {
    [CLEANUP_POLICY] = {"cleanup.policy", SAME_TEXT},
    [SEGMENT_MS] = {"segment.ms", SAME_NUMBER},
    [SEGMENT_BYTES] = {"segment.bytes", SAME_NUMBER},
    [DIRTY_RATIO] = {"min.cleanable.dirty.ratio", SAME_NUMBER},
    [DELETE_RETENTION_MS] = {"delete.retention.ms", AT_LEAST},
    [RETENTION_MS] = {"retention.ms", AT_LEAST},
    [MESSAGE_BYTES] = {"max.message.bytes", AT_LEAST},
    [TIMESTAMP_TYPE] = {"message.timestamp.type", SAME_TEXT},
};

struct wanted {
    char value[TOPIC_SETTINGS][TOPIC_SETTING_BYTES]; /* "": whatever the broker has */
};

#define WANT(wanted, setting, ...)                                                                 \
    snprintf((wanted)->value[setting], TOPIC_SETTING_BYTES, __VA_ARGS__)

/* Tombstones stay for days: a follower that was away for less sees every erasure. Segments are closed by time, too, or
 * compaction would never reach the records of a quiet topic. */
static void want_compacted(const struct kafka_topic_config *config, struct wanted *out) {
    WANT(out, CLEANUP_POLICY, "compact");
    WANT(out, SEGMENT_MS, "%" PRId64, config->segment_ms);
    WANT(out, SEGMENT_BYTES, "%" PRId64, config->segment_bytes);
    WANT(out, DIRTY_RATIO, "%g", config->dirty_ratio);
    WANT(out, DELETE_RETENTION_MS, "%" PRId64, config->delete_retention_ms);
}

/* Segments of manifests and dead letters are closed by size alone: records have the inputs' time and commit markers the
 * broker's, so where old inputs are caught up with, segment.ms would close a segment of old records at the first marker, and
 * retention would delete it at once. */
static void want_dated(const struct kafka_topic_config *config, struct wanted *out) {
    WANT(out, CLEANUP_POLICY, "delete");
    WANT(out, RETENTION_MS, "%" PRId64, config->retention_ms > 0 ? config->retention_ms : -1);
    WANT(out, SEGMENT_MS, "3153600000000"); /* a hundred years */
    WANT(out, SEGMENT_BYTES, "67108864");
}

/* Inputs belong to others, and the leader topic has no records. */
static void want(const struct kafka_config *config, int topic, struct wanted *out) {
    *out = (struct wanted){0};
    if (topic < TOPIC_INPUTS || topic == KAFKA_TOPIC_LEADER)
        return;
    if (topic == TOPIC_EPOCHS || topic == TOPIC_DEAD_LETTER)
        want_dated(&config->topics, out);
    else
        want_compacted(&config->topics, out);
    WANT(out, MESSAGE_BYTES, "%d", KAFKA_MESSAGE_BYTES_MAX);
    WANT(out, TIMESTAMP_TYPE, "CreateTime"); /* that of the inputs */
}

static int32_t partitions_wanted(const struct kafka_config *config, int topic) {
    bool one = topic < TOPIC_INPUTS || topic == KAFKA_TOPIC_LEADER || topic == TOPIC_EPOCHS;
    return one || config->partitions[topic] < 1 ? 1 : config->partitions[topic];
}

/* ---- describing ---- */

static enum status wait_for(rd_kafka_queue_t *queue, rd_kafka_event_t **event, struct error *err) {
    *event = rd_kafka_queue_poll(queue, 3 * KAFKA_REQUEST_MS);
    if (*event == NULL)
        return FAIL(err, RETRY, EX_TEMPFAIL, "no answer from the broker in %d s",
                    3 * KAFKA_REQUEST_MS / 1000);
    rd_kafka_resp_err_t code = rd_kafka_event_error(*event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return OK;
    struct verdict v = kafka_verdict(code);
    return FAIL(err, v.status, v.exit_code, "administration of topics: %s",
                rd_kafka_event_error_string(*event));
}

static void take_entry(struct topic_facts *facts, const rd_kafka_ConfigEntry_t *entry) {
    const char *name = rd_kafka_ConfigEntry_name(entry);
    const char *value = rd_kafka_ConfigEntry_value(entry);
    for (int i = 0; i < TOPIC_SETTINGS; i++)
        if (value != NULL && strcmp(name, known[i].key) == 0)
            snprintf(facts->value[i], sizeof facts->value[i], "%s", value);
    if (value != NULL && strcmp(name, known[MESSAGE_BYTES].key) == 0)
        facts->message_bytes_max = strtoll(value, NULL, 10);
}

static bool by_name(const struct kafka_config *config, const char *name, int *topic) {
    char own[KAFKA_NAME_BYTES];
    for (*topic = 0; *topic < KAFKA_TOPICS; ++*topic) {
        kafka_topic_name(config, *topic, own);
        if (strcmp(own, name) == 0)
            return true;
    }
    return false;
}

static enum status take_configs(const struct kafka_config *config, rd_kafka_event_t *event,
                                struct topic_facts facts[KAFKA_TOPICS], struct error *err) {
    size_t count, entries;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        int topic;
        const char *name = rd_kafka_ConfigResource_name(resources[i]);
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (!by_name(config, name, &topic))
            continue;
        facts[topic].settings_denied = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !facts[topic].settings_denied) {
            struct verdict v = kafka_verdict(code);
            return FAIL(err, v.status, v.exit_code, "topic %s: cannot read its settings: %s", name,
                        rd_kafka_err2str(code));
        }
        const rd_kafka_ConfigEntry_t **entry =
            rd_kafka_ConfigResource_configs(resources[i], &entries);
        for (size_t e = 0; e < entries; e++)
            take_entry(&facts[topic], entry[e]);
    }
    return OK;
}

static enum status describe_configs(rd_kafka_t *client, const struct kafka_config *config,
                                    struct topic_facts facts[KAFKA_TOPICS], struct error *err) {
    rd_kafka_ConfigResource_t *resources[KAFKA_TOPICS];
    size_t count = 0;
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        char name[KAFKA_NAME_BYTES];
        kafka_topic_name(config, topic, name);
        if (facts[topic].partitions > 0)
            resources[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    }
    if (count == 0)
        return OK;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_event_t *event = NULL;
    rd_kafka_DescribeConfigs(client, resources, count, NULL, queue);
    enum status status = wait_for(queue, &event, err);
    if (status == OK)
        status = take_configs(config, event, facts, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(resources, count);
    rd_kafka_queue_destroy(queue);
    return status;
}

/* What this client may not see is in the facts; it is no error here. */
static enum status describe(rd_kafka_t *client, const struct kafka_config *config,
                            struct topic_facts facts[KAFKA_TOPICS], struct error *err) {
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        char name[KAFKA_NAME_BYTES];
        kafka_topic_name(config, topic, name);
        facts[topic] = (struct topic_facts){0};
        enum status status = kafka_partitions(client, name, &facts[topic].partitions, err);
        facts[topic].denied = status == FATAL && err->exit_code == EX_CONFIG;
        if (!facts[topic].denied)
            TRY(status);
    }
    return describe_configs(client, config, facts, err);
}

/* ---- the client ---- */

/* Why no broker lets this client in; "" while none has said so. */
struct refusal {
    char text[256];
    bool scram;
};

#define SCRAM_VERSION 0x020601ff /* of librdkafka; before, its SCRAM repeats the client's nonce */

static bool has_scram(const struct kafka_config *config) {
    for (uint32_t i = 0; i < config->property_count; i++)
        if (strncmp(config->properties[i].key, "sasl.mechanism", 14) == 0 &&
            strncmp(config->properties[i].value, "SCRAM", 5) == 0)
            return true;
    return false;
}

static void note_refusal(rd_kafka_t *client, int code, const char *text, void *opaque) {
    (void)client;
    struct refusal *refusal = opaque;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL)
        snprintf(refusal->text, sizeof refusal->text, "%s", text);
}

static enum status open_client(rd_kafka_t **out, const struct kafka_config *config,
                               struct refusal *refusal, struct error *err) {
    *refusal = (struct refusal){.scram = has_scram(config)};
    struct client_options options = {
        .role = CLIENT_ADMIN, .opaque = refusal, .failed = note_refusal};
    return kafka_client_create(out, config, &options, err);
}

/* A client that is not let in only sees that nobody answers. */
static enum status close_client(rd_kafka_t *client, const struct refusal *refusal,
                                enum status status, struct error *err) {
    if (status == RETRY)
        rd_kafka_poll(client, 0);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (status == RETRY && refusal->text[0] != '\0')
        return FAIL_SEE(
            err, FATAL, EX_CONFIG, "broker-refuses", "the broker does not let this client in: %s%s",
            refusal->text,
            refusal->scram && rd_kafka_version() < SCRAM_VERSION
                ? "; brokers since version 4.0 refuse the SCRAM of librdkafka before 2.6.1"
                : "");
    return status;
}

static enum status describe_all(const struct kafka_config *config,
                                struct topic_facts facts[KAFKA_TOPICS], struct error *err) {
    rd_kafka_t *client;
    struct refusal refusal;
    TRY(open_client(&client, config, &refusal, err));
    enum status status = describe(client, config, facts, err);
    return close_client(client, &refusal, status, err);
}

enum status kafka_describe(const struct kafka_config *config,
                           struct topic_facts facts[KAFKA_TOPICS], struct error *err) {
    TRY(describe_all(config, facts, err));
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        char name[KAFKA_NAME_BYTES];
        kafka_topic_name(config, topic, name);
        if (facts[topic].denied || facts[topic].settings_denied)
            return FAIL_SEE(
                err, FATAL, EX_CONFIG, "broker-refuses",
                "topic %s: the right to %s is lacking; coldstream check --connect lists "
                "what is needed",
                name, facts[topic].denied ? "describe it" : "read its settings");
    }
    return OK;
}

/* ---- comparing ---- */

static bool fits(enum rule rule, const char *have, const char *want) {
    if (rule == SAME_TEXT)
        return strcmp(have, want) == 0;
    double has = strtod(have, NULL), wants = strtod(want, NULL);
    if (rule == SAME_NUMBER)
        return has == wants;
    return has < 0 || (wants >= 0 && has >= wants); /* -1: without end */
}

static void say_differs(struct topic_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say_differs(struct topic_check *check, const char *format, ...) {
    size_t used = strlen(check->text);
    va_list arguments;
    if (used > 0)
        used += (size_t)snprintf(check->text + used, sizeof check->text - used, "; ");
    if (used >= sizeof check->text)
        return;
    va_start(arguments, format);
    vsnprintf(check->text + used, sizeof check->text - used, format, arguments);
    va_end(arguments);
    check->state = TOPIC_DIFFERS;
}

static void compare_partitions(const struct kafka_config *config, int32_t have,
                               struct topic_check *check) {
    int32_t wanted = partitions_wanted(config, check->topic);
    bool input = check->topic < TOPIC_INPUTS;
    if (input ? have <= config->input_partitions_max : have == wanted)
        return;
    say_differs(check, "%d partitions instead of %s%d", have, input ? "at most " : "",
                input ? config->input_partitions_max : wanted);
    check->must = input || check->topic == TOPIC_EPOCHS || check->topic == KAFKA_TOPIC_LEADER;
}

/* Without the rows that lasting state is made of, with too small records, the stage would stop sooner or later. */
static bool must(int setting) {
    return setting == CLEANUP_POLICY || setting == MESSAGE_BYTES;
}

static void compare(const struct kafka_config *config, const struct topic_facts *facts,
                    struct topic_check *check) {
    struct wanted wanted;
    want(config, check->topic, &wanted);
    check->state = TOPIC_THERE;
    if (facts->denied) {
        check->state = TOPIC_DENIED;
        return;
    }
    if (facts->partitions == 0) {
        int32_t count = partitions_wanted(config, check->topic);
        const char *cleanup = wanted.value[CLEANUP_POLICY];
        check->state = TOPIC_MISSING;
        snprintf(check->text, sizeof check->text, "will be created with %d partition%s%s%s", count,
                 count == 1 ? "" : "s", *cleanup ? ", cleanup.policy " : "", cleanup);
        return;
    }
    compare_partitions(config, facts->partitions, check);
    for (int i = 0; i < TOPIC_SETTINGS; i++) {
        const char *have = facts->value[i], *need = wanted.value[i];
        if (*need == '\0' || *have == '\0' || fits(known[i].rule, have, need))
            continue;
        say_differs(check, "%s %s instead of %s%s", known[i].key, have,
                    known[i].rule == AT_LEAST ? "at least " : "", need);
        check->must = check->must || must(i);
    }
}

enum status kafka_check_topics(const struct kafka_config *config,
                               struct topic_check checks[KAFKA_TOPICS], struct error *err) {
    struct topic_facts facts[KAFKA_TOPICS];
    TRY(describe_all(config, facts, err));
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        struct topic_check *check = &checks[topic];
        *check = (struct topic_check){.topic = topic,
                                      .partitions = facts[topic].partitions,
                                      .settings_denied = facts[topic].settings_denied,
                                      .message_bytes_max = facts[topic].message_bytes_max};
        check->compacted = strstr(facts[topic].value[CLEANUP_POLICY], "compact") != NULL;
        kafka_topic_name(config, topic, check->name);
        compare(config, &facts[topic], check);
    }
    return OK;
}

/* ---- creating ---- */

static enum status new_topic(const struct kafka_config *config, int topic,
                             rd_kafka_NewTopic_t **out, struct error *err) {
    char name[KAFKA_NAME_BYTES], text[256];
    kafka_topic_name(config, topic, name);
    int replication = config->topics.replication > 0 ? config->topics.replication : -1;
    *out = rd_kafka_NewTopic_new(name, partitions_wanted(config, topic), replication, text,
                                 sizeof text);
    if (*out == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "topic %s: %s", name, text);
    struct wanted wanted;
    want(config, topic, &wanted);
    for (int i = 0; i < TOPIC_SETTINGS; i++)
        if (wanted.value[i][0] != '\0')
            rd_kafka_NewTopic_set_config(*out, known[i].key, wanted.value[i]);
    return OK;
}

static enum status created(rd_kafka_event_t *event, struct error *err) {
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        const char *name = rd_kafka_topic_result_name(results[i]);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            log_info("kafka.created", LOG_TEXT("topic", name));
        else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            struct verdict v = kafka_verdict(code);
            const char *text = rd_kafka_topic_result_error_string(results[i]);
            return FAIL(err, v.status, v.exit_code, "topic %s: cannot create it: %s", name,
                        text != NULL ? text : rd_kafka_err2str(code));
        }
    }
    return OK;
}

static void note_codes(const struct kafka_config *config, rd_kafka_event_t *event,
                       rd_kafka_resp_err_t codes[KAFKA_TOPICS]) {
    size_t count;
    int topic;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++)
        if (by_name(config, rd_kafka_topic_result_name(results[i]), &topic))
            codes[topic] = rd_kafka_topic_result_error(results[i]);
}

/* codes != NULL: only as if. */
static enum status create(rd_kafka_t *client, const struct kafka_config *config,
                          rd_kafka_NewTopic_t **topics, size_t count,
                          rd_kafka_resp_err_t codes[KAFKA_TOPICS], struct error *err) {
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    /* until the brokers know them */
    rd_kafka_AdminOptions_set_operation_timeout(options, KAFKA_REQUEST_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_validate_only(options, codes != NULL, text, sizeof text);
    rd_kafka_event_t *event = NULL;
    rd_kafka_CreateTopics(client, topics, count, options, queue);
    enum status status = wait_for(queue, &event, err);
    if (status == OK && codes != NULL)
        note_codes(config, event, codes);
    else if (status == OK)
        status = created(event, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

static enum status create_missing(rd_kafka_t *client, const struct kafka_config *config,
                                  struct error *err) {
    rd_kafka_NewTopic_t *topics[KAFKA_TOPICS];
    size_t count = 0;
    enum status status = OK;
    for (int topic = 0; topic < KAFKA_TOPICS && status == OK; topic++) {
        char name[KAFKA_NAME_BYTES];
        int32_t partitions;
        kafka_topic_name(config, topic, name);
        status = kafka_partitions(client, name, &partitions, err);
        if (status == OK && partitions == 0) {
            status = new_topic(config, topic, &topics[count], err);
            count += status == OK;
        }
    }
    if (status == OK && count > 0)
        status = create(client, config, topics, count, NULL, err);
    rd_kafka_NewTopic_destroy_array(topics, count);
    return status;
}

enum status kafka_try_creating(rd_kafka_t *client, const struct kafka_config *config,
                               const struct topic_check checks[KAFKA_TOPICS],
                               rd_kafka_resp_err_t codes[KAFKA_TOPICS], struct error *err) {
    rd_kafka_NewTopic_t *topics[KAFKA_TOPICS];
    size_t count = 0;
    enum status status = OK;
    for (int topic = 0; topic < KAFKA_TOPICS && status == OK; topic++) {
        codes[topic] = RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (checks[topic].state != TOPIC_MISSING)
            continue;
        status = new_topic(config, topic, &topics[count], err);
        count += status == OK;
    }
    if (status == OK && count > 0)
        status = create(client, config, topics, count, codes, err);
    rd_kafka_NewTopic_destroy_array(topics, count);
    return status;
}

/* Metadata follows a moment after the broker's answer; a broker that is very busy takes its time. */
#define CREATED_MS 60000
static enum status await_all(rd_kafka_t *client, const struct kafka_config *config,
                             struct error *err) {
    int64_t deadline_ms = clock_ms() + CREATED_MS;
    for (int topic = 0; topic < KAFKA_TOPICS;) {
        char name[KAFKA_NAME_BYTES];
        int32_t partitions;
        kafka_topic_name(config, topic, name);
        enum status status = kafka_partitions(client, name, &partitions, err);
        if (status == OK && partitions > 0) {
            topic++;
            continue;
        }
        if (status == FATAL)
            return FATAL;
        if (clock_ms() > deadline_ms)
            return FAIL(err, RETRY, EX_TEMPFAIL, "topic %s: created, but not there after %d s",
                        name, CREATED_MS / 1000);
        usleep(20000);
    }
    return OK;
}

enum status kafka_create_topics(const struct kafka_config *config, struct error *err) {
    rd_kafka_t *client;
    struct refusal refusal;
    TRY(open_client(&client, config, &refusal, err));
    enum status status = create_missing(client, config, err);
    if (status == OK)
        status = await_all(client, config, err);
    return close_client(client, &refusal, status, err);
}
