/* The output topics read back: what a restore or a standby folds. */
#include "transport/kafka_client.h"

#include "base/poison.h"

struct log_slot {
    enum topic topic;
    int32_t partition;
    int64_t start, at, end; /* at: everything before it has been given; end: as captured */
};

struct kafka_log {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *client;
    rd_kafka_t *
        asker; /* on the reader's connection a request would wait behind a fetch that waits for records */
    rd_kafka_message_t *message; /* borrowed by the record handed out last */
    uint32_t slot_count;
    struct log_slot *slots; /* [OUTPUT_PARTITIONS_MAX] */
};

/* ---- opening ---- */

static enum status add_topic(struct kafka_log *log, enum topic topic, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int32_t partitions;
    kafka_topic_name(&log->config, topic, name);
    TRY(kafka_partitions(log->asker, name, &partitions, err));
    if (partitions == 0)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                        "topic %s is not there: let the stage create it", name);
    for (int32_t p = 0; p < partitions; p++) {
        if (log->slot_count == OUTPUT_PARTITIONS_MAX)
            return FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                            "the outputs have more than %u partitions", OUTPUT_PARTITIONS_MAX);
        log->slots[log->slot_count++] = (struct log_slot){.topic = topic, .partition = p};
    }
    return OK;
}

static enum status begin(struct kafka_log *log, const enum topic *topics, uint32_t count,
                         struct error *err) {
    struct client_options reader = {.role = CLIENT_LOG}, asker = {.role = CLIENT_ADMIN};
    TRY(kafka_client_create(&log->client, &log->config, &reader, err));
    TRY(kafka_client_create(&log->asker, &log->config, &asker, err));
    for (uint32_t i = 0; i < count; i++)
        TRY(add_topic(log, topics[i], err));
    return OK;
}

enum status kafka_log_open(struct kafka_log **out, const struct kafka_config *config,
                           const enum topic *topics, uint32_t count, struct error *err) {
    struct arena arena;
    size_t slots_bytes = OUTPUT_PARTITIONS_MAX * sizeof(struct log_slot);
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
    if (log->asker != NULL)
        rd_kafka_destroy_flags(log->asker, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    struct arena arena = log->arena; /* holds the log itself */
    arena_release(&arena);
}

static enum status place(struct kafka_log *log, struct log_slot *slot, int64_t from,
                         rd_kafka_topic_partition_list_t *list, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int64_t low, high;
    kafka_topic_name(&log->config, slot->topic, name);
    TRY(kafka_range(log->asker, name, slot->partition, &low, &high, err));
    if (from == KAFKA_LOG_BEGINNING)
        from = low;
    if (from < low || from > high)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "%s-%d has offsets %lld to %lld, and %lld is where it would go on", name,
                    slot->partition, (long long)low, (long long)high, (long long)from);
    slot->start = slot->at = from;
    slot->end = high;
    rd_kafka_topic_partition_list_add(list, name, slot->partition)->offset = from;
    return OK;
}

enum status kafka_log_start(struct kafka_log *log, const int64_t *from, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum status status = OK;
    for (uint32_t i = 0; i < log->slot_count && status == OK; i++)
        status =
            place(log, &log->slots[i], from == NULL ? KAFKA_LOG_BEGINNING : from[i], list, err);
    if (status == OK) {
        rd_kafka_resp_err_t code = rd_kafka_assign(log->client, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = FAIL(err, FATAL, EX_SOFTWARE, "cannot read the outputs: %s",
                          rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* ---- positions ---- */

uint32_t kafka_log_slots(const struct kafka_log *log) {
    return log->slot_count;
}

bool kafka_log_slot(const struct kafka_log *log, enum topic topic, int32_t partition,
                    uint32_t *slot) {
    for (uint32_t i = 0; i < log->slot_count; i++)
        if (log->slots[i].topic == topic && log->slots[i].partition == partition) {
            *slot = i;
            return true;
        }
    return false;
}

int64_t kafka_log_at(const struct kafka_log *log, uint32_t slot) {
    return log->slots[slot].at;
}

int64_t kafka_log_end(const struct kafka_log *log, uint32_t slot) {
    return log->slots[slot].end;
}

enum status kafka_log_capture(struct kafka_log *log, struct error *err) {
    for (uint32_t i = 0; i < log->slot_count; i++) {
        struct log_slot *slot = &log->slots[i];
        char name[KAFKA_NAME_BYTES];
        int64_t low;
        kafka_topic_name(&log->config, slot->topic, name);
        TRY(kafka_range(log->asker, name, slot->partition, &low, &slot->end, err));
    }
    return OK;
}

void kafka_log_way(const struct kafka_log *log, uint64_t *done, uint64_t *all) {
    *done = *all = 0;
    for (uint32_t i = 0; i < log->slot_count; i++) {
        const struct log_slot *slot = &log->slots[i];
        int64_t at = slot->at < slot->end ? slot->at : slot->end;
        *all += (uint64_t)(slot->end - slot->start);
        *done += (uint64_t)(at - slot->start);
    }
}

double kafka_log_share(const struct kafka_log *log) {
    uint64_t done, all;
    kafka_log_way(log, &done, &all);
    return done < all ? (double)done / (double)all : 1;
}

/* ---- records ---- */

/* What has come: a record, an end, or an error. */
static enum status take(struct kafka_log *log, struct record *out, bool *got, uint32_t *slot,
                        struct error *err) {
    const rd_kafka_message_t *message = log->message;
    bool ours = kafka_record(&log->config, message, out);
    bool record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!record && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        struct verdict v = kafka_verdict(message->err);
        if (v.status == RETRY)
            return OK; /* librdkafka tries again by itself */
        bool lost = message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                    message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
        return FAIL(
            err, lost ? BAD_RECORD : FATAL, v.exit_code, "%s-%d: cannot read it at offset %lld: %s",
            message->rkt ? rd_kafka_topic_name(message->rkt) : "outputs", message->partition,
            (long long)message->offset, rd_kafka_message_errstr(message));
    }
    ASSERT(ours && kafka_log_slot(log, out->topic, out->partition, slot));
    if (log->slots[*slot].at < message->offset + record)
        log->slots[*slot].at = message->offset + record;
    *got = record;
    return OK;
}

enum status kafka_log_next(struct kafka_log *log, uint32_t wait_ms, struct record *out, bool *got,
                           uint32_t *slot, struct error *err) {
    *got = false;
    *slot = KAFKA_NO_SLOT;
    if (log->message != NULL)
        rd_kafka_message_destroy(log->message);
    log->message = rd_kafka_consumer_poll(log->client, (int)wait_ms);
    return log->message != NULL ? take(log, out, got, slot, err) : OK;
}

/* ---- the last record ---- */

#define LAST_OFFSETS                                                                               \
    64 /* so many are looked at first; markers and aborted records may be among them */
#define LAST_PATIENCE_MS 10000

static enum status read_to_end(struct kafka_log *log, struct arena *arena, struct record *out,
                               bool *got, struct error *err) {
    int64_t deadline_ms = clock_ms() + LAST_PATIENCE_MS;
    while (kafka_log_share(log) < 1) {
        struct record record;
        bool came;
        uint32_t slot;
        TRY(kafka_log_next(log, log->config.poll_ms, &record, &came, &slot, err));
        if (clock_ms() > deadline_ms)
            return FAIL(err, RETRY, EX_TEMPFAIL, "reading %s: nothing from the broker for %d s",
                        topic_name(log->slots[0].topic), LAST_PATIENCE_MS / 1000);
        if (!came)
            continue;
        arena_reset(arena);
        *out = record;
        out->header_count = 0;
        out->key.data = arena_copy(arena, record.key.data, record.key.len);
        out->value.data = arena_copy(arena, record.value.data, record.value.len);
        if (out->key.data == NULL || out->value.data == NULL)
            return FAIL(err, FATAL, EX_CONFIG, "%s: a record of %zu bytes does not fit in %zu",
                        topic_name(record.topic), record.value.len, arena->reserved);
        *got = true;
    }
    return OK;
}

static enum status find_last(struct kafka_log *log, struct arena *arena, struct record *out,
                             bool *got, struct error *err) {
    int64_t beginning = KAFKA_LOG_BEGINNING, low, end;
    *got = false;
    TRY(kafka_log_start(log, &beginning, err));
    low = log->slots[0].at;
    end = log->slots[0].end;
    for (int64_t back = LAST_OFFSETS; !*got && low < end; back *= 8) {
        int64_t from = end - back > low ? end - back : low;
        TRY(kafka_log_start(log, &from, err));
        log->slots[0].end = end;
        TRY(read_to_end(log, arena, out, got, err));
        if (from == low)
            break;
    }
    return OK;
}

enum status kafka_log_last(const struct kafka_config *config, enum topic topic, struct arena *arena,
                           struct record *out, bool *got, struct error *err) {
    struct kafka_log *log;
    TRY(kafka_log_open(&log, config, &topic, 1, err));
    enum status status = log->slot_count == 1 ? find_last(log, arena, out, got, err)
                                              : FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                                                         "topic %s%s must have one partition",
                                                         config->prefix, topic_name(topic));
    kafka_log_close(log);
    return status;
}
