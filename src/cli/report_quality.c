/* The report's charts and tables of the model: ranking, gate, SIDs. */
#include "cli/report_charts.h"
#include "web/html.h"
#include <math.h>

/* NaN as well where the part has no point: its slice has no events then. */
static double point(const struct moment *m, uint32_t part, double value) {
    return m->parts[part].events > 0 ? value : (double)NAN;
}
static double auc_of(const struct moment *m, uint32_t part) {
    return point(m, part, m->parts[part].auc);
}
static double ne_of(const struct moment *m, uint32_t part) {
    return point(m, part, m->parts[part].ne);
}
static double gate_of(const struct moment *m, uint32_t part) {
    return point(m, part, m->parts[part].gate);
}

/* ---- by exposures ---- */

static const char *const part_names[] = {
    "all", "cold (under 100)", "warm (100 and more)", "0", "1-4", "5-19", "20-99", "100-499",
    "500+"};

static void exposures_head(const struct report *r, FILE *out) {
    static const struct {
        const char *key, *name;
    } columns[] = {{"events", "events"},
                   {"auc", "AUC"},
                   {"ne", "NE"},
                   {"calibration", "calibration"},
                   {"gate", "mean gate T"}};
    fputs("<thead><tr><th scope=\"col\">shown before</th>", out);
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        for (uint32_t s = 0; s < r->sides; s++)
            fprintf(
                out,
                "<th scope=\"col\" data-key=\"%s\" data-name=\"%s\" data-colour=\"%u\">%s%s</th>",
                columns[c].key, r->sides == 1 ? columns[c].name : report_side_name(r, s) + 1, s + 1,
                columns[c].name, report_side_name(r, s));
    fputs("</tr></thead>\n", out);
}

static void cell(double x, FILE *out) {
    fputs("<td>", out);
    html_number(x, 4, out);
    fputs("</td>", out);
}

static void exposures_row(const struct report *r, uint32_t part, FILE *out) {
    const struct score_slice *slices[2];
    for (uint32_t s = 0; s < r->sides; s++)
        slices[s] = timeline_part(&r->side[s].timeline.whole, part);
    fprintf(out, "<tr%s><th scope=\"row\">%s</th>",
            part < PART_BUCKETS ? " data-plot=\"none\"" : "", part_names[part]);
    for (uint32_t s = 0; s < r->sides; s++) {
        fputs("<td>", out);
        html_count(slices[s]->events, out);
        fputs("</td>", out);
    }
    for (uint32_t s = 0; s < r->sides; s++)
        cell(slices[s]->auc, out);
    for (uint32_t s = 0; s < r->sides; s++)
        cell(slices[s]->ne, out);
    for (uint32_t s = 0; s < r->sides; s++)
        cell(slices[s]->calibration, out);
    for (uint32_t s = 0; s < r->sides; s++)
        cell(slices[s]->gate, out);
    fputs("</tr>\n", out);
}

void report_exposures(struct report *r, FILE *out) {
    static const uint32_t order[] = {3, 4, 5, 6, 7, 8, PART_COLD, PART_WARM, PART_ALL};
    fputs("<div class=\"scroll\" tabindex=\"0\"><table id=\"by-exposure\">\n"
          "<caption>All events after the warm-up, by how often their item had been shown "
          "before</caption>\n",
          out);
    exposures_head(r, out);
    fputs("<tbody>\n", out);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        exposures_row(r, order[i], out);
    fputs("</tbody></table></div>\n", out);
}

/* ---- over time ---- */

static struct chart lines_of(const char *title, moment_value *value, uint32_t from, uint32_t to) {
    struct chart chart = {.title = title, .digits = 4, .min = "", .max = ""};
    for (uint32_t part = from; part < to; part++)
        chart.lines[chart.line_count++] =
            (struct chart_line){part == PART_COLD   ? "cold"
                                : part == PART_WARM ? "warm"
                                                    : part_names[part],
                                value, part};
    return chart;
}

/* Six lines on one chart; of two sides, six charts of two lines. */
static void by_exposures(const struct report *r, const char *what, moment_value *value, FILE *out) {
    char title[96];
    if (r->sides == 1) {
        snprintf(title, sizeof title, "%s over time, by times shown before", what);
        struct chart chart = lines_of(title, value, PART_BUCKETS, PART_BUCKETS + EXPOSURE_BUCKETS);
        report_chart(r, &chart, out);
        return;
    }
    for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++) {
        snprintf(title, sizeof title, "%s, shown %s times before", what, exposure_bucket_names[k]);
        struct chart chart = lines_of(title, value, PART_BUCKETS + k, PART_BUCKETS + k + 1);
        report_chart(r, &chart, out);
    }
}

void report_ranking(struct report *r, FILE *out) {
    struct chart auc = lines_of("AUC over time", auc_of, PART_ALL, PART_BUCKETS),
                 ne = lines_of("NE over time", ne_of, PART_ALL, PART_BUCKETS);
    fputs("<div class=\"charts\">\n", out);
    if (isfinite(r->side[0].timeline.whole.all.auc))
        report_bars("AUC of the whole stream, by times shown before", "by-exposure", "auc", "0.5",
                    out);
    report_chart(r, &auc, out);
    report_chart(r, &ne, out);
    by_exposures(r, "AUC", auc_of, out);
    by_exposures(r, "NE", ne_of, out);
    fputs("</div>\n", out);
}

void report_gate(struct report *r, FILE *out) {
    bool learned = false;
    for (uint32_t s = 0; s < r->sides; s++)
        learned = learned || isfinite(r->side[s].timeline.whole.all.gate);
    if (!learned) {
        fputs("<p>No gate was learned.</p>\n", out);
        return;
    }
    fputs("<div class=\"charts\">\n", out);
    report_bars("Mean gate T of the whole stream, by times shown before", "by-exposure", "gate",
                "0", out);
    by_exposures(r, "Mean gate T", gate_of, out);
    fputs("</div>\n", out);
}

/* ---- SIDs ---- */

/* Percent of the items a day. */
static double moves_of(const struct moment *m, uint32_t reason) {
    return m->days > 0 && m->state.onboarded > 0
               ? 100.0 * (double)m->moves[reason] / (double)m->state.onboarded / m->days
               : (double)NAN;
}
static double shared_of(const struct moment *m, uint32_t index) {
    (void)index;
    return 100.0 * (1 - m->state.sid_unique);
}
static double utilisation_of(const struct moment *m, uint32_t level) {
    return 100.0 * m->state.utilisation[level];
}
static double quantisation_of(const struct moment *m, uint32_t index) {
    (void)index;
    return m->state.quantisation_error;
}
static double generation_of(const struct moment *m, uint32_t index) {
    (void)index;
    return (double)m->state.generation;
}
static double version_of(const struct moment *m, uint32_t index) {
    (void)index;
    return (double)m->state.codebook_version;
}
static double items_of(const struct moment *m, uint32_t index) {
    (void)index;
    return (double)m->state.onboarded;
}

static const char *const level_names[SID_CODES] = {"RQ 1", "RQ 2", "RQ 3", "OPQ 1", "OPQ 2"};

static void utilisation_table(const struct report *r, FILE *out) {
    fputs("<div class=\"scroll\" tabindex=\"0\"><table id=\"levels\">\n<caption>Codebooks at the "
          "end</caption>\n"
          "<thead><tr><th scope=\"col\">level</th>",
          out);
    for (uint32_t s = 0; s < r->sides; s++)
        fprintf(out, "<th scope=\"col\">codes%s</th><th scope=\"col\">in use, %%%s</th>",
                report_side_name(r, s), report_side_name(r, s));
    fputs("</tr></thead>\n<tbody>\n", out);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        fprintf(out, "<tr><th scope=\"row\">%s</th>", level_names[l]);
        for (uint32_t s = 0; s < r->sides; s++) {
            fprintf(out, "<td>%u</td><td>", r->side[s].session.settings.books[l]);
            html_number(utilisation_of(report_end(r, s), l), 2, out);
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

enum { COLLISIONS = 1 }; /* in the list below */

static void sid_charts(const struct report *r, FILE *out) {
    struct chart levels = {
        .title = "Codes in use, % of each level", .digits = 2, .min = "0", .max = "100"};
    for (uint32_t l = 0; l < SID_CODES; l++)
        levels.lines[levels.line_count++] = (struct chart_line){level_names[l], utilisation_of, l};
    struct chart charts[] = {
        {.title = "Items with a SID",
         .line_count = 1,
         .lines = {{"items", items_of, 0}},
         .min = "0",
         .max = ""},
        {.title = "Collisions: % of the items that share all five codes with another one",
         .line_count = 1,
         .lines = {{"shared", shared_of, 0}},
         .digits = 2,
         .min = "0",
         .max = ""},
        {.title = "Quantisation error",
         .note = "What the codes leave of an item's vector: mean |z - decoded z|² over |z|².",
         .line_count = 1,
         .lines = {{"error", quantisation_of, 0}},
         .digits = 4,
         .min = "",
         .max = ""},
        levels};
    for (size_t c = 0; c < sizeof charts / sizeof *charts; c++)
        if (report_chart_has(r, &charts[c]))
            report_chart(r, &charts[c], out);
    if (!report_chart_has(r, &charts[COLLISIONS]))
        fputs("<p>No two items share all five codes.</p>\n", out);
}

static void changes_of_sids(const struct report *r, FILE *out) {
    struct chart churn = {.title = "Churn: % of the items whose SID changed, per day",
                          .line_count = 3,
                          .lines = {{"drift", moves_of, SID_DRIFT},
                                    {"content", moves_of, SID_CONTENT},
                                    {"generation", moves_of, SID_GENERATION}},
                          .digits = 4,
                          .min = "0",
                          .max = ""};
    struct chart generations = {.title = "Generation of encoder and codebooks",
                                .line_count = 1,
                                .lines = {{"generation", generation_of, 0}},
                                .min = "0",
                                .max = "",
                                .steps = true};
    struct chart versions = {.title = "Version of the codebooks",
                             .line_count = 1,
                             .lines = {{"version", version_of, 0}},
                             .min = "0",
                             .max = "",
                             .steps = true};
    if (report_chart_has(r, &churn))
        report_chart(r, &churn, out);
    if (report_end(r, 0)->state.releases + report_end(r, r->sides - 1)->state.releases > 0)
        report_chart(r, &generations, out);
    if (report_end(r, 0)->state.codebook_version > 1 ||
        report_end(r, r->sides - 1)->state.codebook_version > 1)
        report_chart(r, &versions, out);
    if (!report_chart_has(r, &churn))
        fputs("<p>No item's SID has ever changed.</p>\n", out);
}

void report_sids(struct report *r, FILE *out) {
    for (uint32_t s = 0; s < r->sides; s++) {
        const struct evaluation *e = &report_end(r, s)->state;
        fprintf(out,
                "<p>%s%sAt the end: generation %llu after %llu releases, codebook version %llu, "
                "%llu codes were reset.</p>\n",
                r->sides == 2 ? report_side_name(r, s) + 1 : "", r->sides == 2 ? ": " : "",
                (unsigned long long)e->generation, (unsigned long long)e->releases,
                (unsigned long long)e->codebook_version, (unsigned long long)e->codebook_resets);
    }
    utilisation_table(r, out);
    fputs("<div class=\"charts\">\n", out);
    sid_charts(r, out);
    changes_of_sids(r, out);
    fputs("</div>\n", out);
}
