#include "cli/count_listings.h"
#include "config/model_settings.h"
#include "stage/check.h"

/* One listing or delisting; what the stage would set aside changes nothing. */
static enum status count_one(struct session *s, const struct model_config *model,
                             const struct record *record, struct table *items, struct error *err) {
    struct codec_port codec = codec_port(s->codec);
    struct event event;
    enum dead_reason reason;
    uint32_t row;
    if (record->damage != NULL || codec.decode(codec.self, record, &event, &reason, err) != OK ||
        check_event(&s->settings.stage, model, record, &event, &reason, err) != OK)
        return OK;
    bool listed = event.kind == EVENT_LISTING;
    struct bytes id = listed ? event.as.listing.item_id : event.as.delisted_item_id;
    row = table_find(items, id);
    if (listed && row == NO_ROW)
        return table_insert(items, id, &row, err);
    if (!listed && row != NO_ROW)
        table_remove(items, row);
    return OK;
}

static enum status count_file(struct session *s, const struct recorded_partition *partition,
                              int64_t end_ms, struct table *items, struct error *err) {
    const struct model_config model = settings_model(&s->settings);
    struct recording_reader *reader;
    TRY(recording_reader_open(&reader, s->from, partition, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct record record;
        status = recording_reader_next(reader, &record, &got, err);
        got = got && (record.damage != NULL || record.timestamp_ms <= end_ms) &&
              table_rows(items) < table_spec(items)->rows_max;
        if (status == OK && got)
            status = count_one(s, &model, &record, items, err);
    }
    recording_reader_close(reader);
    return status;
}

enum status count_listings(struct session *s, int64_t end_ms, uint32_t max, uint32_t *count,
                           struct error *err) {
    const struct table_spec spec = {.name = "listed",
                                    .key_kind = KEY_STRING,
                                    .output = TO_CHANGELOG,
                                    .key_bytes_max = s->settings.id_bytes_max,
                                    .value_bytes = 4,
                                    .rows_max = max};
    struct tables *set;
    struct table *items = NULL;
    TRY(tables_create(&set, err));
    enum status status = tables_add(set, &spec, &items, err);
    for (uint32_t i = 0; status == OK && i < s->info.partition_count; i++)
        if (s->info.partitions[i].topic == TOPIC_ITEM_CONTENT)
            status = count_file(s, &s->info.partitions[i], end_ms, items, err);
    *count = status == OK ? table_rows(items) : 0;
    tables_destroy(set);
    return status;
}
