/* Codebooks that live: what they must do for items that come, move and stay. */
#include "model_world.h"

#include "math/nearest.h"
#include <math.h>

enum { FIRST = 200 };

static struct model_config config;
static void setup(void) {
    config = small_model();
}

/* The world after its first items, and as many of other kinds that nobody had seen when the codebooks were trained. */
static struct model_world *drifted(uint32_t epochs) {
    struct model_world *world = world_create(&config);
    world_list_many(world, FIRST, 1);
    world_click_epochs(world, 10, 0);
    world_list_many(world, 3 * FIRST, 2);
    world_click_epochs(world, epochs, 0);
    return world;
}

START_TEST(they_follow_what_is_listed) {
    struct model_world *living = drifted(120);
    struct evaluation now = world_evaluation(living);
    config.updates.on = 0;
    struct model_world *frozen = drifted(120);
    struct evaluation then = world_evaluation(frozen);
    ck_assert_uint_eq(then.codebook_version, 1);
    ck_assert_uint_eq(now.codebook_version, 1 + 130 / config.updates.publish_epochs);
    ck_assert_msg(now.quantisation_error < 0.8 * then.quantisation_error, "living %g, frozen %g",
                  now.quantisation_error, then.quantisation_error);
    for (int l = 0; l < SID_CODES; l++)
        ck_assert_double_ge(now.utilisation[l], 0.8);
    world_destroy(living);
    world_destroy(frozen);
}
END_TEST

/* Mean squared distance of all z to what k-means makes of them anew, level by level. */
static double refit_error(struct model_world *world) {
    struct model *m = world->model;
    struct tokenizer *again;
    struct arena arena;
    uint32_t n = 0, dz = config.tokenizer.z_dims;
    struct tokenizer_config tokenizer = config.tokenizer;
    tokenizer.content_dims = dz;
    MUST(arena_reserve(&arena, "refit", (size_t)64 << 20, &world->err));
    MUST(tokenizer_create(&again, &tokenizer, ITEMS_MAX, &arena, &world->err));
    float *z = arena_must(&arena, ITEMS_MAX * dz * sizeof *z);
    for (uint32_t row = 0; row < table_end(m->z); row++)
        if (table_live(m->z, row))
            memcpy(z + n++ * dz, table_value(m->z, row), dz * sizeof *z);
    MUST(tokenizer_train_books(again, z, n, FIT_FROM_NOTHING, 1, &arena, &world->err));
    uint16_t *codes = arena_must(&arena, ITEMS_MAX * SID_CODES * sizeof *codes);
    float *errors = arena_must(&arena, ITEMS_MAX * sizeof *errors);
    double sum = 0;
    tokenizer_encode(again, z, n, codes, errors, NULL);
    for (uint32_t i = 0; i < n; i++)
        sum += (double)errors[i];
    arena_release(&arena);
    return sum / n / (double)(Z_SCALE * Z_SCALE);
}

/* Row 22 of the modules' tests, in a hard case: three quarters of the items are of kinds that the first books never saw. */
START_TEST(near_a_refit_at_a_tenth_of_its_changes) {
    for (int l = 0; l < SID_CODES; l++)
        config.updates.memory[l] = 2000;
    struct model_world *world = drifted(300);
    double fresh = refit_error(world);
    struct evaluation now = world_evaluation(world);
    ck_assert_msg(now.quantisation_error < 1.2 * fresh, "living %g, fitted anew %g",
                  now.quantisation_error, fresh);
    /* books fitted anew at every version would move nearly all items every time */
    uint64_t moves = model_state(world->model)->sid_changes;
    ck_assert_msg(10 * moves < now.codebook_version * now.items,
                  "%llu moves of %llu items in %u versions", (unsigned long long)moves,
                  (unsigned long long)now.items, (unsigned)now.codebook_version);
    world_destroy(world);
}
END_TEST

START_TEST(items_stay_where_books_stand_still) {
    struct model_world *world = world_create(&config);
    world_list_many(world, FIRST, 1);
    world_click_epochs(world, 100, 0);
    uint64_t early = model_state(world->model)->sid_changes;
    world_click_epochs(world, 100, 0);
    uint64_t late = model_state(world->model)->sid_changes - early;
    ck_assert_msg(late <= FIRST / 20, "%llu of %d items moved in 50 versions",
                  (unsigned long long)late, FIRST);
    world_destroy(world);
}
END_TEST

START_TEST(assigned_from_published_books_only) {
    config.updates.publish_epochs = 1000;
    struct model_world *world = drifted(50);
    ck_assert_uint_eq(model_codebook_version(world->model), 1);
    ck_assert_uint_eq(model_state(world->model)->sid_changes, 0);
    for (uint32_t i = 0; i < world->items; i++) {
        uint16_t codes[SID_CODES];
        float error;
        tokenizer_encode(world->model->tokenizer, table_value(world->model->z, world_row(world, i)),
                         1, codes, &error, NULL);
        ck_assert(memcmp(codes, world_sid(world, i)->codes, sizeof codes) == 0);
    }
    world_destroy(world);
}
END_TEST

START_TEST(unexposed_items_are_visited) {
    struct model_world *world = drifted(0);
    uint32_t last = world->items - 1, asked = 2 * (world->items / config.updates.sweep + 1);
    for (uint32_t i = 0; i < asked; i++) { /* nobody is shown anything */
        world->epoch++;
        MUST(model_align(world->model, world->epoch, &world->err));
        world_end_epoch(world);
    }
    for (uint32_t i = 0; i <= last; i++)
        ck_assert_uint_ge(item_at(world->model, world_row(world, i))->last_event, 1);
    world_destroy(world);
}
END_TEST

/* Over a run in which codes are reset: a reset happens, and whoever moves says why and whence. */
START_TEST(drift_is_said) {
    config.updates.reset_share = 0.4f;
    config.updates.reset_versions = 1;
    struct model_world *world = drifted(300);
    uint32_t moved = 0;
    ck_assert_uint_ge(world_evaluation(world).codebook_resets, 1);
    for (uint32_t i = 0; i < world->items; i++) {
        const struct sid_row *sid = world_sid(world, i);
        moved += sid->reason == SID_DRIFT;
        if (sid->reason == SID_DRIFT)
            ck_assert(sid->has_previous && memcmp(sid->previous, sid->codes, 10) != 0 &&
                      sid->codebook_version > 1);
    }
    ck_assert_uint_ge(moved, 1);
    world_destroy(world);
}
END_TEST

START_TEST(new_content_is_encoded_at_once) {
    struct model_world *world = drifted(20);
    float x[DIMS];
    struct sid_row before = *world_sid(world, 5);
    world_vector(7, 9, 24, 0.3f, x);
    world->epoch++;
    world_list(world, 5, x);
    const struct sid_row *sid = world_sid(world, 5);
    ck_assert_uint_eq(sid->reason, SID_CONTENT);
    ck_assert_uint_eq(sid->epoch, world->epoch);
    ck_assert(memcmp(sid->previous, before.codes, sizeof before.codes) == 0);
    ck_assert_uint_eq(sid->codebook_version, model_codebook_version(world->model));
    world_end_epoch(world);
    world_destroy(world);
}
END_TEST

/* An epoch that is rolled back and run again is the epoch that went well at once. */
START_TEST(rolled_back_and_again) {
    config.updates.collision_tries = 3;
    struct model_world *world = drifted(20);
    for (int i = 0; i < 8; i++) {
        struct digest digests[2];
        world->epoch++;
        for (int attempt = 0; attempt < 2; attempt++) {
            world_learn(world, 2 * world->epoch, 0);
            MUST(model_align(world->model, world->epoch, &world->err));
            tables_seal(world->set);
            digests[attempt] = tables_digest(world->set);
            if (attempt == 0) {
                tables_rollback(world->set);
                MUST(model_refresh(world->model, &world->err));
            }
        }
        ck_assert(digest_equal(digests[0], digests[1]));
        tables_commit(world->set);
    }
    world_destroy(world);
}
END_TEST

START_TEST(collisions_are_avoided) {
    config.tokenizer.books[0] = config.ranker.books[0] = 3;
    struct model_world *world = drifted(100);
    double shared = world_evaluation(world).sid_unique;
    world_destroy(world);
    config.updates.collision_tries = 7;
    world = drifted(100);
    double own = world_evaluation(world).sid_unique;
    ck_assert_msg(own > shared + 0.3 && own > 0.85, "unique %g, without %g", own, shared);
    world_destroy(world);
}
END_TEST

START_TEST(hysteresis_and_balance) {
    struct model_world *world = world_create(&config);
    world_list_many(world, FIRST, 1);
    struct tokenizer *t = world->model->tokenizer;
    struct assignment rules = {0};
    struct codebooks *books = tokenizer_codebooks(t);
    uint32_t moved = 0, stayed = 0, drawn = 0;
    for (uint32_t i = 0; i < FIRST; i++) {
        const float *z = table_value(world->model->z, world_row(world, i));
        uint16_t best[SID_CODES], old[SID_CODES], kept[SID_CODES];
        float error;
        tokenizer_assign(t, &rules, z, NULL, best, &error);
        memcpy(old, best, sizeof old);
        old[0] = (uint16_t)((best[0] + 1) % 8);
        float d_old = squared_distance(z, books->rq[0] + old[0] * 8, 8),
              d_new = squared_distance(z, books->rq[0] + best[0] * 8, 8);
        rules.reluctance[0] = 0.5f;
        tokenizer_assign(t, &rules, z, old, kept, &error);
        bool moves = d_old - d_new > 0.5f * d_old;
        ck_assert_uint_eq(kept[0], moves ? best[0] : old[0]);
        moved += moves;
        stayed += !moves;
        rules.reluctance[0] = 0;
    }
    ck_assert(moved > 0 && stayed > 0);
    books->balance[5] = 0.5f; /* looks closer */
    uint32_t before = 0;
    for (uint32_t i = 0; i < FIRST; i++)
        before += world_sid(world, i)->codes[2] == 5;
    tokenizer_refresh(t);
    for (uint32_t i = 0; i < FIRST; i++) {
        uint16_t codes[SID_CODES];
        float error;
        tokenizer_assign(t, &rules, table_value(world->model->z, world_row(world, i)), NULL, codes,
                         &error);
        drawn += codes[2] == 5;
    }
    ck_assert_uint_gt(drawn, before);
    world_destroy(world);
}
END_TEST

/* The items' scores before and after the epochs' moves, nothing learned between: rows are copied, so they change little. */
START_TEST(a_move_changes_scores_little) {
    struct model_world *world = drifted(60);
    struct model *m = world->model;
    float before[FIRST], after[FIRST], spread = 0;
    double jump = 0;
    struct sample samples[BATCH];
    uint32_t moves = 0, user;
    MUST(model_user(m, bytes_text("u1"), &user, &world->err));
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < FIRST; i += BATCH) {
            for (uint32_t k = 0; k < BATCH; k++)
                samples[k] = (struct sample){user, world_row(world, (i + k) % FIRST), 1000000, 0};
            batch_build(m, samples, BATCH);
            ranker_score(m->ranker, &m->batch, m->logits);
            for (uint32_t k = 0; k < BATCH && i + k < FIRST; k++)
                (pass ? after : before)[i + k] = m->logits[k];
        }
        for (uint32_t i = 0; pass == 0 && i < 100; i++) {
            world->epoch++;
            MUST(model_align(m, world->epoch, &world->err));
            world_end_epoch(world);
        }
    }
    for (uint32_t i = 0; i < FIRST; i++) {
        moves += memcmp(world_sid(world, i)->codes, world_sid(world, i)->previous, 10) != 0;
        jump += fabs((double)(after[i] - before[i]));
        spread = fmaxf(spread, fabsf(before[i] - before[0]));
    }
    ck_assert_uint_ge(moves, 1);
    ck_assert_msg(jump / FIRST < 0.1 * (double)spread, "mean jump %g, scores spread over %g",
                  jump / FIRST, (double)spread);
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codebook_updates");
    TCase *tests = tcase_create("codebook_updates");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, they_follow_what_is_listed);
    tcase_add_test(tests, near_a_refit_at_a_tenth_of_its_changes);
    tcase_add_test(tests, items_stay_where_books_stand_still);
    tcase_add_test(tests, assigned_from_published_books_only);
    tcase_add_test(tests, unexposed_items_are_visited);
    tcase_add_test(tests, drift_is_said);
    tcase_add_test(tests, new_content_is_encoded_at_once);
    tcase_add_test(tests, rolled_back_and_again);
    tcase_add_test(tests, collisions_are_avoided);
    tcase_add_test(tests, hysteresis_and_balance);
    tcase_add_test(tests, a_move_changes_scores_little);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
