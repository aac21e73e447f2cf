#include "math/ema.h"

#include "math/simd.h"
#include "math/vector.h"

#define EMA_EPSILON 1e-6f

float ema_decay(float log_g, uint64_t events) {
    return exp_f32(log_g * (float)events);
}

SIMD_CLONES
void ema_update(size_t dims, float f, float kept, float w, const float *restrict x, float *n,
                float *restrict m) {
    float added = kept * w;
    *n = f * *n + added;
    for (size_t i = 0; i < dims; i++)
        m[i] = f * m[i] + added * x[i];
}

SIMD_CLONES
void ema_centroid(size_t dims, float n, const float *restrict m, float *restrict centroid) {
    float total = n + EMA_EPSILON;
    for (size_t i = 0; i < dims; i++)
        centroid[i] = m[i] / total;
}
