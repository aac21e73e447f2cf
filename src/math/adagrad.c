#include "math/adagrad.h"

#include "math/simd.h"
#include "math/vector.h"
#include <math.h>

SIMD_CLONES void adagrad_dense(size_t n, float rate, float scale, const float *restrict gradients,
                               float *restrict accumulators, float *restrict values) {
    for (size_t i = 0; i < n; i++) {
        float g = scale * gradients[i];
        accumulators[i] += g * g;
        values[i] -= rate * g / sqrtf(accumulators[i]);
    }
}

void adagrad_row(size_t n, float rate, const float *gradients, float *accumulator, float *values) {
    *accumulator += vector_dot(n, gradients, gradients) / (float)n;
    vector_add_scaled(n, -rate / sqrtf(*accumulator), gradients, values);
}
