/* coldstream compare: two replays of one recording, side by side, with paired intervals. */
#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/comparison.h"
#include "cli/restore.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *dirs[2];
    uint64_t seed;
    bool json;
};
enum { OPTION_SEED = 256, OPTION_JSON };

static const struct argp_option options[] = {
    {"seed", OPTION_SEED, "N", 0, "Of the resamples (default 0)", 0},
    {"json", OPTION_JSON, NULL, 0, "Answer in one line, a JSON object", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_SEED:
        (void)command_number(state, "--seed", value, 0, UINT32_MAX, &a->seed);
        return 0;
    case OPTION_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            return ARGP_ERR_UNKNOWN;
        a->dirs[state->arg_num] = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "DIR_A DIR_B",
    "Two finished replays of one recording under two configurations, side by side: is B better "
    "than A, and is the difference more than chance?\v"
    "Example:\n  coldstream replay -c conf/replay.yaml --from market --to a\n"
    "  coldstream replay -c conf/replay.yaml --from market --to b --set model.variant=id\n"
    "  coldstream compare a b\n\n"
    "The interval is the middle 95 % of B - A over 1000 resamples of the users (paired bootstrap: "
    "both sides are scored on the same users' events). When it lies on one side of 0, the "
    "difference is marked.",
    NULL,
    NULL,
    NULL};

struct comparison {
    struct session sessions[2];
    struct paired_result paired;
    uint32_t figure_count;
    struct figure figures[FIGURES_MAX];
};

/* ---- text ---- */

static const char *value_text(double x, bool sign, char out[24]) {
    if (isfinite(x))
        snprintf(out, 24, sign ? "%+.4f" : "%.4f", x);
    else
        snprintf(out, 24, "-");
    return out;
}

static void print_row(const char *name, double a, double b) {
    char text[3][24];
    printf("  %-22s %9s %9s %10s", name, value_text(a, false, text[0]),
           value_text(b, false, text[1]), value_text(b - a, true, text[2]));
}

static void print_difference(void *self, const char *path, const char *a, const char *b) {
    *(uint32_t *)self += 1;
    printf("  %-28s %s -> %s\n", path, a, b);
}

static void print_interval(const struct figure *figure) {
    char low[24], high[24];
    printf("   %s to %s%s", value_text(figure->interval.low, true, low),
           value_text(figure->interval.high, true, high), comparison_sure(figure) ? "  *" : "");
}

static void print_text(const struct comparison *c, const struct arguments *arguments) {
    uint32_t differences = 0;
    printf("A  %s\nB  %s\n\n  %-22s %9s %9s %10s   95 %% of %d resamples of %" PRIu64 " users\n",
           arguments->dirs[0], arguments->dirs[1], "", "A", "B", "B - A", PAIRED_RESAMPLES,
           c->paired.users);
    for (uint32_t i = 0; i < c->figure_count; i++) {
        print_row(c->figures[i].name, c->figures[i].a, c->figures[i].b);
        if (c->figures[i].has_interval)
            print_interval(&c->figures[i]);
        putchar('\n');
    }
    printf("\n  * the interval leaves 0 out\n\nsettings that differ\n");
    comparison_settings(&c->sessions[0].settings, &c->sessions[1].settings, print_difference,
                        &differences);
    if (differences == 0)
        printf("  none\n");
}

/* ---- JSON ---- */

static json_t *both(double a, double b) {
    return json_pack("{s:o, s:o, s:o}", "a", json_number(a), "b", json_number(b), "difference",
                     json_number(b - a));
}

static void add_difference(void *self, const char *path, const char *a, const char *b) {
    json_object_set_new(self, path, json_pack("{s:s, s:s}", "a", a, "b", b));
}

static void print_json(const struct comparison *c, const struct arguments *arguments) {
    json_t *answer = json_object(), *settings = json_object();
    json_object_set_new(answer, "a", json_string(arguments->dirs[0]));
    json_object_set_new(answer, "b", json_string(arguments->dirs[1]));
    json_object_set_new(answer, "users", json_integer((json_int_t)c->paired.users));
    json_object_set_new(answer, "resamples", json_integer(PAIRED_RESAMPLES));
    for (uint32_t i = 0; i < c->figure_count; i++) {
        const struct figure *figure = &c->figures[i];
        json_t *row = both(figure->a, figure->b);
        if (figure->has_interval) {
            json_object_set_new(row, "low", json_number(figure->interval.low));
            json_object_set_new(row, "high", json_number(figure->interval.high));
            json_object_set_new(row, "better", json_number(figure->interval.better));
        }
        json_object_set_new(answer, figure->name, row);
    }
    comparison_settings(&c->sessions[0].settings, &c->sessions[1].settings, add_difference,
                        settings);
    json_object_set_new(answer, "settings", settings);
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(answer);
}

/* ---- the command ---- */

static enum status compare(struct comparison *c, const struct arguments *arguments,
                           struct error *err) {
    struct evaluation evaluations[2];
    for (int side = 0; side < 2; side++) {
        TRY(restore_finished(&c->sessions[side], arguments->dirs[side], err));
        model_evaluate(stage_model(c->sessions[side].stage), &evaluations[side]);
    }
    TRY(paired_compare(stage_model(c->sessions[0].stage), stage_model(c->sessions[1].stage),
                       arguments->seed, &c->sessions[0].arena, &c->paired, err));
    c->figure_count = comparison_figures(&evaluations[0], &evaluations[1], &c->paired, c->figures);
    return OK;
}

int cmd_compare(int argc, char **argv) {
    static struct comparison comparison;
    struct arguments arguments = {0};
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &arguments, &code))
        return code;
    if (arguments.dirs[1] == NULL)
        return command_usage(argv, "two folders are needed: DIR_A DIR_B");
    enum status status = compare(&comparison, &arguments, &err);
    if (status == OK && arguments.json)
        print_json(&comparison, &arguments);
    else if (status == OK)
        print_text(&comparison, &arguments);
    for (int side = 0; side < 2; side++)
        session_close(&comparison.sessions[side]);
    return status == OK ? EX_OK : command_fail(&err);
}
