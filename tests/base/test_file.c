/* Files: limits, atomic replacement, folders, and each kind of failure with its exit code. */
#include "base/file.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

static struct error err;
static struct arena arena;
static char folder[2048], path[2100];

static void setup(void) {
    const char *build = getenv("COLDSTREAM_BUILD");
    snprintf(folder, sizeof folder, "%s/test_file.XXXXXX", build != NULL ? build : ".");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    DONE(arena_reserve(&arena, "test", 1 << 20, &err));
}

static void remove_all(const char *where) {
    char command[8192];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", where, where);
    ck_assert_int_eq(system(command), 0);
}

static void teardown(void) {
    remove_all(folder);
    arena_release(&arena);
}

static int files_in(const char *where) {
    DIR *dir = opendir(where);
    int count = -2; /* . and .. */
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void check_error(enum status status, int exit_code, const char *reason) {
    ck_assert_int_eq(status, FATAL);
    ck_assert_msg(err.exit_code == exit_code, "%d: %s", err.exit_code, err.text);
    ck_assert_msg(strstr(err.text, folder) != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

START_TEST(what_is_saved_is_loaded) {
    struct bytes content;
    DONE(file_save(path, bytes_of("a\0b", 3), &err));
    DONE(file_load(path, &arena, 3, &content, &err));
    ck_assert(bytes_equal(content, bytes_of("a\0b", 3)));
    ck_assert_uint_eq(content.data[3], 0);
    DONE(file_save(path, bytes_of("", 0), &err));
    DONE(file_load(path, &arena, 0, &content, &err));
    ck_assert_uint_eq(content.len, 0);
    ck_assert_ptr_nonnull(content.data);
    ck_assert_int_eq(files_in(folder), 1); /* no temporary is left */
}
END_TEST

START_TEST(a_file_without_a_folder_in_its_name_is_in_this_one) {
    char here[4096];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(folder), 0);
    enum status status = file_save("file", bytes_text("x"), &err);
    ck_assert_int_eq(chdir(here), 0);
    DONE(status);
    ck_assert(file_exists(path));
}
END_TEST

START_TEST(limits_hold) {
    struct bytes content;
    DONE(file_save(path, bytes_text("1234"), &err));
    check_error(file_load(path, &arena, 3, &content, &err), EX_DATAERR, "limit of 3");
    struct arena small;
    DONE(arena_reserve(&small, "small", 1, &err));
    arena_must(&small, small.reserved - 64);
    static char large[100];
    DONE(file_save(path, bytes_of(large, 100), &err));
    check_error(file_load(path, &small, 1000, &content, &err), EX_DATAERR, "small");
    arena_release(&small);
}
END_TEST

START_TEST(what_is_absent_or_unreadable_has_no_input) {
    struct bytes content;
    check_error(file_load(path, &arena, 10, &content, &err), EX_NOINPUT, "No such file");
    ck_assert(!file_exists(path));
    check_error(file_load(folder, &arena, 10, &content, &err), EX_NOINPUT, "directory");
    DONE(file_save(path, bytes_text("x"), &err));
    snprintf(path, sizeof path, "%s/file/below", folder);
    check_error(file_load(path, &arena, 10, &content, &err), EX_NOINPUT, "Not a directory");
    ck_assert(!file_exists(path));
}
END_TEST

START_TEST(pieces_are_read_at_their_place) {
    struct file_input input;
    char piece[4] = "";
    DONE(file_save(path, bytes_text("0123456789"), &err));
    DONE(file_open(&input, path, &err));
    ck_assert_uint_eq(input.bytes, 10);
    DONE(file_read_at(&input, 6, piece, 3, &err));
    ck_assert_mem_eq(piece, "678", 3);
    check_error(file_read_at(&input, 8, piece, 3, &err), EX_DATAERR, "ends at byte 10");
    file_close(&input);
    file_close(&input); /* twice does no harm */
}
END_TEST

START_TEST(a_file_appears_only_when_committed) {
    struct file_output output;
    struct bytes content;
    DONE(file_save(path, bytes_text("old"), &err));
    DONE(file_create(&output, path, &err));
    DONE(file_append(&output, "new ", 4, &err));
    DONE(file_load(path, &arena, 10, &content, &err));
    ck_assert(bytes_equal(content, bytes_text("old")));
    DONE(file_append(&output, "content", 7, &err));
    DONE(file_commit(&output, &err));
    DONE(file_load(path, &arena, 20, &content, &err));
    ck_assert(bytes_equal(content, bytes_text("new content")));
    DONE(file_create(&output, path, &err));
    file_abandon(&output);
    file_abandon(&output);
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(a_folder_that_is_absent_cannot_be_written_in) {
    snprintf(path, sizeof path, "%s/none/file", folder);
    check_error(file_save(path, bytes_text("x"), &err), EX_CANTCREAT, "No such file");
    char longer[FILE_PATH_BYTES + 10];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(file_save(longer, bytes_text("x"), &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CANTCREAT);
}
END_TEST

START_TEST(a_read_only_folder_cannot_be_written_in) {
    if (geteuid() == 0)
        return; /* root may write everywhere */
    DONE(file_save(path, bytes_text("old"), &err));
    ck_assert_int_eq(chmod(folder, 0500), 0);
    check_error(file_save(path, bytes_text("new"), &err), EX_CANTCREAT, "Permission denied");
    ck_assert_int_eq(chmod(folder, 0700), 0);
}
END_TEST

/* As on a full disk, write() fails in the middle; what stood before must stand after, and nothing
 * beside it. */
START_TEST(a_write_that_fails_leaves_the_old_file_and_no_temporary) {
    static char large[1 << 20];
    struct bytes content;
    struct rlimit unlimited, limit;
    DONE(file_save(path, bytes_text("old"), &err));
    getrlimit(RLIMIT_FSIZE, &unlimited);
    limit = unlimited;
    limit.rlim_cur = 100000;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    enum status status = file_save(path, bytes_of(large, sizeof large), &err);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    signal(SIGXFSZ, before);
    check_error(status, EX_IOERR, "File too large");
    DONE(file_load(path, &arena, 10, &content, &err));
    ck_assert(bytes_equal(content, bytes_text("old")));
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(a_full_disk_is_an_io_error) {
    struct file_output output = {.path = "/dev/full", .temporary = "/nonexistent/none"};
    output.fd = open("/dev/full", O_WRONLY);
    if (output.fd < 0)
        return; /* no such device here */
    ck_assert_int_eq(file_append(&output, "x", 1, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_IOERR);
    ck_assert_ptr_nonnull(strstr(err.text, "No space left"));
    ck_assert_int_eq(output.fd, -1);
}
END_TEST

START_TEST(a_folder_in_the_files_place_is_not_replaced) {
    DONE(file_make_folders(path, &err));
    check_error(file_save(path, bytes_text("x"), &err), EX_CANTCREAT, "directory");
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(folders_are_made_as_far_as_absent) {
    snprintf(path, sizeof path, "%s/a/b//c/", folder);
    DONE(file_make_folders(path, &err));
    DONE(file_make_folders(path, &err));
    DONE(file_make_folders("/", &err));
    DONE(file_make_folders(".", &err));
    ck_assert(file_exists(path));
    snprintf(path, sizeof path, "%s/file", folder);
    DONE(file_save(path, bytes_text("x"), &err));
    snprintf(path, sizeof path, "%s/file/sub", folder);
    check_error(file_make_folders(path, &err), EX_CANTCREAT, "Not a directory");
    ck_assert_int_eq(file_make_folders("", &err), FATAL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("file");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, what_is_saved_is_loaded);
    tcase_add_test(all, a_file_without_a_folder_in_its_name_is_in_this_one);
    tcase_add_test(all, limits_hold);
    tcase_add_test(all, what_is_absent_or_unreadable_has_no_input);
    tcase_add_test(all, pieces_are_read_at_their_place);
    tcase_add_test(all, a_file_appears_only_when_committed);
    tcase_add_test(all, a_folder_that_is_absent_cannot_be_written_in);
    tcase_add_test(all, a_read_only_folder_cannot_be_written_in);
    tcase_add_test(all, a_write_that_fails_leaves_the_old_file_and_no_temporary);
    tcase_add_test(all, a_full_disk_is_an_io_error);
    tcase_add_test(all, a_folder_in_the_files_place_is_not_replaced);
    tcase_add_test(all, folders_are_made_as_far_as_absent);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
