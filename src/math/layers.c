#include "math/layers.h"

#include "math/lanes.h"
#include "math/matmul.h"
#include "math/simd.h"
#include "math/vector.h"
#include <math.h>
#include <string.h>

SIMD_CLONES void normalise_forward(size_t n, size_t d, float epsilon, const float *restrict x,
                                   float *restrict unit, float *restrict inverse) {
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * d;
        float scale = 1.0f / sqrtf(lanes_dot(d, row, row) + epsilon);
        inverse[i] = scale;
        for (size_t j = 0; j < d; j++)
            unit[i * d + j] = scale * row[j];
    }
}

SIMD_CLONES void normalise_backward(size_t n, size_t d, const float *restrict unit,
                                    const float *restrict inverse, const float *restrict dunit,
                                    float *restrict dx) {
    for (size_t i = 0; i < n; i++) {
        const float *u = unit + i * d, *du = dunit + i * d;
        float scale = inverse[i], along = lanes_dot(d, u, du);
        for (size_t j = 0; j < d; j++)
            dx[i * d + j] += scale * (du[j] - along * u[j]);
    }
}

/* weights = sharpness * scores less the row's largest; beyond h the scores are 0, and do not count. */
static SIMD_CLONES void softmax_exponents(size_t n, size_t h, size_t stride, float sharpness,
                                          const float *restrict scores, float *restrict weights) {
    for (size_t i = 0; i < n; i++) {
        const float *from = scores + i * stride;
        float *to = weights + i * stride, largest = sharpness * from[0];
        for (size_t j = 0; j < stride; j++)
            to[j] = sharpness * from[j];
        for (size_t j = 1; j < h; j++)
            largest = to[j] > largest ? to[j] : largest;
        for (size_t j = 0; j < stride; j++)
            to[j] -= largest;
    }
}

/* Each row divided by its sum: 16 running sums, then pairwise. */
static SIMD_CLONES void softmax_divide(size_t n, size_t h, size_t stride, float *weights) {
    for (size_t i = 0; i < n; i++) {
        float *row = weights + i * stride, sum[LANES];
        lanes even = {0}, odd = {0};
        for (size_t j = h; j < stride; j++)
            row[j] = 0.0f;
        for (size_t j = 0; j < stride; j += 2 * LANES) {
            even += LANES_LOAD(row + j);
            odd += LANES_LOAD(row + j + LANES);
        }
        LANES_STORE(sum, even + odd);
        float scale = 1.0f / (((sum[0] + sum[4]) + (sum[1] + sum[5])) +
                              ((sum[2] + sum[6]) + (sum[3] + sum[7])));
        for (size_t j = 0; j < stride; j++)
            row[j] *= scale;
    }
}

/* Keys or values the other way round; zero beyond h. */
static void turn(const struct attention *a, const float *rows) {
    size_t stride = attention_stride(a->items);
    if (a->items < stride)
        memset(a->scratch, 0, a->width * stride * sizeof *a->scratch);
    transpose(a->items, a->width, rows, a->width, a->scratch, stride);
}

void attention_forward(const struct attention *a, float *const out[], size_t ldout) {
    size_t n = a->queries, h = a->items, d = a->width, stride = attention_stride(h);
    if (h == 0) {
        for (size_t k = 0; k < a->values; k++)
            for (size_t i = 0; i < n; i++)
                memset(out[k] + i * ldout, 0, d * sizeof *out[k]);
        return;
    }
    turn(a, a->key);
    matmul(n, stride, d, a->query, d, a->scratch, stride, a->scores, stride);
    softmax_exponents(n, h, stride, a->sharpness, a->scores, a->weights);
    vector_exp(n * stride, a->weights, a->weights);
    softmax_divide(n, h, stride, a->weights);
    for (size_t k = 0; k < a->values; k++)
        matmul(n, d, h, a->weights, stride, a->value[k], d, out[k], ldout);
}

/* Gradients of the weights become those of the scores. */
static SIMD_CLONES void softmax_backward(const struct attention *a, size_t stride,
                                         const struct attention_gradients *g) {
    for (size_t i = 0; i < a->queries; i++) {
        const float *weights = a->weights + i * stride;
        float *restrict dscores = g->scores + i * stride;
        float mean = lanes_dot(stride, weights, dscores);
        for (size_t j = 0; j < stride; j++)
            dscores[j] = weights[j] * (dscores[j] - mean);
        *g->sharpness += lanes_dot(stride, dscores, a->scores + i * stride);
        for (size_t j = 0; j < stride; j++)
            dscores[j] *= a->sharpness;
    }
}

void attention_backward(const struct attention *a, const float *const dout[], size_t lddout,
                        const struct attention_gradients *g) {
    size_t n = a->queries, h = a->items, d = a->width, stride = attention_stride(h);
    if (h == 0) {
        memset(g->query, 0, n * d * sizeof *g->query);
        return;
    }
    memset(g->scores, 0, n * stride * sizeof *g->scores); /* first: gradients of the weights */
    for (size_t k = 0; k < a->values; k++) {
        turn(a, a->value[k]);
        matmul_add(n, stride, d, dout[k], lddout, a->scratch, stride, g->scores, stride);
        matmul_transposed_add(h, d, n, a->weights, stride, dout[k], lddout, g->value[k], d);
    }
    softmax_backward(a, stride, g);
    matmul(n, d, h, g->scores, stride, a->key, d, g->query, d);
    matmul_transposed_add(h, d, n, g->scores, stride, a->query, d, g->key, d);
}

void fuse_forward(size_t n, size_t d, const float *rows, const float *block, float *out) {
    matmul(n, d, d, rows, d, block, d, out, d);
}

void fuse_backward(size_t n, size_t d, const float *rows, const float *block, const float *dout,
                   float *scratch, float *drows, float *dblock) {
    transpose(d, d, block, d, scratch, d);
    matmul(n, d, d, dout, d, scratch, d, drows, d);
    matmul_transposed_add(d, d, n, rows, d, dout, d, dblock, d);
}

SIMD_CLONES void relu_forward(size_t count, float *x) {
    for (size_t i = 0; i < count; i++)
        x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

SIMD_CLONES void relu_backward(size_t count, const float *x, float *dx) {
    for (size_t i = 0; i < count; i++)
        dx[i] = x[i] > 0.0f ? dx[i] : 0.0f;
}

/* out [n, outputs] = relu(x w + b) */
static void dense_forward(size_t n, size_t inputs, size_t ldx, size_t outputs, const float *x,
                          const float *w, const float *b, float *out) {
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * outputs, b, outputs * sizeof *out);
    matmul_add(n, outputs, inputs, x, ldx, w, outputs, out, outputs);
    relu_forward(n * outputs, out);
}

static SIMD_CLONES void add_rows(size_t n, size_t width, const float *restrict rows,
                                 float *restrict sum) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++)
            sum[j] += rows[i * width + j];
}

/* Of logit = hidden w3 + b3. */
static SIMD_CLONES void last_layer_backward(size_t n, size_t width, const float *restrict hidden,
                                            const float *restrict w3, const float *restrict dlogits,
                                            float *restrict dw3, float *restrict db3,
                                            float *restrict dhidden) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < width; j++) {
            dw3[j] += dlogits[i] * hidden[i * width + j];
            dhidden[i * width + j] = dlogits[i] * w3[j];
        }
        db3[0] += dlogits[i];
    }
}

void dnn_forward(const struct dnn *dnn, size_t n, const float *x, float *const hidden[2],
                 float *logits) {
    dense_forward(n, dnn->inputs, dnn->stride, dnn->hidden[0], x, dnn->w1, dnn->b1, hidden[0]);
    dense_forward(n, dnn->hidden[0], dnn->hidden[0], dnn->hidden[1], hidden[0], dnn->w2, dnn->b2,
                  hidden[1]);
    for (size_t i = 0; i < n; i++)
        logits[i] =
            vector_dot(dnn->hidden[1], hidden[1] + i * dnn->hidden[1], dnn->w3) + dnn->b3[0];
}

void dnn_backward(const struct dnn *dnn, size_t n, const float *x, float *const hidden[2],
                  const float *dlogits, const struct dnn_gradients *g) {
    size_t inputs = dnn->inputs, stride = dnn->stride, first = dnn->hidden[0],
           second = dnn->hidden[1];
    float *dfirst = g->hidden[0], *dsecond = g->hidden[1];
    last_layer_backward(n, second, hidden[1], dnn->w3, dlogits, g->w3, g->b3, dsecond);
    relu_backward(n * second, hidden[1], dsecond);
    matmul_transposed_add(first, second, n, hidden[0], first, dsecond, second, g->w2, second);
    add_rows(n, second, dsecond, g->b2);

    transpose(first, second, dnn->w2, second, g->transposed[1], first);
    matmul(n, first, second, dsecond, second, g->transposed[1], first, dfirst, first);
    relu_backward(n * first, hidden[0], dfirst);
    matmul_transposed_add(inputs, first, n, x, stride, dfirst, first, g->w1, first);
    add_rows(n, first, dfirst, g->b1);

    memset(g->transposed[0], 0, first * stride * sizeof *g->transposed[0]);
    transpose(inputs, first, dnn->w1, first, g->transposed[0], stride);
    matmul(n, stride, first, dfirst, first, g->transposed[0], stride, g->x, stride);
}

void bce_forward(size_t n, const float *logits, const float *labels, float *loss) {
    for (size_t i = 0; i < n; i++) {
        float positive = logits[i] > 0.0f ? logits[i] : 0.0f;
        loss[i] = positive - logits[i] * labels[i] + log1p_f32(exp_f32(-fabsf(logits[i])));
    }
}

void bce_backward(size_t n, const float *logits, const float *labels, float *dlogits) {
    for (size_t i = 0; i < n; i++) {
        float small = exp_f32(-fabsf(logits[i]));
        dlogits[i] = (logits[i] > 0.0f ? 1.0f : small) / (1.0f + small) - labels[i];
    }
}
