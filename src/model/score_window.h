/* Prequential figures of the events between two moments: what the model's cumulative counts have gained since the last take. For
 * charts over time (report) and for what a running stage shows of its last minutes.
 *
 * AUC is exact in the 2^16 score bins that the evaluation keeps. NE and calibration of all events come from the sums in the model's state and
 * are exact; those of a part of them come from the middles of the bins (within 1e-4, a test).
 *
 * A take reads the bins once (6 x 2^16 counts of 8 bytes, whatever the number of items: about a millisecond) and is for the
 * thread that owns the model, between epochs. A window keeps 3 MB: the counts at its last take. */
#ifndef MODEL_SCORE_WINDOW_H
#define MODEL_SCORE_WINDOW_H

#include "model/model.h"

/* Of one part of a window's events. A figure is NaN where it has no meaning: AUC and NE with one class only, calibration (sum of the
 * predicted probabilities over the positives) without positives, gate where the variant learns none or there are no events. */
struct score_slice {
    uint64_t events, positives;
    double auc, ne, calibration;
    double gate; /* mean T of the events' items */
};
struct score_figures {
    struct score_slice all;
    struct score_slice cold,
        warm; /* fewer than 100 exposures of the item before the event; the rest */
    struct score_slice by_exposures[EXPOSURE_BUCKETS]; /* see exposure_bucket_names */
};

struct score_window;

/* Memory from `arena`. The first take is of everything the model has counted. */
enum status score_window_create(struct score_window **out, struct arena *arena, struct error *err);
/* The next take is of what comes from now on. Call it, too, when the model's state was replaced (restored). */
void score_window_start(struct score_window *window, const struct model *model);
/* The figures since the last take or start, which goes on. */
void score_window_look(const struct score_window *window, const struct model *model,
                       struct score_figures *out);
/* The same, and the next one begins here. The warm-up's events are in none. */
void score_window_take(struct score_window *window, const struct model *model,
                       struct score_figures *out);

#endif
