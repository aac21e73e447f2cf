/* The output topics from their beginning to their ends as of now: what a restore folds. */
#include "transport/kafka_client.h"

#include "base/poison.h"

/* Without a record or an end for so long, the caller hears RETRY. */
#define SILENT_MS 2000

struct log_slot {
    enum topic topic;
    int32_t partition;
    int64_t at, end; /* at: the offset that is expected next */
    bool done;
};

struct kafka_log {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *client;
    rd_kafka_message_t *message; /* borrowed by the record handed out last */
    uint32_t slot_count, open_count;
    int64_t offsets, offsets_done; /* of all partitions, for progress */
    struct log_slot *slots;        /* [STAGE_PARTITIONS_MAX * TOPIC_COUNT] */
};

static enum status add_topic(struct kafka_log *log, enum topic topic,
                             rd_kafka_topic_partition_list_t *list, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int32_t partitions;
    kafka_topic_name(&log->config, topic, name);
    TRY(kafka_partitions(log->client, name, &partitions, err));
    if (partitions == 0)
        return FAIL(err, FATAL, EX_CONFIG, "topic %s is not there: let the stage create it", name);
    for (int32_t p = 0; p < partitions; p++) {
        if (log->slot_count == KAFKA_OUTPUT_PARTITIONS_MAX)
            return FAIL(err, FATAL, EX_CONFIG, "the outputs have more than %d partitions",
                        KAFKA_OUTPUT_PARTITIONS_MAX);
        struct log_slot *slot = &log->slots[log->slot_count++];
        *slot = (struct log_slot){.topic = topic, .partition = p};
        TRY(kafka_range(log->client, name, p, &slot->at, &slot->end, err));
        slot->done = slot->at >= slot->end;
        if (slot->done)
            continue;
        log->open_count++;
        log->offsets += slot->end - slot->at;
        rd_kafka_topic_partition_list_add(list, name, p)->offset = slot->at;
    }
    return OK;
}

static enum status begin(struct kafka_log *log, const enum topic *topics, uint32_t count,
                         struct error *err) {
    struct client_options options = {.role = CLIENT_LOG};
    TRY(kafka_client_create(&log->client, &log->config, &options, err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++)
        status = add_topic(log, topics[i], list, err);
    if (status == OK) {
        rd_kafka_resp_err_t code = rd_kafka_assign(log->client, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = FAIL(err, FATAL, EX_SOFTWARE, "cannot read the outputs: %s",
                          rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

enum status kafka_log_open(struct kafka_log **out, const struct kafka_config *config,
                           const enum topic *topics, uint32_t count, struct error *err) {
    struct arena arena;
    size_t slots_bytes = KAFKA_OUTPUT_PARTITIONS_MAX * sizeof(struct log_slot);
    TRY(arena_reserve(&arena, "Kafka log", slots_bytes + sizeof(struct kafka_log) + 128, err));
    struct kafka_log *log = arena_must(&arena, sizeof *log);
    struct log_slot *slots = arena_must(&arena, slots_bytes);
    *log = (struct kafka_log){.arena = arena, .config = *config, .slots = slots};
    enum status status = begin(log, topics, count, err);
    if (status == OK)
        *out = log;
    else
        kafka_log_close(log);
    return status;
}

void kafka_log_close(struct kafka_log *log) {
    if (log->message != NULL)
        rd_kafka_message_destroy(log->message);
    if (log->client != NULL)
        rd_kafka_destroy_flags(log->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    struct arena arena = log->arena; /* holds the log itself */
    arena_release(&arena);
}

static double share_done(const struct kafka_log *log) {
    return log->offsets > 0 ? (double)log->offsets_done / (double)log->offsets : 1;
}

/* Everything before `at` has been given: at the captured end the partition is done. */
static void reach(struct kafka_log *log, struct log_slot *slot, int64_t at) {
    if (slot->done)
        return;
    int64_t reached = at < slot->end ? at : slot->end;
    log->offsets_done += reached - slot->at;
    slot->at = reached;
    if (reached == slot->end) {
        slot->done = true;
        log->open_count--;
    }
}

/* What has come: a record, an end, or an error. */
static enum status take(struct kafka_log *log, struct record *out, bool *got, struct error *err) {
    const rd_kafka_message_t *message = log->message;
    bool ours = kafka_record(&log->config, message, out);
    struct log_slot *slot = NULL;
    for (uint32_t i = 0; ours && i < log->slot_count; i++)
        if (log->slots[i].topic == out->topic && log->slots[i].partition == out->partition)
            slot = &log->slots[i];
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
        message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        struct verdict v = kafka_verdict(message->err);
        if (v.status == RETRY)
            return OK; /* librdkafka tries again by itself */
        return FAIL(err, FATAL, v.exit_code, "%s-%d: cannot read it at offset %lld: %s",
                    message->rkt ? rd_kafka_topic_name(message->rkt) : "outputs",
                    message->partition, (long long)message->offset,
                    rd_kafka_message_errstr(message));
    }
    ASSERT(slot != NULL);
    bool record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    *got = record && message->offset < slot->end;
    reach(log, slot, message->offset + record);
    return OK;
}

enum status kafka_log_next(struct kafka_log *log, struct record *out, bool *got, double *done_share,
                           struct error *err) {
    int64_t deadline_ms = kafka_now_ms() + SILENT_MS;
    *got = false;
    while (!*got && log->open_count > 0) {
        if (log->message != NULL)
            rd_kafka_message_destroy(log->message);
        log->message = rd_kafka_consumer_poll(log->client, (int)log->config.poll_ms);
        if (log->message != NULL)
            TRY(take(log, out, got, err));
        else if (kafka_now_ms() > deadline_ms)
            return FAIL(err, RETRY, EX_TEMPFAIL,
                        "reading the outputs: nothing from the broker for %d ms (%.0f %% are read)",
                        SILENT_MS, 100 * share_done(log));
    }
    *done_share = share_done(log);
    return OK;
}
