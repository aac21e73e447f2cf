#include "base/log.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096 /* of one write: lines of several threads do not mix */
#define TEXT_BYTES 1024 /* of one text, as it is shown */
#define NAMES_MAX 128   /* of events that are counted; later ones are not limited */

static atomic_int level_min = LOG_INFO, format_now = LOG_LOGFMT;

void log_set_level(enum log_level level) {
    atomic_store(&level_min, (int)level);
}

void log_set_format(enum log_format format) {
    atomic_store(&format_now, (int)format);
}

/* ---- how often ---- */

struct pace {
    const char *event;
    int64_t begun_ms;
    uint32_t lines;
};
static struct pace paces[NAMES_MAX];
static pthread_mutex_t paces_lock = PTHREAD_MUTEX_INITIALIZER;

static struct pace *pace_of(const char *event) {
    for (int i = 0; i < NAMES_MAX; i++) {
        if (paces[i].event == NULL)
            paces[i] = (struct pace){.event = event, .begun_ms = INT64_MIN};
        if (strcmp(paces[i].event, event) == 0)
            return &paces[i];
    }
    return NULL;
}

/* Whether a line of this event is due; *left_out: how many of it were not since the last one. */
static bool is_due(const char *event, int64_t now_ms, uint64_t *left_out) {
    bool due = true;
    *left_out = 0;
    pthread_mutex_lock(&paces_lock);
    struct pace *pace = pace_of(event);
    if (pace != NULL && (pace->begun_ms == INT64_MIN || now_ms - pace->begun_ms >= LOG_WINDOW_MS)) {
        *left_out = pace->lines > LOG_LINES_MAX ? pace->lines - LOG_LINES_MAX : 0;
        pace->begun_ms = now_ms;
        pace->lines = 0;
    }
    if (pace != NULL)
        due = ++pace->lines <= LOG_LINES_MAX;
    pthread_mutex_unlock(&paces_lock);
    return due;
}

/* ---- the line ---- */

struct line {
    char text[LINE_BYTES];
    size_t used;
    bool json;
};

/* What does not fit is left out, whole: the line stays well formed. Two bytes are kept for its end. */
static void put(struct line *line, const char *name, const char *value, bool quoted) {
    size_t room = sizeof line->text - 2 - line->used;
    const char *first = line->used == 0 ? (line->json ? "{" : "") : (line->json ? "," : " ");
    const char *quote = quoted ? "\"" : "", *name_quote = line->json ? "\"" : "";
    int length = snprintf(line->text + line->used, room, "%s%s%s%s%s%s%s%s", first, name_quote,
                          name, name_quote, line->json ? ":" : "=", quote, value, quote);
    if (length > 0 && (size_t)length < room)
        line->used += (size_t)length;
}

/* In logfmt a plain word has no quotes. */
static void put_text(struct line *line, const char *name, const char *text) {
    char shown[TEXT_BYTES];
    size_t length = printable(shown, sizeof shown, bytes_text(text));
    bool plain = length > 0 && strcspn(shown, " =\"\\") == length;
    put(line, name, shown, line->json || !plain);
}

static void put_field(struct line *line, const struct log_field *field) {
    char number[64];
    switch (field->kind) {
    case LOG_IS_TEXT:
        if (field->as.text != NULL)
            put_text(line, field->name, field->as.text);
        return;
    case LOG_IS_INT:
        snprintf(number, sizeof number, "%" PRId64, field->as.i);
        break;
    case LOG_IS_UINT:
        snprintf(number, sizeof number, "%" PRIu64, field->as.u);
        break;
    case LOG_IS_REAL:
        if (!isfinite(field->as.real))
            return;
        snprintf(number, sizeof number, "%.*f", field->decimals, field->as.real);
        break;
    case LOG_END:
        return;
    }
    put(line, field->name, number, false);
}

static void put_time(struct line *line, const struct timespec *now) {
    char day[32], text[48];
    struct tm utc;
    gmtime_r(&now->tv_sec, &utc);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof text, "%s.%03ldZ", day, now->tv_nsec / 1000000);
    put(line, "ts", text, line->json);
}

static void write_whole(const char *line, size_t length) {
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, length);
    while (written < 0 && errno == EINTR);
    /* A log that cannot be written is no reason to stop the stage. */
}

void log_event(enum log_level level, const char *event, const struct log_field *fields) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    ASSERT((unsigned)level < sizeof names / sizeof names[0]);
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    struct timespec now;
    uint64_t left_out;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!is_due(event, clock_ms(), &left_out))
        return;
    struct line line = {.json = atomic_load(&format_now) == LOG_JSON};
    put_time(&line, &now);
    put_text(&line, "level", names[level]);
    put_text(&line, "event", event);
    if (left_out > 0)
        put_field(&line, &(struct log_field)LOG_UINT("left_out", left_out));
    for (; fields->kind != LOG_END; fields++)
        put_field(&line, fields);
    if (line.json)
        line.text[line.used++] = '}';
    line.text[line.used++] = '\n';
    write_whole(line.text, line.used);
}
