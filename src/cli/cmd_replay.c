/* coldstream replay: the stage on recorded topics; no broker. */
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/record_state.h"
#include "cli/restore.h"
#include "cli/summary.h"
#include "cli/verify.h"
#include "math/blas_core.h"
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arguments {
    struct command_settings settings;
    const char *from, *to;
    bool resume, verify, json;
};

enum { OPTION_FROM = 256, OPTION_TO, OPTION_RESUME, OPTION_VERIFY, OPTION_JSON };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration (YAML); conf/replay.yaml runs on any recording",
     0},
    {"from", OPTION_FROM, "DIR", 0, "The recording that is read", 0},
    {"to", OPTION_TO, "DIR", 0, "The folder that gets the stage's output topics; absent or empty",
     0},
    {"resume", OPTION_RESUME, NULL, 0,
     "Go on where an earlier replay into DIR stopped or was killed", 0},
    {"verify", OPTION_VERIFY, NULL, 0,
     "Recompute instead of writing: name the first epoch, table and row of DIR (or of the "
     "recording itself, if it has an "
     "epochs topic) that differs, or the input that is missing",
     0},
    {"set", COMMAND_OPTION_SET, "KEY=VALUE", 0,
     "Override one setting, e.g. --set model.variant=id (may be repeated)", 0},
    {"json", OPTION_JSON, NULL, 0, "End with one line, a JSON object, instead of tables", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_FROM:
        a->from = value;
        return 0;
    case OPTION_TO:
        a->to = value;
        return 0;
    case OPTION_RESUME:
        a->resume = true;
        return 0;
    case OPTION_VERIFY:
        a->verify = true;
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
    "-c FILE --from DIR --to DIR",
    "Runs the stage on recorded topics: listings get semantic IDs, clicks are scored and then "
    "learned from, and every changed "
    "row, SID, codebook and a manifest per epoch goes to DIR, itself a recording.\v"
    "Example:\n  coldstream generate --to market\n  coldstream replay -c conf/replay.yaml --from "
    "market --to out\n"
    "  coldstream replay -c conf/replay.yaml --from market --to out --verify\n\n"
    "Interrupted (SIGINT, SIGTERM) it ends after the open epoch with exit code 75; --resume goes "
    "on from there.",
    NULL,
    NULL,
    NULL};

static volatile sig_atomic_t stop_asked;
static void ask_stop(int number) {
    if (stop_asked)
        _exit(128 + number);
    stop_asked = 1;
}

static void show_progress(struct session *session, struct progress *progress) {
    struct stage_totals totals;
    stage_totals(session->stage, &totals);
    progress_show(progress,
                  &(struct progress_line){totals.events, session->interactions + session->listings,
                                          totals.stream_ms, totals.epochs,
                                          model_auc(stage_model(session->stage))});
}

/* All epochs to the end of the source, or to the one that is open when a signal comes. */
static enum status run_epochs(struct session *session, struct progress *progress, bool *done,
                              struct error *err) {
    uint64_t snapshot_every = session->settings.snapshot_epochs;
    for (*done = false; !*done && !stop_asked;) {
        TRY(stage_step(session->stage, done, err));
        uint64_t epoch = stage_last_manifest(session->stage)->epoch;
        if (!*done && snapshot_every > 0 && epoch % snapshot_every == 0)
            TRY(restore_snapshot(session, epoch, err));
        if (progress_due(progress))
            show_progress(session, progress);
    }
    return OK;
}

static enum status open_writer(struct session *session, bool resume,
                               struct recording_writer **writer, uint64_t *epoch,
                               struct error *err) {
    struct recording_writer_config config;
    session_writer_config(session, &config);
    *epoch = 0;
    if (resume)
        return recording_writer_resume(writer, session->to, &config, epoch, err);
    return recording_writer_create(writer, session->to, &config, err);
}

/* A file that ends early at the end of a block shows no damage: only the counts tell. */
static void warn_short(const struct session *session) {
    struct stage_totals totals;
    stage_totals(session->stage, &totals);
    uint64_t expected = session->interactions + session->listings;
    uint64_t found = totals.events - totals.dead_by_reason[DEAD_DAMAGED];
    if (found < expected)
        log_warn("replay.short",
                 LOG_TEXT("text", "recording.yaml names more records than could be read: its files "
                                  "were cut or damaged"),
                 LOG_UINT("named", expected), LOG_UINT("read", found));
}

static enum status replay(struct session *session, const struct arguments *a, struct error *err) {
    struct recording_writer *writer;
    struct progress progress;
    struct summary summary;
    struct stage_totals before;
    uint64_t epoch;
    bool done;
    if (a->resume)
        TRY(restore_check_config(session, err));
    TRY(open_writer(session, a->resume, &writer, &epoch, err));
    TRY(session_stage(session, recording_source_port(session->source),
                      recording_writer_port(writer), err));
    if (epoch > 0)
        TRY(restore_stage(session, epoch, err));
    stage_totals(session->stage, &before);
    progress_start(&progress, session->settings.progress_s);
    enum status status = run_epochs(session, &progress, &done, err);
    progress_end(&progress);
    if (status == OK && !done)
        status = FAIL(err, FATAL, EX_TEMPFAIL,
                      "interrupted; the same command with --resume goes on from there");
    if (status == OK)
        status = recording_writer_finish(writer, err);
    double seconds = progress_seconds(&progress);
    recording_writer_close(writer);
    TRY(status);
    warn_short(session);
    summary_collect(session, seconds, before.events, &summary);
    if (epoch == 0 || summary.run_events > 0)
        TRY(summary_keep(&summary, session->from, session->to, err));
    if (epoch > 0 && summary.run_events == 0)
        log_info("replay.complete",
                 LOG_TEXT("text", "this replay was finished before: nothing was left to do"),
                 LOG_UINT("epochs", epoch));
    summary_warn(&summary);
    if (a->json) {
        summary_json(&summary, stdout);
        return OK;
    }
    summary_text(&summary, stdout);
    summary_listings(session, 5, stdout);
    return OK;
}

static bool has_epochs(const struct session *session) {
    for (uint32_t i = 0; i < session->info.partition_count; i++)
        if (session->info.partitions[i].topic == TOPIC_EPOCHS &&
            session->info.partitions[i].count > 0)
            return true;
    return false;
}

/* Under the configuration of the outputs: what -c and --set say is not what they were made with, if it differs. */
static enum status adopt_config(struct session *session, const char *outputs, struct error *err) {
    char *first = arena_must(&session->arena, SESSION_TEXT_BYTES);
    const char *text;
    TRY(record_state_config(session, outputs, &text, err));
    if (text[0] == '\0') {
        TRY(verify_config(session, outputs, first, SESSION_TEXT_BYTES, err));
        text = first;
    }
    if (text[0] == '\0' || strcmp(text, session->config_text) == 0)
        return OK;
    log_warn("verify.config", LOG_TEXT("text", "the outputs were made with other settings than -c "
                                               "and --set give; verifying with theirs"));
    return session_adopt(session, text, outputs, err);
}

static void verify_answer(const struct session *session, const struct verify_result *result,
                          bool finished, bool json) {
    char hex[DIGEST_HEX_BYTES];
    digest_hex(tables_digest(stage_tables(session->stage)), hex);
    if (json)
        printf("{\"verified_epochs\":%" PRIu64 ",\"digest\":\"%s\",\"finished\":%s", result->epochs,
               hex, finished ? "true" : "false");
    if (json && result->live)
        printf(",\"rows_compared\":%" PRIu64 ",\"rows_compacted\":%" PRIu64
               ",\"rows_unseen\":%" PRIu64,
               result->rows_compared, result->rows_compacted, result->rows_unseen);
    if (json) {
        printf("}\n");
        return;
    }
    printf("verified: %" PRIu64 " epochs, every %s equal%s; digest %s\n", result->epochs,
           result->live ? "digest" : "row",
           finished ? "" : " (the replay is not finished: --resume goes on)", hex);
    if (result->live)
        printf("rows: %" PRIu64 " compared and equal; %" PRIu64
               " could not be compared, compacted away after they were overwritten (%" PRIu64
               " of them by nothing that is in this recording)\n",
               result->rows_compared, result->rows_compacted, result->rows_unseen);
}

static enum status verify(struct session *session, const struct arguments *a, struct error *err) {
    struct progress progress;
    struct verify_result result;
    const char *outputs = session->to;
    if (outputs == NULL || strcmp(outputs, session->from) == 0)
        outputs = session->from;
    if (outputs == session->from && !has_epochs(session))
        return FAIL(err, FATAL, EX_USAGE,
                    "%s has no epochs topic: name the folder of its replay with --to",
                    session->from);
    TRY(adopt_config(session, outputs, err));
    progress_start(&progress, session->settings.progress_s);
    enum status status = verify_outputs(session, outputs, &progress, &result, err);
    progress_end(&progress);
    TRY(status);
    char finished[FILE_PATH_BYTES];
    bool whole =
        snprintf(finished, sizeof finished, "%s/recording.yaml", outputs) < (int)sizeof finished &&
        file_exists(finished);
    verify_answer(session, &result, whole, a->json);
    return OK;
}

int cmd_replay(int argc, char **argv) {
    static struct session session;
    struct arguments a = {0};
    struct settings settings;
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &a, &code))
        return code;
    if (a.settings.config == NULL || a.from == NULL || (a.to == NULL && !a.verify))
        return command_usage(argv, "-c FILE, --from DIR and --to DIR are needed");
    if (a.resume && a.verify)
        return command_usage(argv, "--resume and --verify exclude each other");
    signal(SIGINT, ask_stop);
    signal(SIGTERM, ask_stop);
    enum status status = command_settings_read(&a.settings, &settings, &err);
    if (status == OK)
        status = session_open(&session, &settings, a.from, a.to, &err);
    if (status == OK) {
        log_info("replay.start", LOG_TEXT("from", a.from),
                 LOG_UINT("events", session.interactions + session.listings),
                 LOG_UINT("listings", session.listings),
                 LOG_UINT("dims", session.settings.content_dims),
                 LOG_TEXT("blas_core", blas_core_running()));
        status = a.verify ? verify(&session, &a, &err) : replay(&session, &a, &err);
    }
    session_close(&session);
    return status == OK ? EX_OK : command_fail(&err);
}
