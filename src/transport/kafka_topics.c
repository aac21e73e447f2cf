/* Topics as the stage needs them: described, compared, created; never altered. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/kafka_client.h"

#include "base/poison.h"

#define SETTINGS_MAX 8

struct topic_setting {
    const char *key, *value;
};

/* Tombstones stay for 7 days: a follower that was away for less sees every erasure. Segments are closed hourly, or compaction
 * would never reach the records of a quiet topic. */
static const struct topic_setting compacted[SETTINGS_MAX] = {
    {"cleanup.policy", "compact"},        {"segment.ms", "3600000"},
    {"segment.bytes", "134217728"},       {"min.cleanable.dirty.ratio", "0.3"},
    {"delete.retention.ms", "604800000"}, {"max.message.bytes", "4194304"},
};
/* Manifests and dead letters: 30 days. Segments are closed by size alone: records have the inputs' time and commit markers the
 * broker's, so where old inputs are caught up with, segment.ms would close a segment of old records at the first marker, and
 * retention would delete it at once. */
static const struct topic_setting dated[SETTINGS_MAX] = {
    {"cleanup.policy", "delete"},    {"retention.ms", "2592000000"},
    {"segment.ms", "3153600000000"}, /* a hundred years */
    {"segment.bytes", "67108864"},   {"max.message.bytes", "4194304"},
};
static const struct topic_setting plain[SETTINGS_MAX] = {{NULL, NULL}};

static const struct topic_setting *settings_of(int topic) {
    if (topic < TOPIC_INPUTS || topic == TOPIC_COUNT)
        return plain;
    return topic == TOPIC_EPOCHS || topic == TOPIC_DEAD_LETTER ? dated : compacted;
}

/* TOPIC_COUNT stands for the leader topic. */
static void name_of(const struct kafka_config *config, int topic, char out[KAFKA_NAME_BYTES]) {
    if (topic == TOPIC_COUNT)
        snprintf(out, KAFKA_NAME_BYTES, "%s" KAFKA_LEADER_TOPIC, config->prefix);
    else
        kafka_topic_name(config, (enum topic)topic, out);
}

static int32_t partitions_wanted(const struct kafka_config *config, int topic) {
    bool one = topic < TOPIC_INPUTS || topic == TOPIC_COUNT || topic == TOPIC_EPOCHS;
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
    if (value != NULL && strcmp(name, "cleanup.policy") == 0)
        snprintf(facts->cleanup, sizeof facts->cleanup, "%s", value);
    if (value != NULL && strcmp(name, "max.message.bytes") == 0)
        facts->message_bytes_max = strtoll(value, NULL, 10);
}

static enum status take_configs(const struct kafka_config *config, rd_kafka_event_t *event,
                                struct topic_facts facts[TOPIC_COUNT], struct error *err) {
    size_t count, entries;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        enum topic topic;
        const char *name = rd_kafka_ConfigResource_name(resources[i]);
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            struct verdict v = kafka_verdict(code);
            return FAIL(err, v.status, v.exit_code, "topic %s: cannot read its settings: %s", name,
                        rd_kafka_err2str(code));
        }
        if (!topic_of_name(bytes_text(name + strlen(config->prefix)), &topic))
            continue;
        const rd_kafka_ConfigEntry_t **entry =
            rd_kafka_ConfigResource_configs(resources[i], &entries);
        for (size_t e = 0; e < entries; e++)
            take_entry(&facts[topic], entry[e]);
    }
    return OK;
}

static enum status describe_configs(rd_kafka_t *client, const struct kafka_config *config,
                                    struct topic_facts facts[TOPIC_COUNT], struct error *err) {
    rd_kafka_ConfigResource_t *resources[TOPIC_COUNT];
    size_t count = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char name[KAFKA_NAME_BYTES];
        name_of(config, topic, name);
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

static enum status describe(rd_kafka_t *client, const struct kafka_config *config,
                            struct topic_facts facts[TOPIC_COUNT], struct error *err) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char name[KAFKA_NAME_BYTES];
        name_of(config, topic, name);
        facts[topic] = (struct topic_facts){0};
        TRY(kafka_partitions(client, name, &facts[topic].partitions, err));
    }
    return describe_configs(client, config, facts, err);
}

static enum status open_client(rd_kafka_t **out, const struct kafka_config *config,
                               struct error *err) {
    struct client_options options = {.role = CLIENT_ADMIN};
    return kafka_client_create(out, config, &options, err);
}

static void close_client(rd_kafka_t *client) {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

enum status kafka_describe(const struct kafka_config *config, struct topic_facts facts[TOPIC_COUNT],
                           struct error *err) {
    rd_kafka_t *client;
    TRY(open_client(&client, config, err));
    enum status status = describe(client, config, facts, err);
    close_client(client);
    return status;
}

/* ---- comparing ---- */

static const char *cleanup_wanted(int topic) {
    return settings_of(topic)[0].value;
}

static void compare(const struct kafka_config *config, const struct topic_facts *facts,
                    struct topic_check *check) {
    int topic = (int)check->topic;
    int32_t wanted = partitions_wanted(config, topic);
    size_t room = sizeof check->text, used = 0;
    bool input = topic < TOPIC_INPUTS;
    check->text[0] = '\0';
    check->state = TOPIC_THERE;
    if (facts->partitions == 0) {
        check->state = TOPIC_MISSING;
        snprintf(check->text, room, "will be created with %d partition%s%s%s", wanted,
                 wanted == 1 ? "" : "s", input ? "" : ", cleanup.policy ",
                 input ? "" : cleanup_wanted(topic));
        return;
    }
    if (input ? facts->partitions > config->input_partitions_max : facts->partitions != wanted)
        used += (size_t)snprintf(check->text, room, "%d partitions instead of %s%d; ",
                                 facts->partitions, input ? "at most " : "",
                                 input ? config->input_partitions_max : wanted);
    if (!input && strcmp(facts->cleanup, cleanup_wanted(topic)) != 0)
        used +=
            (size_t)snprintf(check->text + used, room - used, "cleanup.policy %s instead of %s; ",
                             facts->cleanup, cleanup_wanted(topic));
    if (!input && facts->message_bytes_max < KAFKA_MESSAGE_BYTES_MAX)
        used += (size_t)snprintf(check->text + used, room - used,
                                 "max.message.bytes %" PRId64 " instead of %d; ",
                                 facts->message_bytes_max, KAFKA_MESSAGE_BYTES_MAX);
    if (used > 0) {
        check->state = TOPIC_DIFFERS;
        check->text[used - 2] = '\0'; /* the last "; " */
    }
}

enum status kafka_check_topics(const struct kafka_config *config,
                               struct topic_check checks[TOPIC_COUNT], struct error *err) {
    struct topic_facts facts[TOPIC_COUNT];
    TRY(kafka_describe(config, facts, err));
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        checks[topic].topic = (enum topic)topic;
        compare(config, &facts[topic], &checks[topic]);
    }
    return OK;
}

/* ---- creating ---- */

static enum status new_topic(const struct kafka_config *config, int topic,
                             rd_kafka_NewTopic_t **out, struct error *err) {
    char name[KAFKA_NAME_BYTES], text[256];
    name_of(config, topic, name);
    /* the broker's default replication */
    *out = rd_kafka_NewTopic_new(name, partitions_wanted(config, topic), -1, text, sizeof text);
    if (*out == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "topic %s: %s", name, text);
    const struct topic_setting *settings = settings_of(topic);
    for (int i = 0; i < SETTINGS_MAX && settings[i].key != NULL; i++)
        rd_kafka_NewTopic_set_config(*out, settings[i].key, settings[i].value);
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
            log_info("kafka.created", "topic=%s", name);
        else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            struct verdict v = kafka_verdict(code);
            const char *text = rd_kafka_topic_result_error_string(results[i]);
            return FAIL(err, v.status, v.exit_code, "topic %s: cannot create it: %s", name,
                        text != NULL ? text : rd_kafka_err2str(code));
        }
    }
    return OK;
}

static enum status create(rd_kafka_t *client, rd_kafka_NewTopic_t **topics, size_t count,
                          struct error *err) {
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    /* until the brokers know them */
    rd_kafka_AdminOptions_set_operation_timeout(options, KAFKA_REQUEST_MS, text, sizeof text);
    rd_kafka_event_t *event = NULL;
    rd_kafka_CreateTopics(client, topics, count, options, queue);
    enum status status = wait_for(queue, &event, err);
    if (status == OK)
        status = created(event, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

static enum status create_missing(rd_kafka_t *client, const struct kafka_config *config,
                                  struct error *err) {
    rd_kafka_NewTopic_t *topics[TOPIC_COUNT + 1];
    size_t count = 0;
    enum status status = OK;
    for (int topic = 0; topic <= TOPIC_COUNT && status == OK; topic++) {
        char name[KAFKA_NAME_BYTES];
        int32_t partitions;
        name_of(config, topic, name);
        status = kafka_partitions(client, name, &partitions, err);
        if (status == OK && partitions == 0) {
            status = new_topic(config, topic, &topics[count], err);
            count += status == OK;
        }
    }
    if (status == OK && count > 0)
        status = create(client, topics, count, err);
    rd_kafka_NewTopic_destroy_array(topics, count);
    return status;
}

/* Metadata follows a moment after the broker's answer. */
static enum status await_all(rd_kafka_t *client, const struct kafka_config *config,
                             struct error *err) {
    int64_t deadline_ms = kafka_now_ms() + KAFKA_REQUEST_MS;
    for (int topic = 0; topic <= TOPIC_COUNT;) {
        char name[KAFKA_NAME_BYTES];
        int32_t partitions;
        name_of(config, topic, name);
        enum status status = kafka_partitions(client, name, &partitions, err);
        if (status == OK && partitions > 0) {
            topic++;
            continue;
        }
        if (status == FATAL)
            return FATAL;
        if (kafka_now_ms() > deadline_ms)
            return FAIL(err, RETRY, EX_TEMPFAIL, "topic %s: created, but not there after %d s",
                        name, KAFKA_REQUEST_MS / 1000);
        usleep(20000);
    }
    return OK;
}

enum status kafka_create_topics(const struct kafka_config *config, struct error *err) {
    rd_kafka_t *client;
    TRY(open_client(&client, config, err));
    enum status status = create_missing(client, config, err);
    if (status == OK)
        status = await_all(client, config, err);
    close_client(client);
    return status;
}
