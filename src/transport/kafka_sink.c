/* The outputs: one epoch is one transaction, with the input positions in it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/kafka_client.h"
#include "transport/recording.h"

#include "base/poison.h"

/* What a record needs on the wire beside key, value and headers, and a header beside its bytes: at most. */
#define RECORD_OVERHEAD_BYTES 512
#define HEADER_OVERHEAD_BYTES 16
/* Address space for a copy of the manifest. */
#define MANIFEST_BYTES ((size_t)64 << 20)
#define CALL_MS 5000
#define PAUSE_US 100000
/* Delivery reports are taken after so many records. */
#define PUTS_PER_POLL 256

struct sink_slot {
    enum topic topic;
    int32_t partition;
    int64_t
        end; /* one past the last record committed by this sink; before the first: the partition's end when the sink was opened */
    int64_t now; /* ... with what the open epoch has delivered */
};

enum producer_state {
    PRODUCER_NONE,
    PRODUCER_CREATED,
    PRODUCER_REGISTERED, /* whoever had the transactional id is fenced, and what was open has been completed or aborted */
    PRODUCER_READY, /* ... and the epochs topic has no epoch that this sink does not know */
};

struct kafka_sink {
    struct arena arena;
    struct kafka_config config;
    struct kafka_leader *leader; /* borrowed */
    rd_kafka_t *producer;
    rd_kafka_topic_t *topics[TOPIC_COUNT]; /* the producer's handles of the outputs */
    enum producer_state state;
    bool opened;                    /* has been ready once */
    uint32_t replaced;              /* producers that were dropped since */
    int64_t bytes_max[TOPIC_COUNT]; /* of one message */
    int32_t partitions[TOPIC_COUNT];
    uint32_t first_slot[TOPIC_COUNT];
    uint32_t slot_count;
    struct sink_slot *slots; /* [OUTPUT_PARTITIONS_MAX] */

    /* the open epoch */
    bool in_epoch, begun; /* begun: the producer has a transaction */
    uint64_t epoch;
    int64_t begun_ms;
    uint32_t puts;
    atomic_uint end_txn_sent;        /* for this epoch's transaction */
    rd_kafka_resp_err_t undelivered; /* why a record of the epoch was not delivered */
    struct arena manifest_arena;
    struct bytes manifest_key, manifest_value;
};

static struct sink_slot *epochs_slot(struct kafka_sink *sink) {
    return &sink->slots[sink->first_slot[TOPIC_EPOCHS]];
}

static int remaining_ms(const struct kafka_sink *sink) {
    int64_t left = sink->begun_ms + sink->config.transaction_timeout_ms - clock_ms();
    return left > 1 ? (int)left : 1;
}

/* ---- the producer ---- */

/* Called within poll, flush, commit and abort. */
static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    struct kafka_sink *sink = opaque;
    struct sink_slot *slot = message->_private;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        sink->undelivered = message->err;
    else if (message->offset <
             0) /* a repeat that the broker knows already: its offset is not told */
        sink->undelivered = RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
    else if (message->offset >= slot->now)
        slot->now = message->offset + 1;
}

static int statistics(rd_kafka_t *client, char *json, size_t len, void *opaque) {
    (void)client;
    struct kafka_sink *sink = opaque;
    kafka_statistics_put(sink->config.statistics, KAFKA_CLIENT_PRODUCER, json, len);
    return 1;
}

static void drop_producer(struct kafka_sink *sink) {
    for (int topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
        if (sink->topics[topic] != NULL)
            rd_kafka_topic_destroy(sink->topics[topic]);
        sink->topics[topic] = NULL;
    }
    if (sink->producer != NULL) {
        rd_kafka_destroy(sink->producer);
        sink->replaced++;
    }
    sink->producer = NULL;
    sink->state = PRODUCER_NONE;
    sink->begun = false;
}

/* librdkafka repeats an EndTxn that was not answered, by itself. The first one may still be on its way, and would end the next transaction in
 * the middle; a new producer fences it. */
static void end_producer_in_doubt(struct kafka_sink *sink) {
    unsigned sent = atomic_load(&sink->end_txn_sent);
    if (sink->producer == NULL || sent <= 1)
        return;
    log_warn("kafka.producer_again", LOG_UINT("epoch", sink->epoch), LOG_UINT("end_txn_sent", sent),
             LOG_TEXT("text", "EndTxn was sent more than once"));
    drop_producer(sink);
}

static enum status create_producer(struct kafka_sink *sink, struct error *err) {
    int64_t batch = 1000000; /* librdkafka's own; a batch must not be larger than a topic takes */
    for (int topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        if (sink->bytes_max[topic] < batch)
            batch = sink->bytes_max[topic];
    struct client_options options = {.role = CLIENT_PRODUCER,
                                     .opaque = sink,
                                     .delivered = delivered,
                                     .statistics = statistics,
                                     .batch_bytes_max = (int)batch,
                                     .end_txn_sent = &sink->end_txn_sent};
    TRY(kafka_client_create(&sink->producer, &sink->config, &options, err));
    sink->state = PRODUCER_CREATED;
    for (int topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
        char name[KAFKA_NAME_BYTES];
        kafka_topic_name(&sink->config, (enum topic)topic, name);
        sink->topics[topic] = rd_kafka_topic_new(sink->producer, name, NULL);
        if (sink->topics[topic] == NULL)
            return FAIL(err, FATAL, EX_CONFIG, "topic %s: %s", name,
                        rd_kafka_err2str(rd_kafka_last_error()));
    }
    return OK;
}

static enum status register_producer(struct kafka_sink *sink, struct error *err) {
    rd_kafka_error_t *error = rd_kafka_init_transactions(sink->producer, CALL_MS);
    if (error == NULL) {
        sink->state = PRODUCER_REGISTERED;
        return OK;
    }
    struct verdict v = kafka_verdict_of(error);
    enum status status = v.status == ABORT_EPOCH ? RETRY : v.status;
    FAIL(err, status, v.exit_code, "transactional id %s: cannot register: %s",
         sink->config.application, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    if (status != RETRY)
        drop_producer(sink);
    return status;
}

/* ---- which epochs are committed ---- */

static bool is_manifest(const struct kafka_sink *sink, const rd_kafka_message_t *message) {
    return sink->manifest_value.data != NULL &&
           bytes_equal(sink->manifest_key, bytes_of(message->key, message->key_len)) &&
           bytes_equal(sink->manifest_value, bytes_of(message->payload, message->len));
}

/* Reads the epochs topic from the last manifest known to its end: *mine tells whether the epoch in doubt is there. */
static enum status read_manifests(struct kafka_sink *sink, rd_kafka_t *client, int64_t from,
                                  bool *mine, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    kafka_topic_name(&sink->config, TOPIC_EPOCHS, name);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name, 0)->offset = from;
    rd_kafka_resp_err_t code = rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t deadline_ms = clock_ms() + CALL_MS;
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR && clock_ms() < deadline_ms) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (message == NULL)
            continue;
        code = message->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            bool known = is_manifest(sink, message);
            int64_t offset = message->offset;
            rd_kafka_message_destroy(message);
            if (!known)
                return FAIL_SEE(
                    err, FATAL, EX_UNAVAILABLE, "fenced",
                    "%s-0: another instance of %s has committed an epoch (offset %" PRId64
                    ") that this one does not know: restart to restore from the log",
                    name, sink->config.application, offset);
            *mine = true;
            epochs_slot(sink)->now = offset + 1;
            continue;
        }
        rd_kafka_message_destroy(message);
        if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            return OK;
        if (kafka_verdict(code).status == RETRY)
            code = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    struct verdict v = kafka_verdict(code);
    return FAIL(err, v.status, v.exit_code, "%s-0: cannot read the last manifests: %s", name,
                rd_kafka_err2str(code));
}

static enum status find_manifest(struct kafka_sink *sink, bool *mine, struct error *err) {
    struct client_options options = {.role = CLIENT_LOG};
    rd_kafka_t *client;
    char name[KAFKA_NAME_BYTES];
    int64_t low, high, from = epochs_slot(sink)->end;
    kafka_topic_name(&sink->config, TOPIC_EPOCHS, name);
    *mine = false;
    TRY(kafka_client_create(&client, &sink->config, &options, err));
    enum status status = kafka_range(client, name, 0, &low, &high, err);
    if (from < low)
        from = low;
    if (status == OK && from < high)
        status = read_manifests(sink, client, from, mine, err);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return status;
}

/* ---- getting ready ---- */

/* The ends of the outputs; nothing of this transactional id is open now. */
static enum status note_ends(struct kafka_sink *sink, struct error *err) {
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        struct sink_slot *slot = &sink->slots[i];
        char name[KAFKA_NAME_BYTES];
        int64_t low;
        kafka_topic_name(&sink->config, slot->topic, name);
        TRY(kafka_range(sink->producer, name, slot->partition, &low, &slot->end, err));
        slot->now = slot->end;
    }
    return OK;
}

/* A producer to begin epochs with. RETRY: to be called again, it goes on where it was. *mine as in find_manifest. */
static enum status make_ready(struct kafka_sink *sink, bool *mine, struct error *err) {
    *mine = false;
    if (sink->state == PRODUCER_READY)
        return OK;
    /* to register again would fence an instance that has taken over */
    if (sink->opened && !kafka_leader_leads(sink->leader))
        return FAIL(err, RETRY, EX_TEMPFAIL, "this instance does not lead the group %s",
                    sink->config.application);
    if (sink->state == PRODUCER_NONE)
        TRY(create_producer(sink, err));
    if (sink->state == PRODUCER_CREATED)
        TRY(register_producer(sink, err));
    if (sink->opened)
        TRY(find_manifest(sink, mine, err));
    else
        TRY(note_ends(sink, err));
    sink->opened = true;
    sink->state = PRODUCER_READY;
    return OK;
}

/* A call for the open transaction failed before its commit: so it is not committed. */
static enum status give_up(struct kafka_sink *sink, struct verdict v, const char *what,
                           const char *text, struct error *err) {
    bool expired = remaining_ms(sink) <= 1;
    if (v.fenced && !expired)
        return FAIL_SEE(err, FATAL, EX_UNAVAILABLE, "fenced",
                        "epoch %" PRIu64
                        ": %s: another instance has the transactional id %s now: %s",
                        sink->epoch, what, sink->config.application, text);
    if (v.status == FATAL && v.exit_code == EX_CONFIG)
        return FAIL(err, FATAL, EX_CONFIG, "epoch %" PRIu64 ": %s: %s", sink->epoch, what, text);
    if (v.status == FATAL) {
        log_warn("kafka.producer_again", LOG_UINT("epoch", sink->epoch), LOG_TEXT("call", what),
                 LOG_INT("expired", expired), LOG_TEXT("text", text));
        drop_producer(sink);
    }
    return FAIL(err, ABORT_EPOCH, EX_TEMPFAIL, "epoch %" PRIu64 ": %s: %s", sink->epoch, what,
                text);
}

/* As give_up, for an error code; the producer's fatal error, if it has one, is the reason. */
static enum status give_up_code(struct kafka_sink *sink, rd_kafka_resp_err_t code, const char *what,
                                struct error *err) {
    char text[256];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(sink->producer, text, sizeof text);
    struct verdict v = kafka_verdict(fatal != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal : code);
    if (fatal == RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(text, sizeof text, "%s", rd_kafka_err2str(code));
        if (!v.fenced && v.exit_code != EX_CONFIG)
            v.status = ABORT_EPOCH; /* the transaction is spoilt, the producer is not */
    }
    return give_up(sink, v, what, text, err);
}

static enum status give_up_error(struct kafka_sink *sink, rd_kafka_error_t *error, const char *what,
                                 struct error *err) {
    struct verdict v = kafka_verdict_of(error);
    char text[256];
    snprintf(text, sizeof text, "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return give_up(sink, v, what, text, err);
}

/* ---- the epoch ---- */

static enum status sink_begin(void *self, uint64_t epoch, struct error *err) {
    struct kafka_sink *sink = self;
    ASSERT(!sink->in_epoch);
    bool mine;
    sink->manifest_key = sink->manifest_value = (struct bytes){0};
    TRY(make_ready(sink, &mine, err));
    if (!kafka_leader_leads(sink->leader))
        return FAIL(err, RETRY, EX_TEMPFAIL, "this instance does not lead the group %s",
                    sink->config.application);
    arena_reset(&sink->manifest_arena);
    sink->in_epoch = true;
    sink->epoch = epoch;
    sink->begun_ms = clock_ms();
    sink->puts = 0;
    atomic_store(&sink->end_txn_sent, 0);
    sink->undelivered = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(sink->producer);
    if (error != NULL)
        return give_up_error(sink, error, "begin", err);
    sink->begun = true;
    return OK;
}

static enum status check_size(const struct kafka_sink *sink, const struct record *record,
                              struct error *err) {
    size_t bytes = record->key.len + record->value.len + RECORD_OVERHEAD_BYTES;
    for (uint32_t h = 0; h < record->header_count; h++)
        bytes += record->headers[h].key.len + record->headers[h].value.len + HEADER_OVERHEAD_BYTES;
    if (bytes <= (size_t)sink->bytes_max[record->topic])
        return OK;
    return FAIL_SEE(err, FATAL, EX_CONFIG, "record-too-large",
                    "%s%s: a record of %zu bytes (its key has %zu) is larger than the topic or the "
                    "producer takes, %" PRId64 ": raise max.message.bytes of the topic and "
                    "message.max.bytes in kafka.properties",
                    sink->config.prefix, kafka_own_name(&sink->config, record->topic), bytes,
                    record->key.len, sink->bytes_max[record->topic]);
}

static enum status keep_manifest(struct kafka_sink *sink, const struct record *record,
                                 struct error *err) {
    arena_reset(&sink->manifest_arena);
    sink->manifest_key = bytes_of(
        arena_copy(&sink->manifest_arena, record->key.data, record->key.len), record->key.len);
    sink->manifest_value =
        bytes_of(arena_copy(&sink->manifest_arena, record->value.data, record->value.len),
                 record->value.len);
    if (sink->manifest_key.data == NULL || sink->manifest_value.data == NULL)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "record-too-large",
                        "a manifest of %zu bytes is more than %zu", record->value.len,
                        MANIFEST_BYTES);
    return OK;
}

/* librdkafka copies the record. */
static rd_kafka_resp_err_t produce(struct kafka_sink *sink, const struct record *record,
                                   struct sink_slot *slot) {
    rd_kafka_headers_t *headers = NULL;
    char key[256];
    if (record->header_count > 0)
        headers = rd_kafka_headers_new(record->header_count);
    for (uint32_t h = 0; h < record->header_count; h++) {
        const struct header *header = &record->headers[h];
        snprintf(key, sizeof key, "%.*s", (int)header->key.len, (const char *)header->key.data);
        rd_kafka_header_add(headers, key, -1, header->value.data, (ssize_t)header->value.len);
    }
    rd_kafka_resp_err_t code = rd_kafka_producev(
        sink->producer, RD_KAFKA_V_RKT(sink->topics[record->topic]),
        RD_KAFKA_V_PARTITION(slot->partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_TIMESTAMP(record->timestamp_ms),
        RD_KAFKA_V_KEY(record->key.data, record->key.len),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.len),
        RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
        rd_kafka_headers_destroy(headers);
    return code;
}

static enum status sink_put(void *self, const struct record *record, struct error *err) {
    struct kafka_sink *sink = self;
    ASSERT(sink->begun && record->topic >= TOPIC_INPUTS && record->topic < TOPIC_COUNT);
    TRY(check_size(sink, record, err));
    if (record->topic == TOPIC_EPOCHS)
        TRY(keep_manifest(sink, record, err));
    if (record->topic == TOPIC_DEAD_LETTER)
        kafka_tell_dead(record);
    int32_t partition = recording_partition(record, sink->partitions[record->topic]);
    struct sink_slot *slot = &sink->slots[sink->first_slot[record->topic] + (uint32_t)partition];
    if (++sink->puts % PUTS_PER_POLL == 0)
        rd_kafka_poll(sink->producer, 0);
    for (;;) {
        if (sink->undelivered != RD_KAFKA_RESP_ERR_NO_ERROR)
            return give_up_code(sink, sink->undelivered, "a record was not delivered", err);
        rd_kafka_resp_err_t code = produce(sink, record, slot);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return give_up_code(sink, code, "cannot produce", err);
        if (remaining_ms(sink) <= 1)
            return give_up_code(sink, RD_KAFKA_RESP_ERR__TIMED_OUT, "cannot produce", err);
        rd_kafka_poll(sink->producer, 10);
    }
}

static enum status sink_ends(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                             struct error *err) {
    struct kafka_sink *sink = self;
    ASSERT(sink->begun);
    *count = 0;
    if (sink->slot_count > max)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                        "the outputs have %u partitions; a manifest has room for %u",
                        sink->slot_count, max);
    rd_kafka_resp_err_t code = rd_kafka_flush(sink->producer, remaining_ms(sink));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = sink->undelivered;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return give_up_code(sink, code, "a record was not delivered", err);
    /* the commit marker of the epoch before stands there already: the broker took records of this one only after it */
    char name[KAFKA_NAME_BYTES];
    int64_t low, epochs_end;
    kafka_topic_name(&sink->config, TOPIC_EPOCHS, name);
    TRY(kafka_range(sink->producer, name, 0, &low, &epochs_end, err));
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        const struct sink_slot *slot = &sink->slots[i];
        bool manifests = slot->topic == TOPIC_EPOCHS && slot->partition == 0;
        ends[(*count)++] = (struct output_end){.topic = slot->topic,
                                               .partition = slot->partition,
                                               .end_offset = manifests ? epochs_end : slot->now};
    }
    return OK;
}

/* ---- commit and abort ---- */

static void close_epoch(struct kafka_sink *sink, bool committed) {
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        struct sink_slot *slot = &sink->slots[i];
        if (committed)
            slot->end = slot->now;
        else
            slot->now = slot->end;
    }
    sink->in_epoch = sink->begun = false;
}

static enum status send_positions(struct kafka_sink *sink, const struct position *positions,
                                  uint32_t count, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++) {
        char name[KAFKA_NAME_BYTES];
        kafka_topic_name(&sink->config, positions[i].topic, name);
        rd_kafka_topic_partition_list_add(list, name, positions[i].partition)->offset =
            positions[i].next_offset;
    }
    rd_kafka_error_t *error = NULL;
    enum status status = OK;
    for (bool again = count > 0; again;) {
        rd_kafka_consumer_group_metadata_t *metadata = kafka_leader_metadata(sink->leader);
        if (metadata == NULL) {
            status = FAIL(err, ABORT_EPOCH, EX_TEMPFAIL,
                          "epoch %" PRIu64 ": this instance leads the group %s no more",
                          sink->epoch, sink->config.application);
            break;
        }
        error = rd_kafka_send_offsets_to_transaction(sink->producer, list, metadata, CALL_MS);
        rd_kafka_consumer_group_metadata_destroy(metadata);
        again = error != NULL && kafka_verdict_of(error).status == RETRY && remaining_ms(sink) > 1;
        if (again) {
            rd_kafka_error_destroy(error);
            error = NULL;
            usleep(PAUSE_US);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return error != NULL ? give_up_error(sink, error, "input positions", err) : status;
}

/* The commit may have reached the broker or not: a new producer puts an end to the matter, and the epochs topic tells which. */
static enum status settle(struct kafka_sink *sink, struct error *err) {
    int64_t deadline_ms = clock_ms() + 4 * (int64_t)sink->config.transaction_timeout_ms;
    bool mine;
    drop_producer(sink);
    for (;;) {
        enum status status = make_ready(sink, &mine, err);
        if (status == OK)
            break;
        if (status != RETRY)
            return status;
        if (clock_ms() > deadline_ms) {
            struct error cause = *err;
            return FAIL_SEE(err, FATAL, EX_UNAVAILABLE, "commit-unknown",
                            "epoch %" PRIu64
                            ": it is not known whether it was committed, a restart "
                            "finds out: %s",
                            sink->epoch, cause.text);
        }
        usleep(PAUSE_US);
    }
    log_warn("kafka.settled", LOG_UINT("epoch", sink->epoch), LOG_INT("committed", mine));
    close_epoch(sink, mine);
    if (mine)
        return OK;
    return FAIL(err, ABORT_EPOCH, EX_TEMPFAIL, "epoch %" PRIu64 ": it was not committed",
                sink->epoch);
}

static enum status sink_commit(void *self, const struct position *positions, uint32_t count,
                               struct error *err) {
    struct kafka_sink *sink = self;
    ASSERT(sink->begun);
    TRY(send_positions(sink, positions, count, err));
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(sink->producer, -1);
        if (error == NULL) {
            close_epoch(sink, true);
            end_producer_in_doubt(sink);
            return OK;
        }
        struct verdict v = kafka_verdict_of(error);
        if (v.status == RETRY && remaining_ms(sink) > 1) {
            rd_kafka_error_destroy(error);
            usleep(PAUSE_US);
            continue;
        }
        if (v.status == ABORT_EPOCH || (v.fenced && remaining_ms(sink) > 1))
            return give_up_error(sink, error, "commit", err);
        log_warn("kafka.commit_unknown", LOG_UINT("epoch", sink->epoch),
                 LOG_TEXT("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        return settle(sink, err);
    }
}

/* Whatever happens here, the epoch is not committed: a producer that cannot abort in a few seconds is replaced by the next
 * begin, which is sooner than to wait for the transaction's timeout. */
static enum status sink_abort(void *self, struct error *err) {
    (void)err;
    struct kafka_sink *sink = self;
    rd_kafka_error_t *error = NULL;
    if (sink->begun)
        error = rd_kafka_abort_transaction(sink->producer, CALL_MS);
    if (error != NULL) {
        log_warn("kafka.abort", LOG_UINT("epoch", sink->epoch),
                 LOG_TEXT("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        drop_producer(sink);
    }
    close_epoch(sink, false);
    end_producer_in_doubt(sink);
    return OK;
}

struct sink_port kafka_sink_port(struct kafka_sink *sink) {
    return (struct sink_port){.self = sink,
                              .begin = sink_begin,
                              .put = sink_put,
                              .ends = sink_ends,
                              .commit = sink_commit,
                              .abort = sink_abort};
}

uint32_t kafka_sink_replaced(const struct kafka_sink *sink) {
    return sink->replaced;
}

void kafka_sink_listen(struct kafka_sink *sink) {
    if (sink->producer != NULL)
        rd_kafka_poll(sink->producer, 0);
}

/* ---- opening ---- */

/* The smaller of what the topic and what the producer takes. */
static int64_t message_bytes_max(const struct kafka_config *config, int64_t of_topic) {
    int64_t of_producer = KAFKA_MESSAGE_BYTES_MAX;
    for (uint32_t i = 0; i < config->property_count; i++)
        if (strcmp(config->properties[i].key, "message.max.bytes") == 0)
            of_producer = strtoll(config->properties[i].value, NULL, 10);
    return of_producer < of_topic ? of_producer : of_topic;
}

static enum status make_slots(struct kafka_sink *sink, struct error *err) {
    struct topic_facts facts[KAFKA_TOPICS];
    TRY(kafka_describe(&sink->config, facts, err));
    for (int topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
        const char *prefix = sink->config.prefix, *name = kafka_own_name(&sink->config, topic);
        int32_t partitions = facts[topic].partitions;
        if (partitions == 0)
            return FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                            "topic %s%s is not there: let the stage create it", prefix, name);
        if (topic == TOPIC_EPOCHS && partitions != 1)
            return FAIL_SEE(
                err, FATAL, EX_CONFIG, "topics",
                "topic %s%s has %d partitions; manifests have an order, so it must have 1", prefix,
                name, partitions);
        sink->first_slot[topic] = sink->slot_count;
        sink->partitions[topic] = partitions;
        sink->bytes_max[topic] = message_bytes_max(&sink->config, facts[topic].message_bytes_max);
        for (int32_t p = 0; p < partitions; p++) {
            if (sink->slot_count == OUTPUT_PARTITIONS_MAX)
                return FAIL_SEE(err, FATAL, EX_CONFIG, "topics",
                                "the outputs have more than %u partitions", OUTPUT_PARTITIONS_MAX);
            sink->slots[sink->slot_count++] =
                (struct sink_slot){.topic = (enum topic)topic, .partition = p};
        }
    }
    return OK;
}

static enum status start(struct kafka_sink *sink, struct error *err) {
    bool mine;
    TRY(make_slots(sink, err));
    return make_ready(sink, &mine, err);
}

enum status kafka_sink_open(struct kafka_sink **out, const struct kafka_config *config,
                            struct kafka_leader *leader, struct error *err) {
    struct arena arena, manifest;
    size_t slots_bytes = OUTPUT_PARTITIONS_MAX * sizeof(struct sink_slot);
    TRY(arena_reserve(&arena, "Kafka sink", slots_bytes + sizeof(struct kafka_sink) + 128, err));
    enum status status = arena_reserve(&manifest, "manifest in doubt", MANIFEST_BYTES, err);
    if (status != OK) {
        arena_release(&arena);
        return status;
    }
    struct kafka_sink *sink = arena_must(&arena, sizeof *sink);
    struct sink_slot *slots = arena_must(&arena, slots_bytes);
    *sink = (struct kafka_sink){.arena = arena,
                                .manifest_arena = manifest,
                                .config = *config,
                                .leader = leader,
                                .slots = slots};
    status = start(sink, err);
    if (status == OK)
        *out = sink;
    else
        kafka_sink_close(sink);
    return status;
}

void kafka_sink_close(struct kafka_sink *sink) {
    /* an open transaction would hold readers back until it times out */
    if (sink->begun) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(sink->producer, CALL_MS);
        if (error != NULL)
            rd_kafka_error_destroy(error);
    }
    drop_producer(sink);
    arena_release(&sink->manifest_arena);
    struct arena arena = sink->arena; /* holds the sink itself */
    arena_release(&arena);
}
