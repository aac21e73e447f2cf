/* coldstream top: a running stage, live in a terminal, from its HTTP port. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/screen_text.h"
#include "cli/terminal.h"
#include "cli/top_fetch.h"
#include "cli/top_view.h"
#include "ops/verdict.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_MS 2000 /* as the status page does */
#define PLACE_DEFAULT "127.0.0.1:9464"
#define FRAME_BYTES 262144

struct arguments {
    const char *place;
    bool once, json;
};
enum { OPTION_ONCE = 256, OPTION_JSON };

static const struct argp_option options[] = {
    {"once", OPTION_ONCE, NULL, 0,
     "One picture, whole, then end; so too where there is no terminal", 0},
    {"json", OPTION_JSON, NULL, 0,
     "The stage's status with a verdict on it, once, in one line: a JSON object", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_ONCE:
        a->once = true;
        return 0;
    case OPTION_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            return ARGP_ERR_UNKNOWN;
        a->place = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "[HOST:PORT | URL]",
    "How a running stage is, in a terminal, every two seconds: whether all is well and if not, "
    "what "
    "is wrong and where; lag and rates by partition, epochs, AUC of cold items, the latest "
    "listings "
    "and how long they waited for their SID, dead letters, codebooks, memory. It asks the stage's "
    "HTTP port (http.listen); without an argument " PLACE_DEFAULT ".\v"
    "Keys: q quits. Lists show what is worst or newest first, as many lines as the window has.\n"
    "With NO_COLOR set there are no colours.\n\n"
    "Examples:\n  coldstream top\n  coldstream top stage-1:9464 --once\n"
    "  coldstream top https://stages.example/shop --json | jq .verdict\n\n"
    "Exit codes: 0 done, 64 usage, 65 what answers is no stage, 69 nothing answers.\n",
    NULL,
    NULL,
    NULL};

/* The stage's answer, with a verdict on it: an older stage has none. */
static void judge(json_t *status) {
    if (!json_is_object(json_object_get(status, "verdict")))
        json_object_set_new(status, "verdict", verdict_of(status));
}

static enum status fetch_once(struct top_fetch *fetch, json_t **status, struct error *err) {
    bool done = false;
    enum status result = OK;
    top_fetch_begin(fetch);
    while (!done)
        result = top_fetch_wait(fetch, NULL, 0, ASK_MS, &done, status, err);
    if (result == OK)
        judge(*status);
    return result;
}

static bool colours(void) {
    const char *none = getenv("NO_COLOR");
    return none == NULL || *none == '\0';
}

static void print_once(json_t *status, bool json) {
    struct picture picture = {.out = stdout, .columns = terminal_columns(), .rows = 200};
    if (json) {
        /* in ASCII: texts from outside may hold what steers a terminal, or ends a line for some readers */
        json_dumpf(status, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
        putchar('\n');
        return;
    }
    picture.bold = terminal_is_there();
    picture.colour = picture.bold && colours();
    top_view(&picture, status, NULL, 0);
}

/* ---- live ---- */

struct live {
    struct top_fetch *fetch;
    struct terminal terminal;
    json_t *status;
    int64_t answered_ms, ask_ms; /* of the monotonic clock */
    char away[ERROR_TEXT_BYTES];
    bool asked, end;
};

static void draw(struct live *live) {
    struct picture picture = {.out = stdout,
                              .columns = live->terminal.columns,
                              .rows = live->terminal.rows,
                              .colour = colours(),
                              .bold = true,
                              .live = true};
    fputs("\033[H", stdout);
    top_view(&picture, live->status, *live->away != '\0' ? live->away : NULL,
             (double)(clock_ms() - live->answered_ms) / 1000);
    fputs("\033[J", stdout);
    fflush(stdout);
}

static void take_answer(struct live *live, enum status result, json_t *status,
                        const struct error *err) {
    live->asked = false;
    live->ask_ms = clock_ms() + ASK_MS;
    if (result == OK) {
        json_decref(live->status);
        live->status = status;
        live->answered_ms = clock_ms();
        *live->away = '\0';
        judge(status);
    } else
        snprintf(live->away, sizeof live->away, "%s", err->text);
    draw(live);
}

static void react(struct live *live, const struct pollfd waits[2]) {
    char key = 0;
    enum terminal_event signal =
        waits[1].revents ? terminal_signal(&live->terminal) : TERMINAL_NOTHING;
    enum terminal_event typed = waits[0].revents ? terminal_key(&key) : TERMINAL_NOTHING;
    live->end = signal == TERMINAL_END || typed == TERMINAL_END || key == 'q' || key == 'Q';
    if (signal == TERMINAL_REDRAW || (typed == TERMINAL_KEY && !live->end))
        draw(live);
}

static enum status live_loop(struct live *live, struct error *err) {
    draw(live);
    while (!live->end && !ferror(stdout)) {
        struct pollfd waits[2] = {{.fd = STDIN_FILENO}, {.fd = live->terminal.signals}};
        json_t *status;
        bool done;
        int64_t left = live->ask_ms - clock_ms();
        if (!live->asked && left <= 0) {
            top_fetch_begin(live->fetch);
            live->asked = true;
        }
        enum status result =
            top_fetch_wait(live->fetch, waits, 2, live->asked || left > ASK_MS ? ASK_MS : (int)left,
                           &done, &status, err);
        if (done)
            take_answer(live, result, status, err);
        react(live, waits);
    }
    return OK;
}

static enum status show(struct live *live, const struct arguments *a, struct error *err) {
    TRY(fetch_once(live->fetch, &live->status, err));
    if (a->once || a->json || !terminal_is_there()) {
        print_once(live->status, a->json);
        return OK;
    }
    static char frame[FRAME_BYTES]; /* a picture is written at once, or it flickers */
    setvbuf(stdout, frame, _IOFBF, sizeof frame);
    live->answered_ms = clock_ms();
    live->ask_ms = clock_ms() + ASK_MS;
    TRY(terminal_open(&live->terminal, err));
    enum status status = live_loop(live, err);
    terminal_close(&live->terminal);
    return status;
}

int cmd_top(int argc, char **argv) {
    struct arguments a = {.place = PLACE_DEFAULT};
    struct live live = {0};
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &a, &code))
        return code;
    screen_text_start();
    if (top_fetch_open(&live.fetch, a.place, &err) != OK)
        return err.exit_code == EX_USAGE ? command_usage(argv, "%s", err.text) : command_fail(&err);
    enum status status = show(&live, &a, &err);
    json_decref(live.status);
    top_fetch_close(live.fetch);
    return status == OK ? EX_OK : command_fail(&err);
}
