#include "sim_run.h"
#include "../ranker_whole.h"

#include "apply/fold.h"

#include <stdio.h>
#include <string.h>

#define MANIFESTS_BYTES ((size_t)256 << 20)
#define FOLD_BYTES ((size_t)1 << 30)
#define FOLD_ROWS_MAX (1u << 18)
#define STEPS_MAX 100000

void sim_setup_small(struct sim_setup *out) {
    *out = (struct sim_setup){.stage = {.epoch_batches = 2,
                                        .epoch_events_max = 150,
                                        .epoch_bytes_max = 64 << 20,
                                        .content_listings = 8,
                                        .ahead_ms = 3600000,
                                        .join_window_ms = 60000,
                                        .lateness_ms = 10000,
                                        .idle_ms = 600000,
                                        .join_rows_max = 256,
                                        .negatives = 3,
                                        .negatives_popular = 0.5f,
                                        .popular_clicks = 100,
                                        .duplicate_rows_max = 128,
                                        .parking_policy = PARKING_APPLY,
                                        .parking_ms = 60000,
                                        .parking_rows_max = 64,
                                        .parking_bytes_max = 256,
                                        .config_text = "seed: 7\n",
                                        .build = "test",
                                        .blas_core = "test"},
                              .model = {.tokenizer = {.content_dims = SIM_DIMS,
                                                      .z_dims = 8,
                                                      .books = {8, 6, 5, 4, 4},
                                                      .seed = 7},
                                        .ranker = {.variant = VARIANT_FULL,
                                                   .width = 8,
                                                   .history = 5,
                                                   .batch = SIM_BATCH,
                                                   .z_dims = 8,
                                                   .books = {8, 6, 5, 4, 4},
                                                   .prefix_rows = 64,
                                                   .hidden = {8, 4},
                                                   RANKER_WHOLE,
                                                   .gate_hidden = 4,
                                                   .seed = 7},
                                        .train_listings = 20,
                                        .items_max = 512,
                                        .users_max = 512,
                                        .id_bytes_max = SIM_ID_BYTES_MAX,
                                        .title_bytes = 16,
                                        .warmup_events = 0,
                                        .seed = 7}};
}

enum status sim_run_create(struct sim_run *run, struct codec *codec,
                           const struct sim_inputs *inputs, struct error *err) {
    *run = (struct sim_run){.codec = codec};
    TRY(sim_log_create(&run->log, inputs, err));
    TRY(arena_reserve(&run->manifests, "manifest of a fold", MANIFESTS_BYTES, err));
    TRY(arena_reserve(&run->fold_bytes, "rows of a fold", FOLD_BYTES, err));
    TRY(arena_reserve(&run->fold_index, "row index of a fold", FOLD_ROWS_MAX * sizeof *run->rows,
                      err));
    run->rows = arena_must(&run->fold_index, FOLD_ROWS_MAX * sizeof *run->rows);
    return OK;
}

void sim_run_destroy(struct sim_run *run) {
    stage_destroy(run->stage);
    sim_log_destroy(run->log);
    arena_release(&run->manifests);
    arena_release(&run->fold_bytes);
    arena_release(&run->fold_index);
}

static enum status new_stage(struct sim_run *run, struct error *err) {
    stage_destroy(run->stage);
    run->stage = NULL;
    return stage_create(&run->stage, &run->setup.stage, &run->setup.model, sim_log_source(run->log),
                        sim_log_sink(run->log), codec_port(run->codec), err);
}

enum status sim_run_begin(struct sim_run *run, const struct sim_setup *setup,
                          const struct sim_inputs *inputs, const struct sim_faults *faults,
                          uint64_t seed, struct error *err) {
    run->setup = *setup;
    run->restarts = 0;
    sim_log_begin(run->log, inputs, faults, seed);
    return new_stage(run, err);
}

/* ---- restoring ---- */

enum status sim_run_manifest(struct sim_run *run, uint64_t epoch, struct arena *arena,
                             struct manifest *out, struct error *err) {
    struct record record = sim_record_of(sim_log_at(run->log, TOPIC_EPOCHS, 0, (int64_t)epoch - 1));
    TRY(codec_decode_manifest(run->codec, &record, arena, out, err));
    if (out->epoch != epoch)
        return FAIL(err, FATAL, EX_DATAERR, "the manifest at offset %llu is of epoch %llu",
                    (unsigned long long)epoch - 1, (unsigned long long)out->epoch);
    return OK;
}

static struct bytes keep(struct arena *arena, struct bytes b) {
    return b.data ? bytes_of(arena_copy(arena, b.data, b.len), b.len) : b;
}

static bool has_rows(enum topic topic) {
    return topic == TOPIC_SEMANTIC_IDS || topic == TOPIC_RANKER_DELTAS ||
           topic == TOPIC_CHANGELOG || topic == TOPIC_CODEBOOKS;
}

static enum status take_rows(struct sim_run *run, const struct output_end *end, struct error *err) {
    int64_t *cursor = &run->cursors[end->topic][end->partition];
    for (; *cursor < end->end_offset; ++*cursor) {
        struct row_output row;
        struct record record =
            sim_record_of(sim_log_at(run->log, end->topic, end->partition, *cursor));
        TRY(codec_decode_row(run->codec, &record, &row, err));
        struct table *table = tables_named(stage_tables(run->stage), bytes_text(row.table));
        if (table == NULL || run->row_count == FOLD_ROWS_MAX)
            return FAIL(err, FATAL, EX_DATAERR, "a row of table '%s', which is unknown", row.table);
        run->rows[run->row_count++] =
            (struct folded_row){.table = table,
                                .key = keep(&run->fold_bytes, row.key),
                                .position = row.position,
                                .version = row.version,
                                .value = keep(&run->fold_bytes, row.value)};
    }
    return OK;
}

static enum status fold_one(struct sim_run *run, uint64_t epoch, struct error *err) {
    struct manifest manifest;
    arena_reset(&run->manifests);
    arena_reset(&run->fold_bytes);
    run->row_count = 0;
    TRY(sim_run_manifest(run, epoch, &run->manifests, &manifest, err));
    for (uint32_t e = 0; e < manifest.end_count; e++)
        if (has_rows(manifest.ends[e].topic))
            TRY(take_rows(run, &manifest.ends[e], err));
    TRY(fold_epoch(stage_tables(run->stage), run->rows, run->row_count, err));
    const char *name = fold_differs(stage_tables(run->stage), manifest_digest, &manifest);
    if (name != NULL)
        return FAIL(err, FATAL, EX_DATAERR,
                    "after folding epoch %llu table '%s' is not what the manifest says",
                    (unsigned long long)epoch, name);
    return OK;
}

/* Every committed record is covered by the last manifest: nothing of another epoch is visible. */
static enum status check_all_folded(const struct sim_run *run, struct error *err) {
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < SIM_PARTITIONS; p++)
            if (has_rows(topic) && run->cursors[topic][p] != sim_log_end(run->log, topic, p))
                return FAIL(err, FATAL, EX_DATAERR,
                            "%s-%d: the manifests end at %lld, the partition at %lld",
                            topic_name(topic), p, (long long)run->cursors[topic][p],
                            (long long)sim_log_end(run->log, topic, p));
    return OK;
}

enum status sim_run_restart(struct sim_run *run, struct error *err) {
    run->restarts++;
    sim_log_restart(run->log);
    memset(run->cursors, 0, sizeof run->cursors);
    TRY(new_stage(run, err));
    uint64_t epochs = (uint64_t)sim_log_end(run->log, TOPIC_EPOCHS, 0);
    for (uint64_t epoch = 1; epoch <= epochs; epoch++)
        TRY(fold_one(run, epoch, err));
    TRY(check_all_folded(run, err));
    return epochs > 0 ? stage_resume(run->stage, err) : OK;
}

/* A crash may come while restoring, too. */
static enum status restart_until_up(struct sim_run *run, struct error *err) {
    enum status status;
    do
        status = sim_run_restart(run, err);
    while (status == FATAL && sim_log_crashed(run->log));
    return status;
}

/* ---- running ---- */

enum status sim_run_step(struct sim_run *run, bool *done, struct error *err) {
    enum status status = stage_step(run->stage, done, err);
    if (status == RETRY)
        return OK;
    if (status == FATAL && sim_log_crashed(run->log)) {
        *done = false;
        return restart_until_up(run, err);
    }
    return status;
}

enum status sim_run_to_end(struct sim_run *run, struct error *err) {
    bool done = false;
    for (uint32_t steps = 0; !done; steps++) {
        if (steps == STEPS_MAX)
            return FAIL(err, FATAL, EX_SOFTWARE, "the run does not come to its end");
        TRY(sim_run_step(run, &done, err));
        TRY(model_validate(stage_model(run->stage), err));
    }
    struct tables *tables = stage_tables(run->stage);
    for (uint32_t t = 0; t < tables_count(tables); t++)
        TRY(table_validate(tables_at(tables, t), err));
    return OK;
}

const char *sim_run_differs(const struct sim_run *run, const struct sim_run *oracle) {
    static char text[128];
    struct tables *made = stage_tables(run->stage), *wanted = stage_tables(oracle->stage);
    for (uint32_t t = 0; t < tables_count(wanted); t++)
        if (!digest_equal(table_digest(tables_at(made, t)), table_digest(tables_at(wanted, t)))) {
            snprintf(text, sizeof text, "table '%s'", table_spec(tables_at(wanted, t))->name);
            return text;
        }
    struct stage_totals a, b;
    stage_totals(run->stage, &a);
    stage_totals(oracle->stage, &b);
    a.redelivered = b.redelivered = 0; /* of this process, not of the stream */
    return memcmp(&a, &b, sizeof a) == 0 ? NULL : "totals";
}
