#include "stage/delisted.h"

#include "stage/deadlines.h"

#include "base/poison.h"

#define REMEMBERED_MS_MIN INT64_C(86400000) /* a day */

struct delisted_row {
    int64_t deadline_ms;
};

struct delisted {
    int64_t remembered_ms;
    struct table *rows;
};

enum status delisted_create(struct delisted **out, const struct stage_config *config,
                            const struct model_config *model_config, struct tables *set,
                            struct arena *arena, struct error *err) {
    const struct table_spec spec = {.name = "delisted",
                                    .key_kind = KEY_U64,
                                    .output = TO_CHANGELOG,
                                    .value_bytes = sizeof(struct delisted_row),
                                    .rows_max = model_config->items_max};
    struct delisted *delisted = arena_must(arena, sizeof *delisted);
    delisted->remembered_ms =
        config->parking_ms > REMEMBERED_MS_MIN ? config->parking_ms : REMEMBERED_MS_MIN;
    TRY(tables_add(set, &spec, &delisted->rows, err));
    *out = delisted;
    return OK;
}

static int64_t deadline_at(const struct delisted *delisted, uint32_t row) {
    const struct delisted_row *value = table_value(delisted->rows, row);
    return value->deadline_ms;
}

/* A digest, so that the id itself stays nowhere. */
static uint64_t key_of(struct bytes item_id) {
    return hash64(item_id.data, item_id.len, 0);
}

static bool before(const struct delisted *delisted, uint32_t a, uint32_t b) {
    const int64_t a_ms = deadline_at(delisted, a), b_ms = deadline_at(delisted, b);
    if (a_ms != b_ms)
        return a_ms < b_ms;
    return table_key_u64(delisted->rows, a) < table_key_u64(delisted->rows, b);
}

static void forget_first(struct delisted *delisted) {
    uint32_t first = NO_ROW;
    for (uint32_t row = 0; row < table_end(delisted->rows); row++)
        if (table_live(delisted->rows, row) && (first == NO_ROW || before(delisted, row, first)))
            first = row;
    table_remove(delisted->rows, first);
}

bool delisted_full(const struct delisted *delisted) {
    return table_rows(delisted->rows) == table_spec(delisted->rows)->rows_max;
}

enum status delisted_remember(struct delisted *delisted, struct bytes item_id, int64_t delisted_ms,
                              struct error *err) {
    const int64_t deadline_ms = time_after_ms(delisted_ms, delisted->remembered_ms);
    uint32_t row = table_find_u64(delisted->rows, key_of(item_id));
    if (row != NO_ROW && deadline_at(delisted, row) >= deadline_ms)
        return OK;
    if (row == NO_ROW) {
        if (delisted_full(delisted))
            forget_first(delisted);
        TRY(table_insert_u64(delisted->rows, key_of(item_id), &row, err));
    }
    ((struct delisted_row *)table_edit(delisted->rows, row))->deadline_ms = deadline_ms;
    return OK;
}

bool delisted_has(const struct delisted *delisted, struct bytes item_id) {
    return table_rows(delisted->rows) > 0 &&
           table_find_u64(delisted->rows, key_of(item_id)) != NO_ROW;
}

void delisted_forget(struct delisted *delisted, struct bytes item_id) {
    const uint32_t row = table_find_u64(delisted->rows, key_of(item_id));
    if (row != NO_ROW)
        table_remove(delisted->rows, row);
}

void delisted_expire(struct delisted *delisted, int64_t stream_ms) {
    for (uint32_t row = 0; row < table_end(delisted->rows); row++)
        if (table_live(delisted->rows, row) && deadline_at(delisted, row) < stream_ms)
            table_remove(delisted->rows, row);
}
