/* coldstream generate: a synthetic marketplace as recorded topics. */
#include "cli/commands.h"
#include "cli/input_writer.h"
#include "cli/market.h"
#include "cli/progress_count.h"
#include "cli/utc.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_S 5.0
#define PROGRESS_EVENTS 4096 /* between looks at the clock */

struct arguments {
    struct market_config market;
    const char *to;
    uint32_t partitions;
    bool json;
};

enum {
    KEY_TO = 256,
    KEY_ITEMS,
    KEY_USERS,
    KEY_EVENTS,
    KEY_SEED,
    KEY_DRIFT,
    KEY_NUISANCE,
    KEY_DAYS,
    KEY_DIMS,
    KEY_LABELS,
    KEY_PARTITIONS,
    KEY_JSON
};

static const struct argp_option options[] = {
    {"to", KEY_TO, "DIR", 0, "The recording's folder, absent or empty", 0},
    {"items", KEY_ITEMS, "N", 0,
     "Items (4000); 60 % are there from the start, the others arrive during the stream", 0},
    {"users", KEY_USERS, "N", 0, "Users (3000)", 0},
    {"events", KEY_EVENTS, "N", 0, "Interactions (200000)", 0},
    {"days", KEY_DAYS, "N", 0, "Length of the stream, from 2026-01-01 (30)", 0},
    {"dims", KEY_DIMS, "N", 0, "Length of content vectors (64)", 0},
    {"labels", KEY_LABELS, "given|impressions|clicks", 0,
     "What interactions tell: the label; impressions with clicks that follow; or clicks alone "
     "(given)",
     0},
    {"drift", KEY_DRIFT, "SHARE[:STRENGTH[:CONTENT]]", 0,
     "From this share of the stream on, a share STRENGTH (1) of the tastes trade places: behaviour "
     "changes, content stays; and what is listed from then on of a share CONTENT (0) of the tastes "
     "has vectors such as were not seen before",
     0},
    {"nuisance", KEY_NUISANCE, "LENGTH", 0,
     "Vectors vary in eight directions that nobody's taste depends on, in each about LENGTH (0) "
     "times as much as they are long",
     0},
    {"partitions", KEY_PARTITIONS, "N", 0, "Of interactions, by user (1)", 0},
    {"seed", KEY_SEED, "N", 0, "Of all randomness (0): the same options give the same records", 0},
    {"json", KEY_JSON, NULL, 0, "Answer in one JSON object", 0},
    COMMAND_HELP_OPTION,
    {0},
};

static bool parse_share(const char **text, double *out) {
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *out = strtod(*text, &end);
    *text = end;
    return *out >= 0 && *out <= 1;
}

static error_t parse_drift(const char *text, struct market_config *market,
                           const struct argp_state *state) {
    market->drift_strength = 1;
    bool good = parse_share(&text, &market->drift_at);
    if (good && *text == ':') {
        text++;
        good = parse_share(&text, &market->drift_strength);
    }
    if (good && *text == ':') {
        text++;
        good = parse_share(&text, &market->drift_content);
    }
    if (!good || *text != '\0') {
        argp_error(
            state,
            "--drift is SHARE[:STRENGTH[:CONTENT]], each from 0 to 1, such as 0.5 or 0.5:0.3");
        return EINVAL;
    }
    return 0;
}

static error_t parse_length(const char *text, double *out, const struct argp_state *state) {
    char *end;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= 0 && *out <= 100)
        return 0;
    argp_error(state, "--nuisance is a number from 0 to 100");
    return EINVAL;
}

static error_t parse_labels(const char *text, enum market_labels *out,
                            const struct argp_state *state) {
    static const char *const names[] = {
        [MARKET_GIVEN] = "given", [MARKET_IMPRESSIONS] = "impressions", [MARKET_CLICKS] = "clicks"};
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum market_labels)i;
            return 0;
        }
    argp_error(state, "--labels is one of given, impressions, clicks");
    return EINVAL;
}

static error_t parse_number(const struct argp_state *state, const char *option, const char *text,
                            uint64_t max, uint32_t *out) {
    uint64_t number;
    if (!command_number(state, option, text, 1, max, &number))
        return EINVAL;
    *out = (uint32_t)number;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    struct market_config *market = &arguments->market;
    switch (key) {
    case KEY_TO:
        arguments->to = argument;
        return 0;
    case KEY_ITEMS:
        return parse_number(state, "--items", argument, 10000000, &market->items);
    case KEY_USERS:
        return parse_number(state, "--users", argument, 100000000, &market->users);
    case KEY_DAYS:
        return parse_number(state, "--days", argument, 3650, &market->days);
    case KEY_DIMS:
        return parse_number(state, "--dims", argument, 4096, &market->dims);
    case KEY_PARTITIONS:
        return parse_number(state, "--partitions", argument, 64, &arguments->partitions);
    case KEY_EVENTS:
        return command_number(state, "--events", argument, 1, 1000000000, &market->events) ? 0
                                                                                           : EINVAL;
    case KEY_SEED:
        return command_number(state, "--seed", argument, 0, INT64_MAX, &market->seed) ? 0 : EINVAL;
    case KEY_LABELS:
        return parse_labels(argument, &market->labels, state);
    case KEY_NUISANCE:
        return parse_length(argument, &market->nuisance, state);
    case KEY_DRIFT:
        return parse_drift(argument, market, state);
    case KEY_JSON:
        arguments->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "--to DIR",
    .doc = "Writes a synthetic marketplace as recorded topics: listings with content vectors and "
           "titles, and sessions of users whose "
           "tastes are known. The recording says that it is synthetic."
           "\vExample:\n  coldstream generate --to market --events 500000 --drift 0.5\n"
           "  coldstream replay -c conf/replay.yaml --from market --to out",
};

static enum status write_events(const struct arguments *arguments, struct market *market,
                                struct input_writer *writer, struct error *err) {
    struct progress progress;
    struct event event;
    const struct market_config *config = &arguments->market;
    for (uint32_t i = 0; i < config->items; i++) {
        market_listing(market, i, &event);
        TRY(input_writer_put(writer, &event, event.as.listing.event_time_ms, err));
    }
    progress_start(&progress, PROGRESS_S);
    for (uint64_t i = 0; i < config->events; i++) {
        market_interaction(market, i, &event);
        TRY(input_writer_put(writer, &event, event.as.interaction.event_time_ms, err));
        if (i % PROGRESS_EVENTS == 0 && progress_due(&progress))
            progress_show_count(&progress, "interactions", i, (double)i / (double)config->events);
    }
    progress_end(&progress);
    return input_writer_finish(writer, err);
}

static enum status generate(const struct arguments *arguments, struct market_truth *truth,
                            struct error *err) {
    struct arena arena;
    struct market *market;
    struct input_writer writer;
    TRY(arena_reserve(&arena, "marketplace", market_bytes(&arguments->market), err));
    enum status status =
        input_writer_create(&writer, arguments->to, arguments->partitions, "synthetic", true, err);
    if (status == OK) {
        status = market_create(&market, &arguments->market, &arena, err);
        if (status == OK)
            status = write_events(arguments, market, &writer, err);
        if (status == OK)
            market_truth(market, truth);
        input_writer_close(&writer);
    }
    arena_release(&arena);
    return status;
}

static void print_json(const struct arguments *arguments, const struct market_truth *truth) {
    const struct market_config *market = &arguments->market;
    json_t *answer = json_pack(
        "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "to", arguments->to, "synthetic", 1,
        "items", (json_int_t)market->items, "listed_later", (json_int_t)truth->listed_later,
        "users", (json_int_t)market->users, "interactions", (json_int_t)market->events, "shown",
        (json_int_t)truth->shown, "clicked", (json_int_t)truth->clicked, "auc_best",
        isnan(truth->auc_best) ? json_null() : json_real(truth->auc_best), "drift_ms",
        truth->drift_ms < 0 ? json_null() : json_integer(truth->drift_ms));
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(answer);
}

static void print_text(const struct arguments *arguments, const struct market_truth *truth) {
    const struct market_config *market = &arguments->market;
    char first[UTC_BYTES];
    printf("%s: a synthetic marketplace (not real data), %u days from %s: %u items, %u of them "
           "listed during the stream, "
           "%u users, %llu interactions; %.1f %% of what was shown was clicked; the true "
           "probabilities have AUC %.4f",
           arguments->to, market->days, utc_text(MARKET_START_MS, first), market->items,
           truth->listed_later, market->users, (unsigned long long)market->events,
           100 * (double)truth->clicked / (double)truth->shown, truth->auc_best);
    if (truth->drift_ms >= 0)
        printf("; tastes drift at %s", utc_text(truth->drift_ms, first));
    putchar('\n');
}

int cmd_generate(int argc, char **argv) {
    struct arguments arguments = {.market = {.items = 4000,
                                             .users = 3000,
                                             .events = 200000,
                                             .days = 30,
                                             .dims = 64,
                                             .drift_at = -1},
                                  .partitions = 1};
    struct market_truth truth;
    struct error err;
    int exit_code;
    if (!command_parse(&argp, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.to == NULL)
        return command_usage(argv, "--to DIR is needed: the recording's folder, absent or empty");
    if (generate(&arguments, &truth, &err) != OK)
        return command_fail(&err);
    if (arguments.json)
        print_json(&arguments, &truth);
    else
        print_text(&arguments, &truth);
    return EX_OK;
}
