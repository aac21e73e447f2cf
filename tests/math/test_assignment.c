/* The assignment against all permutations. */
#include "base/rng.h"
#include "math/assignment.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 7 };
static struct arena arena;
static struct error err;

static uint64_t best_of_all(uint32_t n, const uint32_t *gain, uint32_t row, uint32_t used) {
    uint64_t best = 0;
    if (row == n)
        return 0;
    for (uint32_t j = 0; j < n; j++)
        if (!(used >> j & 1)) {
            uint64_t rest = best_of_all(n, gain, row + 1, used | 1u << j);
            if (rest + gain[row * n + j] > best)
                best = rest + gain[row * n + j];
        }
    return best;
}

static uint64_t total(uint32_t n, const uint32_t *gain, const uint32_t *column) {
    uint64_t sum = 0;
    bool used[256] = {0};
    for (uint32_t i = 0; i < n; i++) {
        ck_assert(column[i] < n && !used[column[i]]);
        used[column[i]] = true;
        sum += gain[(size_t)i * n + column[i]];
    }
    return sum;
}

START_TEST(as_good_as_the_best_permutation) {
    const char *only = getenv("COLDSTREAM_SEED");
    uint64_t first = only ? strtoull(only, NULL, 0) : 1, last = only ? first : 500;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct rng rng = rng_stream(seed, RNG_TEST, 9, 0);
        uint32_t n = 1 + rng_below(&rng, N_MAX), gain[N_MAX * N_MAX], column[N_MAX];
        uint32_t most = rng_below(&rng, 2) ? 4 : 1000000; /* many ties, or none */
        for (uint32_t i = 0; i < n * n; i++)
            gain[i] = rng_below(&rng, most);
        ck_assert(assign_greatest(n, gain, column, &arena, &err) == OK);
        uint64_t have = total(n, gain, column), want = best_of_all(n, gain, 0, 0);
        ck_assert_msg(have == want, "%llu, not %llu: COLDSTREAM_SEED=%llu test_assignment",
                      (unsigned long long)have, (unsigned long long)want, (unsigned long long)seed);
    }
}
END_TEST

START_TEST(a_hidden_permutation_is_found) {
    static uint32_t gain[256 * 256], column[256];
    struct rng rng = rng_stream(1, RNG_TEST, 10, 0);
    for (uint32_t i = 0; i < 256 * 256; i++)
        gain[i] = rng_below(&rng, 100);
    for (uint32_t i = 0; i < 256; i++)
        gain[i * 256 + (i * 37 + 11) % 256] = 100;
    ck_assert(assign_greatest(256, gain, column, &arena, &err) == OK);
    for (uint32_t i = 0; i < 256; i++)
        ck_assert_uint_eq(column[i], (i * 37 + 11) % 256);
}
END_TEST

int main(void) {
    if (arena_reserve(&arena, "test", 1 << 20, &err) != OK)
        return 1;
    Suite *suite = suite_create("assignment");
    TCase *tests = tcase_create("assignment");
    tcase_add_test(tests, as_good_as_the_best_permutation);
    tcase_add_test(tests, a_hidden_permutation_is_found);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
