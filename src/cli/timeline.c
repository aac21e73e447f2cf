#include "cli/timeline.h"
#include "cli/restore.h"
#include <stdio.h>
#include <string.h>

#define MS_PER_DAY 86400000.0

struct watching {
    struct session *session;
    struct timeline *out;
    struct score_window *windows[PARTS];
    uint64_t epochs;     /* of the whole replay */
    uint32_t passed;     /* moments that lie behind */
    struct moment since; /* counts of the epochs since the last one */
    int64_t last_ms;     /* of that one */
};

const struct score_slice *timeline_part(const struct score_figures *figures, uint32_t part) {
    return part == PART_ALL    ? &figures->all
           : part == PART_COLD ? &figures->cold
           : part == PART_WARM ? &figures->warm
                               : &figures->by_exposures[part - PART_BUCKETS];
}

static enum status take_row(void *self, const struct row_output *row, struct error *err) {
    struct watching *w = self;
    TRY(stories_row(&w->out->stories, row, &w->session->arena, err));
    if (row->value.data == NULL || strcmp(row->table, "sid") != 0)
        return OK;
    struct sid_row sid;
    memcpy(&sid, row->value.data, sizeof sid);
    bool moved = sid.has_previous && sid.epoch == row->epoch &&
                 memcmp(sid.codes, sid.previous, sizeof sid.codes) != 0;
    w->since.moves[sid.reason & 3] += moved;
    return OK;
}

static struct timeline_input *input_of(struct timeline *out, const struct input_range *range) {
    for (uint32_t i = 0; i < out->input_count; i++)
        if (out->inputs[i].topic == range->topic && out->inputs[i].partition == range->partition)
            return &out->inputs[i];
    if (out->input_count == TIMELINE_INPUTS_MAX)
        return NULL;
    struct timeline_input *input = &out->inputs[out->input_count++];
    *input = (struct timeline_input){range->topic, range->partition, range->first_offset,
                                     range->last_offset, 0};
    return input;
}

static void count_inputs(struct timeline *out, const struct manifest *manifest) {
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        const struct input_range *range = &manifest->ranges[r];
        struct timeline_input *input = input_of(out, range);
        if (input == NULL) {
            out->inputs_left_out += range->count;
            continue;
        }
        input->records += range->count;
        input->last_offset = range->last_offset;
    }
}

/* Moment k ends where part k of MOMENTS equal parts of the stream's time does: how many have ended. The last one ends with the last epoch. */
static uint32_t moments_ended(const struct watching *w, const struct manifest *manifest) {
    if (manifest->epoch == w->epochs)
        return MOMENTS;
    double all = (double)(w->out->last_ms - w->out->first_ms),
           gone = (double)(manifest->timestamp_ms - w->out->first_ms);
    double ended = all > 0 && gone > 0 ? gone / all * MOMENTS : 0;
    return ended < MOMENTS - 1 ? (uint32_t)ended : MOMENTS - 1;
}

static void look_at_parts(struct watching *w, const struct model *model, struct moment *moment) {
    for (uint32_t part = 0; part < PARTS; part++) {
        struct score_figures figures;
        score_window_look(w->windows[part], model, &figures);
        const struct score_slice *slice = timeline_part(&figures, part);
        if (slice->positives < PART_CLASS_MIN || slice->events - slice->positives < PART_CLASS_MIN)
            continue;
        moment->parts[part] = *slice;
        score_window_start(w->windows[part], model);
    }
}

static enum status look(struct watching *w, const struct manifest *manifest, struct moment *moment,
                        struct error *err) {
    struct model *model = stage_model(w->session->stage);
    TRY(stage_resume(w->session->stage, err));
    *moment = w->since;
    moment->there = true;
    moment->epoch = manifest->epoch;
    moment->time_ms = manifest->timestamp_ms;
    moment->days = w->last_ms > 0 ? (double)(moment->time_ms - w->last_ms) / MS_PER_DAY : 0;
    look_at_parts(w, model, moment);
    model_evaluate(model, &moment->state);
    stage_totals(w->session->stage, &moment->totals);
    w->since = (struct moment){0};
    w->last_ms = moment->time_ms;
    return OK;
}

static enum status take_epoch(void *self, const struct manifest *manifest, struct error *err) {
    struct watching *w = self;
    struct timeline *out = w->out;
    struct stage_totals totals;
    count_inputs(out, manifest);
    w->since.records += manifest->counts.events;
    w->since.dead_letters += manifest->counts.dead_letters;
    w->since.rows += manifest->counts.rows;
    out->rows += manifest->counts.rows;
    stage_totals(w->session->stage, &totals);
    stories_epoch(&out->stories, stage_model(w->session->stage), manifest->timestamp_ms,
                  totals.labelled);
    uint32_t ended = moments_ended(w, manifest);
    if (ended <= w->passed)
        return OK;
    w->passed = ended;
    snprintf(out->build, sizeof out->build, "%s", manifest->build);
    snprintf(out->blas_core, sizeof out->blas_core, "%s", manifest->blas_core);
    return look(w, manifest, &out->moments[ended - 1], err);
}

/* Of the outputs, as recording.yaml has it. */
static void find_span(const struct session *session, struct timeline *out) {
    for (uint32_t i = 0; i < session->info.partition_count; i++) {
        const struct recorded_partition *p = &session->info.partitions[i];
        if (p->topic == TOPIC_EPOCHS) {
            out->first_ms = p->first_timestamp_ms;
            out->last_ms = p->last_timestamp_ms;
        }
    }
}

enum status timeline_read(struct session *session, const char *dir, struct timeline *out,
                          struct error *err) {
    struct watching w = {.session = session, .out = out};
    struct score_window *whole;
    memset(out, 0, sizeof *out);
    TRY(restore_open(session, dir, &w.epochs, err));
    find_span(session, out);
    stories_start(&out->stories, &session->settings, &session->arena);
    for (uint32_t part = 0; part < PARTS; part++)
        TRY(score_window_create(&w.windows[part], &session->arena, err));
    struct restore_watch watch = {&w, take_row, take_epoch};
    TRY(restore_watched(session, w.epochs, &watch, err));
    TRY(score_window_create(&whole, &session->arena, err));
    score_window_look(whole, stage_model(session->stage), &out->whole);
    return OK;
}
