/* Eight floats at once, in the compilers' own vector types: one AVX register, or two SSE ones. For
 * the kernels of math only. Each lane is computed like a single float (no fused multiply-add), so
 * results do not depend on the CPU. */
#ifndef MATH_LANES_H
#define MATH_LANES_H

#include <stddef.h>

#define LANES 8

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float lanes_unaligned
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* Macros: a function that takes a vector has another calling convention on each CPU. */
#define LANES_LOAD(from) (*(const lanes_unaligned *)(from))
#define LANES_STORE(to, value) (*(lanes_unaligned *)(to) = (value))
/* x - 0 is x for every x (-0 + 0 is not -0), so that the compiler may drop the subtraction. */
#define LANES_OF(x) ((x) - (lanes){0})

#define LANES_INLINE static inline __attribute__((always_inline))

/* vector_dot() of math/vector.h, for kernels that have it in an inner loop. */
LANES_INLINE float lanes_dot(size_t n, const float *a, const float *b) {
    lanes even = {0}, odd = {0};
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even += LANES_LOAD(a + i) * LANES_LOAD(b + i);
        odd += LANES_LOAD(a + i + LANES) * LANES_LOAD(b + i + LANES);
    }
    float sum[LANES], rest = 0.0f;
    for (; i < n; i++)
        rest += a[i] * b[i];
    LANES_STORE(sum, even + odd);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
}

#endif
