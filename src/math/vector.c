#include "math/vector.h"

#include "math/lanes.h"
#include "math/simd.h"
#include <stdint.h>
#include <string.h>

static inline float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* ln 2 in two parts: the first has 9 bits, so that its product with an exponent is exact. */
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define LOG2_E 1.44269504088896341f
/* Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits. */
#define TO_INTEGER 0x1.8p23f

/* x = k ln 2 + r, e^x = 2^k e^r; polynomial of Cephes' expf for |r| <= ln 2 / 2. 2^k in two
 * factors, so that the result may be subnormal. No branches: it vectorises. */
static inline float exp_kernel(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = x * LOG2_E + TO_INTEGER;
    float k = shifted - TO_INTEGER;
    float r = x - k * LN2_HIGH - k * LN2_LOW;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t exponent = bits_of(shifted) - bits_of(TO_INTEGER) + 254; /* k + 2 * 127, positive */
    uint32_t half = exponent >> 1;
    return p * float_of(half << 23) * float_of((exponent - half) << 23);
}

float exp_f32(float x) {
    return exp_kernel(x);
}

SIMD_CLONES void vector_exp(size_t n, const float *x, float *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = exp_kernel(x[i]);
}

/* Near 0 the odd polynomial of Cephes' tanhf, otherwise 1 - 2 / (e^2|x| + 1) with x's sign. */
static inline float tanh_kernel(float x) {
    float size = x < 0.0f ? -x : x, square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float near = p * square * x + x, far = 1.0f - 2.0f / (exp_kernel(size + size) + 1.0f);
    return size < 0.625f ? near : x < 0.0f ? -far : far;
}

SIMD_CLONES void vector_tanh(size_t n, const float *x, float *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = tanh_kernel(x[i]);
}

/* x = 2^k m, m in [sqrt(1/2), sqrt(2)): polynomial of Cephes' logf in m - 1. */
float log_f32(float x) {
    if (!(x > 0.0f))
        return x == 0.0f ? -__builtin_inff() : __builtin_nanf("");
    if (x == __builtin_inff())
        return x;
    int exponent = -126;
    if (x < 0x1p-126f) { /* subnormal */
        x *= 0x1p24f;
        exponent -= 24;
    }
    uint32_t bits = bits_of(x);
    exponent += (int)(bits >> 23);
    float m = float_of((bits & 0x007fffff) | 0x3f000000); /* in [0.5, 1) */
    if (m < 0.707106781186547524f) {
        exponent--;
        m += m;
    }
    m -= 1.0f;
    float square = m * m, k = (float)exponent;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (p * m * square + k * LN2_LOW - 0.5f * square) + k * LN2_HIGH;
}

/* What is lost in rounding 1 + x is put back to first order: log(u + c) = log(u) + c / u. */
float log1p_f32(float x) {
    float u = 1.0f + x;
    if (!(u > 0.0f) || u == __builtin_inff())
        return log_f32(u);
    float lost = x >= 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
    return log_f32(u) + lost / u;
}

SIMD_CLONES float vector_dot(size_t n, const float *a, const float *b) {
    return lanes_dot(n, a, b);
}

SIMD_CLONES void vector_add_scaled(size_t n, float scale, const float *restrict x,
                                   float *restrict y) {
    for (size_t i = 0; i < n; i++)
        y[i] += scale * x[i];
}

SIMD_CLONES void vector_add(size_t n, const float *restrict x, float *restrict y) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}
