/* Collecting: reads the source until an epoch is formed. Listings form a content epoch with what is there at once; interactions gather
 * until they make whole mini-batches. Nothing is applied here, so a listing that arrives while interactions gather is
 * onboarded first and splits no batch. */
#include "stage/check.h"
#include "stage/modalities.h"
#include "stage/stage_private.h"
#include <string.h>

/* Address space for the record that goes past epoch_bytes_max, with what is decoded from it. */
#define QUEUE_SLACK_BYTES ((size_t)192 << 20)
/* Of one record, unpacked: it fits there twice and more. */
#define RECORD_BYTES_MAX ((size_t)32 << 20)

static enum status queue_create(struct queue *queue, const char *name, uint32_t max,
                                size_t bytes_max, struct arena *arena, struct error *err) {
    queue->records = arena_alloc(arena, (size_t)max * sizeof(struct pending));
    if (queue->records == NULL)
        return FAIL(
            err, FATAL, EX_CONFIG,
            "an epoch of %u records does not fit in memory: lower epoch.events or epoch.listings",
            max);
    queue->max = max;
    queue->bytes_max = bytes_max;
    queue->first_event_ms = INT64_MIN;
    return arena_reserve(&queue->arena, name, bytes_max + QUEUE_SLACK_BYTES, err);
}

enum status collect_create(struct stage *stage, struct error *err) {
    const struct stage_config *config = &stage->config;
    TRY(queue_create(&stage->queues[EPOCH_CONTENT], "listings of an epoch",
                     config->content_listings, config->epoch_bytes_max, &stage->arena, err));
    return queue_create(&stage->queues[EPOCH_CLICK], "interactions of an epoch",
                        config->epoch_events_max, config->epoch_bytes_max, &stage->arena, err);
}

void queue_clear(struct queue *queue) {
    arena_reset(&queue->arena);
    queue->count = 0;
    queue->ranges = 0;
    queue->expected = 0;
    queue->first_event_ms = INT64_MIN;
}

void collect_forget(struct stage *stage) {
    queue_clear(&stage->queues[EPOCH_CONTENT]);
    queue_clear(&stage->queues[EPOCH_CLICK]);
    stage->is_held = false;
    stage->seen_count = publish_positions(stage, stage->seen);
}

static struct position *seen_position(struct stage *stage, enum topic topic, int32_t partition) {
    for (uint32_t i = 0; i < stage->seen_count; i++)
        if (stage->seen[i].topic == topic && stage->seen[i].partition == partition)
            return &stage->seen[i];
    if (stage->seen_count == STAGE_PARTITIONS_MAX)
        return NULL;
    stage->seen[stage->seen_count] = (struct position){topic, partition, INT64_MIN, 0};
    return &stage->seen[stage->seen_count++];
}

/* Damage has no offset of its own, only that of the record expected next: so what was set aside is counted instead. */
static bool seen_before(struct position *seen, const struct record *record) {
    if (record->damage != NULL) {
        bool skip = record->offset == seen->next_offset && seen->damaged > 0;
        seen->damaged -= skip;
        return skip || record->offset < seen->next_offset;
    }
    if (record->offset < seen->next_offset)
        return true;
    seen->next_offset = record->offset + 1;
    seen->damaged = 0;
    return false;
}

/* Reads one record into stage->held; a record that was applied or collected before is dropped: at-least-once below,
 * exactly once above. */
static enum status hold_next(struct stage *stage, bool *end, struct error *err) {
    *end = stage->finishing;
    while (!stage->is_held && !stage->finishing) {
        bool got = false;
        TRY(stage->source.next(stage->source.self, &stage->held, &got, end, err));
        if (!got)
            return OK;
        struct position *seen = seen_position(stage, stage->held.topic, stage->held.partition);
        if (seen == NULL)
            return FAIL(err, FATAL, EX_CONFIG,
                        "the inputs have more than %d partitions: the stage takes at most so many",
                        STAGE_PARTITIONS_MAX);
        if (seen_before(seen, &stage->held))
            stage->redelivered++;
        else
            stage->is_held = true;
    }
    return OK;
}

static struct bytes copy_bytes(struct arena *arena, struct bytes b) {
    return b.data ? bytes_of(arena_copy(arena, b.data, b.len), b.len) : b;
}

/* The raw record and the decoded event, copied where they stay until the epoch has been committed. */
static void copy_event(const struct stage *stage, struct arena *arena, struct event *event) {
    const struct content_layout *layout = &stage->config.layout;
    uint32_t content_dims = stage->model_config.tokenizer.content_dims;
    if (event->kind == EVENT_INTERACTION) {
        struct interaction *i = &event->as.interaction;
        i->user_id = copy_bytes(arena, i->user_id);
        i->item_id = copy_bytes(arena, i->item_id);
        i->request_id = copy_bytes(arena, i->request_id);
    } else if (event->kind == EVENT_LISTING) {
        struct listing *l = &event->as.listing;
        l->item_id = copy_bytes(arena, l->item_id);
        l->text = copy_bytes(arena, l->text);
        float *arranged = arena_alloc(arena, content_dims * sizeof *arranged);
        if (arranged != NULL)
            modalities_arrange(layout, content_dims, l, arranged);
        l->vector = arranged;
    } else {
        event->as.delisted_item_id = copy_bytes(arena, event->as.delisted_item_id);
    }
}

static enum status mark_bad(struct pending *pending, struct arena *arena, const char *text) {
    pending->bad = true;
    pending->text = arena_text(arena, text, strlen(text));
    return pending->text ? OK : FATAL;
}

static enum status decode_and_check(struct stage *stage, struct pending *pending,
                                    struct arena *arena, struct error *err) {
    if (pending->record.damage != NULL) {
        pending->reason = DEAD_DAMAGED;
        return mark_bad(pending, arena, pending->record.damage);
    }
    enum status status = stage->codec.decode(stage->codec.self, &pending->record, &pending->event,
                                             &pending->reason, err);
    if (status == OK)
        status = check_event(&stage->config, &stage->model_config, &pending->record,
                             &pending->event, &pending->reason, err);
    if (status == BAD_RECORD)
        return mark_bad(pending, arena, err->text);
    if (status == OK)
        copy_event(stage, arena, &pending->event);
    return status;
}

static void copy_record(struct arena *arena, struct record *record) {
    record->key = copy_bytes(arena, record->key);
    record->value = copy_bytes(arena, record->value);
    for (uint32_t h = 0; h < record->header_count; h++) {
        record->headers[h].key = copy_bytes(arena, record->headers[h].key);
        record->headers[h].value = copy_bytes(arena, record->headers[h].value);
    }
    if (record->damage)
        record->damage = arena_text(arena, record->damage, strlen(record->damage));
}

static size_t record_bytes(const struct record *record) {
    size_t bytes = record->key.len + record->value.len;
    for (uint32_t h = 0; h < record->header_count; h++)
        bytes += record->headers[h].key.len + record->headers[h].value.len;
    return bytes;
}

/* Its beginning, which is enough for the dead letters. */
static void cut_record(struct record *record) {
    size_t half = RECORD_BYTES_MAX / 2;
    record->key.len = record->key.len < half ? record->key.len : half;
    record->value.len = record->value.len < half ? record->value.len : half;
    record->header_count = 0;
}

/* Of unlisted items too: what content epochs change meanwhile must not count, or after a crash, when these epochs are done
 * already, the same interactions would close at another place. An impression gives its sample when its window closes,
 * perhaps in a later epoch: in a steady stream one closes for each that comes. */
static uint32_t samples_expected(const struct stage *stage, const struct interaction *interaction) {
    bool waits = !interaction->has_label && interaction->action == ACTION_IMPRESSION;
    return waits ? 1 : labels_expected(stage->labels, interaction);
}

static bool begins_range(const struct queue *queue, const struct record *record) {
    const struct record *last = queue->count > 0 ? &queue->records[queue->count - 1].record : NULL;
    return last == NULL || last->topic != record->topic || last->partition != record->partition;
}

static enum status queue_held(struct stage *stage, struct queue *queue, struct error *err) {
    size_t mark = arena_mark(&queue->arena);
    uint32_t ranges = queue->ranges;
    queue->ranges += begins_range(queue, &stage->held);
    struct pending *pending = &queue->records[queue->count++];
    *pending = (struct pending){.record = stage->held};
    bool huge = record_bytes(&stage->held) > RECORD_BYTES_MAX;
    if (huge)
        cut_record(&pending->record);
    copy_record(&queue->arena, &pending->record);
    stage->is_held = false;
    if (huge) {
        pending->reason = DEAD_WIRE;
        return mark_bad(pending, &queue->arena,
                        "more than 32 MiB with its headers, unpacked: the stage takes no larger "
                        "record; its beginning is kept");
    }
    enum status status = decode_and_check(stage, pending, &queue->arena, err);
    if (status == RETRY) { /* its schema cannot be had now: the record stays in hand */
        queue->count--;
        queue->ranges = ranges;
        arena_rewind(&queue->arena, mark);
        stage->is_held = true;
    }
    TRY(status);
    if (!pending->bad && pending->event.kind == EVENT_INTERACTION) {
        const struct interaction *i = &pending->event.as.interaction;
        if (queue->first_event_ms == INT64_MIN)
            queue->first_event_ms = i->event_time_ms;
        queue->expected += samples_expected(stage, i);
    }
    return OK;
}

static size_t queue_bytes(const struct queue *queue) {
    return queue->arena.used + queue->count * sizeof *queue->records;
}

static bool queue_full(const struct queue *queue) {
    return queue->count == queue->max || queue->ranges == RANGES_MAX ||
           queue_bytes(queue) >= queue->bytes_max;
}

static bool clicks_closed(const struct stage *stage) {
    const struct queue *queue = &stage->queues[EPOCH_CLICK];
    uint64_t target = (uint64_t)stage->config.epoch_batches * stage->model_config.ranker.batch;
    if (queue->count == 0)
        return false;
    if (queue_full(queue) || queue->expected >= target)
        return true;
    const struct pending *last = &queue->records[queue->count - 1];
    bool timed =
        stage->config.epoch_stream_ms > 0 && !last->bad && queue->first_event_ms != INT64_MIN;
    return timed && last->event.as.interaction.event_time_ms - queue->first_event_ms >=
                        stage->config.epoch_stream_ms;
}

/* The source's clock: interactions do not wait for their mini-batches for ever. */
static bool clicks_due(const struct stage *stage) {
    return stage->queues[EPOCH_CLICK].count > 0 && stage->source.due != NULL &&
           stage->source.due(stage->source.self);
}

static void form_clicks(const struct stage *stage, enum epoch_kind *kind) {
    *kind = EPOCH_CLICK;
    if (stage->source.formed != NULL)
        stage->source.formed(stage->source.self);
}

/* The inputs of the manifest that is followed, no more and no fewer. */
static enum status collect_followed(struct stage *stage, enum epoch_kind *kind, struct error *err) {
    struct queue *queue = &stage->queues[ *kind = stage->follow->kind];
    uint64_t wanted = 0;
    for (uint32_t r = 0; r < stage->follow->range_count; r++)
        wanted += stage->follow->ranges[r].count;
    if (wanted > queue->max)
        return FAIL(err, FATAL, EX_CONFIG,
                    "epoch %llu holds %llu records and the configuration allows %u: use the "
                    "configuration of the recording",
                    (unsigned long long)stage->follow->epoch, (unsigned long long)wanted,
                    queue->max);
    while (queue->count < wanted) {
        bool end = false;
        TRY(hold_next(stage, &end, err));
        if (!stage->is_held)
            return FAIL(err, FATAL, EX_DATAERR,
                        "epoch %llu needs %llu input records and the recording has only %u of them",
                        (unsigned long long)stage->follow->epoch, (unsigned long long)wanted,
                        queue->count);
        TRY(queue_held(stage, queue, err));
    }
    return OK;
}

enum status collect(struct stage *stage, enum epoch_kind *kind, bool *formed, bool *done,
                    struct error *err) {
    struct queue *content = &stage->queues[EPOCH_CONTENT], *clicks = &stage->queues[EPOCH_CLICK];
    *formed = true;
    if (stage->follow != NULL)
        return collect_followed(stage, kind, err);
    for (;;) {
        bool end = false;
        TRY(hold_next(stage, &end, err));
        bool listing = stage->is_held && stage->held.topic == TOPIC_ITEM_CONTENT;
        if (content->count > 0 && (!listing || queue_full(content))) {
            *kind = EPOCH_CONTENT;
            return OK;
        }
        if (!stage->is_held) {
            *formed = clicks->count > 0 && (end || clicks_due(stage));
            *done = end && clicks->count == 0;
            if (*formed)
                form_clicks(stage, kind);
            return OK;
        }
        TRY(queue_held(stage, listing ? content : clicks, err));
        if (clicks_closed(stage) || (!listing && clicks_due(stage))) {
            form_clicks(stage, kind);
            return OK;
        }
    }
}
