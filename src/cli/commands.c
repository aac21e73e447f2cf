#include "cli/commands.h"
#include "base/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool asks_for_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 ||
            strcmp(argv[i], "-?") == 0 || strcmp(argv[i], "--usage") == 0)
            return true;
    return false;
}

bool command_parse(const struct argp *argp, int argc, char **argv, void *input, int *exit_code) {
    if (asks_for_help(argc, argv)) {
        argp_help(argp, stdout, ARGP_HELP_STD_HELP, argv[0]);
        *exit_code = EX_OK;
        return false;
    }
    if (argp_parse(argp, argc, argv, ARGP_NO_HELP | ARGP_NO_EXIT, NULL, input) != 0) {
        *exit_code = EX_USAGE;
        return false;
    }
    return true;
}

int command_usage(char **argv, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", argv[0]);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry `%s --help'.\n", argv[0]);
    return EX_USAGE;
}

bool command_number(const struct argp_state *state, const char *option, const char *text,
                    uint64_t min, uint64_t max, uint64_t *out) {
    errno = 0;
    bool digits = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
    unsigned long long value = digits ? strtoull(text, NULL, 10) : 0;
    if (!digits || errno != 0 || value < min || value > max) {
        argp_error(state, "%s: `%s' is not a whole number from %llu to %llu", option, text,
                   (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *out = value;
    return true;
}

int command_fail(const struct error *err) {
    fprintf(stderr, "coldstream: %s\n", err->text);
    return err->exit_code ? err->exit_code : EX_SOFTWARE;
}

static const char *runbook_entry(const struct error *err) {
    if (err->see != NULL)
        return err->see;
    switch (err->exit_code) {
    case EX_CONFIG:
        return "configuration";
    case EX_DATAERR:
        return "data";
    case EX_NOINPUT:
        return "no-input";
    case EX_UNAVAILABLE:
        return "unavailable";
    case EX_OSERR:
        return "memory";
    case EX_CANTCREAT:
    case EX_IOERR:
        return "files";
    case EX_TEMPFAIL:
        return "try-again";
    default:
        return "internal";
    }
}

int command_fail_live(const char *event, const struct error *err) {
    char see[96];
    int code = err->exit_code ? err->exit_code : EX_SOFTWARE;
    snprintf(see, sizeof see, "docs/RUNBOOK.md#%s", runbook_entry(err));
    log_error(event, LOG_TEXT("text", err->text), LOG_INT("exit_code", code), LOG_TEXT("see", see));
    return code;
}

void command_problem(void *self, const char *text) {
    (void)self;
    fprintf(stderr, "%s\n", text);
}

error_t command_settings_parse(int key, char *value, struct argp_state *state,
                               struct command_settings *out) {
    if (key == 'c')
        out->config = value;
    else if (key != COMMAND_OPTION_SET)
        return ARGP_ERR_UNKNOWN;
    else if (out->assignment_count == SETTINGS_ASSIGNMENTS_MAX)
        argp_error(state, "more than %d --set", SETTINGS_ASSIGNMENTS_MAX);
    else
        out->assignments[out->assignment_count++] = value;
    return 0;
}

void command_log(const struct settings *settings) {
    log_set_level((enum log_level)settings->log_level);
    log_set_format((enum log_format)settings->log_format);
}

enum status command_settings_read(const struct command_settings *from, struct settings *out,
                                  struct error *err) {
    TRY(settings_from(out, from->config, from->assignments, from->assignment_count, command_problem,
                      NULL, err));
    command_log(out);
    return OK;
}
