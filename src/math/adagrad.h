/* Adagrad updates (Duchi 2011), elementwise for dense tensors and with one accumulator a row for
 * tables. */
#ifndef MATH_ADAGRAD_H
#define MATH_ADAGRAD_H

#include <stddef.h>

/* g = scale * gradients; accumulators [n] += g^2; values [n] -= rate * g / sqrt(accumulators) */
void adagrad_dense(size_t n, float rate, float scale, const float *gradients, float *accumulators,
                   float *values);
/* *accumulator += mean(gradients^2); values [n] -= rate * gradients / sqrt(*accumulator) */
void adagrad_row(size_t n, float rate, const float *gradients, float *accumulator, float *values);

#endif
