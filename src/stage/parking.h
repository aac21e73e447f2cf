/* Interactions with an item that has no row: on live topics they race with its listing (DESIGN
 * section 8). They wait as rows of the table `parked`, raw as they came, for parking_ms of stream
 * time. When the item has a row, or when the time is over, the stage gets the record back, decodes
 * it again and goes on with it. Headers of the record are not kept. */
#ifndef STAGE_PARKING_H
#define STAGE_PARKING_H

#include "stage/delisted.h"

struct parking;

/* Called for each record that leaves. It is borrowed for the call, which may change any table but
 * those of the parking. Any status but OK ends the call that made it and is passed on; the record
 * then still waits. */
struct parking_port {
    void *self;
    enum status (*take)(void *self, const struct record *record, struct error *err);
};

/* Adds the tables `parking` and `parked`; parking_rows_max == 0 parks nothing. `model` is borrowed.
 */
enum status parking_create(struct parking **out, const struct stage_config *config,
                           const struct model_config *model_config, const struct model *model,
                           struct tables *set, struct arena *arena, struct error *err);
/* After restore or rollback: rebuilds what is derived from rows. */
enum status parking_refresh(struct parking *parking, struct error *err);

/* The record waits until stream time passes stream_ms + parking_ms. item_id: 1 .. id_bytes_max
 * bytes. BAD_RECORD (the reason is DEAD_UNKNOWN_ITEM), and nothing changed, when its key or value
 * is longer than parking_bytes_max or parking_rows_max records wait. */
enum status parking_add(struct parking *parking, const struct record *record, struct bytes item_id,
                        int64_t stream_ms, struct error *err);

/* Hands out the records whose item has a row in the model now, in the order in which they came.
 * Looks every waiting record's item up: for once in an epoch, not for each listing. */
enum status parking_release_listed(struct parking *parking, struct parking_port port,
                                   struct error *err);
/* Hands out the records whose item is remembered as delisted, in the order in which they came.
 * Looks every waiting record's item up, too. */
enum status parking_release_delisted(struct parking *parking, const struct delisted *delisted,
                                     struct parking_port port, struct error *err);
/* Hands out the records whose deadline is before stream_ms, in order of (deadline, arrival). */
enum status parking_expire(struct parking *parking, int64_t stream_ms, struct parking_port port,
                           struct error *err);

uint32_t parking_count(const struct parking *parking);

#endif
