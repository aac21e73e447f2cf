#include "cli/restore.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/output_log.h"
#include "cli/verify.h"
#include "model/snapshot.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FOLD_BYTES ((size_t)4 << 30) /* address space for the rows of one epoch */
#define FOLD_ROWS_MAX (1u << 24)

struct fold {
    struct session *session;
    const struct restore_watch *watch; /* NULL: nobody looks on */
    struct output_log *log;
    struct arena arena; /* of one epoch */
    struct arena rows_arena;
    struct folded_row *rows;
    uint32_t count;
};

/* One line of a text of settings, as `section.key: value`. */
static void name_setting(const char *section, const char *line, char *out, size_t size) {
    int section_bytes = *line == ' ' ? (int)strcspn(section, ":") : 0;
    line += strspn(line, " ");
    snprintf(out, size, "%.*s%s%.*s", section_bytes, section, section_bytes ? "." : "",
             (int)strcspn(line, "\n"), line);
}

/* The first line of two texts of settings (sections, and keys indented below them) that differs. */
static enum status name_difference(const char *to, const char *then, const char *now,
                                   struct error *err) {
    const char *section = "";
    char setting_then[128], setting_now[128];
    for (;;) {
        size_t len = strcspn(now, "\n");
        if (*then == '\0' || *now == '\0' || strncmp(then, now, len + 1) != 0)
            break;
        if (*now != ' ')
            section = now;
        then += len + 1;
        now += len + 1;
    }
    name_setting(section, then, setting_then, sizeof setting_then);
    name_setting(section, now, setting_now, sizeof setting_now);
    return FAIL(err, FATAL, EX_CONFIG,
                "%s was begun with `%s', now it is `%s': resume it with the configuration of the "
                "first run, or replay into a new folder",
                to, setting_then, setting_now);
}

enum status restore_check_config(struct session *session, struct error *err) {
    char path[FILE_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/epochs-0.avro", session->to) >= (int)sizeof path ||
        !file_exists(path))
        return OK;
    char *text = arena_must(&session->arena, SESSION_TEXT_BYTES);
    struct error unread;
    /* cut off before its first epoch, or damaged: whoever opens it to go on says so */
    if (verify_config(session, session->to, text, SESSION_TEXT_BYTES, &unread) != OK ||
        text[0] == '\0' || strcmp(text, session->config_text) == 0)
        return OK;
    return name_difference(session->to, text, session->config_text, err);
}

static enum status snapshot_path(const struct session *session, char path[FILE_PATH_BYTES],
                                 struct error *err) {
    if (snprintf(path, FILE_PATH_BYTES, "%s/" SNAPSHOT_FILE, session->to) >= FILE_PATH_BYTES)
        return FAIL(err, FATAL, EX_USAGE, "%s: the path is too long", session->to);
    return OK;
}

enum status restore_snapshot(struct session *session, uint64_t epoch, struct error *err) {
    char path[FILE_PATH_BYTES];
    uint8_t note[8];
    put_be64(note, epoch);
    TRY(snapshot_path(session, path, err));
    return snapshot_write(path, stage_tables(session->stage), bytes_of(note, sizeof note), err);
}

/* The epoch of the snapshot that was restored; 0 when there is none of use. */
static enum status start_from_snapshot(struct session *session, uint64_t epoch, uint64_t *restored,
                                       struct error *err) {
    char path[FILE_PATH_BYTES];
    struct bytes note = {0};
    *restored = 0;
    TRY(snapshot_path(session, path, err));
    enum status status =
        snapshot_read(path, stage_tables(session->stage), &session->arena, &note, err);
    if (status == BAD_RECORD) {
        log_warn("snapshot.ignored", LOG_TEXT("path", path), LOG_TEXT("reason", err->text),
                 LOG_TEXT("remedy", "none needed: the log has everything"));
        return OK;
    }
    if (status == RETRY)
        return OK;
    TRY(status);
    *restored = note.len == 8 ? get_be64(note.data) : UINT64_MAX;
    if (*restored <= epoch)
        return OK;
    /* newer than the last sealed epoch: of a run whose end was lost; the log decides */
    log_warn("snapshot.ignored", LOG_TEXT("path", path),
             LOG_TEXT("reason", "newer than the last sealed epoch"), LOG_UINT("sealed", epoch));
    *restored = 0;
    tables_clear(stage_tables(session->stage));
    return OK;
}

static enum status take_row(void *self, const struct row_output *row, struct error *err) {
    struct fold *fold = self;
    if (fold->watch != NULL)
        TRY(fold->watch->row(fold->watch->self, row, err));
    struct table *table = tables_named(stage_tables(fold->session->stage), bytes_text(row->table));
    if (table == NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "the outputs have rows of table '%s' and this configuration has no such table: "
                    "resume with the configuration of the first run",
                    row->table);
    if (fold->count == FOLD_ROWS_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "an epoch has more than %u rows", FOLD_ROWS_MAX);
    struct folded_row *out = &fold->rows[fold->count++];
    *out = (struct folded_row){.table = table, .position = row->position, .version = row->version};
    out->key = bytes_of(arena_copy(&fold->arena, row->key.data, row->key.len), row->key.len);
    if (row->value.data)
        out->value =
            bytes_of(arena_copy(&fold->arena, row->value.data, row->value.len), row->value.len);
    if (out->key.data == NULL || (row->value.data && out->value.data == NULL))
        return FAIL(err, FATAL, EX_DATAERR, "the rows of an epoch do not fit in %zu bytes",
                    FOLD_BYTES);
    return OK;
}

static enum status fold_one(struct fold *fold, const struct manifest *manifest, struct error *err) {
    size_t mark = arena_mark(&fold->arena);
    fold->count = 0;
    TRY(output_log_rows(fold->log, manifest, take_row, fold, err));
    enum status status =
        fold_epoch(stage_tables(fold->session->stage), fold->rows, fold->count, err);
    arena_rewind(&fold->arena, mark);
    if (status == BAD_RECORD)
        return FAIL(err, FATAL, EX_DATAERR,
                    "epoch %" PRIu64 " of the outputs does not fold: replay into a new folder",
                    manifest->epoch);
    return status;
}

enum status restore_row(const struct session *session, const struct record *record,
                        struct folded_row *out, uint64_t *epoch, struct error *err) {
    struct row_output row;
    TRY(codec_decode_row(session->codec, record, &row, err));
    struct table *table = tables_named(stage_tables(session->stage), bytes_text(row.table));
    if (table == NULL)
        return FAIL(
            err, FATAL, EX_CONFIG,
            "%s-%d, offset %" PRId64
            ": the log has rows of table '%s' and this configuration has no such table: run with "
            "the model.variant of before, or under another kafka.application and kafka.prefix",
            topic_name(record->topic), record->partition, record->offset, row.table);
    *out = (struct folded_row){table, row.key, row.position, row.version, row.value};
    *epoch = row.epoch;
    return OK;
}

enum status restore_check_state(const struct session *session, struct manifest *manifest,
                                const char *where, struct error *err) {
    const char *name = fold_differs(stage_tables(session->stage), manifest_digest, manifest);
    if (name != NULL)
        return FAIL(
            err, FATAL, EX_DATAERR,
            "after epoch %" PRIu64
            " table '%s' is not what its manifest says: %s was changed, or comes from another "
            "configuration; replay into a new folder or run under another application",
            manifest->epoch, name, where);
    return OK;
}

static enum status other_inputs(const struct session *session, const struct input_range *range,
                                struct error *err) {
    return FAIL(err, FATAL, EX_CONFIG,
                "%s was made from another recording than %s: %s-%d, offsets %" PRId64 " to %" PRId64
                ", differ; give the first one with --from, or replay into a new folder",
                session->to, session->from, topic_name(range->topic), range->partition,
                range->first_offset, range->last_offset);
}

/* The inputs of the epoch that was sealed last must be those that are read now, or two streams would be mixed. */
static enum status check_inputs(struct session *session, const struct manifest *manifest,
                                struct error *err) {
    struct source_port source = recording_source_port(session->source);
    bool got = true, end;
    TRY(recording_source_follow(session->source, manifest->ranges, manifest->range_count, err));
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        const struct input_range *range = &manifest->ranges[r];
        uint64_t hash = 0;
        for (uint32_t i = 0; i < range->count && got; i++) {
            struct record record;
            if (source.next(source.self, &record, &got, &end, err) != OK)
                return other_inputs(session, range, err);
            if (got)
                hash = stage_record_hash(&record, hash);
        }
        if (!got || hash != range->hash)
            return other_inputs(session, range, err);
    }
    return recording_source_follow(session->source, NULL, 0, err);
}

static enum status fold_log(struct fold *fold, uint64_t epoch, uint64_t from_snapshot,
                            struct error *err) {
    struct manifest manifest;
    bool got;
    do {
        arena_reset(&fold->arena);
        TRY(output_log_manifest(fold->log, &fold->arena, &manifest, &got, err));
        if (!got)
            return FAIL(err, FATAL, EX_DATAERR, "%s: the manifest of epoch %" PRIu64 " is missing",
                        fold->session->to, epoch);
        if (manifest.epoch <= from_snapshot)
            TRY(output_log_skip(fold->log, &manifest, err));
        else
            TRY(fold_one(fold, &manifest, err));
        if (fold->watch != NULL)
            TRY(fold->watch->epoch(fold->watch->self, &manifest, err));
    } while (manifest.epoch < epoch);
    TRY(restore_check_state(fold->session, &manifest, fold->session->to, err));
    return fold->session->source != NULL ? check_inputs(fold->session, &manifest, err) : OK;
}

enum status restore_watched(struct session *session, uint64_t epoch,
                            const struct restore_watch *watch, struct error *err) {
    struct fold fold = {.session = session, .watch = watch};
    struct recording_writer_config written;
    uint64_t from_snapshot = 0;
    session_writer_config(session, &written);
    if (watch == NULL)
        TRY(start_from_snapshot(session, epoch, &from_snapshot, err));
    TRY(arena_reserve(&fold.arena, "rows of an epoch", FOLD_BYTES, err));
    TRY(arena_reserve(&fold.rows_arena, "row index of an epoch",
                      (size_t)FOLD_ROWS_MAX * sizeof *fold.rows, err));
    fold.rows = arena_must(&fold.rows_arena, (size_t)FOLD_ROWS_MAX * sizeof *fold.rows);
    TRY(output_log_open(&fold.log, session->to, &written, session->codec, &session->arena, err));
    enum status status = fold_log(&fold, epoch, from_snapshot, err);
    output_log_close(fold.log);
    arena_release(&fold.arena);
    arena_release(&fold.rows_arena);
    TRY(status);
    log_info("restore.done", LOG_UINT("epoch", epoch), LOG_UINT("snapshot_epoch", from_snapshot));
    return stage_resume(session->stage, err);
}

enum status restore_stage(struct session *session, uint64_t epoch, struct error *err) {
    return restore_watched(session, epoch, NULL, err);
}

/* ---- a finished replay ---- */

static enum status rewind_nothing(void *self, const struct position *positions, uint32_t count,
                                  struct error *err) {
    (void)self, (void)positions, (void)count, (void)err;
    return OK;
}

static enum status adopt_outputs_config(struct session *session, struct error *err) {
    char *text = arena_must(&session->arena, SESSION_TEXT_BYTES);
    TRY(verify_config(session, session->to, text, SESSION_TEXT_BYTES, err));
    if (text[0] == '\0')
        return FAIL(err, FATAL, EX_NOINPUT, "%s: no epoch in it: not the folder of a replay",
                    session->to);
    settings_default(&session->settings);
    return session_adopt(session, text, session->to, err);
}

enum status restore_open(struct session *session, const char *dir, uint64_t *epochs,
                         struct error *err) {
    *epochs = 0;
    TRY(session_open_outputs(session, dir, err));
    for (uint32_t i = 0; i < session->info.partition_count; i++)
        if (session->info.partitions[i].topic == TOPIC_EPOCHS)
            *epochs = (uint64_t)session->info.partitions[i].count;
    if (*epochs == 0)
        return FAIL(err, FATAL, EX_NOINPUT, "%s: no epoch in it: not the folder of a replay", dir);
    TRY(adopt_outputs_config(session, err));
    return session_stage(session, (struct source_port){.rewind = rewind_nothing},
                         (struct sink_port){0}, err);
}

enum status restore_finished(struct session *session, const char *dir, struct error *err) {
    uint64_t epochs;
    TRY(restore_open(session, dir, &epochs, err));
    return restore_stage(session, epochs, err);
}
