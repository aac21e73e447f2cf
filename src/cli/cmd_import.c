/* coldstream import: a public data set -> recorded topics. */
#include "cli/commands.h"
#include "cli/import.h"
#include "cli/utc.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PARTITIONS_MAX 64
#define PROGRESS_S 5.0
#define YEAR_1973_MS 100000000000 /* 1e8 s as milliseconds: what today in seconds is far below */

struct arguments {
    struct import_config import;
    bool json;
};

enum {
    KEY_ITEMS = 256,
    KEY_VECTORS,
    KEY_IDS,
    KEY_EVENTS,
    KEY_TO,
    KEY_MAP,
    KEY_PARTITIONS,
    KEY_UNIT,
    KEY_MODALITY,
    KEY_SKIP,
    KEY_JSON
};

static const struct argp_option options[] = {
    {"items", KEY_ITEMS, "FILE", 0,
     "Items, in order of listing: columns item, listed_ms and, if you have it, title", 0},
    {"vectors", KEY_VECTORS, "FILE.npy", 0, "Content vectors: a float32 matrix, one row per item",
     0},
    {"vector-ids", KEY_IDS, "FILE.txt", 0, "The item of each row of the vectors, one a line", 0},
    {"events", KEY_EVENTS, "FILE", 0,
     "Events in order of time: columns ts_ms, user, item and, where there are, type, label, req",
     0},
    {"to", KEY_TO, "DIR", 0, "The recording's folder, absent or empty", 0},
    {"map", KEY_MAP, "FIELD=COLUMN", 0,
     "The column that holds a field, where it has another name; items.item= and events.item= tell "
     "the files apart, an empty COLUMN leaves "
     "the field out",
     0},
    {"time-unit", KEY_UNIT, "ms|s", 0, "What the time columns count since 1970 (ms)", 0},
    {"partitions", KEY_PARTITIONS, "N", 0, "Of interactions, by user (1)", 0},
    {"modality", KEY_MODALITY, "NAME", 0, "The vectors' name in item-content (text)", 0},
    {"skip-bad", KEY_SKIP, NULL, 0, "Count malformed lines instead of ending at the first", 0},
    {"json", KEY_JSON, NULL, 0, "Answer in one JSON object", 0},
    COMMAND_HELP_OPTION,
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    struct import_config *import = &arguments->import;
    uint64_t number;
    switch (key) {
    case KEY_ITEMS:
        import->items = argument;
        return 0;
    case KEY_VECTORS:
        import->vectors = argument;
        return 0;
    case KEY_IDS:
        import->vector_ids = argument;
        return 0;
    case KEY_EVENTS:
        import->events = argument;
        return 0;
    case KEY_TO:
        import->to = argument;
        return 0;
    case KEY_MODALITY:
        import->modality = argument;
        return 0;
    case KEY_SKIP:
        import->skip_bad = true;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case KEY_MAP:
        if (import->map_count == IMPORT_MAPS_MAX)
            return argp_error(state, "--map can be given %d times", IMPORT_MAPS_MAX), EINVAL;
        import->maps[import->map_count++] = argument;
        return 0;
    case KEY_UNIT:
        if (strcmp(argument, "ms") != 0 && strcmp(argument, "s") != 0)
            return argp_error(state, "--time-unit is ms or s"), EINVAL;
        import->time_unit_ms = argument[0] == 's' ? 1000 : 1;
        return 0;
    case KEY_PARTITIONS:
        if (!command_number(state, "--partitions", argument, 1, PARTITIONS_MAX, &number))
            return EINVAL;
        import->partitions = (uint32_t)number;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "--items F --vectors F.npy --vector-ids F.txt --events F --to DIR",
    .doc =
        "Turns a public data set into recorded topics: each item becomes an item-content record at "
        "its listing time, each "
        "event an interactions record at its own. Tables are CSV or TSV with a header, gzip or not."
        "\vWith a type column (impression, click, cart, purchase) that tells the action, and a "
        "label column counts only when "
        "--map label=COLUMN asks for it: clicks alone get sampled negatives in the stage. Without "
        "one, a label column gives "
        "labelled events.\n\n"
        "Example:\n"
        "  coldstream import --items items.csv --vectors vectors.npy --vector-ids ids.txt \\\n"
        "    --events ratings.csv.gz --map events.item=movieId --map user=userId --map "
        "ts_ms=timestamp \\\n"
        "    --time-unit s --to recording",
};

static const char *missing_option(const struct import_config *import) {
    return import->items == NULL        ? "--items"
           : import->vectors == NULL    ? "--vectors"
           : import->vector_ids == NULL ? "--vector-ids"
           : import->events == NULL     ? "--events"
           : import->to == NULL         ? "--to"
                                        : NULL;
}

static void print_json(const struct arguments *arguments, const struct import_totals *totals) {
    json_t *answer =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "to", arguments->import.to,
                  "listings", (json_int_t)totals->listings, "interactions",
                  (json_int_t)totals->interactions, "labelled", (json_int_t)totals->labelled,
                  "skipped", (json_int_t)totals->skipped, "first_ms", (json_int_t)totals->first_ms,
                  "last_ms", (json_int_t)totals->last_ms, "seconds", totals->seconds);
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(answer);
}

static void print_text(const struct arguments *arguments, const struct import_totals *totals) {
    char first[UTC_BYTES], last[UTC_BYTES];
    printf("%s: %llu listings and %llu interactions (%llu with a label) from %s to %s",
           arguments->import.to, (unsigned long long)totals->listings,
           (unsigned long long)totals->interactions, (unsigned long long)totals->labelled,
           utc_text(totals->first_ms, first), utc_text(totals->last_ms, last));
    if (totals->skipped > 0)
        printf("; %llu malformed lines left out", (unsigned long long)totals->skipped);
    putchar('\n');
}

/* What is legal but looks like a mistake. */
static void warn(const struct import_totals *totals) {
    if (totals->skipped > 0)
        fprintf(stderr, "coldstream import: the first line left out: %s\n", totals->first_skipped);
    if (totals->interactions > 0 && totals->last_ms < YEAR_1973_MS)
        fprintf(stderr, "coldstream import: all events lie before 1973; does the column count "
                        "seconds? --time-unit s\n");
}

int cmd_import(int argc, char **argv) {
    struct arguments arguments = {
        .import = {
            .partitions = 1, .time_unit_ms = 1, .modality = "text", .progress_s = PROGRESS_S}};
    struct import_totals totals;
    struct error err;
    int exit_code;
    if (!command_parse(&argp, argc, argv, &arguments, &exit_code))
        return exit_code;
    const char *missing = missing_option(&arguments.import);
    if (missing != NULL)
        return command_usage(argv, "%s is needed", missing);
    if (import_run(&arguments.import, &totals, &err) != OK)
        return command_fail(&err);
    warn(&totals);
    if (arguments.json)
        print_json(&arguments, &totals);
    else
        print_text(&arguments, &totals);
    return EX_OK;
}
