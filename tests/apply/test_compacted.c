/* A random life of items, their children and numbered rows is published to partitions, compacted at random as a broker would,
 * read in random order between partitions, and folded: the tables must be equal, row for row. */
#include "apply/compacted.h"
#include "base/rng.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 3
#define RECORDS_MAX 60000
#define ITEMS_MAX 40

struct logged {
    uint32_t table;
    uint8_t key[16];
    uint32_t key_len, position;
    uint64_t version, epoch;
    uint8_t value[8];
    bool tombstone, kept;
};
struct log {
    struct logged *records[PARTITIONS];
    uint32_t count[PARTITIONS];
};

static struct tables *new_set(void) {
    struct tables *set;
    struct table *items, *child;
    struct error err;
    ck_assert_int_eq(tables_create(&set, &err), OK);
    struct table_spec item = {"items", KEY_STRING, TO_CHANGELOG, NULL, 12, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &item, &items, &err), OK);
    struct table_spec first = {"first", KEY_CHILD, TO_DELTAS, items, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &first, &child, &err), OK);
    struct table_spec second = {"second", KEY_CHILD, TO_CHANGELOG, items, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &second, &child, &err), OK);
    struct table_spec numbered = {"numbered", KEY_U64, TO_CHANGELOG, NULL, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &numbered, &child, &err), OK);
    return set;
}

static void touch(struct table *table, uint32_t row, struct rng *rng) {
    uint64_t value = rng_u64(rng);
    memcpy(table_edit(table, row), &value, sizeof value);
}

static void remove_item(struct tables *set, uint32_t row) {
    for (uint32_t t = 1; t <= 2; t++)
        if (table_live(tables_at(set, t), row))
            table_remove(tables_at(set, t), row);
    table_remove(tables_at(set, 0), row);
}

static void item_step(struct tables *set, struct rng *rng) {
    char key[16];
    struct error err;
    snprintf(key, sizeof key, "item%u", rng_below(rng, 60));
    struct table *items = tables_at(set, 0), *child = tables_at(set, 1 + rng_below(rng, 2));
    uint32_t row = table_find(items, bytes_text(key));
    if (row == NO_ROW) {
        if (table_rows(items) < ITEMS_MAX) {
            ck_assert_int_eq(table_insert(items, bytes_text(key), &row, &err), OK);
            touch(items, row, rng);
        }
        return;
    }
    if (rng_below(rng, 4) == 0) {
        remove_item(set, row);
        return;
    }
    if (!table_live(child, row))
        ck_assert_int_eq(table_insert_child(child, row, &err), OK);
    touch(rng_below(rng, 2) ? child : items, row, rng);
}

static void numbered_step(struct tables *set, struct rng *rng) {
    struct table *numbered = tables_at(set, 3);
    uint64_t key = rng_below(rng, 60);
    uint32_t row = table_find_u64(numbered, key);
    struct error err;
    if (row != NO_ROW && rng_below(rng, 2)) {
        table_remove(numbered, row);
    } else {
        if (row == NO_ROW && table_rows(numbered) < ITEMS_MAX)
            ck_assert_int_eq(table_insert_u64(numbered, key, &row, &err), OK);
        if (row != NO_ROW)
            touch(numbered, row, rng);
    }
}

static void append(struct log *log, const struct tables *set, uint32_t t, struct bytes key,
                   uint32_t position, uint64_t epoch) {
    const struct table *table = tables_at(set, t);
    uint64_t hash = hash64(key.data, key.len, t);
    uint32_t partition = (uint32_t)(hash % PARTITIONS);
    struct logged *out = &log->records[partition][log->count[partition]++];
    ck_assert_uint_lt(log->count[partition], RECORDS_MAX);
    *out = (struct logged){.table = t,
                           .key_len = (uint32_t)key.len,
                           .position = position,
                           .epoch = epoch,
                           .kept = true,
                           .tombstone = position == NO_ROW};
    memcpy(out->key, key.data, key.len);
    if (!out->tombstone) {
        out->version = table_version(table, position);
        memcpy(out->value, table_value(table, position), sizeof out->value);
    }
}

static void publish(struct log *log, struct tables *set, uint64_t epoch) {
    uint8_t scratch[8];
    tables_seal(set);
    for (uint32_t t = 4; t-- > 0;) {
        const struct table *table = tables_at(set, t);
        for (uint32_t i = 0; i < table_removed_count(table); i++)
            append(log, set, t, table_removed_key(table, i, scratch), NO_ROW, epoch);
        for (uint32_t i = 0; i < table_dirty_count(table); i++)
            if (!table_live(table, table_dirty_at(table, i)))
                append(log, set, t, table_key(table, table_dirty_at(table, i), scratch), NO_ROW,
                       epoch);
    }
    for (uint32_t t = 0; t < 4; t++) {
        const struct table *table = tables_at(set, t);
        for (uint32_t i = 0; i < table_dirty_count(table); i++)
            if (table_live(table, table_dirty_at(table, i)))
                append(log, set, t, table_key(table, table_dirty_at(table, i), scratch),
                       table_dirty_at(table, i), epoch);
    }
    tables_commit(set);
}

/* What a broker may have dropped: records with a later one of the same key, and tombstones with nothing after them, from the front. */
static void compact(struct log *log, struct rng *rng) {
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        uint32_t cleaned = rng_below(rng, log->count[p] + 1);
        for (uint32_t i = 0; i < cleaned; i++) {
            struct logged *record = &log->records[p][i];
            bool superseded = false;
            for (uint32_t j = i + 1; j < cleaned && !superseded; j++)
                superseded = log->records[p][j].table == record->table &&
                             log->records[p][j].key_len == record->key_len &&
                             memcmp(log->records[p][j].key, record->key, record->key_len) == 0;
            record->kept = !superseded && !(record->tombstone && rng_below(rng, 2));
        }
    }
}

static void fold_pass(struct compacted *compacted, struct tables *set, const struct log *log,
                      enum compacted_pass pass, struct rng *rng) {
    uint32_t next[PARTITIONS] = {0}, left = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        left += log->count[p];
    while (left > 0) {
        uint32_t p = rng_below(rng, PARTITIONS);
        if (next[p] == log->count[p])
            continue;
        const struct logged *record = &log->records[p][next[p]++];
        left--;
        if (!record->kept)
            continue;
        struct folded_row row = {.table = tables_at(set, record->table),
                                 .key = bytes_of(record->key, record->key_len),
                                 .position = record->tombstone ? 0 : record->position,
                                 .version = record->version};
        if (!record->tombstone)
            row.value = bytes_of(record->value, sizeof record->value);
        struct error err = {0};
        bool folded;
        enum status status = compacted_fold(compacted, pass, &row, record->epoch, &folded, &err);
        ck_assert_msg(status == OK, "%s", err.text);
    }
}

START_TEST(folds_to_the_same_tables) {
    const char *given = getenv("COLDSTREAM_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)_i + 1;
    struct rng rng = rng_stream(seed, RNG_TEST, 77, 0);
    struct log log = {0};
    struct error err = {0};
    struct tables *set = new_set(), *copy = new_set();
    for (uint32_t p = 0; p < PARTITIONS; p++)
        log.records[p] = calloc(RECORDS_MAX, sizeof *log.records[p]);
    for (uint64_t epoch = 1; epoch <= 60; epoch++) {
        for (uint32_t step = rng_below(&rng, 40); step > 0; step--)
            rng_below(&rng, 3) ? item_step(set, &rng) : numbered_step(set, &rng);
        publish(&log, set, epoch);
    }
    compact(&log, &rng);
    struct arena arena;
    struct compacted *compacted;
    ck_assert_int_eq(arena_reserve(&arena, "test", 1 << 20, &err), OK);
    ck_assert_int_eq(compacted_create(&compacted, copy, &arena, &err), OK);
    fold_pass(compacted, copy, &log, PASS_PARENTS, &rng);
    fold_pass(compacted, copy, &log, PASS_CHILDREN, &rng);
    for (uint32_t t = 0; t < 4; t++) {
        ck_assert_int_eq(table_validate(tables_at(copy, t), &err), OK);
        ck_assert_msg(
            digest_equal(table_digest(tables_at(set, t)), table_digest(tables_at(copy, t))),
            "table %s differs; rerun: COLDSTREAM_SEED=%llu test_compacted",
            table_spec(tables_at(set, t))->name, (unsigned long long)seed);
    }
    for (uint32_t p = 0; p < PARTITIONS; p++)
        free(log.records[p]);
    arena_release(&arena);
    tables_destroy(set);
    tables_destroy(copy);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("compacted");
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, folds_to_the_same_tables, 0, 100);
    tcase_set_timeout(random, 60);
    suite_add_tcase(suite, random);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
