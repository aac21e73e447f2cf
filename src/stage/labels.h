/* From interactions to labelled samples (DESIGN section 2):
 *   given    the record has a label: one sample
 *   joined   an IMPRESSION waits in the table `impressions` for a CLICK, CART or PURCHASE of the same user, item and request within
 *            join_window_ms of event time: 1 when it comes, 0 when the watermark passes impression + window
 *   sampled  a click without label whose stage has never seen an impression: one sample with label 1 and `negatives` with label 0:
 *            a share from the recent clicks (by popularity), the others uniform over live listings; drawn by (seed, topic, partition, offset)
 * State (impressions that wait, watermarks, recent clicks, remembered request ids) is rows of tables added here. */
#ifndef STAGE_LABELS_H
#define STAGE_LABELS_H

#include "stage/stage.h"

struct labels;

/* Called for each sample in order. */
struct sample_port {
    void *self;
    enum status (*take)(void *self, const struct sample *sample, struct error *err);
};

enum status labels_create(struct labels **out, const struct stage_config *config, uint64_t seed, struct model *model,
                          struct tables *set, struct arena *arena, struct error *err);
/* After restore or rollback: rebuilds the queue of deadlines and whatever else is derived from rows. */
enum status labels_refresh(struct labels *labels, struct error *err);

/* How many samples this interaction will give if it is applied now (no state is changed): 0 for impressions. */
uint32_t labels_expected(const struct labels *labels, const struct interaction *interaction);

/* Applies one checked interaction on an item that has a row. BAD_RECORD with *reason (DEAD_DUPLICATE, DEAD_LATE) leaves the
 * state as it was. `record` keys the random draws. */
enum status labels_apply(struct labels *labels, const struct record *record, const struct interaction *interaction,
                         uint32_t item_row, struct sample_port samples, enum dead_reason *reason, struct error *err);

/* Advances event time for the record's partition, then emits the impressions whose window the watermark has passed, in order of
 * (deadline, arrival). Call for every record, also dead letters with a plausible time. */
enum status labels_advance(struct labels *labels, const struct record *record, int64_t event_time_ms, struct sample_port samples,
                           struct error *err);
int64_t labels_watermark(const struct labels *labels);

#endif
