/* The lazy running means against arrays that an independent implementation wrote: golden/ema.*. */
#include "../npy.h"
#include "math/ema.h"
#include "math/vector.h"

#include <check.h>
#include <math.h>

enum { EVENTS = 20 };

static void near(const char *name, const float *have, size_t count) {
    struct npy want = npy_golden(name);
    ck_assert_uint_eq(want.count, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(have[i] - want.f32[i]) <= 1e-5f * (1 + fabsf(want.f32[i])),
                      "%s[%zu]: %g, not %g", name, i, (double)have[i], (double)want.f32[i]);
    npy_free(&want);
}

START_TEST(one_pass_of_events) {
    struct npy c = npy_golden("ema.in.C"), n = npy_golden("ema.in.n"), m = npy_golden("ema.in.m"),
               last = npy_golden("ema.in.last"), codes = npy_golden("ema.in.codes"),
               x = npy_golden("ema.in.x"), w = npy_golden("ema.in.w"), t = npy_golden("ema.in.t"),
               g = npy_golden("ema.in.g");
    size_t k = c.shape[0], d = c.shape[1];
    float centroids[64 * 16], counts[64], sums[64 * 16];
    int32_t touched[64];
    ck_assert(k <= 64 && d <= 16 && codes.count == EVENTS);
    memcpy(centroids, c.f32, c.count * sizeof(float));
    memcpy(counts, n.f32, k * sizeof(float));
    memcpy(sums, m.f32, m.count * sizeof(float));
    memcpy(touched, last.i32, k * sizeof(int32_t));
    for (int32_t j = 0; j < EVENTS; j++) {
        size_t code = (size_t)codes.i32[j];
        float f = ema_decay(log_f32(g.f32[0]), (uint64_t)(t.i32[0] + j) - (uint64_t)touched[code]);
        touched[code] = t.i32[0] + j;
        ema_update(d, f, 1 - g.f32[0], w.f32[j], x.f32 + (size_t)j * d, &counts[code],
                   sums + code * d);
        ema_centroid(d, counts[code], sums + code * d, centroids + code * d);
    }
    near("ema.out.n", counts, k);
    near("ema.out.m", sums, k * d);
    near("ema.out.C", centroids, k * d);
    struct npy after = npy_golden("ema.out.last");
    ck_assert(memcmp(after.i32, touched, k * sizeof(int32_t)) == 0);
    struct npy *all[] = {&c, &n, &m, &last, &codes, &x, &w, &t, &g, &after};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}
END_TEST

int main(void) {
    npy_golden_or_skip();
    Suite *suite = suite_create("ema");
    TCase *tests = tcase_create("ema");
    tcase_add_test(tests, one_pass_of_events);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
