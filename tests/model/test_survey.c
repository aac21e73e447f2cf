/* The survey against model_evaluate(), which scans at once, and against counts by hand. */
#include "model/survey.h"
#include "model_world.h"

#include <math.h>

static struct model_world *stream(struct survey **survey) {
    struct model_config config = small_model();
    struct model_world *world = world_create(&config);
    MUST(survey_create(survey, &config, &world->arena, &world->err));
    return world;
}

/* A whole round, `rows` positions at a time. */
static struct survey_figures look(struct survey *survey, struct model_world *world, uint32_t rows) {
    struct survey_figures figures;
    survey_begin(survey);
    while (!survey_step(survey, world->model, rows))
        ;
    survey_count(survey, &figures);
    return figures;
}

static const struct sid_row *sid_at(const struct model_world *world, uint32_t row) {
    return table_value(world->model->sid, row);
}

/* Items that share the first `levels` codes with another one, pair by pair. */
static double colliding(const struct model_world *world, uint32_t levels, uint32_t *items) {
    const struct table *sid = world->model->sid;
    uint32_t shared = 0;
    *items = 0;
    for (uint32_t a = 0; a < table_end(sid); a++) {
        bool like = false;
        for (uint32_t b = 0; table_live(sid, a) && b < table_end(sid) && !like; b++)
            like = b != a && table_live(sid, b) &&
                   memcmp(sid_at(world, a)->codes, sid_at(world, b)->codes,
                          levels * sizeof(uint16_t)) == 0;
        *items += table_live(sid, a);
        shared += like;
    }
    return (double)shared / *items;
}

static double perplexity_of(const struct model_world *world, uint32_t level, uint32_t *used) {
    double counts[8] = {0}, items = 0, entropy = 0;
    *used = 0;
    for (uint32_t row = 0; row < table_end(world->model->sid); row++)
        if (table_live(world->model->sid, row)) {
            counts[sid_at(world, row)->codes[level]]++;
            items++;
        }
    for (int c = 0; c < 8; c++) {
        *used += counts[c] > 0;
        entropy -= counts[c] > 0 ? counts[c] / items * log(counts[c] / items) : 0;
    }
    return exp(entropy);
}

static void check(const struct survey_figures *figures, struct model_world *world) {
    struct evaluation whole = world_evaluation(world);
    uint32_t items, used;
    ck_assert_double_eq(figures->unique, whole.sid_unique);
    ck_assert_double_eq(figures->quantisation_error, whole.quantisation_error);
    ck_assert_double_eq_tol(figures->gauc, whole.gauc, 1e-12);
    ck_assert(figures->cosine > 0 && figures->cosine <= 1);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        const struct survey_level *level = &figures->levels[l];
        ck_assert_double_eq_tol(level->collisions, colliding(world, l + 1, &items), 1e-12);
        ck_assert_double_eq_tol(level->perplexity, perplexity_of(world, l, &used), 1e-4);
        ck_assert_uint_eq(level->used, used);
        ck_assert_double_eq((double)level->used / 8, whole.utilisation[l]);
        uint64_t sum = 0;
        for (uint32_t c = 0; c < 8; c++)
            sum += figures->occupancy[l][c];
        ck_assert_uint_eq(sum, items);
    }
    ck_assert_uint_eq(figures->items, items);
}

START_TEST(it_finds_what_a_scan_finds) {
    struct survey *survey;
    struct model_world *world = stream(&survey);
    world_list_many(world, 300, 0);
    for (uint32_t rows = 1; rows < 2000; rows = rows * 7 + 1) {
        world_click_epochs(world, 20, 0);
        struct survey_figures figures = look(survey, world, rows);
        check(&figures, world);
    }
    world_destroy(world);
}
END_TEST

START_TEST(without_items_there_are_no_figures) {
    struct survey *survey;
    struct model_world *world = stream(&survey);
    struct survey_figures figures = look(survey, world, 10);
    ck_assert_uint_eq(figures.items, 0);
    ck_assert(isnan(figures.unique) && isnan(figures.cosine) && isnan(figures.gauc) &&
              isnan(figures.quantisation_error));
    ck_assert(isnan(figures.levels[0].perplexity) && isnan(figures.levels[4].collisions));
    world_destroy(world);
}
END_TEST

START_TEST(changes_are_those_since_the_round_before) {
    struct survey *survey;
    static struct sid_row before[ITEMS_MAX];
    struct model_world *world = stream(&survey);
    uint64_t moved = 0;
    world_list_many(world, 300, 0);
    struct survey_figures figures = look(survey, world, 64);
    for (uint32_t l = 0; l < SID_CODES; l++)
        ck_assert_uint_eq(figures.levels[l].changed, 0); /* there was no round before */
    for (int round = 0; round < 6; round++) {
        uint64_t changed[SID_CODES] = {0};
        for (uint32_t row = 0; row < table_end(world->model->sid); row++)
            before[row] = *sid_at(world, row);
        world_click_epochs(world, 30, 0);
        for (uint32_t row = 0; row < table_end(world->model->sid); row++)
            for (uint32_t l = 0; l < SID_CODES; l++)
                changed[l] += sid_at(world, row)->codes[l] != before[row].codes[l];
        figures = look(survey, world, 64);
        for (uint32_t l = 0; l < SID_CODES; l++) {
            ck_assert_uint_eq(figures.levels[l].changed, changed[l]);
            moved += changed[l];
        }
    }
    ck_assert_uint_gt(moved, 0);
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("survey");
    TCase *cases = tcase_create("survey");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, it_finds_what_a_scan_finds);
    tcase_add_test(cases, without_items_there_are_no_figures);
    tcase_add_test(cases, changes_are_those_since_the_round_before);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
