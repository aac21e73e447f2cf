/* Impression + click -> sample, by event time.
 *
 * An impression at i is clicked when a click of the same identity has an event time in [i, i + w],
 * w = join_window_ms. Two impressions of one identity within w of each other are one impression, so
 * the windows of one identity do not overlap and a click has at most one impression.
 *
 * Rows are keyed by (identity, kind, bucket) with bucket = event time / max(w, 1). So a bucket
 * holds at most one impression, the impression of a click at t is in bucket b(t) or b(t) - 1, and
 * the clicks of an impression at i are in b(i) or b(i) + 1.
 *
 * A click that comes before its impression is held in the one row of its bucket's clicks, of which
 * the earliest and the latest say all: those of b(i) are inside the window unless before i, so the
 * latest decides; those of b(i) + 1 are after i, so the earliest decides.
 *
 * An impression that was clicked keeps its row until its window closes: it tells further clicks and
 * repeats of itself from others. */
#include "stage/labels_private.h"

#include "base/poison.h"

enum status join_create(struct labels *labels, struct tables *set, struct arena *arena,
                        struct error *err) {
    const struct table_spec spec = {.name = "impressions",
                                    .key_kind = KEY_STRING,
                                    .output = TO_CHANGELOG,
                                    .key_bytes_max = sizeof(struct digest),
                                    .value_bytes = sizeof(struct join_row),
                                    .rows_max = labels->config.join_rows_max};
    TRY(tables_add(set, &spec, &labels->impressions, err));
    return deadlines_create(&labels->windows, spec.name, spec.rows_max, arena, err);
}

static const struct join_row *row_at(const struct labels *labels, uint32_t row) {
    return table_value(labels->impressions, row);
}

/* The last moment at which the row can still matter. */
static int64_t deadline_of(const struct labels *labels, const struct join_row *row) {
    if (row->kind == JOIN_CLICKS)
        return row->last_ms;
    return time_after_ms(row->first_ms, labels->config.join_window_ms);
}

void join_refresh(struct labels *labels) {
    deadlines_clear(&labels->windows);
    for (uint32_t row = 0; row < table_end(labels->impressions); row++) {
        if (!table_live(labels->impressions, row))
            continue;
        const struct join_row *value = row_at(labels, row);
        deadlines_put(&labels->windows, row, deadline_of(labels, value), value->arrival);
    }
}

static int64_t bucket_of(const struct labels *labels, int64_t event_time_ms) {
    const int64_t width_ms = labels->config.join_window_ms;
    return event_time_ms / (width_ms > 0 ? width_ms : 1);
}

static struct digest join_key(const struct labels *labels, const struct identity *identity,
                              enum join_kind kind, int64_t bucket) {
    const struct {
        struct identity identity;
        int64_t bucket;
        uint64_t kind;
    } parts = {.identity = *identity, .bucket = bucket, .kind = kind};
    return digest_of(&parts, sizeof parts, labels->seed);
}

static uint32_t find(const struct labels *labels, const struct identity *identity,
                     enum join_kind kind, int64_t bucket) {
    const struct digest key = join_key(labels, identity, kind, bucket);
    return table_find(labels->impressions, bytes_of(&key, sizeof key));
}

/* ---- what an interaction means ---- */

static struct verdict judge_impression(const struct labels *labels, const struct identity *identity,
                                       int64_t event_ms, bool released) {
    const int64_t window_ms = labels->config.join_window_ms;
    const int64_t bucket = bucket_of(labels, event_ms);
    if (!released && event_ms < labels_watermark(labels))
        return (struct verdict){.kind = VERDICT_LATE, .row = NO_ROW};
    for (int64_t near = bucket - 1; near <= bucket + 1; near++) {
        const uint32_t row = find(labels, identity, JOIN_IMPRESSION, near);
        if (row == NO_ROW)
            continue;
        const int64_t other_ms = row_at(labels, row)->first_ms;
        if ((other_ms > event_ms ? other_ms - event_ms : event_ms - other_ms) <= window_ms)
            return (struct verdict){.kind = VERDICT_REPEATED, .row = row};
    }
    uint32_t row = find(labels, identity, JOIN_CLICKS, bucket);
    if (row != NO_ROW && row_at(labels, row)->last_ms >= event_ms)
        return (struct verdict){.kind = VERDICT_SERVED, .row = row};
    row = find(labels, identity, JOIN_CLICKS, bucket + 1);
    if (row != NO_ROW && row_at(labels, row)->first_ms - event_ms <= window_ms)
        return (struct verdict){.kind = VERDICT_SERVED, .row = row};
    return (struct verdict){.kind = VERDICT_IMPRESSION, .row = NO_ROW};
}

static struct verdict judge_click(const struct labels *labels, const struct identity *identity,
                                  int64_t event_ms) {
    const int64_t bucket = bucket_of(labels, event_ms);
    for (int64_t near = bucket - 1; near <= bucket; near++) {
        const uint32_t row = find(labels, identity, JOIN_IMPRESSION, near);
        if (row == NO_ROW)
            continue;
        const struct join_row *impression = row_at(labels, row);
        const int64_t after_ms = event_ms - impression->first_ms;
        if (after_ms < 0 || after_ms > labels->config.join_window_ms)
            continue;
        return (struct verdict){
            .kind = impression->state == JOIN_WAITS ? VERDICT_JOINED : VERDICT_AFTER, .row = row};
    }
    if (event_ms < labels_watermark(labels))
        return (struct verdict){.kind = VERDICT_LATE, .row = NO_ROW};
    return (struct verdict){.kind = VERDICT_HELD, .row = NO_ROW};
}

struct verdict join_judge(const struct labels *labels, const struct identity *identity,
                          const struct interaction *interaction, bool released) {
    if (interaction->action == ACTION_IMPRESSION)
        return judge_impression(labels, identity, interaction->event_time_ms, released);
    return judge_click(labels, identity, interaction->event_time_ms);
}

static bool unmatched_impression(const struct join_row *row) {
    return row->kind == JOIN_IMPRESSION && row->state == JOIN_WAITS;
}

uint32_t join_expected(const struct labels *labels, struct verdict verdict,
                       const struct identity *identity, const struct interaction *interaction) {
    if (verdict.kind == VERDICT_AFTER)
        return 0;
    if (verdict.kind == VERDICT_JOINED)
        return 1;
    const int64_t bucket = bucket_of(labels, interaction->event_time_ms);
    const bool needs_row =
        verdict.kind != VERDICT_HELD || find(labels, identity, JOIN_CLICKS, bucket) == NO_ROW;
    uint32_t samples = verdict.kind == VERDICT_SERVED;
    if (needs_row && table_rows(labels->impressions) == labels->config.join_rows_max)
        samples += unmatched_impression(row_at(labels, deadlines_first(&labels->windows)->row));
    return samples;
}

/* ---- what it does ---- */

static enum status emit(const struct join_row *row, float label, struct sample_port samples,
                        struct error *err) {
    const struct sample sample = {.user_row = row->user_row,
                                  .item_row = row->item.position,
                                  .time_ms = row->first_ms,
                                  .label = label};
    return samples.take(samples.self, &sample, err);
}

/* Takes the earliest row out, with its sample if one is due. */
static enum status close_first(struct labels *labels, struct sample_port samples,
                               struct error *err) {
    const uint32_t position = deadlines_first(&labels->windows)->row;
    const struct join_row row = *row_at(labels, position);
    const bool due = unmatched_impression(&row) && model_item_alive(labels->model, row.item);
    deadlines_remove(&labels->windows, position);
    table_remove(labels->impressions, position);
    if (row.state == JOIN_WAITS && !due) {
        struct labels_row *state;
        TRY(labels_edit(labels, &state, err));
        if (row.kind == JOIN_CLICKS)
            state->totals.clicks_unmatched++;
        else
            state->totals.items_gone++;
    }
    return due ? emit(&row, 0.0f, samples, err) : OK;
}

enum status join_close(struct labels *labels, struct sample_port samples, struct error *err) {
    const int64_t watermark_ms = labels_watermark(labels);
    const struct deadline *first;
    while ((first = deadlines_first(&labels->windows)) != NULL && first->deadline_ms < watermark_ms)
        TRY(close_first(labels, samples, err));
    return OK;
}

static enum status add_row(struct labels *labels, const struct identity *identity,
                           struct join_row value, struct sample_port samples, struct error *err) {
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    if (table_rows(labels->impressions) == labels->config.join_rows_max) {
        const uint32_t first = deadlines_first(&labels->windows)->row;
        state->totals.windows_cut += row_at(labels, first)->state == JOIN_WAITS;
        TRY(close_first(labels, samples, err));
    }
    value.arrival = state->arrivals++;
    const struct digest key =
        join_key(labels, identity, value.kind, bucket_of(labels, value.first_ms));
    uint32_t position;
    TRY(table_insert(labels->impressions, bytes_of(&key, sizeof key), &position, err));
    *(struct join_row *)table_edit(labels->impressions, position) = value;
    deadlines_put(&labels->windows, position, deadline_of(labels, &value), value.arrival);
    return OK;
}

static enum status add_impression(struct labels *labels, struct verdict verdict,
                                  const struct identity *identity,
                                  const struct interaction *interaction, uint32_t item_row,
                                  struct sample_port samples, struct error *err) {
    const bool served = verdict.kind == VERDICT_SERVED;
    struct join_row value = {.first_ms = interaction->event_time_ms,
                             .last_ms = interaction->event_time_ms,
                             .item = model_item_handle(labels->model, item_row),
                             .kind = JOIN_IMPRESSION,
                             .state = served ? JOIN_MATCHED : JOIN_WAITS};
    TRY(model_user(labels->model, interaction->user_id, &value.user_row, err));
    if (served)
        ((struct join_row *)table_edit(labels->impressions, verdict.row))->state = JOIN_MATCHED;
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    state->totals.impressions++;
    TRY(add_row(labels, identity, value, samples, err));
    return served ? emit(&value, 1.0f, samples, err) : OK;
}

static enum status hold_click(struct labels *labels, const struct identity *identity,
                              int64_t event_ms, struct sample_port samples, struct error *err) {
    const uint32_t position = find(labels, identity, JOIN_CLICKS, bucket_of(labels, event_ms));
    if (position == NO_ROW) {
        const struct join_row value = {
            .first_ms = event_ms, .last_ms = event_ms, .kind = JOIN_CLICKS, .state = JOIN_WAITS};
        return add_row(labels, identity, value, samples, err);
    }
    struct join_row *clicks = table_edit(labels->impressions, position);
    if (event_ms < clicks->first_ms)
        clicks->first_ms = event_ms;
    if (event_ms > clicks->last_ms) {
        clicks->last_ms = event_ms;
        deadlines_remove(&labels->windows, position);
        deadlines_put(&labels->windows, position, event_ms, clicks->arrival);
    }
    return OK;
}

static enum status join_click(struct labels *labels, uint32_t position, struct sample_port samples,
                              struct error *err) {
    const struct join_row row = *row_at(labels, position);
    ((struct join_row *)table_edit(labels->impressions, position))->state = JOIN_MATCHED;
    if (model_item_alive(labels->model, row.item))
        return emit(&row, 1.0f, samples, err);
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    state->totals.items_gone++;
    return OK;
}

enum status join_apply(struct labels *labels, struct verdict verdict,
                       const struct identity *identity, const struct interaction *interaction,
                       uint32_t item_row, struct sample_port samples, struct error *err) {
    switch (verdict.kind) {
    case VERDICT_IMPRESSION:
    case VERDICT_SERVED:
        return add_impression(labels, verdict, identity, interaction, item_row, samples, err);
    case VERDICT_JOINED:
        return join_click(labels, verdict.row, samples, err);
    case VERDICT_HELD:
        return hold_click(labels, identity, interaction->event_time_ms, samples, err);
    default:
        return OK;
    }
}
