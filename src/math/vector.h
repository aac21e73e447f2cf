/* Vectors and elementary functions in a fixed order of operations: the same bits on every CPU, in
 * every build. (libm's expf and logf differ by CPU, and BLAS by core type.) No fused multiply-add
 * anywhere. */
#ifndef MATH_VECTOR_H
#define MATH_VECTOR_H

#include <stddef.h>

/* e^x: within 2 units in the last place; 0 below -104, infinity above 88.8, gradual underflow
 * between; NaN stays. */
float exp_f32(float x);
/* Natural logarithm: within 2 units in the last place; log(0) = -infinity, NaN below 0. */
float log_f32(float x);
/* log(1 + x), exact near 0 too: within 3 units in the last place; -infinity at -1, NaN below. */
float log1p_f32(float x);

/* out [n] = exp(x [n]), element by element the bits of exp_f32. out may be x. */
void vector_exp(size_t n, const float *x, float *out);
/* out [n] = tanh(x [n]): within 3 units in the last place; tanh(0) = 0, NaN stays. out may be x. */
void vector_tanh(size_t n, const float *x, float *out);
/* Sum of a[i] b[i]: 16 running sums, added pairwise at the end, then what is left over. */
float vector_dot(size_t n, const float *a, const float *b);
/* y [n] += scale * x [n] */
void vector_add_scaled(size_t n, float scale, const float *x, float *y);
/* y [n] += x [n] */
void vector_add(size_t n, const float *x, float *y);

#endif
