#include "model/tokenizer_private.h"

#include "math/matmul.h"
#include "math/vector.h"

#include <math.h>
#include <string.h>

static uint32_t book_dims(const struct tokenizer_config *config, uint32_t level) {
    return level < RQ_LEVELS ? config->z_dims : config->z_dims / OPQ_CODES;
}

/* The slot of the level's centroids among the tokenizer's arrays. */
static float **book(struct codebooks *books, uint32_t level) {
    return level < RQ_LEVELS ? &books->rq[level] : &books->opq[level - RQ_LEVELS];
}

static enum status check_config(const struct tokenizer_config *config, struct error *err) {
    if (config->z_dims == 0 || config->z_dims % OPQ_CODES != 0 ||
        config->z_dims > config->content_dims || config->z_dims > Z_DIMS_MAX ||
        config->content_dims > NEAREST_DIMS_MAX)
        return FAIL(err, FATAL, EX_CONFIG,
                    "tokenizer: %u dims of z from %u dims of content: take an even number, not "
                    "above the content's, "
                    "which is at most %d",
                    config->z_dims, config->content_dims, NEAREST_DIMS_MAX);
    for (uint32_t level = 0; level < SID_CODES; level++)
        if (config->books[level] < 2 || config->books[level] > NEAREST_CODES_MAX)
            return FAIL(err, FATAL, EX_CONFIG, "tokenizer: book %u has %u codes: take 2 to %d",
                        level + 1, config->books[level], NEAREST_CODES_MAX);
    return OK;
}

/* count floats; NULL when the arena is full, or was before: the caller checks the last one. */
static float *floats(struct arena *arena, size_t count) {
    return arena_alloc(arena, count * sizeof(float));
}

enum status tokenizer_create(struct tokenizer **out, const struct tokenizer_config *config,
                             uint32_t batch_max, struct arena *arena, struct error *err) {
    TRY(check_config(config, err));
    ASSERT(batch_max > 0);
    size_t dc = config->content_dims, dz = config->z_dims;
    struct tokenizer *t = arena_alloc(arena, sizeof *t);
    bool room = t != NULL;
    if (room) {
        *t = (struct tokenizer){.config = *config, .batch_max = batch_max};
        room = (t->books.mean = floats(arena, dc)) && (t->books.encoder = floats(arena, dc * dz)) &&
               (t->books.rotation = floats(arena, dz * dz)) &&
               (t->books.balance = floats(arena, config->books[RQ_LEVELS - 1])) &&
               (t->centred = floats(arena, dc)) && (t->residual = floats(arena, batch_max * dz)) &&
               (t->rotated = floats(arena, batch_max * dz)) &&
               (t->distances = floats(arena, (size_t)batch_max * OPQ_CODES));
    }
    for (uint32_t level = 0; room && level < SID_CODES; level++) {
        uint32_t dims = book_dims(config, level), count = config->books[level];
        float *centroids = floats(arena, (size_t)count * dims);
        room = centroids != NULL;
        if (!room)
            break;
        *book(&t->books, level) = centroids;
        TRY(nearest_create(&t->search[level], centroids, count, dims, arena, err));
    }
    if (!room)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for the tokenizer: raise its limit",
                    arena->name, arena->reserved);
    for (uint32_t k = 0; k < config->books[RQ_LEVELS - 1]; k++)
        t->books.balance[k] = 1.0f;
    *out = t;
    return OK;
}

struct codebooks *tokenizer_codebooks(struct tokenizer *tokenizer) {
    return &tokenizer->books;
}

void tokenizer_refresh(struct tokenizer *tokenizer) {
    for (uint32_t level = 0; level < SID_CODES; level++)
        nearest_refresh(&tokenizer->search[level]);
    tokenizer->balanced = false;
    for (uint32_t k = 0; k < tokenizer->config.books[RQ_LEVELS - 1]; k++)
        tokenizer->balanced |= tokenizer->books.balance[k] != 1.0f;
}

void tokenizer_copy(struct tokenizer *to, const struct tokenizer *from) {
    size_t dc = to->config.content_dims, dz = to->config.z_dims;
    struct codebooks *a = &to->books;
    const struct codebooks *b = &from->books;
    ASSERT(memcmp(to->config.books, from->config.books, sizeof to->config.books) == 0);
    memcpy(a->mean, b->mean, dc * sizeof(float));
    memcpy(a->encoder, b->encoder, dc * dz * sizeof(float));
    memcpy(a->rotation, b->rotation, dz * dz * sizeof(float));
    memcpy(a->balance, b->balance, to->config.books[RQ_LEVELS - 1] * sizeof(float));
    for (uint32_t l = 0; l < SID_CODES; l++)
        memcpy(*book(a, l), *book((struct codebooks *)b, l),
               (size_t)to->config.books[l] * book_dims(&to->config, l) * sizeof(float));
    tokenizer_refresh(to);
}

void tokenizer_centre(const struct tokenizer *tokenizer, const float *x, float *out) {
    for (size_t i = 0; i < tokenizer->config.content_dims; i++)
        out[i] = isnan(x[i]) ? 0.0f : x[i] - tokenizer->books.mean[i];
}

void tokenizer_project(const struct tokenizer *tokenizer, const float *x, float *z) {
    size_t dc = tokenizer->config.content_dims, dz = tokenizer->config.z_dims;
    tokenizer_centre(tokenizer, x, tokenizer->centred);
    matmul(1, dz, dc, tokenizer->centred, dc, tokenizer->books.encoder, dz, z, dz);
    double square = 0;
    for (size_t j = 0; j < dz; j++)
        square += (double)z[j] * (double)z[j];
    bool has_direction = square > 0 && isfinite(square);
    for (size_t j = 0; j < dz; j++)
        z[j] = has_direction ? (float)((double)z[j] * ((double)Z_SCALE / sqrt(square))) : 0;
}

void tokenizer_encode(struct tokenizer *tokenizer, const float *z, uint32_t n, uint16_t *codes,
                      float *error, float *residuals) {
    size_t dz = tokenizer->config.z_dims;
    ASSERT(n <= tokenizer->batch_max);
    memcpy(tokenizer->residual, z, n * dz * sizeof *z);
    residual_quantise(tokenizer->search, RQ_LEVELS, tokenizer->residual, n, codes, SID_CODES,
                      residuals);
    matmul(n, dz, dz, tokenizer->residual, dz, tokenizer->books.rotation, dz, tokenizer->rotated,
           dz);
    for (uint32_t m = 0; m < OPQ_CODES; m++)
        nearest_find(&tokenizer->search[RQ_LEVELS + m], tokenizer->rotated + m * dz / OPQ_CODES, dz,
                     n, codes + RQ_LEVELS + m, SID_CODES, tokenizer->distances + m, OPQ_CODES);
    for (uint32_t i = 0; error && i < n; i++) /* R keeps lengths */
        error[i] = tokenizer->distances[i * OPQ_CODES] + tokenizer->distances[i * OPQ_CODES + 1];
}

void tokenizer_decode(const struct tokenizer *tokenizer, const uint16_t *codes, float *z) {
    size_t dz = tokenizer->config.z_dims, half = dz / OPQ_CODES;
    const struct codebooks *books = &tokenizer->books;
    for (size_t i = 0; i < dz; i++) {
        z[i] = 0;
        for (uint32_t m = 0; m < OPQ_CODES; m++)
            z[i] += vector_dot(half, books->rotation + i * dz + m * half,
                               books->opq[m] + codes[RQ_LEVELS + m] * half);
    }
    for (uint32_t level = RQ_LEVELS; level-- > 0;) /* the small terms first */
        vector_add(dz, books->rq[level] + codes[level] * dz, z);
}
