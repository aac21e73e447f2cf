#include "stage/watermark.h"

#include "base/poison.h"

enum status watermark_create(struct watermark *out, const struct stage_config *config,
                             struct tables *set, struct error *err) {
    *out = (struct watermark){.lateness_ms = config->lateness_ms, .idle_ms = config->idle_ms};
    const struct table_spec spec = {.name = "watermarks",
                                    .key_kind = KEY_U64,
                                    .output = TO_CHANGELOG,
                                    .value_bytes = sizeof(int64_t),
                                    .rows_max = STAGE_PARTITIONS_MAX};
    return tables_add(set, &spec, &out->partitions, err);
}

enum status watermark_observe(struct watermark *watermark, const struct record *record,
                              int64_t event_time_ms, bool *moved, struct error *err) {
    ASSERT(event_time_ms >= 0);
    struct table *table = watermark->partitions;
    uint64_t key = (uint64_t)record->topic << 32 | (uint32_t)record->partition;
    uint32_t row = table_find_u64(table, key);
    *moved = row == NO_ROW || event_time_ms > *(const int64_t *)table_value(table, row);
    if (!*moved)
        return OK;
    if (row == NO_ROW)
        TRY(table_insert_u64(table, key, &row, err));
    *(int64_t *)table_edit(table, row) = event_time_ms;
    return OK;
}

int64_t watermark_reached(const struct watermark *watermark) {
    const struct table *table = watermark->partitions;
    const uint32_t end = table_end(table);
    const int64_t *largest_ms = table_values(table);
    int64_t furthest_ms = -1, reached_ms = INT64_MAX;
    for (uint32_t row = 0; row < end; row++)
        if (table_live(table, row) && largest_ms[row] > furthest_ms)
            furthest_ms = largest_ms[row];
    if (furthest_ms < 0)
        return WATERMARK_NONE;
    for (uint32_t row = 0; row < end; row++)
        if (table_live(table, row) && furthest_ms - largest_ms[row] <= watermark->idle_ms &&
            largest_ms[row] < reached_ms)
            reached_ms = largest_ms[row];
    return reached_ms - watermark->lateness_ms;
}
