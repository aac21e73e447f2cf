/* coldstream follow: what a stage has published, folded and verified, for shells. */
#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/follow_changes.h"
#include "cli/follow_export.h"
#include "cli/json_text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GETS_MAX 64
#define STEP_MS 250
#define NEIGHBOURS 5

struct arguments {
    struct command_settings settings;
    const char *from, *export_to;
    const char *gets[GETS_MAX]; /* item ids */
    uint32_t get_count;
    bool until_latest, json;
};
enum { OPTION_FROM = 256, OPTION_GET, OPTION_EXPORT, OPTION_UNTIL, OPTION_JSON };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The stage's configuration: brokers and topics", 0},
    {"set", COMMAND_OPTION_SET, "KEY=VALUE", 0, "A setting, over the file's", 0},
    {"from", OPTION_FROM, "DIR", 0, "A recording, or a replay's outputs, instead of Kafka", 0},
    {"get", OPTION_GET, "item ID", 0,
     "Answer with what is known of the item at the log's end, and end. May be repeated", 0},
    {"export", OPTION_EXPORT, "DIR", 0,
     "At the log's end write tables.safetensors and items.csv there, and end", 0},
    {"until", OPTION_UNTIL, "latest", 0, "End where the log ended when this began", 0},
    {"json", OPTION_JSON, NULL, 0, "Answer --get in JSON, one line each (changes always are)", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse_get(struct arguments *a, const char *kind, struct argp_state *state) {
    if (strcmp(kind, "item") != 0 || state->next >= state->argc) {
        argp_error(state, "--get item ID is what there is");
        return EINVAL;
    }
    if (a->get_count == GETS_MAX) {
        argp_error(state, "more than %d --get", GETS_MAX);
        return EINVAL;
    }
    a->gets[a->get_count++] = state->argv[state->next++];
    return 0;
}

static error_t parse_until(struct arguments *a, const char *value, struct argp_state *state) {
    if (strcmp(value, "latest") != 0) {
        argp_error(state, "--until latest is what there is");
        return EINVAL;
    }
    a->until_latest = true;
    return 0;
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_FROM:
        a->from = value;
        return 0;
    case OPTION_GET:
        return parse_get(a, value, state);
    case OPTION_EXPORT:
        a->export_to = value;
        return 0;
    case OPTION_UNTIL:
        return parse_until(a, value, state);
    case OPTION_JSON:
        a->json = true;
        return 0;
    default:
        return command_settings_parse(key, value, state, &a->settings);
    }
}

static const struct argp argp = {
    options,
    parse,
    "-c FILE\n--from DIR",
    "The downstream side: folds what a stage publishes (semantic-ids, ranker-deltas, codebooks), "
    "epoch "
    "by epoch, and holds each against its manifest's digests. Without --get and --export it writes "
    "the SIDs as JSON lines: first of every item that has one, then of each that changes.\v"
    "Examples:\n  coldstream follow -c run.yaml | jq -r 'select(.reason == \"GENERATION\").item'\n"
    "  coldstream follow -c run.yaml --get item 85123A --get item 22423\n"
    "  coldstream follow --from out --export tables\n\n"
    "A line has item, sid (five codes; null: delisted), previous, reason (NEW, CONTENT, DRIFT, "
    "GENERATION, DELISTED), epoch, event_time, generation, codebook_version. "
    "{\"resync\":true} says that all items follow again.\n",
    NULL,
    NULL,
    NULL};

static volatile sig_atomic_t stop_asked;
static void ask_stop(int number) {
    if (stop_asked)
        _exit(128 + number);
    stop_asked = 1;
}

static enum status failed(const cs_error *error, struct error *err) {
    return FAIL(err, FATAL, error->exit_code != 0 ? error->exit_code : EX_SOFTWARE, "%.480s",
                error->text);
}

/* ---- answers ---- */

static json_t *neighbours_of(cs_follower *f, const cs_view *view, const cs_item *item) {
    uint32_t positions[NEIGHBOURS], found = 0, sid = cs_table_named(f, "sid");
    json_t *list = json_array();
    if (cs_view_neighbours(view, item->position, positions, NEIGHBOURS, &found) != CS_OK)
        return list;
    for (uint32_t i = 0; i < found; i++) {
        char id[1024], text[SID_TEXT_BYTES];
        size_t bytes;
        cs_item other;
        if (cs_view_key(view, sid, positions[i], id, sizeof id, &bytes) == CS_OK &&
            cs_view_item(view, id, bytes, &other, sizeof other, NULL) == CS_OK)
            json_array_append_new(list, json_pack("{s:s%, s:s}", "item", id, bytes, "sid",
                                                  sid_text(other.codes, text)));
    }
    return list;
}

static json_t *answer_of(cs_follower *f, const cs_view *view, const char *id, const cs_item *item) {
    static const char *const reasons[] = {"NEW", "CONTENT", "DRIFT", "GENERATION"};
    char text[SID_TEXT_BYTES];
    json_t *answer = json_pack("{s:s, s:I, s:i, s:f, s:f}", "item", id, "epoch",
                               (json_int_t)cs_view_epoch(view), "position", (int)item->position,
                               "shown", (double)item->exposures, "clicks", (double)item->clicks);
    if (!item->has_sid)
        return answer;
    json_object_update_new(
        answer,
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "sid", sid_text(item->codes, text), "reason",
                  reasons[item->reason & 3], "since_epoch", (json_int_t)item->epoch, "event_time",
                  (json_int_t)item->event_time_ms, "generation", (json_int_t)item->generation,
                  "codebook_version", (json_int_t)item->codebook_version));
    if (item->has_previous)
        json_object_set_new(answer, "previous", json_string(sid_text(item->previous, text)));
    json_object_set_new(answer, "neighbours", neighbours_of(f, view, item));
    return answer;
}

static enum status get_items(const struct arguments *a, cs_follower *f, const cs_view *view,
                             struct error *err) {
    enum status status = OK;
    for (uint32_t i = 0; i < a->get_count; i++) {
        cs_error error = {0};
        cs_item item;
        if (cs_view_item(view, a->gets[i], strlen(a->gets[i]), &item, sizeof item, &error) !=
            CS_OK) {
            status = FAIL(err, FATAL, EX_NOINPUT, "%.480s", error.text);
            continue; /* the others have an answer */
        }
        json_t *answer = answer_of(f, view, a->gets[i], &item);
        if (a->json) {
            json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
            putchar('\n');
        } else {
            json_text(answer, stdout);
        }
        json_decref(answer);
    }
    return status;
}

/* ---- following ---- */

/* Until the log's end; OK too when it was stopped on the way. */
static enum status go_to_end(cs_follower *f, struct error *err) {
    cs_error error = {0};
    int status = CS_AGAIN;
    while (status == CS_AGAIN && !stop_asked)
        status = cs_wait(f, CS_LATEST, 10 * STEP_MS, &error);
    if (status == CS_OK)
        return OK;
    if (stop_asked)
        return FAIL(err, FATAL, EX_TEMPFAIL, "interrupted before the log's end");
    return failed(&error, err);
}

static enum status answer(const struct arguments *a, cs_follower *f, struct error *err) {
    cs_error error = {0};
    cs_view *view;
    TRY(go_to_end(f, err));
    if (cs_view_open(f, &view, &error) != CS_OK)
        return failed(&error, err);
    enum status status = a->export_to != NULL ? follow_export(f, view, a->export_to, err) : OK;
    if (status == OK)
        status = get_items(a, f, view, err);
    if (status == OK)
        log_info("follow.done", LOG_UINT("epoch", cs_view_epoch(view)));
    cs_view_close(view);
    return status;
}

static enum status stream(const struct arguments *a, cs_follower *f, struct error *err) {
    struct follow_changes changes = {.follower = f, .sid = cs_table_named(f, "sid"), .out = stdout};
    enum status status = OK;
    cs_error error = {0};
    if (a->until_latest && a->from == NULL) {
        TRY(go_to_end(f, err));
        status = follow_changes_write(&changes, err);
        follow_changes_end(&changes);
        return status;
    }
    while (status == OK && !stop_asked) {
        int step = cs_step(f, STEP_MS, &error);
        if (step == CS_OK)
            status = follow_changes_write(&changes, err);
        else if (step == CS_END)
            break;
        else if (step != CS_AGAIN)
            status = failed(&error, err);
    }
    follow_changes_end(&changes);
    return status;
}

/* ---- the command ---- */

static enum status open_follower(const struct arguments *a, cs_follower **out, struct error *err) {
    cs_error error = {0};
    cs_options *chosen = cs_options_new();
    int status = chosen != NULL ? CS_OK : CS_NO_MEMORY;
    if (status == CS_OK && a->settings.config != NULL)
        status = cs_options_read(chosen, a->settings.config, &error);
    for (int i = 0; i < a->settings.assignment_count && status == CS_OK; i++) {
        char name[128];
        const char *assignment = a->settings.assignments[i], *value = strchr(assignment, '=');
        snprintf(name, sizeof name, "%.*s", value != NULL ? (int)(value - assignment) : 127,
                 assignment);
        status = cs_options_set(chosen, name, value != NULL ? value + 1 : "", &error);
    }
    if (status == CS_OK)
        status = a->from != NULL ? cs_open_recording(out, a->from, chosen, &error)
                                 : cs_open_kafka(out, chosen, &error);
    cs_options_free(chosen);
    return status == CS_OK ? OK : failed(&error, err);
}

int cmd_follow(int argc, char **argv) {
    struct arguments a = {0};
    struct error err = {0};
    cs_follower *follower;
    int code;
    if (!command_parse(&argp, argc, argv, &a, &code))
        return code;
    if (a.from == NULL && a.settings.config == NULL && a.settings.assignment_count == 0)
        return command_usage(argv, "-c FILE or --from DIR is needed");
    signal(SIGINT, ask_stop);
    signal(SIGTERM, ask_stop);
    if (open_follower(&a, &follower, &err) != OK)
        return command_fail(&err);
    bool answers = a.get_count > 0 || a.export_to != NULL;
    enum status status = answers ? answer(&a, follower, &err) : stream(&a, follower, &err);
    cs_close(follower);
    return status == OK ? EX_OK : command_fail(&err);
}
