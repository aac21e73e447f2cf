/* Two replays of one recording, compared on the same events: the paired bootstrap by user. Users, not events, are drawn: a user's events
 * hang together, and to draw them one by one would make the intervals too narrow. */
#ifndef CLI_PAIRED_H
#define CLI_PAIRED_H

#include "base/arena.h"
#include "model/model.h"

#define PAIRED_RESAMPLES 1000
#define PAIRED_GROUPS 8192 /* users are drawn in so many groups, by a hash of their id */

enum paired_metric { PAIRED_AUC, PAIRED_AUC_COLD, PAIRED_GAUC, PAIRED_METRICS };

/* All of B minus A. NaN where one class is missing. */
struct paired_interval {
    double a, b;      /* from 64 bins of the logit per user */
    double low, high; /* the middle 95 % of B - A over the resamples */
    double better;    /* share of resamples in which B is higher */
};
struct paired_result {
    uint64_t users; /* with a score after the warm-up */
    struct paired_interval metrics[PAIRED_METRICS];
};

/* Memory from `arena`, about 34 MB. Deterministic in (seed, the two states). FATAL EX_DATAERR when the two have not scored the same events of
 * the same users: then there are no pairs. */
enum status paired_compare(const struct model *a, const struct model *b, uint64_t seed,
                           struct arena *arena, struct paired_result *out, struct error *err);

#endif
