/* The ranker's gradients against central differences of its own loss, for every tensor and every table, variant by
 * variant. */
#include "ranker_small.h"
#include <math.h>

/* What the losses beside BCE hold fixed: the stop-gradients of the transfer loss. */
struct held {
    float *gates, *id, *rq;
};

static void log_softmax(const float *x, double *out, size_t d) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++)
        sum += exp((double)x[j]);
    for (size_t j = 0; j < d; j++)
        out[j] = (double)x[j] - log(sum);
}

static double divergence(const float *p, const float *q, size_t d) {
    double log_p[64], log_q[64], sum = 0.0;
    log_softmax(p, log_p, d);
    log_softmax(q, log_q, d);
    for (size_t j = 0; j < d; j++)
        sum += exp(log_p[j]) * (log_p[j] - log_q[j]);
    return sum;
}

static double transfer_term(const struct world *w, const struct batch *b, const struct held *held) {
    const struct ranker *r = w->ranker;
    size_t d = w->config.width;
    double loss = 0.0;
    for (uint32_t e = 0; e < b->events; e++) {
        uint32_t u = b->candidate[e];
        if (!table_live(w->items.sid, b->item_row[u]))
            continue;
        double t = (double)held->gates[u];
        loss += t * divergence(held->id + u * d, r->rq + u * d, d) +
                (1 - t) * divergence(r->id + u * d, held->rq + u * d, d);
    }
    return loss;
}

static double similarity(const float *x, const float *y, size_t d) {
    double xx = 1e-6, yy = 1e-6, xy = 0.0;
    for (size_t j = 0; j < d; j++) {
        xx += (double)x[j] * (double)x[j];
        yy += (double)y[j] * (double)y[j];
        xy += (double)x[j] * (double)y[j];
    }
    return xy / sqrt(xx * yy) / (double)CONTRAST_TEMPERATURE;
}

static double contrast_term(const struct world *w, const struct batch *b) {
    size_t d = w->config.width;
    const float *x = w->ranker->opq;
    double loss = 0.0;
    uint32_t n = b->contrast_items, anchors = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *positive = b->positive + i * n;
        double negatives = 0.0, sum = 0.0;
        uint32_t count = 0;
        for (uint32_t j = 0; j < n; j++)
            if (j != i && !positive[j])
                negatives +=
                    exp(similarity(x + b->contrast_item[i] * d, x + b->contrast_item[j] * d, d));
        for (uint32_t j = 0; j < n; j++)
            if (positive[j]) {
                double s =
                    exp(similarity(x + b->contrast_item[i] * d, x + b->contrast_item[j] * d, d));
                sum -= log(s / (s + negatives));
                count++;
            }
        loss += count > 0 ? sum / count : 0.0;
        anchors += count > 0;
    }
    return anchors > 0 ? loss / anchors : 0.0;
}

/* The sum over events whose gradients the ranker computes. */
static double total_loss(struct world *w, const struct batch *b, const struct held *held) {
    float logits[EVENTS];
    double loss = 0.0;
    ranker_score(w->ranker, b, logits);
    for (uint32_t e = 0; e < b->events; e++) {
        double o = (double)logits[e];
        loss += fmax(o, 0.0) - o * (double)b->labels[e] + log1p(exp(-fabs(o)));
    }
    if (w->ranker->parts.transfer)
        loss += (double)w->config.kl_weight * transfer_term(w, b, held);
    if (w->ranker->parts.contrast)
        loss += (double)w->config.contrast_weight * b->events * contrast_term(w, b);
    return loss;
}

struct slopes {
    const char *name;
    double largest; /* difference */
    double size;    /* of the gradient */
    int checked, off, skipped;
};

/* Which relus are open: where that changes within a step, the difference is no slope. */
static uint64_t open_relus(const struct world *w, const struct batch *b) {
    uint64_t hash = 0;
    for (int l = 0; l < 2; l++)
        for (size_t i = 0; i < b->events * w->ranker->dnn.hidden[l]; i++)
            hash = hash * 0x9e3779b97f4a7c15 + (w->ranker->hidden[l][i] > 0.0f) + 1;
    for (size_t i = 0; w->ranker->parts.gate && i < b->items * w->config.gate_hidden; i++)
        hash = hash * 0x9e3779b97f4a7c15 + (w->ranker->gate_hidden[i] > 0.0f) + 1;
    return hash;
}

/* True when no relu opens or closes within the step; *slope is then the difference quotient. */
static bool central_difference(struct world *w, const struct batch *b, const struct held *held,
                               float *parameter, float step, double *slope) {
    float before = *parameter, high = before + step, low = before - step;
    *parameter = high;
    double up = total_loss(w, b, held);
    uint64_t open_high = open_relus(w, b);
    *parameter = low;
    double down = total_loss(w, b, held);
    uint64_t open_low = open_relus(w, b);
    *parameter = before;
    *slope = (up - down) / ((double)high - (double)low);
    return open_high == open_low;
}

static void check_slope(struct world *w, const struct batch *b, const struct held *held,
                        struct slopes *s, float *parameter, float gradient) {
    double slope, bound = 0.0;
    bool smooth = false;
    for (float step = 1e-3f; step > 1e-4f && !smooth; step /= 4) {
        smooth = central_difference(w, b, held, parameter, step, &slope);
        bound = 4e-6 / (double)step +
                1e-2 * fabs((double)gradient); /* rounding of the logits; curvature */
    }
    if (!smooth) {
        s->skipped++;
        return;
    }
    double difference = fabs(slope - (double)gradient);
    s->checked++;
    s->off += difference > bound;
    s->largest = fmax(s->largest, difference);
    s->size = fmax(s->size, fabs((double)gradient));
}

static void report(const struct slopes *s) {
    printf("%-16s %3d slopes (%d at a corner), max difference %.2g of gradients up to %.2g\n",
           s->name, s->checked, s->skipped, s->largest, s->size);
    ck_assert_int_gt(s->checked + s->skipped, 0);
    ck_assert_msg(s->off == 0, "%s: %d of %d gradients are off", s->name, s->off, s->checked);
}

static void check_tensor_slopes(struct world *w, const struct batch *b, const struct held *held,
                                const float *const gradients[TENSORS], struct rng *rng) {
    for (int i = 0; i < TENSORS; i++) {
        struct tensor *t = &w->ranker->tensors[i];
        struct slopes s = {.name = t->name};
        for (size_t k = 0; k < t->count && k < 24; k++) {
            size_t at = t->count <= 24 ? k : rng_below(rng, (uint32_t)t->count);
            check_slope(w, b, held, &s, t->value + at, gradients[i][at]);
        }
        if (t->count > 0)
            report(&s);
    }
}

static void check_item_slopes(struct world *w, const struct batch *b, const struct held *held,
                              const float *dx, const float *dbias, struct rng *rng) {
    struct slopes id = {.name = "embedding"}, bias = {.name = "bias"};
    uint32_t d = w->config.width;
    float *rows = table_values(w->items.embedding);
    for (uint32_t u = 0; u < b->items; u++) {
        uint32_t j = rng_below(rng, d);
        float *row = rows + b->item_row[u] * (d + 1);
        check_slope(w, b, held, &id, row + j, dx[u * d + j]);
        check_slope(w, b, held, &bias, row + d, dbias[u]);
    }
    report(&id);
    report(&bias);
}

static void check_rows_slopes(struct world *w, const struct batch *b, const struct held *held,
                              struct code_level *level, const struct code_rows *c,
                              struct rng *rng) {
    uint32_t d = w->config.width;
    struct slopes s = {.name = table_spec(c->rows)->name};
    float *rows = table_values(c->rows), *gradient = copy(c->gradient, level->distinct * d);
    for (uint32_t i = 0; i < level->distinct; i++) {
        uint32_t j = rng_below(rng, d);
        check_slope(w, b, held, &s, rows + level->row[i] * d + j, gradient[i * d + j]);
    }
    report(&s);
    free(gradient);
}

static void check_level_slopes(struct world *w, const struct batch *b, const struct held *held,
                               struct rng *rng) {
    for (int l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (w->ranker->levels[l].of[use].rows)
                check_rows_slopes(w, b, held, &w->ranker->levels[l], &w->ranker->levels[l].of[use],
                                  rng);
}

static struct held hold(const struct ranker *r, const struct batch *b) {
    size_t count = b->items * r->config.width;
    if (!r->parts.transfer)
        return (struct held){0};
    return (struct held){copy(r->gates, b->items), copy(r->id, count), copy(r->rq, count)};
}

static void check_slopes(const struct ranker_config *config) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 10, config->variant);
    struct world w;
    float logits[EVENTS], *gradients[TENSORS];
    open_small_as(&w, config, &rng);
    struct batch b = batch_new(&w);
    batch_random(&w, &b, EVENTS, 4, true, &rng);
    b.history_length[1] = 0;
    b.history_length[2] = w.config.history;
    ranker_score(w.ranker, &b, logits);
    struct held held = hold(w.ranker, &b);
    double loss = total_loss(&w, &b, &held);
    struct losses losses = ranker_learn(w.ranker, &b);
    double ours = (double)losses.bce + (double)(w.config.kl_weight * losses.transfer) +
                  (double)(w.config.contrast_weight * losses.contrast);
    ck_assert_double_le(fabs(ours - loss / EVENTS), 1e-5);
    tables_rollback(w.set); /* the gradients stay in the scratch, the parameters are back */
    for (int t = 0; t < TENSORS; t++)
        gradients[t] = copy(w.ranker->tensors[t].gradient, w.ranker->tensors[t].count);
    check_tensor_slopes(&w, &b, &held, (const float *const *)gradients, &rng);
    if (w.ranker->parts.behaviour) {
        float *did = copy(w.ranker->did, b.items * w.config.width),
              *dbias = copy(w.ranker->dbias, b.items);
        check_item_slopes(&w, &b, &held, did, dbias, &rng);
        free(did);
        free(dbias);
    }
    if (ranker_has_codes(w.ranker))
        check_level_slopes(&w, &b, &held, &rng);
    for (int t = 0; t < TENSORS; t++)
        free(gradients[t]);
    free(held.gates);
    free(held.id);
    free(held.rq);
    batch_free(&b);
    world_close(&w);
}

START_TEST(slopes_of_every_variant) {
    struct ranker_config config = small_config((enum variant)_i);
    printf("-- %s\n", ranker_variant_names[config.variant]);
    check_slopes(&config);
}
END_TEST

/* The parts left out that change where a gradient goes. */
START_TEST(slopes_of_ablations) {
    static const enum variant variants[] = {VARIANT_SMILE, VARIANT_FULL};
    struct ranker_config config = small_config(variants[_i % 2]);
    switch (_i / 2) {
    case 0:
        config.gate = GATE_HALF;
        break;
    case 1:
        config.opq = 0;
        break;
    default:
        config.mba = config.cross = 0;
        config.kl_weight = config.contrast_weight = 0.0f;
    }
    check_slopes(&config);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ranker_slopes");
    TCase *cases = tcase_create("slopes");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, slopes_of_every_variant, VARIANT_ID, VARIANT_FULL + 1);
    tcase_add_loop_test(cases, slopes_of_ablations, 0, 6);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
