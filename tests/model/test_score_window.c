/* Figures over time against sums over the very scores of a window's events. */
#include "model/score_window.h"
#include "model_world.h"

#include <math.h>

enum { SCORES_MAX = 20000 };

struct score {
    double logit, gate;
    bool positive;
    uint32_t bucket;
};
struct seen {
    struct score scores[SCORES_MAX];
    uint32_t count;
};

/* Learns one mini-batch and notes what it was scored with. */
static void learn(struct model_world *world, struct seen *seen) {
    struct model *m = world->model;
    static const uint64_t ends[] = {1, 5, 20, 100, 500};
    bool counted = model_state(m)->labelled >= world->config.warmup_events;
    world->epoch++;
    world_learn(world, world->epoch, 0);
    for (uint32_t e = 0; counted && e < BATCH; e++) {
        struct score *score = &seen->scores[seen->count++];
        ck_assert_uint_lt(seen->count, SCORES_MAX);
        *score = (struct score){.logit = (double)m->logits[e],
                                .positive = m->batch.labels[e] > 0,
                                .gate = (double)ranker_gate(m->ranker)[m->batch.candidate[e]]};
        while (score->bucket < 5 && m->exposures[e] >= ends[score->bucket])
            score->bucket++;
    }
    world_end_epoch(world);
}

static bool is_in(const struct score *score, uint32_t from, uint32_t to) {
    return score->bucket >= from && score->bucket < to;
}

static uint32_t bin_of(const struct score *score) {
    return (uint32_t)(SCORE_BINS / (1 + exp(-score->logit)));
}

/* Pair by pair (scores of one bin are equal) and event by event, in double precision. */
static struct score_slice judge(const struct seen *seen, uint32_t from, uint32_t to) {
    struct score_slice out = {0};
    double won = 0, pairs = 0, loss = 0, probability = 0, gate = 0;
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct score *a = &seen->scores[i];
        if (!is_in(a, from, to))
            continue;
        double p = 1 / (1 + exp(-a->logit));
        out.events++;
        out.positives += a->positive;
        probability += p;
        gate += a->gate;
        loss -= a->positive ? log(p) : log1p(-p);
        for (uint32_t j = 0; a->positive && j < seen->count; j++) {
            const struct score *b = &seen->scores[j];
            if (b->positive || !is_in(b, from, to))
                continue;
            won += bin_of(a) > bin_of(b) ? 1 : bin_of(a) == bin_of(b) ? 0.5 : 0;
            pairs++;
        }
    }
    double n = (double)out.events, rate = (double)out.positives / n;
    out.auc = won / pairs;
    out.ne = loss / n / -(rate * log(rate) + (1 - rate) * log(1 - rate));
    out.calibration = probability / (double)out.positives;
    out.gate = gate / n;
    return out;
}

static void same(double a, double b) {
    if (isfinite(b))
        ck_assert_double_eq_tol(a, b, 1e-4);
    else
        ck_assert(!isfinite(a));
}

static void check_slice(const struct score_slice *slice, const struct seen *seen, uint32_t from,
                        uint32_t to) {
    struct score_slice wanted = judge(seen, from, to);
    ck_assert_uint_eq(slice->events, wanted.events);
    ck_assert_uint_eq(slice->positives, wanted.positives);
    same(slice->auc, wanted.auc);
    same(slice->ne, wanted.ne);
    same(slice->calibration, wanted.calibration);
    same(slice->gate, wanted.gate);
}

static void check_figures(const struct score_figures *figures, const struct seen *seen) {
    check_slice(&figures->all, seen, 0, 6);
    check_slice(&figures->cold, seen, 0, 4);
    check_slice(&figures->warm, seen, 4, 6);
    for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++)
        check_slice(&figures->by_exposures[k], seen, k, k + 1);
}

static struct model_world *stream(struct score_window **window) {
    struct model_config config = small_model();
    config.warmup_events = 320;
    struct model_world *world = world_create(&config);
    MUST(score_window_create(window, &world->arena, &world->err));
    world_list_many(world, 220, 0);
    return world;
}

START_TEST(each_window_is_of_its_own_events) {
    struct seen *seen = calloc(1, sizeof *seen);
    struct score_window *window;
    struct score_figures figures;
    struct model_world *world = stream(&window);
    score_window_take(window, world->model, &figures);
    ck_assert_uint_eq(figures.all.events, 0);
    ck_assert(isnan(figures.all.auc) && isnan(figures.all.ne) && isnan(figures.all.gate));
    for (uint32_t take = 0; take < 6; take++) {
        seen->count = 0;
        for (uint32_t b = 0; b < 10 + 90 * (take % 2); b++)
            learn(world, seen);
        score_window_look(window, world->model, &figures);
        check_figures(&figures, seen);
        score_window_take(window, world->model, &figures);
        check_figures(&figures, seen);
    }
    world_destroy(world);
    free(seen);
}
END_TEST

START_TEST(the_first_take_is_of_everything) {
    struct seen *seen = calloc(1, sizeof *seen);
    struct score_window *window, *later;
    struct score_figures figures;
    struct model_world *world = stream(&window);
    for (uint32_t b = 0; b < 200; b++)
        learn(world, seen);
    struct evaluation whole = world_evaluation(world);
    score_window_take(window, world->model, &figures);
    check_figures(&figures, seen);
    ck_assert_double_eq(figures.all.auc, whole.auc);
    ck_assert_double_eq(figures.cold.auc, whole.auc_cold);
    ck_assert_double_eq(figures.all.ne, whole.ne);
    ck_assert_double_eq(figures.all.calibration, whole.calibration);

    /* one that starts here knows nothing of that */
    MUST(score_window_create(&later, &world->arena, &world->err));
    score_window_start(later, world->model);
    seen->count = 0;
    for (uint32_t b = 0; b < 20; b++)
        learn(world, seen);
    score_window_take(later, world->model, &figures);
    check_figures(&figures, seen);
    world_destroy(world);
    free(seen);
}
END_TEST

/* What the report's stories are made of: scores as the stage would give them, without a trace. */
START_TEST(a_score_is_what_the_stage_would_give) {
    struct score_window *window;
    struct seen *seen = calloc(1, sizeof *seen);
    struct model_world *world = stream(&window);
    struct sample samples[BATCH];
    float probabilities[BATCH];
    uint32_t panel[8];
    for (uint32_t b = 0; b < 20; b++)
        learn(world, seen);
    ck_assert_uint_eq(model_panel(world->model, panel, 8), 8);
    for (uint32_t i = 0; i < BATCH; i++)
        samples[i] = (struct sample){panel[i % 8], world_row(world, i), 50000, i % 3 == 0};
    struct digest before = tables_digest(world->set);
    model_score(world->model, samples, BATCH, probabilities);
    struct digest after = world_end_epoch(world);
    ck_assert(digest_equal(before, after));
    MUST(model_learn(world->model, samples, BATCH, &world->err));
    for (uint32_t i = 0; i < BATCH; i++)
        ck_assert_float_eq_tol(probabilities[i], 1 / (1 + expf(-world->model->logits[i])), 1e-6f);
    world_end_epoch(world);
    world_destroy(world);
    free(seen);
}
END_TEST

START_TEST(the_panel_has_those_who_clicked_with_the_smallest_hashes) {
    struct score_window *window;
    struct seen *seen = calloc(1, sizeof *seen);
    struct model_world *world = stream(&window);
    struct model *m = world->model;
    uint32_t panel[8], others = 0;
    ck_assert_uint_eq(model_panel(m, panel, 8), 0);
    for (uint32_t b = 0; b < 3; b++)
        learn(world, seen);
    ck_assert_uint_eq(model_panel(m, panel, 8), 8);
    uint8_t scratch[8];
    struct bytes last = table_key(m->users, panel[7], scratch);
    for (uint32_t row = 0; row < table_end(m->users); row++) {
        struct bytes id = table_key(m->users, row, scratch);
        bool in = false;
        for (uint32_t i = 0; i < 8; i++)
            in = in || panel[i] == row;
        ck_assert(!in || user_at(m, row)->clicks > 0);
        others += !in && user_at(m, row)->clicks > 0;
        if (!in && user_at(m, row)->clicks > 0)
            ck_assert(hash64(id.data, id.len, 0) > hash64(last.data, last.len, 0));
    }
    ck_assert_uint_gt(others, 0);
    world_destroy(world);
    free(seen);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("score_window");
    TCase *cases = tcase_create("score_window");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, each_window_is_of_its_own_events);
    tcase_add_test(cases, the_first_take_is_of_everything);
    tcase_add_test(cases, a_score_is_what_the_stage_would_give);
    tcase_add_test(cases, the_panel_has_those_who_clicked_with_the_smallest_hashes);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
