/* What this principal may do, found out by trying what leaves no trace. */
#include <stdarg.h>
#include <stdio.h>

#include "transport/kafka_client.h"

#include "base/poison.h"

#define PROBE_MS 30000 /* each attempt ends as soon as the broker answers */
#define OFFER_OVERHEAD_BYTES 1024

struct probe {
    const struct kafka_config *config;
    const struct topic_check *checks;
    struct right_check *rights;
    uint32_t count;
};

/* ---- what was found ---- */

static void note(struct probe *probe, enum right_state state, const char *text, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
static void note(struct probe *probe, enum right_state state, const char *text, const char *format,
                 ...) {
    ASSERT(probe->count < KAFKA_RIGHTS_MAX);
    struct right_check *right = &probe->rights[probe->count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(right->what, sizeof right->what, format, arguments);
    va_end(arguments);
    right->state = state;
    snprintf(right->text, sizeof right->text, "%s", text);
}

static bool lacking(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

/* `granted`: the attempt ended as it does where the right is there. */
static void note_code(struct probe *probe, rd_kafka_resp_err_t code, bool granted, const char *what,
                      const char *name, const char *right) {
    enum right_state state = granted ? RIGHT_THERE : lacking(code) ? RIGHT_LACKING : RIGHT_UNKNOWN;
    note(probe, state, granted ? "" : rd_kafka_err2str(code), "%s %s: %s", what, name, right);
}

static void note_topics(struct probe *probe) {
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        const struct topic_check *check = &probe->checks[topic];
        if (check->state == TOPIC_DENIED)
            note(probe, RIGHT_LACKING, "Broker: Topic authorization failed", "topic %s: describe",
                 check->name);
        else if (check->partitions > 0 && topic >= TOPIC_INPUTS)
            note(probe, check->settings_denied ? RIGHT_LACKING : RIGHT_THERE,
                 check->settings_denied ? "Broker: Topic authorization failed" : "",
                 "topic %s: describe its settings", check->name);
    }
}

static enum status probe_creating(struct probe *probe, rd_kafka_t *client, struct error *err) {
    rd_kafka_resp_err_t codes[KAFKA_TOPICS];
    TRY(kafka_try_creating(client, probe->config, probe->checks, codes, err));
    for (int t = 0; t < KAFKA_TOPICS; t++)
        if (probe->checks[t].state == TOPIC_MISSING)
            note_code(probe, codes[t], codes[t] == RD_KAFKA_RESP_ERR_NO_ERROR, "topic",
                      probe->checks[t].name, "create");
    return OK;
}

/* ---- reading ---- */

/* Every topic's first partition at its end: an end or an error comes for each. */
static enum status probe_reading(struct probe *probe, struct error *err) {
    rd_kafka_t *client;
    struct client_options options = {.role = CLIENT_LOG};
    rd_kafka_resp_err_t codes[KAFKA_TOPICS];
    int open = 0;
    TRY(kafka_client_create(&client, probe->config, &options, err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(KAFKA_TOPICS);
    for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
        codes[topic] = RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (probe->checks[topic].partitions == 0)
            continue;
        rd_kafka_topic_partition_list_add(list, probe->checks[topic].name, 0)->offset =
            RD_KAFKA_OFFSET_END;
        open++;
    }
    rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (int64_t end = clock_ms() + PROBE_MS; open > 0 && clock_ms() < end;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        for (int t = 0; message != NULL && message->rkt != NULL && t < KAFKA_TOPICS; t++)
            if (codes[t] == RD_KAFKA_RESP_ERR__TIMED_OUT &&
                strcmp(probe->checks[t].name, rd_kafka_topic_name(message->rkt)) == 0) {
                codes[t] = message->err;
                open--;
            }
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    for (int t = 0; t < KAFKA_TOPICS; t++)
        if (probe->checks[t].partitions > 0)
            note_code(probe, codes[t],
                      codes[t] == RD_KAFKA_RESP_ERR_NO_ERROR ||
                          codes[t] == RD_KAFKA_RESP_ERR__PARTITION_EOF,
                      "topic", probe->checks[t].name, "read");
    return OK;
}

/* ---- writing ---- */

static void refused(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
}

/* The size of a record without a key that the topic does not take; 0: there is none for sure. */
static size_t offer_bytes(const struct topic_check *check) {
    if (check->settings_denied || check->message_bytes_max <= 0)
        return 0;
    if (check->compacted)
        return 1;
    size_t bytes = (size_t)check->message_bytes_max + OFFER_OVERHEAD_BYTES;
    return bytes <= PROBE_BYTES_MAX ? bytes : 0;
}

static void note_offer(struct probe *probe, const struct topic_check *check,
                       rd_kafka_resp_err_t code) {
    bool granted = code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
                   code == RD_KAFKA_RESP_ERR_INVALID_MSG ||
                   code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    if (offer_bytes(check) == 0)
        note(probe, RIGHT_UNKNOWN, "not tried: no record is known that the topic does not take",
             "topic %s: write", check->name);
    else
        note_code(probe, code, granted, "topic", check->name, "write");
}

static void offer(struct probe *probe, rd_kafka_t *client, const void *bytes) {
    rd_kafka_resp_err_t codes[TOPIC_COUNT];
    for (int t = TOPIC_INPUTS; t < TOPIC_COUNT; t++) {
        const struct topic_check *check = &probe->checks[t];
        size_t len = offer_bytes(check);
        codes[t] = RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (check->partitions == 0 || len == 0)
            continue;
        rd_kafka_resp_err_t code =
            rd_kafka_producev(client, RD_KAFKA_V_TOPIC(check->name), RD_KAFKA_V_PARTITION(0),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes, len),
                              RD_KAFKA_V_OPAQUE(&codes[t]), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            codes[t] = code;
    }
    rd_kafka_flush(client, PROBE_MS);
    rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(client, PROBE_MS); /* codes[] is no more after this */
    for (int t = TOPIC_INPUTS; t < TOPIC_COUNT; t++)
        if (probe->checks[t].partitions > 0)
            note_offer(probe, &probe->checks[t], codes[t]);
}

static enum status probe_writing(struct probe *probe, struct error *err) {
    rd_kafka_t *client;
    struct arena arena;
    struct client_options options = {.role = CLIENT_PROBE, .delivered = refused};
    TRY(arena_reserve(&arena, "offered record", PROBE_BYTES_MAX, err));
    enum status status = kafka_client_create(&client, probe->config, &options, err);
    if (status == OK) {
        offer(probe, client, arena_must(&arena, PROBE_BYTES_MAX));
        rd_kafka_destroy(client);
    }
    arena_release(&arena);
    return status;
}

/* ---- group and transactions ---- */

/* What the group's coordinator says, and how many instances are in the group. */
static rd_kafka_resp_err_t describe_group(rd_kafka_t *client, const char *name, size_t *members) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DescribeConsumerGroups(client, &name, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PROBE_MS);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    *members = 0;
    if (event != NULL)
        code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count;
        const rd_kafka_ConsumerGroupDescription_t **groups =
            rd_kafka_DescribeConsumerGroups_result_groups(
                rd_kafka_event_DescribeConsumerGroups_result(event), &count);
        const rd_kafka_error_t *error =
            count == 1 ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
        if (error != NULL)
            code = rd_kafka_error_code(error);
        else if (count == 1)
            *members = rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return code;
}

/* *idle: no instance is in the group, for sure. */
static enum status probe_group(struct probe *probe, rd_kafka_t *client, bool *idle,
                               struct error *err) {
    size_t members;
    const char *name = probe->config->application;
    rd_kafka_resp_err_t code = describe_group(client, name, &members);
    bool there = code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND;
    *idle = there && members == 0;
    if (!there && kafka_verdict(code).status == RETRY)
        return FAIL(err, RETRY, EX_TEMPFAIL, "group %s: cannot ask for its members: %s", name,
                    rd_kafka_err2str(code));
    note_code(probe, code, there, "group", name, "describe");
    return OK;
}

/* Joins it, and leaves. */
static enum status probe_joining(struct probe *probe, struct error *err) {
    struct kafka_leader *leader;
    const char *name = probe->config->application;
    if (probe->checks[KAFKA_TOPIC_LEADER].partitions == 0) {
        note(probe, RIGHT_UNKNOWN, "not tried: the leader topic is not there yet", "group %s: read",
             name);
        return OK;
    }
    TRY(kafka_leader_join(&leader, probe->config, err));
    enum status status = OK;
    bool leads = false;
    for (int64_t end = clock_ms() + PROBE_MS; !leads && status != FATAL && clock_ms() < end;)
        status = kafka_leader_poll(leader, 100, &leads, err);
    kafka_leader_leave(leader);
    note(probe,
         leads             ? RIGHT_THERE
         : status == FATAL ? RIGHT_LACKING
                           : RIGHT_UNKNOWN,
         leads             ? ""
         : status == FATAL ? err->text
                           : "no answer",
         "group %s: read", name);
    return OK;
}

static enum status probe_transactions(struct probe *probe, struct error *err) {
    rd_kafka_t *client;
    struct client_options options = {.role = CLIENT_PRODUCER, .batch_bytes_max = 16384};
    TRY(kafka_client_create(&client, probe->config, &options, err));
    rd_kafka_error_t *error = rd_kafka_init_transactions(client, PROBE_MS);
    rd_kafka_resp_err_t code =
        error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    note_code(probe, code, error == NULL, "transactional id", probe->config->application,
              "describe and write");
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_destroy(client);
    return OK;
}

static enum status probe_all(struct probe *probe, rd_kafka_t *client, struct error *err) {
    bool idle;
    const char *name = probe->config->application;
    note_topics(probe);
    TRY(probe_creating(probe, client, err));
    TRY(probe_reading(probe, err));
    TRY(probe_writing(probe, err));
    TRY(probe_group(probe, client, &idle, err));
    if (idle) {
        TRY(probe_joining(probe, err));
        return probe_transactions(probe, err);
    }
    const char *why = "not tried: an instance is in the group, or may be";
    note(probe, RIGHT_UNKNOWN, why, "group %s: read", name);
    note(probe, RIGHT_UNKNOWN, why, "transactional id %s: describe and write", name);
    return OK;
}

enum status kafka_check_rights(const struct kafka_config *config,
                               const struct topic_check checks[KAFKA_TOPICS],
                               struct right_check rights[KAFKA_RIGHTS_MAX], uint32_t *count,
                               struct error *err) {
    struct probe probe = {.config = config, .checks = checks, .rights = rights};
    struct client_options options = {.role = CLIENT_ADMIN};
    rd_kafka_t *client;
    TRY(kafka_client_create(&client, config, &options, err));
    enum status status = probe_all(&probe, client, err);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    *count = probe.count;
    return status;
}
