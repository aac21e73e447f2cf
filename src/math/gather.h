/* Rows by index, for matrices of which a batch needs some rows, or the same row several times. */
#ifndef MATH_GATHER_H
#define MATH_GATHER_H

#include <stddef.h>
#include <stdint.h>

#define GATHER_NONE UINT32_MAX /* an index that names no row */

/* out [n, d], rows ldout apart, = rows[index]; no index is GATHER_NONE. */
void gather(size_t n, size_t d, const uint32_t *index, const float *rows, float *out, size_t ldout);
/* out [n, d] += rows[index]; nothing where the index is GATHER_NONE. */
void gather_add(size_t n, size_t d, const uint32_t *index, const float *rows, float *out);
/* rows[index] += x [n, d], rows ldx apart, one after the other; nothing where the index is
 * GATHER_NONE. */
void scatter_add(size_t n, size_t d, const uint32_t *index, const float *x, size_t ldx,
                 float *rows);

#endif
