/* Charts over a replay's time, each with its table: one line per quantity and side. */
#ifndef CLI_REPORT_CHARTS_H
#define CLI_REPORT_CHARTS_H

#include "cli/report.h"

/* NaN: the moment has no point. */
typedef double moment_value(const struct moment *moment, uint32_t index);

struct chart_line {
    const char *name;
    moment_value *value;
    uint32_t index;
};
#define CHART_LINES_MAX 6 /* as many as there are colours */
struct chart {
    const char *title, *note; /* note: NULL: none */
    uint32_t line_count;
    struct chart_line lines[CHART_LINES_MAX];
    int digits;
    const char *min, *max; /* of the axis; "": by the values */
    bool steps;            /* values hold until the next one */
};
/* A chart without a point is a sentence that says so. */
void report_chart(const struct report *report, const struct chart *chart, FILE *out);
/* Whether the chart has a point other than 0. */
bool report_chart_has(const struct report *report, const struct chart *chart);

/* Bars of the columns with this key in the table with this id; they begin at `base`. */
void report_bars(const char *title, const char *table, const char *key, const char *base,
                 FILE *out);

#endif
