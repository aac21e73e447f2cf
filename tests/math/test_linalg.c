/* The wrappers of BLAS and LAPACK: which way round the matrices go, and what the decompositions
 * promise. */
#include "base/rng.h"
#include "math/linalg.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 12

static struct arena arena;
static struct error err;

static void setup(void) {
    ck_assert_msg(arena_reserve(&arena, "test", (size_t)1 << 24, &err) == OK, "%s", err.text);
}
static void teardown(void) {
    arena_release(&arena);
}

static void random_matrix(double *a, int count, uint64_t which) {
    struct rng rng = rng_stream(1, RNG_TEST, 10, which);
    for (int i = 0; i < count; i++)
        a[i] = (double)rng_normal(&rng);
}

START_TEST(product_in_all_four_forms) {
    enum { M = 2, K = 3, COLUMNS = 4 };
    const float a[M * K] = {1, 2, 3, 4, 5, 6}, at[K * M] = {1, 4, 2, 5, 3, 6};
    const float b[K * COLUMNS] = {1, 0, 2, 1, 0, 1, 1, 2, 3, 1, 0, 1};
    const float bt[COLUMNS * K] = {1, 0, 3, 0, 1, 1, 2, 1, 0, 1, 2, 1};
    const float product[M * COLUMNS] = {10, 5, 4, 8, 22, 11, 13, 20};
    for (int form = 0; form < 4; form++) {
        float c[M * COLUMNS];
        for (int i = 0; i < M * COLUMNS; i++)
            c[i] = 100;
        bool ta = form & 1, tb = form & 2;
        gemm(ta, tb, M, COLUMNS, K, 2, ta ? at : a, ta ? M : K, tb ? bt : b, tb ? K : COLUMNS, 1, c,
             COLUMNS);
        for (int i = 0; i < M * COLUMNS; i++)
            ck_assert_float_eq(c[i], 100 + 2 * product[i]);
    }
}
END_TEST

START_TEST(eigenvectors_are_rows) {
    double x[20 * N], gram[N * N] = {0}, a[N * N], values[N];
    random_matrix(x, 20 * N, 0);
    gram_add(20, N, x, N, gram, N);
    memcpy(a, gram, sizeof a);
    ck_assert_msg(eigen_symmetric(N, a, values, &arena, &err) == OK, "%s", err.text);
    for (int k = 0; k < N; k++) {
        double largest = 0;
        ck_assert(k == 0 || values[k] >= values[k - 1]);
        for (int i = 0; i < N; i++) {
            double image = 0, unit = 0;
            for (int j = 0; j < N; j++) {
                image += (i <= j ? gram[i * N + j] : gram[j * N + i]) * a[k * N + j];
                unit += a[k * N + j] * a[i * N + j];
            }
            ck_assert_double_le(fabs(image - values[k] * a[k * N + i]), 1e-10);
            ck_assert_double_le(fabs(unit - (i == k)), 1e-12);
            largest = fabs(a[k * N + i]) > fabs(largest) ? a[k * N + i] : largest;
        }
        ck_assert_double_gt(largest, 0); /* the sign is settled */
    }
}
END_TEST

static double agreement(const double *r, const double *a) { /* trace(r' a) */
    double sum = 0;
    for (int i = 0; i < N * N; i++)
        sum += r[i] * a[i];
    return sum;
}

/* r (1 + turn in the plane of coordinates i, j): still orthogonal, so it must agree less. */
static void turn(double *r, int i, int j, double angle) {
    for (int row = 0; row < N; row++) {
        double p = r[row * N + i], q = r[row * N + j];
        r[row * N + i] = cos(angle) * p - sin(angle) * q;
        r[row * N + j] = sin(angle) * p + cos(angle) * q;
    }
}

START_TEST(nearest_orthogonal_is_orthogonal_and_nearest) {
    double a[N * N], r[N * N], turned[N * N];
    random_matrix(a, N * N, 1);
    memcpy(r, a, sizeof r);
    ck_assert_msg(nearest_orthogonal(N, r, &arena, &err) == OK, "%s", err.text);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double dot = 0;
            for (int k = 0; k < N; k++)
                dot += r[i * N + k] * r[j * N + k];
            ck_assert_double_le(fabs(dot - (i == j)), 1e-12);
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            for (int sign = -1; sign <= 1; sign += 2) {
                memcpy(turned, r, sizeof r);
                turn(turned, i, j, sign * 0.01);
                ck_assert_double_lt(agreement(turned, a), agreement(r, a));
            }
}
END_TEST

START_TEST(nearest_orthogonal_to_nothing_is_orthogonal) {
    double a[N * N] = {0};
    ck_assert(nearest_orthogonal(N, a, &arena, &err) == OK);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double dot = 0;
            for (int k = 0; k < N; k++)
                dot += a[i * N + k] * a[j * N + k];
            ck_assert_double_le(fabs(dot - (i == j)), 1e-12);
        }
}
END_TEST

START_TEST(full_arena_is_an_error) {
    double a[N * N] = {0}, values[N];
    arena_must(&arena, arena.reserved - arena.used - 64);
    ck_assert(eigen_symmetric(N, a, values, &arena, &err) == FATAL);
    ck_assert(nearest_orthogonal(N, a, &arena, &err) == FATAL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("linalg");
    TCase *tests = tcase_create("linalg");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, product_in_all_four_forms);
    tcase_add_test(tests, eigenvectors_are_rows);
    tcase_add_test(tests, nearest_orthogonal_is_orthogonal_and_nearest);
    tcase_add_test(tests, nearest_orthogonal_to_nothing_is_orthogonal);
    tcase_add_test(tests, full_arena_is_an_error);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
