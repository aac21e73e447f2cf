/* Memory for one mini-batch: reserved once, for the largest that there can be. */
#include "model/ranker_private.h"

#include "base/poison.h"

struct builder {
    struct arena *arena;
    size_t events, items, stride; /* n, U, attention_stride(H) */
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

static void build_tensors(struct ranker *r, struct builder *b) {
    for (int t = 0; t < TENSORS; t++)
        if (r->tensors[t].count > 0)
            r->tensors[t].gradient = floats(b, r->tensors[t].count);
}

static void build_views(struct ranker *r, struct builder *b) {
    size_t d = r->config.width, h = r->config.history;
    for (int v = 0; v < VIEWS; v++) {
        struct view *view = &r->view[v];
        if (!view->used)
            continue;
        float **items[] = {&view->x, &view->dx, &view->unit, &view->dunit};
        for (size_t i = 0; i < sizeof items / sizeof *items; i++)
            *items[i] = floats(b, b->items * d);
        float **history[] = {&view->key, &view->value, &view->dkey, &view->dvalue};
        for (size_t i = 0; i < sizeof history / sizeof *history; i++)
            *history[i] = floats(b, h * d);
        view->inverse = floats(b, b->items);
        view->query = floats(b, b->events * d);
        view->dquery = floats(b, b->events * d);
        view->scores = floats(b, b->events * b->stride);
        view->weights = floats(b, b->events * b->stride);
    }
}

/* Where I_id, I_RQ and I_OPQ lie: in the view that is nothing but them, or on their own. */
static void build_vectors(struct ranker *r, struct builder *b) {
    size_t count = b->items * r->config.width;
    struct view *behaviour = &r->view[VIEW_BEHAVIOUR], *modal = &r->view[VIEW_MODAL];
    r->bias = floats(b, b->items);
    r->dbias = floats(b, b->items);
    r->id = r->parts.fused ? floats(b, count) : behaviour->x;
    r->did = r->parts.fused ? floats(b, count) : behaviour->dx;
    bool codes = r->parts.modal == MODAL_CODES && !r->parts.fused;
    r->rq = codes ? modal->x : r->parts.fused ? floats(b, count) : NULL;
    r->drq = codes ? modal->dx : r->parts.fused ? floats(b, count) : NULL;
    bool opq = r->parts.fused && ranker_has_rows(&r->parts, CODES_EMBEDDING, RQ_LEVELS);
    r->opq = codes ? modal->x : opq ? floats(b, count) : NULL;
    r->dopq = codes ? modal->dx : opq ? floats(b, count) : NULL;
}

static void build_gate(struct ranker *r, struct builder *b) {
    const struct tensor *t = r->tensors;
    size_t d = r->config.width;
    if (!r->parts.fused)
        return;
    r->gates = floats(b, b->items);
    r->dgates = floats(b, b->items);
    r->transfer_weight = floats(b, b->items);
    r->transfer_losses = floats(b, b->items);
    r->transfer_scratch = floats(b, 4 * d);
    r->gate = (struct gate){.inputs = GATE_FEATURES,
                            .hidden = r->config.gate_hidden,
                            .w1 = t[TENSOR_GATE_W1].value,
                            .b1 = t[TENSOR_GATE_B1].value,
                            .w2 = t[TENSOR_GATE_W2].value,
                            .b2 = t[TENSOR_GATE_B2].value};
    r->gate_hidden = floats(b, b->items * r->config.gate_hidden);
    r->gate_gradients =
        (struct gate_gradients){.w1 = t[TENSOR_GATE_W1].gradient,
                                .b1 = t[TENSOR_GATE_B1].gradient,
                                .w2 = t[TENSOR_GATE_W2].gradient,
                                .b2 = t[TENSOR_GATE_B2].gradient,
                                .hidden = floats(b, b->items * r->config.gate_hidden)};
}

static void build_contrast(struct ranker *r, struct builder *b) {
    size_t n = CONTRAST_ITEMS_MAX, d = r->config.width, stride = contrast_stride(n);
    if (!r->parts.contrast)
        return;
    r->contrast_x = floats(b, n * d);
    r->dcontrast = floats(b, n * d);
    r->contrast = (struct contrast){.width = d,
                                    .temperature = CONTRAST_TEMPERATURE,
                                    .x = r->contrast_x,
                                    .unit = floats(b, n * d),
                                    .dunit = floats(b, n * d),
                                    .inverse = floats(b, n),
                                    .transposed = floats(b, d * stride),
                                    .anchors = floats(b, n * d),
                                    .danchors = floats(b, n * d),
                                    .scores = floats(b, n * stride),
                                    .weights = floats(b, stride),
                                    .anchor = indices(b, n)};
}

static void build_residual(struct ranker *r, struct builder *b) {
    const struct tensor *t = r->tensors;
    size_t d = r->config.width, dz = r->config.z_dims, wide = dz > d ? dz : d;
    if (r->parts.modal != MODAL_CONTENT)
        return;
    r->z = floats(b, b->items * dz);
    r->residual = (struct residual){
        .content = dz, .hidden = d, .width = d, .z = r->z, .wz = t[TENSOR_WZ].value};
    r->residual_gradients = (struct residual_gradients){.wz = t[TENSOR_WZ].gradient};
    if (!r->parts.mba)
        return;
    r->residual.m2 = t[TENSOR_M2].value;
    r->residual.tanh = floats(b, b->items * d);
    r->residual.product = floats(b, d * d);
    r->residual.transposed = floats(b, d * wide);
    r->residual_gradients.m2 = t[TENSOR_M2].gradient;
    r->residual_gradients.product = floats(b, d * d);
    r->residual_gradients.h = floats(b, b->items * d);
}

static void build_rows(struct ranker *r, struct builder *b, enum code_use use, uint32_t l,
                       size_t distinct) {
    struct code_rows *c = &r->levels[l].of[use];
    const struct tensor *matrix = &r->tensors[use == CODES_EMBEDDING ? TENSOR_FUSE : TENSOR_M1];
    size_t d = r->config.width;
    c->value = c->part = floats(b, distinct * d);
    c->gradient = c->dpart = floats(b, distinct * d);
    if (l >= RQ_LEVELS) /* OPQ rows are added as they are */
        return;
    c->block = matrix->value + l * d * d;
    c->dblock = matrix->gradient + l * d * d;
    c->part = floats(b, distinct * d);
    c->dpart = floats(b, distinct * d);
}

static void build_levels(struct ranker *r, struct builder *b) {
    r->square = floats(b, (size_t)r->config.width * r->config.width);
    for (uint32_t l = 0; l < SID_CODES && ranker_has_codes(r); l++) {
        struct code_level *level = &r->levels[l];
        size_t distinct = b->items < level->rows_max ? b->items : level->rows_max;
        level->slot = indices(b, level->rows_max);
        level->row = indices(b, distinct);
        level->of_item = indices(b, b->items);
        if (level->slot)
            memset(level->slot, 0xff, level->rows_max * sizeof *level->slot); /* NO_ROW */
        for (int use = 0; use < CODE_USES; use++)
            if (level->of[use].rows)
                build_rows(r, b, (enum code_use)use, l, distinct);
    }
}

static void build_dnn(struct ranker *r, struct builder *b) {
    struct dnn *dnn = &r->dnn;
    const struct tensor *t = r->tensors;
    size_t events = b->events;
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

static void build_events(struct ranker *r, struct builder *b) {
    r->order = indices(b, b->events);
    r->user_start = indices(b, b->events + 1);
    r->candidate = indices(b, b->events);
    r->attention_scratch = floats(b, r->config.width * b->stride);
    r->dscores = floats(b, b->events * b->stride);
    r->logits = floats(b, b->events);
    r->dlogits = floats(b, b->events);
    r->labels = floats(b, b->events);
    r->losses = floats(b, b->events);
}

enum status ranker_reserve(struct ranker *r, struct arena *arena, struct error *err) {
    const struct ranker_config *c = &r->config;
    struct builder b = {.arena = arena,
                        .events = c->batch,
                        .items = (size_t)c->batch * (c->history + 1),
                        .stride = attention_stride(c->history)};
    build_tensors(r, &b); /* first: others point into the gradients */
    build_views(r, &b);
    build_vectors(r, &b);
    build_gate(r, &b);
    build_contrast(r, &b);
    build_residual(r, &b);
    build_levels(r, &b);
    build_dnn(r, &b);
    build_events(r, &b);
    if (b.full)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for the ranker's scratch of %u events with "
                    "histories of %u items",
                    arena->name, arena->reserved, c->batch, c->history);
    return OK;
}
