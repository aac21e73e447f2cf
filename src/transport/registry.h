/* A client of a Confluent-compatible Schema Registry: schemas by id, and a subject's latest. Answers are kept for as long as it lives; that an
 * id is unknown, for a minute. */
#ifndef TRANSPORT_REGISTRY_H
#define TRANSPORT_REGISTRY_H

#include "base/arena.h"
#include <stdint.h>

struct registry;

/* auth: "user:password", or NULL. Does not ask the registry yet. */
enum status registry_open(struct registry **out, const char *url, const char *auth,
                          struct error *err);
void registry_close(struct registry *registry);

/* The schema's text, borrowed for as long as the registry lives. BAD_RECORD: the registry has no such id, or it is no Avro schema. RETRY: it is
 * away, slow, or gives no sense; the call then waits a moment, and for half a second nothing is asked. FATAL EX_CONFIG: it does not let us in. */
enum status registry_schema(struct registry *registry, int32_t id, const char **json,
                            struct error *err);
/* The latest version of a subject; BAD_RECORD: there is no such subject. */
enum status registry_latest(struct registry *registry, const char *subject, int32_t *id,
                            const char **json, struct error *err);

#endif
