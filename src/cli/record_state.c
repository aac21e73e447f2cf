#include "cli/record_state.h"
#include "apply/compacted.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/restore.h"
#include "model/snapshot.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_FILE "state.yaml"

/* ---- folding ---- */

static enum status fold_log(struct session *session, struct record_plan *plan,
                            struct compacted *compacted, struct error *err) {
    struct kafka_span spans[RECORDED_PARTITIONS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->start.end_count; i++) {
        const struct output_end *end = &plan->start.ends[i];
        int64_t low, high;
        if (!topic_has_rows(end->topic))
            continue;
        TRY(kafka_copy_range(plan->asking, end->topic, end->partition, &low, &high, err));
        spans[count++] = (struct kafka_span){end->topic, end->partition, low, end->end_offset};
    }
    TRY(kafka_copy_begin(plan->asking, spans, count, err));
    while (!*plan->stop && !kafka_copy_done(plan->asking)) {
        struct record record;
        struct folded_row row;
        uint64_t epoch;
        bool got;
        TRY(kafka_copy_next(plan->asking, &record, &got, err));
        if (!got)
            continue;
        TRY(restore_row(session, &record, &row, &epoch, err));
        TRY(compacted_fold(compacted, &row, epoch, err));
    }
    return OK;
}

static enum status fold_all(struct session *session, struct record_plan *plan, struct error *err) {
    struct compacted *compacted;
    TRY(compacted_create(&compacted, stage_tables(session->stage), err));
    enum status status = fold_log(session, plan, compacted, err);
    if (status == OK)
        compacted_end(compacted);
    compacted_destroy(compacted);
    return status;
}

/* A source that only hears where the stage would go on: into plan->first. */
static enum status note_positions(void *self, const struct position *positions, uint32_t count,
                                  struct error *err) {
    struct record_plan *plan = self;
    (void)err;
    for (uint32_t i = 0; i < count; i++)
        if (positions[i].partition < plan->partitions[positions[i].topic])
            plan->first[positions[i].topic][positions[i].partition] = positions[i].next_offset;
    return OK;
}

static enum status adopt_config(struct session *session, const struct record_plan *plan,
                                struct error *err) {
    if (plan->start_config[0] != '\0')
        TRY(session_adopt(session, plan->start_config, "the configuration in the manifests", err));
    if (hash64(session->config_text, strlen(session->config_text), 0) != plan->start.config_hash)
        return FAIL(err, FATAL, EX_CONFIG,
                    "epoch %" PRIu64 " was made under another configuration, whose text is in no "
                    "manifest that the topics still have: give the stage's own with -c and --set",
                    plan->start.epoch);
    return OK;
}

static enum status check_fold(struct session *session, struct record_plan *plan, bool *whole,
                              struct error *err) {
    *whole = digest_equal(tables_digest(stage_tables(session->stage)), plan->start.state);
    return *whole ? stage_resume(session->stage, err) : OK;
}

enum status record_state_fold(struct session *session, struct record_plan *plan, bool *whole,
                              struct error *err) {
    struct source_port source = {.self = plan, .rewind = note_positions};
    *whole = false;
    TRY(adopt_config(session, plan, err));
    TRY(session_stage(session, source, (struct sink_port){0}, err));
    enum status status = fold_all(session, plan, err);
    if (status == OK && !*plan->stop)
        status = check_fold(session, plan, whole, err);
    if (status == OK && *whole)
        return OK;
    stage_destroy(session->stage);
    session->stage = NULL;
    return status;
}

/* ---- files ---- */

static enum status state_path(const char *dir, const char *name, char path[FILE_PATH_BYTES],
                              struct error *err) {
    if (snprintf(path, FILE_PATH_BYTES, "%s/%s", dir, name) >= FILE_PATH_BYTES)
        return FAIL(err, FATAL, EX_USAGE, "%s: the path is too long", dir);
    return OK;
}

enum status record_state_write(const struct session *session, const struct record_plan *plan,
                               const char *dir, struct error *err) {
    char path[FILE_PATH_BYTES];
    uint8_t note[8];
    put_be64(note, plan->start.epoch);
    TRY(state_path(dir, CONFIG_FILE, path, err));
    TRY(file_save(path, bytes_text(session->config_text), err));
    TRY(state_path(dir, SNAPSHOT_FILE, path, err));
    return snapshot_write(path, stage_tables(session->stage), bytes_of(note, sizeof note), err);
}

enum status record_state_config(struct session *session, const char *dir, const char **text,
                                struct error *err) {
    char path[FILE_PATH_BYTES];
    struct bytes content;
    *text = "";
    TRY(state_path(dir, CONFIG_FILE, path, err));
    if (!file_exists(path))
        return OK;
    TRY(file_load(path, &session->arena, SESSION_TEXT_BYTES, &content, err));
    *text = (const char *)content.data; /* file_load ends it with a NUL */
    return OK;
}

enum status record_state_read(struct session *session, const char *dir, uint64_t *epoch,
                              struct error *err) {
    char path[FILE_PATH_BYTES];
    struct bytes note;
    *epoch = 0;
    TRY(state_path(dir, SNAPSHOT_FILE, path, err));
    if (!file_exists(path))
        return OK;
    enum status status =
        snapshot_read(path, stage_tables(session->stage), &session->arena, &note, err);
    if (status == BAD_RECORD || (status == OK && note.len != sizeof(uint64_t)))
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s: it is damaged, or of another configuration: nothing can be recomputed "
                    "without it; record again",
                    path);
    TRY(status);
    *epoch = get_be64(note.data);
    return stage_resume(session->stage, err);
}
