#include "base/clock.h"
#include "ops/watch_private.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Looking at the model may take this share of the stage's time. */
#define LOOKING_SHARE 0.003
#define SURVEY_MS 15000      /* between the beginnings of two rounds, at least */
#define SURVEY_STEP_ROWS 512 /* a fifth of a millisecond */
#define SURVEY_PAUSE_US 3000 /* between two epochs, at most and a step */
/* A look-up scans all items; further ones wait so many times as long as it took. */
#define LOOK_UP_PAUSES 200

const char *const watch_state_names[WATCH_STATES] = {"starting",  "waiting", "standby",
                                                     "restoring", "leading", "draining"};

int64_t watch_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t watch_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- opening ---- */

static size_t memory_of(const struct model_config *model, uint32_t listings) {
    size_t codes = 0;
    for (int l = 0; l < SID_CODES; l++)
        codes += model->tokenizer.books[l];
    return sizeof(struct watch) + 2 * sizeof(struct picture) +
           (size_t)listings * (sizeof(struct expected_listing) + model->id_bytes_max) +
           (size_t)model->items_max * 48 + codes * 4 + ((size_t)16 << 20);
}

static enum status open_parts(struct watch *w, struct error *err) {
    w->next = arena_must(&w->arena, sizeof *w->next);
    w->last = arena_must(&w->arena, sizeof *w->last);
    w->expected = arena_must(&w->arena, w->expected_max * sizeof *w->expected);
    w->ids = arena_must(&w->arena, (size_t)w->expected_max * w->model.id_bytes_max);
    TRY(score_window_create(&w->window, &w->arena, err));
    TRY(score_window_create(&w->whole, &w->arena, err));
    return survey_create(&w->survey, &w->model, &w->arena, err);
}

enum status watch_create(struct watch **out, const struct model_config *model,
                         uint32_t listings_max, struct error *err) {
    struct arena arena;
    uint32_t expected = 2 * listings_max + 64;
    TRY(arena_reserve(&arena, "watch", memory_of(model, expected), err));
    struct watch *w = arena_must(&arena, sizeof *w);
    *w = (struct watch){.arena = arena, .model = *model, .expected_max = expected};
    pthread_mutex_init(&w->mutex, NULL);
    enum status status = open_parts(w, err);
    if (status != OK) {
        watch_destroy(w);
        return status;
    }
    w->next->committed_ms = -1;
    w->next->now.at_ms = clock_ms();
    w->ring[0] = w->next->now;
    w->ring_count = 1;
    survey_begin(w->survey);
    *out = w;
    return OK;
}

void watch_destroy(struct watch *w) {
    if (w == NULL)
        return;
    free(w->answer);
    pthread_mutex_destroy(&w->mutex);
    struct arena arena = w->arena; /* it lies in it */
    arena_release(&arena);
}

/* ---- what it says at once ---- */

void watch_state(struct watch *w, enum watch_state state, const char *reason) {
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->mutex);
    w->status.state = state;
    snprintf(w->status.reason, sizeof w->status.reason, "%s", reason != NULL ? reason : "");
    if (state != WATCH_RESTORING && state != WATCH_STANDBY)
        w->status.restoring = false;
    pthread_mutex_unlock(&w->mutex);
}

void watch_restore(struct watch *w, uint64_t restored, uint64_t total) {
    pthread_mutex_lock(&w->mutex);
    w->status.restoring = true;
    w->status.restored = restored;
    w->status.restore_total = total;
    pthread_mutex_unlock(&w->mutex);
}

void watch_renew(struct watch *w) {
    if (w == NULL)
        return;
    w->window_begun = false;
    w->expected_count = 0;
    w->first_us = 0;
    w->committed = false;
    w->surveying = false;
    for (uint32_t i = 0; i < w->next->input_count; i++)
        w->next->inputs[i].position = w->next->inputs[i].end = -1;
    pthread_mutex_lock(&w->mutex);
    w->source_trouble.since_us = w->sink_trouble.since_us = 0;
    pthread_mutex_unlock(&w->mutex);
}

/* ---- between epochs ---- */

static void note_epoch(struct watch *w, struct stage *stage) {
    const struct manifest *manifest = stage_last_manifest(stage);
    struct picture *p = w->next;
    w->committed = false;
    p->epoch = manifest->epoch;
    p->kind = manifest->kind;
    p->now.epochs[manifest->kind]++;
    p->now.events += manifest->counts.events;
    p->now.labelled += manifest->counts.labelled;
    watch_settle(w, stage, manifest->epoch);
}

/* A slot of the ring is due every RATES_MS / (RING_SLOTS - 1); the oldest is what rates are measured against. */
static void turn_ring(struct watch *w) {
    const struct counters *newest = &w->ring[w->ring_at];
    if (w->next->now.at_ms - newest->at_ms < RATES_MS / (RING_SLOTS - 1))
        return;
    w->ring_at = (w->ring_at + 1) % RING_SLOTS;
    w->ring_count += w->ring_count < RING_SLOTS;
    w->ring[w->ring_at] = w->next->now;
    w->ring_latency_max_s[w->ring_at] = w->latency_max_s;
    w->latency_max_s = 0;
}

static void take_rates(struct watch *w) {
    struct picture *p = w->next;
    p->now.at_ms = clock_ms();
    turn_ring(w);
    uint32_t oldest = (w->ring_at + RING_SLOTS + 1 - w->ring_count) % RING_SLOTS;
    p->then = w->ring[oldest];
    p->latency_max_s = w->latency_max_s;
    for (uint32_t i = 1; i < w->ring_count; i++) {
        double max_s = w->ring_latency_max_s[(oldest + i) % RING_SLOTS];
        p->latency_max_s = max_s > p->latency_max_s ? max_s : p->latency_max_s;
    }
}

static void take_inputs(struct watch *w, const struct kafka_source *source) {
    struct kafka_spot spots[STAGE_PARTITIONS_MAX];
    uint32_t count = kafka_source_spots(source, spots);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t input = watch_input(w, spots[i].topic, spots[i].partition);
        if (input == WATCH_NO_INPUT)
            continue;
        struct shown_input *shown = &w->next->inputs[input];
        shown->end = spots[i].end_offset;
        if (shown->position < 0) /* nothing committed by this instance yet */
            shown->position = spots[i].next_offset;
    }
}

static void take_tables(struct picture *p, struct stage *stage) {
    const struct tables *set = stage_tables(stage);
    uint32_t count = tables_count(set);
    p->table_count = count < TABLES_SHOWN_MAX ? count : TABLES_SHOWN_MAX;
    for (uint32_t t = 0; t < p->table_count; t++) {
        const struct table *table = tables_at(set, t);
        const struct table_spec *spec = table_spec(table);
        struct shown_table *shown = &p->tables[t];
        snprintf(shown->name, sizeof shown->name, "%s", spec->name);
        shown->rows = table_rows(table);
        shown->rows_max = spec->rows_max;
        shown->bytes = table_memory(table);
    }
}

/* ---- quality ---- */

static void add_point(struct picture *p) {
    if (p->history_count == HISTORY_MAX)
        memmove(p->history, p->history + 1, (HISTORY_MAX - 1) * sizeof *p->history);
    else
        p->history_count++;
    p->history[p->history_count - 1] =
        (struct quality_point){watch_wall_ms(), p->window.all, p->window.cold, p->window.warm};
}

/* A window without events is no point of the history; the figures stay those of the last one that had some. */
static void judge(struct watch *w, const struct model *model) {
    struct picture *p = w->next;
    struct score_figures window;
    int64_t begun_us = watch_us();
    if (begun_us < w->quality_due_us)
        return;
    if (!w->window_begun)
        score_window_start(w->window, model);
    score_window_take(w->window, model, &window);
    score_window_look(w->whole, model, &p->whole); /* nothing is ever taken from it */
    if (w->window_begun && window.all.events > 0) {
        p->window = window;
        add_point(p);
    } else if (!p->judged)
        p->window = window;
    w->window_begun = p->judged = true;
    int64_t now_us = watch_us(), pause_us = (int64_t)((double)(now_us - begun_us) / LOOKING_SHARE);
    w->quality_due_us = now_us + (pause_us > QUALITY_MS * 1000 ? pause_us : QUALITY_MS * 1000);
}

/* Steps of the survey, as its share of the time since the round began allows, and a few milliseconds at once at most. */
static void look_around(struct watch *w, struct model *model) {
    int64_t begun_us = watch_us(), now_us = begun_us;
    if (atomic_load(&w->survey_ready) || begun_us < w->survey_due_us)
        return;
    if (!w->surveying) {
        survey_begin(w->survey);
        w->surveying = true;
        w->survey_begun_us = begun_us;
        w->survey_spent_us = 0;
    }
    bool complete = false;
    while (!complete && now_us - begun_us < SURVEY_PAUSE_US &&
           (double)w->survey_spent_us <= LOOKING_SHARE * (double)(now_us - w->survey_begun_us)) {
        int64_t before_us = now_us;
        complete = survey_step(w->survey, model, SURVEY_STEP_ROWS);
        now_us = watch_us();
        w->survey_spent_us += now_us - before_us;
    }
    if (!complete)
        return;
    w->surveying = false;
    w->survey_due_us = w->survey_begun_us + SURVEY_MS * 1000;
    atomic_store(&w->survey_ready, true);
}

/* ---- serving ---- */

static void answer(struct watch *w, const struct watch_stage *s) {
    char id[WATCH_ID_BYTES];
    int64_t begun_us = watch_us();
    pthread_mutex_lock(&w->mutex);
    bool asked = w->look_up == LOOK_UP_ASKED && begun_us >= w->look_up_due_us;
    memcpy(id, w->item_id, sizeof id);
    pthread_mutex_unlock(&w->mutex);
    if (!asked)
        return;
    char *json = s->look_up(s->self, id);
    w->look_up_due_us = watch_us() + LOOK_UP_PAUSES * (watch_us() - begun_us);
    pthread_mutex_lock(&w->mutex);
    bool awaited = w->look_up == LOOK_UP_ASKED && strcmp(id, w->item_id) == 0;
    if (awaited) {
        w->answer = json;
        w->look_up = LOOK_UP_ANSWERED;
    }
    pthread_mutex_unlock(&w->mutex);
    if (!awaited)
        free(json);
}

static void take_picture(struct watch *w, const struct watch_stage *s) {
    struct picture *p = w->next;
    take_rates(w);
    take_inputs(w, s->source);
    take_tables(p, s->stage);
    stage_totals(s->stage, &p->totals);
    model_overview(stage_model(s->stage), &p->model);
    judge(w, stage_model(s->stage));
    p->producers = kafka_sink_replaced(s->sink);
    kafka_sink_listen(s->sink);
    p->taken_ms = watch_wall_ms();
    p->number++;
    pthread_mutex_lock(&w->mutex);
    *w->last = *p;
    pthread_mutex_unlock(&w->mutex);
}

static void serve(struct watch *w, const struct watch_stage *s, int64_t now_us) {
    if (w->committed)
        note_epoch(w, s->stage);
    answer(w, s);
    look_around(w, stage_model(s->stage));
    if (now_us < w->picture_due_us)
        return;
    take_picture(w, s);
    w->picture_due_us = now_us + PICTURE_MS * 1000;
}

void watch_serve(struct watch *w, const struct watch_stage *s) {
    if (w == NULL)
        return;
    int64_t begun_us = watch_us();
    serve(w, s, begun_us);
    w->next->now.watched_s += (double)(watch_us() - begun_us) / 1e6;
}

/* ---- the other side ---- */

bool watch_picture(struct watch *w, struct picture *out) {
    pthread_mutex_lock(&w->mutex);
    bool other = w->last->number != out->number;
    if (other)
        *out = *w->last;
    pthread_mutex_unlock(&w->mutex);
    return other;
}

void watch_status(struct watch *w, struct watch_status *out) {
    int64_t now_us = watch_us(), call_us = atomic_load(&w->call_since_us);
    pthread_mutex_lock(&w->mutex);
    *out = w->status;
    const struct trouble *t =
        w->source_trouble.since_us != 0 ? &w->source_trouble : &w->sink_trouble;
    out->trouble_s = t->since_us != 0 ? (double)(now_us - t->since_us) / 1e6 : 0;
    snprintf(out->trouble, sizeof out->trouble, "%s", t->since_us != 0 ? t->text : "");
    pthread_mutex_unlock(&w->mutex);
    out->call_s = call_us != 0 ? (double)(now_us - call_us) / 1e6 : 0;
}

const struct survey_figures *watch_survey(struct watch *w) {
    if (atomic_load(&w->survey_ready)) {
        survey_count(w->survey, &w->figures);
        w->has_figures = true;
        for (uint32_t l = 0; l < SID_CODES; l++)
            w->changed[l] += w->figures.levels[l].changed;
        atomic_store(&w->survey_ready, false);
    }
    return w->has_figures ? &w->figures : NULL;
}

uint64_t watch_changed(const struct watch *w, uint32_t level) {
    return w->changed[level];
}

bool watch_ask(struct watch *w, const char *item_id) {
    pthread_mutex_lock(&w->mutex);
    bool takes = w->look_up == LOOK_UP_FREE && w->status.state == WATCH_LEADING;
    if (takes) {
        snprintf(w->item_id, sizeof w->item_id, "%s", item_id);
        w->look_up = LOOK_UP_ASKED;
    }
    pthread_mutex_unlock(&w->mutex);
    return takes;
}

bool watch_answer(struct watch *w, char **json) {
    pthread_mutex_lock(&w->mutex);
    bool answered = w->look_up == LOOK_UP_ANSWERED;
    if (answered) {
        *json = w->answer;
        w->answer = NULL;
        w->look_up = LOOK_UP_FREE;
    }
    pthread_mutex_unlock(&w->mutex);
    return answered;
}

void watch_give_up(struct watch *w) {
    pthread_mutex_lock(&w->mutex);
    free(w->answer);
    w->answer = NULL;
    w->look_up = LOOK_UP_FREE;
    pthread_mutex_unlock(&w->mutex);
}
