#include "cli/verify.h"
#include "cli/output_log.h"
#include "cli/record_state.h"
#include "cli/verify_live.h"
#include "math/blas_core.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MANIFEST_BYTES ((size_t)64 << 20)

/* A sink that compares what the stage publishes with what was published. */
struct comparison {
    struct session *session;
    struct output_log *log;
    struct recording_writer_config written;
    uint64_t epoch;
    int64_t next_offset[TOPIC_COUNT][64];
    struct live_rows *live; /* of a recording of live topics; NULL: of a replay's outputs */
};

static enum status compare_begin(void *self, uint64_t epoch, struct error *err) {
    (void)err;
    ((struct comparison *)self)->epoch = epoch;
    return OK;
}

/* The key of a row as text: ids as they are, integers as numbers. */
static void name_key(struct bytes key, char *out, size_t size) {
    size_t used = 0;
    if (key.len == 8 && !bytes_is_utf8(key)) {
        snprintf(out, size, "%" PRIu64, get_be64(key.data));
        return;
    }
    for (size_t i = 0; i < key.len && used + 5 < size; i++)
        used += (size_t)snprintf(out + used, size - used,
                                 key.data[i] >= 0x20 && key.data[i] < 0x7F ? "%c" : "\\x%02x",
                                 key.data[i]);
    out[used] = '\0';
}

static struct bytes header_named(const struct record *record, const char *name) {
    for (uint32_t h = 0; h < record->header_count; h++)
        if (bytes_equal(record->headers[h].key, bytes_text(name)))
            return record->headers[h].value;
    return bytes_text("");
}

/* A dead letter that differs was an input that differs, more often than not: so its place is named. */
static enum status dead_letter_differs(const struct comparison *c, const struct record *made,
                                       const char *how, struct error *err) {
    struct bytes topic = header_named(made, "topic"), partition = header_named(made, "partition"),
                 offset = header_named(made, "offset"), reason = header_named(made, "reason");
    return FAIL(err, FATAL, EX_DATAERR,
                "epoch %" PRIu64
                ": the dead letter of input %.*s-%.*s, offset %.*s (reason %.*s): %s",
                c->epoch, (int)topic.len, (const char *)topic.data, (int)partition.len,
                (const char *)partition.data, (int)offset.len, (const char *)offset.data,
                (int)reason.len, (const char *)reason.data, how);
}

static enum status differs(struct comparison *c, const struct record *made, const char *how,
                           struct error *err) {
    struct row_output row;
    char key[128] = "";
    if (made->topic == TOPIC_DEAD_LETTER)
        return dead_letter_differs(c, made, how, err);
    if (codec_decode_row(c->session->codec, made, &row, err) != OK)
        return FAIL(err, FATAL, EX_DATAERR, "epoch %" PRIu64 ": a record of %s %s", c->epoch,
                    topic_name(made->topic), how);
    name_key(row.key, key, sizeof key);
    return FAIL(err, FATAL, EX_DATAERR, "epoch %" PRIu64 ": table '%s', row '%s' (topic %s): %s",
                c->epoch, row.table, key, topic_name(made->topic), how);
}

bool record_headers_equal(const struct record *a, const struct record *b) {
    if (a->header_count != b->header_count)
        return false;
    for (uint32_t h = 0; h < a->header_count; h++)
        if (!bytes_equal(a->headers[h].key, b->headers[h].key) ||
            !bytes_equal(a->headers[h].value, b->headers[h].value))
            return false;
    return true;
}

static enum status compare_live(struct comparison *c, const struct record *made,
                                struct error *err) {
    enum live_match match;
    TRY(live_rows_match(c->live, made, &match, err));
    if (match == LIVE_OTHER_VALUE)
        return differs(c, made, "what is recorded differs from the recomputed record", err);
    return match == LIVE_MISSING ? differs(c, made, "is not in the recording", err) : OK;
}

static enum status compare_put(void *self, const struct record *made, struct error *err) {
    struct comparison *c = self;
    struct record recorded;
    bool got;
    if (made->topic == TOPIC_EPOCHS)
        return OK; /* compared field by field afterwards */
    if (c->live != NULL)
        return compare_live(c, made, err);
    int32_t partition = recording_partition(made, c->written.partitions[made->topic]);
    TRY(output_log_next(c->log, made->topic, partition, &recorded, &got, err));
    if (!got)
        return differs(c, made, "is not in the recording", err);
    c->next_offset[made->topic][partition] = recorded.offset + 1;
    if (!bytes_equal(made->key, recorded.key))
        return differs(c, made, "the recording has another row at this place", err);
    if (!bytes_equal(made->value, recorded.value))
        return differs(c, made, "the recorded value differs from the recomputed one", err);
    if (made->timestamp_ms != recorded.timestamp_ms)
        return differs(c, made, "the recorded timestamp differs from the recomputed one", err);
    if (!record_headers_equal(made, &recorded))
        return differs(c, made, "the recorded headers differ from the recomputed ones", err);
    return OK;
}

static enum status compare_ends(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                                struct error *err) {
    struct comparison *c = self;
    *count = 0;
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < c->written.partitions[topic]; p++) {
            if (*count == max)
                return FAIL(err, FATAL, EX_CONFIG, "more than %u output partitions", max);
            int64_t end = topic == TOPIC_EPOCHS ? (int64_t)c->epoch - 1 : c->next_offset[topic][p];
            ends[(*count)++] = (struct output_end){topic, p, end};
        }
    return OK;
}

static enum status compare_commit(void *self, const struct position *positions, uint32_t count,
                                  struct error *err) {
    (void)self, (void)positions, (void)count, (void)err;
    return OK;
}
static enum status compare_abort(void *self, struct error *err) {
    (void)self, (void)err;
    return OK;
}

static enum status make_stage(struct comparison *c, struct error *err) {
    return session_stage(c->session, recording_source_port(c->session->source),
                         (struct sink_port){c, compare_begin, compare_put, compare_ends,
                                            compare_commit, compare_abort},
                         err);
}

static bool batches_equal(const struct manifest *a, const struct manifest *b) {
    return a->batch_count == b->batch_count &&
           memcmp(a->batches, b->batches, a->batch_count * sizeof *a->batches) == 0;
}

/* The first field of the manifest itself that differs; NULL when none does. Build and configuration text may. */
static const char *field_that_differs(const struct manifest *a, const struct manifest *b) {
    const struct epoch_counts *x = &a->counts, *y = &b->counts;
    if (x->events != y->events || x->applied != y->applied || x->dead_letters != y->dead_letters ||
        x->parked != y->parked || x->labelled != y->labelled || x->rows != y->rows)
        return "counts";
    if (a->timestamp_ms != b->timestamp_ms)
        return "timestamp";
    if (a->watermark_ms != b->watermark_ms)
        return "watermark";
    if (a->generation != b->generation || a->codebook_version != b->codebook_version)
        return "generation or codebook_version";
    return batches_equal(a, b) ? NULL : "batches";
}

/* A replay's own offsets; on Kafka control records are among them, and live_rows_left() holds the records against the ends. */
static enum status compare_own_ends(const struct manifest *made, const struct manifest *recorded,
                                    struct error *err) {
    for (uint32_t i = 0; i < recorded->end_count; i++)
        for (uint32_t j = 0; j < made->end_count; j++)
            if (made->ends[j].topic == recorded->ends[i].topic &&
                made->ends[j].partition == recorded->ends[i].partition &&
                made->ends[j].end_offset != recorded->ends[i].end_offset)
                return FAIL(err, FATAL, EX_DATAERR,
                            "epoch %" PRIu64 ": %s-%d has records that were not recomputed",
                            recorded->epoch, topic_name(made->ends[j].topic),
                            made->ends[j].partition);
    return OK;
}

static enum status compare_manifests(const struct manifest *made, const struct manifest *recorded,
                                     struct error *err) {
    unsigned long long epoch = (unsigned long long)recorded->epoch;
    for (uint32_t i = 0; i < made->table_count; i++) {
        const struct table_state *state = manifest_table(recorded, made->tables[i].name);
        if (state == NULL || !digest_equal(state->digest, made->tables[i].digest) ||
            state->rows != made->tables[i].rows)
            return FAIL(err, FATAL, EX_DATAERR,
                        "epoch %llu: the digest of table '%s' differs from the manifest's", epoch,
                        made->tables[i].name);
    }
    if (!digest_equal(made->state, recorded->state) || made->range_count != recorded->range_count)
        return FAIL(err, FATAL, EX_DATAERR,
                    "epoch %llu: the manifest differs from the recomputed one", epoch);
    const char *field = field_that_differs(made, recorded);
    if (field != NULL)
        return FAIL(err, FATAL, EX_DATAERR,
                    "epoch %llu: the manifest's %s differs from the recomputed one", epoch, field);
    return OK;
}

static enum status check_core(const struct manifest *manifest, struct error *err) {
    const char *running = blas_core_running();
    if (strcmp(manifest->blas_core, running) == 0)
        return OK;
    return FAIL(err, FATAL, EX_CONFIG,
                "the outputs were made with OpenBLAS core type %s and this process runs %s, whose "
                "sums round differently: verify on a CPU of that type, or with "
                "OPENBLAS_CORETYPE=%s if this CPU has it",
                manifest->blas_core, running, manifest->blas_core);
}

/* What no epoch has published. */
static enum status check_left(struct comparison *c, bool after_last, struct error *err) {
    struct record record;
    bool got;
    TRY(live_rows_left(c->live, after_last, &record, &got, err));
    return got ? differs(c, &record,
                         after_last ? "is after the last epoch with a manifest"
                                    : "is in the recording and was not recomputed",
                         err)
               : OK;
}

/* Another configuration from here on (a live stage was started anew with other settings): a stage of that configuration takes the
 * rows over. */
static enum status change_config(struct comparison *c, const char *text, struct error *err) {
    struct session *session = c->session;
    struct stage *before = session->stage;
    TRY(session_adopt(session, text, "the configuration in a manifest", err));
    session->stage = NULL;
    enum status status = make_stage(c, err);
    const struct tables *from = stage_tables(before);
    for (uint32_t t = 0; status == OK && t < tables_count(from); t++) {
        const struct table *table = tables_at(from, t);
        const struct table_spec *spec = table_spec(table);
        struct table *to = tables_named(stage_tables(session->stage), bytes_text(spec->name));
        uint8_t scratch[8];
        for (uint32_t row = 0; status == OK && to != NULL && row < table_end(table); row++)
            if (table_live(table, row))
                status = table_restore(to, table_key(table, row, scratch), row,
                                       table_version(table, row),
                                       bytes_of(table_value(table, row), spec->value_bytes), err);
    }
    stage_destroy(before);
    return status == OK ? stage_resume(session->stage, err) : status;
}

static enum status check_config(struct comparison *c, const struct manifest *manifest,
                                struct error *err) {
    const char *ours = c->session->config_text;
    if (manifest->config_hash == hash64(ours, strlen(ours), 0))
        return OK;
    if (manifest->config != NULL)
        return change_config(c, manifest->config, err);
    return FAIL(err, FATAL, EX_CONFIG,
                "epoch %" PRIu64 " was made under another configuration, whose text is in none of "
                "the manifests: give it with -c and --set",
                manifest->epoch);
}

static enum status verify_epoch(struct comparison *c, const struct manifest *manifest,
                                struct error *err) {
    bool done;
    if (manifest->epoch != c->epoch + 1)
        return FAIL(
            err, FATAL, EX_DATAERR,
            "epoch %" PRIu64
            ": its manifest is not in the recording; the next one there is of epoch %" PRIu64,
            c->epoch + 1, manifest->epoch);
    TRY(check_core(manifest, err));
    TRY(check_config(c, manifest, err));
    TRY(recording_source_follow(c->session->source, manifest->ranges, manifest->range_count, err));
    stage_follow(c->session->stage, manifest);
    if (c->live != NULL)
        live_rows_begin(c->live, manifest);
    TRY(stage_step(c->session->stage, &done, err));
    const struct manifest *made = stage_last_manifest(c->session->stage);
    TRY(c->live != NULL ? check_left(c, false, err) : compare_own_ends(made, manifest, err));
    return compare_manifests(made, manifest, err);
}

/* A recording that begins in the middle has the manifest of the epoch whose state it begins with. */
static enum status check_beginning(const struct comparison *c, const struct manifest *manifest,
                                   struct error *err) {
    if (digest_equal(tables_digest(stage_tables(c->session->stage)), manifest->state))
        return OK;
    return FAIL(err, FATAL, EX_DATAERR,
                "epoch %" PRIu64 ": the state that the recording begins with is not what this "
                "epoch's manifest says",
                manifest->epoch);
}

static void show(struct session *session, struct progress *progress) {
    struct stage_totals totals;
    stage_totals(session->stage, &totals);
    progress_show(progress,
                  &(struct progress_line){totals.events, session->interactions + session->listings,
                                          totals.stream_ms, totals.epochs, (double)NAN});
}

/* What no manifest seals was not published by a whole epoch. */
static enum status check_ends(struct comparison *c, uint64_t epochs, struct error *err) {
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < c->written.partitions[topic]; p++) {
            struct record record;
            bool got;
            TRY(output_log_next(c->log, topic, p, &record, &got, err));
            if (got)
                return FAIL(err, FATAL, EX_DATAERR,
                            "epoch %" PRIu64
                            ", the last with a manifest: %s-%d has records after it, from offset "
                            "%lld; --resume finishes a replay that was stopped",
                            epochs, topic_name(topic), p, (long long)record.offset);
        }
    return OK;
}

static enum status verify_all(struct comparison *c, struct progress *progress,
                              struct verify_result *result, struct error *err) {
    struct arena scratch;
    TRY(arena_reserve(&scratch, "manifests", MANIFEST_BYTES, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct manifest manifest;
        arena_reset(&scratch);
        status = output_log_manifest(c->log, &scratch, &manifest, &got, err);
        bool begins = got && c->epoch > 0 && manifest.epoch == c->epoch && result->epochs == 0;
        if (status == OK && begins)
            status = check_beginning(c, &manifest, err);
        else if (status == OK && got)
            status = verify_epoch(c, &manifest, err);
        result->epochs += status == OK && got && !begins;
        if (progress_due(progress))
            show(c->session, progress);
    }
    arena_release(&scratch);
    if (status != OK || result->epochs == 0)
        return status;
    return c->live != NULL ? check_left(c, true, err) : check_ends(c, c->epoch, err);
}

/* The partitions of a recorded topic are as many as the topic had. */
static void live_partitions(const struct session *session, struct recording_writer_config *out) {
    memset(out->partitions, 0, sizeof out->partitions);
    for (uint32_t i = 0; i < session->info.partition_count; i++)
        if (session->info.partitions[i].topic >= TOPIC_INPUTS)
            out->partitions[session->info.partitions[i].topic]++;
}

static enum status open_outputs(struct comparison *c, const char *outputs, bool live,
                                struct error *err) {
    struct session *session = c->session;
    session_writer_config(session, &c->written);
    if (live)
        live_partitions(session, &c->written);
    TRY(output_log_open(&c->log, outputs, &c->written, session->codec, &session->arena, err));
    return live ? live_rows_create(&c->live, c->log, &c->written, &session->arena, err) : OK;
}

enum status verify_outputs(struct session *session, const char *outputs, struct progress *progress,
                           struct verify_result *result, struct error *err) {
    struct comparison *c = arena_must(&session->arena, sizeof *c);
    *c = (struct comparison){.session = session};
    *result = (struct verify_result){.live = session->info.live && outputs == session->from};
    enum status status = open_outputs(c, outputs, result->live, err);
    if (status == OK)
        status = make_stage(c, err);
    if (status == OK && result->live)
        status = record_state_read(session, outputs, &c->epoch, err);
    if (status == OK)
        status = verify_all(c, progress, result, err);
    if (c->live != NULL) {
        result->rows_compared = live_rows_compared(c->live);
        result->rows_compacted = live_rows_compacted(c->live);
        result->rows_unseen = live_rows_unseen(c->live);
        live_rows_close(c->live);
    }
    output_log_close(c->log);
    if (status == OK && result->epochs == 0)
        return FAIL(err, FATAL, EX_NOINPUT,
                    "%s: no manifest in the epochs topic: nothing to verify", outputs);
    return status;
}

enum status verify_config(struct session *session, const char *outputs, char *text, size_t size,
                          struct error *err) {
    struct recording_writer_config epochs_only = {.partitions[TOPIC_EPOCHS] = 1};
    struct output_log *log;
    struct arena scratch;
    struct manifest manifest = {0};
    bool got = false;
    text[0] = '\0';
    TRY(output_log_open(&log, outputs, &epochs_only, session->codec, &session->arena, err));
    TRY(arena_reserve(&scratch, "manifest", MANIFEST_BYTES, err));
    enum status status = output_log_manifest(log, &scratch, &manifest, &got, err);
    if (status == OK && got && manifest.config != NULL)
        snprintf(text, size, "%s", manifest.config);
    output_log_close(log);
    arena_release(&scratch);
    return status;
}
