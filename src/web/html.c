#include "web/html.h"
#include "base/printable.h"
#include <inttypes.h>
#include <math.h>
#include <time.h>

#define ZERO_WIDTH_JOINER 0x200Du /* joins emoji */

static void put_char(uint32_t point, struct bytes raw, FILE *out) {
    if (point == NO_CHARACTER)
        fputs("\xEF\xBF\xBD", out); /* U+FFFD */
    else if (point == '&' || point == '<' || point == '>' || point == '"' || point == '\'')
        fprintf(out, "&#%u;", point);
    else if (printable_hides(point) && point != ZERO_WIDTH_JOINER)
        fprintf(out, "[U+%04X]", point);
    else
        fwrite(raw.data, 1, raw.len, out);
}

void html_text(struct bytes text, FILE *out) {
    for (size_t at = 0, used; at < text.len; at += used) {
        uint32_t point = printable_next(text, at, &used);
        put_char(point, bytes_of(text.data + at, used), out);
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
