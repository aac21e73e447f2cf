/* The ranker's layers: forward/backward pairs on the caller's buffers, all row-major float32,
 * shapes in comments. Fixed order of operations throughout (math/matmul.h), so an event's
 * activations have the same bits alone and in any batch. Backward functions say of each gradient
 * whether they set it or add to it. */
#ifndef MATH_LAYERS_H
#define MATH_LAYERS_H

#include <stddef.h>

/* unit [n, d] = x / sqrt(|x|^2 + epsilon), row by row; inverse [n] = 1 / sqrt(|x|^2 + epsilon),
 * kept for backward. */
void normalise_forward(size_t n, size_t d, float epsilon, const float *x, float *unit,
                       float *inverse);
/* dx [n, d] is added to. */
void normalise_backward(size_t n, size_t d, const float *unit, const float *inverse,
                        const float *dunit, float *dx);

/* Target attention of n queries over the h items of one history (DIN's role; the four of SaviorRec 2.4
 * are two spaces of queries and keys, each with two kinds of values):
 *   scores = query key',  weights = softmax(sharpness * scores),  out_k = weights value_k
 * h == 0 gives out = 0. Rows of scores and weights have attention_stride(h) elements; those beyond
 * h are zero. */
#define ATTENTION_VALUES_MAX 2
struct attention {
    size_t queries, items, width; /* n, h, d */
    size_t values;                /* 1 .. ATTENTION_VALUES_MAX */
    float sharpness;
    const float *query;                       /* [n, d] */
    const float *key;                         /* [h, d] */
    const float *value[ATTENTION_VALUES_MAX]; /* [h, d] */
    float *scores;                            /* [n, stride], kept for backward */
    float *weights;                           /* [n, stride], kept for backward */
    float *scratch;                           /* [d, stride]: key' or value' */
};
struct attention_gradients {
    float *query;                       /* [n, d], set */
    float *key;                         /* [h, d], added to */
    float *value[ATTENTION_VALUES_MAX]; /* [h, d], added to */
    float *sharpness;                   /* [1], added to */
    float *scores;                      /* [n, stride], scratch */
};
static inline size_t attention_stride(size_t items) {
    return (items + 15) / 16 * 16;
}
/* out[k]: n rows of d elements, ldout apart. */
void attention_forward(const struct attention *attention, float *const out[], size_t ldout);
/* dout[k]: rows as above */
void attention_backward(const struct attention *attention, const float *const dout[], size_t lddout,
                        const struct attention_gradients *gradients);

/* One level of Fuse. concat(e_1, e_2, e_3) F is the sum over levels of e_l F_l, where F_l [d, d] is
 * the l-th block of F's rows: so each distinct row of a level's table is projected once, however
 * many items share it.
 *   out [n, d] = rows [n, d] block [d, d] */
void fuse_forward(size_t n, size_t d, const float *rows, const float *block, float *out);
/* drows [n, d] is set, dblock [d, d] is added to; scratch [d, d]. */
void fuse_backward(size_t n, size_t d, const float *rows, const float *block, const float *dout,
                   float *scratch, float *drows, float *dblock);

/* x [count] = max(x, 0), and back: dx is 0 where x is. */
void relu_forward(size_t count, float *x);
void relu_backward(size_t count, const float *x, float *dx);

/* logit = relu(relu(x w1 + b1) w2 + b2) w3 + b3 */
struct dnn {
    size_t inputs, hidden[2];
    size_t stride;        /* of x and dx, >= inputs; a multiple of 16 is fast */
    const float *w1, *b1; /* [inputs, hidden 0] [hidden 0] */
    const float *w2, *b2; /* [hidden 0, hidden 1] [hidden 1] */
    const float *w3, *b3; /* [hidden 1] [1] */
};
struct dnn_gradients {
    float *w1, *b1, *w2, *b2, *w3, *b3; /* shapes as above, added to */
    float *x;                           /* [n, stride], set */
    float *hidden[2];                   /* [n, hidden 0] [n, hidden 1], scratch */
    float *transposed[2];               /* [hidden 0, stride] [hidden 1, hidden 0], scratch */
};
/* x [n, stride]; hidden [n, hidden 0] [n, hidden 1], kept for backward; logits [n]. */
void dnn_forward(const struct dnn *dnn, size_t n, const float *x, float *const hidden[2],
                 float *logits);
/* dlogits [n] */
void dnn_backward(const struct dnn *dnn, size_t n, const float *x, float *const hidden[2],
                  const float *dlogits, const struct dnn_gradients *gradients);

/* loss [n] = log(1 + e^logit) - label * logit
 * dlogits [n] = sigmoid(logit) - label, its derivative */
void bce_forward(size_t n, const float *logits, const float *labels, float *loss);
void bce_backward(size_t n, const float *logits, const float *labels, float *dlogits);

#endif
