#include "math/transfer.h"

#include "math/layers.h"
#include "math/matmul.h"
#include "math/simd.h"
#include "math/vector.h"
#include <string.h>

void gate_forward(const struct gate *g, size_t n, const float *x, float *hidden, float *out) {
    for (size_t i = 0; i < n; i++)
        memcpy(hidden + i * g->hidden, g->b1, g->hidden * sizeof *hidden);
    matmul_add(n, g->hidden, g->inputs, x, g->inputs, g->w1, g->hidden, hidden, g->hidden);
    relu_forward(n * g->hidden, hidden);
    for (size_t i = 0; i < n; i++)
        out[i] = -(vector_dot(g->hidden, hidden + i * g->hidden, g->w2) + g->b2[0]);
    vector_exp(n, out, out);
    for (size_t i = 0; i < n; i++)
        out[i] = 1.0f / (1.0f + out[i]);
}

void gate_backward(const struct gate *g, size_t n, const float *x, const float *hidden,
                   const float *out, const float *dout, const struct gate_gradients *gradients) {
    for (size_t i = 0; i < n; i++) {
        float dlogit = dout[i] * out[i] * (1.0f - out[i]);
        float *dhidden = gradients->hidden + i * g->hidden;
        for (size_t j = 0; j < g->hidden; j++)
            dhidden[j] = dlogit * g->w2[j];
        vector_add_scaled(g->hidden, dlogit, hidden + i * g->hidden, gradients->w2);
        gradients->b2[0] += dlogit;
    }
    relu_backward(n * g->hidden, hidden, gradients->hidden);
    for (size_t i = 0; i < n; i++)
        vector_add(g->hidden, gradients->hidden + i * g->hidden, gradients->b1);
    matmul_transposed_add(g->inputs, g->hidden, n, x, g->inputs, gradients->hidden, g->hidden,
                          gradients->w1, g->hidden);
}

SIMD_CLONES void blend_forward(size_t n, size_t d, const float *restrict gate,
                               const float *restrict id, const float *restrict rq,
                               const float *restrict opq, float share, float *restrict out) {
    for (size_t i = 0; i < n; i++) {
        float t = gate[i], s = 1.0f - gate[i];
        for (size_t j = i * d; j < (i + 1) * d; j++)
            out[j] = t * id[j] + s * rq[j];
    }
    for (size_t j = 0; opq && j < n * d; j++)
        out[j] += share * opq[j];
}

SIMD_CLONES void blend_backward(size_t n, size_t d, const float *restrict gate,
                                const float *restrict id, const float *restrict rq, float share,
                                const float *restrict dout, float *restrict did,
                                float *restrict drq, float *restrict dopq, float *restrict dgate) {
    for (size_t i = 0; i < n; i++) {
        float t = gate[i], s = 1.0f - gate[i];
        for (size_t j = i * d; j < (i + 1) * d; j++) {
            did[j] = t * dout[j];
            drq[j] = s * dout[j];
        }
        dgate[i] =
            vector_dot(d, dout + i * d, id + i * d) - vector_dot(d, dout + i * d, rq + i * d);
    }
    for (size_t j = 0; dopq && j < n * d; j++)
        dopq[j] = share * dout[j];
}

/* p [d] = softmax(x), log_p [d] its logarithm. */
static void log_softmax(size_t d, const float *x, float *p, float *log_p) {
    float largest = x[0], sum = 0.0f;
    for (size_t j = 1; j < d; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (size_t j = 0; j < d; j++)
        log_p[j] = x[j] - largest;
    vector_exp(d, log_p, p);
    for (size_t j = 0; j < d; j++)
        sum += p[j];
    float log_sum = log_f32(sum), inverse = 1.0f / sum;
    for (size_t j = 0; j < d; j++) {
        p[j] *= inverse;
        log_p[j] -= log_sum;
    }
}

void transfer_loss(size_t n, size_t d, const float *gate, const float *weight, const float *id,
                   const float *rq, float *scratch, float *loss, float *did, float *drq) {
    float *p = scratch, *log_p = p + d, *q = log_p + d, *log_q = q + d;
    for (size_t i = 0; i < n; i++) {
        loss[i] = 0.0f;
        if (weight[i] == 0.0f)
            continue;
        log_softmax(d, id + i * d, p, log_p);
        log_softmax(d, rq + i * d, q, log_q);
        for (size_t j = 0; j < d; j++)
            loss[i] += p[j] * (log_p[j] - log_q[j]);
        float to_rq = weight[i] * gate[i], to_id = weight[i] * (1.0f - gate[i]);
        for (size_t j = 0; j < d; j++) {
            drq[i * d + j] += to_rq * (q[j] - p[j]);
            did[i * d + j] += to_id * p[j] * (log_p[j] - log_q[j] - loss[i]);
        }
    }
}
