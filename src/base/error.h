/* Status and error: every function that can fail returns enum status and takes `struct error *err` last.
 *
 * The status names the action that the caller must take, not the cause (an idea of librdkafka's):
 *   RETRY        call again later with the same arguments; nothing changed
 *   ABORT_EPOCH  roll the open epoch back, rewind the inputs, begin again
 *   BAD_RECORD   this one input record cannot be used: dead-letter it with err->text and go on
 *   FATAL        stop the process with err->exit_code (sysexits.h); a restart restores the state
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <sysexits.h>

enum status { OK = 0, RETRY, ABORT_EPOCH, BAD_RECORD, FATAL };

#define ERROR_TEXT_BYTES 512

/* Fixed size, never allocates. `text` is one sentence for a person: what, where (file, line, topic,
 * partition, offset), and the remedy. `file`:`line` is where in our source it arose. */
struct error {
    enum status status;
    int exit_code;
    const char *file;
    int line;
    const char *see; /* its entry in docs/RUNBOOK.md; NULL: the one of the exit code */
    char text[ERROR_TEXT_BYTES];
};

/* Fills *err and returns `status`. Use through FAIL(). err may be NULL. */
enum status error_set(struct error *err, enum status status, int exit_code, const char *file,
                      int line, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Puts a sentence in front of err->text ("where: text"); returns err->status. */
enum status error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *status_name(enum status status);

/* return FAIL(err, FATAL, EX_DATAERR, "%s: not a recording", path); */
#define FAIL(err, status, exit_code, ...)                                                          \
    error_set((err), (status), (exit_code), __FILE__, __LINE__, __VA_ARGS__)

/* The same for an error with an entry of its own in docs/RUNBOOK.md. */
#define FAIL_SEE(err, status, exit_code, entry, ...)                                               \
    error_see(FAIL((err), (status), (exit_code), __VA_ARGS__), (err), (entry))
enum status error_see(enum status status, struct error *err, const char *entry);

/* Forwards any status but OK to the caller. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum status try_status_ = (call);                                                          \
        if (try_status_ != OK)                                                                     \
            return try_status_;                                                                    \
    } while (0)

/* A programmer's error, checked in release builds too: prints the expression and aborts. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *condition, const char *file, int line);

#endif
