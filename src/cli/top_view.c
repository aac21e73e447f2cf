#include "cli/top_view.h"
#include "cli/top_lists.h"
#include "ops/human.h"
#include <string.h>

#define PROBLEMS_SMALL 3
#define PROBLEMS_MAX 8
#define GOOD_SIGN "\xE2\x9C\x93"
#define WARN_SIGN "!"
#define BAD_SIGN "\xE2\x9C\x97"

static void title(struct picture *p, const json_t *status) {
    char up[HUMAN_BYTES], at[16];
    double now_ms = status_number(status, "now_ms");
    picture_say(p, STRONG, "coldstream ");
    picture_put(p, STRONG, 24, status_text(status, "application"));
    picture_say(p, SOFT, "  ");
    picture_put(p, SOFT, 24, status_text(status, "version"));
    picture_say(p, SOFT, "  %s UTC  up %s%s", status_clock(now_ms, at),
                human_span((now_ms - status_number(status, "started_ms")) / 1000, up),
                json_is_true(json_object_get(status, "synthetic")) ? "  synthetic data" : "");
    picture_line(p);
}

static void indented(struct picture *p, const char *text) {
    picture_say(p, SOFT, "    ");
    picture_put(p, SOFT, p->columns, text);
    picture_line(p);
}

static void remedy(struct picture *p, const json_t *one) {
    char text[400];
    const char *see = status_text(one, "see");
    snprintf(text, sizeof text, "%s%s%.60s", status_text(one, "remedy"),
             *see != '\0' ? "; docs/RUNBOOK.md, " : "", see);
    indented(p, text);
}

static void problem(struct picture *p, const json_t *one) {
    bool bad = strcmp(status_text(one, "level"), "bad") == 0;
    const char *where = status_text(one, "where");
    picture_say(p, bad ? WRONG : WARNING, "%s ", bad ? BAD_SIGN : WARN_SIGN);
    picture_put(p, PLAIN, 80, where);
    picture_say(p, PLAIN, "%s", *where ? ": " : "");
    picture_put(p, PLAIN, p->columns, status_text(one, "text"));
    picture_line(p);
}

static void away_for(struct picture *p, const char *away, double seconds) {
    char span[HUMAN_BYTES];
    picture_say(p, WRONG, "%s No stage answers; what is below is %s old", BAD_SIGN,
                human_span(seconds, span));
    picture_line(p);
    indented(p, away);
}

/* The sentence is the first problem; a small window has no room for the others' remedies. */
static void headline(struct picture *p, const json_t *verdict) {
    const char *level = status_text(verdict, "level"), *sign = WARN_SIGN;
    enum ink ink = WARNING;
    size_t index;
    const json_t *one;
    if (strcmp(level, "good") == 0) {
        ink = GOOD;
        sign = GOOD_SIGN;
    } else if (strcmp(level, "bad") == 0) {
        ink = WRONG;
        sign = BAD_SIGN;
    }
    picture_say(p, ink, "%s ", sign);
    picture_put(p, ink, p->columns, status_text(verdict, "text"));
    picture_line(p);
    json_array_foreach(json_object_get(verdict, "problems"), index, one) {
        if (index == (p->rows < 40 ? PROBLEMS_SMALL : PROBLEMS_MAX))
            break;
        if (index > 0)
            problem(p, one);
        if (index == 0 || p->rows >= 40)
            remedy(p, one);
    }
}

static void name(struct picture *p, const char *words) {
    picture_left(p, SOFT, 6, words);
}

static void figures(struct picture *p, const json_t *status) {
    const json_t *epoch = json_object_get(status, "epoch"),
                 *rates = json_object_get(status, "rates");
    const json_t *totals = json_object_get(status, "totals");
    const json_t *latency = json_object_get(status, "listing_latency_ms");
    const json_t *phases = json_object_get(epoch, "phases_ms");
    char a[HUMAN_BYTES], b[HUMAN_BYTES], c[HUMAN_BYTES], d[HUMAN_BYTES];
    name(p, "state");
    picture_put(p, STRONG, 40, status_text(status, "reason"));
    picture_say(p, PLAIN, "  epoch %s ", human_number(status_number(epoch, "number"), a));
    picture_put(p, PLAIN, 10, status_text(epoch, "kind"));
    picture_say(p, PLAIN, "  %s/s  aborted %s  memory %s",
                human_number(status_number(epoch, "epochs_per_s"), b),
                human_number(status_number(epoch, "aborted"), c),
                status_size(json_object_get(status, "memory"), "rss_bytes", d));
    picture_line(p);
    name(p, "epoch");
    picture_say(p, PLAIN, "collect %s  apply %s  publish %s  commit %s",
                status_millis(phases, "collect", a), status_millis(phases, "apply", b),
                status_millis(phases, "publish", c), status_millis(phases, "commit", d));
    picture_line(p);
    name(p, "rates");
    picture_say(p, PLAIN, "events %s/s  labelled %s/s  listings %s/s",
                human_number(status_number(rates, "events_per_s"), a),
                human_number(status_number(rates, "labelled_per_s"), b),
                human_number(status_number(rates, "listings_per_s"), c));
    picture_line(p);
    name(p, "SIDs");
    picture_say(p, PLAIN, "of new listings after %s, p99 %s", status_millis(latency, "p50", a),
                status_millis(latency, "p99", b));
    picture_line(p);
    name(p, "totals");
    picture_say(p, PLAIN, "events %s  parked %s  dead %s",
                human_number(status_number(totals, "events"), a),
                human_number(status_number(totals, "parked"), b),
                human_number(status_number(totals, "dead_letters"), c));
    picture_say(p, PLAIN, "  items %s, with SID %s",
                human_number(status_number(totals, "items"), a),
                human_number(status_number(totals, "onboarded"), b));
    picture_line(p);
}

/* ---- the lists share the rows that are left ---- */

typedef int list_rows(const json_t *status);
typedef void list_show(struct picture *picture, const json_t *status, int rows);

static const struct list {
    list_rows *wants; /* with its heading; 0: nothing to show */
    list_show *show;
    int least; /* of these it gets as many as it wants, before any gets more */
} lists[] = {
    {inputs_rows, inputs_show, 4},     {ranking_rows, ranking_show, 1},
    {listings_rows, listings_show, 4}, {dead_rows, dead_show, 2},
    {codes_rows, codes_show, 6},       {outputs_rows, outputs_show, 0},
    {memory_rows, memory_show, 0},
};
#define LISTS (sizeof lists / sizeof lists[0])

/* How many rows each has: its least first, then one more at a time in turn. A heading alone says nothing. */
static void share(const json_t *status, int rows, int given[LISTS]) {
    int wants[LISTS];
    bool more = true;
    for (size_t i = 0; i < LISTS; i++) {
        wants[i] = lists[i].wants(status);
        given[i] = wants[i] < lists[i].least ? wants[i] : lists[i].least;
        given[i] = given[i] < rows ? given[i] : rows;
        rows -= given[i];
    }
    while (rows > 0 && more) {
        more = false;
        for (size_t i = 0; i < LISTS && rows > 0; i++)
            if (given[i] < wants[i] && (given[i] > 0 || rows > 1)) {
                int step = given[i] == 0 && wants[i] > 1 ? 2 : 1;
                given[i] += step;
                rows -= step;
                more = true;
            }
    }
}

void top_view(struct picture *p, const json_t *status, const char *away, double away_s) {
    int given[LISTS];
    title(p, status);
    if (away != NULL)
        away_for(p, away, away_s);
    else
        headline(p, json_object_get(status, "verdict"));
    figures(p, status);
    share(status, p->rows - p->row - (p->live ? 1 : 0), given);
    for (size_t i = 0; i < LISTS; i++)
        if (given[i] > 0)
            lists[i].show(p, status, given[i]);
    if (!p->live)
        return;
    while (p->row < p->rows - 1)
        picture_line(p);
    picture_say(p, SOFT, "q quits");
    picture_line(p);
}
