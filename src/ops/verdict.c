#include "ops/verdict.h"
#include "ops/human.h"
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* From where on somebody should look (warn), or act (bad). */
#define LAG_WARN_S 10.0
#define LAG_BAD_S 60.0
#define SILENCE_BAD_S                                                                              \
    30.0 /* without a commit while records wait, or without a word of the stage's thread */
#define LISTING_WARN_MS 1000.0
#define LISTING_BAD_MS 10000.0
#define DEAD_RECENT_S 300.0
#define DEAD_BAD_SHARE 0.01
#define WINDOW_EVENTS_MIN 500 /* fewer say nothing about quality */
#define AUC_FELL 0.05
#define CALIBRATION_EVENTS_MIN 10000
#define CALIBRATION_MIN 0.8
#define CALIBRATION_MAX 1.25
#define UTILISATION_MIN 0.5
#define CODES_ITEMS_MIN 10000 /* fewer need not fill a book */
#define ROWS_WARN_SHARE 0.9
#define ROWS_BAD_SHARE 0.99

#define TEXT_BYTES 400

enum level { WARN, BAD };
static const char *const level_names[] = {"warn", "bad"};

struct judge {
    const json_t *status;
    json_t *bad, *warn; /* lists of problems */
    double now_ms;
};

/* ---- reading: what is not there, or of another kind, is NaN or "" ---- */

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text(const json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    return value != NULL ? value : "";
}

static bool is(const json_t *object, const char *name, const char *word) {
    return strcmp(text(object, name), word) == 0;
}

/* ---- problems ---- */

/* snprintf cuts a long text anywhere: takes away what is left of a character at its end. */
static void whole_characters(char *said) {
    size_t length = strlen(said), tail = 0;
    while (tail < 3 && tail < length && (said[length - 1 - tail] & 0xC0) == 0x80)
        tail++;
    if (tail == length)
        return;
    unsigned char lead = (unsigned char)said[length - 1 - tail];
    size_t needs = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (needs > tail + 1)
        said[length - 1 - tail] = '\0';
}

/* see: its alert, which has an entry in docs/RUNBOOK.md; NULL: none. format: the text. */
static void problem(struct judge *judge, enum level level, const char *where, const char *remedy,
                    const char *see, const char *format, ...) __attribute__((format(printf, 6, 7)));
static void problem(struct judge *judge, enum level level, const char *where, const char *remedy,
                    const char *see, const char *format, ...) {
    char said[TEXT_BYTES], place[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    snprintf(place, sizeof place, "%s", where);
    whole_characters(said);
    whole_characters(place);
    json_array_append_new(level == BAD ? judge->bad : judge->warn,
                          json_pack("{s:s, s:s, s:s, s:s, s:s?}", "level", level_names[level],
                                    "where", place, "text", said, "remedy", remedy, "see", see));
}

static void judge_state(struct judge *judge) {
    const json_t *s = judge->status;
    const char *state = text(s, "state"), *reason = text(s, "reason");
    const char *restoring_remedy = "it begins by itself when the log is folded";
    double share = number(json_object_get(s, "restore"), "share");
    if (is(s, "state", "leading") || is(s, "state", "standby")) {
        if (json_is_false(json_object_get(s, "ready")) && strcmp(reason, state) != 0)
            problem(judge, strncmp(reason, "standby", 7) == 0 ? WARN : BAD, "",
                    "the log says since when and why", "ColdstreamNoLeader", "%s",
                    *reason ? reason : "not ready");
    } else if (is(s, "state", "restoring") && isfinite(share))
        problem(judge, WARN, "", restoring_remedy, "ColdstreamRestoreSlow",
                "not at work yet: restoring, %.0f %% done", floor(100 * share));
    else if (is(s, "state", "restoring"))
        problem(judge, WARN, "", restoring_remedy, "ColdstreamRestoreSlow",
                "not at work yet: restoring");
    else if (is(s, "state", "draining"))
        problem(judge, WARN, "", "another instance takes over", NULL,
                "leaving: it commits what it has taken and takes no more");
    else if (is(s, "state", "waiting"))
        problem(judge, BAD, "", "the stage goes on by itself when what it waits for is there",
                "ColdstreamNoLeader", "%s", *reason ? reason : "waiting");
    else
        problem(judge, WARN, "", "wait, or look into the log", NULL, "not at work yet: %s",
                *reason  ? reason
                : *state ? state
                         : "it does not say what it does");
}

static double seconds_since(const struct judge *judge, const json_t *object, const char *name) {
    return (judge->now_ms - number(object, name)) / 1000;
}

static void judge_silence(struct judge *judge, bool waiting) {
    const json_t *s = judge->status;
    double told_s = seconds_since(judge, s, "picture_ms");
    double committed_s = seconds_since(judge, json_object_get(s, "epoch"), "committed_ms");
    char span[HUMAN_BYTES];
    if (!is(s, "state", "leading"))
        return;
    if (told_s > SILENCE_BAD_S)
        problem(judge, BAD, "", "an epoch takes that long, or it hangs: look into the log",
                "ColdstreamSilent", "the stage has not come round for %s; the figures are as old",
                human_span(told_s, span));
    else if (waiting && committed_s > SILENCE_BAD_S)
        problem(judge, BAD, "", "is the broker well? the log names what it waits for",
                "ColdstreamStuck", "nothing was committed for %s, and records wait",
                human_span(committed_s, span));
}

static void judge_lag(struct judge *judge) {
    size_t index;
    json_t *input;
    double waiting = 0;
    json_array_foreach(json_object_get(judge->status, "inputs"), index, input) {
        double lag = number(input, "lag"), seconds = number(input, "lag_s");
        char where[TEXT_BYTES], span[HUMAN_BYTES], records[HUMAN_BYTES];
        waiting += lag > 0 ? lag : 0;
        if (!(seconds >= LAG_WARN_S))
            continue;
        snprintf(where, sizeof where, "%s partition %s", text(input, "topic"),
                 human_place(number(input, "partition"), span));
        problem(judge, seconds >= LAG_BAD_S ? BAD : WARN, where,
                "if it grows: see which phase of the epoch takes long; a larger epoch.batches "
                "catches up faster",
                "ColdstreamLag", "%s behind (%s records)", human_span(seconds, span),
                human_number(lag, records));
    }
    judge_silence(judge, waiting > 0);
}

static void judge_listings(struct judge *judge) {
    const json_t *latency = json_object_get(judge->status, "listing_latency_ms");
    double p99 = number(latency, "p99");
    char span[HUMAN_BYTES];
    if (p99 > LISTING_WARN_MS && number(latency, "count") > 0)
        problem(judge, p99 > LISTING_BAD_MS ? BAD : WARN, "new listings",
                "a smaller kafka.linger_ms or epoch.batches makes click epochs shorter",
                "ColdstreamListingsLate", "one in a hundred waits %s or more for its SID",
                human_span(p99 / 1000, span));
}

static void judge_dead_letters(struct judge *judge) {
    const json_t *dead = json_object_get(judge->status, "dead_letters"), *last = NULL;
    const json_t *totals = json_object_get(judge->status, "totals"), *latest, *one;
    size_t index, recent = 0;
    latest = json_object_get(dead, "latest");
    json_array_foreach(latest, index, one) {
        if (!(judge->now_ms - number(one, "time_ms") <= 1000 * DEAD_RECENT_S))
            continue;
        recent++;
        if (last == NULL || number(one, "time_ms") > number(last, "time_ms"))
            last = one;
    }
    if (recent == 0)
        return;
    char where[TEXT_BYTES], partition[HUMAN_BYTES], offset[HUMAN_BYTES];
    snprintf(where, sizeof where, "%s partition %s offset %s", text(last, "topic"),
             human_place(number(last, "partition"), partition),
             human_place(number(last, "offset"), offset));
    bool many = number(totals, "dead_letters") > DEAD_BAD_SHARE * number(totals, "events");
    problem(judge, many ? BAD : WARN, where,
            "the dead-letter topic has the records as they came; mend their producer",
            "ColdstreamDeadLetters",
            "%s%zu dead letter%s in the last 5 minutes, the last one for: %.100s",
            recent == json_array_size(latest) && recent >= 20 ? "at least " : "", recent,
            recent == 1 ? "" : "s", text(last, "reason"));
}

static void judge_quality(struct judge *judge) {
    const json_t *quality = json_object_get(judge->status, "quality");
    const json_t *history = json_object_get(quality, "history");
    const json_t *window =
        json_array_size(history) > 0 ? json_array_get(history, json_array_size(history) - 1) : NULL;
    if (number(window, "events") >= WINDOW_EVENTS_MIN) {
        double ne = number(window, "ne"), auc = number(window, "auc"),
               whole = number(quality, "auc");
        const char *remedy = "has the input changed (labels, a new client)? record it and compare "
                             "replays";
        if (auc < 0.5)
            problem(judge, WARN, "ranking", remedy, "ColdstreamAucFell",
                    "AUC %.3f of late: worse than guessing", auc);
        else if (auc < whole - AUC_FELL)
            problem(judge, WARN, "ranking", remedy, "ColdstreamAucFell",
                    "AUC %.3f of late, %.3f over all", auc, whole);
        else if (ne > 1)
            problem(judge, WARN, "ranking", remedy, "ColdstreamAucFell",
                    "NE %.3f of late: worse than always predicting the average", ne);
    }
    double calibration = number(quality, "calibration");
    if (number(json_object_get(judge->status, "totals"), "labelled") >= CALIBRATION_EVENTS_MIN &&
        (calibration < CALIBRATION_MIN || calibration > CALIBRATION_MAX))
        problem(judge, WARN, "ranking", "has the share of clicks among the labels changed?",
                "ColdstreamCalibrationOff", "predicts %.2f clicks for each that comes",
                calibration);
}

static void judge_codebooks(struct judge *judge) {
    double items = number(json_object_get(judge->status, "totals"), "items");
    size_t index;
    json_t *level;
    json_array_foreach(json_object_get(json_object_get(judge->status, "codebooks"), "levels"),
                       index, level) {
        double codes = number(level, "codes"), used = number(level, "used");
        char a[HUMAN_BYTES], b[HUMAN_BYTES];
        if (items > CODES_ITEMS_MIN && used < UTILISATION_MIN * codes)
            problem(judge, WARN, text(level, "name"),
                    "tokenizer.codebooks=continual resets idle codes; generation.release makes new "
                    "books",
                    "ColdstreamCodesUnused", "only %s of %s codes are used", human_number(used, a),
                    human_number(codes, b));
    }
}

/* Of the tables that grow with the input. */
static const char *const limits[][2] = {{"items", "limits.items"},
                                        {"users", "limits.users"},
                                        {"parked", "parking.rows"},
                                        {"impressions", "labels.waiting_impressions"}};

static void judge_memory(struct judge *judge) {
    size_t index;
    json_t *table;
    json_array_foreach(json_object_get(json_object_get(judge->status, "memory"), "tables"), index,
                       table) {
        double rows = number(table, "rows"), most = number(table, "rows_max");
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            char where[TEXT_BYTES], remedy[TEXT_BYTES], a[HUMAN_BYTES], b[HUMAN_BYTES];
            if (!is(table, "table", limits[i][0]) || !(rows >= ROWS_WARN_SHARE * most))
                continue;
            snprintf(where, sizeof where, "table %s", limits[i][0]);
            snprintf(remedy, sizeof remedy, "raise %s and start again: the state is kept",
                     limits[i][1]);
            problem(judge, rows >= ROWS_BAD_SHARE * most ? BAD : WARN, where, remedy,
                    "ColdstreamTableNearlyFull", "%s of %s rows are taken", human_number(rows, a),
                    human_number(most, b));
        }
    }
}

/* ---- the sentence ---- */

static void all_is_well(const json_t *status, char out[TEXT_BYTES]) {
    if (is(status, "state", "standby")) {
        snprintf(out, TEXT_BYTES, "All is well: standing by, ready to take over");
        return;
    }
    const json_t *latency = json_object_get(status, "listing_latency_ms");
    double behind = NAN, p50 = number(latency, "p50");
    char span[HUMAN_BYTES], sid[HUMAN_BYTES];
    size_t index;
    json_t *input;
    json_array_foreach(json_object_get(status, "inputs"), index, input) behind =
        fmax(behind, number(input, "lag_s"));
    bool listed = number(latency, "count") > 0 && isfinite(p50);
    if (p50 < 1000)
        snprintf(sid, sizeof sid, "%.0f ms", p50);
    else
        human_span(p50 / 1000, sid);
    snprintf(out, TEXT_BYTES, "All is well: leading%s%s%s%s%s", isfinite(behind) ? ", " : "",
             isfinite(behind) ? human_span(behind, span) : "", isfinite(behind) ? " behind" : "",
             listed ? ", new listings have their SID after " : "", listed ? sid : "");
}

static void worst_problem(const json_t *problems, char out[TEXT_BYTES]) {
    const json_t *worst = json_array_get(problems, 0);
    const char *where = text(worst, "where");
    const size_t more = json_array_size(problems) - 1;
    snprintf(out, TEXT_BYTES - 40, "%s%s%s", where, *where ? ": " : "", text(worst, "text"));
    whole_characters(out);
    if (more > 0)
        snprintf(out + strlen(out), 40, "; and %zu more", more);
    if (*out >= 'a' && *out <= 'z' && *where == '\0')
        *out = (char)(*out - 'a' + 'A');
}

json_t *verdict_of(const json_t *status) {
    struct judge judge = {status, json_array(), json_array(), number(status, "now_ms")};
    char said[TEXT_BYTES];
    judge_state(&judge);
    judge_lag(&judge);
    judge_listings(&judge);
    judge_dead_letters(&judge);
    judge_quality(&judge);
    judge_codebooks(&judge);
    judge_memory(&judge);
    const char *level = json_array_size(judge.bad) > 0    ? "bad"
                        : json_array_size(judge.warn) > 0 ? "warn"
                                                          : "good";
    json_array_extend(judge.bad, judge.warn);
    json_decref(judge.warn);
    if (json_array_size(judge.bad) > 0)
        worst_problem(judge.bad, said);
    else
        all_is_well(status, said);
    return json_pack("{s:s, s:s, s:o}", "level", level, "text", said, "problems", judge.bad);
}
