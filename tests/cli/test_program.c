/* The program from outside: exit codes, where messages go, and that failures leave nothing
 * behind. */
#include <check.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

static char folder[512], program[600];
static char out[65536], err[65536];

static void set_up(void) {
    const char *build = getenv("COLDSTREAM_BUILD");
    ck_assert_msg(build != NULL, "COLDSTREAM_BUILD is not set; run this test through ctest");
    snprintf(program, sizeof program, "%s/coldstream", build);
    snprintf(folder, sizeof folder, "%s/test_program.XXXXXX", build);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void tear_down(void) {
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name) {
    static char paths[8][600];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const char *content) {
    FILE *file = fopen(in_folder(name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(content, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void get_file(const char *name, char *content, size_t size) {
    FILE *file = fopen(in_folder(name), "r");
    ck_assert_ptr_nonnull(file);
    content[fread(content, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs the program with arguments up to NULL and its stdout in that file; gives its exit code. A
 * death by signal fails the test. */
static int run_to(const char *stdout_path, va_list arguments) {
    char *argv[32] = {program};
    posix_spawn_file_actions_t files;
    pid_t child;
    int status;
    for (int i = 1; i < 31 && (argv[i] = va_arg(arguments, char *)) != NULL;)
        i++;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, stdout_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&files, 2, in_folder("stderr"), O_WRONLY | O_CREAT | O_TRUNC,
                                     0666);
    ck_assert_int_eq(posix_spawn(&child, program, &files, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    get_file("stderr", err, sizeof err);
    ck_assert_msg(WIFEXITED(status), "died by signal %d: %s", WTERMSIG(status), err);
    return WEXITSTATUS(status);
}

static int run(const char *stdout_path, ...) {
    va_list arguments;
    va_start(arguments, stdout_path);
    int code = run_to(stdout_path, arguments);
    va_end(arguments);
    return code;
}

static int keep_output(int code) {
    get_file("stdout", out, sizeof out);
    return code;
}

/* The program with these arguments; its stdout is in `out`, its stderr in `err`. */
#define RUN(...) keep_output(run(in_folder("stdout"), __VA_ARGS__, NULL))

static void expect_part(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "no `%s' in: %s", part, text);
}

START_TEST(help_and_version) {
    ck_assert_int_eq(RUN("--help"), EX_OK);
    expect_part(out, "coldstream generate --to market");
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(RUN("--version"), EX_OK);
    expect_part(out, "coldstream ");
    ck_assert_int_eq(RUN("check", "--help"), EX_OK);
    expect_part(out, "Usage: coldstream check");
    ck_assert_int_eq(RUN("help", "generate"), EX_OK);
    expect_part(out, "Usage: coldstream generate");
    ck_assert_int_eq(run(in_folder("stdout"), NULL), EX_USAGE);
    expect_part(err, "Usage: coldstream COMMAND");
}
END_TEST

START_TEST(unknown_words) {
    ck_assert_int_eq(RUN("generat"), EX_USAGE);
    expect_part(err, "there is no command `generat'; did you mean `generate'?");
    ck_assert_int_eq(RUN("frobnicate"), EX_USAGE);
    expect_part(err, "there is no command `frobnicate'.");
    ck_assert_int_eq(RUN("check", "--frob"), EX_USAGE);
    expect_part(err, "coldstream check: unrecognized option '--frob'");
    ck_assert_int_eq(RUN("check", "-c", "x", "y"), EX_USAGE);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(check_codes) {
    put_file("good.yaml", "seed: 3\n");
    put_file("bad.yaml", "sede: 3\nmodel:\n  width: 3x\n");
    ck_assert_int_eq(RUN("check", "-c", in_folder("good.yaml")), EX_OK);
    expect_part(out, "good.yaml: no errors");
    ck_assert_int_eq(RUN("check", "-c", in_folder("good.yaml"), "--show"), EX_OK);
    expect_part(out, "seed: 3\ncontent:\n  dims: 0\n");
    ck_assert_int_eq(RUN("check", "-c", in_folder("good.yaml"), "--show", "--json"), EX_OK);
    expect_part(out, "\"ok\":true,\"errors\":[],\"settings\":{\"seed\":3,");
    ck_assert_int_eq(RUN("check", "-c", in_folder("bad.yaml")), EX_CONFIG);
    expect_part(out, "bad.yaml:1:1: sede: there is no such setting; did you mean seed?\n");
    expect_part(out,
                "bad.yaml:3:10: model.width: `3x' is not a whole number; possible is 4 to 512\n");
    ck_assert_int_eq(RUN("check", "-c", in_folder("absent.yaml")), EX_NOINPUT);
    expect_part(err, "absent.yaml");
    ck_assert_int_eq(RUN("check"), EX_USAGE);
}
END_TEST

START_TEST(output_that_cannot_be_written) {
    ck_assert_int_eq(run("/dev/full", "check", "--manual", NULL), EX_IOERR);
    expect_part(err, "cannot write to standard output: No space left on device");
    /* a reader that goes away: an exit code, no signal, no message */
    char command[1400];
    snprintf(command, sizeof command, "{ '%s' check --manual; echo $? > '%s'; } 2> '%s' | true",
             program, in_folder("code"), in_folder("stderr"));
    /* true may end before or after the manual (larger than no pipe's buffer) is written */
    ck_assert_int_eq(system(command), 0);
    get_file("code", out, sizeof out);
    get_file("stderr", err, sizeof err);
    ck_assert_msg(atoi(out) == EX_IOERR || atoi(out) == EX_OK, "exit code %s", out);
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(generate_codes) {
    struct stat about;
    ck_assert_int_eq(RUN("generate"), EX_USAGE);
    ck_assert_int_eq(RUN("generate", "--to", in_folder("market"), "--items", "0"), EX_USAGE);
    expect_part(err, "--items: `0' is not a whole number from 1 to ");
    ck_assert_int_eq(RUN("generate", "--to", in_folder("market"), "--days", "3651"), EX_USAGE);
    ck_assert_int_eq(RUN("generate", "--to", in_folder("market"), "--drift", "2"), EX_USAGE);
    ck_assert_int_eq(stat(in_folder("market"), &about), -1);
    ck_assert_int_eq(RUN("generate", "--to", in_folder("market"), "--events", "1000", "--items",
                         "50", "--users", "20", "--json"),
                     EX_OK);
    expect_part(
        out,
        "\"synthetic\":true,\"items\":50,\"listed_later\":20,\"users\":20,\"interactions\":1000,");
    ck_assert_int_eq(stat(in_folder("market/recording.yaml"), &about), 0);
    ck_assert_int_eq(RUN("generate", "--to", in_folder("market")), EX_CANTCREAT);
    ck_assert_int_eq(stat(in_folder("market/recording.yaml"), &about), 0);
}
END_TEST

static int run_import(const char *events) {
    return RUN("import", "--items", in_folder("items.csv"), "--vectors", in_folder("v.npy"),
               "--vector-ids", in_folder("ids.txt"), "--events", in_folder(events), "--to",
               in_folder("recording"));
}

START_TEST(import_codes) {
    struct stat about;
    FILE *file = fopen(in_folder("v.npy"), "wb");
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
    float row[2] = {1, 2};
    fprintf(file, "%cNUMPY%c%c%c%c%s", 0x93, 1, 0, (int)strlen(header), 0, header);
    fwrite(row, sizeof row, 1, file);
    fclose(file);
    put_file("ids.txt", "a\n");
    put_file("items.csv", "item,listed_ms,title\na,1000,\"one, two\"\n");
    put_file("events.csv", "ts_ms,user,item,label\n2000,u,a,1\n3000,u,a,0\n");
    put_file("bad.csv", "ts_ms,user,item,label\n2000,u,a,1\n3000,u,a,maybe\n");
    ck_assert_int_eq(RUN("import"), EX_USAGE);
    expect_part(err, "--items is needed");
    ck_assert_int_eq(run_import("absent.csv"), EX_NOINPUT);
    ck_assert_int_eq(stat(in_folder("recording"), &about), -1);
    ck_assert_int_eq(run_import("bad.csv"), EX_DATAERR);
    expect_part(err, "bad.csv:3: column `label': `maybe' is not a label: 0 or 1");
    ck_assert_int_eq(stat(in_folder("recording"), &about), -1);
    ck_assert_int_eq(run_import("events.csv"), EX_OK);
    expect_part(out, ": 1 listings and 2 interactions (2 with a label) from 1970-01-01 00:00 UTC "
                     "to 1970-01-01 00:00 UTC\n");
    ck_assert_int_eq(stat(in_folder("recording/recording.yaml"), &about), 0);
    ck_assert_int_eq(run_import("events.csv"), EX_CANTCREAT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("program");
    TCase *all = tcase_create("all");
    suite_add_tcase(suite, all);
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, help_and_version);
    tcase_add_test(all, unknown_words);
    tcase_add_test(all, check_codes);
    tcase_add_test(all, output_that_cannot_be_written);
    tcase_add_test(all, generate_codes);
    tcase_add_test(all, import_codes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
