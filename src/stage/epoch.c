/* The epoch: one transaction, one unit of replay. stage_step() is the way of one event from the source to the commit. */
#include "stage/stage_private.h"
#include <string.h>

/* ---- samples ---- */

static enum status learn(struct stage *stage, struct error *err) {
    if (stage->sample_count == 0)
        return OK;
    if (stage->batch_count == stage->batch_max)
        return FAIL(err, FATAL, EX_CONFIG,
                    "an epoch gave more than %u mini-batches: lower epoch.events",
                    stage->batch_max);
    TRY(model_learn(stage->model, stage->samples, stage->sample_count, err));
    stage->batches[stage->batch_count++] = stage->sample_count;
    stage->counts.labelled += stage->sample_count;
    stage->sample_count = 0;
    return OK;
}

static enum status take_sample(void *self, const struct sample *sample, struct error *err) {
    struct stage *stage = self;
    stage->samples[stage->sample_count++] = *sample;
    return stage->sample_count == stage->model_config.ranker.batch ? learn(stage, err) : OK;
}

static struct sample_port samples_of(struct stage *stage) {
    return (struct sample_port){stage, take_sample};
}

/* ---- one record ---- */

uint64_t stage_record_hash(const struct record *record, uint64_t hash) {
    int64_t numbers[4] = {record->offset, record->timestamp_ms,
                          record->key.data ? (int64_t)record->key.len : -1,
                          record->value.data ? (int64_t)record->value.len : -1};
    hash = hash64(numbers, sizeof numbers, hash);
    hash = hash64(record->key.data ? (const void *)record->key.data : "", record->key.len, hash);
    return hash64(record->value.data ? (const void *)record->value.data : "", record->value.len,
                  hash);
}

/* The manifest's input ranges, and the position that will be committed: past what is applied, never what was read. */
static enum status note_input(struct stage *stage, const struct record *record, struct error *err) {
    struct input_range *range = stage->range_count ? &stage->ranges[stage->range_count - 1] : NULL;
    if (range == NULL || range->topic != record->topic || range->partition != record->partition) {
        if (stage->range_count == RANGES_MAX)
            return FAIL(err, FATAL, EX_CONFIG,
                        "an epoch's inputs change partition more than %u times: lower epoch.events",
                        RANGES_MAX);
        range = &stage->ranges[stage->range_count++];
        *range = (struct input_range){
            .topic = record->topic, .partition = record->partition, .first_offset = record->offset};
    }
    range->last_offset = record->offset;
    range->count++;
    range->hash = stage_record_hash(record, range->hash);

    uint64_t key = (uint64_t)record->topic << 32 | (uint32_t)record->partition;
    uint32_t row = table_find_u64(stage->positions, key);
    if (row == NO_ROW)
        TRY(table_insert_u64(stage->positions, key, &row, err));
    struct position_row *position = table_edit(stage->positions, row);
    position->damaged = record->damage ? position->damaged + 1 : 0;
    position->next_offset = record->damage ? record->offset : record->offset + 1;
    stage_edit_state(stage)->events++;
    stage->counts.events++;
    return OK;
}

static void note_applied(struct stage *stage) {
    stage_edit_state(stage)->applied++;
    stage->counts.applied++;
}

/* OK: applied. BAD_RECORD: to the dead letters instead, in the same transaction. */
static enum status settle(struct stage *stage, const struct record *record, enum status status,
                          enum dead_reason reason, struct error *err) {
    if (status == OK)
        note_applied(stage);
    if (status != BAD_RECORD)
        return status;
    char text[ERROR_TEXT_BYTES];
    memcpy(text, err->text, sizeof text);
    return publish_dead(stage, record, reason, text, err);
}

static enum status refuse_delisted(struct stage *stage, const struct record *record,
                                   struct error *err) {
    return publish_dead(
        stage, record, DEAD_UNKNOWN_ITEM,
        "its item was delisted; stop showing an item before it is delisted, or list it again", err);
}

/* ---- parked interactions ---- */

static enum status apply_parked(void *self, const struct record *record, struct error *err) {
    struct stage *stage = self;
    struct event event;
    enum dead_reason reason;
    stage->counts.parked--;
    enum status status = stage->codec.decode(stage->codec.self, record, &event, &reason, err);
    if (status != OK)
        return settle(stage, record, status, reason, err);
    const struct interaction *i = &event.as.interaction;
    uint32_t item = model_find_item(stage->model, i->item_id);
    if (item == NO_ROW && delisted_has(stage->delisted, i->item_id))
        return refuse_delisted(stage, record, err);
    if (item == NO_ROW && stage->config.parking_policy == PARKING_SET_ASIDE)
        return publish_dead(stage, record, DEAD_UNKNOWN_ITEM,
                            "its item was not listed within parking.ms of stream time: list items "
                            "before their interactions, or use parking.policy apply",
                            err);
    if (item == NO_ROW)
        TRY(model_admit_unlisted(stage->model, i->item_id, &item, err));
    status = labels_apply_released(stage->labels, record, i, item, samples_of(stage), &reason, err);
    return settle(stage, record, status, reason, err);
}

/* Those of the items that this epoch delisted so far, to the dead letters: one look at the parking for all of them. */
static enum status release_delisted(struct stage *stage, struct error *err) {
    if (!stage->parked_of_delisted)
        return OK;
    stage->parked_of_delisted = false;
    return parking_release_delisted(stage->parking, stage->delisted,
                                    (struct parking_port){stage, apply_parked}, err);
}

/* Interactions whose item has been listed meanwhile (content epochs learn nothing, so here), and those that waited long enough.
 * With an item that these bring in come the rest of its interactions: a click must not be later than its impression. */
static enum status apply_waiting(struct stage *stage, struct error *err) {
    struct parking_port port = {stage, apply_parked};
    TRY(parking_release_listed(stage->parking, port, err));
    uint32_t waiting = parking_count(stage->parking);
    TRY(parking_expire(stage->parking, stage_state(stage)->stream_ms, port, err));
    if (stage->config.parking_policy == PARKING_SET_ASIDE ||
        parking_count(stage->parking) == waiting)
        return OK;
    return parking_release_listed(stage->parking, port, err);
}

/* ---- events ---- */

static enum status apply_listing(struct stage *stage, const struct pending *pending,
                                 struct error *err) {
    const struct listing *l = &pending->event.as.listing;
    enum list_result result;
    if (delisted_has(stage->delisted, l->item_id)) {
        TRY(release_delisted(stage, err)); /* they were meant for the one that is gone */
        delisted_forget(stage->delisted, l->item_id);
    }
    TRY(model_list(stage->model, l->item_id, l->event_time_ms, l->vector, l->text,
                   stage_state(stage)->epoch, &result, err));
    enum dead_reason reason = result == LIST_STALE ? DEAD_STALE : DEAD_DUPLICATE;
    enum status status = OK;
    if (result == LIST_STALE)
        status = FAIL(err, BAD_RECORD, EX_DATAERR,
                      "the listing is older than the one that stands for this item: send events of "
                      "an item in order");
    else if (result == LIST_DUPLICATE)
        status = FAIL(err, BAD_RECORD, EX_DATAERR,
                      "the same listing again: content and event time are those that stand");
    return settle(stage, &pending->record, status, reason, err);
}

/* It holds for what has come already and waits, and for what comes soon, too. */
static enum status apply_delisting(struct stage *stage, const struct pending *pending,
                                   struct error *err) {
    struct bytes item_id = pending->event.as.delisted_item_id;
    int64_t stream_ms = stage_state(stage)->stream_ms;
    model_delist(stage->model, item_id);
    if (delisted_full(stage->delisted))
        TRY(release_delisted(stage, err)); /* before an id is pushed out */
    TRY(delisted_remember(stage->delisted, item_id,
                          stream_ms == INT64_MIN ? pending->record.timestamp_ms : stream_ms, err));
    stage->parked_of_delisted = true;
    note_applied(stage);
    return OK;
}

static enum status apply_to_item(struct stage *stage, const struct pending *pending,
                                 uint32_t item_row, struct error *err) {
    enum dead_reason reason = DEAD_DUPLICATE;
    enum status status =
        labels_apply(stage->labels, &pending->record, &pending->event.as.interaction, item_row,
                     samples_of(stage), &reason, err);
    return settle(stage, &pending->record, status, reason, err);
}

static enum status apply_interaction(struct stage *stage, const struct pending *pending,
                                     struct error *err) {
    const struct interaction *i = &pending->event.as.interaction;
    /* No further than the log's own time: one clock that runs ahead must not make everybody else's events late. */
    int64_t come_ms = i->event_time_ms < pending->record.timestamp_ms
                          ? i->event_time_ms
                          : pending->record.timestamp_ms;
    if (come_ms > stage_state(stage)->stream_ms)
        stage_edit_state(stage)->stream_ms = come_ms;
    TRY(labels_advance(stage->labels, &pending->record, come_ms, samples_of(stage), err));
    uint32_t item = model_find_item(stage->model, i->item_id);
    if (item != NO_ROW)
        return apply_to_item(stage, pending, item, err);
    if (delisted_has(stage->delisted, i->item_id))
        return refuse_delisted(stage, &pending->record, err);
    enum status status = parking_add(stage->parking, &pending->record, i->item_id,
                                     stage_state(stage)->stream_ms, err);
    if (status == BAD_RECORD)
        return settle(stage, &pending->record, status, DEAD_UNKNOWN_ITEM, err);
    stage->counts.parked += status == OK;
    return status;
}

static enum status apply_record(struct stage *stage, const struct pending *pending,
                                struct error *err) {
    TRY(note_input(stage, &pending->record, err));
    if (pending->bad) /* what it says of the time counts as little as the rest of it */
        return publish_dead(stage, &pending->record, pending->reason, pending->text, err);
    if (pending->record.timestamp_ms > stage_state(stage)->timestamp_ms)
        stage_edit_state(stage)->timestamp_ms = pending->record.timestamp_ms;
    switch (pending->event.kind) {
    case EVENT_LISTING:
        return apply_listing(stage, pending, err);
    case EVENT_DELISTING:
        return apply_delisting(stage, pending, err);
    case EVENT_INTERACTION:
        break;
    }
    return apply_interaction(stage, pending, err);
}

/* ---- the epoch ---- */

static enum status open_epoch(struct stage *stage, struct error *err) {
    arena_reset(&stage->epoch);
    stage->range_count = stage->batch_count = stage->sample_count = 0;
    stage->counts = (struct epoch_counts){0};
    stage->parked_of_delisted = false;
    if (!table_live(stage->state, 0)) {
        uint32_t row;
        TRY(table_insert_u64(stage->state, 0, &row, err));
        TRY(model_start(stage->model, err));
        stage_edit_state(stage)->stream_ms = INT64_MIN;
    }
    uint64_t epoch = ++stage_edit_state(stage)->epoch;
    return stage->sink.begin(stage->sink.self, epoch, err);
}

static enum status apply_epoch(struct stage *stage, enum epoch_kind kind, struct error *err) {
    struct queue *queue = &stage->queues[kind];
    if (kind == EPOCH_CLICK) {
        delisted_expire(stage->delisted, stage_state(stage)->stream_ms);
        TRY(apply_waiting(stage, err));
    }
    for (uint32_t i = 0; i < queue->count; i++)
        TRY(apply_record(stage, &queue->records[i], err));
    TRY(release_delisted(stage, err));
    TRY(learn(stage, err));
    if (kind == EPOCH_CLICK)
        TRY(model_align(stage->model, stage_state(stage)->epoch, err));
    stage_edit_state(stage)->labelled += stage->counts.labelled;
    return OK;
}

/* Verifying: tells changed input from a stage that diverges. */
static enum status check_followed(const struct stage *stage, struct error *err) {
    const struct manifest *wanted = stage->follow;
    for (uint32_t r = 0; wanted != NULL && r < wanted->range_count; r++) {
        const struct input_range *want = &wanted->ranges[r], *have = &stage->ranges[r];
        if (r < stage->range_count && have->first_offset == want->first_offset &&
            have->count == want->count && have->hash == want->hash)
            continue;
        return FAIL(err, FATAL, EX_DATAERR,
                    "epoch %llu: the input %s-%d, offsets %lld to %lld, is not what the manifest "
                    "was made from (records are missing or changed)",
                    (unsigned long long)wanted->epoch, topic_name(want->topic), want->partition,
                    (long long)want->first_offset, (long long)want->last_offset);
    }
    return OK;
}

static enum status run_epoch(struct stage *stage, enum epoch_kind kind, struct error *err) {
    struct position positions[STAGE_PARTITIONS_MAX];
    TRY(open_epoch(stage, err));
    TRY(apply_epoch(stage, kind, err));
    TRY(check_followed(stage, err));
    TRY(publish_epoch(stage, kind, err));
    return stage->sink.commit(stage->sink.self, positions, publish_positions(stage, positions),
                              err);
}

static enum status refresh(struct stage *stage, struct error *err) {
    TRY(model_refresh(stage->model, err));
    TRY(labels_refresh(stage->labels, err));
    TRY(parking_refresh(stage->parking, err));
    collect_forget(stage);
    return stage->source.rewind(stage->source.self, stage->seen, stage->seen_count, err);
}

/* Nothing of the epoch was committed: memory and inputs go back to where it began. */
static enum status roll_back(struct stage *stage, struct error *err) {
    struct error cause = *err;
    TRY(stage->sink.abort(stage->sink.self, err));
    tables_rollback(stage->tables);
    TRY(refresh(stage, err));
    *err = cause;
    return RETRY;
}

enum status stage_step(struct stage *stage, bool *done, struct error *err) {
    enum epoch_kind kind;
    bool formed;
    *done = false;
    TRY(collect(stage, &kind, &formed, done, err));
    if (!formed)
        return *done ? OK : RETRY;
    enum status status = run_epoch(stage, kind, err);
    if (status == ABORT_EPOCH || status == RETRY)
        return roll_back(stage, err);
    TRY(status);
    tables_commit(stage->tables);
    stage->follow = NULL;
    queue_clear(&stage->queues[kind]);
    return OK;
}

enum status stage_resume(struct stage *stage, struct error *err) {
    return refresh(stage, err);
}
void stage_finish(struct stage *stage) {
    stage->finishing = true;
}

void stage_follow(struct stage *stage, const struct manifest *manifest) {
    stage->follow = manifest;
}
