/* What a finished replay knows of an item, a SID, an epoch, a table: as JSON objects, which the caller frees. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli/session.h"
#include <jansson.h>

/* Facts, SID and its history with reasons, the nearest items by SID and by embedding. FATAL EX_DATAERR when there is no such item. */
enum status inspect_item(struct session *session, const char *id, json_t **answer,
                         struct error *err);
/* The same of a running stage, without the history. NULL when there is no such item. */
json_t *inspect_live_item(const struct model *model, const char *id);
/* Items under a SID or the beginning of one, as "49", "49-21", "49-21-38", "49-21-38.13-18". FATAL EX_USAGE when it is none. */
enum status inspect_sid(struct session *session, const char *sid, json_t **answer,
                        struct error *err);
/* An epoch's manifest. FATAL EX_DATAERR when there is no such epoch. Reads only the epochs topic. */
enum status inspect_epoch(struct session *session, uint64_t epoch, json_t **answer,
                          struct error *err);
/* Rows and memory of a table, or of all (name NULL). FATAL EX_DATAERR when there is no such table. */
enum status inspect_table(struct session *session, const char *name, json_t **answer,
                          struct error *err);

#endif
