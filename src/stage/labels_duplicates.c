/* Repeats of an interaction with a request id. A row is remembered until the watermark passes event
 * time + join window, so that a producer that sends twice is seen through as long as the
 * interaction could still matter. */
#include "stage/labels_private.h"

#include "base/poison.h"

static struct digest repeat_key(const struct labels *labels, const struct identity *identity,
                                const struct interaction *interaction) {
    const struct {
        struct identity identity;
        int64_t event_time_ms;
        uint32_t action, has_position;
        int64_t position;
    } parts = {.identity = *identity,
               .event_time_ms = interaction->event_time_ms,
               .action = interaction->action,
               .has_position = interaction->has_position,
               .position = interaction->has_position ? interaction->position : 0};
    return digest_of(&parts, sizeof parts, labels->seed);
}

enum status repeats_create(struct labels *labels, struct tables *set, struct arena *arena,
                           struct error *err) {
    const uint32_t rows_max =
        labels->config.duplicate_rows_max > 0 ? labels->config.duplicate_rows_max : 1;
    const struct table_spec spec = {.name = "seen",
                                    .key_kind = KEY_STRING,
                                    .output = TO_CHANGELOG,
                                    .key_bytes_max = sizeof(struct digest),
                                    .value_bytes = sizeof(struct repeat_row),
                                    .rows_max = rows_max};
    TRY(tables_add(set, &spec, &labels->seen, err));
    return deadlines_create(&labels->memory, spec.name, rows_max, arena, err);
}

void repeats_refresh(struct labels *labels) {
    deadlines_clear(&labels->memory);
    for (uint32_t row = 0; row < table_end(labels->seen); row++) {
        if (!table_live(labels->seen, row))
            continue;
        const struct repeat_row *value = table_value(labels->seen, row);
        deadlines_put(&labels->memory, row, value->deadline_ms, value->arrival);
    }
}

bool repeats_has(const struct labels *labels, const struct identity *identity,
                 const struct interaction *interaction) {
    if (!identity->has_request || table_rows(labels->seen) == 0)
        return false;
    const struct digest key = repeat_key(labels, identity, interaction);
    return table_find(labels->seen, bytes_of(&key, sizeof key)) != NO_ROW;
}

static void forget_first(struct labels *labels) {
    const uint32_t row = deadlines_first(&labels->memory)->row;
    deadlines_remove(&labels->memory, row);
    table_remove(labels->seen, row);
}

enum status repeats_remember(struct labels *labels, const struct identity *identity,
                             const struct interaction *interaction, struct error *err) {
    const int64_t deadline_ms =
        time_after_ms(interaction->event_time_ms, labels->config.join_window_ms);
    if (!identity->has_request || labels->config.duplicate_rows_max == 0 ||
        deadline_ms < labels_watermark(labels))
        return OK;
    if (table_rows(labels->seen) == labels->config.duplicate_rows_max)
        forget_first(labels);
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    const struct digest key = repeat_key(labels, identity, interaction);
    uint32_t row;
    TRY(table_insert(labels->seen, bytes_of(&key, sizeof key), &row, err));
    struct repeat_row *value = table_edit(labels->seen, row);
    *value = (struct repeat_row){.deadline_ms = deadline_ms, .arrival = state->arrivals++};
    deadlines_put(&labels->memory, row, value->deadline_ms, value->arrival);
    return OK;
}

void repeats_forget(struct labels *labels) {
    const int64_t watermark_ms = labels_watermark(labels);
    const struct deadline *first;
    while ((first = deadlines_first(&labels->memory)) != NULL && first->deadline_ms < watermark_ms)
        forget_first(labels);
}
