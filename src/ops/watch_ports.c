/* The stage's ports with a watch between: what comes and goes, and how long it takes. Runs on the stage's thread; a record costs two readings of the clock. */
#include "ops/watch_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- trouble ---- */

/* RETRY with a text, or an epoch that must be formed again: the broker is away or slow. It lasts until a call succeeds. */
static void note_trouble(struct watch *w, struct trouble *trouble, enum status status,
                         const struct error *err) {
    bool bad = status == RETRY || status == ABORT_EPOCH;
    if (!bad && trouble->since_us == 0)
        return;
    pthread_mutex_lock(&w->mutex);
    if (!bad)
        trouble->since_us = 0;
    else if (trouble->since_us == 0)
        trouble->since_us = watch_us();
    if (bad)
        snprintf(trouble->text, sizeof trouble->text, "%.*s", (int)sizeof trouble->text - 1,
                 err->text);
    pthread_mutex_unlock(&w->mutex);
}

/* ---- source ---- */

uint32_t watch_input(struct watch *w, enum topic topic, int32_t partition) {
    struct picture *p = w->next;
    uint32_t last = w->input_last;
    if (last < p->input_count && p->inputs[last].topic == topic &&
        p->inputs[last].partition == partition)
        return last;
    for (uint32_t i = 0; i < p->input_count; i++)
        if (p->inputs[i].topic == topic && p->inputs[i].partition == partition)
            return w->input_last = i;
    if (p->input_count == STAGE_PARTITIONS_MAX)
        return WATCH_NO_INPUT;
    p->inputs[p->input_count] = (struct shown_input){topic, partition, -1, -1, -1};
    return w->input_last = p->input_count++;
}

/* When there is no room the oldest is forgotten: its latency is not counted. */
static void expect_listing(struct watch *w, uint32_t input, const struct record *record,
                           int64_t now_us) {
    if (record->key.len > w->model.id_bytes_max)
        return;
    if (w->expected_count == w->expected_max) {
        w->expected_first = (w->expected_first + 1) % w->expected_max;
        w->expected_count--;
    }
    uint32_t at = (w->expected_first + w->expected_count++) % w->expected_max;
    w->expected[at] = (struct expected_listing){.input = input,
                                                .offset = record->offset,
                                                .timestamp_ms = record->timestamp_ms,
                                                .arrived_ms = watch_wall_ms(),
                                                .arrived_us = now_us,
                                                .id_len = (uint32_t)record->key.len};
    if (record->key.len > 0)
        memcpy(w->ids + (size_t)at * w->model.id_bytes_max, record->key.data, record->key.len);
}

static void note_record(struct watch *w, const struct record *record, int64_t now_us) {
    uint32_t input = watch_input(w, record->topic, record->partition);
    if (w->first_us == 0)
        w->first_us = now_us;
    if (input == WATCH_NO_INPUT)
        return;
    w->next->inputs[input].timestamp_ms = record->timestamp_ms;
    w->next->now.read[input].records++;
    w->next->now.read[input].bytes += record->key.len + record->value.len;
    if (record->topic == TOPIC_ITEM_CONTENT && record->value.data != NULL)
        expect_listing(w, input, record, now_us);
}

static enum status source_next(void *self, struct record *out, bool *got, bool *end,
                               struct error *err) {
    struct watch *w = self;
    int64_t begin_us = watch_us();
    enum status status = w->source.next(w->source.self, out, got, end, err);
    int64_t now_us = watch_us();
    w->next->now.waiting_s += (double)(now_us - begin_us) / 1e6;
    note_trouble(w, &w->source_trouble, status, err);
    if (status == OK && *got)
        note_record(w, out, now_us);
    return status;
}

/* What was not committed comes again. */
static enum status source_rewind(void *self, const struct position *positions, uint32_t count,
                                 struct error *err) {
    struct watch *w = self;
    w->expected_count = 0;
    w->first_us = 0;
    return w->source.rewind(w->source.self, positions, count, err);
}

static bool source_due(void *self) {
    struct watch *w = self;
    return w->source.due(w->source.self);
}

static void source_formed(void *self) {
    struct watch *w = self;
    w->source.formed(w->source.self);
}

struct source_port watch_source(struct watch *w, struct source_port inner) {
    w->source = inner;
    return (struct source_port){.self = w,
                                .next = source_next,
                                .rewind = source_rewind,
                                .due = inner.due != NULL ? source_due : NULL,
                                .formed = inner.formed != NULL ? source_formed : NULL};
}

/* ---- sink ---- */

static void enter(struct watch *w) {
    atomic_store(&w->call_since_us, watch_us());
}
static void leave(struct watch *w) {
    atomic_store(&w->call_since_us, 0);
}

static enum status sink_begin(void *self, uint64_t epoch, struct error *err) {
    struct watch *w = self;
    memset(w->written, 0, sizeof w->written);
    w->dead_count = 0;
    w->publishing = false;
    enter(w);
    enum status status = w->sink.begin(w->sink.self, epoch, err);
    leave(w);
    w->begun = status == OK;
    w->begun_us = watch_us();
    if (status != OK)
        note_trouble(w, &w->sink_trouble, status, err);
    return status;
}

static void copy_header(const struct record *record, const char *name, char *out, size_t size) {
    struct bytes value = record_header(record, name);
    snprintf(out, size, "%.*s", (int)value.len, (const char *)value.data);
}

/* Of many in one epoch the last ones. */
static void note_dead(struct watch *w, const struct record *record) {
    char number[32];
    struct shown_dead *dead = &w->dead[w->dead_count++ % RECENT_MAX];
    *dead = (struct shown_dead){.time_ms = watch_wall_ms()};
    copy_header(record, "reason", dead->reason, sizeof dead->reason);
    (void)topic_of_name(record_header(record, "topic"), &dead->topic);
    copy_header(record, "partition", number, sizeof number);
    dead->partition = (int32_t)strtol(number, NULL, 10);
    copy_header(record, "offset", number, sizeof number);
    dead->offset = strtoll(number, NULL, 10);
    watch_cut(&dead->text, record_header(record, "error"));
}

static enum status sink_put(void *self, const struct record *record, struct error *err) {
    struct watch *w = self;
    bool dead = record->topic == TOPIC_DEAD_LETTER;
    if (!dead && !w->publishing) {
        w->publishing = true;
        w->published_us = watch_us();
        enter(w); /* until the epoch's end: what is applied is applied */
    }
    enum status status = w->sink.put(w->sink.self, record, err);
    if (status != OK)
        return status;
    w->written[record->topic].records++;
    w->written[record->topic].bytes += record->key.len + record->value.len;
    if (dead)
        note_dead(w, record);
    return OK;
}

static enum status sink_ends(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                             struct error *err) {
    struct watch *w = self;
    return w->sink.ends(w->sink.self, ends, max, count, err);
}

static double seconds(int64_t from_us, int64_t to_us) {
    return (double)(to_us - from_us) / 1e6;
}

static void note_commit(struct watch *w, const struct position *positions, uint32_t count) {
    struct counters *now = &w->next->now;
    w->committed_us = watch_us();
    w->next->committed_ms = watch_wall_ms();
    w->committed = true;
    if (w->first_us != 0)
        histogram_add(&now->phases[PHASE_COLLECT], seconds(w->first_us, w->begun_us));
    histogram_add(&now->phases[PHASE_APPLY], seconds(w->begun_us, w->published_us));
    histogram_add(&now->phases[PHASE_PUBLISH], seconds(w->published_us, w->commit_us));
    histogram_add(&now->phases[PHASE_COMMIT], seconds(w->commit_us, w->committed_us));
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        now->written[topic].records += w->written[topic].records;
        now->written[topic].bytes += w->written[topic].bytes;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t input = watch_input(w, positions[i].topic, positions[i].partition);
        if (input != WATCH_NO_INPUT)
            w->next->inputs[input].position = positions[i].next_offset;
    }
    w->first_us = 0;
}

static enum status sink_commit(void *self, const struct position *positions, uint32_t count,
                               struct error *err) {
    struct watch *w = self;
    w->commit_us = watch_us();
    enter(w);
    enum status status = w->sink.commit(w->sink.self, positions, count, err);
    leave(w);
    note_trouble(w, &w->sink_trouble, status, err);
    if (status == OK)
        note_commit(w, positions, count);
    return status;
}

static enum status sink_abort(void *self, struct error *err) {
    struct watch *w = self;
    w->next->now.aborted += w->begun;
    if (w->begun) /* err says why */
        note_trouble(w, &w->sink_trouble, ABORT_EPOCH, err);
    w->begun = false;
    enter(w);
    enum status status = w->sink.abort(w->sink.self, err);
    leave(w);
    return status;
}

struct sink_port watch_sink(struct watch *w, struct sink_port inner) {
    w->sink = inner;
    return (struct sink_port){.self = w,
                              .begin = sink_begin,
                              .put = sink_put,
                              .ends = sink_ends,
                              .commit = sink_commit,
                              .abort = sink_abort};
}
