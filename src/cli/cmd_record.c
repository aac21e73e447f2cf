/* coldstream record: live topics to a recording. */
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/progress_count.h"
#include "cli/record_schemas.h"
#include "cli/record_state.h"
#include "cli/shipped.h"
#include "config/kafka_settings.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MANIFEST_BYTES ((size_t)64 << 20)
/* What is in the files is sealed so often: a kill loses no more than that, and --resume reads it again. */
#define SEAL_S 0.25

struct arguments {
    struct command_settings settings;
    const char *to, *from, *until;
    bool resume, json;
};

struct record_run {
    struct arguments arguments;
    struct session session;
    struct kafka_config kafka;
    struct record_plan plan;
    struct kafka_copy *copy;
    struct recording_writer *writer;
    struct progress progress;
    uint64_t seal; /* number of the last line of sealed.log */
    double sealed_s;
    bool open; /* it has no end yet: until stopped, or until a time that is still to come */
    uint64_t records, bytes;
    int64_t wanted; /* offsets to copy, for progress */
};

static volatile sig_atomic_t stop_asked;
static void ask_stop(int number) {
    if (stop_asked)
        _exit(128 + number);
    stop_asked = 1;
}

static const volatile sig_atomic_t never;

/* ---- beginning ---- */

static enum status interrupted(struct error *err) {
    return FAIL(err, FATAL, EX_TEMPFAIL,
                "interrupted; the same command with --resume goes on from there");
}

/* Questions to a broker that is away are asked again. */
static enum status wait_a_moment(const struct record_plan *plan, struct error *err) {
    log_warn("record.waiting", LOG_TEXT("text", err->text));
    if (*plan->stop)
        return interrupted(err);
    sleep(1);
    return OK;
}

static void writer_config(const struct record_run *run, struct recorded_schema *schemas,
                          struct recording_writer_config *out) {
    *out = (struct recording_writer_config){.live = true, .schemas = schemas};
    memcpy(out->partitions, run->plan.partitions, sizeof out->partitions);
    out->compression = (enum compression)run->session.settings.output_compression;
    out->schema_count = shipped_schemas(true, schemas);
    out->schema_count += shipped_schemas(false, schemas + out->schema_count);
}

static enum status seal(struct record_run *run, struct error *err) {
    struct sink_port port = recording_writer_port(run->writer);
    TRY(port.begin(port.self, run->seal + 1, err));
    run->seal++;
    run->sealed_s = progress_seconds(&run->progress);
    return port.commit(port.self, NULL, 0, err);
}

/* The inputs of earlier epochs are gone, or not wanted: the recording begins with the state after one. Where rows of then are gone as well,
 * it is the last one's, whose rows are all there. */
static enum status begin_with_state(struct record_run *run, struct error *err) {
    struct record_plan *plan = &run->plan;
    bool whole;
    TRY(record_state_fold(&run->session, plan, &whole, err));
    if (!whole && plan->start.epoch < plan->last.epoch && !*plan->stop) {
        log_warn("record.later",
                 LOG_TEXT("text", "the inputs up to epoch inputs_gone are not in the topics any "
                                  "more, and rows as they were then have been compacted away: the "
                                  "recording begins after epoch begins_after"),
                 LOG_UINT("inputs_gone", plan->start.epoch),
                 LOG_UINT("begins_after", plan->last.epoch));
        record_plan_start_at_last(plan);
        TRY(record_state_fold(&run->session, plan, &whole, err));
    }
    if (*plan->stop)
        return interrupted(err);
    if (!whole)
        return FAIL(err, RETRY, EX_TEMPFAIL,
                    "the rows of epoch %" PRIu64 " were compacted away while they were read",
                    plan->start.epoch);
    TRY(record_plan_place(plan, err));
    return record_state_write(&run->session, plan, run->arguments.to, err);
}

/* A new recording; the first seal makes its beginning last. */
static enum status begin(struct record_run *run, struct error *err) {
    struct record_plan *plan = &run->plan;
    enum status status = plan->start.epoch > 0 ? begin_with_state(run, err) : OK;
    while (status == RETRY) {
        TRY(wait_a_moment(plan, err));
        status = record_plan_begin(plan, err);
        if (status == OK)
            status = begin_with_state(run, err);
    }
    TRY(status);
    for (uint32_t i = 0; i < plan->span_count; i++)
        recording_writer_place(run->writer, plan->spans[i].topic, plan->spans[i].partition,
                               plan->spans[i].next_offset);
    return seal(run, err);
}

/* Where the recording goes on, or begins. */
static enum status open_writer(struct record_run *run, struct error *err) {
    struct recorded_schema schemas[RECORDED_SCHEMAS_MAX];
    struct recording_writer_config config;
    struct record_plan *plan = &run->plan;
    const char *to = run->arguments.to;
    writer_config(run, schemas, &config);
    TRY(run->arguments.resume ? recording_writer_resume(&run->writer, to, &config, &run->seal, err)
                              : recording_writer_create(&run->writer, to, &config, err));
    if (run->seal == 0)
        return begin(run, err);
    for (uint32_t i = 0; i < plan->span_count; i++)
        plan->spans[i].next_offset =
            recording_writer_next(run->writer, plan->spans[i].topic, plan->spans[i].partition);
    return OK;
}

/* ---- copying ---- */

/* An output that has been copied past the end of the last manifest: a later manifest is about to be there. */
static bool passed(const struct record_run *run) {
    const struct record_plan *plan = &run->plan;
    for (uint32_t i = 0; plan->last.epoch > 0 && i < plan->span_count; i++) {
        const struct kafka_span *span = &plan->spans[i];
        if (span->topic >= TOPIC_INPUTS &&
            recording_writer_next(run->writer, span->topic, span->partition) > span->end_offset)
            return true;
    }
    return false;
}

static enum status find_end(struct record_run *run, struct error *err) {
    struct record_plan *plan = &run->plan;
    plan->stop = &never;
    do {
        enum status status;
        while ((status = record_plan_end(plan, err)) == RETRY)
            TRY(wait_a_moment(plan, err));
        TRY(status);
    } while (run->open && passed(run));
    plan->stop = &stop_asked;
    if (passed(run))
        return FAIL(err, FATAL, EX_USAGE,
                    "%s has more than --until takes: name a later end, or record into another "
                    "folder",
                    run->arguments.to);
    run->open = false;
    return OK;
}

static int64_t left(const struct record_plan *plan) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < plan->span_count; i++)
        if (plan->spans[i].next_offset < plan->spans[i].end_offset)
            sum += plan->spans[i].end_offset - plan->spans[i].next_offset;
    return sum;
}

static void show(struct record_run *run) {
    double share = 0;
    if (!run->open)
        share = run->wanted > 0 ? 1 - (double)left(&run->plan) / (double)run->wanted : 1;
    progress_show_count(&run->progress, "records", run->records, share);
}

static bool time_has_come(const struct record_run *run) {
    const struct record_bound *until = &run->plan.until;
    return until->kind == BOUND_TIME && (int64_t)time(NULL) * 1000 >= until->time_ms;
}

static enum status copy_all(struct record_run *run, struct error *err) {
    for (;;) {
        struct record record;
        bool got;
        TRY(kafka_copy_next(run->copy, &record, &got, err));
        if (got) {
            TRY(recording_writer_append(run->writer, &record, err));
            run->records++;
            run->bytes += record.key.len + record.value.len;
        } else if (kafka_copy_done(run->copy))
            return OK;
        if (run->open && (stop_asked || time_has_come(run))) {
            run->plan.until.kind = BOUND_LATEST;
            TRY(find_end(run, err));
            run->wanted = left(&run->plan);
            stop_asked = 0;
        } else if (stop_asked) {
            TRY(seal(run, err));
            return interrupted(err);
        }
        if (progress_seconds(&run->progress) - run->sealed_s >= SEAL_S)
            TRY(seal(run, err));
        if (progress_due(&run->progress))
            show(run);
    }
}

/* ---- the answer ---- */

static json_t *topics_json(const struct record_run *run) {
    json_t *topics = json_object();
    for (uint32_t i = 0; i < run->plan.span_count; i++) {
        const struct kafka_span *span = &run->plan.spans[i];
        char name[96];
        snprintf(name, sizeof name, "%s-%d", topic_name(span->topic), span->partition);
        json_object_set_new(
            topics, name,
            json_integer(recording_writer_next(run->writer, span->topic, span->partition)));
    }
    return topics;
}

static void answer(const struct record_run *run) {
    const struct record_plan *plan = &run->plan;
    const char *to = run->arguments.to;
    if (run->arguments.json) {
        json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "recording", to, "records",
                                 (json_int_t)run->records, "bytes", (json_int_t)run->bytes,
                                 "state_epoch", (json_int_t)plan->start.epoch, "last_epoch",
                                 (json_int_t)plan->last.epoch, "ends", topics_json(run));
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
        return;
    }
    printf("recorded: %" PRIu64 " records, %" PRIu64 " bytes of keys and values, into %s\n",
           run->records, run->bytes, to);
    if (plan->last.epoch == 0)
        printf("no epochs: only what the inputs have\n");
    else
        printf("epochs: %" PRIu64 " to %" PRIu64 "; check them with\n"
               "  coldstream replay --verify -c %s --from %s\n",
               plan->start.epoch + 1, plan->last.epoch, run->arguments.settings.config, to);
}

/* With the schemas that its input records name. */
static enum status finish(struct record_run *run, struct error *err) {
    struct recorded_schema schemas[2 * RECORDED_SCHEMAS_MAX];
    uint32_t count = 0;
    enum status status;
    if (run->session.registry == NULL)
        return recording_writer_finish(run->writer, err);
    while ((status = record_schemas(&run->session, run->arguments.to, run->plan.partitions, schemas,
                                    &count, err)) == RETRY)
        TRY(wait_a_moment(&run->plan, err));
    TRY(status);
    count += shipped_schemas(false, schemas + count);
    if (count > RECORDED_SCHEMAS_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "the topics have more than %d schemas",
                    RECORDED_SCHEMAS_MAX);
    recording_writer_schemas(run->writer, schemas, count);
    return recording_writer_finish(run->writer, err);
}

static enum status record(struct record_run *run, struct error *err) {
    struct record_plan *plan = &run->plan;
    enum status status;
    while ((status = record_plan_begin(plan, err)) == RETRY)
        TRY(wait_a_moment(plan, err));
    TRY(status);
    run->open =
        plan->until.kind == BOUND_OPEN || (plan->until.kind == BOUND_TIME && !time_has_come(run));
    progress_start(&run->progress, run->session.settings.progress_s);
    TRY(open_writer(run, err));
    if (!run->open)
        TRY(find_end(run, err));
    run->wanted = left(plan);
    log_info("record.start", LOG_TEXT("to", run->arguments.to),
             LOG_UINT("partitions", plan->span_count), LOG_UINT("state_epoch", plan->start.epoch));
    TRY(kafka_copy_begin(run->copy, plan->spans, plan->span_count, err));
    status = copy_all(run, err);
    progress_end(&run->progress);
    TRY(status);
    TRY(seal(run, err));
    return finish(run, err);
}

/* ---- the command ---- */

enum { OPTION_TO = 256, OPTION_FROM, OPTION_UNTIL, OPTION_RESUME, OPTION_JSON };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration of the stage (YAML); see conf/run.yaml", 0},
    {"to", OPTION_TO, "DIR", 0, "The folder that gets the recording; absent or empty", 0},
    {"until", OPTION_UNTIL, "END", 0,
     "latest: what is committed now. A time (2026-11-25T16:00:00Z, or milliseconds since 1970): "
     "inputs with earlier timestamps and the epochs made of them; where it is still to come, all "
     "until then. Offsets of inputs (interactions:0=1500,item-content:0=40): up to, and without, "
     "these. Without --until it records until SIGINT or SIGTERM",
     0},
    {"from", OPTION_FROM, "BEGIN", 0,
     "latest, a time or offsets of inputs, as for --until: the first input wanted. Without it, "
     "all that the topics have",
     0},
    {"resume", OPTION_RESUME, NULL, 0,
     "Go on where an earlier recording into DIR stopped or was killed, or take in what has come "
     "since",
     0},
    {"set", COMMAND_OPTION_SET, "KEY=VALUE", 0,
     "Override one setting, e.g. --set kafka.brokers=broker:9092 (may be repeated)", 0},
    {"json", OPTION_JSON, NULL, 0, "Answer with one line, a JSON object", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_TO:
        a->to = value;
        return 0;
    case OPTION_FROM:
        a->from = value;
        return 0;
    case OPTION_UNTIL:
        a->until = value;
        return 0;
    case OPTION_RESUME:
        a->resume = true;
        return 0;
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
    "-c FILE --to DIR",
    "Copies the stage's topics, inputs and outputs, to a recording: the exact records with their "
    "offsets and timestamps, as far as they are committed. It joins no group and commits nothing, "
    "so it may run beside the stage. The outputs end with a whole epoch.\v"
    "Example:\n  coldstream record -c conf/run.yaml --to tuesday --until latest\n"
    "  coldstream replay --verify -c conf/run.yaml --from tuesday\n"
    "  coldstream replay -c conf/replay.yaml --from tuesday --to what-if --set model.history=50\n\n"
    "The second line recomputes every epoch of the live run and names the first that differs. The "
    "third replays its inputs under other settings.\n\n"
    "Interrupted while it copies up to --until it ends with exit code 75; --resume goes on.",
    NULL,
    NULL,
    NULL};

static enum status start(struct record_run *run, struct error *err) {
    struct settings settings;
    struct record_plan *plan = &run->plan;
    plan->stop = &stop_asked;
    if (run->arguments.from != NULL)
        TRY(record_bound_parse(run->arguments.from, &plan->from, err));
    if (run->arguments.until != NULL)
        TRY(record_bound_parse(run->arguments.until, &plan->until, err));
    TRY(command_settings_read(&run->arguments.settings, &settings, err));
    TRY(session_open_live(&run->session, &settings, err));
    TRY(kafka_settings(&run->session.settings, &run->session.arena, &run->kafka, err));
    TRY(arena_reserve(&plan->scratch, "manifest", MANIFEST_BYTES, err));
    plan->codec = run->session.codec;
    TRY(kafka_copy_open(&plan->asking, &run->kafka, err));
    TRY(kafka_copy_open(&run->copy, &run->kafka, err));
    return record(run, err);
}

static void close_all(struct record_run *run) {
    if (run->writer)
        recording_writer_close(run->writer);
    if (run->copy)
        kafka_copy_close(run->copy);
    if (run->plan.asking)
        kafka_copy_close(run->plan.asking);
    arena_release(&run->plan.scratch);
    session_close(&run->session);
}

int cmd_record(int argc, char **argv) {
    static struct record_run run;
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &run.arguments, &code))
        return code;
    if (run.arguments.settings.config == NULL || run.arguments.to == NULL)
        return command_usage(argv, "-c FILE and --to DIR are needed");
    signal(SIGINT, ask_stop);
    signal(SIGTERM, ask_stop);
    enum status status = start(&run, &err);
    if (status == OK)
        answer(&run);
    close_all(&run);
    return status == OK ? EX_OK : command_fail_live("record.failed", &err);
}
