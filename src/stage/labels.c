#include "stage/check.h"
#include "stage/labels_private.h"

#include "base/poison.h"

static enum status check_config(const struct stage_config *config, struct error *err) {
    if (config->join_rows_max == 0)
        return FAIL(err, FATAL, EX_CONFIG, "the limit of impressions that wait must not be 0");
    if (config->join_window_ms < 0 || config->lateness_ms < 0 || config->idle_ms < 0)
        return FAIL(err, FATAL, EX_CONFIG,
                    "join window, lateness and idle time must not be negative");
    return OK;
}

enum status labels_create(struct labels **out, const struct stage_config *config, uint64_t seed,
                          struct model *model, struct tables *set, struct arena *arena,
                          struct error *err) {
    TRY(check_config(config, err));
    struct labels *labels = arena_must(arena, sizeof *labels);
    *labels = (struct labels){.config = *config, .seed = seed, .model = model};
    const struct table_spec spec = {.name = "labels",
                                    .key_kind = KEY_DENSE,
                                    .output = TO_CHANGELOG,
                                    .value_bytes = sizeof(struct labels_row),
                                    .rows_max = 1};
    TRY(tables_add(set, &spec, &labels->state, err));
    TRY(watermark_create(&labels->watermark, config, set, err));
    TRY(join_create(labels, set, arena, err));
    TRY(sample_create(labels, set, err));
    TRY(repeats_create(labels, set, arena, err));
    *out = labels;
    return OK;
}

enum status labels_refresh(struct labels *labels, struct error *err) {
    (void)err;
    join_refresh(labels);
    repeats_refresh(labels);
    return OK;
}

const struct labels_row *labels_state(const struct labels *labels) {
    static const struct labels_row none = {.watermark_ms = WATERMARK_NONE};
    return table_live(labels->state, 0) ? table_value(labels->state, 0) : &none;
}

enum status labels_edit(struct labels *labels, struct labels_row **row, struct error *err) {
    if (table_live(labels->state, 0)) {
        *row = table_edit(labels->state, 0);
        return OK;
    }
    uint32_t position;
    TRY(table_insert_u64(labels->state, 0, &position, err));
    *row = table_edit(labels->state, position);
    (*row)->watermark_ms = WATERMARK_NONE;
    return OK;
}

int64_t labels_watermark(const struct labels *labels) {
    return labels_state(labels)->watermark_ms;
}

void labels_totals(const struct labels *labels, struct labels_totals *out) {
    *out = labels_state(labels)->totals;
}

struct identity labels_identity(const struct labels *labels,
                                const struct interaction *interaction) {
    struct identity identity = {
        .user = digest_of(interaction->user_id.data, interaction->user_id.len, labels->seed),
        .item = digest_of(interaction->item_id.data, interaction->item_id.len, labels->seed),
    };
    if (interaction->request_id.data != NULL && interaction->request_id.len > 0) {
        identity.has_request = 1;
        identity.request =
            digest_of(interaction->request_id.data, interaction->request_id.len, labels->seed);
    }
    return identity;
}

static struct verdict judge(const struct labels *labels, const struct identity *identity,
                            const struct interaction *interaction, bool released) {
    if (repeats_has(labels, identity, interaction))
        return (struct verdict){.kind = VERDICT_REPEATED, .row = NO_ROW};
    if (interaction->has_label)
        return (struct verdict){.kind = VERDICT_GIVEN, .row = NO_ROW};
    if (interaction->action != ACTION_IMPRESSION && labels_state(labels)->totals.impressions == 0)
        return (struct verdict){.kind = VERDICT_SAMPLED, .row = NO_ROW};
    return join_judge(labels, identity, interaction, released);
}

uint32_t labels_expected(const struct labels *labels, const struct interaction *interaction) {
    const struct identity identity = labels_identity(labels, interaction);
    const struct verdict verdict = judge(labels, &identity, interaction, false);
    switch (verdict.kind) {
    case VERDICT_GIVEN:
        return 1;
    case VERDICT_SAMPLED:
        return 1 + labels->config.negatives;
    case VERDICT_REPEATED:
    case VERDICT_LATE:
        return 0;
    default:
        return join_expected(labels, verdict, &identity, interaction);
    }
}

static enum status refuse_repeat(struct verdict verdict, enum dead_reason *reason,
                                 struct error *err) {
    *reason = DEAD_DUPLICATE;
    if (verdict.row == NO_ROW)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "this interaction (user, item, action, event time, request and position) was "
                    "applied before; if it is not a repeat, give it a request_id of its own");
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "an impression of this user, item and request waits already; if the item was shown "
                "again, give each showing a request_id of its own");
}

static enum status refuse_late(const struct labels *labels, const struct interaction *interaction,
                               enum dead_reason *reason, struct error *err) {
    const long long event_ms = interaction->event_time_ms;
    const long long watermark_ms = labels_watermark(labels);
    *reason = DEAD_LATE;
    if (interaction->action == ACTION_IMPRESSION)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "the impression's event_time %lld is behind the watermark %lld: clicks on it "
                    "may be gone; raise the lateness allowed if this happens often",
                    event_ms, watermark_ms);
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "no impression of this user, item and request is waiting for a click at event_time "
                "%lld, and the watermark %lld has passed it; raise the join window or the lateness "
                "allowed if this happens often",
                event_ms, watermark_ms);
}

static enum status apply_labelled(struct labels *labels, struct verdict verdict,
                                  const struct record *record,
                                  const struct interaction *interaction, uint32_t item_row,
                                  struct sample_port samples, struct error *err) {
    struct sample sample = {.item_row = item_row,
                            .time_ms = interaction->event_time_ms,
                            .label = verdict.kind == VERDICT_GIVEN ? interaction->label : 1.0f};
    TRY(model_user(labels->model, interaction->user_id, &sample.user_row, err));
    if (verdict.kind == VERDICT_GIVEN)
        return samples.take(samples.self, &sample, err);
    return sample_apply(labels, record, &sample, samples, err);
}

static enum status apply(struct labels *labels, const struct record *record,
                         const struct interaction *interaction, uint32_t item_row, bool released,
                         struct sample_port samples, enum dead_reason *reason, struct error *err) {
    const struct identity identity = labels_identity(labels, interaction);
    const struct verdict verdict = judge(labels, &identity, interaction, released);
    if (verdict.kind == VERDICT_REPEATED)
        return refuse_repeat(verdict, reason, err);
    if (verdict.kind == VERDICT_LATE)
        return refuse_late(labels, interaction, reason, err);
    TRY(repeats_remember(labels, &identity, interaction, err));
    if (verdict.kind == VERDICT_GIVEN || verdict.kind == VERDICT_SAMPLED)
        return apply_labelled(labels, verdict, record, interaction, item_row, samples, err);
    return join_apply(labels, verdict, &identity, interaction, item_row, samples, err);
}

enum status labels_apply(struct labels *labels, const struct record *record,
                         const struct interaction *interaction, uint32_t item_row,
                         struct sample_port samples, enum dead_reason *reason, struct error *err) {
    return apply(labels, record, interaction, item_row, false, samples, reason, err);
}

enum status labels_apply_released(struct labels *labels, const struct record *record,
                                  const struct interaction *interaction, uint32_t item_row,
                                  struct sample_port samples, enum dead_reason *reason,
                                  struct error *err) {
    return apply(labels, record, interaction, item_row, true, samples, reason, err);
}

enum status labels_advance(struct labels *labels, const struct record *record,
                           int64_t event_time_ms, struct sample_port samples, struct error *err) {
    if (record->topic != TOPIC_INTERACTIONS || event_time_ms < 0 ||
        event_time_ms > EVENT_TIME_MS_MAX)
        return OK;
    bool moved;
    TRY(watermark_observe(&labels->watermark, record, event_time_ms, &moved, err));
    if (!moved)
        return OK;
    const int64_t reached_ms = watermark_reached(&labels->watermark);
    if (reached_ms <= labels_watermark(labels))
        return OK;
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    state->watermark_ms = reached_ms;
    TRY(join_close(labels, samples, err));
    repeats_forget(labels);
    return OK;
}
