/* The table engine by example: each test is a sentence of the contract in model/table.h. The random
 * walk against a plain model is test_table_random.c. */
#include "model/table.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct tables *set;
static struct table *items, *child, *numbers, *dense;
static struct error err;

#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

static struct table *add(const char *name, enum key_kind kind, struct table *parent,
                         uint32_t rows_max) {
    struct table *table;
    struct table_spec spec = {.name = name,
                              .key_kind = kind,
                              .output = TO_DELTAS,
                              .parent = parent,
                              .key_bytes_max = kind == KEY_STRING ? 12 : 0,
                              .value_bytes = 8,
                              .rows_max = rows_max};
    DONE(tables_add(set, &spec, &table, &err));
    return table;
}

static void setup(void) {
    DONE(tables_create(&set, &err));
    items = add("items", KEY_STRING, NULL, 1000);
    child = add("child", KEY_CHILD, items, 1000);
    numbers = add("numbers", KEY_U64, NULL, 300);
    dense = add("dense", KEY_DENSE, NULL, 70);
}

static void teardown(void) {
    for (uint32_t i = 0; i < tables_count(set); i++)
        DONE(table_validate(tables_at(set, i), &err));
    tables_destroy(set);
}

static uint32_t insert(const char *key, uint32_t number) {
    uint32_t row;
    DONE(table_insert(items, bytes_text(key), &row, &err));
    memcpy(table_edit(items, row), &number, sizeof number);
    return row;
}

static uint32_t number_at(const struct table *table, uint32_t row) {
    uint32_t number;
    memcpy(&number, table_value(table, row), sizeof number);
    return number;
}

static void commit(void) {
    tables_seal(set);
    tables_commit(set);
}

START_TEST(new_rows_take_the_lowest_free_position) {
    ck_assert_uint_eq(insert("a", 1), 0);
    ck_assert_uint_eq(insert("b", 2), 1);
    ck_assert_uint_eq(insert("c", 3), 2);
    table_remove(items, 1);
    table_remove(items, 0);
    ck_assert_uint_eq(insert("d", 4), 0);
    ck_assert_uint_eq(insert("e", 5), 1);
    ck_assert_uint_eq(insert("f", 6), 3);
    ck_assert_uint_eq(table_find(items, bytes_text("e")), 1);
    ck_assert_uint_eq(table_find(items, bytes_text("a")), NO_ROW);
    ck_assert_uint_eq(table_rows(items), 4);
    ck_assert_uint_eq(table_end(items), 4);
    commit();
}
END_TEST

START_TEST(a_new_row_is_zero_even_where_an_old_one_was) {
    insert("a", 77);
    commit();
    table_remove(items, 0);
    uint32_t row;
    DONE(table_insert(items, bytes_text("b"), &row, &err));
    ck_assert_uint_eq(row, 0);
    ck_assert_uint_eq(number_at(items, 0), 0);
    commit();
}
END_TEST

START_TEST(versions_count_the_epochs_that_changed_a_row) {
    insert("a", 1);
    ck_assert_uint_eq(table_version(items, 0), 0);
    commit();
    ck_assert_uint_eq(table_version(items, 0), 1);
    insert("b", 1);
    commit();
    table_edit(items, 0);
    table_edit(items, 0);
    commit();
    ck_assert_uint_eq(table_version(items, 0), 2);
    ck_assert_uint_eq(table_version(items, 1), 1);
}
END_TEST

START_TEST(a_key_that_moves_keeps_its_version_and_has_no_tombstone) {
    insert("a", 1), insert("b", 2);
    commit();
    table_edit(items, 0), table_edit(items, 1);
    commit();
    table_remove(items, 0), table_remove(items, 1);
    ck_assert_uint_eq(insert("b", 3), 0); /* a and b change places; c is new */
    ck_assert_uint_eq(insert("a", 4), 1);
    ck_assert_uint_eq(insert("c", 5), 2);
    tables_seal(set);
    ck_assert_uint_eq(table_version(items, 0), 3);
    ck_assert_uint_eq(table_version(items, 1), 3);
    ck_assert_uint_eq(table_version(items, 2), 1);
    ck_assert_uint_eq(table_dirty_count(items), 3);
    ck_assert_uint_eq(table_removed_count(items), 0);
    tables_commit(set);
    table_remove(items, 1), table_remove(items, 0);
    insert("a", 6); /* moves down: its old place is nobody's, and nothing is due for it */
    tables_seal(set);
    ck_assert_uint_eq(table_dirty_count(items), 1);
    ck_assert_uint_eq(table_dirty_at(items, 0), 0);
    ck_assert_uint_eq(table_removed_count(items), 1); /* b, whose place a took */
    uint8_t scratch[8];
    ck_assert(bytes_equal(table_removed_key(items, 0, scratch), bytes_text("b")));
    tables_commit(set);
}
END_TEST

START_TEST(dirty_rows_come_in_order_of_position) {
    char key[12];
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "item%d", i);
        insert(key, 0);
    }
    commit();
    table_edit(items, 499), table_edit(items, 3), table_remove(items, 200), table_edit(items, 64);
    insert("new", 1);        /* takes 200 */
    table_remove(items, 63); /* stays free */
    uint32_t brief = insert("brief", 1);
    ck_assert_uint_eq(brief, 63);
    table_remove(items, brief); /* in and out: only the old owner's tombstone is left */
    tables_seal(set);
    static const uint32_t expected[] = {3, 63, 64, 200, 499};
    ck_assert_uint_eq(table_dirty_count(items), 5);
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_uint_eq(table_dirty_at(items, i), expected[i]);
    uint8_t scratch[8];
    ck_assert(!table_live(items, 63));
    ck_assert(bytes_equal(table_key(items, 63, scratch), bytes_text("item63")));
    ck_assert_uint_eq(table_removed_count(items), 1);
    ck_assert(bytes_equal(table_removed_key(items, 0, scratch), bytes_text("item200")));
    tables_commit(set);
}
END_TEST

START_TEST(a_row_inserted_and_removed_in_one_epoch_is_not_dirty) {
    insert("a", 1);
    table_remove(items, 0);
    tables_seal(set);
    ck_assert_uint_eq(table_dirty_count(items), 0);
    ck_assert_uint_eq(table_removed_count(items), 0);
    tables_commit(set);
    ck_assert_uint_eq(table_end(items), 0);
}
END_TEST

START_TEST(rollback_restores_rows_positions_digest_and_versions) {
    insert("a", 1), insert("b", 2), insert("c", 3);
    commit();
    struct digest before = tables_digest(set);
    for (int sealed = 0; sealed < 2; sealed++) {
        memset(table_edit(items, 2), 0xFF, 8);
        table_remove(items, 0);
        table_remove(items, 1);
        insert("b", 9), insert("x", 10), insert("y", 11);
        if (sealed)
            tables_seal(set);
        tables_rollback(set);
        ck_assert(digest_equal(tables_digest(set), before));
        ck_assert_uint_eq(table_rows(items), 3);
        ck_assert_uint_eq(table_end(items), 3);
        ck_assert_uint_eq(table_find(items, bytes_text("a")), 0);
        ck_assert_uint_eq(table_find(items, bytes_text("x")), NO_ROW);
        ck_assert_uint_eq(number_at(items, 1), 2);
        ck_assert_uint_eq(number_at(items, 2), 3);
        ck_assert_uint_eq(table_version(items, 2), 1);
        DONE(table_validate(items, &err));
    }
}
END_TEST

START_TEST(children_share_key_and_position) {
    insert("a", 1), insert("b", 2);
    DONE(table_insert_child(child, 1, &err));
    ck_assert(!table_live(child, 0) && table_live(child, 1));
    uint8_t scratch[8];
    ck_assert(bytes_equal(table_key(child, 1, scratch), bytes_text("b")));
    commit();
    table_remove(child, 1);
    table_remove(items, 1);
    insert("c", 3);
    tables_seal(set); /* the position is c's now: the child's tombstone goes by key */
    ck_assert_uint_eq(table_dirty_count(child), 0);
    ck_assert_uint_eq(table_removed_count(child), 1);
    ck_assert(bytes_equal(table_removed_key(child, 0, scratch), bytes_text("b")));
    tables_commit(set);
    DONE(table_insert_child(child, 1, &err));
    commit();
    table_remove(child, 1), table_remove(items, 1);
    tables_seal(set); /* nobody's: both by position */
    ck_assert_uint_eq(table_dirty_count(child), 1);
    ck_assert(bytes_equal(table_key(child, 1, scratch), bytes_text("c")));
    ck_assert_uint_eq(table_dirty_count(items), 1);
    tables_commit(set);
}
END_TEST

START_TEST(integer_keys_are_published_big_endian) {
    uint32_t row;
    DONE(table_insert_u64(numbers, UINT64_C(0x0102030405060708), &row, &err));
    DONE(table_insert_u64(dense, 69, &row, &err));
    ck_assert_uint_eq(row, 69);
    uint8_t scratch[8];
    ck_assert_mem_eq(table_key(numbers, 0, scratch).data, "\1\2\3\4\5\6\7\10", 8);
    ck_assert_mem_eq(table_key(dense, 69, scratch).data, "\0\0\0\0\0\0\0E", 8);
    ck_assert_uint_eq(table_find(numbers, bytes_of("\1\2\3\4\5\6\7\10", 8)), 0);
    ck_assert_uint_eq(table_find_u64(numbers, UINT64_C(0x0102030405060708)), 0);
    ck_assert_uint_eq(table_find_u64(dense, 68), NO_ROW);
    ck_assert_uint_eq(table_find_u64(dense, 69), 69);
    ck_assert_uint_eq(table_find_u64(dense, UINT64_C(1) << 32), NO_ROW);
    ck_assert_uint_eq(table_key_u64(dense, 69), 69);
    commit();
}
END_TEST

START_TEST(a_full_table_names_itself_and_its_limit) {
    uint32_t row;
    for (uint64_t i = 0; i < 300; i++)
        DONE(table_insert_u64(numbers, i << 40, &row, &err));
    ck_assert_int_eq(table_insert_u64(numbers, 1, &row, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "numbers"));
    ck_assert_ptr_nonnull(strstr(err.text, "300"));
    ck_assert_int_eq(table_insert_u64(dense, 70, &row, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    for (uint64_t i = 0; i < 300; i++)
        ck_assert_uint_eq(table_find_u64(numbers, i << 40), (uint32_t)i);
    commit();
    table_remove(numbers, 299);
    DONE(table_insert_u64(numbers, 1, &row, &err));
    ck_assert_uint_eq(row, 299);
    commit();
}
END_TEST

START_TEST(keys_that_do_not_fit_are_bad_records) {
    uint32_t row;
    ck_assert_int_eq(table_insert(items, bytes_text("13 characters"), &row, &err), BAD_RECORD);
    ck_assert_int_eq(table_insert(items, bytes_text(""), &row, &err), BAD_RECORD);
    ck_assert_int_eq(table_insert(numbers, bytes_text("seven b"), &row, &err), BAD_RECORD);
    ck_assert_uint_eq(table_find(items, bytes_text("13 characters")), NO_ROW);
    ck_assert_uint_eq(table_find(items, bytes_of(NULL, 0)), NO_ROW);
    DONE(table_insert(items, bytes_text("12 letters!!"), &row, &err));
    DONE(table_insert(items, bytes_of("\0", 1), &row, &err));
    ck_assert_uint_eq(table_find(items, bytes_of("\0", 1)), 1);
    commit();
}
END_TEST

START_TEST(the_digest_does_not_depend_on_the_order_of_events) {
    insert("a", 1), insert("b", 2);
    commit();
    struct digest first = tables_digest(set);
    table_remove(items, 0), table_remove(items, 1);
    commit();
    struct digest empty = table_digest(items);
    ck_assert(digest_equal(empty, (struct digest){0, 0}));
    insert("x", 9);
    commit();
    insert("b", 2); /* at position 1, as before */
    commit();
    table_remove(items, 0);
    commit();
    insert("a", 1);
    commit();
    ck_assert(digest_equal(tables_digest(set), first));
    table_edit(items, 0); /* the version counts, not only the value */
    commit();
    ck_assert(!digest_equal(tables_digest(set), first));
}
END_TEST

static enum status restore(struct table *table, const char *key, uint32_t position,
                           uint64_t version, const char *value) {
    struct bytes bytes = value == NULL ? bytes_of(NULL, 0) : bytes_text(value);
    return table_restore(table, bytes_text(key), position, version, bytes, &err);
}

START_TEST(restoring_gives_the_digest_of_the_original) {
    insert("a", 1), insert("b", 2), insert("c", 3);
    DONE(table_insert_child(child, 2, &err));
    commit();
    table_edit(items, 2);
    table_remove(items, 1);
    commit();
    struct digest original = tables_digest(set);
    struct tables *first = set;
    struct table *from = items, *from_child = child;
    setup();
    for (uint32_t pass = 0; pass < 2; pass++) { /* twice: restoring is idempotent */
        uint8_t scratch[8];
        for (uint32_t row = 0; row < table_end(from); row++)
            if (table_live(from, row))
                DONE(table_restore(items, table_key(from, row, scratch), row,
                                   table_version(from, row), bytes_of(table_value(from, row), 8),
                                   &err));
        DONE(table_restore(child, table_key(from_child, 2, scratch), 2, 1,
                           bytes_of(table_value(from_child, 2), 8), &err));
        ck_assert(digest_equal(tables_digest(set), original));
        DONE(table_validate(items, &err));
    }
    tables_destroy(first);
}
END_TEST

START_TEST(a_restored_row_moves_and_takes_the_place_of_others) {
    DONE(restore(items, "a", 0, 1, "valueofa"));
    DONE(restore(items, "b", 1, 1, "valueofb"));
    DONE(restore(child, "a", 0, 1, "childofa"));
    DONE(restore(items, "b", 0, 2, "value2b!")); /* a goes, and its child with it */
    ck_assert_uint_eq(table_find(items, bytes_text("b")), 0);
    ck_assert_uint_eq(table_find(items, bytes_text("a")), NO_ROW);
    ck_assert_uint_eq(table_rows(child), 0);
    DONE(restore(items, "a", 1, 2, "value2a!")); /* its own record says where it is now */
    DONE(restore(child, "a", 1, 2, "child2a!"));
    DONE(restore(items, "a", 1, 0, NULL)); /* a tombstone takes children along, in any order */
    DONE(restore(items, "a", 1, 0, NULL));
    DONE(restore(child, "a", 1, 0, NULL));
    ck_assert_uint_eq(table_rows(child), 0);
    ck_assert_uint_eq(table_rows(items), 1);
    ck_assert_uint_eq(table_version(items, 0), 2);
}
END_TEST

START_TEST(what_cannot_be_restored_is_a_bad_record) {
    DONE(restore(items, "a", 4, 1, "12345678"));
    struct digest before = tables_digest(set);
    ck_assert_int_eq(restore(items, "b", 0, 1, "1234567"), BAD_RECORD);
    ck_assert_int_eq(restore(items, "b", 1000, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(items, "b", 0, 0, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(items, "", 0, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(items, "13 characters", 0, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(child, "b", 0, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(child, "a", 0, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(restore(dense, "eightbyt", 0, 1, "12345678"), BAD_RECORD);
    ck_assert_int_eq(
        table_restore(dense, bytes_of("\0\0\0\0\0\0\0\1", 8), 0, 1, bytes_text("12345678"), &err),
        BAD_RECORD);
    ck_assert(digest_equal(tables_digest(set), before));
}
END_TEST

START_TEST(two_tables_of_one_name_are_refused) {
    struct table *table;
    struct table_spec spec = *table_spec(numbers);
    ck_assert_int_eq(tables_add(set, &spec, &table, &err), FATAL);
    ck_assert_ptr_eq(tables_named(set, bytes_text("numbers")), numbers);
    ck_assert_ptr_null(tables_named(set, bytes_text("number")));
    ck_assert_uint_eq(tables_count(set), 4);
}
END_TEST

START_TEST(the_lowest_free_position_is_found_behind_thousands) {
    struct table *large = add("large", KEY_U64, NULL, 20000);
    uint32_t row;
    for (uint64_t i = 0; i < 20000; i++)
        DONE(table_insert_u64(large, i, &row, &err));
    static const uint32_t holes[] = {19999, 4096, 4095, 17, 12000};
    for (int i = 0; i < 5; i++)
        table_remove(large, holes[i]);
    static const uint32_t expected[] = {17, 4095, 4096, 12000, 19999};
    for (uint32_t i = 0; i < 5; i++) {
        DONE(table_insert_u64(large, 20000 + i, &row, &err));
        ck_assert_uint_eq(row, expected[i]);
    }
    tables_rollback(set);
    ck_assert_uint_eq(table_end(large), 0);
    DONE(table_insert_u64(large, 1, &row, &err));
    ck_assert_uint_eq(row, 0);
    commit();
}
END_TEST

START_TEST(a_large_limit_costs_no_memory) {
    struct table *large = add("large", KEY_U64, NULL, 4000000);
    uint32_t row;
    for (uint64_t i = 0; i < 5000; i++)
        DONE(table_insert_u64(large, i * i, &row, &err));
    commit();
    ck_assert_uint_le(table_memory(large), 1 << 20);
}
END_TEST

/* Each must stop the process: a caller that does this has lost its bearings. */
static void misuse(int which) {
    insert("a", 1);
    DONE(table_insert_child(child, 0, &err));
    uint32_t row;
    switch (which) {
    case 0:
        table_edit(items, 1);
        break;
    case 1:
        table_remove(items, 1);
        break;
    case 2:
        table_remove(items, 0);
        break; /* its child lives */
    case 3:
        (void)table_insert(items, bytes_text("a"), &row, &err);
        break;
    case 4:
        (void)table_insert_child(child, 1, &err);
        break;
    case 5:
        (void)table_insert_child(child, 0, &err);
        break;
    case 6:
        (void)table_insert(child, bytes_text("a"), &row, &err);
        break;
    case 7:
        (void)table_find(child, bytes_text("a"));
        break;
    case 8:
        (void)table_value(items, 1);
        break;
    case 9:
        (void)restore(items, "b", 1, 1, "12345678");
        break;
    case 10:
        tables_commit(set);
        break;
    case 11:
        tables_seal(set), table_edit(items, 0);
        break;
    case 12:
        tables_seal(set), tables_seal(set);
        break;
    case 13:
        (void)table_dirty_count(items);
        break;
    default:
        break;
    }
}
START_TEST(misuse_aborts) {
    misuse(_i);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("table");
    TCase *rows = tcase_create("rows");
    tcase_add_checked_fixture(rows, setup, teardown);
    tcase_add_test(rows, new_rows_take_the_lowest_free_position);
    tcase_add_test(rows, a_new_row_is_zero_even_where_an_old_one_was);
    tcase_add_test(rows, versions_count_the_epochs_that_changed_a_row);
    tcase_add_test(rows, a_key_that_moves_keeps_its_version_and_has_no_tombstone);
    tcase_add_test(rows, dirty_rows_come_in_order_of_position);
    tcase_add_test(rows, a_row_inserted_and_removed_in_one_epoch_is_not_dirty);
    tcase_add_test(rows, rollback_restores_rows_positions_digest_and_versions);
    tcase_add_test(rows, children_share_key_and_position);
    tcase_add_test(rows, integer_keys_are_published_big_endian);
    tcase_add_test(rows, a_full_table_names_itself_and_its_limit);
    tcase_add_test(rows, keys_that_do_not_fit_are_bad_records);
    tcase_add_test(rows, the_digest_does_not_depend_on_the_order_of_events);
    tcase_add_test(rows, restoring_gives_the_digest_of_the_original);
    tcase_add_test(rows, a_restored_row_moves_and_takes_the_place_of_others);
    tcase_add_test(rows, what_cannot_be_restored_is_a_bad_record);
    tcase_add_test(rows, two_tables_of_one_name_are_refused);
    tcase_add_test(rows, the_lowest_free_position_is_found_behind_thousands);
    tcase_add_test(rows, a_large_limit_costs_no_memory);
    suite_add_tcase(suite, rows);
    SRunner *runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_FORK) {
        TCase *aborts = tcase_create("misuse");
        tcase_add_checked_fixture(aborts, setup, teardown);
        tcase_add_loop_test_raise_signal(aborts, misuse_aborts, SIGABRT, 0, 14);
        suite_add_tcase(suite, aborts);
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
