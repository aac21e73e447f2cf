/* The shadow encoder, its guard, and how one generation follows another. Every epoch of every test ends with model_validate():
 * no item ever points at anything that is not there. */
#include "model_world.h"

#include <math.h>

enum { FIRST = 300, GROUPS = 12, SLICE = 40, WINDOW = 6 };

static struct model_config config;
static void setup(void) {
    config = small_model();
    config.updates.on = 0;
    config.train_listings = FIRST;
    config.encoder = (struct encoder_config){.pairs = 4096,
                                             .popular_clicks = 1e6f,
                                             .batch = 64,
                                             .steps = 4,
                                             .rate = 0.05f,
                                             .temperature = 0.2f,
                                             .reconstruction_weight = 0.01f,
                                             .decoded_weight = 0.5f,
                                             .judge_epochs = 10,
                                             .judge_pairs = 200};
    config.generations = (struct generation_config){
        .on = 1, .check_epochs = 1, .slice = SLICE, .window_epochs = WINDOW};
    config.ranker.banks = 2;
}

/* What is clicked goes by groups. In the first half of the numbers a vector shows its group with length `group`, in the second
 * half noise of length `noise`. */
static void list_in_groups(struct model_world *world, uint32_t count, float group, float noise) {
    world->epoch++;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t item = world->items;
        struct rng centre = rng_stream(21, RNG_TEST, item % GROUPS, 0),
                   own = rng_stream(22, RNG_TEST, item, 0);
        float x[DIMS];
        for (uint32_t i = 0; i < DIMS; i++)
            x[i] = i < DIMS / 2 ? group * rng_normal(&centre) + 0.1f * rng_normal(&own)
                                : noise * rng_normal(&own);
        world_list(world, item, x);
    }
    world_end_epoch(world);
}

/* Users click items of their group, and are shown others. */
static void click_in_groups(struct model_world *world, uint32_t epochs) {
    for (uint32_t e = 0; e < epochs; e++) {
        world->epoch++;
        for (uint32_t b = 0; b < 4; b++) {
            struct sample samples[BATCH];
            struct rng rng = rng_stream(23, RNG_TEST, world->epoch, b);
            for (uint32_t i = 0; i < BATCH; i++) {
                char name[16];
                uint32_t user = rng_below(&rng, USERS), item = rng_below(&rng, world->items);
                samples[i].label = rng_below(&rng, 2) == 0;
                if (samples[i].label > 0)
                    item = (item / GROUPS * GROUPS + user % GROUPS) % world->items;
                samples[i].item_row = world_row(world, item);
                samples[i].time_ms = (int64_t)world->epoch * 1000;
                MUST(model_user(world->model,
                                bytes_of(name, (size_t)snprintf(name, sizeof name, "u%u", user)),
                                &samples[i].user_row, &world->err));
            }
            MUST(model_learn(world->model, samples, BATCH, &world->err));
        }
        MUST(model_align(world->model, world->epoch, &world->err));
        world_end_epoch(world);
    }
}

static struct model_world *grouped(float group, float noise, uint32_t epochs) {
    struct model_world *world = world_create(&config);
    list_in_groups(world, FIRST, group, noise);
    click_in_groups(world, epochs);
    return world;
}

/* ---- the shadow and its guard ---- */

START_TEST(an_encoder_that_helps_is_released) {
    config.encoder.on = 1;
    for (int l = 0; l < SID_CODES; l++)
        config.tokenizer.books[l] = config.ranker.books[l] = 16;
    struct model_world *world = grouped(1, 4, 80);
    struct evaluation now = world_evaluation(world);
    ck_assert_msg(now.releases >= 1, "hits: raw %g, live %g, shadow %g, decoded %g and %g",
                  now.hits[0], now.hits[1], now.hits[3], now.hits[2], now.hits[4]);
    click_in_groups(world, 20);
    now = world_evaluation(world);
    /* rows 2 and 3 of the modules' tests: better than the raw content, and 90 % of it left after quantisation */
    ck_assert_msg(now.hits[1] > 1.2 * now.hits[0], "raw %g, live %g", now.hits[0], now.hits[1]);
    ck_assert_msg(now.hits[2] > 0.9 * now.hits[1], "live %g, decoded %g", now.hits[1], now.hits[2]);
    world_destroy(world);
}
END_TEST

START_TEST(an_encoder_that_does_not_stays_in_the_shadow) {
    config.encoder.on = 1;
    struct model_world *world = grouped(4, 0.2f, 100);
    struct evaluation now = world_evaluation(world);
    ck_assert_uint_ge(now.encoder_steps, 300);
    ck_assert_uint_ge(now.encoder_judgements, 8);
    ck_assert_uint_eq(now.releases, 0);
    ck_assert_uint_eq(now.generation, 1);
    world_destroy(world);
}
END_TEST

START_TEST(judged_before_learned) {
    config.encoder.on = 1;
    config.encoder.judge_epochs = 1000;
    struct model_world *world = grouped(1, 4, 30);
    ck_assert_uint_eq(world_evaluation(world).encoder_steps, 0); /* nothing was judged yet */
    world_destroy(world);
}
END_TEST

/* ---- generations ---- */

static uint32_t on_generation(const struct model_world *world, uint32_t generation) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->items; i++)
        count += world_sid(world, i)->generation == generation;
    return count;
}

static struct model_world *before_a_release(void) {
    config.generations.schedule_epochs = 20;
    config.generations.check_epochs = 20;
    return grouped(2, 1, 19);
}

START_TEST(items_move_in_slices) {
    struct model_world *world = before_a_release();
    struct model *m = world->model;
    ck_assert_uint_eq(on_generation(world, 1), FIRST);
    click_in_groups(world, 1); /* the release */
    ck_assert_uint_eq(model_generation(m), 2);
    for (uint32_t moved = 0; moved < FIRST;) {
        click_in_groups(world, 1);
        uint32_t now = on_generation(world, 2);
        ck_assert_uint_eq(now, moved + SLICE < FIRST ? moved + SLICE : FIRST);
        moved = now;
        for (uint32_t i = 0; i < FIRST; i++) { /* z and SID belong together */
            float z[8];
            uint32_t row = world_row(world, i);
            tokenizer_project(m->tokenizer, table_value(m->content, row), z);
            bool new_z = memcmp(z, table_value(m->z, row), sizeof z) == 0;
            if (world_sid(world, i)->generation == 2)
                ck_assert(new_z && world_sid(world, i)->reason == SID_GENERATION);
        }
    }
    ck_assert_uint_eq(world_evaluation(world).releases, 1);
    world_destroy(world);
}
END_TEST

START_TEST(a_listing_in_the_midst_belongs_to_the_new_one) {
    struct model_world *world = before_a_release();
    click_in_groups(world, 3);
    list_in_groups(world, 10, 2, 1);
    for (uint32_t i = FIRST; i < world->items; i++) {
        ck_assert_uint_eq(world_sid(world, i)->generation, 2);
        ck_assert_uint_eq(world_sid(world, i)->epoch, world->epoch);
    }
    click_in_groups(world, 12);
    ck_assert_uint_eq(on_generation(world, 2), world->items);
    world_destroy(world);
}
END_TEST

static uint32_t books_of(const struct model *m, uint32_t generation) {
    uint32_t count = 0;
    for (uint32_t row = 0; row < table_end(m->codebooks); row++)
        count +=
            table_live(m->codebooks, row) && table_key_u64(m->codebooks, row) >> 40 == generation;
    return count;
}

START_TEST(the_old_one_is_retired_after_its_window) {
    struct model_world *world = before_a_release();
    struct table *rows = tables_named(world->set, bytes_text("E1"));
    ck_assert_ptr_nonnull(rows);
    click_in_groups(world, 1 + (FIRST + SLICE - 1) / SLICE + WINDOW - 1);
    ck_assert_uint_gt(books_of(world->model, 1), 0);
    ck_assert_uint_gt(table_rows(rows), 8);
    click_in_groups(world, 10);
    ck_assert_uint_eq(books_of(world->model, 1), 0);
    ck_assert_uint_gt(books_of(world->model, 2), 0);
    ck_assert_uint_le(table_rows(rows), 8);
    world_destroy(world);
}
END_TEST

/* Configuration changes at a restart: here in place. */
static void hold(struct model_world *world, uint32_t generation) {
    world->model->config.generations.hold = generation;
}

START_TEST(the_old_one_can_be_brought_back) {
    struct model_world *world = before_a_release();
    static uint16_t codes[FIRST][SID_CODES];
    for (uint32_t i = 0; i < FIRST; i++)
        memcpy(codes[i], world_sid(world, i)->codes, sizeof codes[i]);
    click_in_groups(world, 1 + (_i == 0 ? 3 : (FIRST + SLICE - 1) / SLICE + 2)); /* midst, end */
    hold(world, 1);
    click_in_groups(world, 2 + (FIRST + SLICE - 1) / SLICE);
    ck_assert_uint_eq(on_generation(world, 1), FIRST);
    for (uint32_t i = 0; i < FIRST; i++)
        ck_assert(memcmp(codes[i], world_sid(world, i)->codes, sizeof codes[i]) == 0);
    click_in_groups(world, 40); /* and it stays, and the other is retired */
    ck_assert_uint_eq(on_generation(world, 1), FIRST);
    ck_assert_uint_eq(books_of(world->model, 2), 0);
    hold(world, 0);
    while (model_generation(world->model) == 1)
        click_in_groups(world, 1); /* the next one gets a number of its own, and an even one */
    ck_assert_uint_eq(model_generation(world->model), 4);
    world_destroy(world);
}
END_TEST

static void score_all(struct model_world *world, float scores[FIRST]) {
    struct model *m = world->model;
    struct sample samples[BATCH];
    uint32_t user;
    MUST(model_user(m, bytes_text("u1"), &user, &world->err));
    for (uint32_t i = 0; i < FIRST; i += BATCH) {
        for (uint32_t k = 0; k < BATCH; k++)
            samples[k] = (struct sample){user, world_row(world, (i + k) % FIRST), 1000000, 0};
        batch_build(m, samples, BATCH);
        ranker_score(m->ranker, &m->batch, m->logits);
        for (uint32_t k = 0; k < BATCH && i + k < FIRST; k++)
            scores[i + k] = m->logits[k];
    }
}

static double correlation(const float *a, const float *b) {
    double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < FIRST; i++) {
        mean_a += (double)a[i] / FIRST;
        mean_b += (double)b[i] / FIRST;
    }
    for (uint32_t i = 0; i < FIRST; i++) {
        ab += ((double)a[i] - mean_a) * ((double)b[i] - mean_b);
        aa += ((double)a[i] - mean_a) * ((double)a[i] - mean_a);
        bb += ((double)b[i] - mean_b) * ((double)b[i] - mean_b);
    }
    return ab / sqrt(aa * bb);
}

/* Nothing is learned while they move: what a score changes by is the move alone. */
START_TEST(a_release_changes_scores_little) {
    static const enum variant variants[] = {VARIANT_ID_SID, VARIANT_FULL};
    static float before[FIRST], after[FIRST];
    config.ranker.variant = variants[_i];
    config.generations.slice = 1000;
    config.ranker.prefix_rows = 1024;                        /* as many as there are prefixes */
    config.tokenizer.books[0] = config.ranker.books[0] = 16; /* a code for each group */
    config.ranker.gate = GATE_LEARNED;
    config.ranker.gate_hidden = 4;
    config.ranker.opq = config.ranker.mba = config.ranker.cross = 1;
    config.ranker.opq_share = 0.5f;
    config.generations.check_epochs = config.generations.schedule_epochs = 30;
    config.updates.reluctance = config.updates.reluctance_first = 0.1f;
    struct model_world *world = grouped(4, 0.5f, 19);
    list_in_groups(world, FIRST / 5, 4, 0.5f); /* so that the new books are other books */
    click_in_groups(world, 10);
    uint32_t kept = 0;
    score_all(world, before);
    for (uint32_t e = 0; e < 3; e++) {
        world->epoch++;
        MUST(model_align(world->model, world->epoch, &world->err));
        world_end_epoch(world);
    }
    ck_assert_uint_eq(on_generation(world, 2), world->items);
    score_all(world, after);
    for (uint32_t i = 0; i < FIRST; i++) {
        const struct sid_row *sid = world_sid(world, i);
        kept += memcmp(sid->codes, sid->previous, sizeof sid->codes) == 0;
    }
    double same = correlation(before, after);
    printf("%s: %u of %d items keep their SID; correlation of the scores before and after %.3f\n",
           _i ? "full" : "id+sid", kept, FIRST, same);
    ck_assert_double_gt(same, _i ? 0.9 : 0.6);
    world_destroy(world);
}
END_TEST

START_TEST(rolled_back_and_again) {
    config.encoder.on = 1;
    config.updates.on = 1;
    config.updates.collision_tries = 3;
    config.encoder.judge_epochs = 3;
    config.generations.schedule_epochs = 4;
    config.generations.check_epochs = 2;
    config.generations.window_epochs = 2;
    struct model_world *world = grouped(1, 2, 1);
    for (int i = 0; i < 40; i++) {
        struct digest digests[2];
        world->epoch++;
        for (int attempt = 0; attempt < 2; attempt++) {
            world_learn(world, 2 * world->epoch, 0);
            MUST(model_align(world->model, world->epoch, &world->err));
            tables_seal(world->set);
            digests[attempt] = tables_digest(world->set);
            MUST(model_validate(world->model, &world->err));
            if (attempt == 0) {
                tables_rollback(world->set);
                MUST(model_refresh(world->model, &world->err));
            }
        }
        ck_assert_msg(digest_equal(digests[0], digests[1]), "epoch %llu",
                      (unsigned long long)world->epoch);
        tables_commit(world->set);
    }
    ck_assert_uint_ge(world_evaluation(world).releases, 2);
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("generations");
    TCase *tests = tcase_create("generations");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, an_encoder_that_helps_is_released);
    tcase_add_test(tests, an_encoder_that_does_not_stays_in_the_shadow);
    tcase_add_test(tests, judged_before_learned);
    tcase_add_test(tests, items_move_in_slices);
    tcase_add_test(tests, a_listing_in_the_midst_belongs_to_the_new_one);
    tcase_add_test(tests, the_old_one_is_retired_after_its_window);
    tcase_add_loop_test(tests, the_old_one_can_be_brought_back, 0, 2);
    tcase_add_loop_test(tests, a_release_changes_scores_little, 0, 2);
    tcase_add_test(tests, rolled_back_and_again);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
