/* One whole training step of the full ranker against the reference's golden arrays (step.*): logits, gates, loss, the
 * gradient of every tensor and table, and parameters and accumulators after it. */
#include "../npy.h"
#include "model/ranker_private.h"
#include "ranker_world.h"
#include <check.h>
#include <math.h>

#define EVENTS 6

static struct npy step(const char *kind, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "step.%s.%s", kind, name);
    return npy_golden(full);
}

static void check_close(const char *kind, const char *name, size_t at, float ours, float golden) {
    ck_assert_msg(fabsf(ours - golden) <= 1e-4f * fabsf(golden) + 2e-6f,
                  "step.%s.%s[%zu]: %.8g, expected %.8g", kind, name, at, (double)ours,
                  (double)golden);
}

static const struct {
    enum tensor_name ours;
    const char *reference;
} tensor_names[] = {{TENSOR_FUSE, "F"},     {TENSOR_WZ, "Wz"},      {TENSOR_M1, "M1"},
                    {TENSOR_M2, "M2"},      {TENSOR_GATE_W1, "G1"}, {TENSOR_GATE_B1, "g1"},
                    {TENSOR_GATE_W2, "G2"}, {TENSOR_GATE_B2, "g2"}, {TENSOR_SHARPNESS, "sharp"},
                    {TENSOR_W1, "dnn_w1"},  {TENSOR_B1, "dnn_b1"},  {TENSOR_W2, "dnn_w2"},
                    {TENSOR_B2, "dnn_b2"},  {TENSOR_W3, "dnn_w3"},  {TENSOR_B3, "dnn_b3"}};
_Static_assert(sizeof tensor_names / sizeof *tensor_names == TENSORS, "every tensor is compared");

/* The reference's rows are drawn independently for each level, ours are those of prefixes. With books as wide as its tables
 * the codes hold the reference's rows, and different ones stay different. */
#define ROWS_1 4
#define ROWS_2 16
#define ROWS_3 16384
struct golden_world {
    struct world w;
    struct npy sid; /* [items + 1, 5] the reference's rows */
    uint32_t items;
};

static void open_world(struct golden_world *g) {
    struct npy z = step("in", "z"), id = step("p", "id"), bias = step("p", "bias");
    struct ranker_config config = world_config(VARIANT_FULL);
    g->sid = step("in", "sid");
    g->items = (uint32_t)g->sid.shape[0] - 1; /* the last is the reference's padding */
    config.width = (uint32_t)id.shape[1];
    config.z_dims = (uint32_t)z.shape[1];
    config.history = 5;
    config.batch = EVENTS;
    memcpy(config.books, (uint32_t[]){ROWS_1, ROWS_2, ROWS_3, 4, 4}, sizeof config.books);
    config.prefix_rows = ROWS_1 * ROWS_2 * ROWS_3;
    config.hidden[0] = 8;
    config.hidden[1] = config.gate_hidden = 4;
    world_open(&g->w, &config, g->items);
    for (uint32_t i = 0; i < g->items; i++) {
        uint16_t codes[SID_CODES];
        float scaled[64];
        for (size_t l = 0; l < SID_CODES; l++)
            codes[l] = (uint16_t)g->sid.i32[i * SID_CODES + l];
        for (size_t j = 0; j < config.z_dims; j++)
            scaled[j] = Z_SCALE * z.f32[i * config.z_dims + j];
        ck_assert_uint_eq(world_item(&g->w, codes, scaled), i);
        float *row = table_edit(g->w.items.embedding, i);
        memcpy(row, id.f32 + i * config.width, config.width * sizeof *row);
        row[config.width] = bias.f32[i];
    }
    npy_free(&z);
    npy_free(&id);
    npy_free(&bias);
}

static void set_parameters(struct golden_world *g) {
    struct ranker *r = g->w.ranker;
    size_t d = g->w.config.width;
    for (size_t t = 0; t < TENSORS; t++) {
        struct npy p = step("p", tensor_names[t].reference);
        struct tensor *tensor = &r->tensors[tensor_names[t].ours];
        ck_assert_uint_eq(p.count, tensor->count);
        memcpy(table_edit(tensor->values, 0), p.f32, p.count * sizeof(float));
        npy_free(&p);
    }
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++) {
            const struct code_rows *c = &r->levels[l].of[use];
            if (c->rows == NULL)
                continue;
            struct npy p = step("p", table_spec(c->rows)->name);
            for (uint32_t i = 0; i < g->items; i++)
                memcpy(
                    table_edit(c->rows, code_row(&g->w.config, table_value(g->w.items.sid, i), l)),
                    p.f32 + (size_t)g->sid.i32[i * SID_CODES + l] * d, d * sizeof(float));
            npy_free(&p);
        }
    world_commit(&g->w);
}

/* Every event has a user of its own, whose history is what the mask keeps. */
static void read_batch(const struct golden_world *g, struct batch *b) {
    struct npy it = step("in", "it"), hist = step("in", "hist"), mask = step("in", "mask"),
               feat = step("in", "feat"), gx = step("in", "gx"), y = step("in", "y"),
               near = step("in", "near");
    size_t h = hist.shape[1];
    b->events = b->users = EVENTS;
    for (uint32_t e = 0; e < EVENTS; e++) {
        b->user[e] = e;
        b->candidate[e] = (uint32_t)it.i32[e];
        b->labels[e] = y.f32[e];
        b->history_length[e] = 0;
        for (size_t j = 0; j < h; j++)
            if (mask.f32[e * h + j] > 0)
                b->history[e * h + b->history_length[e]++] = (uint32_t)hist.i32[e * h + j];
    }
    memcpy(b->features, feat.f32, feat.count * sizeof(float));
    batch_index(&g->w, b);
    for (uint32_t u = 0; u < b->items; u++)
        memcpy(b->item_features + u * GATE_FEATURES, gx.f32 + b->item_row[u] * GATE_FEATURES,
               GATE_FEATURES * sizeof(float));
    batch_contrast(&g->w, b, 0.0f, &(struct rng){0});
    for (uint32_t i = 0; i < b->contrast_items; i++)
        for (uint32_t j = 0; j < b->contrast_items; j++)
            for (size_t k = 0; k < near.shape[1] && i != j; k++)
                if ((uint32_t)near.i32[b->item_row[b->contrast_item[i]] * near.shape[1] + k] ==
                    b->item_row[b->contrast_item[j]])
                    b->positive[i * b->contrast_items + j] = 1;
    struct npy *all[] = {&it, &hist, &mask, &feat, &gx, &y, &near};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}

static void check_scores(const struct golden_world *g, const struct batch *b, const float *logits) {
    struct npy expected = npy_golden("step.logits"), gate = npy_golden("step.gate");
    for (uint32_t e = 0; e < EVENTS; e++) {
        check_close("logits", "", e, logits[e], expected.f32[e]);
        check_close("gate", "", e, ranker_gate(g->w.ranker)[b->candidate[e]], gate.f32[e]);
    }
    npy_free(&expected);
    npy_free(&gate);
}

static void check_tensors(const struct golden_world *g) {
    for (size_t t = 0; t < TENSORS; t++) {
        const char *name = tensor_names[t].reference;
        const struct tensor *tensor = &g->w.ranker->tensors[tensor_names[t].ours];
        struct npy gradient = step("g", name), after = step("after", name), acc = step("acc", name);
        for (size_t i = 0; i < tensor->count; i++) {
            check_close("g", name, i, tensor->gradient[i] / EVENTS, gradient.f32[i]);
            check_close("after", name, i, tensor->value[i], after.f32[i]);
            check_close("acc", name, i, tensor->accumulator[i], acc.f32[i]);
        }
        npy_free(&gradient);
        npy_free(&after);
        npy_free(&acc);
    }
}

static void check_items(const struct golden_world *g, const struct batch *b) {
    struct npy gid = step("g", "id"), gbias = step("g", "bias"), id = step("after", "id"),
               bias = step("after", "bias"), acc_id = step("acc", "id"),
               acc_bias = step("acc", "bias");
    size_t d = g->w.config.width;
    for (uint32_t u = 0; u < b->items; u++) {
        uint32_t row = b->item_row[u];
        const float *value = table_value(g->w.items.embedding, row),
                    *acc = table_value(g->w.items.optimiser, row);
        for (size_t j = 0; j < d; j++) {
            check_close("g", "id", row * d + j, g->w.ranker->did[u * d + j] / EVENTS,
                        gid.f32[row * d + j]);
            check_close("after", "id", row * d + j, value[j], id.f32[row * d + j]);
        }
        check_close("g", "bias", row, g->w.ranker->dbias[u] / EVENTS, gbias.f32[row]);
        check_close("after", "bias", row, value[d], bias.f32[row]);
        check_close("acc", "id", row, acc[0], acc_id.f32[row]);
        check_close("acc", "bias", row, acc[1], acc_bias.f32[row]);
    }
    struct npy *all[] = {&gid, &gbias, &id, &bias, &acc_id, &acc_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        npy_free(all[i]);
}

/* The reference's gradient of a row is the sum of those of our rows that stand for it; a row that stands alone must also be the
 * same after the update. */
static void check_rows(const struct golden_world *g, const struct batch *b, uint32_t l, int use) {
    const struct code_level *level = &g->w.ranker->levels[l];
    const struct code_rows *c = &level->of[use];
    const char *name = table_spec(c->rows)->name;
    struct npy gradient = step("g", name), after = step("after", name), acc = step("acc", name);
    size_t d = g->w.config.width, alone = 0;
    float *sum = calloc(gradient.count, sizeof *sum);
    uint32_t *stand = calloc(gradient.shape[0], sizeof *stand),
             *ours = calloc(level->distinct, sizeof *ours);
    for (uint32_t u = 0; u < b->items; u++)
        ours[level->of_item[u]] = (uint32_t)g->sid.i32[b->item_row[u] * SID_CODES + l];
    for (uint32_t i = 0; i < level->distinct; i++) {
        stand[ours[i]]++;
        for (size_t j = 0; j < d; j++)
            sum[ours[i] * d + j] += c->gradient[i * d + j] / EVENTS;
    }
    for (uint32_t i = 0; i < level->distinct; i++) {
        if (stand[ours[i]] > 1)
            continue;
        alone++;
        const float *value = table_value(c->rows, level->row[i]),
                    *chunk = table_value(c->accumulators, level->row[i] / ACCUMULATORS_PER_ROW);
        for (size_t j = 0; j < d; j++)
            check_close("after", name, ours[i] * d + j, value[j], after.f32[ours[i] * d + j]);
        check_close("acc", name, ours[i], chunk[level->row[i] % ACCUMULATORS_PER_ROW],
                    acc.f32[ours[i]]);
    }
    ck_assert_uint_gt(alone, 0);
    for (size_t i = 0; i < gradient.count; i++)
        check_close("g", name, i, sum[i], gradient.f32[i]);
    free(sum);
    free(stand);
    free(ours);
    npy_free(&gradient);
    npy_free(&after);
    npy_free(&acc);
}

START_TEST(one_step) {
    struct golden_world g;
    float logits[EVENTS];
    open_world(&g);
    set_parameters(&g);
    struct batch b = batch_new(&g.w);
    read_batch(&g, &b);
    ranker_score(g.w.ranker, &b, logits);
    check_scores(&g, &b, logits);
    struct losses losses = ranker_learn(g.w.ranker, &b);
    struct npy loss = npy_golden("step.loss");
    ck_assert(losses.transfer > 0.0f && losses.contrast > 0.0f);
    check_close("loss", "", 0,
                losses.bce + g.w.config.kl_weight * losses.transfer +
                    g.w.config.contrast_weight * losses.contrast,
                loss.f32[0]);
    check_tensors(&g);
    check_items(&g, &b);
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (g.w.ranker->levels[l].of[use].rows)
                check_rows(&g, &b, l, use);
    npy_free(&loss);
    npy_free(&g.sid);
    batch_free(&b);
    world_close(&g.w);
}
END_TEST

int main(void) {
    npy_golden_or_skip();
    Suite *suite = suite_create("ranker_golden");
    TCase *cases = tcase_create("step");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, one_step);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
