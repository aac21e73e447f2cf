/* The layers against golden arrays of the reference: outputs and the gradient of every input and
 * parameter. */
#include "math/layers.h"

#include "../npy.h"
#include "math/contrast.h"
#include "math/matmul.h"
#include "math/residual.h"
#include "math/transfer.h"
#include "math/vector.h"
#include <check.h>
#include <math.h>
#include <stdbool.h>

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

/* Of one query and its history: queries, keys and values are x or, where they are of the same space, share it. Room
 * for h + 1 rows each. */
struct space {
    float *x, *unit, *inverse, *dx, *dunit;
};

static struct space space_new(size_t rows, size_t d) {
    return (struct space){zeros(rows * d), zeros(rows * d), zeros(rows), zeros(rows * d),
                          zeros(rows * d)};
}

static void space_free(struct space *s) {
    float *all[] = {s->x, s->unit, s->inverse, s->dx, s->dunit};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static struct npy part_of(const char *module, const char *kind, const char *name) {
    char full[32];
    snprintf(full, sizeof full, "%s.%s", kind, name);
    return part(module, full);
}

/* The golden arrays of one attention; keys and values may be the same array. */
struct golden_attention {
    struct npy query, key, value, mask, sharpness, up;
    float *dquery, *dkey, *dvalue, dsharpness[2];
};

/* Event i: the history items that the mask keeps, normalised, attended to, and back again. Row 0 of `space` is the query. */
static size_t attend_event(struct golden_attention *g, size_t i, size_t view, float *out) {
    size_t h = g->key.shape[1], d = g->key.shape[2], positions[64], length = 0;
    for (size_t j = 0; j < h; j++)
        if (g->mask.f32[i * h + j] > 0)
            positions[length++] = j;
    struct space keys = space_new(length + 1, d), values = space_new(length + 1, d);
    size_t stride = attention_stride(length);
    float *rows = zeros((3 + d) * stride);
    memcpy(keys.x, g->query.f32 + i * d, d * sizeof(float));
    for (size_t j = 0; j < length; j++) {
        memcpy(keys.x + (j + 1) * d, g->key.f32 + (i * h + positions[j]) * d, d * sizeof(float));
        memcpy(values.x + (j + 1) * d, g->value.f32 + (i * h + positions[j]) * d,
               d * sizeof(float));
    }
    normalise_forward(length + 1, d, 0.1f, keys.x, keys.unit, keys.inverse);
    struct attention a = {.queries = 1,
                          .items = length,
                          .width = d,
                          .values = 1,
                          .sharpness = g->sharpness.f32[view],
                          .query = keys.unit,
                          .key = keys.unit + d,
                          .value = {values.x + d},
                          .scores = rows,
                          .weights = rows + stride,
                          .scratch = rows + 3 * stride};
    attention_forward(&a, (float *const[]){out + i * d}, d);
    attention_backward(&a, (const float *const[]){g->up.f32 + i * d}, d,
                       &(struct attention_gradients){.query = keys.dunit,
                                                     .key = keys.dunit + d,
                                                     .value = {values.dx + d},
                                                     .sharpness = &g->dsharpness[view],
                                                     .scores = rows + 2 * stride});
    normalise_backward(length + 1, d, keys.unit, keys.inverse, keys.dunit, keys.dx);
    memcpy(g->dquery + i * d, keys.dx, d * sizeof(float));
    for (size_t j = 0; j < length; j++) {
        vector_add(d, keys.dx + (j + 1) * d, g->dkey + (i * h + positions[j]) * d);
        vector_add(d, values.dx + (j + 1) * d, g->dvalue + (i * h + positions[j]) * d);
    }
    space_free(&keys);
    space_free(&values);
    free(rows);
    return length;
}

static void check_attention(const char *module, const char *query, const char *key,
                            const char *value, size_t view) {
    struct golden_attention g = {.query = part_of(module, "in", query),
                                 .key = part_of(module, "in", key),
                                 .value = part_of(module, "in", value),
                                 .mask = part(module, "in.mask"),
                                 .sharpness = part(module, "p.sharp"),
                                 .up = part(module, "up")};
    size_t n = g.key.shape[0], empty = 0;
    bool same = strcmp(key, value) == 0;
    float *out = zeros(g.up.count);
    g.dquery = zeros(g.query.count);
    g.dkey = zeros(g.key.count);
    g.dvalue = same ? g.dkey : zeros(g.value.count);
    for (size_t i = 0; i < n; i++)
        empty += attend_event(&g, i, view, out) == 0;
    ck_assert_uint_gt(empty, 0); /* the arrays cover the empty history */
    char name[32];
    check_part(module, "out", out, g.up.count);
    snprintf(name, sizeof name, "g.%s", query);
    check_part(module, name, g.dquery, g.query.count);
    snprintf(name, sizeof name, "g.%s", key);
    check_part(module, name, g.dkey, g.key.count);
    snprintf(name, sizeof name, "g.%s", value);
    check_part(module, name, g.dvalue, g.value.count);
    check_part(module, "g.sharp", g.dsharpness, 2);
    struct npy *arrays[] = {&g.query, &g.key, &g.value, &g.mask, &g.sharpness, &g.up};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        npy_free(arrays[i]);
    if (!same)
        free(g.dvalue);
    free(g.dquery);
    free(g.dkey);
    free(out);
}

START_TEST(attention_behaviour) {
    check_attention("att_behavior", "b", "hb", "hb", 0);
}
END_TEST

START_TEST(attention_modal) {
    check_attention("att_modal", "m", "hm", "hm", 1);
}
END_TEST

START_TEST(attention_modal_to_behaviour) {
    check_attention("att_modal2behav", "m", "hm", "hb", 1);
}
END_TEST

START_TEST(attention_behaviour_to_modal) {
    check_attention("att_behav2modal", "b", "hb", "hm", 0);
}
END_TEST

/* Queries that share a history are computed together, and each must get what it gets alone, to the
 * bit. */
START_TEST(attention_alone_and_together) {
    enum { N = 7, H = 5, D = 24 };
    size_t stride = attention_stride(H);
    float *query = zeros(N * D), *key = zeros(H * D), *other = zeros(H * D),
          *out = zeros(2 * N * D), alone[2 * D];
    float *rows = zeros((2 * N + D) * stride);
    for (size_t i = 0; i < N * D; i++)
        query[i] = (float)((i * 37) % 101) / 100.0f - 0.5f;
    for (size_t i = 0; i < H * D; i++)
        key[i] = other[H * D - 1 - i] = (float)((i * 53) % 89) / 88.0f - 0.5f;
    struct attention a = {.queries = N,
                          .items = H,
                          .width = D,
                          .values = 2,
                          .sharpness = 3.0f,
                          .query = query,
                          .key = key,
                          .value = {key, other},
                          .scores = rows,
                          .weights = rows + N * stride,
                          .scratch = rows + 2 * N * stride};
    attention_forward(&a, (float *const[]){out, out + N * D}, D);
    for (size_t i = 0; i < N; i++) {
        float sum = 0.0f;
        for (size_t j = 0; j < H; j++)
            sum += a.weights[i * stride + j];
        ck_assert_float_eq_tol(sum, 1.0f, 1e-6f);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = H; j < stride; j++) /* the padding */
            ck_assert(a.weights[i * stride + j] == 0.0f && a.scores[i * stride + j] == 0.0f);
    for (size_t i = 0; i < N; i++) {
        struct attention one = a;
        one.queries = 1;
        one.query = query + i * D;
        attention_forward(&one, (float *const[]){alone, alone + D}, D);
        ck_assert_mem_eq(alone, out + i * D, D * sizeof *alone);
        ck_assert_mem_eq(alone + D, out + (N + i) * D, D * sizeof *alone);
    }
    free(query);
    free(key);
    free(other);
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

/* The golden arrays have the gradient of the inputs too; counts have none, so it is taken from what backward leaves. */
START_TEST(gate) {
    struct npy x = part("gate", "in.x"), up = part("gate", "up"), w1 = part("gate", "p.G1"),
               b1 = part("gate", "p.g1"), w2 = part("gate", "p.G2"), b2 = part("gate", "p.g2");
    size_t n = x.shape[0], inputs = x.shape[1], width = b1.count;
    struct gate net = {inputs, width, w1.f32, b1.f32, w2.f32, b2.f32};
    float *out = zeros(n), *hidden = zeros(n * width), *dx = zeros(n * inputs),
          *turned = zeros(inputs * width);
    struct gate_gradients g = {zeros(w1.count), zeros(width), zeros(width), zeros(1),
                               zeros(n * width)};
    gate_forward(&net, n, x.f32, hidden, out);
    gate_backward(&net, n, x.f32, hidden, out, up.f32, &g);
    transpose(inputs, width, w1.f32, width, turned, inputs);
    matmul(n, inputs, width, g.hidden, width, turned, inputs, dx, inputs);
    check_part("gate", "out", out, n);
    check_part("gate", "g.G1", g.w1, w1.count);
    check_part("gate", "g.g1", g.b1, width);
    check_part("gate", "g.G2", g.w2, width);
    check_part("gate", "g.g2", g.b2, 1);
    check_part("gate", "g.x", dx, n * inputs);
    float *all[] = {out, hidden, dx, turned, g.w1, g.b1, g.w2, g.b2, g.hidden};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    struct npy *arrays[] = {&x, &up, &w1, &b1, &w2, &b2};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        npy_free(arrays[i]);
}
END_TEST

/* The losses of all rows, each weighted by `up`. */
START_TEST(transfer) {
    struct npy id = part("trans", "in.id"), rq = part("trans", "in.rq"), t = part("trans", "in.T"),
               up = part("trans", "up");
    size_t n = id.shape[0], d = id.shape[1];
    float *loss = zeros(n), *did = zeros(n * d), *drq = zeros(n * d), *scratch = zeros(4 * d);
    transfer_loss(n, d, t.f32, up.f32, id.f32, rq.f32, scratch, loss, did, drq);
    check_part("trans", "out", loss, n);
    check_part("trans", "g.id", did, n * d);
    check_part("trans", "g.rq", drq, n * d);
    npy_free(&id);
    npy_free(&rq);
    npy_free(&t);
    npy_free(&up);
    free(loss);
    free(did);
    free(drq);
    free(scratch);
}
END_TEST

/* SMILE's stop-gradients: T = 1 is the first term alone, T = 0 the second. */
START_TEST(transfer_stops_gradients) {
    struct npy id = part("trans", "in.id"), rq = part("trans", "in.rq");
    size_t n = id.shape[0], d = id.shape[1];
    float *loss = zeros(n), *scratch = zeros(4 * d), *gates = zeros(n), *ones = zeros(n),
          *nothing = zeros(n * d);
    for (size_t i = 0; i < n; i++)
        ones[i] = 1.0f;
    for (int first = 0; first < 2; first++) {
        float *did = zeros(n * d), *drq = zeros(n * d);
        transfer_loss(n, d, first ? ones : gates, ones, id.f32, rq.f32, scratch, loss, did, drq);
        ck_assert_mem_eq(first ? did : drq, nothing, n * d * sizeof *did);
        ck_assert_mem_ne(first ? drq : did, nothing, n * d * sizeof *did);
        for (size_t i = 0; i < n; i++)
            ck_assert(loss[i] > 0.0f);
        transfer_loss(n, d, gates, ones, id.f32, id.f32, scratch, loss, did, drq);
        for (size_t i = 0; i < n; i++)
            ck_assert(loss[i] == 0.0f); /* the same vector twice */
        free(did);
        free(drq);
    }
    npy_free(&id);
    npy_free(&rq);
    free(loss);
    free(scratch);
    free(gates);
    free(ones);
    free(nothing);
}
END_TEST

/* The reference has all n items and says which are valid; here only those are given. */
START_TEST(contrast) {
    struct npy e = part("contrast", "in.e"), pos = part("contrast", "in.pos"),
               valid = part("contrast", "in.valid");
    size_t n = 0, all = e.shape[0], d = e.shape[1];
    while (n < all && valid.f32[n] > 0)
        n++;
    for (size_t i = n; i < all; i++)
        ck_assert(valid.f32[i] == 0.0f); /* they come last */
    uint8_t *positive = calloc(n * n, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            positive[i * n + j] = i != j && pos.f32[i * all + j] > 0;
    size_t stride = contrast_stride(n);
    uint32_t *anchor = calloc(n, sizeof *anchor);
    struct contrast c = {n,
                         d,
                         0.1f,
                         e.f32,
                         positive,
                         zeros(n * d),
                         zeros(n * d),
                         zeros(n),
                         zeros(d * stride),
                         zeros(n * d),
                         zeros(n * d),
                         zeros(n * stride),
                         zeros(stride),
                         anchor};
    float *dx = zeros(all * d), loss = contrast_loss(&c, 1.0f, dx);
    check_part("contrast", "out", &loss, 1);
    check_part("contrast", "g.e", dx, all * d);
    float *floats[] = {c.unit,   c.dunit,   c.inverse, c.transposed, c.anchors, c.danchors,
                       c.scores, c.weights, dx};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free(floats[i]);
    free(anchor);
    free(positive);
    npy_free(&e);
    npy_free(&pos);
    npy_free(&valid);
}
END_TEST

/* With Wz the identity m is z~ itself. */
START_TEST(mba) {
    static const char *const in[3] = {"in.a1", "in.a2", "in.a3"};
    static const char *const gradient[3] = {"g.a1", "g.a2", "g.a3"};
    struct npy z = part("mba", "in.z"), m1 = part("mba", "p.M1"), m2 = part("mba", "p.M2"),
               up = part("mba", "up"), rows[3];
    size_t n = z.shape[0], dz = z.shape[1], d = m1.shape[1];
    float *identity = zeros(dz * dz), *level = zeros(n * d), *m = zeros(n * dz),
          *dm1 = zeros(m1.count), *square = zeros(d * d), *drows = zeros(n * d);
    for (size_t i = 0; i < dz; i++)
        identity[i * dz + i] = 1.0f;
    struct residual r = {
        n, dz, d, dz, z.f32, identity, m2.f32, zeros(n * d), zeros(d * dz), zeros(dz * dz)};
    struct residual_gradients g = {zeros(dz * dz), zeros(d * dz), zeros(d * dz), zeros(n * d)};
    for (size_t l = 0; l < 3; l++) {
        rows[l] = part("mba", in[l]);
        fuse_forward(n, d, rows[l].f32, m1.f32 + l * d * d, level);
        vector_add(n * d, level, r.tanh);
    }
    residual_forward(&r, m);
    check_part("mba", "out", m, n * dz);
    residual_backward(&r, up.f32, &g);
    check_part("mba", "g.M2", g.m2, m2.count);
    check_part("mba", "g.z", up.f32, z.count);
    for (size_t l = 0; l < 3; l++) {
        fuse_backward(n, d, rows[l].f32, m1.f32 + l * d * d, g.h, square, drows, dm1 + l * d * d);
        check_part("mba", gradient[l], drows, n * d);
        npy_free(&rows[l]);
    }
    check_part("mba", "g.M1", dm1, m1.count);
    float *all[] = {identity,  level,        m,    dm1,  square,    drows, r.tanh,
                    r.product, r.transposed, g.wz, g.m2, g.product, g.h};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    npy_free(&z);
    npy_free(&m1);
    npy_free(&m2);
    npy_free(&up);
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
    tcase_add_test(cases, attention_modal_to_behaviour);
    tcase_add_test(cases, attention_behaviour_to_modal);
    tcase_add_test(cases, attention_alone_and_together);
    tcase_add_test(cases, dnn);
    tcase_add_test(cases, gate);
    tcase_add_test(cases, transfer);
    tcase_add_test(cases, transfer_stops_gradients);
    tcase_add_test(cases, contrast);
    tcase_add_test(cases, mba);
    tcase_add_test(cases, bce);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
