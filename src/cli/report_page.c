/* The report's head, its tables of what was replayed and of what came in, and the page as a whole. */
#include "cli/commands.h"
#include "cli/report_charts.h"
#include "web/html.h"
#include "web/page.h"
#include <math.h>
#include <string.h>

static void text(const char *words, FILE *out) {
    html_text(bytes_text(words), out);
}

static void number_cell(double x, int digits, FILE *out) {
    fputs("<td>", out);
    html_number(x, digits, out);
    fputs("</td>", out);
}

static void count_cell(uint64_t n, FILE *out) {
    fputs("<td>", out);
    html_count(n, out);
    fputs("</td>", out);
}

static const char *variant_of(const struct report *r, uint32_t s) {
    return ranker_variant_names[r->side[s].session.settings.ranker.variant];
}

/* ---- head ---- */

/* The folder's own name; its path is among the facts. */
static void name_of(const struct report *r, uint32_t side, FILE *out) {
    const char *dir = r->side[side].dir;
    size_t end = strlen(dir), begin;
    while (end > 1 && dir[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && dir[begin - 1] != '/';)
        begin--;
    html_text(bytes_of(dir + begin, end - begin), out);
}

static void title(struct report *r, FILE *out) {
    fputs("coldstream: ", out);
    name_of(r, 0, out);
    if (r->sides == 2) {
        fputs(" and ", out);
        name_of(r, 1, out);
    }
}

void report_head(struct report *r, FILE *out) {
    const struct timeline *t = &r->side[0].timeline;
    fprintf(out, "<p class=\"soft\">coldstream report</p>\n<h1>%s<bdi>",
            r->sides == 2 ? "Two replays compared: A " : "Replay ");
    name_of(r, 0, out);
    if (r->sides == 2) {
        fputs("</bdi>, B <bdi>", out);
        name_of(r, 1, out);
    }
    fputs("</bdi></h1>\n<p>", out);
    html_count(report_end(r, 0)->totals.events, out);
    fputs(" records from ", out);
    html_time(t->first_ms, out);
    fputs(" to ", out);
    html_time(t->last_ms, out);
    fputs(" UTC, model ", out);
    for (uint32_t s = 0; s < r->sides; s++)
        fprintf(out, "%s<strong>%s</strong>%s", s == 1 ? " and " : "", variant_of(r, s),
                report_side_name(r, s));
    fputs(".</p>\n", out);
    if (r->side[0].session.info.synthetic)
        fputs(
            "<p class=\"warn\">Synthetic data: a generated marketplace, not real behaviour.</p>\n",
            out);
}

/* ---- cards ---- */

struct card {
    const char *name;
    double values[2];
    int digits; /* -1: a count */
    const char *more;
};

static void write_value(const struct card *card, uint32_t side, FILE *out) {
    if (card->digits < 0 && isfinite(card->values[side]))
        html_count((uint64_t)card->values[side], out);
    else
        html_number(card->values[side], card->digits, out);
}

static void write_card(const struct report *r, const struct card *card, FILE *out) {
    fprintf(out, "<li class=\"card\"><span class=\"name\">%s</span>", card->name);
    for (uint32_t s = 0; s < r->sides; s++) {
        fputs("<span class=\"value\">", out);
        if (r->sides == 2)
            fprintf(out, "<span class=\"soft\">%s</span> ", report_side_name(r, s) + 1);
        write_value(card, s, out);
        fputs("</span>", out);
    }
    fprintf(out, "<span class=\"more\">%s</span></li>\n", card->more);
}

static double kept(const struct report *r, uint32_t side, const char *name) {
    const json_t *value = json_object_get(r->side[side].summary, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

void report_cards(struct report *r, FILE *out) {
    struct card cards[] = {
        {.name = "AUC", .digits = 4, .more = "all events"},
        {.name = "Cold AUC", .digits = 4, .more = "items shown under 100 times"},
        {.name = "GAUC", .digits = 4, .more = "within each user"},
        {.name = "NE", .digits = 4, .more = "below 1 is better"},
        {.name = "Items with a SID", .digits = -1, .more = "at the end"},
        {.name = "SIDs of their own", .digits = 4, .more = "share of the items"},
        {.name = "SID churn", .digits = 4, .more = "share of the items, per day"},
        {.name = "Dead letters", .digits = -1, .more = "could not be used"},
        {.name = "Throughput", .digits = -1, .more = "events a second"},
    };
    for (uint32_t s = 0; s < r->sides; s++) {
        const struct evaluation *e = &report_end(r, s)->state;
        double values[] = {e->auc,
                           e->auc_cold,
                           e->gauc,
                           e->ne,
                           (double)e->onboarded,
                           e->sid_unique,
                           e->sid_churn_per_day,
                           (double)report_end(r, s)->totals.dead_letters,
                           kept(r, s, "events_per_s")};
        for (size_t c = 0; c < sizeof cards / sizeof *cards; c++)
            cards[c].values[s] = values[c];
    }
    fputs("<ul class=\"cards\">\n", out);
    for (size_t c = 0; c < sizeof cards / sizeof *cards; c++)
        write_card(r, &cards[c], out);
    fputs("</ul>\n", out);
}

/* ---- comparison ---- */

static void verdict(const struct figure *f, const char *name, FILE *out) {
    if (!isfinite(f->b - f->a))
        return;
    fprintf(out, "<p><strong>%s: B is %s by %.4f</strong> (95 %%: %+.4f to %+.4f): %s.</p>\n", name,
            f->b >= f->a ? "higher" : "lower", fabs(f->b - f->a), f->interval.low, f->interval.high,
            comparison_sure(f) ? "more than chance" : "that may be chance");
}

static void figure_row(const struct report *r, const struct figure *f, FILE *out) {
    fprintf(out, "<tr><th scope=\"row\"><code>%s</code></th>", f->name);
    number_cell(f->a, 4, out);
    if (r->sides == 2) {
        number_cell(f->b, 4, out);
        if (isfinite(f->b - f->a))
            fprintf(out, "<td>%+.4f</td>", f->b - f->a);
        else
            fputs("<td>-</td>", out);
        if (f->has_interval && isfinite(f->interval.low))
            fprintf(out, "<td class=\"text\">%+.4f to %+.4f%s</td>", f->interval.low,
                    f->interval.high, comparison_sure(f) ? " *" : "");
        else
            fputs("<td></td>", out);
    }
    fputs("</tr>\n", out);
}

static void figures_table(const struct report *r, FILE *out) {
    fputs("<div class=\"scroll\" tabindex=\"0\"><table id=\"figures\">\n<caption>At the end, named "
          "as "
          "in <code>replay --json</code></caption>\n<thead><tr><th scope=\"col\">figure</th>",
          out);
    if (r->sides == 2)
        fprintf(out,
                "<th scope=\"col\">A</th><th scope=\"col\">B</th><th scope=\"col\">B - A</th>"
                "<th scope=\"col\" class=\"text\">95 %% interval</th></tr></thead>\n<tbody>\n");
    else
        fputs("<th scope=\"col\">value</th></tr></thead>\n<tbody>\n", out);
    for (uint32_t i = 0; i < r->figure_count; i++)
        figure_row(r, &r->figures[i], out);
    fputs("</tbody></table></div>\n", out);
}

void report_comparison(struct report *r, FILE *out) {
    if (r->sides == 2) {
        fputs("<section aria-labelledby=\"h-compared\">\n<h2 id=\"h-compared\">A against B</h2>\n",
              out);
        verdict(&r->figures[PAIRED_AUC], "AUC", out);
        verdict(&r->figures[PAIRED_AUC_COLD], "AUC of cold items", out);
        figures_table(r, out);
        fprintf(out,
                "<p class=\"note\">* The interval leaves 0 out. It is the middle 95 %% of B - A "
                "over %d "
                "resamples of %llu users (paired bootstrap: both were scored on the same "
                "events).</p>\n",
                PAIRED_RESAMPLES, (unsigned long long)r->paired.users);
    } else {
        fputs("<section aria-label=\"All figures\">\n<details><summary>All figures</summary>\n",
              out);
        figures_table(r, out);
        fputs("</details>\n", out);
    }
    fputs("</section>\n", out);
}

/* ---- what was replayed ---- */

static void inputs_table(const struct timeline *t, FILE *out) {
    fputs(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"inputs\">\n<caption>Inputs</caption>\n"
        "<thead><tr><th scope=\"col\">topic</th><th scope=\"col\">partition</th><th "
        "scope=\"col\">records</th><th scope=\"col\">offsets</th></tr></thead>\n<tbody>\n",
        out);
    for (uint32_t i = 0; i < t->input_count; i++) {
        const struct timeline_input *in = &t->inputs[i];
        fprintf(out, "<tr><th scope=\"row\">%s</th><td>%d</td>", topic_name(in->topic),
                in->partition);
        count_cell(in->records, out);
        fprintf(out, "<td>%lld to %lld</td></tr>\n", (long long)in->first_offset,
                (long long)in->last_offset);
    }
    fputs("</tbody></table></div>\n", out);
    if (t->inputs_left_out > 0) {
        fputs("<p class=\"note\">and ", out);
        html_count(t->inputs_left_out, out);
        fputs(" records of more partitions</p>\n", out);
    }
}

static void fact(const char *name, const char *value, FILE *out) {
    fprintf(out, "<dt>%s</dt><dd>", name);
    text(value, out);
    fputs("</dd>\n", out);
}

static void side_facts(struct report_side *side, FILE *out) {
    char hex[DIGEST_HEX_BYTES];
    const struct timeline *t = &side->timeline;
    const struct stage_totals *totals = &t->moments[MOMENTS - 1].totals;
    const char *recording = json_string_value(json_object_get(side->summary, "recording"));
    fputs("<dl class=\"facts\">\n", out);
    if (recording != NULL)
        fact("recording", recording, out);
    fact("outputs", side->dir, out);
    fputs("<dt>stream</dt><dd>", out);
    html_time(t->first_ms, out);
    fputs(" to ", out);
    html_time(t->last_ms, out);
    fputs(" UTC</dd>\n<dt>records</dt><dd>", out);
    html_count(totals->events, out);
    fputs(" in ", out);
    html_count(totals->epochs, out);
    fputs(" epochs; ", out);
    html_count(totals->labelled, out);
    fputs(" with a label</dd>\n", out);
    fact("build", t->build, out);
    fact("BLAS core type", t->blas_core, out);
    fact("digest of all state", digest_hex(tables_digest(stage_tables(side->session.stage)), hex),
         out);
    fputs("</dl>\n", out);
}

static void setting_row(void *self, const char *path, const char *a, const char *b) {
    FILE *out = self;
    fprintf(out, "<tr><th scope=\"row\"><code>%s</code></th><td class=\"text\"><code>", path);
    text(a, out);
    fputs("</code></td><td class=\"text\"><code>", out);
    text(b, out);
    fputs("</code></td></tr>\n", out);
}

static void settings_table(const char *caption, const char *names[2], const struct settings *a,
                           const struct settings *b, FILE *out) {
    fprintf(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table "
        "class=\"settings\">\n<caption>%s</caption>\n<thead><tr>"
        "<th scope=\"col\">setting</th><th scope=\"col\" class=\"text\">%s</th><th scope=\"col\" "
        "class=\"text\">%s</th></tr></thead>\n<tbody>\n",
        caption, names[0], names[1]);
    comparison_settings(a, b, setting_row, out);
    fputs("</tbody></table></div>\n", out);
}

void report_replayed(struct report *r, FILE *out) {
    struct settings preset;
    settings_default(&preset);
    if (r->sides == 2)
        settings_table("Settings that differ between A and B", (const char *[]){"A", "B"},
                       &r->side[0].session.settings, &r->side[1].session.settings, out);
    for (uint32_t s = 0; s < r->sides; s++) {
        struct report_side *side = &r->side[s];
        if (r->sides == 2)
            fprintf(out, "<h3>%s</h3>\n", report_side_name(r, s) + 1);
        side_facts(side, out);
        inputs_table(&side->timeline, out);
        settings_table("Settings that are not the default; some are fitted to the recording",
                       (const char *[]){"here", "default"}, &side->session.settings, &preset, out);
    }
}

/* ---- the stream ---- */

static double records_of(const struct moment *m, uint32_t index) {
    (void)index;
    return m->days > 0 ? (double)m->records / m->days : (double)NAN;
}
static double dead_of(const struct moment *m, uint32_t index) {
    (void)index;
    return (double)m->dead_letters;
}
static double rows_of(const struct moment *m, uint32_t index) {
    (void)index;
    return m->records > 0 ? (double)m->rows / (double)m->records : (double)NAN;
}

static void run_words(const struct report *r, uint32_t s, FILE *out) {
    fprintf(out, "<p>%s%s", r->sides == 2 ? report_side_name(r, s) + 1 : "",
            r->sides == 2 ? ": " : "");
    if (isfinite(kept(r, s, "events_per_s"))) {
        html_count((uint64_t)kept(r, s, "events_per_s"), out);
        fprintf(out, " events a second (%.1f s), ", kept(r, s, "seconds"));
        fprintf(out, "%.0f MB of memory at most, %s kernels. ", kept(r, s, "peak_rss_bytes") / 1e6,
                r->side[s].timeline.blas_core);
    } else
        fputs("How long it took was not kept with these outputs. ", out);
    html_count(r->side[s].timeline.rows, out);
    fputs(" rows were published.</p>\n", out);
}

static void dead_row(const struct report *r, uint32_t reason, FILE *out) {
    const struct dead_example *dead = &r->side[0].dead[reason];
    if (!dead->there)
        dead = &r->side[r->sides - 1].dead[reason];
    fprintf(out, "<tr><th scope=\"row\">%s</th>", dead_reason_name((enum dead_reason)reason));
    for (uint32_t s = 0; s < r->sides; s++)
        count_cell(report_end(r, s)->totals.dead_by_reason[reason], out);
    fputs("<td class=\"text\">", out);
    if (dead->there) {
        text(dead->topic, out);
        fputs("-", out);
        text(dead->partition, out);
        fputs(", offset ", out);
        text(dead->offset, out);
        fputs(": <bdi>", out);
        text(dead->text, out);
        fputs("</bdi>", out);
    }
    fputs("</td></tr>\n", out);
}

static void dead_table(const struct report *r, FILE *out) {
    uint64_t dead = 0;
    for (uint32_t s = 0; s < r->sides; s++)
        dead += report_end(r, s)->totals.dead_letters;
    fputs("<h3>Dead letters</h3>\n", out);
    if (dead == 0) {
        fputs("<p class=\"good\">None: every record could be used.</p>\n", out);
        return;
    }
    fputs("<div class=\"scroll\" tabindex=\"0\"><table id=\"dead-letters\">\n<caption>Records that "
          "could "
          "not be used; the topic <code>dead-letter</code> has each with its reason</caption>\n"
          "<thead><tr><th scope=\"col\">reason</th>",
          out);
    for (uint32_t s = 0; s < r->sides; s++)
        fprintf(out, "<th scope=\"col\">records%s</th>", report_side_name(r, s));
    fputs("<th scope=\"col\" class=\"text\">the first one</th></tr></thead>\n<tbody>\n", out);
    for (uint32_t reason = 0; reason < DEAD_REASON_COUNT; reason++)
        if (report_end(r, 0)->totals.dead_by_reason[reason] +
                report_end(r, r->sides - 1)->totals.dead_by_reason[reason] >
            0)
            dead_row(r, reason, out);
    fputs("</tbody></table></div>\n", out);
}

static void counts_table(const struct report *r, FILE *out) {
    fputs("<div class=\"scroll\" tabindex=\"0\"><table id=\"counts\">\n<caption>Records = applied "
          "+ parked + "
          "dead letters</caption>\n<thead><tr><th scope=\"col\"></th><th "
          "scope=\"col\">records</th><th "
          "scope=\"col\">applied</th><th scope=\"col\">parked</th><th scope=\"col\">dead "
          "letters</th></tr>"
          "</thead>\n<tbody>\n",
          out);
    for (uint32_t s = 0; s < r->sides; s++) {
        const struct stage_totals *t = &report_end(r, s)->totals;
        fprintf(out, "<tr><th scope=\"row\">%s</th>",
                r->sides == 2 ? report_side_name(r, s) + 1 : "all");
        count_cell(t->events, out);
        count_cell(t->applied, out);
        count_cell(t->parked, out);
        count_cell(t->dead_letters, out);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void report_stream(struct report *r, FILE *out) {
    struct chart charts[] = {{.title = "Records a day of the stream's time",
                              .line_count = 1,
                              .lines = {{"records", records_of, 0}},
                              .min = "0",
                              .max = ""},
                             {.title = "Rows published per record",
                              .line_count = 1,
                              .lines = {{"rows", rows_of, 0}},
                              .digits = 2,
                              .min = "0",
                              .max = ""},
                             {.title = "Dead letters",
                              .line_count = 1,
                              .lines = {{"dead letters", dead_of, 0}},
                              .min = "0",
                              .max = ""}};
    for (uint32_t s = 0; s < r->sides; s++)
        run_words(r, s, out);
    counts_table(r, out);
    fputs("<div class=\"charts\">\n", out);
    for (size_t c = 0; c < sizeof charts / sizeof *charts; c++)
        if (report_chart_has(r, &charts[c]))
            report_chart(r, &charts[c], out);
    fputs("</div>\n", out);
    dead_table(r, out);
}

/* ---- the page ---- */

static void made(struct report *r, FILE *out) {
    (void)r;
    fputs("Made by coldstream ", out);
    text(program_version, out);
    fputs(" from the outputs of the replay alone. Everything is in this file; it asks nobody for "
          "anything. "
          "Charts: Chart.js (MIT).",
          out);
}

static void write_part(void *self, const char *name, FILE *out) {
    static const struct {
        const char *name;
        void (*write)(struct report *report, FILE *out);
    } parts[] = {{"title", title},
                 {"head", report_head},
                 {"cards", report_cards},
                 {"comparison", report_comparison},
                 {"replayed", report_replayed},
                 {"exposures", report_exposures},
                 {"ranking", report_ranking},
                 {"gate", report_gate},
                 {"sids", report_sids},
                 {"stream", report_stream},
                 {"stories", report_stories},
                 {"made", made}};
    size_t p = 0;
    while (p < sizeof parts / sizeof *parts && strcmp(parts[p].name, name) != 0)
        p++;
    ASSERT(p < sizeof parts / sizeof *parts);
    parts[p].write(self, out);
}

void report_write(struct report *report, FILE *out) {
    page_write(report_page, write_part, report, out);
}
