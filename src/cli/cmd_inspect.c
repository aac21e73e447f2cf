/* coldstream inspect: what a finished replay knows of one thing. */
#include "cli/commands.h"
#include "cli/inspect.h"
#include "cli/json_text.h"
#include "cli/restore.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    const char *words[3]; /* DIR, kind, which */
    bool json;
};
enum { OPTION_JSON = 256 };

static const struct argp_option options[] = {
    {"json", OPTION_JSON, NULL, 0, "Answer in one line, a JSON object", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 2)
            return ARGP_ERR_UNKNOWN;
        a->words[state->arg_num] = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "DIR item ID\nDIR sid CODES\nDIR epoch N\nDIR table [NAME]",
    "What a finished replay knows: of an item its SID with its history and reasons, its counts, "
    "its "
    "gate and the items nearest to it; the items under a SID or the beginning of one; an epoch's "
    "manifest; the rows and the memory of a table, or of all.\v"
    "Examples:\n  coldstream inspect out item 85123A\n  coldstream inspect out sid 49-21\n"
    "  coldstream inspect out epoch 17 --json\n  coldstream inspect out table\n",
    NULL,
    NULL,
    NULL};

static enum status ask(struct session *session, const char *kind, const char *which,
                       json_t **answer, struct error *err) {
    if (strcmp(kind, "item") == 0)
        return inspect_item(session, which, answer, err);
    if (strcmp(kind, "sid") == 0)
        return inspect_sid(session, which, answer, err);
    if (strcmp(kind, "table") == 0)
        return inspect_table(session, which, answer, err);
    return inspect_epoch(session, strtoull(which, NULL, 10), answer, err);
}

/* NULL: they fit. */
static const char *misfit(const struct arguments *a) {
    const char *kind = a->words[1], *which = a->words[2];
    if (kind == NULL)
        return "DIR and one of item ID, sid CODES, epoch N, table [NAME] are needed";
    if (strcmp(kind, "table") == 0)
        return NULL;
    if (strcmp(kind, "item") != 0 && strcmp(kind, "sid") != 0 && strcmp(kind, "epoch") != 0)
        return "what to look at is one of item, sid, epoch, table";
    if (which == NULL)
        return "which one? item ID, sid CODES or epoch N";
    if (strcmp(kind, "epoch") == 0 && which[strspn(which, "0123456789")] != '\0')
        return "an epoch is a whole number";
    return NULL;
}

int cmd_inspect(int argc, char **argv) {
    static struct session session;
    struct arguments a = {0};
    struct error err = {0};
    json_t *answer = NULL;
    int code;
    if (!command_parse(&argp, argc, argv, &a, &code))
        return code;
    if (misfit(&a) != NULL)
        return command_usage(argv, "%s", misfit(&a));
    enum status status = restore_finished(&session, a.words[0], &err);
    if (status == OK)
        status = ask(&session, a.words[1], a.words[2], &answer, &err);
    if (status == OK && a.json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else if (status == OK)
        json_text(answer, stdout);
    json_decref(answer);
    session_close(&session);
    return status == OK ? EX_OK : command_fail(&err);
}
