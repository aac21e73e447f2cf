/* The commands of the program and what they share. A command parses its own arguments with argp,
 * prints its answer to stdout and everything else to stderr, and returns an exit code of
 * sysexits.h; only main() exits. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "base/error.h"
#include "config/settings.h"
#include <argp.h>
#include <stdint.h>

int cmd_check(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_follow(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_top(int argc, char **argv);

/* "0.1.0 (commit)": goes into --version and into every manifest. */
extern const char *const program_version;

/* For the end of each command's table of options: command_parse() acts on it before argp sees
 * it. */
#define COMMAND_HELP_OPTION                                                                        \
    { "help", 'h', NULL, 0, "Print this help", -1 }

/* -c FILE and --set KEY=VALUE, of every command that runs the stage. */
struct command_settings {
    const char *config;
    const char *assignments[SETTINGS_ASSIGNMENTS_MAX];
    int assignment_count;
};
#define COMMAND_OPTION_SET 512
/* For a command's parser: ARGP_ERR_UNKNOWN when the key is neither of the two. */
error_t command_settings_parse(int key, char *value, struct argp_state *state,
                               struct command_settings *out);
/* The log as the settings want it. */
void command_log(const struct settings *settings);
/* What they name, and the log from then on; each problem of the file is a line on stderr. */
enum status command_settings_read(const struct command_settings *from, struct settings *out,
                                  struct error *err);

/* argp_parse() that never exits. True: go on. False: the command returns *exit_code (help was
 * printed, or argp has reported a usage error). argv[0] must be "coldstream COMMAND", as main()
 * makes it. */
bool command_parse(const struct argp *argp, int argc, char **argv, void *input, int *exit_code);

/* "coldstream COMMAND: text" and where to find help, to stderr; returns EX_USAGE. */
int command_usage(char **argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An option's whole number. False: argp_error() has told what is possible. */
bool command_number(const struct argp_state *state, const char *option, const char *text,
                    uint64_t min, uint64_t max, uint64_t *out);

/* A settings_report: one problem of a configuration, a line to stderr. */
void command_problem(void *self, const char *text);

/* "coldstream: text" to stderr; returns err->exit_code. */
int command_fail(const struct error *err);
/* The same for what works on live topics: an event of the log that names its entry in docs/RUNBOOK.md. */
int command_fail_live(const char *event, const struct error *err);

#endif
