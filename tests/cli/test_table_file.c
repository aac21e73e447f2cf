/* CSV and TSV files, plain and gzip, good and malformed; .npy files; the index of ids; the
 * counter of requests. */
#include "cli/id_index.h"
#include "cli/npy_file.h"
#include "cli/request_counter.h"
#include "cli/table_file.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

static struct arena arena;
static char folder[512];

static void set_up(void) {
    struct error err;
    const char *build = getenv("COLDSTREAM_BUILD");
    snprintf(folder, sizeof folder, "%s/test_table_file.XXXXXX", build ? build : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(arena_reserve(&arena, "test", 64 << 20, &err), OK);
}

static void tear_down(void) {
    arena_release(&arena);
    ck_assert_int_eq(rmdir(folder), 0);
}

static const char *put_file(const char *name, const void *data, size_t length, bool gzip) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile file = gzopen(path, gzip ? "wb" : "wbT");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, data, (unsigned)length), (int)length);
    ck_assert_int_eq(gzclose(file), Z_OK);
    return path;
}

/* All records as "[a|b|c]", malformed ones as "(line)". */
static void read_all(const char *content, bool gzip, char *out, size_t size) {
    struct table_file file;
    struct error err;
    size_t used = 0;
    bool got;
    const char *path = put_file("table", content, strlen(content), gzip);
    ck_assert_msg(table_file_open(&file, path, &arena, &err) == OK, "%s", err.text);
    for (;;) {
        enum status status = table_file_next(&file, &got, &err);
        ck_assert_int_ne(status, FATAL);
        if (status == OK && !got)
            break;
        if (status == BAD_RECORD) {
            char expected[700];
            snprintf(expected, sizeof expected, "%s:%llu: ", path, (unsigned long long)file.line);
            ck_assert_msg(strncmp(err.text, expected, strlen(expected)) == 0, "%s", err.text);
            used +=
                (size_t)snprintf(out + used, size - used, "(%llu)", (unsigned long long)file.line);
            continue;
        }
        for (uint32_t i = 0; i < file.column_count; i++)
            used += (size_t)snprintf(out + used, size - used, "%s%.*s", i ? "|" : "[",
                                     (int)file.fields[i].len, (const char *)file.fields[i].data);
        used += (size_t)snprintf(out + used, size - used, "]");
    }
    table_file_close(&file);
    unlink(path);
}

static void expect_records(const char *content, const char *records) {
    char out[1024] = "";
    read_all(content, false, out, sizeof out);
    ck_assert_str_eq(out, records);
    out[0] = '\0';
    read_all(content, true, out, sizeof out);
    ck_assert_str_eq(out, records);
}

START_TEST(fields_and_quotes) {
    expect_records("a,b\n1,2\n", "[1|2]");
    expect_records("a,b\n1,2", "[1|2]");
    expect_records("a,b\r\n1,2\r\n\r\n3,\r\n,\r\n", "[1|2][3|][|]");
    expect_records("\xef\xbb\xbf"
                   "a,b\n\"x, \"\"y\"\"\",\"\"\n",
                   "[x, \"y\"|]");
    expect_records("a,b\n\"two\nlines\",2\n3,4\n", "[two\nlines|2][3|4]");
    expect_records("a,b\n\"x \"\"y\nz\",2\n", "[x \"y\nz|2]");
    expect_records("a\tb\n\"RECORD 7\"\" SINGLE\"\t1\nsay \"hi\"\t2\n",
                   "[RECORD 7\" SINGLE|1][say \"hi\"|2]");
    expect_records("a\tb,c\n1,5\t2\n", "[1,5|2]");
}
END_TEST

START_TEST(malformed_lines_are_skipped) {
    expect_records("a,b\n1\n2,3\n4,5,6\n7,8\n", "(2)[2|3](4)[7|8]");
    expect_records("a,b\n\"x\"y,1\n2,3\n", "(2)[2|3]");
    expect_records("a\tb\n\"open\t1\n2\t3\n", "(2)[2|3]"); /* in TSV a quote ends with its line */
    expect_records("a,b\n1,\"open\n2,3\n", "(2)");         /* in CSV it takes in what follows */
}
END_TEST

START_TEST(long_record_is_malformed) {
    size_t length = TABLE_FILE_RECORD_BYTES_MAX + 100;
    char *content = arena_must(&arena, length + 32), out[64];
    memset(content, 'x', length);
    memcpy(content, "a\tb\n", 4);
    memcpy(content + length, "\n1\t2\n", 6);
    read_all(content, true, out, sizeof out);
    ck_assert_str_eq(out, "(2)[1|2]");
}
END_TEST

static void expect_open_error(const char *content, int exit_code, const char *part) {
    struct table_file file;
    struct error err;
    const char *path = put_file("table", content, strlen(content), false);
    ck_assert_int_eq(table_file_open(&file, path, &arena, &err), FATAL);
    ck_assert_int_eq(err.exit_code, exit_code);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    unlink(path);
}

START_TEST(file_that_cannot_be_read) {
    struct table_file file;
    struct error err;
    bool got;
    expect_open_error("", EX_DATAERR, "is empty");
    expect_open_error("\n\n", EX_DATAERR, "is empty");
    ck_assert_int_eq(table_file_open(&file, "no/such/file", &arena, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_NOINPUT);
    ck_assert_int_eq(table_file_open(&file, folder, &arena, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_NOINPUT);
    /* a gzip file that is cut off */
    char content[20000] = "a,b\n";
    for (size_t i = 4; i + 4 < sizeof content; i += 4)
        snprintf(content + i, 5, "%zu,%zu\n", i % 7, i * i % 9);
    const char *path = put_file("table", content, strlen(content), true);
    ck_assert_int_eq(truncate(path, 40), 0);
    enum status status = table_file_open(&file, path, &arena, &err);
    while (status == OK || status == BAD_RECORD) {
        status = table_file_next(&file, &got, &err);
        ck_assert(status != OK || got); /* never a quiet end */
    }
    ck_assert_int_eq(err.exit_code, EX_DATAERR);
    table_file_close(&file);
    unlink(path);
}
END_TEST

static const char *put_npy(const char *header, size_t float_count) {
    char content[1024] = "\x93NUMPY\x01\x00";
    size_t length = strlen(header);
    content[8] = (char)length, content[9] = 0;
    memcpy(content + 10, header, length);
    for (size_t i = 0; i < float_count; i++) {
        float value = (float)i;
        memcpy(content + 10 + length + 4 * i, &value, 4);
    }
    return put_file("m.npy", content, 10 + length + 4 * float_count, false);
}

START_TEST(npy_rows) {
    struct npy_file file;
    struct error err;
    float row[3];
    const char *path =
        put_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 6);
    ck_assert_msg(npy_file_open(&file, path, 16, &err) == OK, "%s", err.text);
    ck_assert_uint_eq(file.rows, 2);
    ck_assert_uint_eq(file.columns, 3);
    ck_assert_int_eq(npy_file_row(&file, 1, row, &err), OK);
    ck_assert(row[0] == 3 && row[2] == 5);
    npy_file_close(&file);
    unlink(path);
}
END_TEST

START_TEST(npy_refusals) {
    static const struct {
        const char *header, *part;
    } cases[] = {
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", "not float32"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", "no matrix"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }", "no matrix"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }", "ends before"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999, 3), }",
         "ends before"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 17), }", "1 to 16"},
        {"", "not float32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct npy_file file;
        struct error err;
        const char *path = put_npy(cases[i].header, 6);
        ck_assert_int_eq(npy_file_open(&file, path, 16, &err), FATAL);
        ck_assert_int_eq(err.exit_code, EX_DATAERR);
        ck_assert_msg(strstr(err.text, cases[i].part) != NULL, "%s", err.text);
        unlink(path);
    }
}
END_TEST

START_TEST(ids_are_found) {
    struct id_index index;
    struct error err;
    uint64_t row;
    const char *path = put_file("ids", "b\nabc\r\na\nab", 11, false);
    ck_assert_msg(id_index_load(&index, path, &arena, 1024, &err) == OK, "%s", err.text);
    ck_assert_uint_eq(index.count, 4);
    ck_assert(id_index_find(&index, bytes_text("abc"), &row) && row == 1);
    ck_assert(id_index_find(&index, bytes_text("ab"), &row) && row == 3);
    ck_assert(id_index_find(&index, bytes_text("b"), &row) && row == 0);
    ck_assert(!id_index_find(&index, bytes_text("c"), &row) &&
              !id_index_find(&index, bytes_text(""), &row));
    put_file("ids", "a\nb\na\n", 6, false);
    ck_assert_int_eq(id_index_load(&index, path, &arena, 1024, &err), FATAL);
    ck_assert_msg(strstr(err.text, "ids:3: repeats the item of line 1") != NULL, "%s", err.text);
    put_file("ids", "a\n\nb\n", 5, false);
    ck_assert_int_eq(id_index_load(&index, path, &arena, 1024, &err), FATAL);
    ck_assert_msg(strstr(err.text, "ids:2: is empty") != NULL, "%s", err.text);
    unlink(path);
}
END_TEST

START_TEST(requests_are_counted) {
    struct request_counter counter;
    struct error err;
    char request[32];
    int32_t place;
    ck_assert_int_eq(request_counter_create(&counter, &arena, &err), OK);
    for (int32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 20000; i++) {
            size_t length = (size_t)snprintf(request, sizeof request, "r%u", i);
            ck_assert_int_eq(
                request_counter_next(&counter, bytes_of(request, length), &place, &err), OK);
            ck_assert_int_eq(place, round);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("table_file");
    TCase *all = tcase_create("all");
    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, fields_and_quotes);
    tcase_add_test(all, malformed_lines_are_skipped);
    tcase_add_test(all, long_record_is_malformed);
    tcase_add_test(all, file_that_cannot_be_read);
    tcase_add_test(all, npy_rows);
    tcase_add_test(all, npy_refusals);
    tcase_add_test(all, ids_are_found);
    tcase_add_test(all, requests_are_counted);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
