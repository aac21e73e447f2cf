/* A listing's vectors in the model's layout; what is missing; text that stands for a vector. */
#include "stage/modalities.h"

#include "model/tokenizer.h"
#include <check.h>
#include <math.h>
#include <string.h>

static struct error err;
static enum dead_reason reason;
static struct content_layout layout;

static void setup(void) {
    layout = (struct content_layout){.ngram_dims = 16};
    ck_assert(modalities_parse("  text:3 image:2 ", &layout, &err) == OK);
}

static struct listing listing_of(const float *vector, const char *text) {
    struct listing l = {.vector = vector};
    if (text)
        l.text = bytes_text(text);
    return l;
}
static void add_part(struct listing *l, const char *name, uint32_t dims) {
    l->parts[l->part_count++] = (struct listing_part){bytes_text(name), dims};
    l->dims += dims;
}

START_TEST(layouts_are_read) {
    static const char *const bad[] = {
        "text",          "text:0",  ":3",
        "text:3 text:4", "text:x",  "text:3:4",
        "text: 3",       "text:-3", "a:1 b:1 c:1 d:1 e:1 f:1 g:1 h:1 i:1",
        "text:99999"};
    ck_assert_uint_eq(layout.modality_count, 2);
    ck_assert_str_eq(layout.modalities[1].name, "image");
    ck_assert_uint_eq(layout.modalities[1].dims, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct content_layout other;
        ck_assert_msg(modalities_parse(bad[i], &other, &err) == FATAL, "%s", bad[i]);
    }
}
END_TEST

START_TEST(any_order_and_some_missing) {
    const float vector[] = {8, 9, 1, 2, 3};
    float out[21];
    struct listing l = listing_of(vector, NULL);
    add_part(&l, "image", 2);
    add_part(&l, "text", 3);
    ck_assert(modalities_check(&layout, 21, &l, &reason, &err) == OK);
    modalities_arrange(&layout, 21, &l, out);
    const float want[] = {1, 2, 3, 8, 9};
    ck_assert(memcmp(out, want, sizeof want) == 0);
    for (int i = 5; i < 21; i++)
        ck_assert(isnan(out[i])); /* no text */
    struct listing one = listing_of(vector, "a red lamp");
    add_part(&one, "image", 2);
    ck_assert(modalities_check(&layout, 21, &one, &reason, &err) == OK);
    modalities_arrange(&layout, 21, &one, out);
    ck_assert(isnan(out[0]) && isnan(out[2]) && out[3] == 8.0f && out[4] == 9.0f);
    float square = 0;
    for (int i = 5; i < 21; i++)
        square += out[i] * out[i];
    ck_assert_float_eq_tol(square, 1, 1e-5f);
}
END_TEST

START_TEST(what_does_not_fit_is_refused) {
    const float vector[] = {1, 2, 3, NAN, 5};
    struct listing unknown = listing_of(vector, "text"), twice = unknown, longer = unknown,
                   infinite = unknown, nothing = listing_of(NULL, "ab"),
                   text = listing_of(NULL, "abc");
    add_part(&unknown, "sound", 2);
    add_part(&twice, "image", 2);
    add_part(&twice, "image", 2);
    add_part(&longer, "image", 3);
    add_part(&infinite, "text", 3);
    add_part(&infinite, "image", 2);
    struct listing *bad[] = {&unknown, &twice, &longer, &infinite, &nothing};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(modalities_check(&layout, 21, bad[i], &reason, &err) == BAD_RECORD, "%zu", i);
        ck_assert_uint_eq(reason, DEAD_VECTOR);
    }
    ck_assert(modalities_check(&layout, 21, &text, &reason, &err) == OK);
}
END_TEST

START_TEST(similar_texts_are_near) {
    float a[21], b[21], c[21], same = 0, other = 0;
    struct listing l = listing_of(NULL, "Bamboo Kitchen Kettle");
    modalities_arrange(&layout, 21, &l, a);
    l.text = bytes_text("bamboo kitchen kettles");
    modalities_arrange(&layout, 21, &l, b);
    l.text = bytes_text("steel garden chair");
    modalities_arrange(&layout, 21, &l, c);
    for (int i = 5; i < 21; i++) {
        same += a[i] * b[i];
        other += a[i] * c[i];
    }
    ck_assert_float_gt(same, 0.8f);
    ck_assert_float_lt(other, 0.6f);
}
END_TEST

/* Two modalities of very different length that tell the same: each alone is enough to find the item's cell. */
START_TEST(one_modality_stands_for_both) {
    enum { N = 400, KINDS = 8, DC = 12 };
    static float x[N * DC];
    struct arena arena;
    struct tokenizer *t;
    struct tokenizer_config config = {
        .content_dims = DC, .z_dims = 6, .books = {8, 4, 4, 4, 4}, .parts = {6, 6}, .seed = 1};
    ck_assert(arena_reserve(&arena, "test", (size_t)64 << 20, &err) == OK);
    ck_assert(tokenizer_create(&t, &config, 1, &arena, &err) == OK);
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < DC; j++) {
            struct rng kind = rng_stream(5, RNG_TEST, i % KINDS, j % 6),
                       own = rng_stream(6, RNG_TEST, i, j);
            x[i * DC + j] = (j < 6 ? 1.0f : 100.0f) * (rng_normal(&kind) + 0.1f * rng_normal(&own));
        }
    ck_assert(tokenizer_train(t, x, N, 1, &arena, &err) == OK);
    uint32_t found[2] = {0, 0};
    for (uint32_t i = 0; i < N; i++)
        for (int missing = 0; missing < 2; missing++) {
            float part[DC], z[6], whole[6];
            uint16_t codes[SID_CODES], want[SID_CODES];
            memcpy(part, x + i * DC, sizeof part);
            for (int j = 0; j < 6; j++)
                part[missing * 6 + j] = NAN;
            tokenizer_project(t, x + i * DC, whole);
            tokenizer_project(t, part, z);
            tokenizer_encode(t, whole, 1, want, NULL, NULL);
            tokenizer_encode(t, z, 1, codes, NULL, NULL);
            found[missing] += codes[0] == want[0];
        }
    ck_assert_msg(found[0] > N * 9 / 10 && found[1] > N * 9 / 10, "%u and %u of %d", found[0],
                  found[1], N);
    arena_release(&arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("modalities");
    TCase *tests = tcase_create("modalities");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, layouts_are_read);
    tcase_add_test(tests, any_order_and_some_missing);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    tcase_add_test(tests, similar_texts_are_near);
    tcase_add_test(tests, one_modality_stands_for_both);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
