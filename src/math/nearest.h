/* The nearest centroid, fast and with the same answer on every CPU, alone or in any batch.
 *
 * The answer is defined by squared_distance(), a float kernel with a fixed order of summation; ties
 * go to the lowest code. Calling it for every code would be slow, so codes are screened first with
 * 8-bit integers: vector and centroids are rounded to multiples of a scale, and their products are
 * summed in integers, exactly. How far such a score can lie from the true one is bounded (see
 * slack() in nearest.c); squared_distance() decides among the codes within that bound of the best
 * score, so screening can never change the answer. A CPU with 8-bit dot products (AVX-512 VNNI)
 * screens about four times as many codes a second as it would with a float matrix product. */
#ifndef MATH_NEAREST_H
#define MATH_NEAREST_H

#include "base/arena.h"
#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define NEAREST_CODES_MAX 65536
#define NEAREST_DIMS_MAX 32768 /* so that the integer sums cannot overflow */

/* |a - b|^2 in 16 lanes, added in a fixed tree. */
float squared_distance(const float *a, const float *b, uint32_t dims);

enum nearest_kernel { NEAREST_ANYWHERE, NEAREST_AVX2, NEAREST_VNNI };

/* Bounds, from above, on the norm of a run of numbers and of what rounding to 8 bits took from it.
 */
struct nearest_norms {
    double norm, rounding;
};

/* A codebook prepared for search. Not for two threads at once: rows and scores are scratch. */
struct nearest {
    const float *centroids; /* [count, dims], borrowed */
    uint32_t count, dims;
    uint32_t panels, groups;       /* of 64 codes, and of 4 dimensions */
    uint8_t *packed;               /* [panels, groups, 64, 4]: 128 + round(c / scale); else 128 */
    float *scales;                 /* [panels * 64]: of each code; 0 beyond count */
    float *half_norms;             /* [panels * 64]: |c|^2 / 2; infinite beyond count */
    uint32_t blocks;               /* of 64 dimensions */
    struct nearest_norms *largest; /* [blocks]: over all codes */
    struct nearest_norms *norms;   /* [blocks]: scratch */
    double norm_max, rounding_max; /* the same over all dimensions */
    int8_t *rows;                  /* [6, groups * 4] */
    float *scores;                 /* [6, panels * 64] */
    enum nearest_kernel kernel; /* the best that this CPU has; tests set lesser ones to compare */
};

/* Memory comes from `arena`; call nearest_refresh() before the first search. count 1 .. 65536, dims
 * 1 .. 32768. */
enum status nearest_create(struct nearest *nearest, const float *centroids, uint32_t count,
                           uint32_t dims, struct arena *arena, struct error *err);

/* Takes the centroids as they are now. */
void nearest_refresh(struct nearest *nearest);

/* For each of n vectors, x + i * x_stride, finite: its code into codes[i * codes_stride] and,
 * unless distances is NULL, its squared_distance() to that centroid into distances[i *
 * distances_stride]. */
void nearest_find(struct nearest *nearest, const float *x, size_t x_stride, uint32_t n,
                  uint16_t *codes, size_t codes_stride, float *distances, size_t distances_stride);

/* Residual quantisation: level by level finds the centroid nearest to each row of r [n, dims] and
 * subtracts it in place. codes[i * codes_stride + level]; squared norms after each level, [n,
 * levels], unless NULL. */
void residual_quantise(struct nearest *levels, uint32_t count, float *r, uint32_t n,
                       uint16_t *codes, size_t codes_stride, float *norms);

#endif
