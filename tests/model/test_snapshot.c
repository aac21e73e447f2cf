/* Snapshots: what is written is read back to the digest; what is damaged anywhere leaves the tables
 * empty. */
#include "base/file.h"
#include "base/rng.h"
#include "model/snapshot_private.h"
#include "table_twin.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_MAX 200u
#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

static struct error err;
static struct twin *twin;
static struct rng rng;
static struct arena arena;
static char path[FILE_PATH_BYTES];

static uint32_t draw(void *context, uint32_t bound) {
    return rng_below(context, bound);
}

static void setup(void) {
    const char *build = getenv("COLDSTREAM_BUILD");
    snprintf(path, sizeof path, "%s/test_snapshot.%ld", build != NULL ? build : ".",
             (long)getpid());
    DONE(arena_reserve(&arena, "test", 64 << 20, &err));
    rng = rng_stream(1, RNG_TEST, 0, 0);
    twin = twin_create(ROWS_MAX, (struct chooser){draw, &rng});
    for (int epoch = 0; epoch < 20; epoch++) {
        for (int step = 0; step < 100; step++)
            twin_step(twin);
        twin_end_epoch(twin);
    }
}

static void teardown(void) {
    unlink(path);
    twin_destroy(twin);
    arena_release(&arena);
}

/* The snapshot of the twin, as bytes in the arena. */
static struct bytes encoded(struct bytes note) {
    struct bytes file;
    DONE(snapshot_write(path, twin_tables(twin), note, &err));
    DONE(file_load(path, &arena, 32 << 20, &file, &err));
    return file;
}

static void check_empty(const struct tables *set) {
    for (uint32_t i = 0; i < tables_count(set); i++) {
        const struct table *table = tables_at(set, i);
        ck_assert_uint_eq(table_rows(table), 0);
        ck_assert(digest_equal(table_digest(table), (struct digest){0, 0}));
        DONE(table_validate(table, &err));
    }
}

START_TEST(what_was_written_is_read) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes note;
    DONE(snapshot_write(path, twin_tables(twin), bytes_text("epoch 7"), &err));
    DONE(snapshot_read(path, set, &arena, &note, &err));
    ck_assert(bytes_equal(note, bytes_text("epoch 7")));
    twin_compare(twin, set, "snapshot");
    tables_destroy(set);
}
END_TEST

START_TEST(memory_and_file_give_the_same) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes file = encoded(bytes_of("", 0)), note;
    DONE(snapshot_decode(file, set, &note, &err));
    ck_assert_uint_eq(note.len, 0);
    twin_compare(twin, set, "snapshot");
    tables_destroy(set);
}
END_TEST

START_TEST(an_empty_set_and_the_largest_note) {
    struct tables *from = twin_tables_new(ROWS_MAX), *to = twin_tables_new(ROWS_MAX);
    static uint8_t large[1 << 20] = {1, 2, 3};
    struct bytes note;
    DONE(snapshot_write(path, from, bytes_of(large, sizeof large), &err));
    DONE(snapshot_read(path, to, &arena, &note, &err));
    ck_assert(bytes_equal(note, bytes_of(large, sizeof large)));
    check_empty(to);
    tables_destroy(from);
    tables_destroy(to);
}
END_TEST

START_TEST(two_snapshots_of_one_state_are_equal_bytes) {
    struct bytes first = encoded(bytes_text("note")), second = encoded(bytes_text("note"));
    ck_assert(bytes_equal(first, second));
}
END_TEST

/* Rows of more than one block, and a row larger than a block's usual size. */
START_TEST(many_and_large_rows) {
    struct tables *set[2];
    struct table *small, *large;
    struct bytes note;
    uint32_t row;
    for (int i = 0; i < 2; i++) {
        DONE(tables_create(&set[i], &err));
        struct table_spec spec = {"small", KEY_U64, TO_DELTAS, NULL, 0, 100, 20000};
        DONE(tables_add(set[i], &spec, &small, &err));
        spec = (struct table_spec){"large", KEY_DENSE, TO_DELTAS, NULL, 0, 1 << 20, 3};
        DONE(tables_add(set[i], &spec, &large, &err));
        if (i == 1)
            break;
        for (uint64_t key = 0; key < 20000; key++)
            DONE(table_insert_u64(small, key * key, &row, &err));
        DONE(table_insert_u64(large, 0, &row, &err));
        DONE(table_insert_u64(large, 2, &row, &err));
        memset(table_edit(large, 2), 0xAB, 1 << 20);
        tables_seal(set[0]);
        tables_commit(set[0]);
    }
    DONE(snapshot_write(path, set[0], bytes_text("note"), &err));
    DONE(snapshot_read(path, set[1], &arena, &note, &err));
    ck_assert(digest_equal(tables_digest(set[0]), tables_digest(set[1])));
    DONE(table_validate(small, &err));
    DONE(table_validate(large, &err));
    tables_destroy(set[0]);
    tables_destroy(set[1]);
}
END_TEST

START_TEST(every_truncation_is_damage) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes file = encoded(bytes_text("note")), note;
    for (size_t len = 0; len < file.len; len += len < 300 ? 1 : 97) {
        uint8_t *cut = arena_copy(&arena, file.data, len);
        ck_assert_int_eq(snapshot_decode(bytes_of(cut, len), set, &note, &err), BAD_RECORD);
        arena_rewind(&arena, arena_mark(&arena) - (len + 63) / 64 * 64);
        check_empty(set);
    }
    tables_destroy(set);
}
END_TEST

START_TEST(every_flipped_bit_is_damage) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes file = encoded(bytes_text("note")), note;
    uint8_t *copy = arena_copy(&arena, file.data, file.len);
    for (size_t at = 0; at < file.len; at += at < 300 ? 1 : 61) {
        copy[at] ^= (uint8_t)(1 << at % 8);
        ck_assert_msg(snapshot_decode(bytes_of(copy, file.len), set, &note, &err) == BAD_RECORD,
                      "byte %zu", at);
        check_empty(set);
        copy[at] ^= (uint8_t)(1 << at % 8);
    }
    DONE(snapshot_decode(bytes_of(copy, file.len), set, &note, &err));
    tables_destroy(set);
}
END_TEST

START_TEST(damage_on_disk_names_the_file_and_the_remedy) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes file = encoded(bytes_text("note")), note;
    ((uint8_t *)(uintptr_t)file.data)[file.len / 2] ^= 4;
    DONE(file_save(path, file, &err));
    size_t mark = arena_mark(&arena);
    ck_assert_int_eq(snapshot_read(path, set, &arena, &note, &err), BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_ptr_nonnull(strstr(err.text, "delete it"));
    ck_assert_uint_eq(arena_mark(&arena), mark);
    check_empty(set);
    tables_destroy(set);
}
END_TEST

START_TEST(absent_is_retry_and_unreadable_is_fatal) {
    struct tables *set = twin_tables_new(ROWS_MAX);
    struct bytes note;
    ck_assert_int_eq(snapshot_read(path, set, &arena, &note, &err), RETRY);
    const char *build = getenv("COLDSTREAM_BUILD");
    ck_assert_int_eq(snapshot_read(build != NULL ? build : ".", set, &arena, &note, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_NOINPUT);
    tables_destroy(set);
}
END_TEST

START_TEST(other_tables_and_sizes_are_refused) {
    struct bytes file = encoded(bytes_text("note")), note;
    struct tables *lower = twin_tables_new(2); /* positions do not fit */
    ck_assert_int_eq(snapshot_decode(file, lower, &note, &err), BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(err.text, "limit"));
    check_empty(lower);
    tables_destroy(lower);
    struct tables *higher = twin_tables_new(ROWS_MAX * 2); /* a limit may be raised */
    DONE(snapshot_decode(file, higher, &note, &err));
    tables_destroy(higher);
    struct tables *other;
    struct table *table;
    DONE(tables_create(&other, &err));
    ck_assert_int_eq(snapshot_decode(file, other, &note, &err), BAD_RECORD);
    for (uint32_t i = 0; i < tables_count(twin_tables(twin)); i++) {
        struct table_spec spec = *table_spec(tables_at(twin_tables(twin), i));
        if (spec.parent != NULL)
            spec.parent = tables_named(other, bytes_text(table_spec(spec.parent)->name));
        if (i == 5)
            spec.value_bytes += 4;
        DONE(tables_add(other, &spec, &table, &err));
    }
    ck_assert_int_eq(snapshot_decode(file, other, &note, &err), BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(err.text, "dense"));
    check_empty(other);
    tables_destroy(other);
}
END_TEST

/* ---- files with right digests and wrong content ---- */

struct crafted {
    uint8_t bytes[4096];
    size_t len;
    struct digest before;
};

static void add_block(struct crafted *file, uint32_t kind, const void *payload, size_t len) {
    uint32_t len32 = (uint32_t)len;
    uint8_t *block = file->bytes + file->len;
    memcpy(block, &kind, 4);
    memcpy(block + 4, &len32, 4);
    memcpy(block + 8, payload, len);
    file->before = block_digest(bytes_of(block, 8 + len), file->before);
    memcpy(block + 8 + len, &file->before, 16);
    file->len += 8 + len + 16;
}

static void add_head(struct crafted *file, uint32_t format) {
    uint8_t head[16] = "coldsnap";
    uint32_t tables = 2;
    memcpy(head + 8, &format, 4);
    memcpy(head + 12, &tables, 4);
    add_block(file, BLOCK_HEAD, head, sizeof head);
}

static void add_table_block(struct crafted *file, const char *name, uint32_t kind, uint32_t rows,
                            struct digest digest) {
    uint8_t table[TABLE_BYTES] = {0};
    uint32_t numbers[3] = {kind, 4, rows};
    memcpy(table, name, strlen(name));
    memcpy(table + 32, numbers, 12);
    memcpy(table + 44, &digest, 16);
    add_block(file, BLOCK_TABLE, table, sizeof table);
}

/* A row of 4 bytes, with a key of key_len bytes. */
static size_t put_row(uint8_t *out, uint32_t position, uint32_t key_len) {
    uint64_t version = 1;
    memcpy(out, &position, 4);
    memcpy(out + 4, &key_len, 4);
    memcpy(out + 8, &version, 8);
    memset(out + 16, 'k', key_len + 4);
    return 16 + key_len + 4;
}

static struct tables *two_tables(void) {
    struct tables *set;
    struct table *items, *child;
    struct table_spec spec = {"items", KEY_STRING, TO_DELTAS, NULL, 8, 4, 10};
    DONE(tables_create(&set, &err));
    DONE(tables_add(set, &spec, &items, &err));
    spec = (struct table_spec){"child", KEY_CHILD, TO_DELTAS, items, 0, 4, 10};
    DONE(tables_add(set, &spec, &child, &err));
    return set;
}

enum flaw {
    NO_FLAW,
    WRONG_FORMAT,
    WRONG_NAME,
    WRONG_KIND,
    WRONG_ORDER,
    SHORT_ROW,
    LONG_KEY,
    POSITION_TWICE,
    KEY_TWICE,
    CHILD_KEY,
    CHILD_ALONE,
    EMPTY_BLOCK,
    TOO_MANY_ROWS,
    WRONG_DIGEST,
    AFTER_END,
    FLAWS
};
static const char *const complaints[FLAWS] = {
    [WRONG_FORMAT] = "format is 2",    [WRONG_NAME] = "it has table item",
    [WRONG_KIND] = "kind 1",           [WRONG_ORDER] = "a block of kind 3",
    [SHORT_ROW] = "a row of 15 bytes", [LONG_KEY] = "longer than its block",
    [POSITION_TWICE] = "after",        [KEY_TWICE] = "a block of kind 2",
    [CHILD_KEY] = "none belongs",      [CHILD_ALONE] = "parent table items has none",
    [EMPTY_BLOCK] = "without rows",    [TOO_MANY_ROWS] = "its 2 rows, of 1",
    [WRONG_DIGEST] = "its digest",     [AFTER_END] = "goes on after its end"};

/* The digests of the two tables as the flawless file has them. */
static void right_digests(struct digest digests[2]) {
    struct tables *set = two_tables();
    DONE(table_restore(tables_at(set, 0), bytes_text("kk"), 0, 1, bytes_text("kkkk"), &err));
    DONE(table_restore(tables_at(set, 0), bytes_text("kkk"), 4, 1, bytes_text("kkkk"), &err));
    DONE(table_restore(tables_at(set, 1), bytes_text("kk"), 0, 1, bytes_text("kkkk"), &err));
    for (uint32_t i = 0; i < 2; i++)
        digests[i] = table_digest(tables_at(set, i));
    tables_destroy(set);
}

static void craft(struct crafted *file, enum flaw flaw) {
    uint8_t rows[256];
    struct digest digests[2];
    right_digests(digests);
    *file = (struct crafted){.len = 0};
    add_head(file, flaw == WRONG_FORMAT ? 2 : 1);
    if (flaw == WRONG_ORDER)
        add_block(file, BLOCK_ROWS, rows, put_row(rows, 0, 2));
    add_table_block(file, flaw == WRONG_NAME ? "item" : "items",
                    flaw == WRONG_KIND ? KEY_U64 : KEY_STRING, flaw == TOO_MANY_ROWS ? 1 : 2,
                    digests[flaw == WRONG_DIGEST]);
    size_t len = put_row(rows, 0, 2);
    len += put_row(rows + len, flaw == POSITION_TWICE ? 0 : 4, flaw == KEY_TWICE ? 2 : 3);
    if (flaw == SHORT_ROW)
        len = 22 + 15;
    if (flaw == LONG_KEY)
        rows[22 + 4] = 100;
    if (flaw == EMPTY_BLOCK)
        len = 0;
    add_block(file, BLOCK_ROWS, rows, len);
    add_table_block(file, "child", KEY_CHILD, 1, digests[1]);
    add_block(file, BLOCK_ROWS, rows, put_row(rows, flaw == CHILD_ALONE, flaw == CHILD_KEY));
    add_block(file, BLOCK_END, rows, 0);
    if (flaw == AFTER_END)
        add_block(file, BLOCK_END, rows, 0);
}

START_TEST(content_is_checked_though_digests_are_right) {
    static struct crafted file;
    struct tables *set = two_tables();
    struct bytes note;
    craft(&file, (enum flaw)_i);
    /* of its exact size on the heap, for the sanitizer */
    uint8_t *copy = malloc(file.len);
    memcpy(copy, file.bytes, file.len);
    enum status status = snapshot_decode(bytes_of(copy, file.len), set, &note, &err);
    free(copy);
    if (_i == NO_FLAW) {
        ck_assert_msg(status == OK, "%s", err.text);
        ck_assert_uint_eq(table_rows(tables_at(set, 1)), 1);
    } else {
        ck_assert_int_eq(status, BAD_RECORD);
        ck_assert_msg(strstr(err.text, complaints[_i]) != NULL, "%s: %s", complaints[_i], err.text);
        check_empty(set);
    }
    tables_destroy(set);
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_snapshot) {
    struct bytes before = encoded(bytes_text("old")), after;
    char inside[FILE_PATH_BYTES + 16];
    snprintf(inside, sizeof inside, "%s/none/snapshot", path);
    ck_assert_int_eq(snapshot_write(inside, twin_tables(twin), bytes_text("new"), &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CANTCREAT);
    DONE(file_load(path, &arena, 32 << 20, &after, &err));
    ck_assert(bytes_equal(before, after));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("snapshot");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, what_was_written_is_read);
    tcase_add_test(all, memory_and_file_give_the_same);
    tcase_add_test(all, an_empty_set_and_the_largest_note);
    tcase_add_test(all, two_snapshots_of_one_state_are_equal_bytes);
    tcase_add_test(all, many_and_large_rows);
    tcase_add_test(all, every_truncation_is_damage);
    tcase_add_test(all, every_flipped_bit_is_damage);
    tcase_add_test(all, damage_on_disk_names_the_file_and_the_remedy);
    tcase_add_test(all, absent_is_retry_and_unreadable_is_fatal);
    tcase_add_test(all, other_tables_and_sizes_are_refused);
    tcase_add_loop_test(all, content_is_checked_though_digests_are_right, 0, FLAWS);
    tcase_add_test(all, a_failed_write_leaves_the_old_snapshot);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
