/* Versions: views of every step that is in memory, by one thread and beside a writer.
 *
 * The world of the tests has rules that hold after every step and in no mixture of two: 64 accounts whose sum is constant, and of which one row says which step it is;
 * items that come, go and change places, whose directory (a row of bits) says which of them live. */
#include "base/rng.h"
#include "follow/versions.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCOUNTS 64u
#define ITEMS 96u /* that there can be; places for them: PLACES */
#define PLACES 80u
#define STEPS 1500
#define VIEWS 3000     /* whole ones that readers see beside the writer, at least */
#define STAMP ACCOUNTS /* the account row that has the number of the step */

struct world {
    struct tables *set;
    struct table *accounts, *items, *texts, *directory;
    struct versions *versions;
    struct rng rng;
    int64_t money[ACCOUNTS];
    uint32_t place[ITEMS]; /* NO_ROW: it does not live */
    bool taken[PLACES];
    uint32_t generation[ITEMS]; /* of its text */
};

static uint64_t seed_of(uint64_t own) {
    const char *text = getenv("COLDSTREAM_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : own;
}

static void add(struct world *w, const char *name, enum key_kind kind, struct table *parent,
                uint32_t bytes, uint32_t rows, struct table **out) {
    struct error err;
    struct table_spec spec = {name,  kind, TO_DELTAS, parent, kind == KEY_STRING ? 24 : 0,
                              bytes, rows};
    ck_assert_int_eq(tables_add(w->set, &spec, out, &err), OK);
}

static struct world *world_create(uint64_t seed, size_t undo_bytes) {
    struct error err;
    struct world *w = calloc(1, sizeof *w);
    ck_assert_int_eq(tables_create(&w->set, &err), OK);
    add(w, "accounts", KEY_DENSE, NULL, 8, ACCOUNTS + 1, &w->accounts);
    add(w, "items", KEY_STRING, NULL, 4, PLACES, &w->items);
    add(w, "texts", KEY_CHILD, w->items, 64, PLACES, &w->texts);
    add(w, "directory", KEY_U64, NULL, ITEMS * 4, 4, &w->directory);
    ck_assert_int_eq(versions_create(&w->versions, w->set, undo_bytes, &err), OK);
    w->rng = rng_stream(seed, 77, 0, 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        w->place[i] = NO_ROW;
    printf("seed %llu (COLDSTREAM_SEED)\n", (unsigned long long)seed);
    return w;
}

static void world_destroy(struct world *w) {
    versions_destroy(w->versions);
    tables_destroy(w->set);
    free(w);
}

static void put(struct table *table, struct bytes key, uint32_t row, const void *value) {
    struct error err = {0};
    struct bytes bytes =
        value == NULL ? (struct bytes){0} : bytes_of(value, table_spec(table)->value_bytes);
    if (table_restore(table, key, row, 1, bytes, &err) != OK)
        ck_abort_msg("%s", err.text);
}

static void put_number(struct table *table, uint64_t number, uint32_t row, const void *value) {
    uint8_t key[8];
    put_be64(key, number);
    put(table, bytes_of(key, 8), row, value);
}

static struct bytes item_key(uint32_t item, char text[24]) {
    return bytes_of(text, (size_t)snprintf(text, 24, "item-%.*u", (int)(item % 9) + 1, item));
}

/* Sixteen words that all follow from who and which. */
static void text_of(uint32_t item, uint32_t generation, uint32_t text[16]) {
    for (uint32_t i = 0; i < 16; i++)
        text[i] = item * 1000003u + generation * 31u + i;
}

static void move_money(struct world *w) {
    for (int i = 0; i < 6; i++) {
        uint32_t from = rng_below(&w->rng, ACCOUNTS), to = rng_below(&w->rng, ACCOUNTS);
        int64_t sum = rng_below(&w->rng, 100);
        w->money[from] -= sum;
        w->money[to] += sum;
        put_number(w->accounts, from, from, &w->money[from]);
        put_number(w->accounts, to, to, &w->money[to]);
    }
}

static void drop_item(struct world *w, uint32_t item) {
    char text[24];
    if (w->place[item] == NO_ROW)
        return;
    put(w->items, item_key(item, text), 0, NULL);
    w->taken[w->place[item]] = false;
    w->place[item] = NO_ROW;
}

static void put_item(struct world *w, uint32_t item) {
    char text[24];
    uint32_t words[16], place = rng_below(&w->rng, PLACES), one = 1;
    if (w->place[item] == NO_ROW) {
        if (w->taken[place])
            return;
        w->place[item] = place;
        w->taken[place] = true;
        put(w->items, item_key(item, text), place, &one);
    }
    text_of(item, ++w->generation[item], words);
    put(w->texts, item_key(item, text), w->place[item], words);
}

static void step(struct world *w, uint64_t number) {
    struct step_facts facts = {.epoch = number * 10};
    uint32_t bits[ITEMS];
    int64_t stamp = (int64_t)number;
    move_money(w);
    put_number(w->accounts, STAMP, STAMP, &stamp);
    for (uint32_t n = rng_below(&w->rng, 12); n > 0; n--) {
        uint32_t item = rng_below(&w->rng, ITEMS);
        if (rng_below(&w->rng, 3) == 0)
            drop_item(w, item);
        else
            put_item(w, item);
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        bits[i] = w->place[i] == NO_ROW ? 0 : w->generation[i];
    put_number(w->directory, 7, 2, bits);
    versions_publish(w->versions, &facts);
    if (facts.step != number)
        ck_abort_msg("step %llu", (unsigned long long)facts.step);
}

/* ---- what must hold of a view ---- */

/* Not ck_assert: that writes a line to a pipe each time, and is called a million times here, by several threads. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s does not hold", #condition);                                          \
    } while (0)

static bool check_accounts(const struct world *w, uint64_t step) {
    int64_t sum = 0, value;
    for (uint32_t i = 0; i <= ACCOUNTS; i++) {
        enum seen seen = versions_value(w->versions, step, w->accounts, i, &value);
        if (seen == SEEN_STALE)
            return false;
        value = seen == SEEN_LIVE ? value : 0;
        if (i == STAMP)
            must(value == (int64_t)step);
        else
            sum += value;
    }
    must(sum == 0);
    return true;
}

static bool check_item(const struct world *w, uint64_t step, uint32_t item, uint32_t generation) {
    char text[24];
    uint8_t key[64];
    uint32_t row, length, words[16], wanted[16];
    struct bytes bytes = item_key(item, text);
    enum seen seen = versions_find(w->versions, step, w->items, bytes, versions_hash(bytes), &row);
    if (seen == SEEN_STALE)
        return false;
    must(seen == (generation == 0 ? SEEN_ABSENT : SEEN_LIVE));
    if (generation == 0)
        return true;
    seen = versions_value(w->versions, step, w->texts, row, words);
    if (seen == SEEN_STALE)
        return false;
    must(seen == SEEN_LIVE);
    text_of(item, generation, wanted);
    must(memcmp(words, wanted, sizeof words) == 0);
    seen = versions_key(w->versions, step, w->texts, row, key, &length);
    if (seen == SEEN_STALE)
        return false;
    must(length == bytes.len && memcmp(key, bytes.data, length) == 0);
    return true;
}

/* True when the view lasted so long. */
static bool check_view(const struct world *w, uint64_t step) {
    uint32_t bits[ITEMS], row;
    uint8_t key[8];
    put_be64(key, 7);
    struct bytes bytes = bytes_of(key, 8);
    enum seen seen =
        versions_find(w->versions, step, w->directory, bytes, versions_hash(bytes), &row);
    if (seen == SEEN_STALE ||
        versions_value(w->versions, step, w->directory, row, bits) != SEEN_LIVE)
        return false;
    for (uint32_t i = 0; i < ITEMS; i++)
        if (!check_item(w, step, i, bits[i]))
            return false;
    return check_accounts(w, step);
}

START_TEST(every_step_in_memory_is_as_it_was) {
    struct world *w = world_create(seed_of((uint64_t)_i + 1), 1u << (12 + _i % 6));
    uint64_t lasted = 0;
    for (uint64_t number = 1; number <= STEPS / 5; number++) {
        step(w, number);
        for (uint64_t back = versions_oldest(w->versions); back <= number; back++, lasted++)
            ck_assert(check_view(w, back));
        ck_assert(versions_oldest(w->versions) == 1 ||
                  !check_view(w, versions_oldest(w->versions) - 1));
    }
    ck_assert_uint_ge(lasted, STEPS / 5);
    world_destroy(w);
}
END_TEST

START_TEST(a_step_that_does_not_fit_makes_the_older_ones_stale) {
    struct world *w = world_create(seed_of(5), 4096);
    uint32_t rows[8], found;
    int64_t money[8] = {0};
    step(w, 1);
    ck_assert_int_eq(versions_changes(w->versions, 1, w->texts, rows, 8, &found), SEEN_ABSENT);
    for (int i = 0; i < 40; i++) /* twice what the ring holds */
        for (uint32_t item = 0; item < ITEMS; item++)
            put_item(w, item);
    put_number(w->accounts, 0, 0, money);
    ck_assert_uint_gt(versions_oldest(w->versions), versions_newest(w->versions));
    w->money[0] = 0;
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        w->money[i] = 0;
        put_number(w->accounts, i, i, &w->money[i]);
    }
    step(w, 2);
    ck_assert(check_view(w, 2));
    ck_assert_int_eq(versions_changes(w->versions, 2, w->texts, rows, 8, &found), SEEN_ABSENT);
    world_destroy(w);
}
END_TEST

START_TEST(the_changes_of_a_step_are_known) {
    struct world *w = world_create(seed_of(6), 1u << 16);
    uint32_t rows[PLACES], found, words[16], place;
    char text[24];
    for (uint64_t number = 1; number < 20; number++)
        step(w, number);
    for (place = 0; w->taken[place]; place++)
        ;
    drop_item(w, 3);
    w->place[3] = place;
    w->taken[place] = true;
    put(w->items, item_key(3, text), place, &(uint32_t){1});
    text_of(3, ++w->generation[3], words);
    put(w->texts, item_key(3, text), place, words);
    versions_publish(w->versions, &(struct step_facts){.epoch = 200});
    ck_assert_int_eq(versions_changes(w->versions, 20, w->texts, rows, PLACES, &found), SEEN_LIVE);
    ck_assert_uint_ge(found, 1);
    bool has = false;
    for (uint32_t i = 0; i < found; i++)
        has = has || rows[i] == place;
    ck_assert(has);
    ck_assert_int_eq(versions_changes(w->versions, 20, w->accounts, rows, PLACES, &found),
                     SEEN_LIVE);
    ck_assert_uint_eq(found, 0);
    world_destroy(w);
}
END_TEST

/* ---- beside a writer ---- */

struct reader {
    pthread_t thread;
    const struct world *world;
    _Atomic bool *done;
    _Atomic uint64_t whole, stale;
};

static void *read_on(void *self) {
    struct reader *r = self;
    while (!*r->done) {
        uint64_t newest = versions_newest(r->world->versions);
        if (newest == 0)
            continue;
        uint64_t step = newest - (r->whole % 3 < newest ? r->whole % 3 : 0);
        if (check_view(r->world, step))
            r->whole++;
        else
            r->stale++;
    }
    return NULL;
}

START_TEST(readers_see_whole_steps_beside_the_writer) {
    struct world *w = world_create(seed_of((uint64_t)_i + 20), 1u << (13 + 2 * _i));
    _Atomic bool done = false;
    struct reader readers[3] = {0};
    for (int i = 0; i < 3; i++) {
        readers[i].world = w;
        readers[i].done = &done;
        pthread_create(&readers[i].thread, NULL, read_on, &readers[i]);
    }
    uint64_t whole = 0, number = 0;
    while (whole < VIEWS || number < STEPS) {
        step(w, ++number);
        whole = 0;
        for (int i = 0; i < 3; i++)
            whole += readers[i].whole;
    }
    whole = 0;
    done = true;
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i].thread, NULL);
        whole += readers[i].whole;
    }
    ck_assert(check_view(w, number));
    printf("%llu views beside %llu steps\n", (unsigned long long)whole, (unsigned long long)number);
    world_destroy(w);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("versions");
    TCase *tests = tcase_create("versions");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, every_step_in_memory_is_as_it_was, 0, 6);
    tcase_add_test(tests, a_step_that_does_not_fit_makes_the_older_ones_stale);
    tcase_add_test(tests, the_changes_of_a_step_are_known);
    tcase_add_loop_test(tests, readers_see_whole_steps_beside_the_writer, 0, 3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
