#include "world.h"

#include "model/snapshot.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define must(call) ck_assert_msg((call) == OK, "%s", world->err.text)

struct stage_config world_config(void) {
    return (struct stage_config){.ahead_ms = 1000,
                                 .join_window_ms = 100,
                                 .lateness_ms = 20,
                                 .idle_ms = 500,
                                 .join_rows_max = 1000,
                                 .negatives = 4,
                                 .negatives_popular = 0.5f,
                                 .popular_clicks = 100,
                                 .duplicate_rows_max = 1000,
                                 .parking_ms = 50,
                                 .parking_rows_max = 64,
                                 .parking_bytes_max = 128};
}

/* As small as can be: codebooks are never trained, nothing is learned. */
#define DIMS 4
static struct model_config model_config(void) {
    return (struct model_config){
        .tokenizer = {.content_dims = DIMS, .z_dims = DIMS, .books = {2, 2, 2, 2, 2}},
        .ranker = {.variant = VARIANT_ID,
                   .width = 8,
                   .history = 2,
                   .batch = 8,
                   .z_dims = DIMS,
                   .books = {2, 2, 2, 2, 2},
                   .prefix_rows = 8,
                   .hidden = {8, 8},
                   .rate_rows = 0.1f,
                   .rate_dense = 0.1f,
                   .accumulator_rows = 0.1f,
                   .accumulator_dense = 0.1f,
                   .init_rows = 0.1f,
                   .sharpness = 1,
                   .banks = 1},
        .train_listings = 100000,
        .items_max = 1000,
        .users_max = 1000,
        .id_bytes_max = 32,
        .title_bytes = 4};
}

static struct world *create(const struct stage_config *config, uint64_t seed) {
    const struct model_config model = model_config();
    struct world *world = calloc(1, sizeof *world);
    ck_assert_ptr_nonnull(world);
    world->config = *config;
    must(arena_reserve(&world->arena, "world", (size_t)256 << 20, &world->err));
    must(tables_create(&world->set, &world->err));
    must(model_create(&world->model, &model, world->set, &world->arena, &world->err));
    must(labels_create(&world->labels, config, seed, world->model, world->set, &world->arena,
                       &world->err));
    must(parking_create(&world->parking, config, &model, world->model, world->set, &world->arena,
                        &world->err));
    return world;
}

struct world *world_create_seeded(const struct stage_config *config, uint64_t seed) {
    struct world *world = create(config, seed);
    must(model_start(world->model, &world->err));
    world_commit(world);
    return world;
}

struct world *world_create(const struct stage_config *config) {
    return world_create_seeded(config, 7);
}

void world_destroy(struct world *world) {
    model_destroy(world->model);
    tables_destroy(world->set);
    arena_release(&world->arena);
    free(world);
}

void world_commit(struct world *world) {
    tables_seal(world->set);
    tables_commit(world->set);
    for (uint32_t i = 0; i < tables_count(world->set); i++)
        must(table_validate(tables_at(world->set, i), &world->err));
}

struct digest world_digest(struct world *world) {
    world_commit(world);
    return tables_digest(world->set);
}

static void refresh(struct world *world) {
    must(model_refresh(world->model, &world->err));
    must(labels_refresh(world->labels, &world->err));
    must(parking_refresh(world->parking, &world->err));
}

void world_rollback(struct world *world) {
    tables_rollback(world->set);
    refresh(world);
}

static void copy_rows(struct world *world, const struct table *from, struct table *to) {
    for (uint32_t left = table_end(from); left > 0; left--) {
        const uint32_t row = left - 1;
        uint8_t scratch[8];
        if (table_live(from, row))
            must(table_restore(to, table_key(from, row, scratch), row, table_version(from, row),
                               bytes_of(table_value(from, row), table_spec(from)->value_bytes),
                               &world->err));
    }
}

struct world *world_restart(struct world *old) {
    struct world *world = create(&old->config, 7);
    for (uint32_t i = 0; i < tables_count(old->set); i++)
        copy_rows(world, tables_at(old->set, i), tables_at(world->set, i));
    refresh(world);
    return world;
}

struct world *world_reload(struct world *old) {
    const char *build = getenv("COLDSTREAM_BUILD");
    char path[4096];
    snprintf(path, sizeof path, "%s/stage-world-%ld.snapshot", build ? build : ".", (long)getpid());
    struct world *world = create(&old->config, 7);
    struct bytes note;
    must(snapshot_write(path, old->set, bytes_text("note"), &world->err));
    must(snapshot_read(path, world->set, &world->arena, &note, &world->err));
    unlink(path);
    refresh(world);
    return world;
}

uint32_t world_list(struct world *world, const char *item) {
    static const float vector[DIMS] = {1, 2, 3, 4};
    enum list_result result;
    must(model_list(world->model, bytes_text(item), 0, vector, bytes_text(""), 1, &result,
                    &world->err));
    return world_item(world, item);
}

void world_delist(struct world *world, const char *item) {
    model_delist(world->model, bytes_text(item));
}

uint32_t world_user(struct world *world, const char *user) {
    uint32_t row;
    must(model_user(world->model, bytes_text(user), &row, &world->err));
    return row;
}

uint32_t world_item(struct world *world, const char *item) {
    return model_find_item(world->model, bytes_text(item));
}

static enum status take(void *self, const struct sample *sample, struct error *err) {
    struct world *world = self;
    (void)err;
    ck_assert_uint_lt(world->count, WORLD_SAMPLES_MAX);
    world->samples[world->count++] = *sample;
    return OK;
}

struct record world_record(const struct event_spec *spec) {
    return (struct record){.topic = TOPIC_INTERACTIONS,
                           .partition = spec->partition,
                           .offset = spec->offset,
                           .timestamp_ms = spec->time_ms};
}

struct interaction world_interaction(const struct event_spec *spec) {
    return (struct interaction){.user_id = bytes_text(spec->user),
                                .item_id = bytes_text(spec->item),
                                .request_id =
                                    spec->request ? bytes_text(spec->request) : (struct bytes){0},
                                .event_time_ms = spec->time_ms,
                                .action = spec->action,
                                .has_label = spec->has_label,
                                .label = spec->label,
                                .has_position = spec->has_position,
                                .position = spec->position};
}

enum status world_apply(struct world *world, const struct event_spec *spec) {
    const struct record record = world_record(spec);
    const struct interaction interaction = world_interaction(spec);
    const struct sample_port port = {world, take};
    if (world_item(world, spec->item) == NO_ROW)
        world_list(world, spec->item);
    must(labels_advance(world->labels, &record, spec->time_ms, port, &world->err));
    struct labels_totals before, after;
    labels_totals(world->labels, &before);
    const uint32_t expected = labels_expected(world->labels, &interaction), count = world->count;
    enum status status =
        labels_apply(world->labels, &record, &interaction, world_item(world, spec->item), port,
                     &world->reason, &world->err);
    labels_totals(world->labels, &after);
    if (after.clicks_sampled > before.clicks_sampled || after.items_gone > before.items_gone)
        ck_assert_uint_ge(expected, world->count - count);
    else
        ck_assert_uint_eq(expected, world->count - count);
    ck_assert(status == OK || status == BAD_RECORD);
    return status;
}

enum status world_release(struct world *world, const struct event_spec *spec) {
    const struct record record = world_record(spec);
    const struct interaction interaction = world_interaction(spec);
    const struct sample_port port = {world, take};
    const enum status status =
        labels_apply_released(world->labels, &record, &interaction, world_item(world, spec->item),
                              port, &world->reason, &world->err);
    ck_assert(status == OK || status == BAD_RECORD);
    return status;
}

void world_advance(struct world *world, int32_t partition, int64_t time_ms) {
    const struct record record = {.topic = TOPIC_INTERACTIONS, .partition = partition};
    const struct sample_port port = {world, take};
    must(labels_advance(world->labels, &record, time_ms, port, &world->err));
}

int world_compare_samples(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    if (x->user_row != y->user_row)
        return x->user_row < y->user_row ? -1 : 1;
    if (x->item_row != y->item_row)
        return x->item_row < y->item_row ? -1 : 1;
    return x->label < y->label ? -1 : x->label > y->label;
}

uint64_t world_seed(uint64_t otherwise) {
    const char *text = getenv("COLDSTREAM_SEED");
    return text ? strtoull(text, NULL, 10) : otherwise;
}
