#include "base/log.h"

#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048

static atomic_int level_min = LOG_INFO;

void log_set_level(enum log_level level) {
    atomic_store(&level_min, (int)level);
}

/* "ts=2024-01-31T12:00:00.000Z level=info event=epoch.commit " */
static size_t put_head(char *line, size_t room, enum log_level level, const char *event) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    ASSERT((unsigned)level < sizeof names / sizeof names[0]);
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, room, "ts=%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + used, room - used, ".%03ldZ level=%s event=%s ",
                        now.tv_nsec / 1000000, names[level], event);
    ASSERT(more > 0 && (size_t)more < room - used);
    return used + (size_t)more;
}

static void write_whole(const char *line, size_t length) {
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, length);
    while (written < 0 && errno == EINTR);
    /* A log that cannot be written is no reason to stop the stage. */
}

void log_line(enum log_level level, const char *event, const char *format, ...) {
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    char line[LINE_BYTES];
    size_t head = put_head(line, sizeof line - 1, level, event); /* one byte for the line's end */
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - 1 - head, format, args);
    va_end(args);
    size_t length = head + (body > 0 ? (size_t)body : 0);
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    /* One event is one line, whatever a record's text holds. */
    for (size_t i = head; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7F)
            line[i] = '?';
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\n';
    write_whole(line, length + 1);
}
