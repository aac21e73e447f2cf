/* The contrast of pairs: its value against the formula in double, its gradients against finite differences. */
#include "base/rng.h"
#include "math/pair_contrast.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { N = 7, D = 5, SCRATCH = (N + D) * 16 };
static const uint32_t triggers[N] = {1, 2, 3, 1, 5, 6, 7}, targets[N] = {9, 8, 7, 6, 9, 4, 9};

static double one_way(const float *from, const float *to, const uint32_t *id, double tau) {
    double loss = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0, own = 0;
        for (int j = 0; j < N; j++) {
            double s = 0;
            for (int k = 0; k < D; k++)
                s += (double)from[i * D + k] * (double)to[j * D + k];
            if (i == j || id[i] != id[j])
                sum += exp(s / tau);
            if (i == j)
                own = s / tau;
        }
        loss += log(sum) - own;
    }
    return loss / N;
}

static double formula(const float *a, const float *b, double tau) {
    return one_way(a, b, targets, tau) + one_way(b, a, triggers, tau);
}

START_TEST(value_and_gradients) {
    float a[N * D], b[N * D], da[N * D], db[N * D], scratch[SCRATCH];
    struct rng rng = rng_stream(1, RNG_TEST, 11, 0);
    for (int i = 0; i < N * D; i++) {
        a[i] = 0.5f * rng_normal(&rng);
        b[i] = 0.5f * rng_normal(&rng);
        da[i] = db[i] = 1.0f; /* added to */
    }
    float loss = pair_contrast(N, D, 0.3f, 2.0f, a, b, triggers, targets, scratch, da, db);
    ck_assert_double_le(fabs((double)loss - 2 * formula(a, b, 0.3)), 1e-5);
    float *of[2] = {a, b}, *gradients[2] = {da, db};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < N * D; i++) {
            float kept = of[side][i];
            of[side][i] = kept + 1e-3f;
            double above = formula(a, b, 0.3);
            double step = (double)of[side][i] - (double)kept;
            of[side][i] = kept - 1e-3f;
            double below = formula(a, b, 0.3);
            step += (double)kept - (double)of[side][i];
            of[side][i] = kept;
            double want = 2 * (above - below) / step;
            ck_assert_double_le(fabs((double)gradients[side][i] - 1 - want), 2e-3);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pair_contrast");
    TCase *tests = tcase_create("pair_contrast");
    tcase_add_test(tests, value_and_gradients);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
