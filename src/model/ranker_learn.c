#include "model/ranker_private.h"

#include "math/adagrad.h"
#include "math/simd.h"
#include "math/vector.h"

#include "base/poison.h"

static bool any_nonzero(size_t n, const float *x) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0.0f)
            return true;
    return false;
}

/* ---- gradients: sums over the batch's events ---- */

static void clear_gradients(struct ranker *r, const struct batch *batch) {
    size_t bytes = batch->items * r->config.width * sizeof(float);
    for (int t = 0; t < TENSORS; t++)
        if (r->tensors[t].count > 0)
            memset(r->tensors[t].gradient, 0, r->tensors[t].count * sizeof(float));
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used) {
            memset(r->view[v].dx, 0, bytes);
            memset(r->view[v].dunit, 0, bytes);
        }
    memset(r->dbias, 0, batch->items * sizeof *r->dbias);
}

/* The product x y of the input: its gradient joins those of x and y. */
static SIMD_CLONES void product_backward(size_t n, size_t d, size_t stride,
                                         const float *restrict rows, float *restrict drows) {
    for (size_t i = 0; i < n; i++) {
        const float *x = rows + i * stride, *y = x + d;
        float *dx = drows + i * stride, *dy = dx + d, *dproduct = dy + d;
        for (size_t j = 0; j < d; j++) {
            dx[j] += dproduct[j] * y[j];
            dy[j] += dproduct[j] * x[j];
        }
    }
}

static void history_backward(struct ranker *r, const struct batch *batch, uint32_t user) {
    size_t d = r->config.width, h = batch->history_length[user];
    const uint32_t *history = batch->history + (size_t)user * r->config.history;
    for (int v = 0; v < VIEWS; v++) {
        const struct view *view = &r->view[v];
        if (!view->used)
            continue;
        scatter_add(h, d, history, view->dkey, d, view->dunit);
        scatter_add(h, d, history, view->dvalue, d, view->dx);
    }
}

static void attention_of_user(struct ranker *r, const struct batch *batch, uint32_t v,
                              uint32_t user) {
    const struct view *view = &r->view[v];
    size_t d = r->config.width, first = r->user_start[user], stride = r->dnn.stride;
    const float *dinput = r->dnn_gradients.x + first * stride;
    struct attention attention = view_attention(r, batch, v, user);
    const float *dout[] = {dinput + view->column + d, dinput + view->cross_column};
    attention_backward(
        &attention, dout, stride,
        &(struct attention_gradients){.query = view->dquery + first * d,
                                      .key = view->dkey,
                                      .value = {view->dvalue, r->view[VIEWS - 1 - v].dvalue},
                                      .sharpness = &r->tensors[TENSOR_SHARPNESS].gradient[v],
                                      .scores = r->dscores});
}

static void attend_backward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    for (uint32_t user = 0; user < batch->users; user++) {
        size_t bytes = batch->history_length[user] * d * sizeof(float);
        gather_history(r, batch, user);
        for (int v = 0; v < VIEWS; v++)
            if (r->view[v].used) {
                memset(r->view[v].dkey, 0, bytes);
                memset(r->view[v].dvalue, 0, bytes);
            }
        for (uint32_t v = 0; v < VIEWS; v++)
            if (r->view[v].used)
                attention_of_user(r, batch, v, user);
        history_backward(r, batch, user);
    }
}

static void input_backward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, n = batch->events, stride = r->dnn.stride;
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used)
            product_backward(n, d, stride, r->input + r->view[v].column,
                             r->dnn_gradients.x + r->view[v].column);
    attend_backward(r, batch);
    for (int v = 0; v < VIEWS; v++) {
        const struct view *view = &r->view[v];
        if (!view->used)
            continue;
        scatter_add(n, d, r->candidate, r->dnn_gradients.x + view->column, stride, view->dx);
        scatter_add(n, d, r->candidate, view->dquery, d, view->dunit);
    }
}

static struct losses backward(struct ranker *r, const struct batch *batch) {
    struct losses losses = {0};
    uint32_t n = batch->events;
    for (uint32_t i = 0; i < n; i++)
        r->labels[i] = batch->labels[r->order[i]];
    bce_forward(n, r->logits, r->labels, r->losses);
    bce_backward(n, r->logits, r->labels, r->dlogits);
    double loss = 0.0;
    clear_gradients(r, batch);
    for (uint32_t i = 0; i < n; i++) {
        loss += (double)r->losses[i];
        r->dbias[r->candidate[i]] += r->dlogits[i];
    }
    dnn_backward(&r->dnn, n, r->input, r->hidden, r->dlogits, &r->dnn_gradients);
    input_backward(r, batch);
    items_backward(r, batch, &losses);
    losses.bce = (float)(loss / n);
    return losses;
}

/* ---- update; what has no gradient is not touched ---- */

static void update_items(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    for (uint32_t u = 0; u < batch->items; u++) {
        const float *gradient = r->did + u * d;
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

static void update_rows(struct ranker *r, const struct code_level *level,
                        const struct code_rows *c) {
    size_t d = r->config.width;
    for (uint32_t i = 0; i < level->distinct; i++) {
        const float *gradient = c->gradient + i * d;
        if (!any_nonzero(d, gradient))
            continue;
        uint32_t row = level->row[i];
        float *accumulators = table_edit(c->accumulators, row / ACCUMULATORS_PER_ROW);
        adagrad_row(d, r->config.rate_rows, gradient, &accumulators[row % ACCUMULATORS_PER_ROW],
                    table_edit(c->rows, row));
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

struct losses ranker_learn(struct ranker *r, const struct batch *batch) {
    ASSERT(r->scored == batch->events && batch->events > 0);
    struct losses losses = backward(r, batch);
    if (r->parts.behaviour)
        update_items(r, batch);
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (r->levels[l].of[use].rows)
                update_rows(r, &r->levels[l], &r->levels[l].of[use]);
    for (int t = 0; t < TENSORS; t++)
        update_tensor(r, &r->tensors[t], batch->events);
    r->scored = 0;
    return losses;
}
