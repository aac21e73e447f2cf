/* The inputs: assigned by offset, read committed, at the stage's own positions. The group's offsets are never asked for.
 *
 * Each input has a client of its own, and so a bounded queue and a connection of its own: a backlog of interactions never
 * stands before a listing, and a stage that is slow stops the fetching of one without the other. librdkafka's pause() is not
 * needed, and in 2.0.2 resume() rewinds. What is asked of the broker beside the records goes through a third client: on a
 * reader's connection it would wait behind a fetch that waits for records. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "stage/stage.h"
#include "transport/kafka_client.h"

#include "base/poison.h"

/* New partitions are looked for so often. */
#define REFRESH_MS 30000
/* Listings are looked for before every so many interactions. */
#define INTERACTIONS_PER_LOOK 32
/* next() says "nothing now" at least so often: the caller has a group to serve and signals to see. */
#define BREATH_MS 500

struct source_slot {
    enum topic topic;
    int32_t partition;
    int64_t next_offset; /* INT64_MIN: the beginning of what the topic has */
    int64_t
        end_seen; /* up to here there is no record that was not handed out; what is left are markers */
};

struct input {
    rd_kafka_t *reader;
    int32_t partitions;
    bool placed; /* assigned at the slots' offsets */
    enum kafka_client client;
    struct kafka_statistics *statistics; /* borrowed */
};

struct kafka_source {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *asker; /* metadata and offsets */
    struct input inputs[TOPIC_INPUTS];
    int wake;                    /* an eventfd: something came into a reader's queue */
    rd_kafka_message_t *message; /* borrowed by the record handed out last */
    bool gave_listing;           /* ... and it was a listing */
    uint32_t since_look;         /* interactions handed out since listings were looked for */
    int64_t refresh_at_ms, breath_at_ms;
    /* A topic that is read was deleted. librdkafka 2.0.2 then waits for ever when a reader is destroyed: the end of the process
     * has to do. */
    bool made_anew;
    int64_t
        waiting_since_ms; /* the first interaction of the next click epoch was handed out; 0: none */
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
    for (int32_t p = source->inputs[topic].partitions; p < partitions; p++) {
        if (source->slot_count == STAGE_PARTITIONS_MAX || p >= source->config.input_partitions_max)
            return FAIL_SEE(
                err, FATAL, EX_CONFIG, "topics",
                "topic %s%s has %d partitions: the limit is %d of one input, and %d of all",
                source->config.prefix, kafka_own_name(&source->config, topic), partitions,
                source->config.input_partitions_max, STAGE_PARTITIONS_MAX);
        source->slots[source->slot_count++] = (struct source_slot){
            .topic = topic, .partition = p, .next_offset = INT64_MIN, .end_seen = -1};
        source->inputs[topic].placed = false;
    }
    source->inputs[topic].partitions = partitions;
    return OK;
}

static enum status refresh_partitions(struct kafka_source *source, struct error *err) {
    for (int topic = 0; topic < TOPIC_INPUTS; topic++) {
        char name[KAFKA_NAME_BYTES];
        int32_t now, before = source->inputs[topic].partitions;
        kafka_topic_name(&source->config, (enum topic)topic, name);
        TRY(kafka_partitions(source->asker, name, &now, err));
        if (now == 0 && before == 0)
            return FAIL_SEE(err, FATAL, EX_CONFIG, "topics", "topic %s is not there: create it",
                            name);
        source->made_anew |= now < before;
        if (now < before)
            return FAIL_SEE(
                err, FATAL, EX_DATAERR, "inputs-gone",
                "topic %s had %d partitions and has %d: it was deleted or made anew; the "
                "stage's positions are not of this topic: start with a new application name "
                "and new outputs, or restore the topic",
                name, before, now);
        if (now > before && before > 0)
            log_info("kafka.partitions", LOG_TEXT("topic", name), LOG_INT("before", before),
                     LOG_INT("now", now));
        TRY(add_slots(source, (enum topic)topic, now, err));
    }
    source->refresh_at_ms = clock_ms() + REFRESH_MS;
    return OK;
}

/* ---- positions ---- */

static enum status place_slot(struct kafka_source *source, struct source_slot *slot,
                              rd_kafka_topic_partition_list_t *list, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int64_t low, high, wanted = slot->next_offset;
    kafka_topic_name(&source->config, slot->topic, name);
    TRY(kafka_range(source->asker, name, slot->partition, &low, &high, err));
    if (wanted == INT64_MIN)
        wanted = low;
    if (wanted < low)
        return FAIL_SEE(
            err, FATAL, EX_DATAERR, "inputs-gone",
            "%s-%d: the next record to read is %" PRId64 ", but the topic has %" PRId64
            " to %" PRId64 ": it was deleted by retention before it was read; raise "
            "retention.ms, and start with a new application name and new outputs (the lost "
            "records cannot be had again)",
            name, slot->partition, wanted, low, high);
    source->made_anew |= wanted > high;
    if (wanted > high)
        return FAIL_SEE(err, FATAL, EX_DATAERR, "inputs-gone",
                        "%s-%d: the next record to read is %" PRId64 ", but the topic has %" PRId64
                        " to %" PRId64
                        ": it was truncated or made anew; restore it, or start with a "
                        "new application name and new outputs",
                        name, slot->partition, wanted, low, high);
    rd_kafka_topic_partition_list_add(list, name, slot->partition)->offset = wanted;
    return OK;
}

/* Assigning anew drops whatever was fetched and not yet handed out. */
static enum status place(struct kafka_source *source, enum topic topic, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum status status = OK;
    for (uint32_t i = 0; i < source->slot_count && status == OK; i++)
        if (source->slots[i].topic == topic)
            status = place_slot(source, &source->slots[i], list, err);
    if (status == OK) {
        rd_kafka_resp_err_t code = rd_kafka_assign(source->inputs[topic].reader, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = FAIL(err, FATAL, EX_SOFTWARE, "cannot read %s: %s", topic_name(topic),
                          rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    source->inputs[topic].placed = status == OK;
    return status;
}

static enum status place_all(struct kafka_source *source, struct error *err) {
    for (int topic = 0; topic < TOPIC_INPUTS; topic++)
        if (!source->inputs[topic].placed)
            TRY(place(source, (enum topic)topic, err));
    return OK;
}

/* ---- the port ---- */

static void give_back(struct kafka_source *source) {
    if (source->message != NULL)
        rd_kafka_message_destroy(source->message);
    source->message = NULL;
}

/* An error in place of a record. Offsets that are gone are found, and named, by placing anew. */
static enum status failed(struct kafka_source *source, enum topic topic, struct error *err) {
    const rd_kafka_message_t *message = source->message;
    struct verdict v = kafka_verdict(message->err);
    if (v.status == RETRY)
        return OK; /* librdkafka tries again by itself */
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        source->inputs[topic].placed = false;
        return OK;
    }
    return FAIL(err, FATAL, v.exit_code, "%s-%d: cannot read it at offset %" PRId64 ": %s",
                message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : topic_name(topic),
                message->partition, message->offset, rd_kafka_message_errstr(message));
}

/* The next message of the input's queue, without waiting; ends of partitions are noted on the way. */
static rd_kafka_message_t *poll_input(struct kafka_source *source, enum topic topic) {
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(source->inputs[topic].reader, 0);
        if (message == NULL || message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            return message;
        struct source_slot *slot = find(source, topic, message->partition);
        if (slot != NULL)
            slot->end_seen = message->offset;
        rd_kafka_message_destroy(message);
    }
}

static enum status take(struct kafka_source *source, enum topic topic, struct record *out,
                        bool *got, struct error *err) {
    source->message = poll_input(source, topic);
    if (source->message == NULL)
        return OK;
    if (source->message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        enum status status = failed(source, topic, err);
        give_back(source);
        return status;
    }
    bool ours = kafka_record(&source->config, source->message, out);
    struct source_slot *slot = ours ? find(source, out->topic, out->partition) : NULL;
    ASSERT(slot != NULL);
    slot->next_offset = out->offset + 1;
    *got = true;
    source->gave_listing = topic == TOPIC_ITEM_CONTENT;
    source->since_look = source->gave_listing ? INTERACTIONS_PER_LOOK : source->since_look + 1;
    return OK;
}

static enum status take_any(struct kafka_source *source, struct record *out, bool *got,
                            struct error *err) {
    if (source->since_look >= INTERACTIONS_PER_LOOK) {
        source->since_look = 0;
        TRY(take(source, TOPIC_ITEM_CONTENT, out, got, err));
        if (*got)
            return OK;
    }
    TRY(take(source, TOPIC_INTERACTIONS, out, got, err));
    if (*got)
        return OK;
    return take(source, TOPIC_ITEM_CONTENT, out, got, err);
}

/* Until something comes, poll_ms at most, or until interactions that wait are due. */
static void wait_for_any(struct kafka_source *source, int64_t now_ms) {
    struct pollfd wake = {.fd = source->wake, .events = POLLIN};
    int64_t wait_ms = source->config.poll_ms;
    uint64_t count;
    if (source->waiting_since_ms != 0) {
        int64_t due_ms = source->waiting_since_ms + source->config.linger_ms - now_ms;
        wait_ms = due_ms < 0 ? 0 : due_ms < wait_ms ? due_ms : wait_ms;
    }
    if (poll(&wake, 1, (int)wait_ms) == 1)
        (void)!read(source->wake, &count, sizeof count);
}

static enum status source_next(void *self, struct record *out, bool *got, bool *end,
                               struct error *err) {
    struct kafka_source *source = self;
    bool gave_listing = source->gave_listing;
    *got = *end = source->gave_listing = false;
    give_back(source);
    int64_t now_ms = clock_ms();
    if (now_ms >= source->refresh_at_ms)
        TRY(refresh_partitions(source, err));
    TRY(place_all(source, err));
    if (now_ms < source->breath_at_ms)
        TRY(take_any(source, out, got, err));
    /* a content epoch is formed when there is nothing more at once: no waiting after a listing */
    if (!*got && !gave_listing && now_ms < source->breath_at_ms) {
        wait_for_any(source, now_ms);
        TRY(take_any(source, out, got, err));
    }
    if (!*got)
        source->breath_at_ms = now_ms + BREATH_MS;
    else if (out->topic == TOPIC_INTERACTIONS && source->waiting_since_ms == 0)
        source->waiting_since_ms = now_ms;
    return OK;
}

/* With the broker away the positions are remembered: next() says RETRY until they are taken. */
static enum status source_rewind(void *self, const struct position *positions, uint32_t count,
                                 struct error *err) {
    struct kafka_source *source = self;
    give_back(source);
    source->waiting_since_ms = 0;
    for (int topic = 0; topic < TOPIC_INPUTS; topic++) {
        source->inputs[topic].placed = false;
        rd_kafka_assign(source->inputs[topic].reader, NULL);
    }
    for (uint32_t s = 0; s < source->slot_count; s++)
        source->slots[s].next_offset = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        struct source_slot *slot = find(source, positions[i].topic, positions[i].partition);
        if (slot != NULL)
            slot->next_offset = positions[i].next_offset;
        else if (positions[i].next_offset > 0)
            return FAIL_SEE(err, FATAL, EX_DATAERR, "inputs-gone",
                            "%s%s-%d was read up to offset %" PRId64
                            " before, and the topic has only %d partitions now: it was made anew; "
                            "restore it, or start with a new application name and new outputs",
                            source->config.prefix,
                            kafka_own_name(&source->config, positions[i].topic),
                            positions[i].partition, positions[i].next_offset,
                            source->inputs[positions[i].topic].partitions);
    }
    enum status status = place_all(source, err);
    return status == RETRY ? OK : status;
}

static bool source_due(void *self) {
    const struct kafka_source *source = self;
    return source->waiting_since_ms != 0 &&
           clock_ms() - source->waiting_since_ms >= (int64_t)source->config.linger_ms;
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

uint32_t kafka_source_spots(const struct kafka_source *source, struct kafka_spot *spots) {
    for (uint32_t i = 0; i < source->slot_count; i++) {
        const struct source_slot *slot = &source->slots[i];
        char name[KAFKA_NAME_BYTES];
        int64_t low, high;
        kafka_topic_name(&source->config, slot->topic, name);
        rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(
            source->inputs[slot->topic].reader, name, slot->partition, &low, &high);
        int64_t next = slot->next_offset >= 0 ? slot->next_offset : -1;
        int64_t end = code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
        bool markers_only = next >= 0 && end == slot->end_seen;
        spots[i] =
            (struct kafka_spot){slot->topic, slot->partition, next, markers_only ? next : end};
    }
    return source->slot_count;
}

void kafka_source_linger(struct kafka_source *source, uint32_t linger_ms) {
    source->config.linger_ms = linger_ms;
}

/* ---- opening ---- */

static int statistics(rd_kafka_t *client, char *json, size_t len, void *opaque) {
    (void)client;
    const struct input *input = opaque;
    kafka_statistics_put(input->statistics, input->client, json, len);
    return 1;
}

/* librdkafka writes to the eventfd when a queue that was empty has something. */
static enum status open_reader(struct kafka_source *source, enum topic topic, struct error *err) {
    static const uint64_t one = 1;
    struct input *input = &source->inputs[topic];
    struct client_options options = {
        .role = CLIENT_READER, .opaque = input, .statistics = statistics};
    rd_kafka_t **reader = &input->reader;
    input->client = topic == TOPIC_ITEM_CONTENT ? KAFKA_CLIENT_LISTINGS : KAFKA_CLIENT_INTERACTIONS;
    input->statistics = source->config.statistics;
    TRY(kafka_client_create(reader, &source->config, &options, err));
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(*reader);
    rd_kafka_queue_io_event_enable(queue, source->wake, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    return OK;
}

static enum status begin(struct kafka_source *source, struct error *err) {
    struct client_options options = {.role = CLIENT_ADMIN};
    source->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake < 0)
        return FAIL(err, FATAL, EX_OSERR, "eventfd: %s", strerror(errno));
    TRY(kafka_client_create(&source->asker, &source->config, &options, err));
    TRY(refresh_partitions(source, err));
    TRY(open_reader(source, TOPIC_ITEM_CONTENT, err));
    return open_reader(source, TOPIC_INTERACTIONS, err);
}

enum status kafka_source_open(struct kafka_source **out, const struct kafka_config *config,
                              struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "Kafka source", sizeof(struct kafka_source), err));
    struct kafka_source *source = arena_must(&arena, sizeof *source);
    *source = (struct kafka_source){.arena = arena, .config = *config, .wake = -1};
    enum status status = begin(source, err);
    if (status == OK)
        *out = source;
    else
        kafka_source_close(source);
    return status;
}

void kafka_source_close(struct kafka_source *source) {
    give_back(source);
    for (int topic = 0; topic < TOPIC_INPUTS; topic++)
        if (source->inputs[topic].reader != NULL && !source->made_anew)
            rd_kafka_destroy_flags(source->inputs[topic].reader,
                                   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (source->asker != NULL)
        rd_kafka_destroy_flags(source->asker, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (source->wake >= 0)
        close(source->wake);
    struct arena arena = source->arena; /* holds the source itself */
    arena_release(&arena);
}
