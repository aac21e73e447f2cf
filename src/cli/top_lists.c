#include "cli/top_lists.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SORTED_MAX 1024 /* entries of a list that are sorted; more are not looked at */
#define MAP_COLUMNS 32
#define BUCKETS_MAX 8

/* ---- reading ---- */

double status_number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *status_text(const json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    return value != NULL ? value : "";
}

const char *status_size(const json_t *object, const char *name, char out[HUMAN_BYTES]) {
    double bytes = status_number(object, name);
    return bytes >= 0 && bytes < 1e18 ? human_size((uint64_t)bytes, out) : strcpy(out, "-");
}

const char *status_millis(const json_t *object, const char *name, char out[HUMAN_BYTES]) {
    double ms = status_number(object, name);
    if (!(ms < 1000))
        return human_span(ms / 1000, out);
    snprintf(out, HUMAN_BYTES, ms < 9.95 ? "%.1f ms" : "%.0f ms", ms);
    return out;
}

const char *status_clock(double time_ms, char out[16]) {
    struct tm when;
    time_t seconds = fabs(time_ms) < 1e15 ? (time_t)(time_ms / 1000) : 0;
    if (!(fabs(time_ms) < 1e15) || gmtime_r(&seconds, &when) == NULL ||
        strftime(out, 16, "%H:%M:%S", &when) == 0)
        return strcpy(out, "-");
    return out;
}

static const json_t *list_of(const json_t *status, const char *part, const char *name) {
    return json_object_get(part != NULL ? json_object_get(status, part) : status, name);
}

static int rows_of(const json_t *list) {
    size_t count = json_array_size(list);
    return count == 0 ? 0 : 1 + (int)(count < SORTED_MAX ? count : SORTED_MAX);
}

/* ---- what the lists have in common ---- */

struct sorted {
    const json_t *entry;
    double by;
};

static int by_most(const void *a, const void *b) {
    double x = ((const struct sorted *)a)->by, y = ((const struct sorted *)b)->by;
    return (x < y) - (x > y);
}

/* The entries with the most of `name` first, what has none last; returns how many. */
static int sort_by(const json_t *list, const char *name, struct sorted out[SORTED_MAX]) {
    size_t count = json_array_size(list) < SORTED_MAX ? json_array_size(list) : SORTED_MAX;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        double by = status_number(entry, name);
        out[i] = (struct sorted){entry, isfinite(by) ? by : -1};
    }
    qsort(out, count, sizeof *out, by_most);
    return (int)count;
}

static void number_cell(struct picture *p, int width, const json_t *entry, const char *name) {
    char text[HUMAN_BYTES];
    picture_right(p, PLAIN, width, human_number(status_number(entry, name), text));
}

static void decimals_cell(struct picture *p, int width, double x, int digits) {
    char text[HUMAN_BYTES] = "-";
    if (isfinite(x))
        snprintf(text, sizeof text, "%.*f", digits, x);
    picture_right(p, PLAIN, width, text);
}

static void percent_cell(struct picture *p, int width, double share) {
    char text[HUMAN_BYTES] = "-";
    if (isfinite(share))
        snprintf(text, sizeof text, "%.1f %%", 100 * share);
    picture_right(p, PLAIN, width, text);
}

/* How many of `count` entries fit under the heading, when a line that says what is missing needs one too. */
static int fitting(int count, int rows) {
    return count <= rows - 1 ? count : rows > 2 ? rows - 2 : rows - 1;
}

static void missing(struct picture *p, int count, int shown, int rows) {
    if (count > shown && rows > shown + 1) {
        picture_say(p, SOFT, "  ... and %d more", count - shown);
        picture_line(p);
    }
}

static int topic_columns(const struct picture *p) {
    return p->columns < 100 ? 30 : 44;
}

/* ---- inputs, outputs ---- */

int inputs_rows(const json_t *status) {
    return rows_of(list_of(status, NULL, "inputs"));
}

void inputs_show(struct picture *p, const json_t *status, int rows) {
    struct sorted sorted[SORTED_MAX];
    int count = sort_by(list_of(status, NULL, "inputs"), "lag_s", sorted);
    int shown = fitting(count, rows);
    picture_left(p, STRONG, topic_columns(p), "INPUT");
    picture_right(p, SOFT, 5, "part.");
    picture_right(p, SOFT, 11, "behind");
    picture_right(p, SOFT, 11, "records");
    picture_right(p, SOFT, 10, "per s");
    picture_right(p, SOFT, 15, p->columns < 100 ? "" : "position");
    picture_line(p);
    for (int i = 0; i < shown; i++) {
        const json_t *one = sorted[i].entry;
        char text[HUMAN_BYTES];
        double behind = status_number(one, "lag_s");
        picture_left(p, PLAIN, topic_columns(p), status_text(one, "topic"));
        number_cell(p, 5, one, "partition");
        picture_right(p,
                      behind >= 60   ? WRONG
                      : behind >= 10 ? WARNING
                                     : PLAIN,
                      11, human_span(behind, text));
        number_cell(p, 11, one, "lag");
        number_cell(p, 10, one, "records_per_s");
        if (p->columns >= 100)
            number_cell(p, 15, one, "position");
        picture_line(p);
    }
    missing(p, count, shown, rows);
}

int outputs_rows(const json_t *status) {
    return rows_of(list_of(status, NULL, "outputs"));
}

void outputs_show(struct picture *p, const json_t *status, int rows) {
    struct sorted sorted[SORTED_MAX];
    int count = sort_by(list_of(status, NULL, "outputs"), "records_per_s", sorted);
    int shown = fitting(count, rows);
    picture_left(p, STRONG, topic_columns(p), "OUTPUT");
    picture_right(p, SOFT, 29, "records");
    picture_right(p, SOFT, 10, "per s");
    picture_line(p);
    for (int i = 0; i < shown; i++) {
        picture_left(p, PLAIN, topic_columns(p), status_text(sorted[i].entry, "topic"));
        number_cell(p, 29, sorted[i].entry, "records");
        number_cell(p, 10, sorted[i].entry, "records_per_s");
        picture_line(p);
    }
    missing(p, count, shown, rows);
}

/* ---- ranking ---- */

int ranking_rows(const json_t *status) {
    return json_array_size(list_of(status, "quality", "buckets")) > 0 ? 4 : 1;
}

void ranking_show(struct picture *p, const json_t *status, int rows) {
    static const char *const names[] = {"auc", "gate"}, *const words[] = {"AUC", "gate"};
    const json_t *quality = json_object_get(status, "quality"), *bucket;
    const json_t *buckets = json_object_get(quality, "buckets");
    size_t index;
    picture_left(p, STRONG, 7, "RANKING");
    static const char *const figures[][2] = {{" AUC", "auc"},
                                             {" cold", "auc_cold"},
                                             {" GAUC", "gauc"},
                                             {" NE", "ne"},
                                             {" calibration", "calibration"}};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        picture_say(p, SOFT, "%s", figures[i][0]);
        decimals_cell(p, 7, status_number(quality, figures[i][1]), 4);
    }
    picture_line(p);
    if (rows < 4)
        return;
    picture_left(p, SOFT, 12, "shown before");
    json_array_foreach(buckets, index, bucket) if (index < BUCKETS_MAX)
        picture_right(p, SOFT, 8, status_text(bucket, "exposures"));
    picture_line(p);
    for (int n = 0; n < 2; n++) {
        picture_left(p, SOFT, 12, words[n]);
        json_array_foreach(buckets, index, bucket) if (index < BUCKETS_MAX)
            decimals_cell(p, 8, status_number(bucket, names[n]), 4);
        picture_line(p);
    }
}

/* ---- listings, dead letters ---- */

int listings_rows(const json_t *status) {
    return rows_of(list_of(status, NULL, "listings"));
}

void listings_show(struct picture *p, const json_t *status, int rows) {
    const json_t *list = list_of(status, NULL, "listings"), *one;
    size_t index;
    picture_left(p, STRONG, 8, "LISTINGS");
    picture_right(p, SOFT, 10, "SID after");
    picture_left(p, SOFT, 20, "SID");
    picture_left(p, SOFT, 14, "item");
    picture_left(p, SOFT, 10, "title");
    picture_line(p);
    json_array_foreach(list, index, one) {
        char text[HUMAN_BYTES];
        double ms = status_number(one, "latency_ms");
        if ((int)index >= rows - 1)
            break;
        picture_left(p, PLAIN, 8, status_clock(status_number(one, "arrived_ms"), text));
        picture_right(p,
                      ms > 10000  ? WRONG
                      : ms > 1000 ? WARNING
                                  : PLAIN,
                      10, status_millis(one, "latency_ms", text));
        picture_left(p, PLAIN, 20, status_text(one, "sid"));
        picture_left(p, PLAIN, 14, status_text(one, "item"));
        picture_put(p, PLAIN, p->columns, status_text(one, "title"));
        picture_line(p);
    }
}

int dead_rows(const json_t *status) {
    return 1 + (int)json_array_size(list_of(status, "dead_letters", "latest"));
}

void dead_show(struct picture *p, const json_t *status, int rows) {
    struct sorted sorted[SORTED_MAX];
    const json_t *dead = json_object_get(status, "dead_letters"), *count;
    int latest = sort_by(json_object_get(dead, "latest"), "time_ms", sorted);
    const char *reason;
    picture_left(p, STRONG, 12, "DEAD LETTERS");
    if (json_object_size(json_object_get(dead, "by_reason")) == 0)
        picture_say(p, SOFT, "none");
    json_object_foreach(json_object_get(dead, "by_reason"), reason, count) {
        char text[HUMAN_BYTES];
        picture_put(p, PLAIN, 24, reason);
        picture_say(p, PLAIN, " %s  ", human_number(json_number_value(count), text));
    }
    picture_line(p);
    for (int i = 0; i < latest && i < rows - 1; i++) {
        const json_t *one = sorted[i].entry;
        char text[HUMAN_BYTES], offset[HUMAN_BYTES], where[2 * HUMAN_BYTES + 4];
        snprintf(where, sizeof where, "/%s @%s", human_place(status_number(one, "partition"), text),
                 human_place(status_number(one, "offset"), offset));
        picture_left(p, PLAIN, 8, status_clock(status_number(one, "time_ms"), text));
        picture_left(p, WARNING, 10, status_text(one, "reason"));
        picture_put(p, PLAIN, 28, status_text(one, "topic"));
        picture_put(p, PLAIN, 40, where);
        picture_say(p, PLAIN, "  ");
        picture_put(p, PLAIN, p->columns, status_text(one, "text"));
        picture_line(p);
    }
}

/* ---- codebooks, memory ---- */

int codes_rows(const json_t *status) {
    int rows = rows_of(list_of(status, "codebooks", "levels"));
    return rows > 0 ? rows : 1;
}

/* Eight heights for the mean of a run of codes, a dot for a run that no item has. */
static void map(struct picture *p, const json_t *occupancy) {
    static const char *const heights[] = {"\xE2\x96\x81", "\xE2\x96\x82", "\xE2\x96\x83",
                                          "\xE2\x96\x84", "\xE2\x96\x85", "\xE2\x96\x86",
                                          "\xE2\x96\x87", "\xE2\x96\x88"};
    size_t codes = json_array_size(occupancy);
    size_t columns = codes < MAP_COLUMNS ? codes : MAP_COLUMNS;
    double means[MAP_COLUMNS], most = 0;
    char line[MAP_COLUMNS * 3 + 1] = "";
    for (size_t i = 0; i < columns; i++) {
        size_t from = i * codes / columns, to = (i + 1) * codes / columns;
        double sum = 0;
        for (size_t code = from; code < to; code++)
            sum += json_number_value(json_array_get(occupancy, code));
        means[i] = sum / (double)(to - from);
        most = fmax(most, means[i]);
    }
    for (size_t i = 0; i < columns; i++)
        strcat(line, means[i] > 0 ? heights[(int)fmin(7, 8 * means[i] / most)] : ".");
    picture_left(p, PLAIN, MAP_COLUMNS, line);
}

void codes_show(struct picture *p, const json_t *status, int rows) {
    const json_t *codebooks = json_object_get(status, "codebooks"), *level;
    char a[HUMAN_BYTES], b[HUMAN_BYTES];
    size_t index;
    picture_left(p, STRONG, 9, "CODEBOOKS");
    picture_say(p, PLAIN, "generation %s, version %s",
                human_number(status_number(codebooks, "generation"), a),
                human_number(status_number(codebooks, "version"), b));
    picture_say(p, SOFT, "  changed a day ");
    percent_cell(p, 7, status_number(codebooks, "churn_per_day"));
    picture_say(p, SOFT, " unique ");
    percent_cell(p, 7, status_number(codebooks, "unique_share"));
    picture_line(p);
    json_array_foreach(json_object_get(codebooks, "levels"), index, level) {
        char used[2 * HUMAN_BYTES];
        if ((int)index >= rows - 1)
            break;
        picture_left(p, PLAIN, 6, status_text(level, "name"));
        map(p, json_object_get(level, "occupancy"));
        snprintf(used, sizeof used, "%s/%s", human_number(status_number(level, "used"), a),
                 human_number(status_number(level, "codes"), b));
        picture_right(p, PLAIN, 9, used);
        picture_say(p, SOFT, "perplexity");
        decimals_cell(p, 8, status_number(level, "perplexity"), 1);
        picture_line(p);
    }
}

int memory_rows(const json_t *status) {
    return rows_of(list_of(status, "memory", "tables"));
}

void memory_show(struct picture *p, const json_t *status, int rows) {
    struct sorted sorted[SORTED_MAX];
    int count = sort_by(list_of(status, "memory", "tables"), "bytes", sorted);
    int shown = fitting(count, rows);
    picture_left(p, STRONG, 24, "TABLE");
    picture_right(p, SOFT, 13, "rows");
    picture_right(p, SOFT, 13, "of");
    picture_right(p, SOFT, 8, "taken");
    picture_right(p, SOFT, 12, "memory");
    picture_line(p);
    for (int i = 0; i < shown; i++) {
        const json_t *one = sorted[i].entry;
        char text[HUMAN_BYTES];
        picture_left(p, PLAIN, 24, status_text(one, "table"));
        number_cell(p, 13, one, "rows");
        number_cell(p, 13, one, "rows_max");
        percent_cell(p, 8, status_number(one, "rows") / status_number(one, "rows_max"));
        picture_right(p, PLAIN, 12, status_size(one, "bytes", text));
        picture_line(p);
    }
    missing(p, count, shown, rows);
}
