/* The inputs: assigned by offset, read committed, at the stage's own positions. The group's offsets are never asked for. */
#include <inttypes.h>

#include "base/log.h"
#include "stage/stage.h"
#include "transport/kafka_client.h"

#include "base/poison.h"

/* New partitions are looked for so often. */
#define REFRESH_MS 30000

struct source_slot {
    enum topic topic;
    int32_t partition;
    int64_t next_offset; /* INT64_MIN: the beginning of what the topic has */
};

struct kafka_source {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *client;
    rd_kafka_message_t *message; /* borrowed by the record handed out last */
    bool placed;                 /* assigned at the slots' offsets */
    int64_t refresh_at_ms;
    int64_t
        waiting_since_ms; /* the first interaction of the next click epoch was handed out; 0: none */
    int32_t partitions[TOPIC_INPUTS];
    uint32_t slot_count;
    struct source_slot slots[STAGE_PARTITIONS_MAX];
};

static struct source_slot *find(struct kafka_source *source, enum topic topic, int32_t partition) {
    for (uint32_t i = 0; i < source->slot_count; i++)
        if (source->slots[i].topic == topic && source->slots[i].partition == partition)
            return &source->slots[i];
    return NULL;
}

/* ---- partitions ---- */

static enum status add_slots(struct kafka_source *source, enum topic topic, int32_t partitions,
                             struct error *err) {
    for (int32_t p = source->partitions[topic]; p < partitions; p++) {
        if (source->slot_count == STAGE_PARTITIONS_MAX || p >= source->config.input_partitions_max)
            return FAIL(err, FATAL, EX_CONFIG,
                        "topic %s%s has %d partitions: the limit is %d of one input, and %d of all",
                        source->config.prefix, topic_name(topic), partitions,
                        source->config.input_partitions_max, STAGE_PARTITIONS_MAX);
        source->slots[source->slot_count++] =
            (struct source_slot){.topic = topic, .partition = p, .next_offset = INT64_MIN};
        source->placed = false;
    }
    source->partitions[topic] = partitions;
    return OK;
}

static enum status refresh_partitions(struct kafka_source *source, struct error *err) {
    for (int topic = 0; topic < TOPIC_INPUTS; topic++) {
        char name[KAFKA_NAME_BYTES];
        int32_t now, before = source->partitions[topic];
        kafka_topic_name(&source->config, (enum topic)topic, name);
        TRY(kafka_partitions(source->client, name, &now, err));
        if (now == 0 && before == 0)
            return FAIL(err, FATAL, EX_CONFIG, "topic %s is not there: create it", name);
        if (now < before)
            return FAIL(
                err, FATAL, EX_DATAERR,
                "topic %s had %d partitions and has %d: it was deleted or made anew; the "
                "stage's positions are not of this topic: start with a new application name "
                "and new outputs, or restore the topic",
                name, before, now);
        if (now > before && before > 0)
            log_info("kafka.partitions", "topic=%s before=%d now=%d", name, before, now);
        TRY(add_slots(source, (enum topic)topic, now, err));
    }
    source->refresh_at_ms = kafka_now_ms() + REFRESH_MS;
    return OK;
}

/* ---- positions ---- */

static enum status place_slot(struct kafka_source *source, struct source_slot *slot,
                              rd_kafka_topic_partition_list_t *list, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int64_t low, high, wanted = slot->next_offset;
    kafka_topic_name(&source->config, slot->topic, name);
    TRY(kafka_range(source->client, name, slot->partition, &low, &high, err));
    if (wanted == INT64_MIN)
        wanted = low;
    if (wanted < low)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s-%d: the next record to read is %" PRId64 ", but the topic has %" PRId64
                    " to %" PRId64 ": it was deleted by retention before it was read; raise "
                    "retention.ms, and start with a new application name and new outputs (the lost "
                    "records cannot be had again)",
                    name, slot->partition, wanted, low, high);
    if (wanted > high)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s-%d: the next record to read is %" PRId64 ", but the topic has %" PRId64
                    " to %" PRId64 ": it was truncated or made anew; restore it, or start with a "
                    "new application name and new outputs",
                    name, slot->partition, wanted, low, high);
    rd_kafka_topic_partition_list_add(list, name, slot->partition)->offset = wanted;
    return OK;
}

/* Assigning anew drops whatever was fetched and not yet handed out. */
static enum status place(struct kafka_source *source, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum status status = OK;
    for (uint32_t i = 0; i < source->slot_count && status == OK; i++)
        status = place_slot(source, &source->slots[i], list, err);
    if (status == OK) {
        rd_kafka_resp_err_t code = rd_kafka_assign(source->client, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status =
                FAIL(err, FATAL, EX_SOFTWARE, "cannot read the inputs: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    source->placed = status == OK;
    return status;
}

/* ---- the port ---- */

static void give_back(struct kafka_source *source) {
    if (source->message != NULL)
        rd_kafka_message_destroy(source->message);
    source->message = NULL;
}

/* An error in place of a record. Offsets that are gone are found, and named, by placing anew. */
static enum status failed(struct kafka_source *source, struct error *err) {
    const rd_kafka_message_t *message = source->message;
    struct verdict v = kafka_verdict(message->err);
    if (v.status == RETRY)
        return OK; /* librdkafka tries again by itself */
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        source->placed = false;
        return OK;
    }
    return FAIL(err, FATAL, v.exit_code, "%s-%d: cannot read it at offset %" PRId64 ": %s",
                message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "inputs",
                message->partition, message->offset, rd_kafka_message_errstr(message));
}

static enum status source_next(void *self, struct record *out, bool *got, bool *end,
                               struct error *err) {
    struct kafka_source *source = self;
    *got = *end = false;
    give_back(source);
    if (kafka_now_ms() >= source->refresh_at_ms)
        TRY(refresh_partitions(source, err));
    if (!source->placed)
        TRY(place(source, err));
    source->message = rd_kafka_consumer_poll(source->client, (int)source->config.poll_ms);
    if (source->message == NULL)
        return OK;
    if (source->message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failed(source, err);
    bool ours = kafka_record(&source->config, source->message, out);
    struct source_slot *slot = ours ? find(source, out->topic, out->partition) : NULL;
    ASSERT(slot != NULL);
    slot->next_offset = out->offset + 1;
    if (out->topic == TOPIC_INTERACTIONS && source->waiting_since_ms == 0)
        source->waiting_since_ms = kafka_now_ms();
    *got = true;
    return OK;
}

/* With the broker away the positions are remembered: next() says RETRY until they are taken. */
static enum status source_rewind(void *self, const struct position *positions, uint32_t count,
                                 struct error *err) {
    struct kafka_source *source = self;
    give_back(source);
    source->waiting_since_ms = 0;
    source->placed = false;
    rd_kafka_assign(source->client, NULL);
    for (uint32_t s = 0; s < source->slot_count; s++)
        source->slots[s].next_offset = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        struct source_slot *slot = find(source, positions[i].topic, positions[i].partition);
        if (slot != NULL)
            slot->next_offset = positions[i].next_offset;
        else if (positions[i].next_offset > 0)
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s%s-%d was read up to offset %" PRId64
                        " before, and the topic has only %d partitions now: it was made anew; "
                        "restore it, or start with a new application name and new outputs",
                        source->config.prefix, topic_name(positions[i].topic),
                        positions[i].partition, positions[i].next_offset,
                        source->partitions[positions[i].topic]);
    }
    enum status status = place(source, err);
    return status == RETRY ? OK : status;
}

static bool source_due(void *self) {
    const struct kafka_source *source = self;
    return source->waiting_since_ms != 0 &&
           kafka_now_ms() - source->waiting_since_ms >= (int64_t)source->config.linger_ms;
}

static void source_formed(void *self) {
    struct kafka_source *source = self;
    source->waiting_since_ms = 0;
}

struct source_port kafka_source_port(struct kafka_source *source) {
    return (struct source_port){.self = source,
                                .next = source_next,
                                .rewind = source_rewind,
                                .due = source_due,
                                .formed = source_formed};
}

/* ---- opening ---- */

static enum status begin(struct kafka_source *source, struct error *err) {
    struct client_options options = {.role = CLIENT_READER};
    TRY(kafka_client_create(&source->client, &source->config, &options, err));
    return refresh_partitions(source, err);
}

enum status kafka_source_open(struct kafka_source **out, const struct kafka_config *config,
                              struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "Kafka source", sizeof(struct kafka_source), err));
    struct kafka_source *source = arena_must(&arena, sizeof *source);
    *source = (struct kafka_source){.arena = arena, .config = *config};
    enum status status = begin(source, err);
    if (status == OK)
        *out = source;
    else
        kafka_source_close(source);
    return status;
}

void kafka_source_close(struct kafka_source *source) {
    give_back(source);
    if (source->client != NULL)
        rd_kafka_destroy_flags(source->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    struct arena arena = source->arena; /* holds the source itself */
    arena_release(&arena);
}
