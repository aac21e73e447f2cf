#include "cli/screen_text.h"
#include "base/printable.h"
#include <locale.h>
#include <string.h>
#include <wchar.h>

#define GLYPH_BYTES 16
#define MARKS_MAX 4 /* combining marks on one character; more only smear the lines around it */
#define ZERO_WIDTH_JOINER 0x200Du /* joins emoji */

void screen_text_start(void) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 != (locale_t)0)
        uselocale(utf8);
}

/* The character at byte `at` as it will be shown; returns its columns. *used: bytes of the text. */
static int glyph(struct bytes text, size_t at, char out[GLYPH_BYTES], size_t *used) {
    uint32_t point = printable_next(text, at, used);
    if (point == NO_CHARACTER) {
        strcpy(out, "\xEF\xBF\xBD"); /* U+FFFD */
        return 1;
    }
    int columns = wcwidth((wchar_t)point);
    if ((printable_hides(point) && point != ZERO_WIDTH_JOINER) || columns < 0)
        return snprintf(out, GLYPH_BYTES, "[U+%04X]", point);
    memcpy(out, text.data + at, *used);
    out[*used] = '\0';
    return columns;
}

/* Up to `width` columns, without the mark of a cut; *whole: nothing is left. */
static int run(struct bytes text, int width, FILE *out, bool *whole) {
    char shown[GLYPH_BYTES];
    int columns = 0, marks = 0;
    size_t at = 0, used;
    for (; at < text.len; at += used) {
        int takes = glyph(text, at, shown, &used);
        marks = takes == 0 ? marks + 1 : 0;
        if (columns + takes > width)
            break;
        if (out != NULL && marks <= MARKS_MAX)
            fputs(shown, out);
        columns += takes;
    }
    *whole = at == text.len;
    return columns;
}

int screen_text(const char *text, int width, FILE *out) {
    return screen_bytes(bytes_text(text), width, out);
}

int screen_bytes(struct bytes text, int width, FILE *out) {
    bool whole;
    if (width <= 0)
        return 0;
    int columns = run(text, width, NULL, &whole);
    if (whole)
        return out == NULL ? columns : run(text, width, out, &whole);
    columns = run(text, width - 1, out, &whole);
    if (out != NULL)
        fputs("\xE2\x80\xA6", out);
    return columns + 1;
}
