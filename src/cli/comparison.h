/* Two finished replays of one recording, held against each other: figures, intervals, settings. For compare and report. */
#ifndef CLI_COMPARISON_H
#define CLI_COMPARISON_H

#include "cli/paired.h"
#include "config/settings.h"

/* One figure, named as replay --json and compare name it. NaN where a side has none. */
struct figure {
    const char *name;
    double a, b;
    bool has_interval; /* only of two sides */
    struct paired_interval interval;
};
#define FIGURES_MAX 40

/* The figures of both sides, those with an interval first; returns how many. b and paired NULL: of one side alone. */
uint32_t comparison_figures(const struct evaluation *a, const struct evaluation *b,
                            const struct paired_result *paired, struct figure out[FIGURES_MAX]);
/* Whether the interval lies on one side of 0. */
bool comparison_sure(const struct figure *figure);

/* Calls show() for each setting that differs. */
typedef void show_setting(void *self, const char *path, const char *a, const char *b);
void comparison_settings(const struct settings *a, const struct settings *b, show_setting *show,
                         void *self);

#endif
