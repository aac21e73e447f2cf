/* InfoNCE among the items of a batch (SMILE 1.5): items that are near in OPQ space attract each
 * other's vectors, all others repel. */
#ifndef MATH_CONTRAST_H
#define MATH_CONTRAST_H

#include <stddef.h>
#include <stdint.h>

struct contrast {
    size_t items, width; /* n, d */
    float temperature;
    const float *x; /* [n, d] */
    const uint8_t
        *positive; /* [n, n] row i: 1 for the positives of i, otherwise 0; never i itself */
    /* scratch */
    float *unit, *dunit, *inverse; /* [n, d] [n, d] [n] */
    float *transposed;             /* [d, contrast_stride(n)] */
    float *anchors, *danchors;     /* [n, d] */
    float *scores;                 /* [n, contrast_stride(n)] */
    float *weights;                /* [contrast_stride(n)] */
    uint32_t *anchor;              /* [n] */
};
static inline size_t contrast_stride(size_t items) {
    return (items + 15) / 16 * 16;
}

/* Mean over the items i that have positives P(i) of
 *   - 1/|P(i)| sum_{p in P(i)} log [ e^s(i,p) / (e^s(i,p) + sum_{j not in P(i), j != i} e^s(i,j)) ],
 *   s(i,j) = cosine(x_i, x_j) / temperature;
 * 0 when none has. scale times the gradient is added to dx [n, d]. */
float contrast_loss(const struct contrast *contrast, float scale, float *dx);

#endif
