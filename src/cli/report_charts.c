#include "cli/report_charts.h"
#include "web/html.h"
#include <math.h>

static double value_at(const struct report *r, const struct chart_line *line, uint32_t side,
                       uint32_t k) {
    const struct moment *moment = &r->side[side].timeline.moments[k];
    return moment->there ? line->value(moment, line->index) : (double)NAN;
}

/* How many points the chart has; *not_zero: how many of them are not 0. */
static uint32_t count_points(const struct report *r, const struct chart *chart,
                             uint32_t *not_zero) {
    uint32_t points = 0;
    *not_zero = 0;
    for (uint32_t l = 0; l < chart->line_count; l++)
        for (uint32_t s = 0; s < r->sides; s++)
            for (uint32_t k = 0; k < MOMENTS; k++) {
                double value = value_at(r, &chart->lines[l], s, k);
                points += isfinite(value);
                *not_zero += isfinite(value) && value != 0;
            }
    return points;
}

bool report_chart_has(const struct report *r, const struct chart *chart) {
    uint32_t not_zero;
    (void)count_points(r, chart, &not_zero);
    return not_zero > 0;
}

/* "cold A"; where there is one quantity, the side alone says which line it is. */
static void write_name(const struct report *r, const struct chart *chart, uint32_t l, uint32_t s,
                       FILE *out) {
    if (r->sides == 2 && chart->line_count == 1)
        fputs(report_side_name(r, s) + 1, out);
    else
        fprintf(out, "%s%s", chart->lines[l].name, report_side_name(r, s));
}

/* What the lines do, in words, for those who do not see them. */
static void write_words(const struct report *r, const struct chart *chart, FILE *out) {
    fprintf(out, "Lines over time: %s.", chart->title);
    for (uint32_t l = 0; l < chart->line_count; l++)
        for (uint32_t s = 0; s < r->sides; s++) {
            double first = (double)NAN, last = (double)NAN;
            for (uint32_t k = 0; k < MOMENTS; k++) {
                double value = value_at(r, &chart->lines[l], s, k);
                if (!isfinite(first))
                    first = value;
                if (isfinite(value))
                    last = value;
            }
            if (!isfinite(first))
                continue;
            fputc(' ', out);
            write_name(r, chart, l, s, out);
            fprintf(out, ": from %.*f to %.*f.", chart->digits, first, chart->digits, last);
        }
}

static void write_head(const struct report *r, const struct chart *chart, FILE *out) {
    fputs("<thead><tr><th scope=\"col\">until (UTC)</th>", out);
    for (uint32_t l = 0; l < chart->line_count; l++)
        for (uint32_t s = 0; s < r->sides; s++) {
            bool single = chart->line_count == 1;
            fprintf(out, "<th scope=\"col\" data-colour=\"%u\"%s>", single ? s + 1 : l + 1,
                    s == 1 ? " data-dash" : "");
            write_name(r, chart, l, s, out);
            fputs("</th>", out);
        }
    fputs("</tr></thead>\n", out);
}

static void write_rows(const struct report *r, const struct chart *chart, FILE *out) {
    fputs("<tbody>\n", out);
    for (uint32_t k = 0; k < MOMENTS; k++) {
        const struct moment *a = &r->side[0].timeline.moments[k],
                            *b = &r->side[r->sides - 1].timeline.moments[k];
        if (!a->there && !b->there)
            continue;
        fputs("<tr><th scope=\"row\">", out);
        html_time(a->there ? a->time_ms : b->time_ms, out);
        fputs("</th>", out);
        for (uint32_t l = 0; l < chart->line_count; l++)
            for (uint32_t s = 0; s < r->sides; s++) {
                fputs("<td>", out);
                html_number(value_at(r, &chart->lines[l], s, k), chart->digits, out);
                fputs("</td>", out);
            }
        fputs("</tr>\n", out);
    }
    fputs("</tbody>", out);
}

void report_chart(const struct report *r, const struct chart *chart, FILE *out) {
    uint32_t not_zero;
    if (count_points(r, chart, &not_zero) == 0) {
        fprintf(
            out,
            "<p class=\"note\"><strong>%s</strong>: no points, there were too few events.</p>\n",
            chart->title);
        return;
    }
    fprintf(out,
            "<figure class=\"chart\" data-chart=\"lines\" data-digits=\"%d\" data-min=\"%s\" "
            "data-max=\"%s\"%s>\n<figcaption><strong>%s</strong>",
            chart->digits, chart->min, chart->max, chart->steps ? " data-steps" : "", chart->title);
    if (chart->note != NULL)
        fprintf(out, " %s", chart->note);
    fputs("</figcaption>\n<div class=\"plot\"><canvas role=\"img\" aria-label=\"", out);
    write_words(r, chart, out);
    fputs("\"></canvas></div>\n<details><summary>The numbers</summary><div class=\"scroll\" "
          "tabindex=\"0\"><table>\n",
          out);
    fprintf(out, "<caption class=\"hidden\">%s</caption>\n", chart->title);
    write_head(r, chart, out);
    write_rows(r, chart, out);
    fputs("</table></div></details>\n</figure>\n", out);
}

void report_bars(const char *title, const char *table, const char *key, const char *base,
                 FILE *out) {
    fprintf(
        out,
        "<figure class=\"chart\" data-chart=\"bars\" data-table=\"%s\" data-key=\"%s\" "
        "data-base=\"%s\">\n<figcaption><strong>%s</strong></figcaption>\n<div class=\"plot\">"
        "<canvas role=\"img\" aria-label=\"Bars: %s. The numbers are in the table of all events.\">"
        "</canvas></div>\n</figure>\n",
        table, key, base, title, title);
}
