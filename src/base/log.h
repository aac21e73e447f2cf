/* One line per event that matters, to stderr, as logfmt (ts=... level=info event=run.ready epoch=7 text="...") or as JSON objects.
 * Not for math and model: these have no clock and no I/O.
 *
 * Of one event at most LOG_LINES_MAX lines come in LOG_WINDOW_MS; the next line of it says how many were left out (left_out=N). Texts may be from
 * outside: what is no printable character comes as an escape, so an event is one line and a terminal shows what is there. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

#define LOG_LINES_MAX 20
#define LOG_WINDOW_MS 10000

/* At the start: logfmt from level info on. Any thread, any time. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

enum log_kind { LOG_END, LOG_IS_TEXT, LOG_IS_INT, LOG_IS_UINT, LOG_IS_REAL };
struct log_field {
    enum log_kind kind;
    int decimals; /* of a real */
    const char *name;
    union {
        const char *text; /* NULL: the field is left out */
        int64_t i;
        uint64_t u;
        double real; /* not finite: the field is left out */
    } as;
};
#define LOG_TEXT(name, value)                                                                      \
    {                                                                                              \
        LOG_IS_TEXT, 0, (name), {                                                                  \
            .text = (value)                                                                        \
        }                                                                                          \
    }
#define LOG_INT(name, value)                                                                       \
    {                                                                                              \
        LOG_IS_INT, 0, (name), {                                                                   \
            .i = (value)                                                                           \
        }                                                                                          \
    }
#define LOG_UINT(name, value)                                                                      \
    {                                                                                              \
        LOG_IS_UINT, 0, (name), {                                                                  \
            .u = (value)                                                                           \
        }                                                                                          \
    }
#define LOG_REAL(name, value, decimals)                                                            \
    {                                                                                              \
        LOG_IS_REAL, (decimals), (name), {                                                         \
            .real = (value)                                                                        \
        }                                                                                          \
    }

/* `event` is a string constant; `fields` end with one of kind LOG_END. */
void log_event(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_AT(level, event, ...)                                                                  \
    log_event((level), (event),                                                                    \
              (const struct log_field[]){__VA_ARGS__, {LOG_END, 0, "", {.text = ""}}})
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)

#endif
