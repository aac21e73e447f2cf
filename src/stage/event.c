#include "stage/event.h"
#include "base/error.h"
#include <string.h>

#include "base/poison.h"

static const char *const topic_names[TOPIC_COUNT] = {
    [TOPIC_ITEM_CONTENT] = "item-content",
    [TOPIC_INTERACTIONS] = "interactions",
    [TOPIC_SEMANTIC_IDS] = "semantic-ids",
    [TOPIC_RANKER_DELTAS] = "ranker-deltas",
    [TOPIC_CHANGELOG] = "changelog",
    [TOPIC_CODEBOOKS] = "codebooks",
    [TOPIC_EPOCHS] = "epochs",
    [TOPIC_DEAD_LETTER] = "dead-letter",
};

/* A contract: they are the dead letters' `reason` headers and the metrics' labels. */
static const char *const reason_names[DEAD_REASON_COUNT] = {
    [DEAD_DAMAGED] = "damaged",
    [DEAD_WIRE] = "wire",
    [DEAD_SCHEMA] = "schema",
    [DEAD_DECODE] = "decode",
    [DEAD_KEY] = "key",
    [DEAD_ID] = "id",
    [DEAD_TIME] = "time",
    [DEAD_VECTOR] = "vector",
    [DEAD_LABEL] = "label",
    [DEAD_DUPLICATE] = "duplicate",
    [DEAD_STALE] = "stale",
    [DEAD_LATE] = "late",
    [DEAD_UNKNOWN_ITEM] = "unknown-item",
};

bool topic_has_rows(enum topic topic) {
    return topic == TOPIC_SEMANTIC_IDS || topic == TOPIC_RANKER_DELTAS ||
           topic == TOPIC_CHANGELOG || topic == TOPIC_CODEBOOKS;
}

const char *topic_name(enum topic topic) {
    ASSERT(topic < TOPIC_COUNT);
    return topic_names[topic];
}

bool topic_of_name(struct bytes name, enum topic *out) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        if (bytes_equal(name, bytes_text(topic_names[topic]))) {
            *out = (enum topic)topic;
            return true;
        }
    return false;
}

struct bytes record_header(const struct record *record, const char *name) {
    for (uint32_t h = 0; h < record->header_count; h++)
        if (bytes_equal(record->headers[h].key, bytes_text(name)))
            return record->headers[h].value;
    return bytes_text("");
}

const char *dead_reason_name(enum dead_reason reason) {
    ASSERT(reason < DEAD_REASON_COUNT);
    return reason_names[reason];
}

const struct table_state *manifest_table(const struct manifest *manifest, const char *table) {
    for (uint32_t i = 0; i < manifest->table_count; i++)
        if (strcmp(manifest->tables[i].name, table) == 0)
            return &manifest->tables[i];
    return NULL;
}

bool manifest_digest(void *manifest, const char *table, struct digest *out) {
    const struct table_state *state = manifest_table(manifest, table);
    if (state != NULL)
        *out = state->digest;
    return state != NULL;
}
