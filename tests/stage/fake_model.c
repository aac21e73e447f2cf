/* The functions of model/model.h that labels and parking call, over tables of their own: users,
 * items and who is listed, without tokenizer and ranker. */
#include "model/model.h"

struct model {
    struct table *items, *users, *state;
    struct model_config config;
    struct arena *arena;
};

enum status model_create(struct model **out, const struct model_config *config, struct tables *set,
                         struct arena *arena, struct error *err) {
    struct model *model = arena_must(arena, sizeof *model);
    *model = (struct model){.config = *config, .arena = arena};
    const struct table_spec items = {.name = "items",
                                     .key_kind = KEY_STRING,
                                     .output = TO_CHANGELOG,
                                     .key_bytes_max = config->id_bytes_max,
                                     .value_bytes = sizeof(struct item_row),
                                     .rows_max = config->items_max};
    const struct table_spec users = {.name = "users",
                                     .key_kind = KEY_STRING,
                                     .output = TO_CHANGELOG,
                                     .key_bytes_max = config->id_bytes_max,
                                     .value_bytes = sizeof(struct user_row),
                                     .rows_max = config->users_max};
    const struct table_spec state = {.name = "model",
                                     .key_kind = KEY_DENSE,
                                     .output = TO_CHANGELOG,
                                     .value_bytes = sizeof(uint32_t), /* sequences given */
                                     .rows_max = 1};
    TRY(tables_add(set, &items, &model->items, err));
    TRY(tables_add(set, &users, &model->users, err));
    TRY(tables_add(set, &state, &model->state, err));
    *out = model;
    return OK;
}

static enum status new_item(struct model *model, struct bytes item_id, uint32_t *row,
                            struct error *err) {
    uint32_t state = 0;
    if (!table_live(model->state, 0))
        TRY(table_insert_u64(model->state, 0, &state, err));
    uint32_t *sequences = table_edit(model->state, 0);
    TRY(table_insert(model->items, item_id, row, err));
    ((struct item_row *)table_edit(model->items, *row))->sequence = (*sequences)++;
    return OK;
}

enum status model_list(struct model *model, struct bytes item_id, int64_t event_time_ms,
                       const float *vector, struct bytes text, uint64_t epoch,
                       enum list_result *result, struct error *err) {
    (void)vector, (void)text, (void)epoch;
    uint32_t row = table_find(model->items, item_id);
    *result = row == NO_ROW ? LIST_NEW : LIST_CHANGED;
    if (row == NO_ROW)
        TRY(new_item(model, item_id, &row, err));
    struct item_row *item = table_edit(model->items, row);
    item->flags = ITEM_LISTED;
    item->listed_ms = event_time_ms;
    return OK;
}

bool model_delist(struct model *model, struct bytes item_id) {
    const uint32_t row = table_find(model->items, item_id);
    if (row != NO_ROW)
        table_remove(model->items, row);
    return row != NO_ROW;
}

uint32_t model_find_item(const struct model *model, struct bytes item_id) {
    return table_find(model->items, item_id);
}

static const struct item_row *item_at(const struct model *model, uint32_t row) {
    return table_value(model->items, row);
}

bool model_item_alive(const struct model *model, struct item_handle handle) {
    return table_live(model->items, handle.position) &&
           item_at(model, handle.position)->sequence == handle.sequence;
}

struct item_handle model_item_handle(const struct model *model, uint32_t item_row) {
    return (struct item_handle){item_row, item_at(model, item_row)->sequence};
}

enum status model_admit_unlisted(struct model *model, struct bytes item_id, uint32_t *item_row,
                                 struct error *err) {
    return new_item(model, item_id, item_row, err);
}

enum status model_user(struct model *model, struct bytes user_id, uint32_t *user_row,
                       struct error *err) {
    *user_row = table_find(model->users, user_id);
    return *user_row != NO_ROW ? OK : table_insert(model->users, user_id, user_row, err);
}

const struct table *model_items(const struct model *model) {
    return model->items;
}
