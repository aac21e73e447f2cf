#include "cli/screen_text.h"
#include <limits.h>
#include <locale.h>
#include <string.h>
#include <wchar.h>

#define GLYPH_BYTES 24
#define MARKS_MAX 4 /* combining marks on one character; more only smear the lines around it */

void screen_text_start(void) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 != (locale_t)0)
        uselocale(utf8);
}

static int invisible(wchar_t c) {
    return (c >= 0x80 && c <= 0x9F) || c == 0x061C || c == 0x200B || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x2069) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

/* One character as it will be shown; returns its columns. *bytes: how much of text it was. */
static int glyph(const char *text, char out[GLYPH_BYTES], size_t *bytes) {
    wchar_t c;
    mbstate_t state = {0};
    size_t length = mbrtowc(&c, text, strlen(text), &state);
    if (length == (size_t)-1 || length == (size_t)-2) {
        *bytes = 1;
        strcpy(out, "\xEF\xBF\xBD"); /* U+FFFD */
        return 1;
    }
    *bytes = length;
    if (c < 0x20 || c == 0x7F) {
        snprintf(out, GLYPH_BYTES, "\xE2\x90%c", c == 0x7F ? 0xA1 : 0x80 + (int)c);
        return 1;
    }
    int columns = wcwidth(c);
    if (invisible(c) || columns < 0)
        return snprintf(out, GLYPH_BYTES, "[U+%04X]", (unsigned)c);
    memcpy(out, text, length);
    out[length] = '\0';
    return columns;
}

/* Up to `width` columns, without the mark of a cut; *whole: nothing is left. */
static int run(const char *text, int width, FILE *out, int *whole) {
    char shown[GLYPH_BYTES];
    int used = 0, marks = 0;
    size_t bytes;
    for (; *text != '\0'; text += bytes) {
        int columns = glyph(text, shown, &bytes);
        marks = columns == 0 ? marks + 1 : 0;
        if (used + columns > width)
            break;
        if (out != NULL && marks <= MARKS_MAX)
            fputs(shown, out);
        used += columns;
    }
    *whole = *text == '\0';
    return used;
}

int screen_text(const char *text, int width, FILE *out) {
    int whole;
    if (width <= 0)
        return 0;
    int used = run(text, width, NULL, &whole);
    if (whole)
        return out == NULL ? used : run(text, width, out, &whole);
    used = run(text, width - 1, out, &whole);
    if (out != NULL)
        fputs("\xE2\x80\xA6", out);
    return used + 1;
}
