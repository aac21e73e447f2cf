/* Items that were taken back, remembered for a while. Content epochs overtake the interactions that
 * gather, and producers go on for a moment after a tombstone: interactions on such an item must not
 * be parked and then bring it back. An id is remembered until stream time passes its delisting +
 * the larger of parking_ms and one day, or until it is listed again. */
#ifndef STAGE_DELISTED_H
#define STAGE_DELISTED_H

#include "stage/stage.h"

struct delisted;

/* Adds the table `delisted`: a digest of the item id -> i64 deadline_ms, model_config->items_max rows. */
enum status delisted_create(struct delisted **out, const struct stage_config *config,
                            const struct model_config *model_config, struct tables *set,
                            struct arena *arena, struct error *err);

/* Of an id that is remembered already the later deadline stands. When the table is full, the id
 * with the earliest (deadline, digest) is forgotten. item_id: 1 .. id_bytes_max bytes. */
enum status delisted_remember(struct delisted *delisted, struct bytes item_id, int64_t delisted_ms,
                              struct error *err);
/* Whether the next new id pushes another one out. */
bool delisted_full(const struct delisted *delisted);
bool delisted_has(const struct delisted *delisted, struct bytes item_id);
/* Nothing when it is not remembered. */
void delisted_forget(struct delisted *delisted, struct bytes item_id);
/* Forgets all whose deadline is before stream_ms. Looks at every row: for once in an epoch. */
void delisted_expire(struct delisted *delisted, int64_t stream_ms);

#endif
