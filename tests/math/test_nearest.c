/* The nearest centroid: every kernel against the definition, squared_distance() tried on every
 * code, on easy data and on data made to mislead the 8-bit screening. */
#include "base/rng.h"
#include "math/nearest.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static struct error err;
static uint64_t seed;

static void setup(void) {
    ck_assert_msg(arena_reserve(&arena, "test", (size_t)1 << 30, &err) == OK, "%s", err.text);
}
static void teardown(void) {
    arena_release(&arena);
}

static float *floats(size_t count) {
    return arena_must(&arena, count * sizeof(float));
}

static float *normals(struct rng *rng, size_t count, float scale) {
    float *x = floats(count);
    for (size_t i = 0; i < count; i++)
        x[i] = scale * rng_normal(rng);
    return x;
}

/* The contract, word for word. */
static uint16_t definition(const float *x, const float *centroids, uint32_t count, uint32_t dims,
                           float *distance) {
    uint32_t best = 0;
    *distance = INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        float d = squared_distance(x, centroids + (size_t)k * dims, dims);
        if (d < *distance) {
            *distance = d;
            best = k;
        }
    }
    return (uint16_t)best;
}

static void expect_definition(const float *x, uint32_t n, const float *centroids, uint32_t count,
                              uint32_t dims) {
    struct nearest nearest;
    uint16_t *codes = arena_must(&arena, 2 * n * sizeof *codes);
    float *distances = floats(n);
    ck_assert(nearest_create(&nearest, centroids, count, dims, &arena, &err) == OK);
    nearest_refresh(&nearest);
    for (int kernel = (int)nearest.kernel; kernel >= NEAREST_ANYWHERE; kernel--) {
        nearest.kernel = (enum nearest_kernel)kernel;
        memset(codes, 0xff, 2 * n * sizeof *codes);
        nearest_find(&nearest, x, dims, n, codes, 2, distances, 1);
        for (uint32_t i = 0; i < n; i++) {
            float distance;
            uint16_t code = definition(x + (size_t)i * dims, centroids, count, dims, &distance);
            ck_assert_msg(
                codes[2 * i] == code && memcmp(&distance, &distances[i], 4) == 0,
                "kernel %d, %u codes of %u dims, vector %u: code %u at %.9g, should be %u at %.9g; "
                "rerun with COLDSTREAM_SEED=%llu",
                kernel, count, dims, i, codes[2 * i], (double)distances[i], code, (double)distance,
                (unsigned long long)seed);
            ck_assert_uint_eq(codes[2 * i + 1], 0xffff); /* the stride is respected */
        }
    }
}

START_TEST(any_shape) {
    static const float scales[] = {1, 1e-3f, 1e-25f, 1e15f};
    for (uint32_t round = 0; round < 60; round++) {
        struct rng rng = rng_stream(seed, RNG_TEST, 1, round);
        uint32_t dims = 1 + rng_below(&rng, 90), count = 1 + rng_below(&rng, 200),
                 n = 1 + rng_below(&rng, 20);
        float scale = scales[round % 4];
        arena_reset(&arena);
        float *x = normals(&rng, (size_t)n * dims, scale),
              *centroids = normals(&rng, (size_t)count * dims, scale);
        memset(x, 0, dims * sizeof *x);
        expect_definition(x, n, centroids, count, dims);
    }
}
END_TEST

START_TEST(near_ties) {
    for (uint32_t round = 0; round < 20; round++) {
        struct rng rng = rng_stream(seed, RNG_TEST, 2, round);
        uint32_t dims = 8 + rng_below(&rng, 120), count = 150, n = 30;
        arena_reset(&arena);
        float *centroids = normals(&rng, (size_t)count * dims, 1), *x = floats((size_t)n * dims);
        /* copies of a few centroids, each entry moved by at most one unit in the last place */
        for (uint32_t k = 10; k < count; k++)
            for (uint32_t j = 0; j < dims; j++) {
                float from = centroids[(k % 10) * dims + j];
                uint32_t where = rng_below(&rng, 3);
                centroids[k * dims + j] =
                    where == 0 ? from : nextafterf(from, where == 1 ? 9.f : -9.f);
            }
        /* vectors half way between two of them, so that whole groups are equally far */
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < dims; j++)
                x[i * dims + j] =
                    0.5f * (centroids[(i % 10) * dims + j] + centroids[((i + 3) % 10) * dims + j]);
        expect_definition(x, n, centroids, count, dims);
    }
}
END_TEST

/* One code so large that 8 bits leave nothing of the others; codes that cancel; all zero. */
START_TEST(lopsided_books) {
    struct rng rng = rng_stream(seed, RNG_TEST, 3, 0);
    uint32_t dims = 64, count = 70, n = 40;
    float *x = normals(&rng, n * dims, 1), *centroids = normals(&rng, count * dims, 1);
    for (uint32_t j = 0; j < dims; j++)
        centroids[5 * dims + j] *= 1e6f;
    expect_definition(x, n, centroids, count, dims);
    memset(centroids, 0, count * dims * sizeof *centroids);
    expect_definition(x, n, centroids, count, dims);
}
END_TEST

START_TEST(ties_go_to_the_lowest_code) {
    float centroids[3 * 4] = {1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0},
                        x[2 * 4] = {2, 0, 0, 0, 1, 1, 0, 0};
    struct nearest nearest;
    uint16_t codes[2];
    ck_assert(nearest_create(&nearest, centroids, 3, 4, &arena, &err) == OK);
    nearest_refresh(&nearest);
    nearest_find(&nearest, x, 4, 2, codes, 1, NULL, 0);
    ck_assert_uint_eq(codes[0], 0);
    ck_assert_uint_eq(codes[1], 0);
}
END_TEST

START_TEST(distance_is_accurate) {
    struct rng rng = rng_stream(seed, RNG_TEST, 4, 0);
    for (uint32_t dims = 1; dims < 130; dims++) {
        arena_reset(&arena);
        float *a = normals(&rng, dims, 1), *b = normals(&rng, dims, 1);
        double exact = 0;
        for (uint32_t i = 0; i < dims; i++)
            exact += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        ck_assert_double_le(fabs((double)squared_distance(a, b, dims) - exact), 1e-6 * exact);
    }
}
END_TEST

START_TEST(residuals_are_what_is_left) {
    struct rng rng = rng_stream(seed, RNG_TEST, 5, 0);
    uint32_t dims = 20, n = 50, count = 30;
    struct nearest levels[2];
    float *books[2], *r = normals(&rng, n * dims, 1), *x = floats(n * dims), *norms = floats(n * 2);
    uint16_t *codes = arena_must(&arena, n * 5 * sizeof *codes);
    memcpy(x, r, n * dims * sizeof *x);
    for (int l = 0; l < 2; l++) {
        books[l] = normals(&rng, count * dims, l == 0 ? 0.7f : 0.3f);
        ck_assert(nearest_create(&levels[l], books[l], count, dims, &arena, &err) == OK);
        nearest_refresh(&levels[l]);
    }
    residual_quantise(levels, 2, r, n, codes, 5, norms);
    static const float zero[20];
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < dims; j++) {
            float left = x[i * dims + j] - books[0][codes[i * 5] * dims + j];
            left -= books[1][codes[i * 5 + 1] * dims + j];
            ck_assert_float_eq(left, r[i * dims + j]);
        }
        ck_assert_float_eq(norms[i * 2 + 1], squared_distance(r + i * dims, zero, dims));
    }
}
END_TEST

START_TEST(full_arena_is_an_error) {
    struct nearest nearest;
    struct arena small;
    float centroids[4] = {0};
    ck_assert(arena_reserve(&small, "small", 4096, &err) == OK);
    arena_must(&small, small.reserved - 64);
    ck_assert(nearest_create(&nearest, centroids, 1, 4, &small, &err) == FATAL);
    ck_assert_msg(strstr(err.text, "small") != NULL, "%s", err.text);
    arena_release(&small);
}
END_TEST

int main(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    seed = text ? strtoull(text, NULL, 10) : 1;
    printf("COLDSTREAM_SEED=%llu\n", (unsigned long long)seed);
    Suite *suite = suite_create("nearest");
    TCase *tests = tcase_create("nearest");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, any_shape);
    tcase_add_test(tests, near_ties);
    tcase_add_test(tests, lopsided_books);
    tcase_add_test(tests, ties_go_to_the_lowest_code);
    tcase_add_test(tests, distance_is_accurate);
    tcase_add_test(tests, residuals_are_what_is_left);
    tcase_add_test(tests, full_arena_is_an_error);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
