/* The program: finds the command, runs it, and is the only place that exits. */
#include "base/error.h"
#include "cli/commands.h"
#include "config/nearest.h"
#include "math/blas_core.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"generate", cmd_generate, "a synthetic marketplace with known structure, as recorded topics"},
    {"import", cmd_import, "a public data set -> recorded topics"},
    {"replay", cmd_replay, "the stage on recorded topics; no broker"},
    {"report", cmd_report, "a replay, or two compared, as one HTML page"},
    {"inspect", cmd_inspect, "what a replay knows of an item, a SID, an epoch, a table"},
    {"compare", cmd_compare, "two replays of one recording, side by side, with paired intervals"},
    {"run", cmd_run, "the stage on Kafka"},
    {"top", cmd_top, "a running stage, live in a terminal"},
    {"follow", cmd_follow, "the downstream side: fold, verify, look up, export, stream SIDs"},
    {"record", cmd_record, "live topics -> recorded topics"},
    {"check", cmd_check, "every error in a configuration file, with line and column"},
};
static const uint32_t command_count = (uint32_t)(sizeof commands / sizeof commands[0]);

static const char help_head[] =
    "Usage: coldstream COMMAND [OPTION...]\n"
    "\n"
    "Keeps item embeddings, semantic IDs and a ranker aligned with a catalogue while clicks and\n"
    "new listings stream in.\n"
    "\n"
    "Commands:\n";
static const char help_tail[] =
    "\n"
    "A first run, without data of your own:\n"
    "  coldstream generate --to market\n"
    "  coldstream replay -c conf/replay.yaml --from market --to out\n"
    "\n"
    "`coldstream COMMAND --help' lists a command's options; docs/CONFIGURATION.md every setting.\n"
    "The answer goes to stdout, progress and errors to stderr.\n"
    "Exit codes: 0 done, 64 usage, 65 bad data, 66 no input, 70 internal, 71 no memory,\n"
    "73 cannot create, 74 I/O, 75 try again, 78 configuration.\n";

static int help(FILE *out) {
    fputs(help_head, out);
    for (uint32_t i = 0; i < command_count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs(help_tail, out);
    return EX_OK;
}

static const char *command_name(void *self, uint32_t index) {
    (void)self;
    return commands[index].name;
}

static int unknown(const char *word) {
    const char *nearest = nearest_name(word, command_name, NULL, command_count);
    fprintf(stderr, "coldstream: there is no command `%s'%s%s%s\nTry `coldstream --help'.\n", word,
            nearest ? "; did you mean `" : ".", nearest ? nearest : "", nearest ? "'?" : "");
    return EX_USAGE;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    const char *word = argv[1];
    bool help_of = strcmp(word, "help") == 0;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (help_of && argc == 2))
        return help(stdout);
    if (strcmp(word, "--version") == 0) {
        printf("coldstream %s\n", program_version);
        return EX_OK;
    }
    char help_option[] = "--help", name[64];
    char *help_arguments[] = {name, help_option, NULL};
    if (help_of)
        word = argv[2];
    for (uint32_t i = 0; i < command_count; i++) {
        if (strcmp(word, commands[i].name) != 0)
            continue;
        /* argp and getopt begin their messages with argv[0] */
        snprintf(name, sizeof name, "coldstream %s", commands[i].name);
        argv[1] = name;
        return help_of ? commands[i].run(2, help_arguments) : commands[i].run(argc - 1, argv + 1);
    }
    return unknown(word);
}

static bool computes(int argc, char **argv) {
    return argc > 1 && (strcmp(argv[1], "replay") == 0 || strcmp(argv[1], "run") == 0);
}

int main(int argc, char **argv) {
    /* a reader that goes away, or a file that may not grow (ulimit -f), is an error of write(), not a signal */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    struct error err;
    /* Must come first: it executes the program again, with the arguments as they came. */
    int code = computes(argc, argv) && blas_core_reexec(argv, &err) != OK ? command_fail(&err)
                                                                          : dispatch(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "coldstream: cannot write to standard output: %s\n", strerror(errno));
        code = code ? code : EX_IOERR;
    }
    return code;
}
