#include "cli/run_restore.h"
#include "apply/compacted.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/restore.h"
#include <inttypes.h>

#define FOLD_BYTES ((size_t)2 << 30) /* address space: an epoch number for each row */
#define MANIFEST_BYTES ((size_t)64 << 20)

struct restore {
    struct session *session;
    const struct kafka_config *kafka;
    const volatile sig_atomic_t *stop;
    struct compacted *compacted;
    uint64_t rows;
};

static enum status fold_record(struct restore *r, enum compacted_pass pass,
                               const struct record *record, struct error *err) {
    struct row_output row;
    bool folded;
    TRY(codec_decode_row(r->session->codec, record, &row, err));
    struct table *table = tables_named(stage_tables(r->session->stage), bytes_text(row.table));
    if (table == NULL)
        return FAIL(
            err, FATAL, EX_CONFIG,
            "%s-%d, offset %" PRId64
            ": the log has rows of table '%s' and this configuration has no such table: run with "
            "the model.variant of before, or under another kafka.application and kafka.prefix",
            topic_name(record->topic), record->partition, record->offset, row.table);
    struct folded_row folded_row = {table, row.key, row.position, row.version, row.value};
    TRY(compacted_fold(r->compacted, pass, &folded_row, row.epoch, &folded, err));
    r->rows += folded;
    return OK;
}

static enum status fold_topics(struct restore *r, enum compacted_pass pass, struct error *err) {
    static const enum topic parents[] = {TOPIC_CHANGELOG, TOPIC_RANKER_DELTAS, TOPIC_CODEBOOKS};
    static const enum topic children[] = {TOPIC_CHANGELOG, TOPIC_RANKER_DELTAS, TOPIC_SEMANTIC_IDS};
    struct kafka_log *log;
    double shown = 0, share = 0;
    TRY(kafka_log_open(&log, r->kafka, pass == PASS_PARENTS ? parents : children, 3, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct record record;
        status = *r->stop ? FAIL(err, RETRY, EX_TEMPFAIL, "asked to stop within the restore")
                          : kafka_log_next(log, &record, &got, &share, err);
        if (status == OK && got)
            status = fold_record(r, pass, &record, err);
        if (share - shown >= 0.1) {
            log_info("restore.progress", "pass=%d percent=%.0f rows=%" PRIu64, (int)pass + 1,
                     100 * share, r->rows);
            shown = share;
        }
    }
    kafka_log_close(log);
    return status;
}

/* The manifest committed last; epoch 0 when there is none. */
static enum status last_manifest(struct restore *r, struct arena *arena, struct manifest *out,
                                 struct error *err) {
    static const enum topic epochs[] = {TOPIC_EPOCHS};
    struct kafka_log *log;
    double share;
    *out = (struct manifest){0};
    TRY(kafka_log_open(&log, r->kafka, epochs, 1, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct record record;
        status = kafka_log_next(log, &record, &got, &share, err);
        if (status == OK && got)
            arena_reset(arena);
        if (status == OK && got)
            status = codec_decode_manifest(r->session->codec, &record, arena, out, err);
    }
    kafka_log_close(log);
    return status;
}

static enum status fold_all(struct restore *r, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "restore", FOLD_BYTES, err));
    enum status status =
        compacted_create(&r->compacted, stage_tables(r->session->stage), &arena, err);
    if (status == OK)
        status = fold_topics(r, PASS_PARENTS, err);
    if (status == OK)
        status = fold_topics(r, PASS_CHILDREN, err);
    arena_release(&arena);
    return status;
}

static enum status restore(struct restore *r, struct arena *arena, struct manifest *manifest,
                           struct error *err) {
    TRY(last_manifest(r, arena, manifest, err));
    if (manifest->epoch == 0) {
        log_info("restore.none", "text=\"no epoch in the log: starting anew\"");
        return OK;
    }
    TRY(fold_all(r, err));
    TRY(restore_check_state(r->session, manifest, "the log", err));
    log_info("restore.done", "epoch=%" PRIu64 " rows=%" PRIu64, manifest->epoch, r->rows);
    return OK;
}

enum status run_restore(struct session *session, const struct kafka_config *kafka,
                        const volatile sig_atomic_t *stop, uint64_t *epoch, struct error *err) {
    struct restore r = {.session = session, .kafka = kafka, .stop = stop};
    struct manifest manifest;
    struct arena arena;
    TRY(arena_reserve(&arena, "manifest", MANIFEST_BYTES, err));
    enum status status = restore(&r, &arena, &manifest, err);
    arena_release(&arena);
    *epoch = status == OK ? manifest.epoch : 0;
    return status;
}
