/* Random streams: the known answer of Philox, independence of draws from order, and the shapes of
 * the distributions (fixed seeds: the bounds are wide, and the same numbers come on every
 * machine). */
#include "base/rng.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(philox_gives_its_known_answers) {
    /* kat_vectors of Random123 for philox4x32-10: counter and key all zeros, then all ones */
    struct rng zeros = {.left = 0};
    ck_assert_uint_eq(rng_u32(&zeros), 0x6627e8d5);
    ck_assert_uint_eq(rng_u32(&zeros), 0xe169c58d);
    ck_assert_uint_eq(rng_u32(&zeros), 0xbc57ac4c);
    ck_assert_uint_eq(rng_u32(&zeros), 0x9b00dbd8);
    struct rng ones;
    memset(&ones, 0xFF, sizeof ones);
    ones.left = 0;
    ck_assert_uint_eq(rng_u32(&ones), 0x408f276d);
    ck_assert_uint_eq(rng_u32(&ones), 0x41c83b0e);
    ck_assert_uint_eq(rng_u32(&ones), 0xa20bc7c6);
    ck_assert_uint_eq(rng_u32(&ones), 0x6d5451fd);
}
END_TEST

START_TEST(a_stream_is_a_function_of_its_four_names) {
    struct rng base = rng_stream(1, RNG_TEST, 2, 3), same = rng_stream(1, RNG_TEST, 2, 3);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(rng_u64(&base), rng_u64(&same));
    const struct rng others[] = {
        rng_stream(2, RNG_TEST, 2, 3),          rng_stream(1, RNG_GENERATE, 2, 3),
        rng_stream(1, RNG_TEST, 3, 3),          rng_stream(1, RNG_TEST, 2, 4),
        rng_stream(1, RNG_TEST, 3, 2),          rng_stream((uint64_t)1 << 32, RNG_TEST, 2, 3),
        rng_stream(1, RNG_TEST, 2ull << 32, 3), rng_stream(1, RNG_TEST, 2, 3ull << 32)};
    struct rng again = rng_stream(1, RNG_TEST, 2, 3);
    uint64_t first = rng_u64(&again);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct rng other = others[i];
        ck_assert_uint_ne(rng_u64(&other), first);
    }
}
END_TEST

START_TEST(the_draw_counter_carries) {
    struct rng rng = rng_stream(1, RNG_TEST, 0, 0), next = rng;
    rng.counter[0] = UINT32_MAX;
    next.counter[1] = 1;
    for (int i = 0; i < 4; i++)
        (void)rng_u32(&rng);
    ck_assert_uint_eq(rng_u32(&rng), rng_u32(&next));
}
END_TEST

START_TEST(below_is_uniform_and_in_bounds) {
    struct rng rng = rng_stream(5, RNG_TEST, 0, 0);
    uint32_t counts[7] = {0};
    for (int i = 0; i < 700000; i++) {
        uint32_t n = rng_below(&rng, 7);
        ck_assert_uint_lt(n, 7);
        counts[n]++;
    }
    for (int i = 0; i < 7; i++) /* 4 standard deviations: 293 */
        ck_assert_uint_le((uint32_t)abs((int)counts[i] - 100000), 1200);
    ck_assert_uint_eq(rng_below(&rng, 1), 0);
    /* A bound of 3/4 of the range: without the refusals every third result comes twice as often. */
    uint32_t low = 0;
    for (int i = 0; i < 90000; i++)
        low += rng_below(&rng, 3u << 30) % 3 == 0;
    ck_assert_uint_le((uint32_t)abs((int)low - 30000), 600);
}
END_TEST

START_TEST(unit_is_in_its_interval) {
    struct rng rng = rng_stream(6, RNG_TEST, 0, 0);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        float x = rng_unit(&rng);
        ck_assert(x >= 0 && x < 1);
        sum += (double)x;
    }
    ck_assert_double_eq_tol(sum / 100000, 0.5, 0.004);
}
END_TEST

START_TEST(normal_has_the_moments_and_the_tails) {
    enum { N = 400000 };
    struct rng rng = rng_stream(7, RNG_TEST, 0, 0);
    double sum[5] = {0};
    /* shares beyond 1, 2 and 3 */
    static const double shares[3] = {0.31731, 0.0455, 0.0026998};
    uint32_t beyond[3] = {0};
    for (int i = 0; i < N; i++) {
        double x = (double)rng_normal(&rng), power = 1;
        for (int p = 1; p < 5; p++)
            sum[p] += power *= x;
        for (int k = 0; k < 3; k++)
            beyond[k] += fabs(x) > k + 1;
    }
    ck_assert_double_eq_tol(sum[1] / N, 0, 0.008);
    ck_assert_double_eq_tol(sum[2] / N, 1, 0.012);
    ck_assert_double_eq_tol(sum[3] / N, 0, 0.03);
    ck_assert_double_eq_tol(sum[4] / N, 3, 0.08);
    for (int k = 0; k < 3; k++)
        ck_assert_double_eq_tol(beyond[k] / (double)N, shares[k], 5 * sqrt(shares[k] / N));
}
END_TEST

/* From the distribution's inverse at chosen probabilities, by way of the draws that give them: 64
 * bits k stand for p = ((k >> 12) + 1/2) / 2^52. Expected values: Python's
 * statistics.NormalDist().inv_cdf(). */
START_TEST(normal_is_the_inverse_distribution) {
    static const struct {
        uint64_t draw;
        double expected;
    } cases[] = {{0, -8.209536151601386},
                 {UINT64_C(1) << 63, 2.7829164246717676e-16},
                 {UINT64_C(1) << 62, -0.6744897501960816},
                 {UINT64_C(3) << 62, 0.6744897501960818},
                 {UINT64_C(1) << 60, -1.5341205443525459},
                 {UINT64_C(1) << 44, -4.763001034244331},
                 {UINT64_MAX, 8.209536151601386}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rng rng = {.left = 2};
        rng.out[2] = (uint32_t)cases[i].draw;
        rng.out[3] = (uint32_t)(cases[i].draw >> 32);
        double x = (double)rng_normal(&rng);
        ck_assert_double_eq_tol(x, cases[i].expected, 1e-6 * (1e-9 + fabs(cases[i].expected)));
    }
}
END_TEST

START_TEST(normal_gives_the_same_bits_everywhere) {
    /* A hash of the bits of 10,000 draws; an independent Philox and Python's
     * statistics.NormalDist().inv_cdf() give the same one. */
    struct rng rng = rng_stream(2024, RNG_TEST, 1, 2);
    uint64_t sum = 0;
    for (int i = 0; i < 10000; i++) {
        float x = rng_normal(&rng);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        sum = sum * 31 + bits;
    }
    ck_assert_uint_eq(sum, UINT64_C(10909078800204068133));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("rng");
    TCase *all = tcase_create("all");
    tcase_add_test(all, philox_gives_its_known_answers);
    tcase_add_test(all, a_stream_is_a_function_of_its_four_names);
    tcase_add_test(all, the_draw_counter_carries);
    tcase_add_test(all, below_is_uniform_and_in_bounds);
    tcase_add_test(all, unit_is_in_its_interval);
    tcase_add_test(all, normal_has_the_moments_and_the_tails);
    tcase_add_test(all, normal_is_the_inverse_distribution);
    tcase_add_test(all, normal_gives_the_same_bits_everywhere);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
