#include "model/tokenizer_private.h"

#include "math/kmeans.h"
#include "math/linalg.h"

#include <math.h>
#include <string.h>

enum {
    LLOYD_ITERATIONS = 20,
    BALANCE_ROUNDS = 40,
    OPQ_ALTERNATIONS = 12, /* of a k-means step and a Procrustes rotation */
    OPQ_LLOYD = 2,         /* iterations in each */
    COVARIANCE_BLOCK = 256 /* vectors centred at a time */
};

static enum status room(const void *memory, const struct arena *scratch, struct error *err) {
    if (memory)
        return OK;
    return FAIL(
        err, FATAL, EX_OSERR,
        "arena %s (%zu bytes) has no room for training: raise its limit or train on fewer vectors",
        scratch->name, scratch->reserved);
}

static double centred(float x, float mean) {
    return isnan(x) ? 0 : (double)x - (double)mean;
}

/* gram [dims, dims] += sum over x [n, dims] of (x - mean)(x - mean)', upper triangle. mean may be
 * NULL: 0. NaN counts as the mean. */
static enum status add_gram(const float *x, const float *mean, uint32_t n, uint32_t dims,
                            double *gram, struct arena *scratch, struct error *err) {
    size_t mark = arena_mark(scratch);
    double *block = arena_alloc(scratch, COVARIANCE_BLOCK * (size_t)dims * sizeof *block);
    TRY(room(block, scratch, err));
    for (uint32_t start = 0; start < n; start += COVARIANCE_BLOCK) {
        uint32_t rows = n - start < COVARIANCE_BLOCK ? n - start : COVARIANCE_BLOCK;
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t j = 0; j < dims; j++)
                block[i * (size_t)dims + j] =
                    centred(x[(start + i) * (size_t)dims + j], mean ? mean[j] : 0);
        gram_add((int)rows, (int)dims, block, (int)dims, gram, (int)dims);
    }
    arena_rewind(scratch, mark);
    return OK;
}

/* Rows of vectors [dims, dims]: the principal directions of x about mean, in ascending order of
 * variance. */
static enum status principal_directions(const float *x, const float *mean, uint32_t n,
                                        uint32_t dims, double *vectors, struct arena *scratch,
                                        struct error *err) {
    size_t mark = arena_mark(scratch);
    double *variances = arena_alloc(scratch, dims * sizeof *variances);
    TRY(room(variances, scratch, err));
    memset(vectors, 0, (size_t)dims * dims * sizeof *vectors);
    TRY(add_gram(x, mean, n, dims, vectors, scratch, err));
    TRY(eigen_symmetric((int)dims, vectors, variances, scratch, err));
    arena_rewind(scratch, mark);
    return OK;
}

/* The mean of what is there. */
static enum status fit_mean(struct tokenizer *t, const float *x, uint32_t n, struct arena *scratch,
                            struct error *err) {
    size_t dc = t->config.content_dims, mark = arena_mark(scratch);
    double *sum = arena_alloc(scratch, dc * sizeof *sum);
    uint32_t *count = arena_alloc(scratch, dc * sizeof *count);
    TRY(room(sum, scratch, err));
    TRY(room(count, scratch, err));
    memset(sum, 0, dc * sizeof *sum);
    memset(count, 0, dc * sizeof *count);
    for (uint32_t i = 0; i < n; i++)
        for (size_t j = 0; j < dc; j++)
            if (!isnan(x[i * dc + j])) {
                sum[j] += (double)x[i * dc + j];
                count[j]++;
            }
    for (size_t j = 0; j < dc; j++)
        t->books.mean[j] = count[j] > 0 ? (float)(sum[j] / count[j]) : 0.0f;
    arena_rewind(scratch, mark);
    return OK;
}

/* Factors [Dc] that bring each modality to the same total variance, so that the one with the larger numbers does not drown
 * the others; 1 where there is one only. gram: of the covariance, its diagonal is read. */
static void scale_parts(const struct tokenizer *t, const double *gram, double *scale) {
    size_t dc = t->config.content_dims, from = 0;
    for (size_t j = 0; j < dc; j++)
        scale[j] = 1;
    for (uint32_t p = 0; p < TOKENIZER_PARTS_MAX && t->config.parts[p] > 0; p++) {
        size_t to = from + t->config.parts[p];
        double variance = 0;
        for (size_t j = from; j < to; j++)
            variance += gram[j * dc + j];
        for (size_t j = from; j < to; j++)
            scale[j] = variance > 0 ? 1 / sqrt(variance) : 0;
        from = to;
    }
}

/* PCA of x scaled; the scale is then part of W. */
static enum status fit_encoder(struct tokenizer *t, const float *x, uint32_t n,
                               struct arena *scratch, struct error *err) {
    size_t dc = t->config.content_dims, dz = t->config.z_dims, mark = arena_mark(scratch);
    double *gram = arena_alloc(scratch, dc * dc * sizeof *gram);
    double *variances = arena_alloc(scratch, 2 * dc * sizeof *variances), *scale = variances + dc;
    TRY(room(gram, scratch, err));
    TRY(room(variances, scratch, err));
    TRY(fit_mean(t, x, n, scratch, err));
    memset(gram, 0, dc * dc * sizeof *gram);
    TRY(add_gram(x, t->books.mean, n, (uint32_t)dc, gram, scratch, err));
    scale_parts(t, gram, scale);
    for (size_t i = 0; i < dc; i++)
        for (size_t j = 0; j < dc; j++)
            gram[i * dc + j] *= scale[i] * scale[j];
    TRY(eigen_symmetric((int)dc, gram, variances, scratch, err));
    for (size_t j = 0; j < dz; j++)
        for (size_t i = 0; i < dc; i++)
            t->books.encoder[i * dz + j] = (float)(gram[(dc - 1 - j) * dc + i] * scale[i]);
    arena_rewind(scratch, mark);
    return OK;
}

static void start_from(struct kmeans *kmeans, enum fit_from from, struct rng *rng) {
    if (from == FIT_FROM_NOTHING)
        kmeans_start(kmeans, rng);
    else
        kmeans_assign(kmeans);
}

/* Fits one RQ level on the residuals r [n, Dz] of the levels before and subtracts its centroids
 * from them. */
static enum status fit_level(struct tokenizer *t, uint32_t level, float *r, uint32_t n,
                             enum fit_from from, uint64_t version, struct arena *scratch,
                             struct error *err) {
    size_t dz = t->config.z_dims, mark = arena_mark(scratch);
    struct rng rng = rng_stream(t->config.seed, RNG_TOKENIZER, version, level);
    struct kmeans kmeans;
    TRY(kmeans_create(&kmeans, r, n, (uint32_t)dz, t->books.rq[level], t->config.books[level],
                      scratch, err));
    start_from(&kmeans, from, &rng);
    kmeans_refine(&kmeans, LLOYD_ITERATIONS);
    if (level == RQ_LEVELS - 1)
        TRY(kmeans_balance(&kmeans, BALANCE_ROUNDS, scratch, err));
    for (uint32_t i = 0; i < n; i++)
        for (size_t j = 0; j < dz; j++)
            r[i * dz + j] -= t->books.rq[level][kmeans.codes[i] * dz + j];
    arena_rewind(scratch, mark);
    return OK;
}

/* Learning the rotation: r [n, Dz] and, at each step, its two halves as rotated and as quantised.
 */
struct opq {
    const float *r;                  /* [n, Dz] */
    float *rotated;                  /* [n, Dz] */
    float *half[2];                  /* [n, Dz / 2]: the columns of rotated */
    float *quantised;                /* [n, Dz] */
    float *product;                  /* [Dz, Dz] */
    double *rotation;                /* [Dz, Dz] */
    struct kmeans kmeans[OPQ_CODES]; /* on half */
    uint32_t n, dz;
};

static enum status opq_create(struct opq *opq, struct tokenizer *t, const float *r, uint32_t n,
                              struct arena *scratch, struct error *err) {
    size_t dz = t->config.z_dims, bytes = n * dz * sizeof(float);
    *opq = (struct opq){.r = r,
                        .rotated = arena_alloc(scratch, bytes),
                        .half = {arena_alloc(scratch, bytes / 2), arena_alloc(scratch, bytes / 2)},
                        .quantised = arena_alloc(scratch, bytes),
                        .product = arena_alloc(scratch, dz * dz * sizeof(float)),
                        .rotation = arena_alloc(scratch, dz * dz * sizeof(double)),
                        .n = n,
                        .dz = (uint32_t)dz};
    TRY(room(opq->rotated && opq->half[0] && opq->half[1] && opq->quantised && opq->product
                 ? opq->rotation
                 : NULL,
             scratch, err));
    for (uint32_t m = 0; m < OPQ_CODES; m++)
        TRY(kmeans_create(&opq->kmeans[m], opq->half[m], n, (uint32_t)dz / 2, t->books.opq[m],
                          t->config.books[RQ_LEVELS + m], scratch, err));
    return OK;
}

/* Takes opq->rotation for the tokenizer's and rotates r into the two halves. */
static void opq_rotate(struct opq *opq, float *rotation) {
    int dz = (int)opq->dz;
    size_t half = opq->dz / 2;
    for (size_t i = 0; i < (size_t)opq->dz * opq->dz; i++)
        rotation[i] = (float)opq->rotation[i];
    gemm(false, false, (int)opq->n, dz, dz, 1, opq->r, dz, rotation, dz, 0, opq->rotated, dz);
    for (size_t i = 0; i < opq->n; i++)
        for (size_t m = 0; m < OPQ_CODES; m++)
            memcpy(opq->half[m] + i * half, opq->rotated + i * opq->dz + m * half,
                   half * sizeof(float));
}

/* The rotation that brings r closest to what it was quantised to: the orthogonal matrix nearest to
 * r' q. */
static enum status opq_procrustes(struct opq *opq, struct arena *scratch, struct error *err) {
    int dz = (int)opq->dz;
    size_t half = opq->dz / 2;
    for (size_t i = 0; i < opq->n; i++)
        for (size_t m = 0; m < OPQ_CODES; m++)
            memcpy(opq->quantised + i * opq->dz + m * half,
                   opq->kmeans[m].centroids + opq->kmeans[m].codes[i] * half, half * sizeof(float));
    gemm(true, false, dz, dz, (int)opq->n, 1, opq->r, dz, opq->quantised, dz, 0, opq->product, dz);
    for (size_t i = 0; i < (size_t)opq->dz * opq->dz; i++)
        opq->rotation[i] = (double)opq->product[i];
    return nearest_orthogonal(dz, opq->rotation, scratch, err);
}

/* The principal directions dealt to the two halves as 0 3 4 7 ... and 1 2 5 6 ..., so that the
 * variances of both are about equal. */
static enum status opq_first_rotation(struct opq *opq, struct arena *scratch, struct error *err) {
    size_t dz = opq->dz, next[OPQ_CODES] = {0, dz / 2};
    double *directions = arena_alloc(scratch, dz * dz * sizeof *directions);
    TRY(room(directions, scratch, err));
    TRY(principal_directions(opq->r, NULL, opq->n, opq->dz, directions, scratch, err));
    for (size_t k = 0; k < dz; k++) {
        size_t column = next[k % 4 == 1 || k % 4 == 2]++;
        for (size_t i = 0; i < dz; i++)
            opq->rotation[i * dz + column] = directions[(dz - 1 - k) * dz + i];
    }
    return OK;
}

/* OPQ, non-parametric (Ge, He, Ke and Sun 2013). */
static enum status fit_opq(struct tokenizer *t, const float *r, uint32_t n, enum fit_from from,
                           uint64_t version, struct arena *scratch, struct error *err) {
    size_t dz = t->config.z_dims, mark = arena_mark(scratch);
    struct opq opq;
    TRY(opq_create(&opq, t, r, n, scratch, err));
    if (from == FIT_FROM_NOTHING)
        TRY(opq_first_rotation(&opq, scratch, err));
    else
        for (size_t i = 0; i < dz * dz; i++)
            opq.rotation[i] = (double)t->books.rotation[i];
    opq_rotate(&opq, t->books.rotation);
    for (uint32_t m = 0; m < OPQ_CODES; m++) {
        struct rng rng = rng_stream(t->config.seed, RNG_TOKENIZER, version, RQ_LEVELS + m);
        start_from(&opq.kmeans[m], from, &rng);
        kmeans_refine(&opq.kmeans[m], LLOYD_ITERATIONS);
    }
    for (uint32_t step = 0; step < OPQ_ALTERNATIONS; step++) {
        TRY(opq_procrustes(&opq, scratch, err));
        opq_rotate(&opq, t->books.rotation);
        for (uint32_t m = 0; m < OPQ_CODES; m++) {
            kmeans_assign(&opq.kmeans[m]);
            kmeans_refine(&opq.kmeans[m], OPQ_LLOYD);
        }
    }
    arena_rewind(scratch, mark);
    return OK;
}

enum status tokenizer_train(struct tokenizer *tokenizer, const float *x, uint32_t n,
                            uint64_t version, struct arena *scratch, struct error *err) {
    size_t dc = tokenizer->config.content_dims, dz = tokenizer->config.z_dims,
           mark = arena_mark(scratch);
    ASSERT(n >= 2);
    float *z = arena_alloc(scratch, n * dz * sizeof *z);
    TRY(room(z, scratch, err));
    TRY(fit_encoder(tokenizer, x, n, scratch, err));
    for (uint32_t i = 0; i < n; i++)
        tokenizer_project(tokenizer, x + i * dc, z + i * dz);
    TRY(tokenizer_train_books(tokenizer, z, n, FIT_FROM_NOTHING, version, scratch, err));
    arena_rewind(scratch, mark);
    return OK;
}

enum status tokenizer_train_books(struct tokenizer *tokenizer, const float *z, uint32_t n,
                                  enum fit_from from, uint64_t version, struct arena *scratch,
                                  struct error *err) {
    size_t dz = tokenizer->config.z_dims, mark = arena_mark(scratch);
    ASSERT(n >= 2);
    float *r = arena_alloc(scratch, n * dz * sizeof *r);
    TRY(room(r, scratch, err));
    memcpy(r, z, n * dz * sizeof *r);
    for (uint32_t level = 0; level < RQ_LEVELS; level++)
        TRY(fit_level(tokenizer, level, r, n, from, version, scratch, err));
    TRY(fit_opq(tokenizer, r, n, from, version, scratch, err));
    tokenizer_refresh(tokenizer);
    arena_rewind(scratch, mark);
    return OK;
}
