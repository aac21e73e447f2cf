/* Three training steps of each variant against the reference, tensor by tensor: logits of every
 * batch, and parameters and accumulators after the last. ranker_oracle.py has written the arrays
 * (ctest runs it first). */
#include "../npy.h"
#include "model/ranker_private.h"
#include "ranker_world.h"
#include <check.h>
#include <math.h>

#define STEPS 3

static char folder[512];

static struct npy array(const char *name) {
    char path[640];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    return npy_load(path);
}

static struct npy array_of(const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    return array(full);
}

static struct npy array_step(int step, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%d.%s", step, name);
    return array(full);
}

/* `start` is the element before the first step: a tensor that hardly moved would agree with
 * anything. */
struct comparison {
    char name[64];
    double largest, moved;
    size_t compared;
};

static void compare(struct comparison *c, float ours, float reference, float start) {
    double difference = fabs((double)ours - (double)reference),
           moved = fabs((double)reference - (double)start);
    ck_assert_msg(difference <= 1e-4 * fabs((double)reference) + 2e-6,
                  "%s, element %zu: %.8g, the reference has %.8g", c->name, c->compared,
                  (double)ours, (double)reference);
    c->largest = difference > c->largest ? difference : c->largest;
    c->moved = moved > c->moved ? moved : c->moved;
    c->compared++;
}

static void report(const struct comparison *c) {
    printf("%-12s %5zu elements, max difference %.2g of a move of %.2g\n", c->name, c->compared,
           c->largest, c->moved);
    ck_assert_uint_gt(c->compared, 0);
    ck_assert_double_le(c->largest, 1e-3 * c->moved);
}

/* ---- dense tensors ---- */

static const struct {
    enum tensor_name ours;
    const char *reference;
} tensor_names[] = {{TENSOR_FUSE, "F"},     {TENSOR_WZ, "Wz"},      {TENSOR_M1, "M1"},
                    {TENSOR_M2, "M2"},      {TENSOR_GATE_W1, "G1"}, {TENSOR_GATE_B1, "g1"},
                    {TENSOR_GATE_W2, "G2"}, {TENSOR_GATE_B2, "g2"}, {TENSOR_SHARPNESS, "sharp"},
                    {TENSOR_W1, "w1"},      {TENSOR_B1, "b1"},      {TENSOR_W2, "w2"},
                    {TENSOR_B2, "b2"},      {TENSOR_W3, "w3"},      {TENSOR_B3, "b3"}};

static void set_tensors(struct world *w) {
    for (size_t i = 0; i < TENSORS; i++) {
        struct tensor *t = &w->ranker->tensors[tensor_names[i].ours];
        struct npy p = array_of("p", tensor_names[i].reference);
        ck_assert(t->count == 0 || t->count == p.count);
        if (t->count > 0)
            memcpy(table_edit(t->values, 0), p.f32, t->count * sizeof(float));
        npy_free(&p);
    }
}

static void check_tensors(const struct world *w) {
    for (size_t i = 0; i < TENSORS; i++) {
        const struct tensor *t = &w->ranker->tensors[tensor_names[i].ours];
        const char *name = tensor_names[i].reference;
        struct npy before = array_of("p", name), after = array_of("after", name),
                   acc = array_of("acc", name);
        struct comparison values = {0}, accumulators = {0};
        snprintf(values.name, sizeof values.name, "after.%s", name);
        snprintf(accumulators.name, sizeof accumulators.name, "acc.%s", name);
        for (size_t j = 0; j < t->count; j++) {
            compare(&values, t->value[j], after.f32[j], before.f32[j]);
            compare(&accumulators, t->accumulator[j], acc.f32[j], w->config.accumulator_dense);
        }
        if (t->count > 0) {
            report(&values);
            report(&accumulators);
        }
        npy_free(&before);
        npy_free(&after);
        npy_free(&acc);
    }
}

/* ---- rows ---- */

static void set_items(struct world *w, size_t items) {
    struct npy id = array("p.id"), bias = array("p.bias");
    size_t d = w->config.width;
    for (uint32_t row = 0; row < items; row++) {
        float *value = table_edit(w->items.embedding, row);
        memcpy(value, id.f32 + row * d, d * sizeof *value);
        value[d] = bias.f32[row];
    }
    npy_free(&id);
    npy_free(&bias);
}

static void check_items(const struct world *w, size_t items) {
    struct npy id = array("after.id"), bias = array("after.bias"), acc_id = array("acc.id"),
               acc_bias = array("acc.bias");
    struct npy id_before = array("p.id"), bias_before = array("p.bias");
    struct comparison c[4] = {
        {.name = "after.id"}, {.name = "after.bias"}, {.name = "acc.id"}, {.name = "acc.bias"}};
    size_t d = w->config.width;
    for (uint32_t row = 0; row < items; row++) {
        const float *value = table_value(w->items.embedding, row),
                    *accumulators = table_value(w->items.optimiser, row);
        for (size_t j = 0; j < d; j++)
            compare(&c[0], value[j], id.f32[row * d + j], id_before.f32[row * d + j]);
        compare(&c[1], value[d], bias.f32[row], bias_before.f32[row]);
        compare(&c[2], accumulators[0], acc_id.f32[row], w->config.accumulator_rows);
        compare(&c[3], accumulators[1], acc_bias.f32[row], w->config.accumulator_rows);
    }
    for (int i = 0; i < 4; i++)
        report(&c[i]);
    struct npy *all[] = {&id, &bias, &acc_id, &acc_bias, &id_before, &bias_before};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}

static void set_rows(struct world *w, const struct code_level *level, const struct code_rows *c) {
    size_t d = w->config.width;
    struct npy p = array_of("p", table_spec(c->rows)->name);
    ck_assert_uint_eq(p.shape[0], level->rows_max);
    for (uint32_t row = 0; row < level->rows_max; row++)
        if (table_live(c->rows, row))
            memcpy(table_edit(c->rows, row), p.f32 + row * d, d * sizeof(float));
    npy_free(&p);
}

static void check_rows(const struct world *w, const struct code_level *level,
                       const struct code_rows *c) {
    size_t d = w->config.width;
    const char *name = table_spec(c->rows)->name;
    struct npy before = array_of("p", name), after = array_of("after", name),
               acc = array_of("acc", name);
    struct comparison rows = {0}, accumulators = {0};
    snprintf(rows.name, sizeof rows.name, "after.%s", name);
    snprintf(accumulators.name, sizeof accumulators.name, "acc.%s", name);
    for (uint32_t row = 0; row < level->rows_max; row++) {
        if (!table_live(c->rows, row))
            continue;
        const float *value = table_value(c->rows, row);
        const float *chunk = table_value(c->accumulators, row / ACCUMULATORS_PER_ROW);
        for (size_t j = 0; j < d; j++)
            compare(&rows, value[j], after.f32[row * d + j], before.f32[row * d + j]);
        compare(&accumulators, chunk[row % ACCUMULATORS_PER_ROW], acc.f32[row],
                w->config.accumulator_rows);
    }
    report(&rows);
    report(&accumulators);
    npy_free(&before);
    npy_free(&after);
    npy_free(&acc);
}

static void each_table(struct world *w, bool check) {
    for (size_t l = 0; l < SID_CODES; l++)
        for (size_t use = 0; use < CODE_USES; use++) {
            struct code_level *level = &w->ranker->levels[l];
            if (level->of[use].rows == NULL)
                continue;
            if (check)
                check_rows(w, level, &level->of[use]);
            else
                set_rows(w, level, &level->of[use]);
        }
}

/* ---- batches ---- */

/* What the gate and the contrast read, of items by position. */
static void read_items(const struct world *w, int step, struct batch *b) {
    struct npy features = array_step(step, "item_features"), near = array("near");
    size_t neighbours = near.shape[1];
    for (uint32_t u = 0; u < b->items; u++)
        memcpy(b->item_features + u * GATE_FEATURES, features.f32 + b->item_row[u] * GATE_FEATURES,
               GATE_FEATURES * sizeof(float));
    batch_contrast(w, b, 0.0f, &(struct rng){0});
    for (uint32_t i = 0; i < b->contrast_items; i++)
        for (uint32_t j = 0; j < b->contrast_items; j++)
            for (size_t k = 0; k < neighbours && i != j; k++)
                if ((uint32_t)near.i32[b->item_row[b->contrast_item[i]] * neighbours + k] ==
                    b->item_row[b->contrast_item[j]])
                    b->positive[i * b->contrast_items + j] = 1;
    npy_free(&features);
    npy_free(&near);
}

static void read_batch(const struct world *w, int step, struct batch *b) {
    struct npy candidate = array_step(step, "candidate"), user = array_step(step, "user");
    struct npy history = array_step(step, "history"), length = array_step(step, "length");
    struct npy features = array_step(step, "features"), labels = array_step(step, "labels");
    struct npy events = array_step(step, "events");
    b->events = (uint32_t)events.i32[0];
    b->users = (uint32_t)history.shape[0];
    memcpy(b->candidate, candidate.i32, b->events * sizeof *b->candidate);
    memcpy(b->user, user.i32, b->events * sizeof *b->user);
    memcpy(b->history, history.i32, history.count * sizeof *b->history);
    memcpy(b->history_length, length.i32, b->users * sizeof *b->history_length);
    memcpy(b->features, features.f32, b->events * FEATURES * sizeof *b->features);
    memcpy(b->labels, labels.f32, b->events * sizeof *b->labels);
    batch_index(w, b);
    read_items(w, step, b);
    struct npy *all[] = {&candidate, &user, &history, &length, &features, &labels, &events};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}

static void train(struct world *w) {
    struct batch batch = batch_new(w);
    for (int step = 0; step < STEPS; step++) {
        float logits[64];
        struct npy expected = array_step(step, "logits");
        struct comparison c = {0};
        snprintf(c.name, sizeof c.name, "%d.logits", step);
        read_batch(w, step, &batch);
        ranker_score(w->ranker, &batch, logits);
        for (uint32_t e = 0; e < batch.events; e++)
            compare(&c, logits[e], expected.f32[e], 0.0f);
        report(&c);
        ranker_learn(w->ranker, &batch);
        npy_free(&expected);
    }
    batch_free(&batch);
}

/* The reference's last item is its padding; ours has none. */
static size_t open_world(struct world *w, enum variant variant) {
    struct npy codes = array("codes"), z = array("z"), books = array("books"),
               features = array_step(0, "features");
    struct npy history = array_step(0, "history"), id = array("p.id"), b1 = array("p.b1"),
               b2 = array("p.b2"), gate = array("p.g1"), weights = array("weights");
    struct ranker_config config = world_config(variant);
    config.width = (uint32_t)id.shape[1];
    config.z_dims = (uint32_t)z.shape[1];
    config.history = (uint32_t)history.shape[1];
    config.batch = (uint32_t)features.shape[0];
    config.hidden[0] = (uint32_t)b1.count;
    config.hidden[1] = (uint32_t)b2.count;
    config.gate_hidden = (uint32_t)gate.count;
    for (size_t l = 0; l < SID_CODES; l++)
        config.books[l] = (uint32_t)books.i32[l];
    config.kl_weight = weights.f32[0];
    config.contrast_weight = weights.f32[1];
    size_t items = codes.shape[0] - 1;
    world_open(w, &config, (uint32_t)items);
    for (size_t i = 0; i < items; i++) {
        uint16_t sid[SID_CODES];
        for (size_t l = 0; l < SID_CODES; l++)
            sid[l] = (uint16_t)codes.i32[i * SID_CODES + l];
        ck_assert_uint_eq(world_item(w, sid, z.f32 + i * config.z_dims), i);
    }
    struct npy *all[] = {&codes, &z, &books, &features, &history, &id, &b1, &b2, &gate, &weights};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
    return items;
}

START_TEST(variant) {
    struct world w;
    const char *name = ranker_variant_names[_i];
    snprintf(folder, sizeof folder, "%s/oracle/ranker/%s", getenv("COLDSTREAM_BUILD"), name);
    printf("-- %s\n", name);
    size_t items = open_world(&w, (enum variant)_i);
    set_tensors(&w);
    set_items(&w, items);
    each_table(&w, false);
    train(&w);
    check_tensors(&w);
    if (w.ranker->parts.behaviour)
        check_items(&w, items);
    each_table(&w, true);
    world_close(&w);
}
END_TEST

int main(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/oracle/ranker/full/acc.b3.npy", getenv("COLDSTREAM_BUILD"));
    if (access(path, R_OK) != 0) {
        printf(
            "skipped: no %s; tests/model/ranker_oracle.py writes it, with jax and the reference\n",
            path);
        return 77;
    }
    Suite *suite = suite_create("ranker_oracle");
    TCase *cases = tcase_create("steps");
    tcase_add_loop_test(cases, variant, VARIANT_ID, VARIANT_FULL + 1);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
