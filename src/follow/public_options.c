#include "follow/public.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h> /* strtoull */

#include "base/poison.h"

const char *cs_version(void) {
    return COLDSTREAM_VERSION;
}

const char *cs_status_name(int status) {
    static const char *const names[] = {"ok",          "absent",    "again",         "stale",
                                        "end",         "invalid",   "configuration", "data",
                                        "unavailable", "no memory", "internal",      "too small"};
    return status >= 0 && status < (int)(sizeof names / sizeof *names) ? names[status] : "unknown";
}

int public_fail(cs_error *error, int status, int exit_code, const char *format, ...) {
    va_list arguments;
    if (error == NULL)
        return status;
    error->status = status;
    error->exit_code = exit_code;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return status;
}

static int status_of(enum status status, int exit_code) {
    if (status == OK)
        return CS_OK;
    if (status == RETRY)
        return CS_AGAIN;
    switch (exit_code) {
    case EX_CONFIG:
    case EX_USAGE:
        return CS_CONFIG;
    case EX_NOINPUT:
    case EX_UNAVAILABLE:
    case EX_TEMPFAIL:
        return CS_UNAVAILABLE;
    case EX_DATAERR:
        return CS_DATA;
    case EX_OSERR:
        return CS_NO_MEMORY;
    default:
        return CS_INTERNAL;
    }
}

int public_status(enum status status, const struct error *err, cs_error *error) {
    if (status == OK)
        return CS_OK;
    return public_fail(error, status_of(status, err->exit_code), err->exit_code, "%s", err->text);
}

int public_seen(enum seen seen) {
    return seen == SEEN_LIVE ? CS_OK : seen == SEEN_ABSENT ? CS_ABSENT : CS_STALE;
}

void public_copy(void *out, size_t size, const void *from, size_t from_size) {
    memcpy(out, from, size < from_size ? size : from_size);
}

cs_options *cs_options_new(void) {
    struct arena arena;
    if (arena_reserve(&arena, "options", sizeof(cs_options), NULL) != OK)
        return NULL;
    cs_options *options = arena_must(&arena, sizeof *options);
    *options = (cs_options){.arena = arena};
    options->config.undo_bytes = FOLLOW_UNDO_BYTES;
    options->config.staged_bytes = FOLLOW_STAGED_BYTES;
    settings_default(&options->config.settings);
    return options;
}

void cs_options_free(cs_options *options) {
    if (options == NULL)
        return;
    struct arena arena = options->arena; /* it lies in it */
    arena_release(&arena);
}

/* The first problem's text is the one that is told. */
static void problem(void *self, const char *text) {
    struct error *first = self;
    if (first->text[0] == '\0')
        snprintf(first->text, sizeof first->text, "%s", text);
}

int cs_options_read(cs_options *options, const char *path, cs_error *error) {
    struct error err = {0}, first = {0};
    enum status status = settings_read(&options->config.settings, path, problem, &first, &err);
    if (status != OK && first.text[0] != '\0')
        snprintf(err.text, sizeof err.text, "%s", first.text);
    return public_status(status, &err, error);
}

static int set_bytes(size_t *out, const char *name, const char *value, cs_error *error) {
    char *end;
    errno = 0;
    unsigned long long bytes = strtoull(value, &end, 10);
    if (errno != 0 || *value < '0' || *value > '9' || *end != '\0' || bytes < 1u << 16 ||
        bytes > UINT64_C(1) << 36)
        return public_fail(error, CS_CONFIG, EX_CONFIG,
                           "%s: `%s' is not a number of bytes from 65536 to 68719476736", name,
                           value);
    *out = (size_t)bytes / 4096 * 4096;
    return CS_OK;
}

int cs_options_set(cs_options *options, const char *name, const char *value, cs_error *error) {
    char assignment[1024];
    struct error err = {0};
    if (strcmp(name, "undo_bytes") == 0)
        return set_bytes(&options->config.undo_bytes, name, value, error);
    if (strcmp(name, "staged_bytes") == 0)
        return set_bytes(&options->config.staged_bytes, name, value, error);
    if (snprintf(assignment, sizeof assignment, "%s=%s", name, value) >= (int)sizeof assignment)
        return public_fail(error, CS_CONFIG, EX_CONFIG, "%.64s: the value is too long", name);
    return public_status(settings_set(&options->config.settings, assignment, &err), &err, error);
}
