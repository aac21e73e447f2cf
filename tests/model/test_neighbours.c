/* Neighbours in OPQ space against a search over all items. */
#include "model/neighbours.h"

#include "base/rng.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 300
#define WIDTH 4

static uint64_t seed(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t value = text ? strtoull(text, NULL, 10) : 1;
    printf("rerun with COLDSTREAM_SEED=%llu\n", (unsigned long long)value);
    return value;
}

struct space {
    struct arena arena;
    struct neighbours *neighbours;
    uint32_t books[OPQ_CODES];
    float *centroids[OPQ_CODES];
    uint16_t codes[ITEMS][SID_CODES];
    bool here[ITEMS];
};

static void space_start(struct space *s, struct rng *rng) {
    for (int m = 0; m < OPQ_CODES; m++)
        for (uint32_t i = 0; i < s->books[m] * WIDTH; i++)
            s->centroids[m][i] = rng_normal(rng);
    neighbours_start(s->neighbours, (const float *const[]){s->centroids[0], s->centroids[1]},
                     WIDTH);
}

static void space_open(struct space *s, uint32_t first, uint32_t second, struct rng *rng) {
    struct error err;
    *s = (struct space){.books = {first, second}};
    ck_assert_int_eq(arena_reserve(&s->arena, "neighbours", 16 << 20, &err), OK);
    ck_assert_int_eq(neighbours_create(&s->neighbours, s->books, &s->arena, &err), OK);
    for (int m = 0; m < OPQ_CODES; m++)
        s->centroids[m] = calloc(s->books[m] * WIDTH, sizeof(float));
    space_start(s, rng);
}

static void space_close(struct space *s) {
    for (int m = 0; m < OPQ_CODES; m++)
        free(s->centroids[m]);
    arena_release(&s->arena);
}

static void put(struct space *s, uint32_t item, struct rng *rng) {
    if (s->here[item])
        neighbours_count(s->neighbours, s->codes[item], -1);
    for (uint32_t m = 0; m < OPQ_CODES; m++)
        s->codes[item][RQ_LEVELS + m] = (uint16_t)rng_below(rng, s->books[m]);
    s->here[item] = true;
    neighbours_count(s->neighbours, s->codes[item], 1);
}

static float half_distance(const struct space *s, int m, uint32_t a, uint32_t b) {
    float sum = 0.0f;
    for (uint32_t j = 0; j < WIDTH; j++) {
        float d = s->centroids[m][a * WIDTH + j] - s->centroids[m][b * WIDTH + j];
        sum += d * d;
    }
    return sum;
}

static float distance(const struct space *s, uint32_t i, uint32_t j) {
    return half_distance(s, 0, s->codes[i][RQ_LEVELS], s->codes[j][RQ_LEVELS]) +
           half_distance(s, 1, s->codes[i][RQ_LEVELS + 1], s->codes[j][RQ_LEVELS + 1]);
}

/* How many other items are nearer to i than j is. */
static uint32_t nearer(const struct space *s, uint32_t i, uint32_t j) {
    uint32_t count = 0;
    for (uint32_t k = 0; k < ITEMS; k++)
        count += s->here[k] && k != i && distance(s, i, k) < distance(s, i, j);
    return count;
}

/* Of 60 items, those that are among another's ten nearest of all items. */
static uint32_t check_some(struct space *s) {
    enum { ASKED = 60 };
    static uint8_t positive[ASKED * ASKED];
    uint32_t found = 0, asked[ASKED], count = 0;
    uint16_t codes[ASKED][SID_CODES];
    for (uint32_t i = 0; i < ITEMS && count < ASKED; i += 3)
        if (s->here[i]) {
            memcpy(codes[count], s->codes[i], sizeof codes[count]);
            asked[count++] = i;
        }
    neighbours_among(s->neighbours, (const uint16_t(*)[SID_CODES])codes, count, positive);
    for (uint32_t a = 0; a < count; a++)
        for (uint32_t b = 0; b < count; b++) {
            bool expected = a != b && nearer(s, asked[a], asked[b]) < NEIGHBOURS;
            ck_assert_msg(positive[a * count + b] == expected, "item %u, item %u: %d", asked[a],
                          asked[b], positive[a * count + b]);
            found += expected;
        }
    return found;
}

START_TEST(the_ten_nearest) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 30, (uint64_t)_i);
    struct space s;
    space_open(&s, _i ? 16 : 5, _i ? 12 : 40, &rng);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(&s, i, &rng);
    ck_assert_uint_gt(check_some(&s), 60);
    space_close(&s);
}
END_TEST

/* Codes that move, items that go and new codebooks change who is near: at once. */
START_TEST(they_follow_the_codes) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 31, 0);
    struct space s;
    space_open(&s, 8, 8, &rng);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(&s, i, &rng);
    for (int round = 0; round < 10; round++) {
        for (int k = 0; k < 20; k++)
            put(&s, rng_below(&rng, ITEMS), &rng);
        uint32_t gone = rng_below(&rng, ITEMS);
        if (s.here[gone])
            neighbours_count(s.neighbours, s.codes[gone], -1);
        s.here[gone] = false;
        check_some(&s);
    }
    space_start(&s, &rng);
    for (uint32_t i = 0; i < ITEMS; i++)
        if (s.here[i])
            neighbours_count(s.neighbours, s.codes[i], 1);
    check_some(&s);
    space_close(&s);
}
END_TEST

START_TEST(books_that_are_too_large) {
    struct arena arena;
    struct neighbours *neighbours;
    struct error err;
    ck_assert_int_eq(arena_reserve(&arena, "neighbours", 16 << 20, &err), OK);
    ck_assert_int_eq(neighbours_create(&neighbours, (uint32_t[]){64, 1025}, &arena, &err), FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "model.contrast_weight"));
    arena_release(&arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("neighbours");
    TCase *cases = tcase_create("neighbours");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, the_ten_nearest, 0, 2);
    tcase_add_test(cases, they_follow_the_codes);
    tcase_add_test(cases, books_that_are_too_large);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
