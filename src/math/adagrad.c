#include "math/adagrad.h"

#include "math/lanes.h"
#include "math/simd.h"
#include <math.h>

SIMD_CLONES void adagrad_dense(size_t n, float rate, float scale, const float *restrict gradients,
                               float *restrict accumulators, float *restrict values) {
    for (size_t i = 0; i < n; i++) {
        float g = scale * gradients[i];
        accumulators[i] += g * g;
        values[i] -= rate * g / sqrtf(accumulators[i]);
    }
}

SIMD_CLONES void adagrad_row(size_t n, float rate, const float *restrict gradients,
                             float *restrict accumulator, float *restrict values) {
    float sum = *accumulator + lanes_dot(n, gradients, gradients) / (float)n;
    float scale = -rate / sqrtf(sum);
    *accumulator = sum;
    for (size_t i = 0; i < n; i++)
        values[i] += scale * gradients[i];
}
