#include "web/html.h"
#include <inttypes.h>
#include <math.h>
#include <time.h>

#define REPLACEMENT 0xFFFDu

/* One code point, and how many bytes it takes; REPLACEMENT and 1 for what is no UTF-8 (RFC 3629: no overlong forms, no surrogates). */
static size_t decode(struct bytes text, size_t at, uint32_t *code) {
    const uint8_t *p = text.data + at;
    size_t left = text.len - at, len = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *code = p[0];
    if (len == 1)
        return 1;
    *code = p[0] & (0x7Fu >> len);
    bool valid = p[0] >= 0xC2 && p[0] <= 0xF4 && len <= left;
    for (size_t i = 1; valid && i < len; i++) {
        valid = (p[i] & 0xC0) == 0x80;
        *code = *code << 6 | (p[i] & 0x3Fu);
    }
    if (valid && *code >= least[len] && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF))
        return len;
    *code = REPLACEMENT;
    return 1;
}

static bool steers(uint32_t c) {
    return (c >= 0x80 && c <= 0x9F) || c == 0x00AD || c == 0x061C || c == 0x180E ||
           (c >= 0x200B && c <= 0x200F && c != 0x200D) || /* U+200D joins emoji */
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFB) || (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF) ||
           (c >= 0xE0000 && c <= 0xE007F);
}

static void put_utf8(uint32_t c, FILE *out) {
    if (c < 0x80) {
        fputc((int)c, out);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint32_t heads[] = {0, 0xC0, 0xE0, 0xF0};
    fputc((int)(heads[more] | c >> 6 * more), out);
    while (more-- > 0)
        fputc((int)(0x80 | (c >> 6 * more & 0x3F)), out);
}

static void put_char(uint32_t c, FILE *out) {
    if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
        fprintf(out, "&#%u;", c);
    else if (c < 0x20)
        put_utf8(0x2400 + c, out);
    else if (c == 0x7F)
        put_utf8(0x2421, out);
    else if (steers(c))
        fprintf(out, "[U+%04X]", c);
    else
        put_utf8(c, out);
}

void html_text(struct bytes text, FILE *out) {
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        at += decode(text, at, &code);
        put_char(code, out);
    }
}

void html_number(double x, int digits, FILE *out) {
    if (isfinite(x))
        fprintf(out, "%.*f", digits, x);
    else
        fputc('-', out);
}

void html_count(uint64_t n, FILE *out) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        fputc(digits[i], out);
        if (i + 1 < len && (len - 1 - i) % 3 == 0)
            fputc(',', out);
    }
}

void html_time(int64_t time_ms, FILE *out) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm when;
    char machine[32], people[32];
    if (time_ms < 0 || gmtime_r(&seconds, &when) == NULL ||
        strftime(machine, sizeof machine, "%Y-%m-%dT%H:%M:%SZ", &when) == 0 ||
        strftime(people, sizeof people, "%Y-%m-%d %H:%M", &when) == 0)
        fputc('-', out);
    else
        fprintf(out, "<time datetime=\"%s\">%s</time>", machine, people);
}
