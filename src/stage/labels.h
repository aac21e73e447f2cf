/* From interactions to labelled samples (DESIGN section 2):
 *
 *   given    the record has a label: one sample, whatever its action.
 *   joined   an IMPRESSION waits in the table `impressions` for a CLICK, CART or PURCHASE of the
 *            same user, item and request with an event time in [impression, impression +
 *            join_window_ms]: label 1 when it comes, 0 when the watermark passes the window's end.
 *            The sample has the impression's time.
 *   sampled  a click (cart, purchase) without label, while the stage has never seen an impression
 *            without label: one sample with label 1, then `negatives` with label 0. A share of
 *            them comes from the recent clicks (by popularity), the others uniformly from the live
 *            listings; drawn by (seed, topic, partition, offset).
 *
 * Watermark: the minimum over the partitions of `interactions` that are not idle of (largest event
 * time - lateness_ms); it never goes back. Idle: more than idle_ms of event time behind the
 * furthest partition. Listings do not move it, or a catalogue that is read ahead of a backlog of
 * interactions would make all of these late.
 *
 * Out of order: within the watermark the arrival order makes no difference to the samples, only to
 * their order, as in a stream-stream join of Kafka Streams or Flink.
 *   - A click that comes before its impression is held until the watermark passes it. If no
 *     impression has come by then it gives no sample and is counted as unmatched, like the right
 *     side of their left join. It is no positive sample by itself: its share of negatives is lost
 *     with its impression, so it would only tilt the calibration.
 *   - An impression behind the watermark is late (DEAD_LATE): its clicks may have been dropped. One
 *     that waited for its item is not (labels_apply_released): its clicks waited with it.
 *   - A click behind the watermark joins as long as its impression waits (as in Kafka Streams the
 *     window is what closes), else it is late (DEAD_LATE).
 *   - A further click on an impression that has its sample does nothing; it is no dead letter.
 *   - Given labels and sampled clicks are never late.
 *
 * Repeats:
 *   - An impression within join_window_ms of another one of the same user, item and request is
 *     DEAD_DUPLICATE while that one's window is open. So without a request_id, two showings in that
 *     time are taken for one.
 *   - An interaction with a request_id that has the user, item, action, event time, request_id and
 *     position of an earlier one is DEAD_DUPLICATE, until the watermark passes its event time +
 *     join_window_ms or duplicate_rows_max later ones pushed it out. An empty request_id is none.
 *
 * Bounds: when join_rows_max rows wait, the one whose window ends first is closed at once (label 0
 * if it is an impression) and counted in windows_cut. An impression whose item is delisted while it
 * waits gives no sample. After a change of join_window_ms, impressions from before find no clicks.
 *
 * State is rows of the tables labels, watermarks, impressions, recent (clicks) and seen (repeats),
 * which are added here. */
#ifndef STAGE_LABELS_H
#define STAGE_LABELS_H

#include "stage/stage.h"

struct labels;

/* Called for each sample in order. */
struct sample_port {
    void *self;
    enum status (*take)(void *self, const struct sample *sample, struct error *err);
};

/* The tables are added to `set`; `model` is borrowed. */
enum status labels_create(struct labels **out, const struct stage_config *config, uint64_t seed,
                          struct model *model, struct tables *set, struct arena *arena,
                          struct error *err);
/* After restore or rollback: rebuilds the queue of deadlines and whatever else is derived from
 * rows. */
enum status labels_refresh(struct labels *labels, struct error *err);

/* How many samples labels_apply of this interaction will give as things stand (no state is
 * changed): 0 for impressions, unless their click came before them or they push another one out.
 * An upper bound: a negative may find no item, and the item of a waiting impression may be gone.
 * Only what labels_apply and labels_advance change has a say, not the listings: so epochs that are
 * formed by it close at the same place whatever was listed or delisted meanwhile. */
uint32_t labels_expected(const struct labels *labels, const struct interaction *interaction);

/* Applies one checked interaction on an item that has a row. BAD_RECORD with *reason
 * (DEAD_DUPLICATE, DEAD_LATE) leaves the state as it was. `record` keys the random draws. */
enum status labels_apply(struct labels *labels, const struct record *record,
                         const struct interaction *interaction, uint32_t item_row,
                         struct sample_port samples, enum dead_reason *reason, struct error *err);

/* The same for an interaction that waited for its item while the watermark went on. An impression
 * is not late then: it waits, even when its window has passed, until labels_advance moves the
 * watermark next, so that its clicks, which waited with it and come after it, join it. A click
 * behind the watermark whose impression does not wait is late as ever. */
enum status labels_apply_released(struct labels *labels, const struct record *record,
                                  const struct interaction *interaction, uint32_t item_row,
                                  struct sample_port samples, enum dead_reason *reason,
                                  struct error *err);

/* Advances event time for the record's partition, then emits the impressions whose window the
 * watermark has passed, in order of (deadline, arrival). Call for every interaction that
 * passed its checks; before or after labels_apply of the same record is the same to its labels.
 * Records of other topics than `interactions` change nothing. */
enum status labels_advance(struct labels *labels, const struct record *record,
                           int64_t event_time_ms, struct sample_port samples, struct error *err);
/* INT64_MIN before the first event. */
int64_t labels_watermark(const struct labels *labels);

/* Since the stage began; they are state. */
struct labels_totals {
    uint64_t impressions;      /* without label: joins are in use from the first on */
    uint64_t clicks_sampled;   /* clicks that got negatives */
    uint64_t clicks_unmatched; /* held clicks without impression; those of one user, item and
                                  request close together count once */
    uint64_t items_gone;       /* samples not given because the item was delisted */
    uint64_t windows_cut;      /* closed early, unmatched: join_rows_max rows waited */
};
void labels_totals(const struct labels *labels, struct labels_totals *out);

#endif
