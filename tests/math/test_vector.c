/* The fixed-order kernels: accuracy against libm in double, and the bits that their contracts
 * promise. */
#include "math/vector.h"

#include "base/rng.h"
#include "math/adagrad.h"
#include "math/matmul.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ck_assert_msg notes every call in a file, which millions of calls cannot afford. */
#define check(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

static uint64_t seed(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t value = text ? strtoull(text, NULL, 10) : 1;
    printf("rerun with COLDSTREAM_SEED=%llu\n", (unsigned long long)value);
    return value;
}

/* Distance from the exact value in units of its last place (that of the smallest subnormal at
 * least). */
static double ulps(float ours, double exact) {
    if (isnan(exact) || isinf((float)exact) || isinf(ours))
        return isnan(exact)                                   ? !isnan(ours)
               : (float)exact != ours && fabs(exact) < 3.4e38 ? INFINITY
                                                              : 0.0;
    int exponent;
    (void)frexp(exact, &exponent);
    return fabs((double)ours - exact) / ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
}

static void check_sweep(const char *name, float (*ours)(float), double (*exact)(double), float from,
                        float to, int steps, double limit) {
    double largest = 0.0;
    for (int i = 0; i <= steps; i++) {
        float x = from + (to - from) * ((float)i / (float)steps);
        double off = ulps(ours(x), exact((double)x));
        check(off <= limit, "%s(%.9g) = %.9g, off by %.2f ulp", name, (double)x, (double)ours(x),
              off);
        largest = off > largest ? off : largest;
    }
    printf("%-6s on [%g, %g]: %.2f ulp\n", name, (double)from, (double)to, largest);
}

/* Every size of number: mantissas by a stride over all bit patterns of positive floats. */
static void check_patterns(const char *name, float (*ours)(float), double (*exact)(double),
                           uint32_t last, uint32_t sign, double limit) {
    double largest = 0.0;
    for (uint32_t bits = 1; bits < last; bits += 10007) {
        uint32_t pattern = bits | sign;
        float x;
        memcpy(&x, &pattern, sizeof x);
        double off = ulps(ours(x), exact((double)x));
        check(off <= limit, "%s(%.9g) = %.9g, off by %.2f ulp", name, (double)x, (double)ours(x),
              off);
        largest = off > largest ? off : largest;
    }
    printf("%-6s on all %s sizes: %.2f ulp\n", name, sign ? "negative" : "positive", largest);
}

START_TEST(exponential) {
    check_sweep("exp", exp_f32, exp, -103.9f, 88.7f, 4000000, 2.0);
    check_sweep("exp", exp_f32, exp, -1.0f, 1.0f, 1000000, 2.0);
    check_patterns("exp", exp_f32, exp, 0x42b00000, 0, 2.0);          /* to 88 */
    check_patterns("exp", exp_f32, exp, 0x42cf0000, 0x80000000, 2.0); /* to -103.5 */
    ck_assert(exp_f32(0.0f) == 1.0f && exp_f32(-0.0f) == 1.0f);
    ck_assert(exp_f32(-104.1f) == 0.0f && exp_f32(-INFINITY) == 0.0f && exp_f32(-1e30f) == 0.0f);
    ck_assert(isinf(exp_f32(88.8f)) && isinf(exp_f32(1e30f)) && isinf(exp_f32(INFINITY)));
    ck_assert(isnan(exp_f32(NAN)));
}
END_TEST

static float tanh_of(float x) {
    float out;
    vector_tanh(1, &x, &out);
    return out;
}

START_TEST(hyperbolic_tangent) {
    check_patterns("tanh", tanh_of, tanh, 0x7f800000, 0, 3.0);
    check_patterns("tanh", tanh_of, tanh, 0x7f800000, 0x80000000, 3.0);
    check_sweep("tanh", tanh_of, tanh, -10.0f, 10.0f, 2000000, 3.0);
    ck_assert(tanh_of(0.0f) == 0.0f && tanh_of(INFINITY) == 1.0f && tanh_of(-INFINITY) == -1.0f);
    ck_assert(isnan(tanh_of(NAN)));
}
END_TEST

START_TEST(logarithm) {
    check_patterns("log", log_f32, log, 0x7f800000, 0, 2.0);
    check_sweep("log", log_f32, log, 0.5f, 2.0f, 1000000, 2.0);
    ck_assert(log_f32(1.0f) == 0.0f && log_f32(0.0f) == -INFINITY && log_f32(INFINITY) == INFINITY);
    ck_assert(isnan(log_f32(-1.0f)) && isnan(log_f32(NAN)));
    check_patterns("log1p", log1p_f32, log1p, 0x7f800000, 0, 3.0);
    check_patterns("log1p", log1p_f32, log1p, 0x3f7fffff, 0x80000000, 3.0);
    check_sweep("log1p", log1p_f32, log1p, -0.9f, 2.0f, 200000, 3.0);
    ck_assert(log1p_f32(0.0f) == 0.0f && log1p_f32(-1.0f) == -INFINITY &&
              log1p_f32(INFINITY) == INFINITY);
    ck_assert(isnan(log1p_f32(-2.0f)) && isnan(log1p_f32(NAN)));
}
END_TEST

START_TEST(vector_exponential_is_the_scalar_one) {
    enum { N = 1003 };
    float x[N], out[N];
    for (int i = 0; i < N; i++)
        x[i] = -110.0f + 0.21f * (float)i;
    x[7] = NAN;
    vector_exp(N, x, out);
    for (int i = 0; i < N; i++) {
        float alone = exp_f32(x[i]);
        check(memcmp(&alone, &out[i], sizeof alone) == 0, "exp(%g)", (double)x[i]);
    }
}
END_TEST

static void fill(struct rng *rng, size_t n, float *x) {
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(rng);
}

/* The bits of a product are those of the plain loop, whatever the shape: that is the contract. */
static void check_product(struct rng *rng, size_t m, size_t n, size_t k) {
    size_t lda = k + rng_below(rng, 3), ldat = m + rng_below(rng, 3), ldb = n + rng_below(rng, 3);
    size_t ldc = n + rng_below(rng, 3), cells = m * ldc + 1;
    float *a = calloc(m * lda + 1, 4), *at = calloc(k * ldat + 1, 4), *b = calloc(k * ldb + 1, 4);
    float *set = calloc(cells, 4), *added = calloc(cells, 4), *transposed = calloc(cells, 4),
          *start = calloc(cells, 4);
    fill(rng, m * lda, a);
    fill(rng, k * ldb, b);
    fill(rng, cells, start);
    for (size_t c = 0; c < 3; c++)
        memcpy(c == 0 ? set : c == 1 ? added : transposed, start, cells * 4);
    transpose(m, k, a, lda, at, ldat);
    matmul(m, n, k, a, lda, b, ldb, set, ldc);
    matmul_add(m, n, k, a, lda, b, ldb, added, ldc);
    matmul_transposed_add(m, n, k, at, ldat, b, ldb, transposed, ldc);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc; j++) {
            size_t cell = i * ldc + j;
            float zero = 0.0f, sum = start[cell];
            for (size_t p = 0; p < k && j < n; p++) {
                zero += a[i * lda + p] * b[p * ldb + j];
                sum += a[i * lda + p] * b[p * ldb + j];
            }
            zero = j < n ? zero : start[cell]; /* beyond n nothing is written */
            check(memcmp(&zero, &set[cell], 4) == 0, "matmul %zu %zu %zu at %zu %zu", m, n, k, i,
                  j);
            check(memcmp(&sum, &added[cell], 4) == 0, "matmul_add %zu %zu %zu at %zu %zu", m, n, k,
                  i, j);
            check(memcmp(&sum, &transposed[cell], 4) == 0, "transposed %zu %zu %zu at %zu %zu", m,
                  n, k, i, j);
        }
    float *all[] = {a, at, b, set, added, transposed, start};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

START_TEST(products) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 1, 0);
    for (int i = 0; i < 300; i++)
        check_product(&rng, rng_below(&rng, 20), rng_below(&rng, 50), rng_below(&rng, 40));
    check_product(&rng, 13, 208, 64);
}
END_TEST

START_TEST(dot_products) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 2, 0);
    float a[100], b[100];
    for (size_t n = 0; n <= 100; n++) {
        fill(&rng, n, a);
        fill(&rng, n, b);
        double exact = 0.0, size = 0.0;
        for (size_t i = 0; i < n; i++) {
            exact += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
        }
        ck_assert_double_le(fabs((double)vector_dot(n, a, b) - exact), 1e-6 * size);
    }
}
END_TEST

START_TEST(adagrad_steps) {
    float g[3] = {3.0f, 0.0f, -4.0f}, dense[3] = {1.0f, 1.0f, 1.0f},
          accumulators[3] = {16.0f, 1.0f, 9.0f};
    adagrad_dense(3, 0.5f, 1.0f, g, accumulators, dense);
    ck_assert(accumulators[0] == 25.0f && accumulators[1] == 1.0f && accumulators[2] == 25.0f);
    ck_assert(fabsf(dense[0] - 0.7f) < 1e-6f && dense[1] == 1.0f && fabsf(dense[2] - 1.4f) < 1e-6f);
    float row[2] = {1.0f, 2.0f}, two[2] = {1.0f, 7.0f}, accumulator = 11.0f; /* mean square 25 */
    adagrad_row(2, 0.5f, two, &accumulator, row);
    ck_assert(accumulator == 36.0f);
    ck_assert(fabsf(row[0] - (1.0f - 0.5f / 6.0f)) < 1e-6f &&
              fabsf(row[1] - (2.0f - 3.5f / 6.0f)) < 1e-6f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("vector");
    TCase *cases = tcase_create("kernels");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, exponential);
    tcase_add_test(cases, hyperbolic_tangent);
    tcase_add_test(cases, logarithm);
    tcase_add_test(cases, vector_exponential_is_the_scalar_one);
    tcase_add_test(cases, products);
    tcase_add_test(cases, dot_products);
    tcase_add_test(cases, adagrad_steps);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
