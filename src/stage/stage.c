/* The stage as a whole: made of its parts, resumed, asked. */
#include "stage/stage_private.h"
#include <string.h>

#define STAGE_BYTES ((size_t)4 << 30) /* of address space: what is not used is not there */
#define EPOCH_BYTES ((size_t)64 << 20)

static enum status add_tables(struct stage *stage, struct error *err) {
    struct table_spec state = {.name = "stage",
                               .key_kind = KEY_DENSE,
                               .output = TO_CHANGELOG,
                               .value_bytes = sizeof(struct stage_row),
                               .rows_max = 1};
    struct table_spec positions = {.name = "positions",
                                   .key_kind = KEY_U64,
                                   .output = TO_CHANGELOG,
                                   .value_bytes = sizeof(struct position_row),
                                   .rows_max = STAGE_PARTITIONS_MAX};
    TRY(tables_add(stage->tables, &state, &stage->state, err));
    return tables_add(stage->tables, &positions, &stage->positions, err);
}

/* An epoch gives at most so many samples: every interaction a click with its negatives, every waiting impression due. */
static uint32_t batches_max(const struct stage_config *config, uint32_t batch) {
    uint64_t samples = (uint64_t)config->epoch_events_max * (1 + config->negatives) +
                       config->join_rows_max +
                       (uint64_t)config->parking_rows_max * (1 + config->negatives);
    return (uint32_t)(samples / batch + 2);
}

enum status stage_create(struct stage **out, const struct stage_config *config,
                         const struct model_config *model, struct source_port source,
                         struct sink_port sink, struct codec_port codec, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "stage", STAGE_BYTES, err));
    struct stage *s = arena_must(&arena, sizeof *s);
    *s = (struct stage){.config = *config,
                        .model_config = *model,
                        .source = source,
                        .sink = sink,
                        .codec = codec,
                        .arena = arena};
    *out = s;
    TRY(arena_reserve(&s->epoch, "manifest", EPOCH_BYTES, err));
    TRY(tables_create(&s->tables, err));
    TRY(add_tables(s, err));
    TRY(model_create(&s->model, model, s->tables, &s->arena, err));
    TRY(labels_create(&s->labels, config, model->seed, s->model, s->tables, &s->arena, err));
    TRY(parking_create(&s->parking, config, model, s->model, s->tables, &s->arena, err));
    TRY(delisted_create(&s->delisted, config, model, s->tables, &s->arena, err));
    TRY(collect_create(s, err));
    s->samples = arena_must(&s->arena, model->ranker.batch * sizeof *s->samples);
    s->ranges = arena_must(&s->arena, RANGES_MAX * sizeof *s->ranges);
    s->batch_max = batches_max(config, model->ranker.batch);
    s->batches = arena_must(&s->arena, s->batch_max * sizeof *s->batches);
    s->config_hash = hash64(config->config_text, strlen(config->config_text), 0);
    return OK;
}

void stage_connect(struct stage *stage, struct source_port source, struct sink_port sink) {
    stage->source = source;
    stage->sink = sink;
}

void stage_destroy(struct stage *stage) {
    if (stage == NULL)
        return;
    arena_release(&stage->queues[EPOCH_CONTENT].arena);
    arena_release(&stage->queues[EPOCH_CLICK].arena);
    arena_release(&stage->epoch);
    model_destroy(stage->model);
    tables_destroy(stage->tables);
    struct arena arena = stage->arena; /* the stage itself lies in it */
    arena_release(&arena);
}

struct tables *stage_tables(struct stage *stage) {
    return stage->tables;
}
struct model *stage_model(struct stage *stage) {
    return stage->model;
}
const struct manifest *stage_last_manifest(const struct stage *stage) {
    return &stage->manifest;
}

void stage_totals(const struct stage *stage, struct stage_totals *out) {
    memset(out, 0, sizeof *out);
    out->redelivered = stage->redelivered;
    if (!table_live(stage->state, 0))
        return;
    const struct stage_row *state = stage_state(stage);
    out->epochs = state->epoch;
    out->events = state->events;
    out->applied = state->applied;
    out->dead_letters = state->dead_letters;
    out->labelled = state->labelled;
    out->parked = parking_count(stage->parking);
    out->late = state->dead_by_reason[DEAD_LATE];
    out->stream_ms = state->stream_ms;
    memcpy(out->dead_by_reason, state->dead_by_reason, sizeof out->dead_by_reason);
}
