/* k-means clustering: k-means++ start, Lloyd iterations, and a balancing that splits overfull
 * cells. Deterministic: sums run over the vectors in order, in double; ties go to the lowest index.
 */
#ifndef MATH_KMEANS_H
#define MATH_KMEANS_H

#include "base/rng.h"
#include "math/nearest.h"
#include <stdbool.h>

struct kmeans {
    const float *x;   /* [n, dims], borrowed */
    float *centroids; /* [k, dims], borrowed: what is being learned */
    uint32_t n, dims, k;
    uint16_t *codes;  /* [n]: the nearest centroid of each vector, as the centroids stand */
    float *distances; /* [n]: squared, to it */
    uint32_t *counts; /* [k]: vectors per centroid */
    double *sums;     /* [k, dims]: scratch */
    struct nearest nearest;
};

/* Memory comes from `arena`. n >= 1, k and dims as for nearest_create(). */
enum status kmeans_create(struct kmeans *kmeans, const float *x, uint32_t n, uint32_t dims,
                          float *centroids, uint32_t k, struct arena *arena, struct error *err);

/* Takes the centroids as the caller has set them: codes, distances and counts are made current. */
void kmeans_assign(struct kmeans *kmeans);

/* First centroids by k-means++ (Arthur and Vassilvitskii 2007): each next one is a vector drawn
 * with probability proportional to the squared distance from those before it. Draws from at most 16
 * k vectors, evenly spaced, to bound the time. When every vector is a centroid already, the others
 * become jittered copies of vectors. */
void kmeans_start(struct kmeans *kmeans, struct rng *rng);

/* Lloyd iterations, at most so many: centroids move to the means of their cells. A centroid without
 * a cell moves to the vector that is farthest from its own; it stays if every vector is at distance
 * 0. */
void kmeans_refine(struct kmeans *kmeans, uint32_t iterations);

/* Splits each cell of more than 2 n / k vectors (rounded up) in two, taking the second centroid
 * from the smallest cell; up to `rounds` times. Keeps the centroids whose largest cell was
 * smallest: that is at the limit or a few per cent above it, except that equal vectors cannot be
 * split. */
enum status kmeans_balance(struct kmeans *kmeans, uint32_t rounds, struct arena *scratch,
                           struct error *err);

/* Mean squared distance. */
double kmeans_distortion(const struct kmeans *kmeans);

#endif
