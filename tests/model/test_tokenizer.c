/* The tokenizer: properties that its contract promises, on made-up content with groups and unequal
 * directions. */
#include "math/kmeans.h"
#include "math/linalg.h"
#include "model/tokenizer.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS = 1500, CONTENT = 48, DIMS = 32, BATCH = 300 };

static const struct tokenizer_config config = {
    .content_dims = CONTENT, .z_dims = DIMS, .books = {48, 32, 24, 20, 28}, .seed = 5};

static struct arena arena, scratch;
static struct error err;
static uint64_t seed;
static struct tokenizer *tokenizer;
static float *x; /* [VECTORS, CONTENT] */
static float *z; /* [VECTORS, DIMS] */

#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

/* 30 groups; directions of falling size, mixed, so that neither axes nor halves are special. */
static float *content(uint32_t n, uint64_t which) {
    struct rng rng = rng_stream(seed, RNG_TEST, 40, which);
    float *out = arena_must(&arena, (size_t)n * CONTENT * sizeof *out);
    static float mix[CONTENT * CONTENT], middles[30 * CONTENT];
    for (uint32_t i = 0; i < CONTENT * CONTENT; i++)
        mix[i] = rng_normal(&rng) / (1 + 0.2f * (float)(i / CONTENT));
    for (uint32_t i = 0; i < 30 * CONTENT; i++)
        middles[i] = 1.5f * rng_normal(&rng);
    for (uint32_t i = 0; i < n; i++) {
        const float *middle = middles + rng_below(&rng, 1 + rng_below(&rng, 30)) * CONTENT;
        for (uint32_t j = 0; j < CONTENT; j++)
            out[i * CONTENT + j] = 2;
        for (uint32_t k = 0; k < CONTENT; k++) {
            float along = middle[k] + rng_normal(&rng);
            for (uint32_t j = 0; j < CONTENT; j++)
                out[i * CONTENT + j] += along * mix[k * CONTENT + j];
        }
    }
    return out;
}

static struct tokenizer *trained(const struct tokenizer_config *with, const float *on, uint32_t n) {
    struct tokenizer *t;
    DONE(tokenizer_create(&t, with, BATCH, &arena, &err));
    DONE(tokenizer_train(t, on, n, 1, &scratch, &err));
    ck_assert_uint_eq(scratch.used, 0);
    return t;
}

static void setup(void) {
    DONE(arena_reserve(&arena, "test", (size_t)1 << 28, &err));
    DONE(arena_reserve(&scratch, "training", (size_t)1 << 28, &err));
    x = content(VECTORS, 0);
    z = arena_must(&arena, VECTORS * DIMS * sizeof *z);
    tokenizer = trained(&config, x, VECTORS);
    for (uint32_t i = 0; i < VECTORS; i++)
        tokenizer_project(tokenizer, x + i * CONTENT, z + i * DIMS);
}
static void teardown(void) {
    arena_release(&arena);
    arena_release(&scratch);
}

struct encoding {
    uint16_t codes[VECTORS * SID_CODES];
    float error[VECTORS], residuals[VECTORS * RQ_LEVELS];
};

/* All of z in batches of so many. */
static void encode_all(struct tokenizer *t, uint32_t batch, struct encoding *out) {
    for (uint32_t i = 0; i < VECTORS; i += batch) {
        uint32_t n = VECTORS - i < batch ? VECTORS - i : batch;
        tokenizer_encode(t, z + i * DIMS, n, out->codes + i * SID_CODES, out->error + i,
                         out->residuals + i * RQ_LEVELS);
    }
}

static double squared_norm(const float *v, uint32_t dims) {
    double sum = 0;
    for (uint32_t i = 0; i < dims; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

START_TEST(z_has_its_length) {
    for (uint32_t i = 0; i < VECTORS; i++)
        ck_assert_double_le(fabs(sqrt(squared_norm(z + i * DIMS, DIMS)) - (double)Z_SCALE), 1e-5);
    float at_mean[DIMS], huge[CONTENT];
    tokenizer_project(tokenizer, tokenizer_codebooks(tokenizer)->mean, at_mean);
    ck_assert_double_eq(squared_norm(at_mean, DIMS), 0);
    for (uint32_t j = 0; j < CONTENT; j++)
        huge[j] = j % 2 ? 3e38f : -3e38f;
    tokenizer_project(tokenizer, huge, at_mean);
    for (uint32_t j = 0; j < DIMS; j++)
        ck_assert(isfinite(at_mean[j]));
}
END_TEST

/* The encoder's directions are orthonormal and decorrelate the content, largest variance first. */
START_TEST(encoder_is_pca) {
    const struct codebooks *books = tokenizer_codebooks(tokenizer);
    static double projected[VECTORS][DIMS];
    for (uint32_t i = 0; i < VECTORS; i++)
        for (uint32_t j = 0; j < DIMS; j++) {
            projected[i][j] = 0;
            for (uint32_t c = 0; c < CONTENT; c++)
                projected[i][j] += ((double)x[i * CONTENT + c] - (double)books->mean[c]) *
                                   (double)books->encoder[c * DIMS + j];
        }
    double before = INFINITY;
    for (uint32_t a = 0; a < DIMS; a++) {
        double variance = 0;
        for (uint32_t i = 0; i < VECTORS; i++)
            variance += projected[i][a] * projected[i][a];
        for (uint32_t b = 0; b < a; b++) {
            double dot = 0, covariance = 0;
            for (uint32_t c = 0; c < CONTENT; c++)
                dot += (double)books->encoder[c * DIMS + a] * (double)books->encoder[c * DIMS + b];
            for (uint32_t i = 0; i < VECTORS; i++)
                covariance += projected[i][a] * projected[i][b];
            ck_assert_double_le(fabs(dot), 1e-6);
            ck_assert_double_le(fabs(covariance), 1e-4 * variance);
        }
        ck_assert_double_le(variance, before);
        before = variance;
    }
}
END_TEST

START_TEST(each_level_leaves_less) {
    static struct encoding e;
    encode_all(tokenizer, BATCH, &e);
    double left[5] = {(double)(Z_SCALE * Z_SCALE)};
    for (uint32_t i = 0; i < VECTORS; i++) {
        for (uint32_t l = 0; l < RQ_LEVELS; l++)
            left[1 + l] += (double)e.residuals[i * RQ_LEVELS + l] / VECTORS;
        left[4] += (double)e.error[i] / VECTORS;
    }
    printf("mean squared norm: %g, after RQ %g %g %g, after OPQ %g\n", left[0], left[1], left[2],
           left[3], left[4]);
    for (int l = 0; l < 4; l++)
        ck_assert_double_lt(left[l + 1], left[l]);
}
END_TEST

START_TEST(rotation_is_orthogonal) {
    const float *r = tokenizer_codebooks(tokenizer)->rotation;
    double off = 0;
    for (uint32_t i = 0; i < DIMS; i++)
        for (uint32_t j = 0; j < DIMS; j++) {
            double dot = 0;
            for (uint32_t k = 0; k < DIMS; k++)
                dot += (double)r[i * DIMS + k] * (double)r[j * DIMS + k];
            off = fmax(off, fabs(dot - (i == j)));
        }
    ck_assert_double_lt(off, 1e-5);
}
END_TEST

/* What the RQ levels leave of z. [VECTORS, DIMS] */
static float *rq_residuals(const struct encoding *e) {
    float *r = arena_must(&arena, VECTORS * DIMS * sizeof *r);
    for (uint32_t i = 0; i < VECTORS; i++)
        for (uint32_t j = 0; j < DIMS; j++) {
            r[i * DIMS + j] = z[i * DIMS + j];
            for (uint32_t l = 0; l < RQ_LEVELS; l++)
                r[i * DIMS + j] -=
                    tokenizer_codebooks(tokenizer)->rq[l][e->codes[i * SID_CODES + l] * DIMS + j];
        }
    return r;
}

/* The error of k-means on two halves of r, given more iterations than OPQ has. Row k of
 * `directions` is a new axis, and goes to half[k]. */
static double fixed_rotation_error(const float *r, const double *directions, const int half[DIMS]) {
    double error = 0;
    for (int m = 0; m < OPQ_CODES; m++) {
        uint32_t codes = config.books[RQ_LEVELS + m];
        float *y = arena_must(&arena, VECTORS * DIMS / 2 * sizeof *y), *to = y;
        float *centroids = arena_must(&arena, codes * DIMS / 2 * sizeof *centroids);
        for (uint32_t i = 0; i < VECTORS; i++)
            for (uint32_t k = 0; k < DIMS; k++) {
                double along = 0;
                for (uint32_t j = 0; j < DIMS; j++)
                    along += (double)r[i * DIMS + j] * directions[k * DIMS + j];
                if (half[k] == m)
                    *to++ = (float)along;
            }
        struct kmeans kmeans;
        struct rng rng = rng_stream(seed, RNG_TEST, 41, (uint64_t)m);
        DONE(kmeans_create(&kmeans, y, VECTORS, DIMS / 2, centroids, codes, &arena, &err));
        kmeans_start(&kmeans, &rng);
        kmeans_refine(&kmeans, 60);
        error += kmeans_distortion(&kmeans);
    }
    return error;
}

/* Better than no rotation, and better than the best one that knows only variances. */
START_TEST(learning_the_rotation_helps) {
    static struct encoding e;
    static double axes[DIMS * DIMS], principal[DIMS * DIMS], wide[VECTORS * DIMS];
    double opq = 0, variances[DIMS];
    int first_and_second[DIMS], dealt[DIMS];
    encode_all(tokenizer, BATCH, &e);
    float *r = rq_residuals(&e);
    for (uint32_t i = 0; i < VECTORS; i++)
        opq += (double)e.error[i] / VECTORS;
    for (uint32_t i = 0; i < VECTORS * DIMS; i++)
        wide[i] = (double)r[i];
    gram_add(VECTORS, DIMS, wide, DIMS, principal, DIMS);
    DONE(eigen_symmetric(DIMS, principal, variances, &scratch, &err));
    for (int k = 0; k < DIMS; k++) {
        axes[k * DIMS + k] = 1;
        first_and_second[k] = k >= DIMS / 2;
        dealt[k] = k % 4 == 1 || k % 4 == 2;
    }
    double pq = fixed_rotation_error(r, axes, first_and_second);
    double by_variance = fixed_rotation_error(r, principal, dealt);
    printf("mean squared error: PQ %g, by variance %g, OPQ %g\n", pq, by_variance, opq);
    ck_assert_double_lt(opq, 0.97 * pq);
    ck_assert_double_lt(opq, by_variance);
}
END_TEST

START_TEST(same_bits_alone_and_in_any_batch) {
    static struct encoding alone, batched;
    encode_all(tokenizer, 1, &alone);
    static const uint32_t batches[] = {2, 5, 6, 7, 64, BATCH};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        memset(&batched, 0xff, sizeof batched);
        encode_all(tokenizer, batches[b], &batched);
        ck_assert_msg(memcmp(&alone, &batched, sizeof alone) == 0,
                      "batches of %u; rerun with COLDSTREAM_SEED=%llu", batches[b],
                      (unsigned long long)seed);
    }
}
END_TEST

START_TEST(decoding_leaves_the_reported_error) {
    static struct encoding e;
    encode_all(tokenizer, BATCH, &e);
    for (uint32_t i = 0; i < VECTORS; i++) {
        float decoded[DIMS];
        double error = 0;
        tokenizer_decode(tokenizer, e.codes + i * SID_CODES, decoded);
        for (uint32_t j = 0; j < DIMS; j++)
            error += ((double)z[i * DIMS + j] - (double)decoded[j]) *
                     ((double)z[i * DIMS + j] - (double)decoded[j]);
        ck_assert_double_le(fabs(error - (double)e.error[i]), 1e-5 * (error + 1e-3));
    }
}
END_TEST

static size_t same_floats(const float *a, const float *b, size_t count) {
    ck_assert_int_eq(memcmp(a, b, count * sizeof *a), 0);
    for (size_t i = 0; i < count; i++)
        ck_assert(isfinite(a[i]));
    return count;
}

static void expect_same_books(const struct tokenizer_config *with, struct tokenizer *first,
                              struct tokenizer *second) {
    const struct codebooks *a = tokenizer_codebooks(first), *b = tokenizer_codebooks(second);
    size_t dc = with->content_dims, dz = with->z_dims;
    same_floats(a->mean, b->mean, dc);
    same_floats(a->encoder, b->encoder, dc * dz);
    same_floats(a->rotation, b->rotation, dz * dz);
    for (int l = 0; l < RQ_LEVELS; l++)
        same_floats(a->rq[l], b->rq[l], with->books[l] * dz);
    for (int m = 0; m < OPQ_CODES; m++)
        same_floats(a->opq[m], b->opq[m], with->books[RQ_LEVELS + m] * dz / 2);
}

START_TEST(training_twice_gives_the_same_bits) {
    arena_must(&scratch, 1 << 20);
    memset(arena_must(&scratch, 1 << 24), 0x5a,
           1 << 24); /* old bytes in the scratch must not matter */
    arena_reset(&scratch);
    expect_same_books(&config, tokenizer, trained(&config, x, VECTORS));
    struct tokenizer_config other = config;
    other.seed++;
    const struct codebooks *books = tokenizer_codebooks(trained(&other, x, VECTORS));
    ck_assert(memcmp(books->rq[0], tokenizer_codebooks(tokenizer)->rq[0], sizeof(float) * DIMS) !=
              0);
}
END_TEST

START_TEST(copied_books_encode_alike) {
    static struct encoding a, b;
    struct tokenizer *copy;
    DONE(tokenizer_create(&copy, &config, BATCH, &arena, &err));
    const struct codebooks *from = tokenizer_codebooks(tokenizer);
    struct codebooks *to = tokenizer_codebooks(copy);
    memcpy(to->rotation, from->rotation, DIMS * DIMS * sizeof(float));
    for (int l = 0; l < RQ_LEVELS; l++)
        memcpy(to->rq[l], from->rq[l], config.books[l] * DIMS * sizeof(float));
    for (int m = 0; m < OPQ_CODES; m++)
        memcpy(to->opq[m], from->opq[m], config.books[RQ_LEVELS + m] * DIMS / 2 * sizeof(float));
    tokenizer_refresh(copy);
    encode_all(tokenizer, BATCH, &a);
    encode_all(copy, BATCH, &b);
    ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
}
END_TEST

START_TEST(fewer_vectors_than_codes) {
    static const uint32_t counts[] = {2, 3, 17};
    for (size_t c = 0; c < 3; c++) {
        struct tokenizer *small = trained(&config, x, counts[c]);
        expect_same_books(&config, small, trained(&config, x, counts[c])); /* finite too */
        for (uint32_t i = 0; i < VECTORS; i++) {
            float one[DIMS], error;
            uint16_t codes[SID_CODES];
            tokenizer_project(small, x + i * CONTENT, one);
            tokenizer_encode(small, one, 1, codes, &error, NULL);
            ck_assert(isfinite(error));
            for (int l = 0; l < SID_CODES; l++)
                ck_assert_uint_lt(codes[l], config.books[l]);
            if (i < counts[c])
                ck_assert_double_le((double)error, 1e-6); /* each has a code of its own */
        }
    }
}
END_TEST

START_TEST(equal_vectors) {
    float same[10 * CONTENT];
    for (uint32_t i = 0; i < 10 * CONTENT; i++)
        same[i] = 0.1f * (float)(i % CONTENT);
    struct tokenizer *flat = trained(&config, same, 10);
    expect_same_books(&config, flat, trained(&config, same, 10));
    float one[DIMS], error;
    uint16_t codes[SID_CODES];
    tokenizer_project(flat, same, one);
    tokenizer_encode(flat, one, 1, codes, &error, NULL);
    ck_assert_double_eq(squared_norm(one, DIMS), 0);
    ck_assert_double_le((double)error, 1e-6);
}
END_TEST

/* Half of the vectors in one small heap, and small books before the last level, so that it is still
 * there. */
START_TEST(last_level_is_balanced) {
    enum { CODES = 40 };
    static struct encoding e;
    uint32_t counts[CODES] = {0}, largest = 0;
    struct tokenizer_config uneven = config;
    uneven.books[0] = uneven.books[1] = 2;
    uneven.books[2] = CODES;
    struct rng rng = rng_stream(seed, RNG_TEST, 42, 0);
    for (uint32_t i = 2; i < VECTORS; i += 2)
        for (uint32_t j = 0; j < CONTENT; j++)
            x[i * CONTENT + j] = x[j] + 0.1f * rng_normal(&rng);
    struct tokenizer *heap = trained(&uneven, x, VECTORS);
    for (uint32_t i = 0; i < VECTORS; i++)
        tokenizer_project(heap, x + i * CONTENT, z + i * DIMS);
    encode_all(heap, BATCH, &e);
    for (uint32_t i = 0; i < VECTORS; i++)
        counts[e.codes[i * SID_CODES + 2]]++;
    for (uint32_t k = 0; k < CODES; k++)
        largest = counts[k] > largest ? counts[k] : largest;
    printf("largest of %d codes at the last RQ level: %u of %u\n", CODES, largest, VECTORS);
    ck_assert_uint_le(largest, 2 * VECTORS / CODES * 11 / 10);
}
END_TEST

START_TEST(wrong_sizes_are_configuration_errors) {
    struct tokenizer *t;
    struct tokenizer_config wrong = config;
    wrong.z_dims = 31;
    ck_assert(tokenizer_create(&t, &wrong, 1, &arena, &err) == FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    wrong.z_dims = CONTENT + 2;
    ck_assert(tokenizer_create(&t, &wrong, 1, &arena, &err) == FATAL);
    wrong = config;
    wrong.books[4] = 65537;
    ck_assert(tokenizer_create(&t, &wrong, 1, &arena, &err) == FATAL);
    ck_assert_msg(strstr(err.text, "book 5") != NULL, "%s", err.text);
    struct arena small;
    ck_assert(arena_reserve(&small, "small", 1 << 14, &err) == OK);
    ck_assert(tokenizer_create(&t, &config, 1, &small, &err) == FATAL);
    ck_assert(tokenizer_train(tokenizer, x, VECTORS, 1, &small, &err) == FATAL);
    arena_release(&small);
}
END_TEST

int main(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    seed = text ? strtoull(text, NULL, 10) : 1;
    printf("COLDSTREAM_SEED=%llu\n", (unsigned long long)seed);
    Suite *suite = suite_create("tokenizer");
    TCase *tests = tcase_create("tokenizer");
    tcase_add_unchecked_fixture(tests, setup, teardown); /* trains once for all tests */
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, z_has_its_length);
    tcase_add_test(tests, encoder_is_pca);
    tcase_add_test(tests, each_level_leaves_less);
    tcase_add_test(tests, rotation_is_orthogonal);
    tcase_add_test(tests, learning_the_rotation_helps);
    tcase_add_test(tests, same_bits_alone_and_in_any_batch);
    tcase_add_test(tests, decoding_leaves_the_reported_error);
    tcase_add_test(tests, training_twice_gives_the_same_bits);
    tcase_add_test(tests, copied_books_encode_alike);
    tcase_add_test(tests, fewer_vectors_than_codes);
    tcase_add_test(tests, equal_vectors);
    tcase_add_test(tests, wrong_sizes_are_configuration_errors);
    tcase_add_test(tests, last_level_is_balanced); /* last: it changes x and z */
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
