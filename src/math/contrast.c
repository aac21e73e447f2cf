#include "math/contrast.h"

#include "math/gather.h"
#include "math/layers.h"
#include "math/matmul.h"
#include "math/simd.h"
#include "math/vector.h"
#include <string.h>

#define LENGTH_EPSILON 1e-6f /* under the root, so that a vector of zeros has a direction */
#define SUM_EPSILON 1e-12f   /* of an item without negatives */

/* Rows with at least one positive, gathered; only they have a loss. */
static size_t find_anchors(const struct contrast *c) {
    size_t n = c->items, found = 0;
    for (size_t i = 0; i < n; i++) {
        if (memchr(c->positive + i * n, 1, n) == NULL)
            continue;
        memcpy(c->anchors + found * c->width, c->unit + i * c->width, c->width * sizeof *c->unit);
        c->anchor[found++] = (uint32_t)i;
    }
    return found;
}

/* The weights of what is no negative of the anchor: 0. Returns how many positives it has. */
static SIMD_CLONES size_t keep_negatives(size_t n, const uint8_t *restrict positive,
                                         float *restrict weights) {
    uint32_t count = 0;
    for (size_t j = 0; j < n; j++) {
        weights[j] = positive[j] ? 0.0f : weights[j];
        count += positive[j];
    }
    return count;
}

/* One anchor's loss. Its row of cosines becomes `scale` times the gradient by them. All exponents are taken less the
 * largest that is possible. */
static float anchor_loss(const struct contrast *c, size_t anchor, float scale, float *row) {
    size_t n = c->items, stride = contrast_stride(n);
    const uint8_t *positive = c->positive + anchor * n;
    float top = 1.0f / c->temperature, loss = 0.0f, pull = 0.0f, sum = SUM_EPSILON;
    for (size_t j = 0; j < stride; j++)
        c->weights[j] = row[j] * top - top;
    vector_exp(stride, c->weights, c->weights);
    size_t count = keep_negatives(n, positive, c->weights);
    c->weights[anchor] = 0.0f;
    for (size_t j = 0; j < n; j++)
        sum += c->weights[j];
    float share = scale * top / (float)count;
    for (size_t j = 0; j < n; j++)
        if (positive[j]) {
            float own = exp_f32(row[j] * top - top), others = sum / (sum + own);
            loss -= log_f32(own / (sum + own));
            pull += others;
            row[j] = -share * others;
        }
    float push = share * pull / sum;
    for (size_t j = 0; j < n; j++)
        row[j] = positive[j] ? row[j] : push * c->weights[j];
    return loss / (float)count;
}

float contrast_loss(const struct contrast *c, float scale, float *dx) {
    size_t n = c->items, d = c->width, stride = contrast_stride(n);
    normalise_forward(n, d, LENGTH_EPSILON, c->x, c->unit, c->inverse);
    size_t anchors = find_anchors(c);
    if (anchors == 0)
        return 0.0f;
    memset(c->transposed, 0, d * stride * sizeof *c->transposed);
    transpose(n, d, c->unit, d, c->transposed, stride);
    matmul(anchors, stride, d, c->anchors, d, c->transposed, stride, c->scores, stride);
    float loss = 0.0f;
    for (size_t a = 0; a < anchors; a++)
        loss += anchor_loss(c, c->anchor[a], scale / (float)anchors, c->scores + a * stride);
    memset(c->dunit, 0, n * d * sizeof *c->dunit);
    matmul(anchors, d, n, c->scores, stride, c->unit, d, c->danchors, d);
    scatter_add(anchors, d, c->anchor, c->danchors, d, c->dunit);
    matmul_transposed_add(n, d, anchors, c->scores, stride, c->anchors, d, c->dunit, d);
    normalise_backward(n, d, c->unit, c->inverse, c->dunit, dx);
    return loss / (float)anchors;
}
