/* AUC from counts in bins of rising score: pairs (positive, negative) in which the positive scored higher, ties one half. */
#ifndef MODEL_PAIRS_H
#define MODEL_PAIRS_H

#include <math.h>

struct pairs {
    double negatives, positives, won;
};
static inline void pairs_add(struct pairs *p, double negatives, double positives) {
    p->won += positives * (p->negatives + 0.5 * negatives);
    p->negatives += negatives;
    p->positives += positives;
}
/* NaN where one class is missing. */
static inline double pairs_auc(const struct pairs *p) {
    double all = p->negatives * p->positives;
    return all > 0 ? p->won / all : (double)NAN;
}

#endif
