#include "codec/schemas.h"

#include "base/poison.h"

/* schema_texts.c, made at build time from schemas/ */
extern const char schema_interactions_value[], schema_item_content_value[],
    schema_semantic_ids_value[], schema_row_key[], schema_row_value[], schema_codebooks_key[],
    schema_codebooks_value[], schema_epochs_key[], schema_epochs_value[], schema_recording[];

static const struct writer_schema shipped[] = {
    {SCHEMA_INTERACTIONS_VALUE, "interactions-value", schema_interactions_value},
    {SCHEMA_ITEM_CONTENT_VALUE, "item-content-value", schema_item_content_value},
    {SCHEMA_SEMANTIC_IDS_VALUE, "semantic-ids-value", schema_semantic_ids_value},
    {SCHEMA_ROW_KEY, "ranker-deltas-key", schema_row_key},
    {SCHEMA_ROW_VALUE, "ranker-deltas-value", schema_row_value},
    {SCHEMA_ROW_KEY, "changelog-key", schema_row_key},
    {SCHEMA_ROW_VALUE, "changelog-value", schema_row_value},
    {SCHEMA_CODEBOOKS_KEY, "codebooks-key", schema_codebooks_key},
    {SCHEMA_CODEBOOKS_VALUE, "codebooks-value", schema_codebooks_value},
    {SCHEMA_EPOCHS_KEY, "epochs-key", schema_epochs_key},
    {SCHEMA_EPOCHS_VALUE, "epochs-value", schema_epochs_value},
};
#define SHIPPED_COUNT (sizeof shipped / sizeof shipped[0])

const struct writer_schema *codec_shipped_schemas(uint32_t *count) {
    *count = SHIPPED_COUNT;
    return shipped;
}

bool schema_of_subject(const char *subject, enum schema_id *out) {
    for (size_t i = 0; i < SHIPPED_COUNT; i++)
        if (strcmp(shipped[i].subject, subject) == 0) {
            *out = (enum schema_id)shipped[i].id;
            return true;
        }
    return false;
}

static const struct writer_schema *shipped_with_id(enum schema_id id) {
    for (size_t i = 0; i < SHIPPED_COUNT; i++)
        if (shipped[i].id == (int32_t)id)
            return &shipped[i];
    assert_failed("an id of enum schema_id", __FILE__, __LINE__);
}

const char *schema_json(enum schema_id id) {
    return shipped_with_id(id)->json;
}
const char *schema_subject(enum schema_id id) {
    return shipped_with_id(id)->subject;
}
const char *schema_recording_json(void) {
    return schema_recording;
}
