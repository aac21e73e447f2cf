/* The tokenizer's encoding against arrays that an independent implementation wrote: golden/rq.* and
 * opq.*. */
#include "../npy.h"
#include "model/tokenizer.h"

#include <check.h>
#include <math.h>

enum { N = 40, DIMS = 12 };

static struct arena arena;
static struct error err;
static struct tokenizer *tokenizer;

static struct npy golden(const char *name, size_t rows, size_t columns) {
    struct npy a = npy_golden(name);
    ck_assert_msg(a.dims == 2 && a.shape[0] == rows && a.shape[1] == columns,
                  "%s has another shape", name);
    return a;
}

static void fill(float *to, const char *name, size_t rows, size_t columns) {
    struct npy a = golden(name, rows, columns);
    ck_assert_ptr_nonnull(a.f32);
    memcpy(to, a.f32, a.count * sizeof *to);
    npy_free(&a);
}

/* Books of 8, 6 and 4 codes, two of 5; rotation y = r R as the reference's. */
static void setup(void) {
    const struct tokenizer_config config = {
        .content_dims = DIMS, .z_dims = DIMS, .books = {8, 6, 4, 5, 5}};
    ck_assert(arena_reserve(&arena, "test", 1 << 24, &err) == OK);
    ck_assert_msg(tokenizer_create(&tokenizer, &config, N, &arena, &err) == OK, "%s", err.text);
    struct codebooks *books = tokenizer_codebooks(tokenizer);
    char name[32];
    for (int l = 0; l < RQ_LEVELS; l++) {
        snprintf(name, sizeof name, "rq.p.book%d", l + 1);
        fill(books->rq[l], name, config.books[l], DIMS);
    }
    for (int m = 0; m < OPQ_CODES; m++) {
        snprintf(name, sizeof name, "opq.p.book%d", m + 1);
        fill(books->opq[m], name, config.books[RQ_LEVELS + m], DIMS / 2);
    }
    fill(books->rotation, "opq.p.R", DIMS, DIMS);
    tokenizer_refresh(tokenizer);
}
static void teardown(void) {
    arena_release(&arena);
}

START_TEST(codes_and_errors_match) {
    uint16_t codes[N * SID_CODES];
    float error[N], norms[N * RQ_LEVELS];
    struct npy x = golden("rq.in.x", N, DIMS), rq = golden("rq.out.codes", N, RQ_LEVELS),
               residual = golden("rq.out.residual", N, DIMS),
               opq = golden("opq.out.codes", N, OPQ_CODES),
               rotated = golden("opq.out.rotated", N, DIMS),
               decoded = golden("opq.out.decoded", N, DIMS);
    tokenizer_encode(tokenizer, x.f32, N, codes, error, norms);
    for (int i = 0; i < N; i++) {
        double left = 0, wrong = 0, apart = 0;
        float reconstructed[DIMS];
        for (int l = 0; l < RQ_LEVELS; l++)
            ck_assert_int_eq(codes[i * SID_CODES + l], rq.i32[i * RQ_LEVELS + l]);
        for (int m = 0; m < OPQ_CODES; m++)
            ck_assert_int_eq(codes[i * SID_CODES + RQ_LEVELS + m], opq.i32[i * OPQ_CODES + m]);
        tokenizer_decode(tokenizer, codes + i * SID_CODES, reconstructed);
        for (int j = 0; j < DIMS; j++) {
            int at = i * DIMS + j;
            left += pow((double)residual.f32[at], 2);
            wrong += pow((double)rotated.f32[at] - (double)decoded.f32[at], 2);
            apart += pow((double)x.f32[at] - (double)reconstructed[j], 2);
        }
        ck_assert_double_le(fabs((double)norms[i * RQ_LEVELS + 2] - left), 1e-5 * left);
        ck_assert_double_le(fabs((double)error[i] - wrong), 1e-5 * wrong);
        ck_assert_double_le(fabs((double)error[i] - apart), 1e-5 * apart);
    }
    struct npy *all[] = {&x, &rq, &residual, &opq, &rotated, &decoded};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}
END_TEST

int main(void) {
    npy_golden_or_skip();
    Suite *suite = suite_create("tokenizer_golden");
    TCase *tests = tcase_create("tokenizer_golden");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, codes_and_errors_match);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
