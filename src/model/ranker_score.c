#include "model/ranker_private.h"

#include "math/simd.h"

#include "base/poison.h"

/* Counting sort of the events by user: stable, and linear. */
static void group_by_user(struct ranker *r, const struct batch *batch) {
    uint32_t *start = r->user_start;
    memset(start, 0, (batch->users + 1) * sizeof *start);
    for (uint32_t e = 0; e < batch->events; e++) {
        ASSERT(batch->user[e] < batch->users && batch->candidate[e] < batch->items);
        start[batch->user[e] + 1]++;
    }
    for (uint32_t user = 0; user < batch->users; user++)
        start[user + 1] += start[user];
    for (uint32_t e = 0; e < batch->events; e++)
        r->order[start[batch->user[e]]++] = e; /* start[user] ends as start of the next user */
    for (uint32_t user = batch->users; user > 0; user--)
        start[user] = start[user - 1];
    start[0] = 0;
}

void gather_history(struct ranker *r, const struct batch *batch, uint32_t user) {
    size_t d = r->config.width, h = batch->history_length[user];
    const uint32_t *history = batch->history + (size_t)user * r->config.history;
    ASSERT(h <= r->config.history);
    for (int v = 0; v < VIEWS; v++) {
        const struct view *view = &r->view[v];
        if (!view->used)
            continue;
        gather(h, d, history, view->unit, view->key, d);
        gather(h, d, history, view->x, view->value, d);
    }
}

struct attention view_attention(struct ranker *r, const struct batch *batch, uint32_t v,
                                uint32_t user) {
    const struct view *view = &r->view[v];
    size_t d = r->config.width, first = r->user_start[user],
           stride = attention_stride(r->config.history);
    return (struct attention){.queries = r->user_start[user + 1] - first,
                              .items = batch->history_length[user],
                              .width = d,
                              .values = r->parts.cross ? 2 : 1,
                              .sharpness = r->tensors[TENSOR_SHARPNESS].value[v],
                              .query = view->query + first * d,
                              .key = view->key,
                              .value = {view->value, r->view[VIEWS - 1 - v].value},
                              .scores = view->scores + first * stride,
                              .weights = view->weights + first * stride,
                              .scratch = r->attention_scratch};
}

static void attend(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, stride = r->dnn.stride;
    for (uint32_t user = 0; user < batch->users; user++) {
        float *input = r->input + r->user_start[user] * stride;
        gather_history(r, batch, user);
        for (uint32_t v = 0; v < VIEWS; v++) {
            const struct view *view = &r->view[v];
            if (!view->used)
                continue;
            struct attention attention = view_attention(r, batch, v, user);
            float *out[] = {input + view->column + d, input + view->cross_column};
            attention_forward(&attention, out, stride);
        }
    }
}

/* x y, element by element, for the rows of the DNN's input. */
static SIMD_CLONES void multiply_columns(size_t n, size_t d, size_t stride, float *rows) {
    for (size_t i = 0; i < n; i++) {
        const float *x = rows + i * stride, *y = x + d;
        float *product = rows + i * stride + 2 * d;
        for (size_t j = 0; j < d; j++)
            product[j] = x[j] * y[j];
    }
}

static void input_forward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, n = batch->events, stride = r->dnn.stride;
    for (size_t i = 0; i < n; i++)
        r->candidate[i] = batch->candidate[r->order[i]];
    gather(n, FEATURES, r->order, batch->features, r->input, stride);
    for (int v = 0; v < VIEWS; v++) {
        const struct view *view = &r->view[v];
        if (!view->used)
            continue;
        gather(n, d, r->candidate, view->x, r->input + view->column, stride);
        gather(n, d, r->candidate, view->unit, view->query, d);
    }
    attend(r, batch);
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used)
            multiply_columns(n, d, stride, r->input + r->view[v].column);
}

void ranker_score(struct ranker *r, const struct batch *batch, float *logits) {
    ASSERT(batch->events <= r->config.batch && batch->users <= batch->events);
    ASSERT(batch->items <= r->config.batch * (r->config.history + 1));
    items_forward(r, batch);
    group_by_user(r, batch);
    input_forward(r, batch);
    dnn_forward(&r->dnn, batch->events, r->input, r->hidden, r->logits);
    for (uint32_t i = 0; i < batch->events; i++) {
        if (r->parts.behaviour)
            r->logits[i] += r->bias[r->candidate[i]];
        logits[r->order[i]] = r->logits[i];
    }
    r->scored = batch->events;
}
