#include "model/ranker_private.h"

#include "base/rng.h"
#include <math.h>
#include <stdio.h>

#include "base/poison.h"

#define LEVEL_ROWS_MAX (1u << 24)
#define SIZE_MAX_EACH                                                                              \
    8192u /* of widths, history and batch: far beyond use, and products of them stay in 64 bits */

static const char *const level_names[SID_CODES] = {"E1", "E2", "E3", "O1", "O2"};

/* ---- configuration ---- */

static enum status check_size(const char *name, uint32_t value, struct error *err) {
    if (value == 0 || value > SIZE_MAX_EACH)
        return FAIL(err, FATAL, EX_CONFIG, "ranker: %s is %u; it must be 1 to %u", name, value,
                    SIZE_MAX_EACH);
    return OK;
}

static enum status check_rate(const char *name, float value, struct error *err) {
    if (!(value > 0.0f))
        return FAIL(err, FATAL, EX_CONFIG, "ranker: %s is %g; it must be greater than 0", name,
                    (double)value);
    return OK;
}

static uint64_t level_rows(const struct ranker_config *c, uint32_t level) {
    if (level == 1)
        return (uint64_t)c->books[0] * c->books[1];
    return level == 2 ? c->prefix_rows : c->books[level];
}

static enum status check_config(const struct ranker_config *c, struct error *err) {
    TRY(check_size("width", c->width, err));
    TRY(check_size("history", c->history, err));
    TRY(check_size("batch", c->batch, err));
    TRY(check_size("z_dims", c->z_dims, err));
    TRY(check_size("hidden[0]", c->hidden[0], err));
    TRY(check_size("hidden[1]", c->hidden[1], err));
    TRY(check_rate("rate_rows", c->rate_rows, err));
    TRY(check_rate("rate_dense", c->rate_dense, err));
    TRY(check_rate("accumulator_rows", c->accumulator_rows, err));
    TRY(check_rate("accumulator_dense", c->accumulator_dense, err));
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (level_rows(c, l) == 0 || level_rows(c, l) > LEVEL_ROWS_MAX)
            return FAIL(err, FATAL, EX_CONFIG,
                        "ranker: table %s would have %llu rows; it must have 1 to %u",
                        level_names[l], (unsigned long long)level_rows(c, l), LEVEL_ROWS_MAX);
    return OK;
}

/* ---- tables ---- */

static enum status add_pair(struct tables *set, const char *name, uint32_t value_bytes,
                            uint32_t rows, uint32_t twin_bytes, uint32_t twin_rows,
                            struct table **values, struct table **twin, struct error *err) {
    char twin_name[32];
    snprintf(twin_name, sizeof twin_name, "%s.adagrad", name);
    struct table_spec spec = {.name = name,
                              .key_kind = KEY_DENSE,
                              .output = TO_DELTAS,
                              .value_bytes = value_bytes,
                              .rows_max = rows};
    struct table_spec twin_spec = {.name = twin_name,
                                   .key_kind = KEY_DENSE,
                                   .output = TO_CHANGELOG,
                                   .value_bytes = twin_bytes,
                                   .rows_max = twin_rows};
    TRY(tables_add(set, &spec, values, err));
    return tables_add(set, &twin_spec, twin, err);
}

static enum status add_levels(struct ranker *r, struct tables *set, struct error *err) {
    for (uint32_t l = 0; l < SID_CODES; l++) {
        struct code_level *level = &r->levels[l];
        level->rows_max = (uint32_t)level_rows(&r->config, l);
        uint32_t chunks = (level->rows_max + ACCUMULATORS_PER_ROW - 1) / ACCUMULATORS_PER_ROW;
        TRY(add_pair(set, level_names[l], r->config.width * (uint32_t)sizeof(float),
                     level->rows_max, ACCUMULATORS_PER_ROW * (uint32_t)sizeof(float), chunks,
                     &level->rows, &level->accumulators, err));
    }
    return OK;
}

/* Which tensors the variant has, and their first values. */
static void describe_tensors(struct ranker *r) {
    const struct ranker_config *c = &r->config;
    size_t d = c->width, inputs = r->dnn.inputs;
    size_t fuse = c->variant == VARIANT_ID_SID ? 3 * d * d : 0;
    size_t wz = c->variant == VARIANT_ID_CONTENT ? c->z_dims * d : 0;
    const struct tensor tensors[TENSORS] = {
        [TENSOR_FUSE] = {.name = "dense.fuse", .count = fuse},
        [TENSOR_WZ] = {.name = "dense.wz",
                       .count = wz,
                       .first_deviation = 1.0f / sqrtf((float)c->z_dims)},
        [TENSOR_SHARPNESS] = {.name = "dense.sharpness",
                              .count = r->views,
                              .first_mean = c->sharpness},
        [TENSOR_W1] = {.name = "dense.w1",
                       .count = inputs * c->hidden[0],
                       .first_deviation = 1.0f / sqrtf((float)inputs)},
        [TENSOR_B1] = {.name = "dense.b1", .count = c->hidden[0]},
        [TENSOR_W2] = {.name = "dense.w2",
                       .count = (size_t)c->hidden[0] * c->hidden[1],
                       .first_deviation = 1.0f / sqrtf((float)c->hidden[0])},
        [TENSOR_B2] = {.name = "dense.b2", .count = c->hidden[1]},
        [TENSOR_W3] = {.name = "dense.w3", .count = c->hidden[1], .first_deviation = 0.1f},
        [TENSOR_B3] = {.name = "dense.b3", .count = 1},
    };
    memcpy(r->tensors, tensors, sizeof tensors);
}

static enum status add_tensors(struct ranker *r, struct tables *set, struct error *err) {
    describe_tensors(r);
    for (int i = 0; i < TENSORS; i++) {
        struct tensor *t = &r->tensors[i];
        if (t->count == 0)
            continue;
        t->chunk =
            t->count * sizeof(float) < CHUNK_BYTES_MAX ? t->count : CHUNK_BYTES_MAX / sizeof(float);
        uint32_t bytes = (uint32_t)(t->chunk * sizeof(float)),
                 chunks = (uint32_t)((t->count + t->chunk - 1) / t->chunk);
        TRY(add_pair(set, t->name, bytes, chunks, bytes, chunks, &t->values, &t->accumulators,
                     err));
        t->value = table_values(t->values);
        t->accumulator = table_values(t->accumulators);
    }
    return OK;
}

/* ---- scratch ---- */

struct builder {
    struct arena *arena;
    bool full;
};

static void *take(struct builder *b, size_t count, size_t size) {
    void *memory = b->full ? NULL : arena_alloc(b->arena, count * size);
    b->full = memory == NULL;
    return memory;
}

static float *floats(struct builder *b, size_t count) {
    return take(b, count, sizeof(float));
}
static uint32_t *indices(struct builder *b, size_t count) {
    return take(b, count, sizeof(uint32_t));
}

static void build_items(struct ranker *r, struct builder *b, size_t items, size_t events,
                        size_t stride) {
    size_t d = r->config.width;
    for (uint32_t v = 0; v < r->views; v++)
        r->view[v] = (struct view){.x = floats(b, items * d),
                                   .dx = floats(b, items * d),
                                   .unit = floats(b, items * d),
                                   .dunit = floats(b, items * d),
                                   .inverse = floats(b, items),
                                   .query = floats(b, events * d),
                                   .dquery = floats(b, events * d),
                                   .scores = floats(b, events * stride),
                                   .weights = floats(b, events * stride)};
    r->bias = floats(b, items);
    r->dbias = floats(b, items);
    if (r->config.variant == VARIANT_ID_CONTENT)
        r->z = floats(b, items * r->config.z_dims);
}

static void build_levels(struct ranker *r, struct builder *b, size_t items) {
    size_t d = r->config.width;
    r->fuse_scratch = floats(b, d * d);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        struct code_level *level = &r->levels[l];
        size_t distinct = items < level->rows_max ? items : level->rows_max;
        level->slot = indices(b, level->rows_max);
        level->row = indices(b, distinct);
        level->of_item = indices(b, items);
        level->value = floats(b, distinct * d);
        level->gradient = floats(b, distinct * d);
        /* OPQ rows are added as they are */
        level->part = l < RQ_LEVELS ? floats(b, distinct * d) : level->value;
        level->dpart = l < RQ_LEVELS ? floats(b, distinct * d) : level->gradient;
        if (level->slot)
            memset(level->slot, 0xff, level->rows_max * sizeof *level->slot); /* NO_ROW */
    }
}

static void build_dnn(struct ranker *r, struct builder *b, size_t events) {
    struct dnn *dnn = &r->dnn;
    struct tensor *t = r->tensors;
    for (int i = 0; i < TENSORS; i++)
        t[i].gradient = floats(b, t[i].count);
    dnn->w1 = t[TENSOR_W1].value;
    dnn->b1 = t[TENSOR_B1].value;
    dnn->w2 = t[TENSOR_W2].value;
    dnn->b2 = t[TENSOR_B2].value;
    dnn->w3 = t[TENSOR_W3].value;
    dnn->b3 = t[TENSOR_B3].value;
    r->input = floats(b, events * dnn->stride); /* zero beyond inputs, and stays so */
    if (r->input)
        memset(r->input, 0, events * dnn->stride * sizeof *r->input);
    r->dnn_gradients =
        (struct dnn_gradients){.w1 = t[TENSOR_W1].gradient,
                               .b1 = t[TENSOR_B1].gradient,
                               .w2 = t[TENSOR_W2].gradient,
                               .b2 = t[TENSOR_B2].gradient,
                               .w3 = t[TENSOR_W3].gradient,
                               .b3 = t[TENSOR_B3].gradient,
                               .x = floats(b, events * dnn->stride),
                               .transposed = {floats(b, dnn->hidden[0] * dnn->stride),
                                              floats(b, dnn->hidden[1] * dnn->hidden[0])}};
    for (int l = 0; l < 2; l++) {
        r->hidden[l] = floats(b, events * dnn->hidden[l]);
        r->dnn_gradients.hidden[l] = floats(b, events * dnn->hidden[l]);
    }
}

static enum status build_scratch(struct ranker *r, struct arena *arena, struct error *err) {
    const struct ranker_config *c = &r->config;
    struct builder b = {.arena = arena};
    size_t events = c->batch, items = events * (c->history + 1), d = c->width,
           stride = attention_stride(c->history);
    build_items(r, &b, items, events, stride);
    if (c->variant == VARIANT_ID_SID)
        build_levels(r, &b, items);
    build_dnn(r, &b, events);
    r->order = indices(&b, events);
    r->user_start = indices(&b, events + 1);
    r->key = floats(&b, c->history * d);
    r->value = floats(&b, c->history * d);
    r->dkey = floats(&b, c->history * d);
    r->dvalue = floats(&b, c->history * d);
    r->attended = floats(&b, events * d);
    r->attention_scratch = floats(&b, d * stride);
    r->dscores = floats(&b, events * stride);
    r->logits = floats(&b, events);
    r->dlogits = floats(&b, events);
    r->labels = floats(&b, events);
    r->losses = floats(&b, events);
    if (b.full)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for the ranker's scratch of %u events with "
                    "histories of %u items",
                    arena->name, arena->reserved, c->batch, c->history);
    return OK;
}

enum status ranker_create(struct ranker **out, const struct ranker_config *config,
                          const struct item_tables *items, struct tables *set, struct arena *arena,
                          struct error *err) {
    TRY(check_config(config, err));
    struct ranker *r = arena_alloc(arena, sizeof *r);
    if (!r)
        return FAIL(err, FATAL, EX_OSERR, "arena %s (%zu bytes) has no room for the ranker",
                    arena->name, arena->reserved);
    *r = (struct ranker){
        .config = *config, .items = *items, .views = config->variant == VARIANT_ID ? 1 : 2};
    ASSERT(table_spec(items->embedding)->value_bytes == (config->width + 1) * sizeof(float));
    r->dnn.inputs = view_column(r, r->views);
    r->dnn.stride = (r->dnn.inputs + 15) / 16 * 16;
    memcpy(r->dnn.hidden, (size_t[2]){config->hidden[0], config->hidden[1]}, sizeof r->dnn.hidden);
    if (config->variant == VARIANT_ID_SID)
        TRY(add_levels(r, set, err));
    TRY(add_tensors(r, set, err));
    TRY(build_scratch(r, arena, err));
    *out = r;
    return OK;
}

/* ---- first values ---- */

static void fill_tensor(struct ranker *r, const struct tensor *t, enum tensor_name name) {
    size_t d = r->config.width;
    struct rng rng =
        rng_stream(r->config.seed, RNG_INIT_DENSE, hash64(t->name, strlen(t->name), 0), 0);
    for (size_t i = 0; i < t->count; i++) {
        t->accumulator[i] = r->config.accumulator_dense;
        if (name == TENSOR_FUSE) /* three stacked identities: I_RQ starts as the sum */
            t->value[i] = i / d % d == i % d ? 1.0f : 0.0f;
        else
            t->value[i] =
                t->first_mean +
                (t->first_deviation > 0.0f ? t->first_deviation * rng_normal(&rng) : 0.0f);
    }
}

enum status ranker_start(struct ranker *r, struct error *err) {
    for (int i = 0; i < TENSORS; i++) {
        const struct tensor *t = &r->tensors[i];
        for (uint32_t chunk = 0; chunk * t->chunk < t->count; chunk++) {
            uint32_t row;
            TRY(table_insert_u64(t->values, chunk, &row, err));
            TRY(table_insert_u64(t->accumulators, chunk, &row, err));
        }
        fill_tensor(r, t, (enum tensor_name)i);
    }
    return OK;
}

static enum status admit_code(struct ranker *r, const struct code_level *level, uint32_t row,
                              struct error *err) {
    if (table_live(level->rows, row))
        return OK;
    const char *name = table_spec(level->rows)->name;
    uint32_t chunk = row / ACCUMULATORS_PER_ROW;
    TRY(table_insert_u64(level->rows, row, &row, err));
    struct rng rng = rng_stream(r->config.seed, RNG_INIT_ROW, hash64(name, strlen(name), 0), row);
    float *value = table_edit(level->rows, row);
    for (uint32_t j = 0; j < r->config.width; j++)
        value[j] = r->config.init_rows * rng_normal(&rng);
    if (table_live(level->accumulators, chunk))
        return OK;
    TRY(table_insert_u64(level->accumulators, chunk, &chunk, err));
    float *accumulators = table_edit(level->accumulators, chunk);
    for (uint32_t j = 0; j < ACCUMULATORS_PER_ROW; j++)
        accumulators[j] = r->config.accumulator_rows;
    return OK;
}

enum status ranker_admit(struct ranker *r, uint32_t item_row, struct error *err) {
    if (!table_live(r->items.embedding, item_row)) /* I_id and bias start at zero */
        TRY(table_insert_child(r->items.embedding, item_row, err));
    if (!table_live(r->items.optimiser, item_row)) {
        TRY(table_insert_child(r->items.optimiser, item_row, err));
        float *accumulators = table_edit(r->items.optimiser, item_row);
        accumulators[0] = accumulators[1] = r->config.accumulator_rows;
    }
    if (r->config.variant != VARIANT_ID_SID || !table_live(r->items.sid, item_row))
        return OK;
    for (uint32_t l = 0; l < SID_CODES; l++) {
        const struct sid_row *sid = table_value(r->items.sid, item_row);
        uint32_t row = code_row(&r->config, sid, l);
        ASSERT(row < r->levels[l].rows_max);
        TRY(admit_code(r, &r->levels[l], row, err));
    }
    return OK;
}
