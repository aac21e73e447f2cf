/* The life of log_world.h, compacted at random, read in random order between partitions and folded: the tables must be equal, row for row. */
#include "apply/compacted.h"
#include "log_world.h"
#include <check.h>
#include <stdlib.h>

static void fold_all(struct compacted *compacted, struct log_world *world, struct tables *set,
                     const uint32_t *from) {
    uint32_t next[PARTITIONS], left = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        next[p] = from[p];
        left += world->count[p] - from[p];
    }
    while (left > 0) {
        uint32_t p = rng_below(&world->rng, PARTITIONS), offset = next[p];
        struct folded_row row;
        struct error err = {0};
        if (offset == world->count[p])
            continue;
        next[p]++;
        left--;
        if (!world_row(world, p, offset, set, &row))
            continue;
        enum status status = compacted_fold(compacted, &row, world->records[p][offset].epoch, &err);
        ck_assert_msg(status == OK, "%s", err.text);
    }
}

static void live(struct log_world *world, int epochs) {
    for (int i = 0; i < epochs; i++)
        world_epoch(world);
}

static void check_same(struct log_world *world, struct compacted *compacted, struct tables *set,
                       uint64_t seed) {
    struct error err;
    const char *differs = compacted_differs(compacted, world_digest, &world->epochs[world->epoch]);
    ck_assert_msg(differs == NULL, "table %s differs; rerun: COLDSTREAM_SEED=%llu test_compacted",
                  differs, (unsigned long long)seed);
    compacted_end(compacted);
    for (uint32_t t = 0; t < TABLES; t++)
        ck_assert_msg(table_validate(tables_at(set, t), &err) == OK, "%s; COLDSTREAM_SEED=%llu",
                      err.text, (unsigned long long)seed);
    differs = fold_differs(set, world_digest, &world->epochs[world->epoch]);
    ck_assert_msg(differs == NULL, "%s after the end; COLDSTREAM_SEED=%llu", differs,
                  (unsigned long long)seed);
}

START_TEST(folds_to_the_same_tables) {
    static const uint32_t beginnings[PARTITIONS] = {0};
    uint64_t seed = world_seed(_i);
    struct log_world *world = world_create(seed);
    struct tables *copy = world_tables(_i % 2);
    struct compacted *compacted;
    struct error err = {0};
    ck_assert_int_eq(compacted_create(&compacted, copy, &err), OK);
    live(world, 60);
    world_compact(world, true);
    fold_all(compacted, world, copy, beginnings);
    check_same(world, compacted, copy, seed);

    /* what follows is folded onto what was there, with all that is superseded gone */
    uint32_t from[PARTITIONS];
    for (uint32_t p = 0; p < PARTITIONS; p++)
        from[p] = world->count[p];
    live(world, 30);
    world_compact(world, false);
    compacted_begin(compacted);
    fold_all(compacted, world, copy, from);
    check_same(world, compacted, copy, seed);
    compacted_destroy(compacted);
    tables_destroy(copy);
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("compacted");
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, folds_to_the_same_tables, 0, 200);
    tcase_set_timeout(random, 60);
    suite_add_tcase(suite, random);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
