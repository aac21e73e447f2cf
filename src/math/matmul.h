/* Matrix products in a fixed order: each element of the result is the sum over p = 0, 1, ... of
 * a[i,p] b[p,j], one after the other. So a row has the same bits alone and in any batch, on every
 * CPU, which BLAS cannot promise; for the ranker's sizes (inner matrix in cache, a few dozen
 * columns) it is about as fast.
 *
 * All matrices are row-major; lda, ldb, ldc are row strides in elements. c overlaps neither a nor
 * b. Widths n that are a multiple of 16 (8) are fast. */
#ifndef MATH_MATMUL_H
#define MATH_MATMUL_H

#include <stddef.h>

/* c [m, n] = a [m, k] b [k, n] */
void matmul(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
            float *c, size_t ldc);
/* c [m, n] += a [m, k] b [k, n] */
void matmul_add(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                size_t ldb, float *c, size_t ldc);
/* c [m, n] += a' b for a [k, m], b [k, n] */
void matmul_transposed_add(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                           size_t ldb, float *c, size_t ldc);

/* out [n, m] = a [m, n]'; columns m .. ldout - 1 of out are left as they are. */
void transpose(size_t m, size_t n, const float *a, size_t lda, float *out, size_t ldout);

#endif
