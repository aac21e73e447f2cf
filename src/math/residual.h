/* MBA (SaviorRec 2.3): a residual on the frozen content vector, trained in the ranker, and the
 * projection into the ranker's modal view, as one layer:
 *   m = z~ Wz,  z~ = z + tanh(h) M2,  h = sum over levels of a_l M1_l   (the concatenation times M1)
 * computed as z Wz + tanh(h) (M2 Wz), so that z~, Dz wide, is never formed. There are no biases: with a_l = 0
 * z~ is z. */
#ifndef MATH_RESIDUAL_H
#define MATH_RESIDUAL_H

#include <stddef.h>

struct residual {
    size_t items, content, hidden, width; /* n, Dz, h, d */
    const float *z;                       /* [n, Dz] */
    const float *wz;                      /* [Dz, d] */
    const float *m2;                      /* [h, Dz]; NULL: m = z Wz */
    float *tanh;                 /* [n, h]: h before forward, tanh(h) after it, kept for backward */
    float *product, *transposed; /* [h, d]: M2 Wz, kept for backward; [d, max(h, Dz)] scratch */
};
struct residual_gradients {
    float *wz, *m2; /* added to */
    float *product; /* [h, d] scratch */
    float *h;       /* [n, h] set */
};
/* m [n, d] */
void residual_forward(const struct residual *residual, float *m);
/* dm [n, d]. z is frozen: it has no gradient. */
void residual_backward(const struct residual *residual, const float *dm,
                       const struct residual_gradients *gradients);

#endif
