#include "cli/run_restore.h"
#include "apply/follower.h"
#include "base/log.h"
#include "cli/restore.h"
#include "cli/run_snapshot.h"
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define MANIFEST_BYTES ((size_t)64 << 20)
#define STAGED_BYTES ((size_t)256 << 20) /* rows of epochs that are not whole yet */
#define STEP_RECORDS 2000
#define BEGINNINGS_MAX 3 /* of a state that does not become what its manifest says */
#define DIFFERS_S 5      /* so long is waited for a manifest that explains it */

/* The manifests come last in the order of slots: the others are the follower's partitions. */
static const enum topic topics[] = {TOPIC_CHANGELOG, TOPIC_RANKER_DELTAS, TOPIC_CODEBOOKS,
                                    TOPIC_SEMANTIC_IDS, TOPIC_EPOCHS};
#define TOPICS (sizeof topics / sizeof topics[0])

struct run_follower {
    struct arena arena;    /* itself */
    struct arena manifest; /* of the manifest read last */
    struct session *session;
    struct watch *watch; /* NULL: nobody */
    const struct kafka_config *kafka;
    struct kafka_log *log;
    struct follower *follower;
    uint32_t partitions;
    bool begun, idle; /* idle: given up until it has to lead */
    bool without_snapshot;
    uint32_t newest_ends;    /* partitions of rows in the newest manifest read; 0: none read */
    uint64_t snapshot_epoch; /* of the snapshot it began with; 0: none */
    uint32_t beginnings;     /* that came to nothing */
    uint64_t last_epoch;     /* the one committed last, when it began */
    double shown;            /* of the progress */
    struct timespec since;
    time_t differs_since; /* 0: it does not */
};

/* ---- opening ---- */

static enum status open_parts(struct run_follower *f, struct error *err) {
    TRY(arena_reserve(&f->manifest, "manifest", MANIFEST_BYTES, err));
    TRY(kafka_log_open(&f->log, f->kafka, topics, TOPICS, err));
    f->partitions = kafka_log_slots(f->log) - 1;
    return follower_create(&f->follower, stage_tables(f->session->stage), f->partitions,
                           STAGED_BYTES, err);
}

enum status run_follower_open(struct run_follower **out, struct session *session,
                              const struct kafka_config *kafka, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "standby", sizeof(struct run_follower), err));
    struct run_follower *f = arena_must(&arena, sizeof *f);
    *f = (struct run_follower){.arena = arena, .session = session, .kafka = kafka};
    enum status status = open_parts(f, err);
    if (status == OK)
        *out = f;
    else
        run_follower_close(f);
    return status;
}

void run_follower_watch(struct run_follower *f, struct watch *watch) {
    f->watch = watch;
}

void run_follower_close(struct run_follower *f) {
    if (f->follower != NULL)
        follower_destroy(f->follower);
    if (f->log != NULL)
        kafka_log_close(f->log);
    arena_release(&f->manifest);
    struct arena arena = f->arena; /* it lies in it */
    arena_release(&arena);
}

/* ---- beginning ---- */

/* Where the manifest that was committed last is; its epoch, 0 when there is none. */
static enum status find_last(struct run_follower *f, int64_t *offset, struct error *err) {
    struct record record;
    struct manifest manifest;
    bool got;
    f->last_epoch = 0;
    *offset = KAFKA_LOG_BEGINNING;
    arena_reset(&f->manifest);
    TRY(kafka_log_last(f->kafka, TOPIC_EPOCHS, &f->manifest, &record, &got, err));
    if (!got)
        return OK;
    TRY(codec_decode_manifest(f->session->codec, &record, &f->manifest, &manifest, err));
    *offset = record.offset;
    f->last_epoch = manifest.epoch;
    return OK;
}

static enum status start_log(struct run_follower *f, const int64_t *from, struct error *err) {
    TRY(kafka_log_start(f->log, from, err));
    follower_begin(f->follower);
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        follower_reached(f->follower, slot, kafka_log_at(f->log, slot));
    f->begun = true;
    f->idle = false;
    f->shown = 0;
    f->differs_since = 0;
    clock_gettime(CLOCK_MONOTONIC, &f->since);
    return OK;
}

/* Where each partition goes on after the snapshot. False: one of them is not there any more. */
static bool snapshot_ends(const struct run_follower *f, const struct snapshot_note *note,
                          int64_t *from) {
    for (uint32_t i = 0; i < note->end_count; i++) {
        const struct output_end *end = &note->ends[i];
        uint32_t slot;
        if (end->topic == TOPIC_EPOCHS || end->topic == TOPIC_DEAD_LETTER)
            continue;
        if (!kafka_log_slot(f->log, end->topic, end->partition, &slot))
            return false;
        from[slot] = end->end_offset;
    }
    return true;
}

static enum status start_from_snapshot(struct run_follower *f, const struct snapshot_note *note,
                                       int64_t *from, struct error *err) {
    if (note->epoch > f->last_epoch)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "it is of epoch %" PRIu64 ", newer than the log's last one, %" PRIu64,
                    note->epoch, f->last_epoch);
    if (!snapshot_ends(f, note, from))
        return FAIL(err, BAD_RECORD, EX_DATAERR, "it has more partitions than the log");
    TRY(start_log(f, from, err));
    f->snapshot_epoch = note->epoch;
    return OK;
}

static enum status begin(struct run_follower *f, struct error *err) {
    int64_t from[OUTPUT_PARTITIONS_MAX + 1];
    struct snapshot_note note = {0};
    f->snapshot_epoch = 0;
    tables_clear(stage_tables(f->session->stage));
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        from[slot] = KAFKA_LOG_BEGINNING;
    TRY(find_last(f, &from[f->partitions], err));
    if (!f->without_snapshot)
        TRY(run_snapshot_read(f->session, &note, err));
    if (note.epoch == 0)
        return start_log(f, from, err);
    enum status status = start_from_snapshot(f, &note, from, err);
    if (status != BAD_RECORD)
        return status;
    run_snapshot_set_aside(f->session, err->text);
    tables_clear(stage_tables(f->session->stage));
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        from[slot] = KAFKA_LOG_BEGINNING;
    return start_log(f, from, err);
}

static void begin_anew(struct run_follower *f, const char *why) {
    if (f->snapshot_epoch > 0)
        run_snapshot_set_aside(f->session, why);
    else
        log_warn("restore.anew", LOG_TEXT("reason", why),
                 LOG_TEXT("remedy", "none needed: all of the log is folded again"));
    f->begun = false;
    f->without_snapshot = true;
    f->beginnings++;
}

/* ---- what comes ---- */

static enum status take_row(struct run_follower *f, uint32_t slot, const struct record *record,
                            struct error *err) {
    struct folded_row row;
    uint64_t epoch;
    TRY(restore_row(f->session, record, &row, &epoch, err));
    enum status status = follower_row(f->follower, slot, record->offset, epoch, &row, err);
    if (status == BAD_RECORD)
        error_context(err, "%s-%d, offset %" PRId64, topic_name(record->topic), record->partition,
                      record->offset);
    return status;
}

static enum status take_manifest(struct run_follower *f, const struct record *record,
                                 struct error *err) {
    struct manifest manifest;
    int64_t ends[OUTPUT_PARTITIONS_MAX];
    uint32_t rows = 0;
    arena_reset(&f->manifest);
    TRY(codec_decode_manifest(f->session->codec, record, &f->manifest, &manifest, err));
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        ends[slot] = 0; /* a partition that was added later */
    for (uint32_t i = 0; i < manifest.end_count; i++) {
        const struct output_end *end = &manifest.ends[i];
        uint32_t slot;
        if (end->topic == TOPIC_EPOCHS || end->topic == TOPIC_DEAD_LETTER)
            continue;
        if (!kafka_log_slot(f->log, end->topic, end->partition, &slot))
            return FAIL_SEE(
                err, FATAL, EX_DATAERR, "state-differs",
                "topic %s%s had a partition %d in epoch %" PRIu64
                " and has it no more: it was made anew with fewer; restore the topic, or "
                "start with a new kafka.application and kafka.prefix",
                f->kafka->prefix, topic_name(end->topic), end->partition, manifest.epoch);
        ends[slot] = end->end_offset;
        rows++;
    }
    f->newest_ends = rows;
    return follower_manifest(f->follower, manifest.epoch, ends, manifest_digest, &manifest, err);
}

static enum status take(struct run_follower *f, uint32_t wait_ms, bool *came, struct error *err) {
    struct record record;
    bool got;
    uint32_t slot;
    TRY(kafka_log_next(f->log, wait_ms, &record, &got, &slot, err));
    *came = slot != KAFKA_NO_SLOT;
    if (got)
        return record.topic == TOPIC_EPOCHS ? take_manifest(f, &record, err)
                                            : take_row(f, slot, &record, err);
    if (*came && slot < f->partitions)
        follower_reached(f->follower, slot, kafka_log_at(f->log, slot));
    return OK;
}

/* What is there, a helping at most: the caller has a group to serve. */
static enum status take_some(struct run_follower *f, uint32_t wait_ms, struct error *err) {
    bool came = true;
    for (int i = 0; i < STEP_RECORDS && came; i++)
        TRY(take(f, i == 0 ? wait_ms : 0, &came, err));
    return follower_advance(f->follower, err);
}

/* ---- steps ---- */

static void tell_progress(struct run_follower *f, const struct follower_state *state) {
    double share = kafka_log_share(f->log);
    struct timespec now;
    if (state->exact || share - f->shown < 0.1)
        return;
    f->shown = share;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double s =
        difftime(now.tv_sec, f->since.tv_sec) + (double)(now.tv_nsec - f->since.tv_nsec) / 1e9;
    log_info("restore.progress", LOG_REAL("percent", 100 * share, 0), LOG_UINT("rows", state->rows),
             LOG_REAL("rows_per_s", (double)state->rows / (s > 0.001 ? s : 0.001), 0));
}

static void tell_watch(const struct run_follower *f) {
    uint64_t done, all;
    if (f->watch == NULL)
        return;
    kafka_log_way(f->log, &done, &all);
    watch_restore(f->watch, done, all);
}

/* One that stands by, and whose state is not what the newest manifest says: a manifest that is on its way may explain it. */
static void mind_difference(struct run_follower *f, const struct follower_state *state) {
    if (state->differs == NULL) {
        f->differs_since = 0;
        return;
    }
    if (f->differs_since == 0)
        f->differs_since = time(NULL);
    if (time(NULL) - f->differs_since < DIFFERS_S)
        return;
    begin_anew(f, "the state is not what the manifest says");
    if (f->beginnings == BEGINNINGS_MAX) {
        log_warn("standby.idle", LOG_TEXT("table", state->differs),
                 LOG_TEXT("text", "the log does not fold to what its manifests say; it is folded "
                                  "again when this instance has to lead"));
        f->idle = true;
    }
}

/* BAD_RECORD: to be begun anew. */
static enum status step(struct run_follower *f, uint32_t wait_ms, struct follower_state *state,
                        struct error *err) {
    if (!f->begun)
        TRY(begin(f, err));
    TRY(take_some(f, wait_ms, err));
    follower_state(f->follower, state);
    tell_progress(f, state);
    tell_watch(f);
    return OK;
}

enum status run_follower_step(struct run_follower *f, uint32_t wait_ms, struct error *err) {
    struct follower_state state;
    if (f->idle) {
        poll(NULL, 0, (int)wait_ms);
        return OK;
    }
    enum status status = step(f, wait_ms, &state, err);
    if (status == BAD_RECORD) {
        begin_anew(f, err->text);
        f->idle = f->beginnings == BEGINNINGS_MAX;
        return OK;
    }
    TRY(status);
    mind_difference(f, &state);
    return OK;
}

/* ---- the end ---- */

static enum status go_to_end(struct run_follower *f, struct kafka_leader *leader,
                             const volatile sig_atomic_t *stop, struct follower_state *state,
                             struct error *err) {
    bool captured = false, leads;
    while (!captured || kafka_log_share(f->log) < 1) {
        enum status status = kafka_leader_poll(leader, 0, &leads, err);
        if (status != RETRY)
            TRY(status);
        if (*stop || !leads)
            return FAIL(err, RETRY, EX_TEMPFAIL, "the restore was ended before its end");
        status = step(f, 20, state, err);
        if (status == OK && !captured) {
            status = kafka_log_capture(f->log, err);
            captured = status == OK;
        }
        if (status != RETRY)
            TRY(status);
    }
    TRY(follower_advance(f->follower, err));
    follower_state(f->follower, state);
    return OK;
}

static enum status check_end(const struct follower_state *state, struct error *err) {
    if (state->newest == 0 && state->rows == 0)
        return OK;
    if (state->newest == 0)
        return FAIL_SEE(
            err, BAD_RECORD, EX_DATAERR, "state-differs",
            "the outputs have rows, and topic epochs has no manifest to check them with: "
            "retention.ms of it is too short, or it was made anew; start with a new "
            "kafka.application and kafka.prefix");
    if (state->exact && state->epoch == state->newest)
        return OK;
    return FAIL_SEE(err, BAD_RECORD, EX_DATAERR, "state-differs",
                    "after epoch %" PRIu64
                    " table '%s' is not what its manifest says: the log was changed, or comes from "
                    "another configuration; start with a new kafka.application and kafka.prefix",
                    state->newest, state->differs != NULL ? state->differs : "?");
}

enum status run_follower_finish(struct run_follower *f, struct kafka_leader *leader,
                                const volatile sig_atomic_t *stop, uint64_t *epoch,
                                struct error *err) {
    struct follower_state state;
    bool afresh = !f->begun || f->idle;
    if (f->idle)
        f->begun = f->idle = false;
    for (;;) {
        enum status status = go_to_end(f, leader, stop, &state, err);
        if (status == OK)
            status = check_end(&state, err);
        if (status != BAD_RECORD) {
            TRY(status);
            break;
        }
        if (afresh && f->snapshot_epoch == 0)
            return FAIL_SEE(err, FATAL, EX_DATAERR, "state-differs", "%.480s", err->text);
        begin_anew(f, err->text);
        afresh = true;
    }
    if (f->newest_ends != 0 && f->newest_ends != f->partitions)
        return FAIL_SEE(
            err, FATAL, EX_CONFIG, "topics",
            "the outputs have %u partitions, and had %u when epoch %" PRIu64
            " was committed: a row's partition follows from its key and their number, so "
            "rows would be in two places; start with new outputs (kafka.prefix) and a new "
            "kafka.application",
            f->partitions, f->newest_ends, state.newest);
    *epoch = state.newest;
    if (*epoch == 0)
        log_info("restore.none", LOG_TEXT("text", "no epoch in the log: starting anew"));
    else
        log_info("restore.done", LOG_UINT("epoch", *epoch), LOG_UINT("rows", state.rows),
                 LOG_UINT("snapshot_epoch", f->snapshot_epoch));
    return OK;
}
