#include "stage/parking.h"

#include "stage/deadlines.h"

#include "base/poison.h"

/* The one row of table `parking`. */
struct parking_row {
    uint64_t arrivals; /* records parked so far: the next key */
};

/* A row of `parked`, then three areas: item id [id_area], key [bytes_area], value [bytes_area]. */
#define LENGTH_NULL UINT32_MAX
struct parked_row {
    int64_t deadline_ms;
    int64_t offset;
    int64_t timestamp_ms;
    uint32_t topic;
    int32_t partition;
    uint32_t item_len;
    uint32_t key_len;   /* LENGTH_NULL: no key */
    uint32_t value_len; /* LENGTH_NULL: no value */
    uint32_t reserved;
};

struct parking {
    int64_t parking_ms;
    uint32_t rows_max, bytes_max;
    uint32_t id_area, bytes_area; /* multiples of 8: rows hold 64-bit integers */
    const struct model *model;
    struct table *state, *parked;
    struct deadlines deadlines; /* of all rows */
    struct deadlines leaving;   /* rows on their way out, by arrival; empty between calls */
};

static enum status create_tables(struct parking *parking, struct tables *set, struct error *err) {
    const struct table_spec state = {.name = "parking",
                                     .key_kind = KEY_DENSE,
                                     .output = TO_CHANGELOG,
                                     .value_bytes = sizeof(struct parking_row),
                                     .rows_max = 1};
    const struct table_spec parked = {.name = "parked",
                                      .key_kind = KEY_U64,
                                      .output = TO_CHANGELOG,
                                      .value_bytes = (uint32_t)sizeof(struct parked_row) +
                                                     parking->id_area + 2 * parking->bytes_area,
                                      .rows_max = parking->rows_max > 0 ? parking->rows_max : 1};
    TRY(tables_add(set, &state, &parking->state, err));
    return tables_add(set, &parked, &parking->parked, err);
}

static uint32_t area_for(uint32_t bytes) {
    return (bytes + 7) / 8 * 8;
}

enum status parking_create(struct parking **out, const struct stage_config *config,
                           const struct model_config *model_config, const struct model *model,
                           struct tables *set, struct arena *arena, struct error *err) {
    if (config->parking_ms < 0 || config->parking_bytes_max > UINT32_MAX / 4)
        return FAIL(err, FATAL, EX_CONFIG,
                    "parking time %lld ms or parking bytes %u are out of range",
                    (long long)config->parking_ms, config->parking_bytes_max);
    struct parking *parking = arena_must(arena, sizeof *parking);
    *parking = (struct parking){.parking_ms = config->parking_ms,
                                .rows_max = config->parking_rows_max,
                                .bytes_max = config->parking_bytes_max,
                                .id_area = area_for(model_config->id_bytes_max),
                                .bytes_area = area_for(config->parking_bytes_max),
                                .model = model};
    TRY(create_tables(parking, set, err));
    TRY(deadlines_create(&parking->deadlines, "parked", parking->rows_max, arena, err));
    TRY(deadlines_create(&parking->leaving, "parked", parking->rows_max, arena, err));
    *out = parking;
    return OK;
}

/* ---- rows ---- */

static const struct parked_row *row_at(const struct parking *parking, uint32_t position) {
    return table_value(parking->parked, position);
}

static struct bytes item_of(const struct parked_row *row) {
    return bytes_of((const uint8_t *)(row + 1), row->item_len);
}

static struct bytes area(const uint8_t *data, uint32_t len) {
    return len == LENGTH_NULL ? (struct bytes){0} : bytes_of(data, len);
}

static struct record record_of(const struct parking *parking, const struct parked_row *row) {
    const uint8_t *key = (const uint8_t *)(row + 1) + parking->id_area;
    return (struct record){.topic = (enum topic)row->topic,
                           .partition = row->partition,
                           .offset = row->offset,
                           .timestamp_ms = row->timestamp_ms,
                           .key = area(key, row->key_len),
                           .value = area(key + parking->bytes_area, row->value_len)};
}

static uint32_t store(uint8_t *out, struct bytes bytes) {
    if (bytes.data == NULL)
        return LENGTH_NULL;
    memcpy(out, bytes.data, bytes.len);
    return (uint32_t)bytes.len;
}

static void fill(const struct parking *parking, struct parked_row *row, const struct record *record,
                 struct bytes item_id, int64_t deadline_ms) {
    uint8_t *item = (uint8_t *)(row + 1);
    uint8_t *key = item + parking->id_area;
    *row = (struct parked_row){.deadline_ms = deadline_ms,
                               .offset = record->offset,
                               .timestamp_ms = record->timestamp_ms,
                               .topic = record->topic,
                               .partition = record->partition};
    row->item_len = store(item, item_id);
    row->key_len = store(key, record->key);
    row->value_len = store(key + parking->bytes_area, record->value);
}

enum status parking_refresh(struct parking *parking, struct error *err) {
    (void)err;
    deadlines_clear(&parking->deadlines);
    for (uint32_t row = 0; row < table_end(parking->parked); row++)
        if (table_live(parking->parked, row))
            deadlines_put(&parking->deadlines, row, row_at(parking, row)->deadline_ms,
                          table_key_u64(parking->parked, row));
    return OK;
}

/* ---- in and out ---- */

static enum status edit_state(struct parking *parking, struct parking_row **row,
                              struct error *err) {
    uint32_t position = 0;
    if (!table_live(parking->state, 0))
        TRY(table_insert_u64(parking->state, 0, &position, err));
    *row = table_edit(parking->state, position);
    return OK;
}

enum status parking_add(struct parking *parking, const struct record *record, struct bytes item_id,
                        int64_t stream_ms, struct error *err) {
    ASSERT(item_id.len > 0 && item_id.len <= parking->id_area);
    if (record->key.len > parking->bytes_max || record->value.len > parking->bytes_max)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "its item is not listed yet, and the record (key %zu bytes, value %zu bytes) "
                    "is too large to wait for it: %u bytes are allowed for each",
                    record->key.len, record->value.len, parking->bytes_max);
    if (table_rows(parking->parked) >= parking->rows_max)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "its item is not listed yet, and parking is full (%u records wait); raise the "
                    "limit of parked records, or list items before they are shown",
                    parking->rows_max);
    struct parking_row *state;
    TRY(edit_state(parking, &state, err));
    const uint64_t arrival = state->arrivals++;
    const int64_t deadline_ms = time_after_ms(stream_ms, parking->parking_ms);
    uint32_t position;
    TRY(table_insert_u64(parking->parked, arrival, &position, err));
    fill(parking, table_edit(parking->parked, position), record, item_id, deadline_ms);
    deadlines_put(&parking->deadlines, position, deadline_ms, arrival);
    return OK;
}

/* The record is in the row, so the row goes after the call. */
static enum status hand_out(struct parking *parking, uint32_t position, struct parking_port port,
                            struct error *err) {
    const struct record record = record_of(parking, row_at(parking, position));
    TRY(port.take(port.self, &record, err));
    deadlines_remove(&parking->deadlines, position);
    table_remove(parking->parked, position);
    return OK;
}

/* Hands out what was put into `leaving`. */
static enum status hand_out_leaving(struct parking *parking, struct parking_port port,
                                    struct error *err) {
    const struct deadline *first;
    while ((first = deadlines_first(&parking->leaving)) != NULL) {
        const uint32_t row = first->row;
        deadlines_remove(&parking->leaving, row);
        TRY(hand_out(parking, row, port, err));
    }
    return OK;
}

enum status parking_release_listed(struct parking *parking, struct parking_port port,
                                   struct error *err) {
    deadlines_clear(&parking->leaving);
    for (uint32_t row = 0; row < table_end(parking->parked); row++)
        if (table_live(parking->parked, row) &&
            model_find_item(parking->model, item_of(row_at(parking, row))) != NO_ROW)
            deadlines_put(&parking->leaving, row, 0, table_key_u64(parking->parked, row));
    return hand_out_leaving(parking, port, err);
}

enum status parking_release_delisted(struct parking *parking, const struct delisted *delisted,
                                     struct parking_port port, struct error *err) {
    deadlines_clear(&parking->leaving);
    for (uint32_t row = 0; row < table_end(parking->parked); row++)
        if (table_live(parking->parked, row) &&
            delisted_has(delisted, item_of(row_at(parking, row))))
            deadlines_put(&parking->leaving, row, 0, table_key_u64(parking->parked, row));
    return hand_out_leaving(parking, port, err);
}

enum status parking_expire(struct parking *parking, int64_t stream_ms, struct parking_port port,
                           struct error *err) {
    const struct deadline *first;
    while ((first = deadlines_first(&parking->deadlines)) != NULL && first->deadline_ms < stream_ms)
        TRY(hand_out(parking, first->row, port, err));
    return OK;
}

uint32_t parking_count(const struct parking *parking) {
    return table_rows(parking->parked);
}
