#include "cli/shipped.h"
#include "codec/codec.h"
#include <string.h>

static bool is_input(const struct writer_schema *schema) {
    return schema->id == SCHEMA_INTERACTIONS_VALUE || schema->id == SCHEMA_ITEM_CONTENT_VALUE;
}

uint32_t shipped_schemas(bool inputs, struct recorded_schema *out) {
    uint32_t count, kept = 0;
    const struct writer_schema *shipped = codec_shipped_schemas(&count);
    for (uint32_t i = 0; i < count; i++) {
        if (is_input(&shipped[i]) != inputs)
            continue;
        ASSERT(kept < RECORDED_SCHEMAS_MAX &&
               strlen(shipped[i].subject) < sizeof out[kept].subject);
        out[kept].id = shipped[i].id;
        strcpy(out[kept].subject, shipped[i].subject);
        out[kept++].json = shipped[i].json;
    }
    return kept;
}
