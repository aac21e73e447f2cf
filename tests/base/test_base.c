/* Errors, bytes, arenas, digests and the log. */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/printable.h"

#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct error err;

/* ---- errors ---- */

static enum status fails(void) {
    return FAIL(&err, BAD_RECORD, EX_DATAERR, "%s at %d", "key", 7);
}
static enum status forwards(void) {
    TRY(OK);
    TRY(fails());
    return OK;
}

START_TEST(an_error_says_what_and_where) {
    ck_assert_int_eq(forwards(), BAD_RECORD);
    ck_assert_int_eq(err.status, BAD_RECORD);
    ck_assert_int_eq(err.exit_code, EX_DATAERR);
    ck_assert_str_eq(err.text, "key at 7");
    ck_assert_ptr_nonnull(strstr(err.file, "test_base.c"));
    ck_assert_int_eq(error_context(&err, "topic %s", "items"), BAD_RECORD);
    ck_assert_str_eq(err.text, "topic items: key at 7");
    ck_assert_int_eq(FAIL(NULL, RETRY, 0, "nobody reads this"), RETRY);
}
END_TEST

START_TEST(an_error_may_quote_the_one_before) {
    (void)fails();
    (void)FAIL(&err, FATAL, EX_SOFTWARE, "because of: %s", err.text);
    ck_assert_str_eq(err.text, "because of: key at 7");
}
END_TEST

START_TEST(long_texts_are_cut_between_characters) {
    char text[2000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4); /* the euro sign and a NUL */
        (void)FAIL(&err, FATAL, EX_SOFTWARE, "%s", text);
        ck_assert_uint_ge(strlen(err.text), ERROR_TEXT_BYTES - 8);
        ck_assert(bytes_is_utf8(bytes_text(err.text)));
        ck_assert_str_eq(err.text + strlen(err.text) - 3, "...");
        (void)error_context(&err, "in front");
        ck_assert(bytes_is_utf8(bytes_text(err.text)));
        (void)error_context(&err, "%s", text);
        ck_assert(bytes_is_utf8(bytes_text(err.text)));
    }
}
END_TEST

START_TEST(statuses_have_names) {
    ck_assert_str_eq(status_name(OK), "OK");
    ck_assert_str_eq(status_name(ABORT_EPOCH), "ABORT_EPOCH");
    ck_assert_str_eq(status_name(FATAL), "FATAL");
}
END_TEST

START_TEST(a_false_assertion_aborts) {
    ASSERT(1 + 1 == 3);
}
END_TEST

/* ---- bytes ---- */

START_TEST(null_is_not_empty) {
    ck_assert(!bytes_equal(bytes_of(NULL, 0), bytes_of("", 0)));
    ck_assert(bytes_equal(bytes_of(NULL, 0), bytes_of(NULL, 0)));
    ck_assert(bytes_equal(bytes_of("a", 0), bytes_of("b", 0)));
    ck_assert(!bytes_equal(bytes_text("ab"), bytes_text("ac")));
    ck_assert(!bytes_equal(bytes_text("ab"), bytes_text("abc")));
}
END_TEST

START_TEST(big_endian_both_ways) {
    uint8_t out[8];
    put_be64(out, UINT64_C(0x0102030405060708));
    ck_assert_mem_eq(out, "\1\2\3\4\5\6\7\10", 8);
    ck_assert_uint_eq(get_be64(out), UINT64_C(0x0102030405060708));
    put_be32(out, 0xFFFEFDFC);
    ck_assert_mem_eq(out, "\xFF\xFE\xFD\xFC", 4);
    ck_assert_uint_eq(get_be32(out), 0xFFFEFDFC);
}
END_TEST

static const struct {
    const char *text;
    size_t len;
    bool good;
} texts[] = {
    {"", 0, true},
    {"plain", 5, true},
    {"a\0b", 3, false},
    {"\x7F", 1, true},
    {"\x80", 1, false},     /* a continuation alone */
    {"\xC2\x80", 2, true},  /* U+0080 */
    {"\xC1\xBF", 2, false}, /* overlong */
    {"\xC2", 1, false},     /* cut off */
    {"\xC2x", 2, false},
    {"\xE0\xA0\x80", 3, true},  /* U+0800 */
    {"\xE0\x9F\xBF", 3, false}, /* overlong */
    {"\xED\x9F\xBF", 3, true},  /* U+D7FF */
    {"\xED\xA0\x80", 3, false}, /* a surrogate */
    {"\xEE\x80\x80", 3, true},  /* U+E000 */
    {"\xEF\xBF\xBF", 3, true},  /* U+FFFF */
    {"\xE2\x82", 2, false},
    {"\xE2\x82x", 3, false},
    {"\xF0\x90\x80\x80", 4, true},  /* U+10000 */
    {"\xF0\x8F\xBF\xBF", 4, false}, /* overlong */
    {"\xF4\x8F\xBF\xBF", 4, true},  /* U+10FFFF */
    {"\xF4\x90\x80\x80", 4, false}, /* past it */
    {"\xF5\x80\x80\x80", 4, false},
    {"\xFF", 1, false},
    {"ok \xE2\x82\xAC ok", 9, true},
    {"ok \xE2\x82\xAC\xE2\x82", 8, false},
};
START_TEST(utf8) {
    /* on the heap in its exact size, so that a sanitizer sees a byte too many being read */
    uint8_t *copy = malloc(texts[_i].len + (texts[_i].len == 0));
    memcpy(copy, texts[_i].text, texts[_i].len);
    ck_assert_msg(bytes_is_utf8(bytes_of(copy, texts[_i].len)) == texts[_i].good, "text %d", _i);
    free(copy);
}
END_TEST
START_TEST(null_is_not_utf8) {
    ck_assert(!bytes_is_utf8(bytes_of(NULL, 0)));
}
END_TEST

/* ---- arenas ---- */

START_TEST(an_arena_gives_aligned_zeroes_until_it_is_full) {
    struct arena arena;
    size_t before = arena_count();
    ck_assert_int_eq(arena_reserve(&arena, "test", 10000, &err), OK);
    ck_assert_uint_eq(arena_count(), before + 1);
    ck_assert_uint_ge(arena.reserved, 10000);
    size_t total = 0;
    unsigned char *block;
    for (size_t bytes = 1; (block = arena_alloc(&arena, bytes)) != NULL; bytes += 37) {
        ck_assert_uint_eq((uintptr_t)block % 64, 0);
        for (size_t i = 0; i < bytes; i++)
            ck_assert_uint_eq(block[i], 0);
        memset(block, 0xFF, bytes);
        total += bytes;
    }
    ck_assert_uint_le(total, arena.reserved);
    ck_assert_uint_ge(total, 8000);
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_text(&arena, "x", SIZE_MAX));
    ck_assert_uint_eq(arena.peak, arena.used);
    arena_release(&arena);
    arena_release(&arena); /* twice does no harm */
}
END_TEST

START_TEST(an_arena_can_be_filled_to_its_last_byte) {
    struct arena arena;
    ck_assert_int_eq(arena_reserve(&arena, "test", 1, &err), OK);
    ck_assert_ptr_nonnull(arena_alloc(&arena, arena.reserved - 1)); /* rounded up: all of it */
    ck_assert_ptr_null(arena_alloc(&arena, 1));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    arena_release(&arena);
}
END_TEST

START_TEST(rewinding_gives_the_same_place_again) {
    struct arena arena;
    ck_assert_int_eq(arena_reserve(&arena, "test", 4096, &err), OK);
    const char *first = arena_text(&arena, "hello, world", 5);
    ck_assert_str_eq(first, "hello");
    size_t mark = arena_mark(&arena);
    void *second = arena_copy(&arena, "1234", 4);
    ck_assert_mem_eq(second, "1234", 4);
    size_t peak = arena.peak;
    arena_rewind(&arena, mark);
    ck_assert_ptr_eq(arena_must(&arena, 100), second);
    ck_assert_str_eq(first, "hello");
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_must(&arena, 1), first);
    ck_assert_uint_ge(arena.peak, peak);
    arena_release(&arena);
}
END_TEST

START_TEST(too_much_memory_is_an_error_that_names_its_purpose) {
    struct arena arena;
    ck_assert_int_eq(arena_reserve(&arena, "everything", (size_t)1 << 60, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_OSERR);
    ck_assert_ptr_nonnull(strstr(err.text, "everything"));
    ck_assert_int_eq(arena_reserve(&arena, "everything", SIZE_MAX, &err), FATAL);
}
END_TEST

START_TEST(arena_must_aborts_when_full) {
    struct arena arena;
    ck_assert_int_eq(arena_reserve(&arena, "test", 1, &err), OK);
    arena_must(&arena, 1 << 20);
}
END_TEST

/* ---- digests ---- */

START_TEST(digests_are_xxh3) {
    /* of the reference implementation: xxhsum -H2 and -H3 of the empty input and of "coldstream" */
    char hex[DIGEST_HEX_BYTES];
    ck_assert_str_eq(digest_hex(digest_of("", 0, 0), hex), "99aa06d3014798d86001c324468d497f");
    ck_assert_uint_eq(hash64("", 0, 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_str_eq(digest_hex((struct digest){.lo = 0xF, .hi = UINT64_C(1) << 60}, hex),
                     "1000000000000000000000000000000f");
    ck_assert(!digest_equal(digest_of("a", 1, 0), digest_of("a", 1, 1)));
}
END_TEST

START_TEST(sums_carry_and_can_be_taken_back) {
    struct digest a = {UINT64_MAX, 1}, b = {1, UINT64_MAX};
    struct digest sum = digest_add(a, b);
    ck_assert(digest_equal(sum, (struct digest){0, 1}));
    ck_assert(digest_equal(digest_sub(sum, b), a));
    ck_assert(digest_equal(digest_sub(sum, a), b));
}
END_TEST

/* ---- log ---- */

static char logged[65536];

/* What the events that `say` logs give on stderr. */
static void log_and_read(void (*say)(void)) {
    int ends[2], old = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    say();
    dup2(old, STDERR_FILENO);
    close(ends[1]);
    close(old);
    ssize_t n = read(ends[0], logged, sizeof logged - 1);
    ck_assert_int_ge(n, 0);
    logged[n] = '\0';
    close(ends[0]);
}

static void say_fields(void) {
    log_warn("test.fields", LOG_UINT("items", 3), LOG_TEXT("name", "a b"),
             LOG_TEXT("word", "plain"), LOG_TEXT("none", NULL), LOG_TEXT("empty", ""),
             LOG_INT("less", -4), LOG_REAL("share", 0.125, 2), LOG_REAL("unknown", (double)NAN, 2));
}

START_TEST(a_line_is_logfmt_with_time_in_utc) {
    log_and_read(say_fields);
    int year, month, day, hour, minute, second, ms, end = 0;
    int fields = sscanf(logged, "ts=%4d-%2d-%2dT%2d:%2d:%2d.%3dZ level=warn event=test.fields%n",
                        &year, &month, &day, &hour, &minute, &second, &ms, &end);
    ck_assert_int_eq(fields, 7);
    ck_assert_str_eq(logged + end,
                     " items=3 name=\"a b\" word=plain empty=\"\" less=-4 share=0.12\n");
}
END_TEST

START_TEST(a_line_may_be_a_json_object) {
    log_set_format(LOG_JSON);
    log_and_read(say_fields);
    log_set_format(LOG_LOGFMT);
    ck_assert_int_eq(strncmp(logged, "{\"ts\":\"20", 9), 0);
    ck_assert_ptr_nonnull(strstr(logged,
                                 "\",\"level\":\"warn\",\"event\":\"test.fields\",\"items\":3,"
                                 "\"name\":\"a b\",\"word\":\"plain\",\"empty\":\"\","
                                 "\"less\":-4,\"share\":0.12}\n"));
}
END_TEST

static void say_hostile(void) {
    log_info("test.hostile", LOG_TEXT("a", "1\nts=forged\r\tb=\x1B[2J\"\\"));
}
static void say_long(void) {
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_info("test.long", LOG_TEXT("a", text), LOG_TEXT("b", text), LOG_TEXT("c", text),
             LOG_TEXT("d", text), LOG_UINT("last", 7));
}

START_TEST(an_event_is_one_line_whatever_it_holds) {
    log_and_read(say_hostile);
    ck_assert_ptr_nonnull(strstr(logged, "a=\"1\\nts=forged\\r\\tb=\\u001b[2J\\\"\\\\\"\n"));
    ck_assert_ptr_eq(strchr(logged, '\n'), logged + strlen(logged) - 1);
    log_and_read(say_long);
    ck_assert_uint_gt(strlen(logged), 3000);
    ck_assert_uint_le(strlen(logged), 4096);
    ck_assert_ptr_nonnull(strstr(logged, "xxx... b=xxx"));
    ck_assert_ptr_null(strstr(logged, " d=")); /* does not fit: left out, the rest is there */
    ck_assert_ptr_nonnull(strstr(logged, " last=7\n"));
    ck_assert_ptr_eq(strchr(logged, '\n'), logged + strlen(logged) - 1);
}
END_TEST

static void say_debug(void) {
    log_debug("test.levels", LOG_UINT("a", 1));
}
static void say_warn(void) {
    log_warn("test.levels", LOG_UINT("a", 1));
}

START_TEST(levels_below_the_wanted_one_are_silent) {
    log_and_read(say_debug);
    ck_assert_str_eq(logged, "");
    log_set_level(LOG_ERROR);
    log_and_read(say_warn);
    ck_assert_str_eq(logged, "");
    log_set_level(LOG_DEBUG);
    log_and_read(say_debug);
    ck_assert_ptr_nonnull(strstr(logged, "level=debug"));
    log_set_level(LOG_INFO);
}
END_TEST

static void say_often(void) {
    for (unsigned i = 0; i < 1000; i++)
        log_info("test.often", LOG_UINT("i", i));
    log_info("test.seldom", LOG_UINT("i", 0));
}

START_TEST(an_event_that_comes_too_often_is_left_out_and_others_are_not) {
    log_and_read(say_often);
    unsigned lines = 0;
    for (const char *at = logged; (at = strstr(at, "event=test.often")) != NULL; at++)
        lines++;
    ck_assert_uint_eq(lines, LOG_LINES_MAX);
    ck_assert_ptr_nonnull(strstr(logged, "event=test.seldom i=0\n"));
}
END_TEST

static const struct {
    const char *text, *shown;
} shown_texts[] = {
    {"linen kettle", "linen kettle"},
    {"<b>\"x\"</b>\\", "<b>\\\"x\\\"</b>\\\\"},
    {"caf\xC3\xA9 \xF0\x9F\xAB\x96", "caf\xC3\xA9 \xF0\x9F\xAB\x96"},
    {"a\x1B]0;title\x07", "a\\u001b]0;title\\u0007"},
    {"\xC2\x9B"
     "2J",
     "\\u009b2J"},
    {"abc\xE2\x80\xAE"
     "fdp.exe",
     "abc\\u202efdp.exe"},
    {"\xFF\xC3", "\\ufffd\\ufffd"},
};
START_TEST(text_from_outside_is_shown_not_obeyed) {
    char out[64];
    size_t length = printable(out, sizeof out, bytes_text(shown_texts[_i].text));
    ck_assert_str_eq(out, shown_texts[_i].shown);
    ck_assert_uint_eq(length, strlen(out));
}
END_TEST

START_TEST(shown_text_is_cut_between_characters) {
    char out[16];
    ck_assert_uint_eq(printable(out, sizeof out, bytes_text("123456789012345")), 15);
    ck_assert_str_eq(out, "123456789012345");
    printable(out, sizeof out, bytes_text("1234567890123456"));
    ck_assert_str_eq(out, "123456789012...");
    printable(out, sizeof out, bytes_text("12345678901\xC3\xA9-----"));
    ck_assert_str_eq(out, "12345678901...");
    printable(out, sizeof out, bytes_text("123456789\x01\x01"));
    ck_assert_str_eq(out, "123456789...");
    ck_assert_uint_eq(printable(out, sizeof out, (struct bytes){(const uint8_t *)"\0", 1}), 6);
    ck_assert_str_eq(out, "\\u0000");
}
END_TEST

static void add_tests(TCase *all) {
    tcase_add_test(all, an_error_says_what_and_where);
    tcase_add_test(all, an_error_may_quote_the_one_before);
    tcase_add_test(all, long_texts_are_cut_between_characters);
    tcase_add_test(all, statuses_have_names);
    tcase_add_test(all, null_is_not_empty);
    tcase_add_test(all, big_endian_both_ways);
    tcase_add_loop_test(all, utf8, 0, sizeof texts / sizeof texts[0]);
    tcase_add_test(all, null_is_not_utf8);
    tcase_add_test(all, an_arena_gives_aligned_zeroes_until_it_is_full);
    tcase_add_test(all, an_arena_can_be_filled_to_its_last_byte);
    tcase_add_test(all, rewinding_gives_the_same_place_again);
    tcase_add_test(all, too_much_memory_is_an_error_that_names_its_purpose);
    tcase_add_test(all, digests_are_xxh3);
    tcase_add_test(all, sums_carry_and_can_be_taken_back);
    tcase_add_test(all, a_line_is_logfmt_with_time_in_utc);
    tcase_add_test(all, an_event_is_one_line_whatever_it_holds);
    tcase_add_test(all, a_line_may_be_a_json_object);
    tcase_add_test(all, levels_below_the_wanted_one_are_silent);
    tcase_add_test(all, an_event_that_comes_too_often_is_left_out_and_others_are_not);
    tcase_add_loop_test(all, text_from_outside_is_shown_not_obeyed, 0,
                        sizeof shown_texts / sizeof shown_texts[0]);
    tcase_add_test(all, shown_text_is_cut_between_characters);
}

int main(void) {
    Suite *suite = suite_create("base");
    TCase *all = tcase_create("all");
    add_tests(all);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_FORK) {
        tcase_add_test_raise_signal(all, a_false_assertion_aborts, SIGABRT);
        tcase_add_test_raise_signal(all, arena_must_aborts_when_full, SIGABRT);
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
