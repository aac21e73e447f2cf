/* Which items' stories are followed: those with the smallest hashes, whole, in order of arrival, whatever that order is. */
#include "base/digest.h"
#include "base/rng.h"
#include "cli/stories.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3000 };

struct followed {
    struct arena arena;
    struct stories stories;
    struct error err;
};

static struct bytes name_of(uint32_t item, char name[16]) {
    return bytes_of(name, (size_t)snprintf(name, 16, "item-%u", item));
}

static void row(struct followed *f, const char *table, uint32_t item, const struct sid_row *sid,
                uint64_t epoch) {
    char name[16];
    struct row_output out = {.table = table, .key = name_of(item, name), .epoch = epoch};
    if (sid != NULL)
        out.value = bytes_of(sid, sizeof *sid);
    ck_assert_msg(stories_row(&f->stories, &out, &f->arena, &f->err) == OK, "%s", f->err.text);
}

/* Every item's first SID, in the order; then a second one of each, then a delisting of every third. */
static void follow(struct followed *f, const uint32_t *order, uint32_t items) {
    struct settings settings = {.ranker.batch = 64};
    ck_assert_int_eq(arena_reserve(&f->arena, "stories", (size_t)64 << 20, &f->err), OK);
    stories_start(&f->stories, &settings, &f->arena);
    for (uint32_t step = 0; step < 3; step++)
        for (uint32_t i = 0; i < items; i++) {
            struct sid_row sid = {.codes = {(uint16_t)step, (uint16_t)order[i]}};
            row(f, "items", order[i], NULL, 1);
            if (step < 2 || order[i] % 3 == 0)
                row(f, "sid", order[i], step < 2 ? &sid : NULL, 1 + step * ITEMS + i);
        }
}

static void check_followed(struct followed *f, const uint32_t *order, uint32_t items) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < items; i++) {
        char name[16];
        struct bytes id = name_of(order[i], name);
        const struct story *story = stories_of(&f->stories, id);
        ck_assert_int_eq(story != NULL, hash64(id.data, id.len, 0) < f->stories.keep_below);
        if (story == NULL)
            continue;
        ck_assert_ptr_eq(story, &f->stories.list[at++]);
        ck_assert_uint_eq(story->step_count, order[i] % 3 == 0 ? 3 : 2);
        for (uint32_t step = 0; step < story->step_count; step++) {
            ck_assert_uint_eq(story->steps[step].epoch, 1 + step * ITEMS + i);
            ck_assert_int_eq(story->steps[step].gone, step == 2);
            ck_assert(step == 2 || (story->steps[step].sid.codes[0] == step &&
                                    story->steps[step].sid.codes[1] == order[i]));
        }
    }
    ck_assert_uint_eq(at, f->stories.count);
}

START_TEST(the_smallest_hashes_in_any_order) {
    static uint32_t order[ITEMS];
    struct followed *first = calloc(1, sizeof *first), *other = calloc(1, sizeof *other);
    for (uint32_t i = 0; i < ITEMS; i++)
        order[i] = i;
    follow(first, order, ITEMS);
    check_followed(first, order, ITEMS);
    ck_assert_uint_lt(first->stories.count, STORIES_MAX);
    ck_assert_uint_gt(first->stories.count, STORIES_MAX / 4);
    struct rng rng = rng_stream(5, RNG_TEST, 0, 0);
    for (uint32_t i = ITEMS - 1; i > 0; i--) {
        uint32_t j = rng_below(&rng, i + 1), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
    follow(other, order, ITEMS);
    check_followed(other, order, ITEMS);
    ck_assert_uint_eq(first->stories.keep_below, other->stories.keep_below);
    arena_release(&first->arena);
    arena_release(&other->arena);
    free(first);
    free(other);
}
END_TEST

START_TEST(few_items_are_all_followed) {
    uint32_t order[STORIES_MAX / 2];
    struct followed *f = calloc(1, sizeof *f);
    for (uint32_t i = 0; i < STORIES_MAX / 2; i++)
        order[i] = i;
    follow(f, order, STORIES_MAX / 2);
    check_followed(f, order, STORIES_MAX / 2);
    ck_assert_uint_eq(f->stories.count, STORIES_MAX / 2);
    arena_release(&f->arena);
    free(f);
}
END_TEST

/* A story's history keeps its first steps and counts the others. */
START_TEST(a_long_history) {
    struct settings settings = {.ranker.batch = 64};
    struct followed *f = calloc(1, sizeof *f);
    ck_assert_int_eq(arena_reserve(&f->arena, "stories", (size_t)64 << 20, &f->err), OK);
    stories_start(&f->stories, &settings, &f->arena);
    for (uint32_t step = 0; step < 100; step++)
        row(f, "sid", 1, &(struct sid_row){.codes = {(uint16_t)step}}, step);
    ck_assert_uint_eq(f->stories.list[0].step_count, 100);
    for (uint32_t step = 0; step < STORY_STEPS_MAX; step++)
        ck_assert_uint_eq(f->stories.list[0].steps[step].sid.codes[0], step);
    arena_release(&f->arena);
    free(f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stories");
    TCase *cases = tcase_create("stories");
    tcase_add_test(cases, the_smallest_hashes_in_any_order);
    tcase_add_test(cases, few_items_are_all_followed);
    tcase_add_test(cases, a_long_history);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
