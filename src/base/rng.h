/* Counter-based randomness (Philox 4x32-10 of Random123): a draw is a pure function of (seed, stream, counter), so it
 * does not matter in which order or how often draws are made. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* What a stream of draws is for; part of the key, so that two uses never share draws. Append only. */
enum rng_use {
    RNG_INIT_ROW = 1, /* a = table's hash, b = row key */
    RNG_INIT_DENSE,   /* a = tensor's hash */
    RNG_TOKENIZER,    /* a = codebook version */
    RNG_NEGATIVE,     /* a = topic << 32 | partition, b = offset */
    RNG_GENERATE,     /* the synthetic marketplace */
    RNG_TEST,         /* tests and benchmarks */
    RNG_PAIR,         /* a = user's row, b = the user's clicks */
    RNG_ENCODER,      /* a = step */
    RNG_BOOTSTRAP,    /* a = resample, b = group of users */
    RNG_SAMPLE        /* of items: a = occasion, b = which in a row of them */
};

struct rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t out[4];
    uint32_t left;
};

/* The stream of draws for one purpose: keyed by seed, use and the two numbers that identify the occasion. */
struct rng rng_stream(uint64_t seed, enum rng_use use, uint64_t a, uint64_t b);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
uint32_t rng_below(struct rng *rng,
                   uint32_t bound); /* uniform in [0, bound), bound > 0, unbiased */
float rng_unit(struct rng *rng);    /* uniform in [0, 1) */
float rng_normal(struct rng *rng);  /* N(0, 1); same bits on every CPU */

#endif
