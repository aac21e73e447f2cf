/* Codes for one vector where the nearest ones are not all that counts: hysteresis, balance, collisions. */
#include "model/tokenizer_private.h"

#include "math/matmul.h"
#include "math/vector.h"

#include <string.h>

static uint16_t nearest_to(struct nearest *search, const float *v, float *distance) {
    uint16_t code;
    nearest_find(search, v, search->dims, 1, &code, 1, distance, 1);
    return code;
}

static float distance_to(const struct nearest *search, const float *v, uint32_t code) {
    return squared_distance(v, search->centroids + (size_t)code * search->dims, search->dims);
}

/* argmin |v - B[k]|^2 * balance[k] (Streaming VQ's r_k: a cell with few items looks closer). */
static uint16_t nearest_balanced(const struct nearest *search, const float *balance, const float *v,
                                 float *distance) {
    uint16_t best = 0;
    for (uint32_t k = 0; k < search->count; k++) {
        float d = distance_to(search, v, k) * balance[k];
        if (k == 0 || d < *distance) {
            best = (uint16_t)k;
            *distance = d;
        }
    }
    return best;
}

/* One level's code; `old` or NULL: the code that may stay. */
static uint16_t choose(struct tokenizer *t, uint32_t level, const float *v, const uint16_t *old,
                       float reluctance, float *distance) {
    struct nearest *search = &t->search[level];
    const float *balance = level == RQ_LEVELS - 1 && t->balanced ? t->books.balance : NULL;
    uint16_t best =
        balance ? nearest_balanced(search, balance, v, distance) : nearest_to(search, v, distance);
    if (old == NULL || *old == best)
        return best;
    float stay = distance_to(search, v, *old) * (balance ? balance[*old] : 1.0f);
    if (stay - *distance > reluctance * stay)
        return best;
    *distance = stay;
    return *old;
}

/* The last code in order of distance until the SID is nobody else's; the first one when none of the tries is free. */
static void avoid_taken(const struct tokenizer *t, const struct assignment *rules,
                        const float *half, uint16_t codes[SID_CODES], float *distance) {
    const struct nearest *search = &t->search[SID_CODES - 1];
    uint16_t tried[COLLISION_TRIES_MAX], try[SID_CODES];
    uint32_t count = 0;
    memcpy(try, codes, sizeof try);
    if (rules->tries == 0 || !rules->taken(rules->self, codes))
        return;
    tried[count++] = codes[SID_CODES - 1];
    while (count <= rules->tries && count < search->count) {
        uint32_t best = UINT32_MAX;
        float least = 0;
        for (uint32_t k = 0; k < search->count; k++) {
            bool seen = false;
            for (uint32_t i = 0; i < count && !seen; i++)
                seen = tried[i] == k;
            float d = seen ? 0 : distance_to(search, half, k);
            if (!seen && (best == UINT32_MAX || d < least)) {
                best = k;
                least = d;
            }
        }
        try[SID_CODES - 1] = tried[count++] = (uint16_t)best;
        if (!rules->taken(rules->self, try)) {
            codes[SID_CODES - 1] = (uint16_t)best;
            *distance = least;
            return;
        }
    }
}

void tokenizer_assign(struct tokenizer *tokenizer, const struct assignment *rules, const float *z,
                      const uint16_t *current, uint16_t codes[SID_CODES], float *error) {
    struct tokenizer *t = tokenizer;
    size_t dz = t->config.z_dims, half = dz / OPQ_CODES;
    const uint16_t *old = current; /* NULL from the level on whose prefix is another one */
    float *r = t->residual, *y = t->rotated, distance[SID_CODES];
    ASSERT(rules->tries < COLLISION_TRIES_MAX);
    memcpy(r, z, dz * sizeof *r);
    for (uint32_t l = 0; l < RQ_LEVELS; l++) {
        codes[l] = choose(t, l, r, old ? old + l : NULL, rules->reluctance[l], &distance[l]);
        if (old != NULL && codes[l] != old[l])
            old = NULL;
        vector_add_scaled(dz, -1.0f, t->books.rq[l] + codes[l] * dz, r);
    }
    matmul(1, dz, dz, r, dz, t->books.rotation, dz, y, dz);
    for (uint32_t m = 0, l = RQ_LEVELS; m < OPQ_CODES; m++, l++)
        codes[l] =
            choose(t, l, y + m * half, old ? old + l : NULL, rules->reluctance[l], &distance[l]);
    avoid_taken(t, rules, y + (OPQ_CODES - 1) * half, codes, &distance[SID_CODES - 1]);
    *error = distance[RQ_LEVELS] + distance[RQ_LEVELS + 1];
}

void tokenizer_residuals(const struct tokenizer *tokenizer, const float *z, const uint16_t *codes,
                         float *inputs) {
    size_t dz = tokenizer->config.z_dims;
    const struct codebooks *books = &tokenizer->books;
    float *r = tokenizer->residual;
    memcpy(r, z, dz * sizeof *r);
    for (uint32_t l = 0; l < RQ_LEVELS; l++) {
        memcpy(inputs + l * dz, r, dz * sizeof *r);
        vector_add_scaled(dz, -1.0f, books->rq[l] + codes[l] * dz, r);
    }
    matmul(1, dz, dz, r, dz, books->rotation, dz, inputs + RQ_LEVELS * dz, dz);
}
