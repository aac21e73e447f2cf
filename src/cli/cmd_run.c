/* coldstream run: the stage on Kafka. */
#include "base/log.h"
#include "cli/commands.h"
#include "cli/reload.h"
#include "cli/run_restore.h"
#include "cli/run_snapshot.h"
#include "cli/run_watch.h"
#include "config/kafka_settings.h"
#include "math/blas_core.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEADER_WAIT_MS 200
#define STANDBY_WAIT_MS 50

struct run {
    struct session session;
    struct command_settings from;
    struct settings read; /* what `from` said last */
    bool finishing;       /* nothing more is taken */
    struct kafka_config kafka;
    struct kafka_leader *leader;
    struct kafka_source *source;
    struct kafka_sink *sink;
    struct run_follower *follower; /* while it does not lead */
    struct run_snapshot snapshot;
    struct run_watch watch;
};

/* ---- signals ---- */

static volatile sig_atomic_t stop_asked, reload_asked;
static volatile sig_atomic_t drain_s, drained;

/* The open transaction is aborted by the next instance: nothing is lost. */
static void leave_at_once(const char *text, int code) {
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
    _Exit(code);
}

static void ask_stop(int number) {
    (void)number;
    if (stop_asked)
        leave_at_once("coldstream: asked twice: leaving at once, the open epoch is not committed\n",
                      EX_TEMPFAIL);
    stop_asked = 1;
    alarm((unsigned)drain_s);
}

static void give_up_drain(int number) {
    (void)number;
    if (drained)
        leave_at_once("coldstream: all is committed, but leaving the group or the last snapshot "
                      "takes longer than kafka.drain_s: leaving without it\n",
                      EX_OK);
    leave_at_once(
        "coldstream: not done within kafka.drain_s: leaving, the open epoch is not committed\n",
        EX_TEMPFAIL);
}

static void ask_reload(int number) {
    (void)number;
    reload_asked = 1;
}

static void catch_signal(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(number, &action, NULL);
}

static void catch_signals(const struct settings *settings) {
    drain_s = (sig_atomic_t)settings->drain_s;
    catch_signal(SIGINT, ask_stop);
    catch_signal(SIGTERM, ask_stop);
    catch_signal(SIGALRM, give_up_drain);
    catch_signal(SIGHUP, ask_reload);
}

static void serve_reload(struct run *run) {
    if (!reload_asked)
        return;
    reload_asked = 0;
    reload(&run->from, &run->read, &run->session.settings);
    drain_s = (sig_atomic_t)run->read.drain_s;
    if (run->source != NULL)
        kafka_source_linger(run->source, run->read.linger_ms);
}

/* ---- running ---- */

/* Follows the outputs until this instance holds the leader partition; until then another one does the work. */
static enum status stand_by(struct run *run, struct error *err) {
    bool leads = false, told = false;
    uint32_t wait_ms = 0;
    run_watch_standby(&run->watch);
    while (!stop_asked) {
        serve_reload(run);
        enum status status = kafka_leader_poll(run->leader, wait_ms, &leads, err);
        if (status != RETRY)
            TRY(status);
        if (leads)
            return OK;
        if (!told)
            log_info(
                "run.standby",
                LOG_TEXT("text", "another instance leads, or none yet: following the outputs"));
        told = true;
        status = run_follower_step(run->follower, STANDBY_WAIT_MS, err);
        if (status != RETRY)
            TRY(status);
        wait_ms = status == RETRY ? LEADER_WAIT_MS : 0;
    }
    return OK;
}

static void tell_progress(const struct run *run, const struct stage_totals *totals,
                          uint64_t *shown) {
    if (totals->events == *shown)
        return;
    *shown = totals->events;
    log_info("run.progress", LOG_UINT("epoch", totals->epochs), LOG_UINT("events", totals->events),
             LOG_UINT("labelled", totals->labelled), LOG_UINT("parked", totals->parked),
             LOG_UINT("dead_letters", totals->dead_letters),
             LOG_REAL("auc", model_auc(stage_model(run->session.stage)), 4));
}

/* Until the group says what is awaited, or a session timeout is over. */
static enum status await_leads(struct run *run, bool awaited, bool *leads, struct error *err) {
    time_t end = time(NULL) + run->session.settings.session_timeout_ms / 1000 + 2;
    while (*leads != awaited && !stop_asked && time(NULL) < end) {
        enum status status = kafka_leader_poll(run->leader, LEADER_WAIT_MS, leads, err);
        if (status != RETRY)
            TRY(status);
    }
    return OK;
}

/* One epoch at most. *leads == false: another instance leads now; what this one had not committed is not published. */
static enum status run_epoch(struct run *run, bool *done, bool *leads, struct error *err) {
    enum status status = stage_step(run->session.stage, done, err);
    if (status == FATAL && err->exit_code == EX_UNAVAILABLE) {
        struct error cause = *err;
        TRY(await_leads(run, false, leads, err));
        *err = cause;
        return *leads ? FATAL : OK;
    }
    if (status != RETRY)
        TRY(status);
    if (status == RETRY && run->finishing) /* aborted: it is not formed again */
        return FAIL_SEE(err, FATAL, EX_TEMPFAIL, "drain-unfinished",
                        "the last epoch could not be committed; the next instance does it");
    status = kafka_leader_poll(run->leader, 0, leads, err);
    if (status != RETRY)
        TRY(status);
    /* the broker was away: if nobody else led meanwhile, go on; else the sink tells */
    return *leads ? OK : await_leads(run, true, leads, err);
}

/* Until it is drained, or until *leads is false. */
static enum status run_epochs(struct run *run, bool *leads, struct error *err) {
    time_t next_line = time(NULL) + (time_t)run->session.settings.progress_s;
    uint64_t shown = 0;
    *leads = true;
    for (bool done = false; !done;) {
        serve_reload(run);
        if (stop_asked && !run->finishing) {
            stage_finish(run->session.stage);
            run->finishing = true;
            run_watch_state(&run->watch, WATCH_DRAINING, NULL);
        }
        TRY(run_epoch(run, &done, leads, err));
        if (!*leads)
            return OK;
        run_snapshot_serve(&run->snapshot, &run->session, stage_last_manifest(run->session.stage));
        run_watch_serve(&run->watch, run->source, run->sink);
        if (time(NULL) >= next_line) {
            struct stage_totals totals;
            stage_totals(run->session.stage, &totals);
            tell_progress(run, &totals, &shown);
            next_line = time(NULL) + (time_t)run->session.settings.progress_s;
        }
    }
    drained = 1;
    alarm((unsigned)drain_s); /* anew for what is left: the group and the snapshot */
    log_info("run.drained", LOG_TEXT("text", "what was taken is committed"));
    return OK;
}

/* A call that the broker's absence has ended is made again until it is there, or until this instance shall stop (RETRY). */
typedef enum status (*broker_call)(struct run *run, struct error *err);
static enum status until_there(struct run *run, broker_call call, struct error *err) {
    enum status status;
    while ((status = call(run, err)) == RETRY && !stop_asked) {
        bool leads;
        log_warn("run.waiting", LOG_TEXT("reason", err->text));
        run_watch_state(&run->watch, WATCH_WAITING, err->text);
        if (run->leader == NULL)
            sleep(1);
        else if ((status = kafka_leader_poll(run->leader, 1000, &leads, err)) != RETRY)
            TRY(status);
    }
    return status;
}

/* Empty tables, and what follows into them. */
static enum status open_standby(struct run *run, struct error *err) {
    if (run->session.stage == NULL)
        TRY(session_stage(&run->session, (struct source_port){0}, (struct sink_port){0}, err));
    TRY(run_follower_open(&run->follower, &run->session, &run->kafka, err));
    run_follower_watch(run->follower, run->watch.watch);
    return OK;
}

static void close_ports(struct run *run) {
    if (run->sink)
        kafka_sink_close(run->sink);
    if (run->source)
        kafka_source_close(run->source);
    run->sink = NULL;
    run->source = NULL;
}

static void close_standby(struct run *run) {
    if (run->follower)
        run_follower_close(run->follower);
    run->follower = NULL;
}

/* The sink first: it fences whoever led before, whose open transaction is aborted; what is in the log then is all. */
static enum status take_lead(struct run *run, struct error *err) {
    uint64_t epoch;
    TRY(kafka_sink_open(&run->sink, &run->kafka, run->leader, err));
    log_info("run.fenced", LOG_TEXT("text", "whoever led before can commit nothing more"));
    TRY(kafka_source_open(&run->source, &run->kafka, err));
    run_watch_state(&run->watch, WATCH_RESTORING, NULL);
    TRY(run_follower_finish(run->follower, run->leader, &stop_asked, &epoch, err));
    close_standby(run);
    stage_connect(run->session.stage, run_watch_source(&run->watch, kafka_source_port(run->source)),
                  run_watch_sink(&run->watch, kafka_sink_port(run->sink)));
    TRY(stage_resume(run->session.stage, err));
    run_watch_state(&run->watch, WATCH_LEADING, NULL);
    log_info("run.ready", LOG_TEXT("text", "restored and leading"), LOG_UINT("epoch", epoch),
             LOG_TEXT("blas_core", blas_core_running()));
    return OK;
}

/* The stage is made anew: what it has may be of an epoch that was never committed. */
static enum status step_down(struct run *run, struct error *err) {
    log_warn("run.stepped_down",
             LOG_TEXT("text", "another instance leads now: nothing is published that was not "
                              "committed; standing by again"));
    run_watch_fenced(&run->watch);
    close_ports(run);
    stage_destroy(run->session.stage);
    run->session.stage = NULL;
    return until_there(run, open_standby, err);
}

static enum status serve(struct run *run, struct error *err) {
    bool leads;
    while (!stop_asked) {
        TRY(stand_by(run, err));
        if (stop_asked)
            break;
        enum status status = take_lead(run, err);
        if (status == RETRY) { /* the broker is away, or the lead is lost already */
            log_warn("run.waiting", LOG_TEXT("reason", err->text));
            run_watch_state(&run->watch, WATCH_WAITING, err->text);
            close_ports(run);
            continue;
        }
        TRY(status);
        TRY(run_epochs(run, &leads, err));
        if (leads)
            break;
        TRY(step_down(run, err));
    }
    return OK;
}

/* The log is the state: on topics that forget rows, or in another order, no restart would find it. */
static enum status prepare_topics(struct run *run, struct error *err) {
    struct topic_check checks[KAFKA_TOPICS];
    TRY(kafka_create_topics(&run->kafka, err));
    TRY(kafka_check_topics(&run->kafka, checks, err));
    for (int t = 0; t < KAFKA_TOPICS; t++)
        if (checks[t].state == TOPIC_DIFFERS && checks[t].must)
            return FAIL_SEE(err, FATAL, EX_CONFIG, "topics", "topic %s: %s", checks[t].name,
                            checks[t].text);
    return OK;
}

static enum status join_group(struct run *run, struct error *err) {
    return kafka_leader_join(&run->leader, &run->kafka, err);
}

static enum status open_and_run(struct run *run, struct error *err) {
    enum status status = until_there(run, prepare_topics, err);
    if (status == OK)
        status = until_there(run, join_group, err);
    if (status == OK)
        status = until_there(run, open_standby, err);
    if (status == OK)
        status = serve(run, err);
    return status == RETRY && stop_asked ? OK : status;
}

/* The group first: from then on a standby takes over. Should a transaction be open, the standby's registration aborts it. */
static void close_all(struct run *run, bool orderly) {
    bool led = run->sink != NULL && run->follower == NULL;
    if (run->leader)
        kafka_leader_leave(run->leader);
    close_ports(run);
    close_standby(run);
    run_snapshot_close(&run->snapshot, &run->session,
                       orderly && led ? stage_last_manifest(run->session.stage) : NULL);
    run_watch_close(&run->watch);
    session_close(&run->session);
}

/* ---- the command ---- */

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration (YAML); see conf/run.yaml", 0},
    {"set", COMMAND_OPTION_SET, "KEY=VALUE", 0,
     "Override one setting, e.g. --set kafka.brokers=broker:9092 (may be repeated)", 0},
    COMMAND_HELP_OPTION,
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    return command_settings_parse(key, value, state, state->input);
}

static const struct argp argp = {
    options,
    parse,
    "-c FILE",
    "Runs the stage on Kafka: one epoch is one transaction, the state is in the topics. Missing "
    "topics are created. Of several "
    "instances with one kafka.application one leads and the others wait.\v"
    "Example:\n  coldstream run -c conf/run.yaml --set kafka.brokers=127.0.0.1:9092\n\n"
    "SIGTERM and SIGINT: takes no more, commits what it has taken, leaves; exit code 0. After "
    "kafka.drain_s, or at a second signal, it ends at once with exit code 75; what was not "
    "committed is done by the next instance: nothing is lost.\n"
    "With http.listen (conf/run.yaml: 127.0.0.1:9464) it answers HTTP: a status page at /, "
    "/metrics for Prometheus, /healthz, /readyz; `coldstream top' shows the same in a terminal.\n\n"
    "SIGHUP: reads FILE again, takes over what may change while it runs, logs every difference.",
    NULL,
    NULL,
    NULL};

static enum status start(struct run *run, struct error *err) {
    TRY(command_settings_read(&run->from, &run->read, err));
    catch_signals(&run->read);
    TRY(session_open_live(&run->session, &run->read, err));
    TRY(kafka_settings(&run->session.settings, &run->session.arena, &run->kafka, err));
    TRY(run_snapshot_open(&run->snapshot, &run->session, err));
    TRY(run_watch_open(&run->watch, &run->session, &run->kafka, err));
    return open_and_run(run, err);
}

int cmd_run(int argc, char **argv) {
    static struct run run = {.snapshot.folder_fd = -1};
    struct error err = {0};
    int code;
    if (!command_parse(&argp, argc, argv, &run.from, &code))
        return code;
    if (run.from.config == NULL)
        return command_usage(argv, "-c FILE is needed");
    enum status status = start(&run, &err);
    close_all(&run, status == OK);
    return status == OK ? EX_OK : command_fail_live("run.failed", &err);
}
