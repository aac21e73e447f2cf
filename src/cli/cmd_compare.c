/* coldstream compare: two replays of one recording, side by side, with paired intervals. */
#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/paired.h"
#include "cli/restore.h"
#include "config/properties.h"
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
    struct evaluation evaluations[2];
    struct paired_result paired;
};

/* One figure of both sides that has no interval. */
struct figure {
    const char *name;
    double a, b;
};
#define FIGURES_MAX 40

static uint32_t list_figures(const struct comparison *c, struct figure out[FIGURES_MAX]) {
    static const char *const exposures[EXPOSURE_BUCKETS] = {
        "auc_exposures_0",     "auc_exposures_1-4",     "auc_exposures_5-19",
        "auc_exposures_20-99", "auc_exposures_100-499", "auc_exposures_500+"};
    static const char *const levels[SID_CODES] = {"utilisation_rq_1", "utilisation_rq_2",
                                                  "utilisation_rq_3", "utilisation_opq_1",
                                                  "utilisation_opq_2"};
    static const char *const hits[] = {"hit30_raw", "hit30_z", "hit30_z_decoded"};
    const struct evaluation *a = &c->evaluations[0], *b = &c->evaluations[1];
    uint32_t n = 0;
    out[n++] = (struct figure){"ne", a->ne, b->ne};
    out[n++] = (struct figure){"calibration", a->calibration, b->calibration};
    for (int k = 0; k < EXPOSURE_BUCKETS; k++)
        out[n++] = (struct figure){exposures[k], a->auc_by_exposures[k], b->auc_by_exposures[k]};
    out[n++] = (struct figure){"sid_unique", a->sid_unique, b->sid_unique};
    out[n++] = (struct figure){"sid_churn", a->sid_churn_per_day, b->sid_churn_per_day};
    out[n++] = (struct figure){"quantisation_error", a->quantisation_error, b->quantisation_error};
    for (size_t h = 0; h < sizeof hits / sizeof *hits; h++)
        out[n++] = (struct figure){hits[h], a->hits[h], b->hits[h]};
    for (int l = 0; l < SID_CODES; l++)
        out[n++] = (struct figure){levels[l], a->utilisation[l], b->utilisation[l]};
    return n;
}

static const char *const metric_names[PAIRED_METRICS] = {"auc", "auc_cold", "gauc"};

/* The exact value where the state has it: intervals come from coarser bins per user. */
static double exact(const struct evaluation *e, enum paired_metric metric) {
    return metric == PAIRED_AUC ? e->auc : metric == PAIRED_AUC_COLD ? e->auc_cold : e->gauc;
}

/* Calls show() for each setting that differs. */
static void each_difference(const struct comparison *c,
                            void (*show)(void *self, const char *path, const char *a,
                                         const char *b),
                            void *self) {
    char a[PROPERTY_TEXT_BYTES], b[PROPERTY_TEXT_BYTES];
    for (uint32_t i = 0; i < property_count; i++) {
        property_format(&properties[i], &c->sessions[0].settings, a);
        property_format(&properties[i], &c->sessions[1].settings, b);
        if (strcmp(a, b) != 0)
            show(self, properties[i].path, a, b);
    }
}

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

static void print_text(const struct comparison *c, const struct arguments *arguments) {
    struct figure figures[FIGURES_MAX];
    uint32_t count = list_figures(c, figures), differences = 0;
    printf("A  %s\nB  %s\n\n  %-22s %9s %9s %10s   95 %% of %d resamples of %" PRIu64 " users\n",
           arguments->dirs[0], arguments->dirs[1], "", "A", "B", "B - A", PAIRED_RESAMPLES,
           c->paired.users);
    for (int m = 0; m < PAIRED_METRICS; m++) {
        const struct paired_interval *interval = &c->paired.metrics[m];
        char low[24], high[24];
        bool sure = interval->low > 0 || interval->high < 0;
        print_row(metric_names[m], exact(&c->evaluations[0], m), exact(&c->evaluations[1], m));
        printf("   %s to %s%s\n", value_text(interval->low, true, low),
               value_text(interval->high, true, high), sure ? "  *" : "");
    }
    for (uint32_t i = 0; i < count; i++) {
        print_row(figures[i].name, figures[i].a, figures[i].b);
        putchar('\n');
    }
    printf("\n  * the interval leaves 0 out\n\nsettings that differ\n");
    each_difference(c, print_difference, &differences);
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
    struct figure figures[FIGURES_MAX];
    uint32_t count = list_figures(c, figures);
    json_t *answer = json_object(), *settings = json_object();
    json_object_set_new(answer, "a", json_string(arguments->dirs[0]));
    json_object_set_new(answer, "b", json_string(arguments->dirs[1]));
    json_object_set_new(answer, "users", json_integer((json_int_t)c->paired.users));
    json_object_set_new(answer, "resamples", json_integer(PAIRED_RESAMPLES));
    for (int m = 0; m < PAIRED_METRICS; m++) {
        const struct paired_interval *interval = &c->paired.metrics[m];
        json_t *row = both(exact(&c->evaluations[0], m), exact(&c->evaluations[1], m));
        json_object_set_new(row, "low", json_number(interval->low));
        json_object_set_new(row, "high", json_number(interval->high));
        json_object_set_new(row, "better", json_number(interval->better));
        json_object_set_new(answer, metric_names[m], row);
    }
    for (uint32_t i = 0; i < count; i++)
        json_object_set_new(answer, figures[i].name, both(figures[i].a, figures[i].b));
    each_difference(c, add_difference, settings);
    json_object_set_new(answer, "settings", settings);
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(answer);
}

/* ---- the command ---- */

static enum status compare(struct comparison *c, const struct arguments *arguments,
                           struct error *err) {
    for (int side = 0; side < 2; side++) {
        TRY(restore_finished(&c->sessions[side], arguments->dirs[side], err));
        model_evaluate(stage_model(c->sessions[side].stage), &c->evaluations[side]);
    }
    return paired_compare(stage_model(c->sessions[0].stage), stage_model(c->sessions[1].stage),
                          arguments->seed, &c->sessions[0].arena, &c->paired, err);
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
