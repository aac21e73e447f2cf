/* Publishing: every row that the epoch changed, its dead letters, and the manifest that seals it. */
#include "stage/stage_private.h"

static enum status put(struct stage *stage, const struct output *output, struct error *err) {
    struct record record;
    TRY(stage->codec.encode(stage->codec.self, output, &record, err));
    return stage->sink.put(stage->sink.self, &record, err);
}

enum status publish_dead(struct stage *stage, const struct record *record, enum dead_reason reason,
                         const char *text, struct error *err) {
    struct output output = {.topic = TOPIC_DEAD_LETTER,
                            .kind = OUTPUT_DEAD,
                            .timestamp_ms = stage_state(stage)->timestamp_ms};
    output.as.dead = (struct dead_output){record, reason, text};
    TRY(put(stage, &output, err));
    struct stage_row *state = stage_edit_state(stage);
    state->dead_letters++;
    state->dead_by_reason[reason]++;
    stage->counts.dead_letters++;
    return OK;
}

static enum topic output_topic(enum table_output output) {
    switch (output) {
    case TO_DELTAS:
        return TOPIC_RANKER_DELTAS;
    case TO_SEMANTIC_IDS:
        return TOPIC_SEMANTIC_IDS;
    case TO_CODEBOOKS:
        return TOPIC_CODEBOOKS;
    case TO_CHANGELOG:
    case TO_NOTHING: /* a stage has no such table */
        break;
    }
    return TOPIC_CHANGELOG;
}

static enum status put_row(struct stage *stage, const struct table *table, struct row_output row,
                           struct error *err) {
    const struct stage_row *state = stage_state(stage);
    row.table = table_spec(table)->name;
    row.epoch = state->epoch;
    row.generation = model_generation(stage->model);
    struct output output = {.topic = output_topic(table_spec(table)->output),
                            .kind = OUTPUT_ROW,
                            .timestamp_ms = state->timestamp_ms,
                            .as.row = row};
    stage->counts.rows++;
    return put(stage, &output, err);
}

static enum status put_tombstones(struct stage *stage, const struct table *table,
                                  struct error *err) {
    uint8_t scratch[8];
    for (uint32_t i = 0; i < table_removed_count(table); i++)
        TRY(put_row(stage, table, (struct row_output){.key = table_removed_key(table, i, scratch)},
                    err));
    for (uint32_t i = 0; i < table_dirty_count(table); i++) {
        uint32_t row = table_dirty_at(table, i);
        if (!table_live(table, row))
            TRY(put_row(stage, table,
                        (struct row_output){.key = table_key(table, row, scratch), .position = row},
                        err));
    }
    return OK;
}

static enum status put_changed(struct stage *stage, const struct table *table, struct error *err) {
    uint8_t scratch[8];
    size_t bytes = table_spec(table)->value_bytes;
    for (uint32_t i = 0; i < table_dirty_count(table); i++) {
        uint32_t row = table_dirty_at(table, i);
        if (table_live(table, row))
            TRY(put_row(stage, table,
                        (struct row_output){.key = table_key(table, row, scratch),
                                            .position = row,
                                            .version = table_version(table, row),
                                            .value = bytes_of(table_value(table, row), bytes)},
                        err));
    }
    return OK;
}

/* Tombstones first, children before parents; then rows, parents before children: so that whoever folds the epoch in this order
 * never sees a child without its parent, nor two keys at one position. */
static enum status put_rows(struct stage *stage, struct error *err) {
    uint32_t count = tables_count(stage->tables);
    for (uint32_t i = count; i-- > 0;)
        TRY(put_tombstones(stage, tables_at(stage->tables, i), err));
    for (uint32_t i = 0; i < count; i++)
        TRY(put_changed(stage, tables_at(stage->tables, i), err));
    return OK;
}

uint32_t publish_positions(const struct stage *stage, struct position *out) {
    uint32_t count = 0;
    for (uint32_t row = 0; row < table_end(stage->positions); row++)
        if (table_live(stage->positions, row)) {
            uint64_t key = table_key_u64(stage->positions, row);
            const struct position_row *position = table_value(stage->positions, row);
            out[count++] = (struct position){(enum topic)(key >> 32), (int32_t)(key & UINT32_MAX),
                                             position->next_offset, position->damaged};
        }
    return count;
}

static struct table_state *table_states(struct stage *stage, uint32_t count) {
    struct table_state *states = arena_must(&stage->epoch, count * sizeof *states);
    for (uint32_t i = 0; i < count; i++) {
        const struct table *table = tables_at(stage->tables, i);
        states[i] =
            (struct table_state){table_spec(table)->name, table_digest(table), table_rows(table)};
    }
    return states;
}

static enum status put_manifest(struct stage *stage, enum epoch_kind kind, bool new_config,
                                struct error *err) {
    const struct stage_row *state = stage_state(stage);
    uint32_t ends_count = 0, tables = tables_count(stage->tables);
    struct output_end *ends = arena_must(&stage->epoch, OUTPUT_PARTITIONS_MAX * sizeof *ends);
    TRY(stage->sink.ends(stage->sink.self, ends, OUTPUT_PARTITIONS_MAX, &ends_count, err));
    for (uint32_t i = 0; i < ends_count; i++)
        ends[i].end_offset += ends[i].topic == TOPIC_EPOCHS; /* past this manifest */
    stage->manifest = (struct manifest){.epoch = state->epoch,
                                        .kind = kind,
                                        .timestamp_ms = state->timestamp_ms,
                                        .watermark_ms = labels_watermark(stage->labels),
                                        .generation = model_generation(stage->model),
                                        .codebook_version = model_codebook_version(stage->model),
                                        .counts = stage->counts,
                                        .range_count = stage->range_count,
                                        .ranges = stage->ranges,
                                        .end_count = ends_count,
                                        .ends = ends,
                                        .table_count = tables,
                                        .tables = table_states(stage, tables),
                                        .batch_count = stage->batch_count,
                                        .batches = stage->batches,
                                        .state = tables_digest(stage->tables),
                                        .build = stage->config.build,
                                        .blas_core = stage->config.blas_core,
                                        .config_hash = stage->config_hash,
                                        .config = new_config ? stage->config.config_text : NULL};
    struct output output = {.topic = TOPIC_EPOCHS,
                            .kind = OUTPUT_MANIFEST,
                            .timestamp_ms = state->timestamp_ms,
                            .as.manifest = &stage->manifest};
    return put(stage, &output, err);
}

enum status publish_epoch(struct stage *stage, enum epoch_kind kind, struct error *err) {
    bool new_config = stage_state(stage)->config_hash != stage->config_hash;
    if (new_config)
        stage_edit_state(stage)->config_hash = stage->config_hash;
    tables_seal(stage->tables);
    TRY(put_rows(stage, err));
    return put_manifest(stage, kind, new_config, err);
}
