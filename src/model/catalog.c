/* Items come, change and go. */
#include "model/model_private.h"
#include <string.h>

static uint64_t content_hash(const struct model *model, const float *vector, struct bytes text) {
    uint64_t hash = hash64(vector, (size_t)model->config.tokenizer.content_dims * 4, 1);
    return text.data ? hash64(text.data, text.len, hash) : hash;
}

/* How much of the text fits in the title: cut at a character's border, not inside it. */
static size_t title_length(struct bytes text, size_t room) {
    if (text.len <= room)
        return text.len;
    size_t len = room;
    while (len > 0 && (text.data[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static enum status store_content(struct model *m, uint32_t row, const float *vector,
                                 struct bytes text, struct error *err) {
    if (!table_live(m->content, row))
        TRY(table_insert_child(m->content, row, err));
    size_t vector_bytes = (size_t)m->config.tokenizer.content_dims * 4;
    uint8_t *value = table_edit(m->content, row);
    memcpy(value, vector, vector_bytes);
    memset(value + vector_bytes, 0, m->config.title_bytes);
    if (text.data)
        memcpy(value + vector_bytes, text.data, title_length(text, m->config.title_bytes));
    return OK;
}

static enum status onboard_waiting(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t n = 0;
    uint16_t(*codes)[SID_CODES] =
        arena_alloc(&m->scratch, (size_t)model_state(m)->waiting * sizeof *codes);
    if (codes == NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "the first listings do not fit the training memory: lower "
                    "tokenizer.train_listings");
    for (uint32_t row = 0; row < table_end(m->items); row++)
        if (table_live(m->items, row) && table_live(m->content, row) && !table_live(m->sid, row)) {
            TRY(semantic_id_encode(m, row, epoch, SID_NEW, err));
            memcpy(codes[n++], ((const struct sid_row *)table_value(m->sid, row))->codes,
                   sizeof *codes);
        }
    model_edit_state(m)->waiting = 0;
    TRY(shadow_start(m, err));
    return codebook_updates_start(m, (const uint16_t(*)[SID_CODES])codes, n, err);
}

static enum status new_item(struct model *m, struct bytes item_id, uint32_t *row,
                            struct error *err) {
    TRY(table_insert(m->items, item_id, row, err));
    struct item_row *item = table_edit(m->items, *row);
    item->sequence = model_edit_state(m)->next_sequence++;
    item->listed_ms = INT64_MIN;
    item->first_exposed_ms = -1;
    TRY(table_insert_child(m->counts, *row, err));
    counts_publish(m, *row);
    return ranker_admit(m->ranker, *row, err);
}

enum status model_admit_unlisted(struct model *model, struct bytes item_id, uint32_t *item_row,
                                 struct error *err) {
    return new_item(model, item_id, item_row, err);
}

enum status model_list(struct model *model, struct bytes item_id, int64_t event_time_ms,
                       const float *vector, struct bytes text, uint64_t epoch,
                       enum list_result *result, struct error *err) {
    uint64_t hash = content_hash(model, vector, text);
    uint32_t row = table_find(model->items, item_id);
    bool listed = row != NO_ROW && (item_at(model, row)->flags & ITEM_LISTED);
    if (listed && event_time_ms < item_at(model, row)->listed_ms) {
        *result = LIST_STALE;
        return OK;
    }
    bool same_content = listed && item_at(model, row)->content_hash == hash;
    if (same_content && event_time_ms == item_at(model, row)->listed_ms) {
        *result = LIST_DUPLICATE;
        return OK;
    }
    *result = listed ? LIST_CHANGED : LIST_NEW;
    if (row == NO_ROW)
        TRY(new_item(model, item_id, &row, err));
    struct item_row *item = table_edit(model->items, row);
    item->flags |= ITEM_LISTED | ITEM_HAS_CONTENT;
    item->listed_ms = event_time_ms;
    item->content_hash = hash;
    if (same_content)
        return OK;
    bool waits = table_live(model->content, row) && !table_live(model->sid, row);
    TRY(store_content(model, row, vector, text, err));
    if (model_codebook_version(model) > 0)
        return semantic_id_encode(model, row, epoch, SID_CONTENT, err);
    if (!waits)
        model_edit_state(model)->waiting++;
    if (model_state(model)->waiting < model->config.train_listings)
        return OK;
    TRY(codebooks_train(model, err));
    return onboard_waiting(model, epoch, err);
}

bool model_delist(struct model *model, struct bytes item_id) {
    uint32_t row = table_find(model->items, item_id);
    if (row == NO_ROW)
        return false;
    if (table_live(model->sid, row)) {
        model_edit_state(model)->onboarded--;
        semantic_id_release(model, row);
    } else if (table_live(model->content, row))
        model_edit_state(model)->waiting--;
    struct table *children[] = {model->content,   model->z,         model->sid,
                                model->embedding, model->optimiser, model->counts};
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (table_live(children[i], row))
            table_remove(children[i], row);
    table_remove(model->items, row);
    return true;
}
