/* coldstream report: a finished replay, or two compared, as one HTML page. */
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/report.h"
#include <stdio.h>
#include <stdlib.h>

struct arguments {
    const char *dirs[2], *out;
    uint32_t count;
};

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Where the page goes (default: report.html)", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case 'o':
        a->out = value;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            return ARGP_ERR_UNKNOWN;
        a->dirs[a->count++] = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "DIR [OTHER]",
    "A finished replay as one HTML page to look at and to send: what was replayed, AUC and NE over "
    "time and by item exposure, the gate, semantic IDs and codebooks, throughput, dead letters, "
    "and "
    "the stories of some cold items. With OTHER, a replay of the same recording under another "
    "configuration, both are on the same charts, and their figures side by side with 95 % "
    "intervals "
    "of the difference.\v"
    "The page is one file without references to others: it opens without a network, prints, and is "
    "read on a phone. All numbers are in tables too. It is made from the outputs in DIR alone.\n\n"
    "Examples:\n  coldstream replay -c conf/replay.yaml --from market --to a\n"
    "  coldstream report a -o a.html\n"
    "  coldstream replay -c conf/replay.yaml --from market --to b --set model.variant=id\n"
    "  coldstream report a b -o a-and-b.html",
    NULL,
    NULL,
    NULL};

/* The whole page or none: it is made in memory first. */
static enum status write_page(struct report *report, const char *path, struct error *err) {
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&page, &bytes);
    if (out == NULL)
        return FAIL(err, FATAL, EX_OSERR, "no memory for the page");
    report_write(report, out);
    bool whole = !ferror(out);
    whole = fclose(out) == 0 && whole;
    enum status status = whole ? file_save(path, bytes_of(page, bytes), err)
                               : FAIL(err, FATAL, EX_OSERR, "no memory for the page");
    free(page);
    if (status == OK)
        printf("%s: %.0f KB, one file; open it in a browser\n", path, (double)bytes / 1e3);
    return status;
}

int cmd_report(int argc, char **argv) {
    static struct report report;
    struct arguments a = {.out = "report.html"};
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &a, &code))
        return code;
    if (a.count == 0)
        return command_usage(argv, "the folder of a finished replay is needed");
    enum status status = report_read(&report, a.dirs, a.count, &err);
    if (status == OK)
        status = write_page(&report, a.out, &err);
    report_close(&report);
    return status == OK ? EX_OK : command_fail(&err);
}
