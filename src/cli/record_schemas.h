/* The writers' schemas that a recording carries when the inputs' ids are a registry's: a replay has no registry. */
#ifndef CLI_RECORD_SCHEMAS_H
#define CLI_RECORD_SCHEMAS_H

#include "cli/session.h"

/* Those that the input records in DIR name and that can be read, as out[0 .. *count). Texts are the registry's. RETRY: the registry is away. */
enum status record_schemas(struct session *session, const char *dir,
                           const int32_t partitions[TOPIC_COUNT],
                           struct recorded_schema out[RECORDED_SCHEMAS_MAX], uint32_t *count,
                           struct error *err);

#endif
