/* The acceptance tests of SMILE's and SaviorRec's modules inside the ranker: what each of them must do to scores and
 * rows. (Equations: test_layers, test_ranker_golden; gradients: test_ranker_slopes.) */
#include "ranker_small.h"
#include <math.h>

static void set_tensor(struct world *w, enum tensor_name name, float value) {
    struct tensor *t = &w->ranker->tensors[name];
    float *values = table_edit(t->values, 0);
    for (size_t i = 0; i < t->count; i++)
        values[i] = value;
}

/* sigmoid(+-200) is 1 or 0 to the bit. */
static void force_gate(struct world *w, bool open) {
    set_tensor(w, TENSOR_GATE_W2, 0.0f);
    set_tensor(w, TENSOR_GATE_B2, open ? 200.0f : -200.0f);
    world_commit(w);
}

/* The rows and tensors that two worlds of the same items both have become those of the first. */
static void take_parameters(const struct world *from, struct world *to) {
    for (uint32_t t = 0; t < tables_count(from->set); t++) {
        struct table *source = tables_at(from->set, t);
        const char *name = table_spec(source)->name;
        struct table *target =
            tables_named(to->set, (struct bytes){(const uint8_t *)name, strlen(name)});
        if (target == NULL)
            continue;
        for (uint32_t row = 0; row < table_end(source); row++)
            if (table_live(source, row) && table_live(target, row))
                memcpy(table_edit(target, row), table_value(source, row),
                       table_spec(source)->value_bytes);
    }
    world_commit(to);
}

/* Two worlds with the same items and parameters, and a batch. */
struct pair {
    struct world w[2];
    struct batch b;
};

static void pair_open(struct pair *p, const struct ranker_config *first,
                      const struct ranker_config *second, uint64_t use) {
    for (int i = 0; i < 2; i++) {
        struct rng rng = rng_stream(seed(), RNG_TEST, use, 0);
        open_small_as(&p->w[i], i ? second : first, &rng);
    }
    struct rng rng = rng_stream(seed(), RNG_TEST, use, 1);
    p->b = batch_new(&p->w[0]);
    batch_random(&p->w[0], &p->b, EVENTS, 4, true, &rng);
    take_parameters(&p->w[0], &p->w[1]);
}

static void pair_close(struct pair *p) {
    batch_free(&p->b);
    world_close(&p->w[0]);
    world_close(&p->w[1]);
}

static bool same_scores(struct pair *p) {
    float logits[2][EVENTS];
    for (int i = 0; i < 2; i++)
        ranker_score(p->w[i].ranker, &p->b, logits[i]);
    return memcmp(logits[0], logits[1], sizeof logits[0]) == 0;
}

/* ---- gate and fusion ---- */

START_TEST(an_open_gate_is_the_ranker_by_id) {
    struct ranker_config full = small_config(VARIANT_FULL), savior = small_config(VARIANT_SAVIOR);
    full.opq_share = 0.0f;
    struct pair p;
    pair_open(&p, &full, &savior, 40);
    ck_assert(!same_scores(&p));
    force_gate(&p.w[0], true);
    ck_assert(same_scores(&p));
    pair_close(&p);
}
END_TEST

/* Items without a SID have nothing but their row, whatever the gate says. */
START_TEST(a_closed_gate_is_the_ranker_by_codes) {
    struct ranker_config full = small_config(VARIANT_FULL), savior = small_config(VARIANT_SAVIOR);
    full.opq_share = 0.0f;
    struct pair p;
    float logits[EVENTS];
    pair_open(&p, &full, &savior, 41);
    force_gate(&p.w[0], false);
    ranker_score(p.w[0].ranker, &p.b, logits);
    size_t d = full.width;
    for (uint32_t u = 0; u < p.b.items; u++)
        if (table_live(p.w[0].items.sid, p.b.item_row[u]))
            memcpy(table_edit(p.w[1].items.embedding, p.b.item_row[u]), p.w[0].ranker->rq + u * d,
                   d * sizeof(float));
    ck_assert(same_scores(&p));
    pair_close(&p);
}
END_TEST

START_TEST(a_gate_is_between_0_and_1) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 42, 0);
    struct world w;
    float logits[EVENTS];
    open_small(&w, VARIANT_FULL, &rng);
    struct batch b = batch_new(&w);
    for (int round = 0; round < 20; round++) {
        batch_random(&w, &b, EVENTS, 4, true, &rng);
        ranker_score(w.ranker, &b, logits);
        for (uint32_t u = 0; u < b.items; u++) {
            float t = ranker_gate(w.ranker)[u];
            bool has_sid = table_live(w.items.sid, b.item_row[u]);
            ck_assert(has_sid ? t > 0.0f && t < 1.0f : t == 1.0f);
        }
        ranker_learn(w.ranker, &b);
        world_commit(&w);
    }
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* The transfer loss alone: with a last layer of zeros BCE teaches nothing but biases. An open gate leaves the item's row alone and
 * moves its codes, a closed one the other way round. */
START_TEST(transfer_moves_one_side) {
    for (int open = 0; open < 2; open++) {
        struct rng rng = rng_stream(seed(), RNG_TEST, 43, 0);
        struct ranker_config config = small_config(VARIANT_FULL);
        struct world w;
        float logit;
        config.contrast_weight = 0.0f;
        open_small_as(&w, &config, &rng);
        set_tensor(&w, TENSOR_W3, 0.0f);
        force_gate(&w, open);
        struct batch b = batch_new(&w);
        batch_random(&w, &b, 1, 1, false, &rng);
        b.candidate[0] = 0;
        uint32_t item = b.item_row[0];
        const float *row = table_value(w.items.embedding, item);
        float *before = copy(row, config.width);
        ranker_score(w.ranker, &b, &logit);
        ck_assert(ranker_learn(w.ranker, &b).transfer > 0.0f);
        tables_seal(w.set);
        ck_assert((memcmp(before, row, config.width * sizeof(float)) == 0) == open);
        for (int l = 0; l < RQ_LEVELS; l++)
            ck_assert_int_eq(
                (int)table_dirty_count(w.ranker->levels[l].of[CODES_EMBEDDING].rows), open);
        tables_commit(w.set);
        free(before);
        batch_free(&b);
        world_close(&w);
    }
}
END_TEST

/* A loss of weight 0 is the ablation: nothing of it is computed, and the scores are those of the whole until it has
 * taught something. */
START_TEST(weights_of_zero_are_ablations) {
    struct ranker_config full = small_config(VARIANT_FULL), without = full;
    without.kl_weight = without.contrast_weight = 0.0f;
    struct pair p;
    pair_open(&p, &full, &without, 44);
    ck_assert(same_scores(&p));
    struct losses all = ranker_learn(p.w[0].ranker, &p.b), bce = ranker_learn(p.w[1].ranker, &p.b);
    ck_assert(all.bce == bce.bce && bce.transfer == 0.0f && bce.contrast == 0.0f);
    ck_assert(all.transfer > 0.0f && all.contrast > 0.0f);
    ck_assert(!same_scores(&p));
    pair_close(&p);
}
END_TEST

/* ---- MBA ---- */

static double mean_square(const struct table *table) {
    double sum = 0.0;
    for (uint32_t row = 0; row < table_end(table); row++)
        for (uint32_t j = 0; table_live(table, row) && j < table_spec(table)->value_bytes / 4; j++)
            sum += (double)((const float *)table_value(table, row))[j] *
                   (double)((const float *)table_value(table, row))[j];
    return sum;
}

static struct table *residual_table(const struct world *w, int level) {
    return w->ranker->levels[level].of[CODES_RESIDUAL].rows;
}

/* New rows of A are 0, so a fresh ranker scores as if there were no MBA; learning moves the rows of the batch's items and
 * no other, and the scores part. */
START_TEST(mba_starts_as_nothing_and_learns) {
    struct ranker_config with = small_config(VARIANT_FULL), without = with;
    struct pair p;
    without.mba = 0;
    for (int i = 0; i < 2; i++) {
        struct rng rng = rng_stream(seed(), RNG_TEST, 45, 0);
        world_open(&p.w[i], i ? &without : &with, ITEMS);
        for (int k = 0; k < ITEMS; k++)
            world_random_item(&p.w[i], &rng);
        world_commit(&p.w[i]);
    }
    struct rng rng = rng_stream(seed(), RNG_TEST, 45, 1);
    p.b = batch_new(&p.w[0]);
    batch_random(&p.w[0], &p.b, EVENTS, 4, true, &rng);
    for (int l = 0; l < RQ_LEVELS; l++)
        ck_assert(mean_square(residual_table(&p.w[0], l)) == 0.0);
    ck_assert(same_scores(&p));
    for (int step = 0; step < 2;
         step++) { /* the id rows start at 0 too: attention has to wake first */
        for (int i = 0; i < 2; i++) {
            float logits[EVENTS];
            ranker_score(p.w[i].ranker, &p.b, logits);
            ranker_learn(p.w[i].ranker, &p.b);
        }
    }
    ck_assert(!same_scores(&p));
    tables_seal(p.w[0].set);
    for (int l = 0; l < RQ_LEVELS; l++) {
        const struct code_level *level = &p.w[0].ranker->levels[l];
        struct table *rows = residual_table(&p.w[0], l);
        ck_assert(mean_square(rows) > 0.0);
        ck_assert_uint_gt(table_dirty_count(rows), 0);
        for (uint32_t i = 0; i < table_dirty_count(rows); i++) {
            bool named = false;
            for (uint32_t k = 0; k < level->distinct; k++)
                named |= level->row[k] == table_dirty_at(rows, i);
            ck_assert(named);
        }
    }
    tables_commit(p.w[0].set);
    pair_close(&p);
}
END_TEST

static void one_event(struct world *w, struct batch *b, uint32_t candidate, const uint32_t *history,
                      uint32_t length) {
    b->events = b->users = 1;
    b->user[0] = 0;
    b->candidate[0] = candidate;
    b->history_length[0] = length;
    for (uint32_t j = 0; j < length; j++)
        b->history[j] = history[j];
    batch_index(w, b);
}

/* With one item in the history every weight is 1: an attention is that item's vector. The candidate itself there gives the same
 * vector as the candidate, in both views, with the rows of A far from 0. */
START_TEST(candidate_and_history_share_the_residual) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 46, 0);
    struct world w;
    float logit;
    open_small(&w, VARIANT_FULL, &rng);
    struct batch b = batch_new(&w);
    one_event(&w, &b, 3, (uint32_t[]){3}, 1);
    ranker_score(w.ranker, &b, &logit);
    const float *input = w.ranker->input;
    size_t bytes = w.config.width * sizeof(float);
    for (int v = 0; v < VIEWS; v++) {
        const struct view *view = &w.ranker->view[v], *other = &w.ranker->view[VIEWS - 1 - v];
        ck_assert_mem_eq(input + view->column, input + view->column + w.config.width, bytes);
        ck_assert_mem_eq(input + view->cross_column, input + other->column, bytes);
    }
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* ---- attention ---- */

/* The second history item's vectors have a part in all four attentions, and none when it is not in the history. */
START_TEST(four_attentions_read_the_history_and_nothing_else) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 47, 0);
    struct world w;
    float logit, *input[2][2];
    open_small(&w, VARIANT_FULL, &rng);
    struct batch b = batch_new(&w);
    size_t d = w.config.width, stride = w.ranker->dnn.stride;
    for (int moved = 0; moved < 2; moved++) {
        for (uint32_t length = 1; length <= 2; length++) {
            one_event(&w, &b, 1, (uint32_t[]){3, 4}, length);
            ranker_score(w.ranker, &b, &logit);
            input[moved][length - 1] = copy(w.ranker->input, stride);
        }
        ((float *)table_edit(w.items.embedding, 4))[0] += 1.0f;
        ((float *)table_edit(w.items.z, 4))[0] += 1.0f;
    }
    for (int v = 0; v < VIEWS; v++) {
        size_t columns[] = {w.ranker->view[v].column + d, w.ranker->view[v].cross_column};
        for (int k = 0; k < 2; k++) {
            ck_assert_mem_eq(input[0][0] + columns[k], input[1][0] + columns[k], d * sizeof(float));
            ck_assert_mem_ne(input[0][1] + columns[k], input[1][1] + columns[k], d * sizeof(float));
            ck_assert_mem_ne(input[0][0] + columns[k], input[0][1] + columns[k], d * sizeof(float));
        }
    }
    for (int i = 0; i < 4; i++)
        free(input[i / 2][i % 2]);
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* ---- the whole ---- */

/* Clicks follow from an item's first code; then the codes that are liked change, as in a drift of taste. The ranker that goes on
 * learning keeps its loss, the one that stopped before the drift does not; and what a ranker has learned it knows of an item
 * that comes after the drift and was never shown, from its codes. */
START_TEST(learning_goes_on_and_reaches_new_items) {
    struct ranker_config config = small_config(VARIANT_FULL);
    struct world w[2];
    double loss[2] = {0.0, 0.0};
    for (int i = 0; i < 2; i++) {
        struct rng rng = rng_stream(seed(), RNG_TEST, 48, 0);
        world_open(&w[i], &config, ITEMS);
        for (uint32_t k = 0; k < ITEMS - 4; k++)
            world_random_item(&w[i], &rng);
        struct batch b = batch_new(&w[i]);
        for (int step = 0; step < 600; step++) {
            float logits[EVENTS];
            bool drifted = step >= 300;
            batch_random(&w[i], &b, EVENTS, 3, true, &rng);
            for (uint32_t e = 0; e < EVENTS; e++) {
                const struct sid_row *sid = table_value(w[i].items.sid, b.item_row[b.candidate[e]]);
                b.labels[e] = (sid->codes[0] < 2) != drifted;
            }
            ranker_score(w[i].ranker, &b, logits);
            for (uint32_t e = 0; e < EVENTS && step >= 400; e++)
                loss[i] += log1p(exp(b.labels[e] > 0 ? -(double)logits[e] : (double)logits[e])) /
                           (200 * EVENTS);
            if (i == 0 || !drifted)
                ranker_learn(w[i].ranker, &b);
            world_commit(&w[i]);
        }
        batch_free(&b);
    }
    printf("loss after the drift: %.3f learning, %.3f not\n", loss[0], loss[1]);
    ck_assert(loss[0] < 0.3 && loss[1] > 1.0);
    struct batch b = batch_new(&w[0]);
    float liked, other;
    uint32_t rows[2] = {world_item(&w[0], (uint16_t[]){3, 2, 1, 0, 1}, NULL),
                        world_item(&w[0], (uint16_t[]){0, 2, 1, 0, 1}, NULL)};
    one_event(&w[0], &b, rows[0], NULL, 0);
    ranker_score(w[0].ranker, &b, &liked);
    one_event(&w[0], &b, rows[1], NULL, 0);
    ranker_score(w[0].ranker, &b, &other);
    printf("never shown: %.2f with liked codes, %.2f with others\n", (double)liked, (double)other);
    ck_assert(liked > other + 1.0f);
    batch_free(&b);
    world_close(&w[0]);
    world_close(&w[1]);
}
END_TEST

/* InfoNCE draws near items together and others apart. */
START_TEST(contrast_separates) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 49, 0);
    struct ranker_config config = small_config(VARIANT_FULL);
    struct world w;
    float first = 0.0f, last = 0.0f, logits[EVENTS];
    config.contrast_weight = 1.0f;
    open_small_as(&w, &config, &rng);
    set_tensor(&w, TENSOR_W3, 0.0f);
    world_commit(&w);
    struct batch b = batch_new(&w);
    batch_random(&w, &b, EVENTS, 4, true, &rng);
    for (int step = 0; step < 40; step++) {
        ranker_score(w.ranker, &b, logits);
        set_tensor(&w, TENSOR_W3, 0.0f);
        last = ranker_learn(w.ranker, &b).contrast;
        first = step == 0 ? last : first;
        world_commit(&w);
    }
    printf("contrast: %.3f, then %.3f\n", (double)first, (double)last);
    ck_assert(last < 0.8f * first);
    batch_free(&b);
    world_close(&w);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("alignment");
    TCase *cases = tcase_create("modules");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, an_open_gate_is_the_ranker_by_id);
    tcase_add_test(cases, a_closed_gate_is_the_ranker_by_codes);
    tcase_add_test(cases, a_gate_is_between_0_and_1);
    tcase_add_test(cases, transfer_moves_one_side);
    tcase_add_test(cases, weights_of_zero_are_ablations);
    tcase_add_test(cases, mba_starts_as_nothing_and_learns);
    tcase_add_test(cases, candidate_and_history_share_the_residual);
    tcase_add_test(cases, four_attentions_read_the_history_and_nothing_else);
    tcase_add_test(cases, learning_goes_on_and_reaches_new_items);
    tcase_add_test(cases, contrast_separates);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
