#include "model/ranker_private.h"

#include "math/vector.h"

#include <math.h>

#include "base/poison.h"

/* ---- behaviour: I_id and bias, or I_f ---- */

static void id_forward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width;
    const float *rows = table_values(r->items.embedding);
    for (uint32_t u = 0; u < batch->items; u++) {
        ASSERT(table_live(r->items.embedding, batch->item_row[u]));
        const float *row = rows + batch->item_row[u] * (d + 1);
        memcpy(r->id + u * d, row, d * sizeof *row);
        r->bias[u] = row[d];
    }
}

/* Without a SID there is nothing to transfer to: T = 1. */
static void gates_forward(struct ranker *r, const struct batch *batch) {
    if (r->parts.gate)
        gate_forward(&r->gate, batch->items, batch->item_features, r->gate_hidden, r->gates);
    const uint32_t *code = r->levels[0].of_item;
    for (uint32_t u = 0; u < batch->items; u++)
        r->gates[u] = code[u] == NO_ROW ? 1.0f : r->parts.gate ? r->gates[u] : 0.5f;
}

static void fused_forward(struct ranker *r, const struct batch *batch) {
    gates_forward(r, batch);
    blend_forward(batch->items, r->config.width, r->gates, r->id, r->rq,
                  r->parts.opq ? r->opq : NULL, r->config.opq_share, r->view[VIEW_BEHAVIOUR].x);
}

static void gates_backward(struct ranker *r, const struct batch *batch) {
    const uint32_t *code = r->levels[0].of_item;
    for (uint32_t u = 0; u < batch->items; u++)
        r->dgates[u] = code[u] == NO_ROW ? 0.0f : r->dgates[u];
    gate_backward(&r->gate, batch->items, batch->item_features, r->gate_hidden, r->gates, r->dgates,
                  &r->gate_gradients);
}

/* Each candidate's loss, as often as it is one. Returns the sum over the batch's events. */
static float transfer_backward(struct ranker *r, const struct batch *batch) {
    size_t items = batch->items;
    const uint32_t *code = r->levels[0].of_item;
    memset(r->transfer_weight, 0, items * sizeof *r->transfer_weight);
    for (uint32_t e = 0; e < batch->events; e++)
        r->transfer_weight[batch->candidate[e]] += 1.0f;
    for (uint32_t u = 0; u < items; u++)
        r->transfer_weight[u] *= code[u] == NO_ROW ? 0.0f : r->config.kl_weight;
    transfer_loss(items, r->config.width, r->gates, r->transfer_weight, r->id, r->rq,
                  r->transfer_scratch, r->transfer_losses, r->did, r->drq);
    return vector_dot(items, r->transfer_weight, r->transfer_losses) / r->config.kl_weight;
}

/* The loss is a mean over items, the batch's gradients are sums over events. */
static float contrast_backward(struct ranker *r, const struct batch *batch) {
    size_t d = r->config.width, n = batch->contrast_items;
    r->contrast.items = n;
    r->contrast.positive = batch->positive;
    gather(n, d, batch->contrast_item, r->opq, r->contrast_x, d);
    memset(r->dcontrast, 0, n * d * sizeof *r->dcontrast);
    float loss =
        contrast_loss(&r->contrast, r->config.contrast_weight * (float)batch->events, r->dcontrast);
    scatter_add(n, d, batch->contrast_item, r->dcontrast, d, r->dopq);
    return loss;
}

static void fused_backward(struct ranker *r, const struct batch *batch, struct losses *losses) {
    struct view *behaviour = &r->view[VIEW_BEHAVIOUR], *modal = &r->view[VIEW_MODAL];
    size_t count = batch->items * r->config.width;
    blend_backward(batch->items, r->config.width, r->gates, r->id, r->rq, r->config.opq_share,
                   behaviour->dx, r->did, r->drq, r->parts.opq ? r->dopq : NULL, r->dgates);
    if (r->parts.gate)
        gates_backward(r, batch);
    if (r->parts.modal == MODAL_CODES) {
        vector_add(count, modal->dx, r->drq);
        if (!r->parts.opq)
            memset(r->dopq, 0, count * sizeof *r->dopq);
        vector_add(count, modal->dx, r->dopq);
    }
    if (r->parts.transfer)
        losses->transfer = transfer_backward(r, batch) / (float)batch->events;
    if (r->parts.contrast && batch->contrast_items > 0)
        losses->contrast = contrast_backward(r, batch);
}

/* ---- modal: from codes, or from content ---- */

static void content_forward(struct ranker *r, const struct batch *batch) {
    size_t dz = r->config.z_dims;
    for (uint32_t u = 0; u < batch->items; u++) {
        if (table_live(r->items.z, batch->item_row[u]))
            memcpy(r->z + u * dz, table_value(r->items.z, batch->item_row[u]), dz * sizeof *r->z);
        else
            memset(r->z + u * dz, 0, dz * sizeof *r->z);
    }
    r->residual.items = batch->items;
    residual_forward(&r->residual, r->view[VIEW_MODAL].x);
}

static void fused_codes_forward(struct ranker *r, const struct batch *batch) {
    size_t count = batch->items * r->config.width;
    memcpy(r->view[VIEW_MODAL].x, r->rq, count * sizeof(float));
    vector_add(count, r->opq, r->view[VIEW_MODAL].x);
}

/* ---- all views ---- */

void items_forward(struct ranker *r, const struct batch *batch) {
    if (r->parts.behaviour)
        id_forward(r, batch);
    if (ranker_has_codes(r))
        codes_forward(r, batch);
    if (r->parts.fused)
        fused_forward(r, batch);
    if (r->parts.fused && r->parts.modal == MODAL_CODES)
        fused_codes_forward(r, batch);
    if (r->parts.modal == MODAL_CONTENT)
        content_forward(r, batch);
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used)
            normalise_forward(batch->items, r->config.width, ATTENTION_EPSILON, r->view[v].x,
                              r->view[v].unit, r->view[v].inverse);
}

void items_backward(struct ranker *r, const struct batch *batch, struct losses *losses) {
    for (int v = 0; v < VIEWS; v++)
        if (r->view[v].used)
            normalise_backward(batch->items, r->config.width, r->view[v].unit, r->view[v].inverse,
                               r->view[v].dunit, r->view[v].dx);
    if (r->parts.modal == MODAL_CONTENT)
        residual_backward(&r->residual, r->view[VIEW_MODAL].dx, &r->residual_gradients);
    if (r->parts.fused)
        fused_backward(r, batch, losses);
    if (ranker_has_codes(r))
        codes_backward(r, batch);
}

const float *ranker_gate(const struct ranker *r) {
    return r->parts.gate ? r->gates : NULL;
}

float ranker_item_gate(struct ranker *r, const float features[GATE_FEATURES]) {
    float gate = (float)NAN;
    r->scored = 0;
    if (r->parts.gate)
        gate_forward(&r->gate, 1, features, r->gate_hidden, &gate);
    return gate;
}
