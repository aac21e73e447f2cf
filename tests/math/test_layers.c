/* The layers against golden arrays of the reference: outputs and the gradient of every input and
 * parameter. */
#include "math/layers.h"

#include "../npy.h"
#include "math/vector.h"
#include <check.h>
#include <math.h>

/* Largest difference of ours from the golden array NAME, as a share of tolerance; prints it by
 * name. */
static void check_close(const char *name, const float *ours, size_t count) {
    struct npy golden = npy_golden(name);
    ck_assert_msg(golden.count == count, "%s: %zu elements, expected %zu", name, count,
                  golden.count);
    double largest = 0.0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)ours[i] - (double)golden.f32[i]);
        if (!(difference <= largest)) {
            largest = difference;
            at = i;
        }
    }
    printf("%-24s max difference %.3g\n", name, largest);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(ours[i] - golden.f32[i]) <= 1e-4f * fabsf(golden.f32[i]) + 2e-6f,
                      "%s[%zu]: %.8g, expected %.8g (largest difference %.3g at %zu)", name, i,
                      (double)ours[i], (double)golden.f32[i], largest, at);
    npy_free(&golden);
}

static float *zeros(size_t count) {
    float *memory = calloc(count + 1, sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

static struct npy part(const char *module, const char *name) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", module, name);
    return npy_golden(full);
}

static void check_part(const char *module, const char *name, const float *ours, size_t count) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", module, name);
    check_close(full, ours, count);
}

START_TEST(fuse) {
    static const char *const in[3] = {"in.e1", "in.e2", "in.e3"};
    static const char *const gradient[3] = {"g.e1", "g.e2", "g.e3"};
    struct npy f = part("fuse", "p.F"), up = part("fuse", "up");
    size_t n = up.shape[0], d = up.shape[1];
    float *out = zeros(n * d), *level = zeros(n * d), *drows = zeros(n * d);
    float *scratch = zeros(d * d), *df = zeros(3 * d * d);
    for (size_t l = 0; l < 3; l++) {
        struct npy rows = part("fuse", in[l]);
        fuse_forward(n, d, rows.f32, f.f32 + l * d * d, level);
        vector_add(n * d, level, out);
        fuse_backward(n, d, rows.f32, f.f32 + l * d * d, up.f32, scratch, drows, df + l * d * d);
        check_part("fuse", gradient[l], drows, n * d);
        npy_free(&rows);
    }
    check_part("fuse", "out", out, n * d);
    check_part("fuse", "g.F", df, 3 * d * d);
    npy_free(&f);
    npy_free(&up);
    free(out);
    free(level);
    free(drows);
    free(scratch);
    free(df);
}
END_TEST

/* One query and its history: normalise, attend, and back again. `positions` are the history items
 * that the mask keeps. */
static void attend(size_t d, size_t h, const size_t *positions, float sharpness, const float *query,
                   const float *keys, const float *up, float *out, float *dquery, float *dkeys,
                   float *dsharpness) {
    size_t stride = attention_stride(h);
    float *x = zeros((h + 1) * d), *unit = zeros((h + 1) * d), *inverse = zeros(h + 1),
          *dx = zeros((h + 1) * d);
    float *dunit = zeros((h + 1) * d), *rows = zeros((3 + d) * stride);
    memcpy(x, query, d * sizeof *x);
    for (size_t j = 0; j < h; j++)
        memcpy(x + (j + 1) * d, keys + positions[j] * d, d * sizeof *x);
    normalise_forward(h + 1, d, 0.1f, x, unit, inverse);
    struct attention a = {.queries = 1,
                          .items = h,
                          .width = d,
                          .sharpness = sharpness,
                          .query = unit,
                          .key = unit + d,
                          .value = x + d,
                          .scores = rows,
                          .weights = rows + stride,
                          .scratch = rows + 3 * stride};
    attention_forward(&a, out, d);
    attention_backward(
        &a, up,
        &(struct attention_gradients){dunit, dunit + d, dx + d, dsharpness, rows + 2 * stride});
    normalise_backward(h + 1, d, unit, inverse, dunit, dx);
    memcpy(dquery, dx, d * sizeof *x);
    for (size_t j = 0; j < h; j++)
        memcpy(dkeys + positions[j] * d, dx + (j + 1) * d, d * sizeof *x);
    free(x);
    free(unit);
    free(inverse);
    free(dx);
    free(dunit);
    free(rows);
}

static void check_attention(const char *module, const char *query, const char *keys, size_t view) {
    char name[32];
    snprintf(name, sizeof name, "in.%s", query);
    struct npy q = part(module, name);
    snprintf(name, sizeof name, "in.%s", keys);
    struct npy k = part(module, name);
    struct npy mask = part(module, "in.mask"), sharpness = part(module, "p.sharp"),
               up = part(module, "up");
    size_t n = k.shape[0], h = k.shape[1], d = k.shape[2], positions[64], empty = 0;
    float *out = zeros(n * d), *dq = zeros(n * d), *dk = zeros(n * h * d), dsharpness[2] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t length = 0;
        for (size_t j = 0; j < h; j++)
            if (mask.f32[i * h + j] > 0)
                positions[length++] = j;
        empty += length == 0;
        attend(d, length, positions, sharpness.f32[view], q.f32 + i * d, k.f32 + i * h * d,
               up.f32 + i * d, out + i * d, dq + i * d, dk + i * h * d, &dsharpness[view]);
    }
    ck_assert_uint_gt(empty, 0); /* the arrays cover the empty history */
    check_part(module, "out", out, n * d);
    snprintf(name, sizeof name, "g.%s", query);
    check_part(module, name, dq, n * d);
    snprintf(name, sizeof name, "g.%s", keys);
    check_part(module, name, dk, n * h * d);
    check_part(module, "g.sharp", dsharpness, 2);
    npy_free(&q);
    npy_free(&k);
    npy_free(&mask);
    npy_free(&sharpness);
    npy_free(&up);
    free(out);
    free(dq);
    free(dk);
}

START_TEST(attention_behaviour) {
    check_attention("att_behavior", "b", "hb", 0);
}
END_TEST

START_TEST(attention_modal) {
    check_attention("att_modal", "m", "hm", 1);
}
END_TEST

/* Queries that share a history are computed together, and each must get what it gets alone, to the
 * bit. */
START_TEST(attention_alone_and_together) {
    enum { N = 7, H = 5, D = 24 };
    size_t stride = attention_stride(H);
    float *query = zeros(N * D), *key = zeros(H * D), *out = zeros(N * D), alone[D];
    float *rows = zeros((2 * N + D) * stride);
    for (size_t i = 0; i < N * D; i++)
        query[i] = (float)((i * 37) % 101) / 100.0f - 0.5f;
    for (size_t i = 0; i < H * D; i++)
        key[i] = (float)((i * 53) % 89) / 88.0f - 0.5f;
    struct attention a = {.queries = N,
                          .items = H,
                          .width = D,
                          .sharpness = 3.0f,
                          .query = query,
                          .key = key,
                          .value = key,
                          .scores = rows,
                          .weights = rows + N * stride,
                          .scratch = rows + 2 * N * stride};
    attention_forward(&a, out, D);
    for (size_t i = 0; i < N; i++)
        for (size_t j = H; j < stride; j++) /* the padding */
            ck_assert(a.weights[i * stride + j] == 0.0f && a.scores[i * stride + j] == 0.0f);
    for (size_t i = 0; i < N; i++) {
        struct attention one = a;
        one.queries = 1;
        one.query = query + i * D;
        attention_forward(&one, alone, D);
        ck_assert_mem_eq(alone, out + i * D, sizeof alone);
    }
    free(query);
    free(key);
    free(out);
    free(rows);
}
END_TEST

START_TEST(dnn) {
    struct npy x = part("dnn", "in.x"), up = part("dnn", "up");
    struct npy w1 = part("dnn", "p.w1"), b1 = part("dnn", "p.b1"), w2 = part("dnn", "p.w2"),
               b2 = part("dnn", "p.b2");
    struct npy w3 = part("dnn", "p.w3"), b3 = part("dnn", "p.b3");
    size_t n = x.shape[0], inputs = x.shape[1], stride = inputs + 3, first = b1.count,
           second = b2.count;
    struct dnn net = {inputs, {first, second}, stride, w1.f32, b1.f32,
                      w2.f32, b2.f32,          w3.f32, b3.f32};
    float *padded = zeros(n * stride), *dx = zeros(n * inputs), *logits = zeros(n);
    float *hidden[2] = {zeros(n * first), zeros(n * second)};
    struct dnn_gradients g = {zeros(w1.count),
                              zeros(first),
                              zeros(w2.count),
                              zeros(second),
                              zeros(second),
                              zeros(1),
                              zeros(n * stride),
                              {zeros(n * first), zeros(n * second)},
                              {zeros(first * stride), zeros(second * first)}};
    for (size_t i = 0; i < n; i++)
        memcpy(padded + i * stride, x.f32 + i * inputs, inputs * sizeof *padded);
    dnn_forward(&net, n, padded, hidden, logits);
    dnn_backward(&net, n, padded, hidden, up.f32, &g);
    for (size_t i = 0; i < n; i++)
        memcpy(dx + i * inputs, g.x + i * stride, inputs * sizeof *dx);
    check_part("dnn", "out", logits, n);
    check_part("dnn", "g.w1", g.w1, w1.count);
    check_part("dnn", "g.b1", g.b1, first);
    check_part("dnn", "g.w2", g.w2, w2.count);
    check_part("dnn", "g.b2", g.b2, second);
    check_part("dnn", "g.w3", g.w3, second);
    check_part("dnn", "g.b3", g.b3, 1);
    check_part("dnn", "g.x", dx, n * inputs);
    float *all[] = {padded,         dx,   logits,      hidden[0],   hidden[1],
                    g.w1,           g.b1, g.w2,        g.b2,        g.w3,
                    g.b3,           g.x,  g.hidden[0], g.hidden[1], g.transposed[0],
                    g.transposed[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    struct npy *arrays[] = {&x, &up, &w1, &b1, &w2, &b2, &w3, &b3};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        npy_free(arrays[i]);
}
END_TEST

START_TEST(bce) {
    struct npy o = part("bce", "in.o"), y = part("bce", "in.y"), up = part("bce", "up");
    size_t n = o.count;
    float *loss = zeros(n), *gradient = zeros(n);
    bce_forward(n, o.f32, y.f32, loss);
    bce_backward(n, o.f32, y.f32, gradient);
    for (size_t i = 0; i < n; i++)
        gradient[i] *= up.f32[i];
    check_part("bce", "out", loss, n);
    check_part("bce", "g.o", gradient, n);
    npy_free(&o);
    npy_free(&y);
    npy_free(&up);
    free(loss);
    free(gradient);
}
END_TEST

int main(void) {
    npy_golden_or_skip();
    Suite *suite = suite_create("layers");
    TCase *cases = tcase_create("golden");
    tcase_add_test(cases, fuse);
    tcase_add_test(cases, attention_behaviour);
    tcase_add_test(cases, attention_modal);
    tcase_add_test(cases, attention_alone_and_together);
    tcase_add_test(cases, dnn);
    tcase_add_test(cases, bce);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
