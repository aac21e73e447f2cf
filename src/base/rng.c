#include "base/rng.h"

#include "base/error.h"
#include <math.h>
#include <Random123/philox.h>
#include <string.h>

static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    philox4x32_ctr_t input = {{counter[0], counter[1], counter[2], counter[3]}};
    philox4x32_key_t with = {{key[0], key[1]}};
    philox4x32_ctr_t block = philox4x32(input, with);
    memcpy(out, block.v, sizeof block.v);
}

/* The 192 bits (use, a, b) do not fit beside a draw counter, so they are chained through Philox as
 * a block cipher in CBC-MAC: 128 bits of the result identify the stream (64 as its key, 64 as the
 * counter's upper half). */
struct rng rng_stream(uint64_t seed, enum rng_use use, uint64_t a, uint64_t b) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t block[4] = {(uint32_t)use, 0, (uint32_t)a, (uint32_t)(a >> 32)};
    philox(block, key, block);
    block[0] ^= (uint32_t)b;
    block[1] ^= (uint32_t)(b >> 32);
    philox(block, key, block);
    return (struct rng){.key = {block[0], block[1]}, .counter = {0, 0, block[2], block[3]}};
}

uint32_t rng_u32(struct rng *rng) {
    if (rng->left == 0) {
        philox(rng->counter, rng->key, rng->out);
        rng->left = 4;
        if (++rng->counter[0] == 0)
            rng->counter[1]++;
    }
    return rng->out[4 - rng->left--];
}

uint64_t rng_u64(struct rng *rng) {
    uint64_t low = rng_u32(rng);
    return low | (uint64_t)rng_u32(rng) << 32;
}

/* Lemire, "Fast random integer generation in an interval" (2019): the upper half of a product, with
 * the few values that would favour some results drawn again. */
uint32_t rng_below(struct rng *rng, uint32_t bound) {
    ASSERT(bound > 0);
    uint32_t refused = (0u - bound) % bound;
    uint64_t product;
    do
        product = (uint64_t)rng_u32(rng) * bound;
    while ((uint32_t)product < refused);
    return (uint32_t)(product >> 32);
}

float rng_unit(struct rng *rng) {
    return (float)(rng_u32(rng) >> 8) * 0x1p-24f;
}

/* Natural logarithm of a positive normal number, from + - * / alone: 2 atanh((m - 1) / (m + 1)) as
 * a series. libm's log has other last bits on other CPUs. */
static double fixed_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
    double m; /* in [1, 2), then in [0.707, 1.414) */
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int odd = 23; odd >= 1; odd -= 2)
        sum = sum * s2 + 1.0 / odd;
    return 0.6931471805599453 * exponent + 2 * s * sum;
}

static double polynomial(const double c[8], double x) { /* c[0] + c[1] x + ... + c[7] x^7 */
    double sum = c[7];
    for (int i = 6; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

/* The normal distribution's inverse (Wichura 1988, algorithm AS 241, PPND16): about 16 digits. p in
 * (0, 1). */
static double normal_quantile(double p) {
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    double q = p - 0.5;
    if (q >= -0.425 && q <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, r) / polynomial(b, r);
    }
    double r = sqrt(-fixed_log(q < 0 ? p : 1 - p)), tail;
    if (r <= 5)
        tail = polynomial(c, r - 1.6) / polynomial(d, r - 1.6);
    else
        tail = polynomial(e, r - 5) / polynomial(f, r - 5);
    return q < 0 ? -tail : tail;
}

float rng_normal(struct rng *rng) {
    /* An odd multiple of 2^-53: strictly between 0 and 1, and symmetric about 1/2. */
    double p = ((double)(rng_u64(rng) >> 12) + 0.5) * 0x1p-52;
    return (float)normal_quantile(p);
}
