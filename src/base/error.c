#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Marks text that did not fit, without leaving half of a UTF-8 character before the mark: the text
 * may go into a record's header. */
static void mark_cut(char text[ERROR_TEXT_BYTES]) {
    static const char mark[] = "...";
    size_t at = ERROR_TEXT_BYTES - sizeof mark;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(text + at, mark, sizeof mark);
}

enum status error_set(struct error *err, enum status status, int exit_code, const char *file,
                      int line, const char *format, ...) {
    ASSERT(status != OK);
    if (err == NULL)
        return status;
    err->status = status;
    err->exit_code = exit_code;
    err->file = file;
    err->line = line;
    err->see = NULL;
    /* Through a second buffer, since an argument may be the old err->text. */
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= (int)sizeof text)
        mark_cut(text);
    memcpy(err->text, text, sizeof text);
    return status;
}

enum status error_see(enum status status, struct error *err, const char *entry) {
    if (err != NULL)
        err->see = entry;
    return status;
}

enum status error_context(struct error *err, const char *format, ...) {
    ASSERT(err != NULL && err->status != OK);
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0 && length < (int)sizeof text) {
        size_t room = sizeof text - (size_t)length;
        length += snprintf(text + length, room, ": %s", err->text);
    }
    if (length >= (int)sizeof text)
        mark_cut(text);
    memcpy(err->text, text, sizeof text);
    return err->status;
}

const char *status_name(enum status status) {
    static const char *const names[] = {[OK] = "OK",
                                        [RETRY] = "RETRY",
                                        [ABORT_EPOCH] = "ABORT_EPOCH",
                                        [BAD_RECORD] = "BAD_RECORD",
                                        [FATAL] = "FATAL"};
    ASSERT((unsigned)status < sizeof names / sizeof names[0]);
    return names[status];
}

void assert_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
