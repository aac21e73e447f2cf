#include "model/ranker_private.h"

#include "math/adagrad.h"
#include "math/vector.h"

#include "base/poison.h"

static bool any_nonzero(size_t n, const float *x) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0.0f)
            return true;
    return false;
}

/* ---- gradients ---- */

static void clear_gradients(struct ranker *r, const struct batch *batch) {
    size_t bytes = batch->items * r->config.width * sizeof(float);
    for (int t = 0; t < TENSORS; t++)
        memset(r->tensors[t].gradient, 0, r->tensors[t].count * sizeof(float));
    for (uint32_t v = 0; v < r->views; v++) {
        memset(r->view[v].dx, 0, bytes);
        memset(r->view[v].dunit, 0, bytes);
    }
    memset(r->dbias, 0, batch->items * sizeof *r->dbias);
}

/* From the gradient of a view's part of the DNN's input to that of its attention and of the
 * candidates. */
static void view_input_backward(struct ranker *r, const struct batch *batch, uint32_t v) {
    struct view *view = &r->view[v];
    size_t d = r->config.width, stride = r->dnn.stride;
    for (uint32_t i = 0; i < batch->events; i++) {
        const float *x = r->input + i * stride + view_column(r, v);
        const float *dinput = r->dnn_gradients.x + i * stride + view_column(r, v);
        float *dx = view->dx + batch->candidate[r->order[i]] * d, *dattended = r->attended + i * d;
        for (size_t j = 0; j < d; j++) {
            dx[j] += dinput[j] + dinput[2 * d + j] * x[d + j];
            dattended[j] = dinput[d + j] + dinput[2 * d + j] * x[j];
        }
    }
}

static void view_attention_backward(struct ranker *r, const struct batch *batch, uint32_t v,
                                    uint32_t user) {
    struct view *view = &r->view[v];
    size_t d = r->config.width, h = batch->history_length[user], first = r->user_start[user];
    const uint32_t *history = batch->history + (size_t)user * r->config.history;
    struct attention attention = view_attention(r, batch, v, user);
    memset(r->dkey, 0, h * d * sizeof *r->dkey);
    memset(r->dvalue, 0, h * d * sizeof *r->dvalue);
    attention_backward(
        &attention, r->attended + first * d,
        &(struct attention_gradients){.query = view->dquery + first * d,
                                      .key = r->dkey,
                                      .value = r->dvalue,
                                      .sharpness = &r->tensors[TENSOR_SHARPNESS].gradient[v],
                                      .scores = r->dscores});
    for (size_t j = 0; j < h; j++) {
        vector_add(d, r->dkey + j * d, view->dunit + history[j] * d);
        vector_add(d, r->dvalue + j * d, view->dx + history[j] * d);
    }
}

static void view_backward(struct ranker *r, const struct batch *batch, uint32_t v) {
    struct view *view = &r->view[v];
    size_t d = r->config.width;
    view_input_backward(r, batch, v);
    for (uint32_t user = 0; user < batch->users; user++)
        view_attention_backward(r, batch, v, user);
    for (uint32_t i = 0; i < batch->events; i++)
        vector_add(d, view->dquery + i * d, view->dunit + batch->candidate[r->order[i]] * d);
}

/* Sums over the batch's events. Returns the mean loss. */
static float backward(struct ranker *r, const struct batch *batch) {
    uint32_t n = batch->events;
    for (uint32_t i = 0; i < n; i++)
        r->labels[i] = batch->labels[r->order[i]];
    bce_forward(n, r->logits, r->labels, r->losses);
    bce_backward(n, r->logits, r->labels, r->dlogits);
    double loss = 0.0;
    clear_gradients(r, batch);
    for (uint32_t i = 0; i < n; i++) {
        loss += (double)r->losses[i];
        r->dbias[batch->candidate[r->order[i]]] += r->dlogits[i];
    }
    dnn_backward(&r->dnn, n, r->input, r->hidden, r->dlogits, &r->dnn_gradients);
    for (uint32_t v = 0; v < r->views; v++)
        view_backward(r, batch, v);
    items_backward(r, batch);
    return (float)(loss / n);
}

/* ---- update; what has no gradient is not touched ---- */

static void update_items(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    for (uint32_t u = 0; u < batch->items; u++) {
        const float *gradient = r->view[VIEW_BEHAVIOUR].dx + u * d;
        bool embedding = any_nonzero(d, gradient), bias = r->dbias[u] != 0.0f;
        if (!embedding && !bias)
            continue;
        float *row = table_edit(r->items.embedding, batch->item_row[u]);
        float *accumulators = table_edit(r->items.optimiser, batch->item_row[u]);
        if (embedding)
            adagrad_row(d, r->config.rate_rows, gradient, &accumulators[0], row);
        if (bias)
            adagrad_row(1, r->config.rate_rows, &r->dbias[u], &accumulators[1], row + d);
    }
}

static void update_level(struct ranker *r, struct code_level *level) {
    size_t d = r->config.width;
    for (uint32_t i = 0; i < level->distinct; i++) {
        const float *gradient = level->gradient + i * d;
        if (!any_nonzero(d, gradient))
            continue;
        uint32_t row = level->row[i];
        float *accumulators = table_edit(level->accumulators, row / ACCUMULATORS_PER_ROW);
        adagrad_row(d, r->config.rate_rows, gradient, &accumulators[row % ACCUMULATORS_PER_ROW],
                    table_edit(level->rows, row));
    }
}

static void update_tensor(struct ranker *r, struct tensor *t, uint32_t events) {
    for (size_t at = 0; at < t->count; at += t->chunk) {
        size_t n = t->count - at < t->chunk ? t->count - at : t->chunk;
        if (!any_nonzero(n, t->gradient + at))
            continue;
        float *accumulators = table_edit(t->accumulators, (uint32_t)(at / t->chunk));
        adagrad_dense(n, r->config.rate_dense, 1.0f / (float)events, t->gradient + at, accumulators,
                      table_edit(t->values, (uint32_t)(at / t->chunk)));
    }
}

float ranker_learn(struct ranker *r, const struct batch *batch) {
    ASSERT(r->scored == batch->events && batch->events > 0);
    float loss = backward(r, batch);
    update_items(r, batch);
    if (r->config.variant == VARIANT_ID_SID)
        for (uint32_t l = 0; l < SID_CODES; l++)
            update_level(r, &r->levels[l]);
    for (int t = 0; t < TENSORS; t++)
        update_tensor(r, &r->tensors[t], batch->events);
    r->scored = 0;
    return loss;
}
