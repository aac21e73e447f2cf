/* Text from outside in a page, and pages from their parts. */
#include "base/error.h"
#include "web/html.h"
#include "web/page.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static char *written;
static size_t written_bytes;

static FILE *begin(void) {
    FILE *out = open_memstream(&written, &written_bytes);
    ck_assert_ptr_nonnull(out);
    return out;
}
static void end_with(FILE *out, const char *wanted) {
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(written, wanted);
    free(written);
}

static const struct {
    const char *text, *shown;
} texts[] = {
    {"", ""},
    {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
     "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
    {"<script>", "&#60;script&#62;"},
    {"\" ' & &lt;", "&#34; &#39; &#38; &#38;lt;"},
    {"\a\x1B[2J\x7F\r\n", "[U+0007][U+001B][2J[U+007F][U+000D][U+000A]"},
    {"\xE2\x80\xAEgnp.exe", "[U+202E]gnp.exe"},
    {"\xC2\x9B \xEF\xBB\xBF \xE2\x81\xA6", "[U+009B] [U+FEFF] [U+2066]"},
    {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7",
     "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7"},
    /* no UTF-8: stray, cut off, overlong, a surrogate, beyond the last */
    {"\x80<", "\xEF\xBF\xBD&#60;"},
    {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xC3<", "\xEF\xBF\xBD&#60;"},
    {"\xC0\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xE0\x80\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xFF\xFE", "\xEF\xBF\xBD\xEF\xBF\xBD"},
};

START_TEST(text_is_shown) {
    FILE *out = begin();
    html_text(bytes_text(texts[_i].text), out);
    end_with(out, texts[_i].shown);
}
END_TEST

/* Whatever the bytes, no markup, no control character and nothing but UTF-8 comes out. */
START_TEST(any_bytes_are_shown) {
    for (uint32_t pair = 0; pair < 65536; pair++) {
        uint8_t bytes[] = {(uint8_t)(pair >> 8), (uint8_t)pair, 0xBF};
        FILE *out = begin();
        html_text(bytes_of(bytes, sizeof bytes), out);
        ck_assert_int_eq(fclose(out), 0);
        ck_assert(bytes_is_utf8(bytes_of(written, written_bytes)));
        for (size_t i = 0; i < written_bytes; i++)
            ck_assert((uint8_t)written[i] >= 0x20 && strchr("<>\"'", written[i]) == NULL);
        free(written);
    }
}
END_TEST

START_TEST(numbers_and_times) {
    FILE *out = begin();
    html_number(0.78188, 4, out);
    html_number((double)NAN, 4, out);
    html_number((double)INFINITY, 4, out);
    fputc(' ', out);
    html_count(7, out);
    fputc(' ', out);
    html_count(1234567, out);
    fputc(' ', out);
    html_count(UINT64_MAX, out);
    end_with(out, "0.7819-- 7 1,234,567 18,446,744,073,709,551,615");
    out = begin();
    html_time(1259653500999, out);
    html_time(-1, out);
    html_time(INT64_MIN, out);
    end_with(out, "<time datetime=\"2009-12-01T07:45:00Z\">2009-12-01 07:45</time>--");
}
END_TEST

static void part(void *self, const char *name, FILE *out) {
    fprintf(out, "%s:%s", (const char *)self, name);
}

START_TEST(parts_of_a_page) {
    FILE *out = begin();
    page_write("<p>{{one}} { } {{two}}</p>", part, "x", out);
    end_with(out, "<p>x:one { } x:two</p>");
    out = begin();
    page_write(report_page, part, "", out);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_ptr_null(strstr(written, "{{"));
    ck_assert_ptr_nonnull(strstr(written, "--series-1"));
    ck_assert_ptr_nonnull(strstr(written, "Chart.js v3"));
    free(written);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("html");
    TCase *cases = tcase_create("html");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, text_is_shown, 0, (int)(sizeof texts / sizeof *texts));
    tcase_add_test(cases, any_bytes_are_shown);
    tcase_add_test(cases, numbers_and_times);
    tcase_add_test(cases, parts_of_a_page);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
