/* From samples to a mini-batch: distinct items and users, histories and features as they are at its start; and what a
 * batch leaves behind in counts and histories once it has been learned. */
#include "math/vector.h"
#include "model/model_private.h"
#include <string.h>

#define MS_PER_HOUR 3.6e6f

void batch_create(struct model *m, struct arena *arena) {
    uint32_t events = m->config.ranker.batch, history = m->config.ranker.history;
    size_t occurrences = (size_t)events * (history + 1);
    m->batch = (struct batch){
        .item_row = arena_must(arena, occurrences * sizeof(uint32_t)),
        .candidate = arena_must(arena, events * sizeof(uint32_t)),
        .user = arena_must(arena, events * sizeof(uint32_t)),
        .history = arena_must(arena, (size_t)events * history * sizeof(uint32_t)),
        .history_length = arena_must(arena, events * sizeof(uint32_t)),
        .features = arena_must(arena, (size_t)events * FEATURES * sizeof(float)),
        .item_features = arena_must(arena, occurrences * GATE_FEATURES * sizeof(float)),
        .contrast_item = arena_must(arena, CONTRAST_ITEMS_MAX * sizeof(uint32_t)),
        .positive = arena_must(arena, (size_t)CONTRAST_ITEMS_MAX * CONTRAST_ITEMS_MAX),
        .labels = arena_must(arena, events * sizeof(float)),
    };
    m->contrast_codes = arena_must(arena, CONTRAST_ITEMS_MAX * sizeof *m->contrast_codes);
    m->logits = arena_must(arena, events * sizeof(float));
    m->exposures = arena_must(arena, events * sizeof(uint64_t));
    m->item_stamps.stamp = arena_must(arena, (size_t)m->config.items_max * sizeof(uint32_t));
    m->item_stamps.index = arena_must(arena, (size_t)m->config.items_max * sizeof(uint32_t));
    m->user_stamps.stamp = arena_must(arena, (size_t)m->config.users_max * sizeof(uint32_t));
    m->user_stamps.index = arena_must(arena, (size_t)m->config.users_max * sizeof(uint32_t));
}

/* The index of a row in this batch; true when it is new and the index is *count, now one more. */
static bool stamp_row(struct stamps *stamps, uint32_t stamp, uint32_t row, uint32_t *count,
                      uint32_t *index) {
    bool is_new = stamps->stamp[row] != stamp;
    if (is_new) {
        stamps->stamp[row] = stamp;
        stamps->index[row] = (*count)++;
    }
    *index = stamps->index[row];
    return is_new;
}

static uint32_t item_index(struct model *m, uint32_t row) {
    uint32_t index;
    if (stamp_row(&m->item_stamps, m->stamp, row, &m->batch.items, &index))
        m->batch.item_row[index] = row;
    return index;
}

/* The items of the history that are still there. */
static void add_history(struct model *m, uint32_t user_row, uint32_t user_index) {
    const struct user_row *user = user_at(m, user_row);
    const struct item_handle *history = user_history(user);
    uint32_t *out = m->batch.history + (size_t)user_index * m->config.ranker.history, length = 0;
    for (uint32_t h = 0; h < user->history_length; h++)
        if (model_item_alive(m, history[h]))
            out[length++] = item_index(m, history[h].position);
    m->batch.history_length[user_index] = length;
}

static float hours_since(int64_t now_ms, int64_t then_ms) {
    return then_ms < 0 || now_ms <= then_ms ? 0.0f : (float)(now_ms - then_ms) / MS_PER_HOUR;
}

void item_features(const struct item_row *item, int64_t now_ms, float f[GATE_FEATURES]) {
    float exposures = (float)item->exposures, clicks = (float)item->clicks;
    f[0] = log1p_f32(exposures) / 5.0f;
    f[1] = log1p_f32(clicks) / 5.0f;
    f[2] = log_f32((clicks + 1.0f) / (exposures + 5.0f)) / 2.0f;
    f[3] = log1p_f32(hours_since(now_ms, item->first_exposed_ms)) / 5.0f;
}

void user_features(uint64_t clicks, uint32_t times, float features[FEATURES]) {
    features[4] = log1p_f32((float)clicks) / 5.0f;
    features[5] = log1p_f32((float)times);
}

static void fill_features(const struct model *m, const struct sample *sample, uint32_t event,
                          float *f) {
    const struct batch *b = &m->batch;
    const uint32_t *history = b->history + (size_t)b->user[event] * m->config.ranker.history;
    uint32_t times = 0;
    for (uint32_t h = 0; h < b->history_length[b->user[event]]; h++)
        times += history[h] == b->candidate[event];
    item_features(item_at(m, sample->item_row), sample->time_ms, f);
    user_features(user_at(m, sample->user_row)->clicks, times, f);
}

void batch_find_positives(struct model *m) {
    struct batch *b = &m->batch;
    m->stamp++;
    for (uint32_t e = 0; e < b->events && b->contrast_items < CONTRAST_ITEMS_MAX; e++) {
        uint32_t row = b->item_row[b->candidate[e]], index = b->contrast_items;
        if (!table_live(m->sid, row))
            continue;
        const struct sid_row *sid = table_value(m->sid, row);
        if (sid->generation != m->loaded_generation ||
            !stamp_row(&m->item_stamps, m->stamp, row, &b->contrast_items, &index))
            continue;
        b->contrast_item[index] = b->candidate[e];
        memcpy(m->contrast_codes[index], sid->codes, sizeof sid->codes);
    }
    neighbours_among(m->neighbours, (const uint16_t(*)[SID_CODES])m->contrast_codes,
                     b->contrast_items, b->positive);
}

void batch_build(struct model *model, const struct sample *samples, uint32_t count) {
    struct batch *b = &model->batch;
    b->events = count;
    b->items = b->users = b->contrast_items = 0;
    model->stamp++;
    for (uint32_t e = 0; e < count; e++) {
        if (stamp_row(&model->user_stamps, model->stamp, samples[e].user_row, &b->users,
                      &b->user[e]))
            add_history(model, samples[e].user_row, b->user[e]);
        b->candidate[e] = item_index(model, samples[e].item_row);
        b->labels[e] = samples[e].label;
        model->exposures[e] = item_at(model, samples[e].item_row)->exposures;
        fill_features(model, &samples[e], e, b->features + (size_t)e * FEATURES);
    }
    for (uint32_t u = 0; model->parts.gate && u < b->items; u++)
        item_features(item_at(model, b->item_row[u]), samples[0].time_ms,
                      b->item_features + (size_t)u * GATE_FEATURES);
}

static void push_history(struct model *m, uint32_t user_row, struct item_handle handle) {
    struct user_row *user = table_edit(m->users, user_row);
    struct item_handle *history = (struct item_handle *)(user + 1);
    user->clicks++;
    if (user->history_length > 0 && memcmp(&history[0], &handle, sizeof handle) == 0)
        return;
    uint32_t keep = user->history_length < m->config.ranker.history ? user->history_length
                                                                    : m->config.ranker.history - 1;
    memmove(history + 1, history, keep * sizeof *history);
    history[0] = handle;
    user->history_length = keep + 1;
}

/* What a ranker downstream needs of an item's counts, as float32: exposures, clicks, and the time of the first exposure
 * in two exact parts (ms = hi * 2^20 + lo; -1, 0 when there was none). */
void counts_publish(struct model *m, uint32_t item_row) {
    const struct item_row *item = item_at(m, item_row);
    float *out = table_edit(m->counts, item_row);
    out[0] = (float)item->exposures;
    out[1] = (float)item->clicks;
    out[2] = item->first_exposed_ms < 0 ? -1.0f : (float)(item->first_exposed_ms >> 20);
    out[3] = item->first_exposed_ms < 0 ? 0.0f : (float)(item->first_exposed_ms & ((1 << 20) - 1));
}

void item_counts(const float counts[4], struct item_row *out) {
    out->exposures = (uint64_t)counts[0];
    out->clicks = (uint64_t)counts[1];
    out->first_exposed_ms =
        counts[2] < 0 ? -1 : (int64_t)counts[2] * ((int64_t)1 << 20) + (int64_t)counts[3];
}

enum status batch_remember(struct model *model, const struct sample *samples, uint32_t count,
                           struct error *err) {
    for (uint32_t e = 0; e < count; e++) {
        const struct sample *s = &samples[e];
        struct item_row *item = table_edit(model->items, s->item_row);
        if (item->exposures == 0)
            item->first_exposed_ms = s->time_ms;
        item->exposures++;
        if (s->label > 0.0f) {
            item->clicks++;
            TRY(shadow_note_click(model, s->user_row, s->item_row, err));
            push_history(model, s->user_row, (struct item_handle){s->item_row, item->sequence});
        }
        counts_publish(model, s->item_row);
        codebook_updates_note(model, s->item_row);
    }
    return OK;
}
