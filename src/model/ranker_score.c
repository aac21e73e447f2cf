#include "model/ranker_private.h"

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

struct attention view_attention(struct ranker *r, const struct batch *batch, uint32_t v,
                                uint32_t user) {
    const struct view *view = &r->view[v];
    size_t d = r->config.width, h = batch->history_length[user], first = r->user_start[user];
    const uint32_t *history = batch->history + (size_t)user * r->config.history;
    ASSERT(h <= r->config.history);
    for (size_t j = 0; j < h; j++) {
        memcpy(r->key + j * d, view->unit + history[j] * d, d * sizeof *r->key);
        memcpy(r->value + j * d, view->x + history[j] * d, d * sizeof *r->value);
    }
    size_t stride = attention_stride(r->config.history);
    return (struct attention){.queries = r->user_start[user + 1] - first,
                              .items = h,
                              .width = d,
                              .sharpness = r->tensors[TENSOR_SHARPNESS].value[v],
                              .query = view->query + first * d,
                              .key = r->key,
                              .value = r->value,
                              .scores = view->scores + first * stride,
                              .weights = view->weights + first * stride,
                              .scratch = r->attention_scratch};
}

/* A view's three parts of the DNN's input: the candidate, its attention, their product. */
static void view_forward(struct ranker *r, const struct batch *batch, uint32_t v) {
    struct view *view = &r->view[v];
    size_t d = r->config.width, stride = r->dnn.stride;
    float *input = r->input + view_column(r, v);
    for (uint32_t i = 0; i < batch->events; i++) {
        size_t item = batch->candidate[r->order[i]];
        memcpy(input + i * stride, view->x + item * d, d * sizeof *input);
        memcpy(view->query + i * d, view->unit + item * d, d * sizeof *input);
    }
    for (uint32_t user = 0; user < batch->users; user++) {
        struct attention attention = view_attention(r, batch, v, user);
        attention_forward(&attention, input + r->user_start[user] * stride + d, stride);
    }
    for (uint32_t i = 0; i < batch->events; i++) {
        float *x = input + i * stride;
        for (size_t j = 0; j < d; j++)
            x[2 * d + j] = x[j] * x[d + j];
    }
}

void ranker_score(struct ranker *r, const struct batch *batch, float *logits) {
    ASSERT(batch->events <= r->config.batch && batch->users <= batch->events);
    ASSERT(batch->items <= r->config.batch * (r->config.history + 1));
    items_forward(r, batch);
    group_by_user(r, batch);
    for (uint32_t i = 0; i < batch->events; i++) {
        float *input = r->input + i * r->dnn.stride;
        memcpy(input, batch->features + (size_t)r->order[i] * FEATURES, FEATURES * sizeof *input);
    }
    for (uint32_t v = 0; v < r->views; v++)
        view_forward(r, batch, v);
    dnn_forward(&r->dnn, batch->events, r->input, r->hidden, r->logits);
    for (uint32_t i = 0; i < batch->events; i++) {
        r->logits[i] += r->bias[batch->candidate[r->order[i]]];
        logits[r->order[i]] = r->logits[i];
    }
    r->scored = batch->events;
}
