#include "model/ranker_private.h"

#include "base/rng.h"
#include <math.h>
#include <stdio.h>

#include "base/poison.h"

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
        level->rows_max = level_rows(&r->config, l);
        uint32_t chunks = (level->rows_max + ACCUMULATORS_PER_ROW - 1) / ACCUMULATORS_PER_ROW;
        for (int use = 0; use < CODE_USES; use++)
            if (ranker_has_rows(&r->parts, (enum code_use)use, l))
                TRY(add_pair(set, code_table_names[use][l],
                             r->config.width * (uint32_t)sizeof(float), level->rows_max,
                             ACCUMULATORS_PER_ROW * (uint32_t)sizeof(float), chunks,
                             &level->of[use].rows, &level->of[use].accumulators, err));
    }
    return OK;
}

static size_t when(bool condition, size_t count) {
    return condition ? count : 0;
}

/* Normal with a variance of 1 over the number of inputs. */
static float by_inputs(size_t inputs) {
    return 1.0f / sqrtf((float)inputs);
}

/* Which tensors the variant has, and their first values. */
static void describe_tensors(struct ranker *r) {
    const struct ranker_config *c = &r->config;
    const struct ranker_parts *p = &r->parts;
    size_t d = c->width, dz = c->z_dims, inputs = r->dnn.inputs, gate = c->gate_hidden;
    bool fuse = ranker_has_rows(p, CODES_EMBEDDING, 0), content = p->modal == MODAL_CONTENT;
    const struct tensor tensors[TENSORS] = {
        [TENSOR_FUSE] = {"dense.fuse", when(fuse, 3 * d * d)},
        [TENSOR_WZ] = {"dense.wz", when(content, dz * d), 0, by_inputs(dz)},
        [TENSOR_M1] = {"dense.m1", when(p->mba, 3 * d * d), 0, by_inputs(3 * d)},
        [TENSOR_M2] = {"dense.m2", when(p->mba, d * dz), 0, by_inputs(d)},
        [TENSOR_GATE_W1] = {"dense.gate.w1", when(p->gate, GATE_FEATURES * gate), 0,
                            by_inputs(GATE_FEATURES)},
        [TENSOR_GATE_B1] = {"dense.gate.b1", when(p->gate, gate)},
        [TENSOR_GATE_W2] = {"dense.gate.w2", when(p->gate, gate), 0, 0.1f},
        [TENSOR_GATE_B2] = {"dense.gate.b2", when(p->gate, 1)},
        [TENSOR_SHARPNESS] = {"dense.sharpness", VIEWS, c->sharpness},
        [TENSOR_W1] = {"dense.w1", inputs * c->hidden[0], 0, by_inputs(inputs)},
        [TENSOR_B1] = {"dense.b1", c->hidden[0]},
        [TENSOR_W2] = {"dense.w2", (size_t)c->hidden[0] * c->hidden[1], 0, by_inputs(c->hidden[0])},
        [TENSOR_B2] = {"dense.b2", c->hidden[1]},
        [TENSOR_W3] = {"dense.w3", c->hidden[1], 0, 0.1f},
        [TENSOR_B3] = {"dense.b3", 1},
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

/* Columns of the DNN's input: features, then a part for each view, then the attentions across. */
static void lay_out_input(struct ranker *r) {
    size_t d = r->config.width, column = FEATURES;
    r->view[VIEW_BEHAVIOUR].used = r->parts.behaviour;
    r->view[VIEW_MODAL].used = r->parts.modal != MODAL_NONE;
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used) {
            r->view[v].column = column;
            column += 3 * d;
        }
    if (r->parts.cross) {
        r->view[VIEW_MODAL].cross_column = column;
        r->view[VIEW_BEHAVIOUR].cross_column = column + d;
        column += 2 * d;
    }
    r->dnn.inputs = column;
    r->dnn.stride = (column + 15) / 16 * 16;
    r->dnn.hidden[0] = r->config.hidden[0];
    r->dnn.hidden[1] = r->config.hidden[1];
}

enum status ranker_create(struct ranker **out, const struct ranker_config *config,
                          const struct item_tables *items, struct tables *set, struct arena *arena,
                          struct error *err) {
    TRY(ranker_check_config(config, err));
    struct ranker *r = arena_alloc(arena, sizeof *r);
    if (!r)
        return FAIL(err, FATAL, EX_OSERR, "arena %s (%zu bytes) has no room for the ranker",
                    arena->name, arena->reserved);
    *r = (struct ranker){.config = *config, .parts = ranker_parts(config), .items = *items};
    ASSERT(table_spec(items->embedding)->value_bytes == (config->width + 1) * sizeof(float));
    lay_out_input(r);
    TRY(add_levels(r, set, err));
    TRY(add_tensors(r, set, err));
    TRY(ranker_reserve(r, arena, err));
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

static enum status admit_accumulator(struct ranker *r, const struct code_rows *c, uint32_t chunk,
                                     struct error *err) {
    if (table_live(c->accumulators, chunk))
        return OK;
    TRY(table_insert_u64(c->accumulators, chunk, &chunk, err));
    float *accumulators = table_edit(c->accumulators, chunk);
    for (uint32_t j = 0; j < ACCUMULATORS_PER_ROW; j++)
        accumulators[j] = r->config.accumulator_rows;
    return OK;
}

/* E and O start small and random, A at zero (z~ = z). */
static enum status admit_code(struct ranker *r, enum code_use use, const struct code_rows *c,
                              uint32_t row, struct error *err) {
    if (c->rows == NULL || table_live(c->rows, row))
        return OK;
    const char *name = table_spec(c->rows)->name;
    TRY(table_insert_u64(c->rows, row, &row, err));
    struct rng rng = rng_stream(r->config.seed, RNG_INIT_ROW, hash64(name, strlen(name), 0), row);
    TRY(admit_accumulator(r, c, row / ACCUMULATORS_PER_ROW, err));
    float *value = table_edit(c->rows, row);
    for (uint32_t j = 0; use == CODES_EMBEDDING && j < r->config.width; j++)
        value[j] = r->config.init_rows * rng_normal(&rng);
    return OK;
}

enum status ranker_admit_row(struct ranker *r, const struct code_rows *c, uint32_t row,
                             struct error *err) {
    if (table_live(c->rows, row))
        return OK;
    TRY(table_insert_u64(c->rows, row, &row, err));
    TRY(admit_accumulator(r, c, row / ACCUMULATORS_PER_ROW, err));
    float *chunk = table_edit(c->accumulators, row / ACCUMULATORS_PER_ROW);
    chunk[row % ACCUMULATORS_PER_ROW] = 0;
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
    if (!ranker_has_codes(r) || !table_live(r->items.sid, item_row))
        return OK;
    const struct sid_row *sid = table_value(r->items.sid, item_row);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        uint32_t row = code_row(&r->config, sid, l);
        ASSERT(row < r->levels[l].rows_max);
        for (int use = 0; use < CODE_USES; use++)
            TRY(admit_code(r, (enum code_use)use, &r->levels[l].of[use], row, err));
    }
    return OK;
}
