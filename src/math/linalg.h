/* Linear algebra on the caller's buffers: thin wrappers over BLAS and LAPACK. linalg.c is the one
 * file that includes their headers. All matrices are row-major; lda, ldb, ldc are row strides in
 * elements.
 *
 * The bits of a product depend on the BLAS core type, and those of one row even on how many rows go
 * with it. What must have the same bits alone and in a batch, or on every CPU, needs a fixed-order
 * kernel instead. */
#ifndef MATH_LINALG_H
#define MATH_LINALG_H

#include "base/arena.h"
#include "base/error.h"
#include <stdbool.h>

/* c [m, n] = alpha * op(a) [m, k] * op(b) [k, n] + beta * c. op transposes when told to: then a is
 * stored [k, m] and b is stored [n, k]. beta == 0 writes c without reading it. Sizes may be 0. */
void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a,
          int lda, const float *b, int ldb, float beta, float *c, int ldc);

/* c [n, n] += a' a for a [m, n], in double; only the upper triangle of c is read or written. */
void gram_add(int m, int n, const double *a, int lda, double *c, int ldc);

/* Eigen decomposition of a symmetric matrix a [n, n], of which the upper triangle is read. values
 * [n] in ascending order; row i of a becomes the unit eigenvector of values[i]. Of the two signs of
 * each vector the one with its largest entry (the first, if several) positive is taken. FATAL when
 * the scratch arena is full or LAPACK does not converge. */
enum status eigen_symmetric(int n, double *a, double *values, struct arena *scratch,
                            struct error *err);

/* The orthogonal matrix nearest to a [n, n] (Procrustes): u v' for the singular value decomposition
 * a = u s v'. It is the r that maximises trace(r' a). a is overwritten by the result. FATAL as
 * above. */
enum status nearest_orthogonal(int n, double *a, struct arena *scratch, struct error *err);

#endif
