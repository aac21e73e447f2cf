/* k-means: what each step promises. */
#include "math/kmeans.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS = 1200, DIMS = 10, CENTROIDS = 40 };

static struct arena arena;
static struct error err;
static uint64_t seed;
static float centroids[CENTROIDS * DIMS];

#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

static void setup(void) {
    DONE(arena_reserve(&arena, "test", (size_t)1 << 28, &err));
}
static void teardown(void) {
    arena_release(&arena);
}

/* 60 groups of unequal size; the draws are a function of the seed and `which`. */
static float *grouped(uint32_t n, uint64_t which) {
    struct rng rng = rng_stream(seed, RNG_TEST, 20, which);
    float *x = arena_must(&arena, (size_t)n * DIMS * sizeof *x), middles[60 * DIMS];
    for (uint32_t i = 0; i < 60 * DIMS; i++)
        middles[i] = 3 * rng_normal(&rng);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t group = rng_below(&rng, 1 + rng_below(&rng, 60));
        for (uint32_t j = 0; j < DIMS; j++)
            x[i * DIMS + j] = middles[group * DIMS + j] + 0.3f * rng_normal(&rng);
    }
    return x;
}

static double refined_from_start(const float *x, struct rng *rng, bool plus_plus) {
    struct kmeans kmeans;
    DONE(kmeans_create(&kmeans, x, VECTORS, DIMS, centroids, CENTROIDS, &arena, &err));
    if (plus_plus) {
        kmeans_start(&kmeans, rng);
    } else {
        for (uint32_t k = 0; k < CENTROIDS; k++)
            memcpy(centroids + k * DIMS, x + rng_below(rng, VECTORS) * DIMS, DIMS * sizeof *x);
        kmeans_assign(&kmeans);
    }
    kmeans_refine(&kmeans, 20);
    return kmeans_distortion(&kmeans);
}

START_TEST(plus_plus_beats_a_random_start) {
    double plus_plus = 0, random = 0;
    for (uint64_t round = 0; round < 10; round++) {
        arena_reset(&arena);
        float *x = grouped(VECTORS, round);
        struct rng rng = rng_stream(seed, RNG_TEST, 21, round);
        plus_plus += refined_from_start(x, &rng, true);
        random += refined_from_start(x, &rng, false);
    }
    ck_assert_msg(plus_plus < 0.98 * random,
                  "k-means++ %g, random %g; rerun with COLDSTREAM_SEED=%llu", plus_plus, random,
                  (unsigned long long)seed);
}
END_TEST

START_TEST(each_iteration_lowers_the_distortion) {
    struct kmeans kmeans;
    struct rng rng = rng_stream(seed, RNG_TEST, 22, 0);
    DONE(kmeans_create(&kmeans, grouped(VECTORS, 0), VECTORS, DIMS, centroids, CENTROIDS, &arena,
                       &err));
    kmeans_start(&kmeans, &rng);
    double first = kmeans_distortion(&kmeans), before = first;
    for (int iteration = 0; iteration < 15; iteration++) {
        kmeans_refine(&kmeans, 1);
        ck_assert_double_le(kmeans_distortion(&kmeans), before * (1 + 1e-6));
        before = kmeans_distortion(&kmeans);
    }
    ck_assert_double_lt(before, 0.9 * first);
}
END_TEST

START_TEST(centroids_are_means_and_counts_add_up) {
    struct kmeans kmeans;
    struct rng rng = rng_stream(seed, RNG_TEST, 23, 0);
    const float *x = grouped(VECTORS, 1);
    DONE(kmeans_create(&kmeans, x, VECTORS, DIMS, centroids, CENTROIDS, &arena, &err));
    kmeans_start(&kmeans, &rng);
    kmeans_refine(&kmeans, 500); /* until it stands still */
    uint32_t total = 0;
    for (uint32_t k = 0; k < CENTROIDS; k++) {
        double sum[DIMS] = {0};
        for (uint32_t i = 0; i < VECTORS; i++)
            for (uint32_t j = 0; kmeans.codes[i] == k && j < DIMS; j++)
                sum[j] += (double)x[i * DIMS + j];
        for (uint32_t j = 0; j < DIMS; j++)
            ck_assert_double_le(fabs(sum[j] / kmeans.counts[k] - (double)centroids[k * DIMS + j]),
                                1e-5);
        total += kmeans.counts[k];
    }
    ck_assert_uint_eq(total, VECTORS);
}
END_TEST

START_TEST(an_unused_centroid_moves_where_it_is_needed) {
    struct kmeans kmeans;
    const float *x = grouped(VECTORS, 2);
    DONE(kmeans_create(&kmeans, x, VECTORS, DIMS, centroids, CENTROIDS, &arena, &err));
    for (uint32_t k = 0; k < CENTROIDS * DIMS; k++)
        centroids[k] = k < DIMS ? 0 : 1e6f; /* one for all, and 39 out of reach */
    kmeans_assign(&kmeans);
    ck_assert_uint_eq(kmeans.counts[0], VECTORS);
    kmeans_refine(&kmeans, 20);
    for (uint32_t k = 0; k < CENTROIDS; k++)
        ck_assert_uint_gt(kmeans.counts[k], 0);
}
END_TEST

START_TEST(fewer_vectors_than_centroids) {
    struct kmeans kmeans;
    struct rng rng = rng_stream(seed, RNG_TEST, 24, 0);
    DONE(kmeans_create(&kmeans, grouped(7, 3), 7, DIMS, centroids, CENTROIDS, &arena, &err));
    kmeans_start(&kmeans, &rng);
    kmeans_refine(&kmeans, 20);
    ck_assert_double_eq(kmeans_distortion(&kmeans), 0);
    for (uint32_t a = 0; a < CENTROIDS; a++) /* finite, and no two alike */
        for (uint32_t b = 0; b < a; b++)
            ck_assert(squared_distance(centroids + a * DIMS, centroids + b * DIMS, DIMS) > 0);
}
END_TEST

START_TEST(balanced_cells) {
    struct kmeans kmeans;
    struct rng rng = rng_stream(seed, RNG_TEST, 25, 0);
    DONE(kmeans_create(&kmeans, grouped(VECTORS, 4), VECTORS, DIMS, centroids, CENTROIDS, &arena,
                       &err));
    kmeans_start(&kmeans, &rng);
    kmeans_refine(&kmeans, 20);
    uint32_t before = 0, after = 0, empty = 0;
    for (uint32_t k = 0; k < CENTROIDS; k++)
        before = kmeans.counts[k] > before ? kmeans.counts[k] : before;
    DONE(kmeans_balance(&kmeans, 40, &arena, &err));
    for (uint32_t k = 0; k < CENTROIDS; k++) {
        after = kmeans.counts[k] > after ? kmeans.counts[k] : after;
        empty += kmeans.counts[k] == 0;
    }
    printf("largest cell %u -> %u of %u\n", before, after, VECTORS);
    ck_assert_uint_gt(before, 2 * VECTORS / CENTROIDS); /* else this tests nothing */
    ck_assert_uint_le(after, 2 * VECTORS / CENTROIDS * 11 / 10);
    ck_assert_uint_eq(empty, 0);
}
END_TEST

START_TEST(equal_vectors_cannot_be_split) {
    struct kmeans kmeans;
    struct rng rng = rng_stream(seed, RNG_TEST, 26, 0);
    float x[30 * DIMS];
    for (uint32_t i = 0; i < 30 * DIMS; i++)
        x[i] = 0.1f;
    DONE(kmeans_create(&kmeans, x, 30, DIMS, centroids, 5, &arena, &err));
    kmeans_start(&kmeans, &rng);
    kmeans_refine(&kmeans, 20);
    DONE(kmeans_balance(&kmeans, 10, &arena, &err));
    ck_assert_uint_eq(kmeans.counts[0], 30);
    ck_assert_double_eq(kmeans_distortion(&kmeans), 0);
}
END_TEST

int main(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    seed = text ? strtoull(text, NULL, 10) : 1;
    printf("COLDSTREAM_SEED=%llu\n", (unsigned long long)seed);
    Suite *suite = suite_create("kmeans");
    TCase *tests = tcase_create("kmeans");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, plus_plus_beats_a_random_start);
    tcase_add_test(tests, each_iteration_lowers_the_distortion);
    tcase_add_test(tests, centroids_are_means_and_counts_add_up);
    tcase_add_test(tests, an_unused_centroid_moves_where_it_is_needed);
    tcase_add_test(tests, fewer_vectors_than_centroids);
    tcase_add_test(tests, balanced_cells);
    tcase_add_test(tests, equal_vectors_cannot_be_split);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
