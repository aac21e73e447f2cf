#include "math/kmeans.h"

#include <math.h>
#include <string.h>

enum { SAMPLE_PER_CENTROID = 16 };

static float *centroid(const struct kmeans *kmeans, uint32_t k) {
    return kmeans->centroids + (size_t)k * kmeans->dims;
}

static const float *vector(const struct kmeans *kmeans, uint32_t i) {
    return kmeans->x + (size_t)i * kmeans->dims;
}

enum status kmeans_create(struct kmeans *kmeans, const float *x, uint32_t n, uint32_t dims,
                          float *centroids, uint32_t k, struct arena *arena, struct error *err) {
    ASSERT(n > 0);
    *kmeans = (struct kmeans){.x = x,
                              .centroids = centroids,
                              .n = n,
                              .dims = dims,
                              .k = k,
                              .codes = arena_alloc(arena, n * sizeof(uint16_t)),
                              .distances = arena_alloc(arena, n * sizeof(float)),
                              .counts = arena_alloc(arena, k * sizeof(uint32_t)),
                              .sums = arena_alloc(arena, (size_t)k * dims * sizeof(double))};
    if (!kmeans->codes || !kmeans->distances || !kmeans->counts || !kmeans->sums)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for k-means of %u x %u vectors, %u "
                    "centroids: raise its limit",
                    arena->name, arena->reserved, n, dims, k);
    return nearest_create(&kmeans->nearest, centroids, k, dims, arena, err);
}

void kmeans_assign(struct kmeans *kmeans) {
    nearest_refresh(&kmeans->nearest);
    nearest_find(&kmeans->nearest, kmeans->x, kmeans->dims, kmeans->n, kmeans->codes, 1,
                 kmeans->distances, 1);
    memset(kmeans->counts, 0, kmeans->k * sizeof *kmeans->counts);
    for (uint32_t i = 0; i < kmeans->n; i++)
        kmeans->counts[kmeans->codes[i]]++;
}

double kmeans_distortion(const struct kmeans *kmeans) {
    double sum = 0;
    for (uint32_t i = 0; i < kmeans->n; i++)
        sum += (double)kmeans->distances[i];
    return sum / kmeans->n;
}

/* An index drawn with probability proportional to weight[i]; total is their sum, above 0. */
static uint32_t draw(const float *weight, uint32_t n, double total, struct rng *rng) {
    double target = (double)(rng_u64(rng) >> 11) * 0x1p-53 * total, sum = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (weight[i] <= 0)
            continue;
        last = i;
        sum += (double)weight[i];
        if (sum > target)
            break;
    }
    return last;
}

/* A copy of the vector, each entry moved by about a thousandth of the vector's own spread. */
static void jitter(float *out, const float *v, uint32_t dims, struct rng *rng) {
    double square = 0;
    for (uint32_t i = 0; i < dims; i++)
        square += (double)v[i] * (double)v[i];
    double size = sqrt(square / dims);
    float spread = 1e-3f * (float)(size > 1e-3 ? size : 1e-3);
    for (uint32_t i = 0; i < dims; i++)
        out[i] = v[i] + spread * rng_normal(rng);
}

void kmeans_start(struct kmeans *kmeans, struct rng *rng) {
    uint32_t dims = kmeans->dims;
    uint64_t most = (uint64_t)SAMPLE_PER_CENTROID * kmeans->k;
    uint32_t sample = kmeans->n < most ? kmeans->n : (uint32_t)most;
    float *weight = kmeans->distances; /* of the sample's vectors, from the centroids so far */
    for (uint32_t k = 0; k < kmeans->k; k++) {
        double total = 0;
        for (uint32_t s = 0; k > 0 && s < sample; s++) {
            const float *v = vector(kmeans, (uint32_t)((uint64_t)s * kmeans->n / sample));
            float distance = squared_distance(v, centroid(kmeans, k - 1), dims);
            weight[s] = k == 1 || distance < weight[s] ? distance : weight[s];
            total += (double)weight[s];
        }
        bool all_taken = k > 0 && !(total > 0);
        uint32_t s =
            k == 0 || all_taken ? rng_below(rng, sample) : draw(weight, sample, total, rng);
        const float *v = vector(kmeans, (uint32_t)((uint64_t)s * kmeans->n / sample));
        if (all_taken)
            jitter(centroid(kmeans, k), v, dims, rng);
        else
            memcpy(centroid(kmeans, k), v, dims * sizeof *v);
    }
    kmeans_assign(kmeans);
}

static void move_to_means(struct kmeans *kmeans) {
    uint32_t dims = kmeans->dims;
    memset(kmeans->sums, 0, (size_t)kmeans->k * dims * sizeof *kmeans->sums);
    for (uint32_t i = 0; i < kmeans->n; i++) {
        double *sum = kmeans->sums + (size_t)kmeans->codes[i] * dims;
        const float *v = vector(kmeans, i);
        for (uint32_t j = 0; j < dims; j++)
            sum[j] += (double)v[j];
    }
    for (uint32_t k = 0; k < kmeans->k; k++)
        for (uint32_t j = 0; kmeans->counts[k] > 0 && j < dims; j++)
            centroid(kmeans, k)[j] =
                (float)(kmeans->sums[(size_t)k * dims + j] / kmeans->counts[k]);
}

static void reuse_empty(struct kmeans *kmeans) {
    for (uint32_t k = 0; k < kmeans->k; k++) {
        if (kmeans->counts[k] > 0)
            continue;
        uint32_t farthest = 0;
        for (uint32_t i = 1; i < kmeans->n; i++)
            farthest = kmeans->distances[i] > kmeans->distances[farthest] ? i : farthest;
        if (!(kmeans->distances[farthest] > 0))
            return;
        memcpy(centroid(kmeans, k), vector(kmeans, farthest), kmeans->dims * sizeof(float));
        kmeans->distances[farthest] = 0; /* taken */
    }
}

void kmeans_refine(struct kmeans *kmeans, uint32_t iterations) {
    double before = kmeans_distortion(kmeans);
    for (uint32_t iteration = 0; iteration < iterations; iteration++) {
        move_to_means(kmeans);
        reuse_empty(kmeans);
        kmeans_assign(kmeans);
        double now = kmeans_distortion(kmeans);
        if (now == before)
            return;
        before = now;
    }
}

/* The cell's two halves, on either side of the plane through its mean, across the line to its
 * farthest vector: their means go to centroids `from` and `to`. */
static void split(struct kmeans *kmeans, uint32_t from, uint32_t to) {
    uint32_t dims = kmeans->dims, farthest = UINT32_MAX, counts[2] = {0, 0};
    for (uint32_t i = 0; i < kmeans->n; i++)
        if (kmeans->codes[i] == from &&
            (farthest == UINT32_MAX || kmeans->distances[i] > kmeans->distances[farthest]))
            farthest = i;
    const float *far = vector(kmeans, farthest);
    const float *middle = centroid(kmeans, from);
    double *sums[2] = {kmeans->sums + (size_t)from * dims, kmeans->sums + (size_t)to * dims};
    memset(sums[0], 0, dims * sizeof(double));
    memset(sums[1], 0, dims * sizeof(double));
    for (uint32_t i = 0; i < kmeans->n; i++) {
        if (kmeans->codes[i] != from)
            continue;
        const float *v = vector(kmeans, i);
        double side = 0;
        for (uint32_t j = 0; j < dims; j++)
            side += (double)(v[j] - middle[j]) * (double)(far[j] - middle[j]);
        counts[side > 0]++;
        for (uint32_t j = 0; j < dims; j++)
            sums[side > 0][j] += (double)v[j];
    }
    if (counts[0] == 0 || counts[1] == 0) /* all equal */
        return;
    for (uint32_t j = 0; j < dims; j++) {
        centroid(kmeans, from)[j] = (float)(sums[0][j] / counts[0]);
        centroid(kmeans, to)[j] = (float)(sums[1][j] / counts[1]);
    }
}

static uint32_t extreme_cell(const struct kmeans *kmeans, const bool *taken, bool largest) {
    uint32_t best = UINT32_MAX;
    for (uint32_t k = 0; k < kmeans->k; k++) {
        if (taken && taken[k])
            continue;
        if (best == UINT32_MAX || (largest ? kmeans->counts[k] > kmeans->counts[best]
                                           : kmeans->counts[k] < kmeans->counts[best]))
            best = k;
    }
    return best;
}

enum status kmeans_balance(struct kmeans *kmeans, uint32_t rounds, struct arena *scratch,
                           struct error *err) {
    size_t mark = arena_mark(scratch), bytes = (size_t)kmeans->k * kmeans->dims * sizeof(float);
    float *best = arena_alloc(scratch, bytes);
    bool *taken = arena_alloc(scratch, kmeans->k * sizeof *taken);
    if (!best || !taken)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for balancing: raise its limit",
                    scratch->name, scratch->reserved);
    uint32_t limit = (uint32_t)((2 * (uint64_t)kmeans->n + kmeans->k - 1) / kmeans->k),
             best_largest = UINT32_MAX;
    for (uint32_t round = 0;; round++) {
        uint32_t largest = kmeans->counts[extreme_cell(kmeans, NULL, true)];
        if (largest < best_largest) {
            memcpy(best, kmeans->centroids, bytes);
            best_largest = largest;
        }
        if (best_largest <= limit || round == rounds)
            break;
        memset(taken, 0, kmeans->k * sizeof *taken);
        for (uint32_t pairs = 0; pairs < kmeans->k / 2; pairs++) {
            uint32_t from = extreme_cell(kmeans, taken, true);
            if (kmeans->counts[from] <= limit)
                break;
            taken[from] = true;
            uint32_t to = extreme_cell(kmeans, taken, false);
            taken[to] = true;
            split(kmeans, from, to);
        }
        kmeans_assign(kmeans); /* no Lloyd iterations: they would draw the cells apart again */
    }
    memcpy(kmeans->centroids, best, bytes);
    kmeans_assign(kmeans);
    arena_rewind(scratch, mark);
    return OK;
}
