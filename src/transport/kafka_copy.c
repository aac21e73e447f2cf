/* Any partitions between any offsets, as they are: what `record` copies. */
#include <inttypes.h>

#include "transport/kafka_client.h"

#include "base/poison.h"

struct kafka_copy {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *client;
    rd_kafka_message_t *message; /* borrowed by the record handed out last */
    struct kafka_span *spans;    /* the caller's */
    uint32_t span_count;
};

/* ---- opening, asking ---- */

enum status kafka_copy_open(struct kafka_copy **out, const struct kafka_config *config,
                            struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "Kafka copy", sizeof(struct kafka_copy) + 128, err));
    struct kafka_copy *copy = arena_must(&arena, sizeof *copy);
    *copy = (struct kafka_copy){.arena = arena, .config = *config};
    struct client_options options = {.role = CLIENT_LOG};
    enum status status = kafka_client_create(&copy->client, config, &options, err);
    if (status == OK)
        *out = copy;
    else
        kafka_copy_close(copy);
    return status;
}

void kafka_copy_close(struct kafka_copy *copy) {
    if (copy->message != NULL)
        rd_kafka_message_destroy(copy->message);
    if (copy->client != NULL)
        rd_kafka_destroy_flags(copy->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    struct arena arena = copy->arena; /* holds the copy itself */
    arena_release(&arena);
}

enum status kafka_copy_partitions(struct kafka_copy *copy, enum topic topic, int32_t *count,
                                  struct error *err) {
    char name[KAFKA_NAME_BYTES];
    kafka_topic_name(&copy->config, topic, name);
    return kafka_partitions(copy->client, name, count, err);
}

enum status kafka_copy_range(struct kafka_copy *copy, enum topic topic, int32_t partition,
                             int64_t *low, int64_t *high, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    kafka_topic_name(&copy->config, topic, name);
    return kafka_range(copy->client, name, partition, low, high, err);
}

enum status kafka_copy_offset_at(struct kafka_copy *copy, enum topic topic, int32_t partition,
                                 int64_t time_ms, int64_t *offset, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int64_t low;
    kafka_topic_name(&copy->config, topic, name);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name, partition)->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(copy->client, list, KAFKA_REQUEST_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = list->elems[0].err;
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        struct verdict v = kafka_verdict(code);
        return FAIL(err, v.status, v.exit_code,
                    "%s-%d: cannot ask for its first offset at a time: %s", name, partition,
                    rd_kafka_err2str(code));
    }
    return *offset >= 0 ? OK : kafka_range(copy->client, name, partition, &low, offset, err);
}

/* ---- copying ---- */

static enum status begin_span(struct kafka_copy *copy, const struct kafka_span *span,
                              rd_kafka_topic_partition_list_t *list, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int64_t low, high;
    if (span->next_offset >= span->end_offset)
        return OK;
    kafka_topic_name(&copy->config, span->topic, name);
    TRY(kafka_range(copy->client, name, span->partition, &low, &high, err));
    if (span->next_offset < low || span->next_offset > high)
        return FAIL_SEE(err, FATAL, EX_DATAERR, "inputs-gone",
                        "%s-%d: the next record to read is %" PRId64 ", but the topic has %" PRId64
                        " to %" PRId64 ": retention has deleted it, or the topic was made anew",
                        name, span->partition, span->next_offset, low, high);
    rd_kafka_topic_partition_list_add(list, name, span->partition)->offset = span->next_offset;
    return OK;
}

enum status kafka_copy_begin(struct kafka_copy *copy, struct kafka_span *spans, uint32_t count,
                             struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++)
        status = begin_span(copy, &spans[i], list, err);
    if (status == OK) {
        rd_kafka_resume_partitions(copy->client, list); /* paused at an earlier end: it lasts */
        rd_kafka_resp_err_t code = rd_kafka_assign(copy->client, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status =
                FAIL(err, FATAL, EX_SOFTWARE, "cannot read the topics: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    copy->spans = spans;
    copy->span_count = count;
    return status;
}

bool kafka_copy_done(const struct kafka_copy *copy) {
    for (uint32_t i = 0; i < copy->span_count; i++)
        if (copy->spans[i].next_offset < copy->spans[i].end_offset)
            return false;
    return true;
}

static struct kafka_span *find(const struct kafka_copy *copy, enum topic topic, int32_t partition) {
    for (uint32_t i = 0; i < copy->span_count; i++)
        if (copy->spans[i].topic == topic && copy->spans[i].partition == partition)
            return &copy->spans[i];
    return NULL;
}

/* Nothing of the partition is wanted any more: it must not be fetched on and on. */
static void finish_span(const struct kafka_copy *copy) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(copy->message->rkt),
                                      copy->message->partition);
    rd_kafka_pause_partitions(copy->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static enum status take(struct kafka_copy *copy, struct record *out, bool *got, struct error *err) {
    const rd_kafka_message_t *message = copy->message;
    bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && !end) {
        struct verdict v = kafka_verdict(message->err);
        if (v.status == RETRY)
            return OK; /* librdkafka tries again by itself */
        return FAIL(err, FATAL, v.exit_code, "%s-%d: cannot read it at offset %" PRId64 ": %s",
                    message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "topics",
                    message->partition, message->offset, rd_kafka_message_errstr(message));
    }
    bool ours = kafka_record(&copy->config, message, out);
    struct kafka_span *span = ours ? find(copy, out->topic, out->partition) : NULL;
    ASSERT(span != NULL);
    bool open = span->next_offset < span->end_offset;
    *got = !end && open && message->offset < span->end_offset;
    if (open) /* what lies between are control records, aborted ones, and those compacted away */
        span->next_offset = message->offset + *got;
    if (span->next_offset >= span->end_offset)
        finish_span(copy);
    return OK;
}

enum status kafka_copy_next(struct kafka_copy *copy, struct record *out, bool *got,
                            struct error *err) {
    *got = false;
    while (!*got) {
        if (copy->message != NULL)
            rd_kafka_message_destroy(copy->message);
        copy->message = rd_kafka_consumer_poll(copy->client, (int)copy->config.poll_ms);
        if (copy->message == NULL)
            return OK;
        TRY(take(copy, out, got, err));
        if (!*got && kafka_copy_done(copy))
            return OK;
    }
    return OK;
}
