#include "model/score_window.h"
#include "math/vector.h"
#include "model/model_private.h"
#include "model/pairs.h"
#include <string.h>

#define GROUPS (SCORE_BINS / BINS_PER_ROW)

/* The cumulative counts at one moment. */
struct score_window {
    struct score_bin bins[EXPOSURE_BUCKETS][SCORE_BINS];
    double loss_sum, probability_sum, gate_sum[EXPOSURE_BUCKETS];
};

/* Sums over the events of one part. */
struct part {
    struct pairs pairs;
    double loss, probability, gate;
};

enum status score_window_create(struct score_window **out, struct arena *arena, struct error *err) {
    *out = arena_alloc(arena, sizeof **out);
    if (*out == NULL)
        return FAIL(err, FATAL, EX_OSERR, "no memory for the figures over time");
    memset(*out, 0, sizeof **out);
    return OK;
}

static void add_bin(struct part *part, double negatives, double positives, double middle) {
    pairs_add(&part->pairs, negatives, positives);
    part->probability += (negatives + positives) * middle;
    if (positives > 0)
        part->loss -= positives * (double)log_f32((float)middle);
    if (negatives > 0)
        part->loss -= negatives * (double)log1p_f32((float)-middle);
}

/* One row of the model's bins: those of the scores of one group; NULL when there is none yet. */
static const struct score_bin *bins_of(const struct model *m, uint32_t bucket, uint32_t group) {
    uint32_t row = bucket * GROUPS + group;
    return table_live(m->score_bins, row) ? table_value(m->score_bins, row) : NULL;
}

/* What came since, by parts. */
struct gain {
    struct part buckets[EXPOSURE_BUCKETS], cold, warm, all;
};

/* The bins of one row in every bucket. */
static void gain_of_row(const struct score_window *w, const struct model *m, uint32_t group,
                        struct gain *gain) {
    const struct score_bin *now[EXPOSURE_BUCKETS];
    bool any = false;
    for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++) {
        const struct score_bin *before = &w->bins[k][group * BINS_PER_ROW];
        now[k] = bins_of(m, k, group);
        if (now[k] != NULL && memcmp(before, now[k], BINS_PER_ROW * sizeof *before) == 0)
            now[k] = NULL; /* as most are: nothing came */
        any = any || now[k] != NULL;
    }
    if (!any)
        return;
    for (uint32_t i = 0; i < BINS_PER_ROW; i++) {
        uint32_t bin = group * BINS_PER_ROW + i;
        double middle = ((double)bin + 0.5) / SCORE_BINS, cold[2] = {0, 0}, warm[2] = {0, 0};
        for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++) {
            const struct score_bin *before = &w->bins[k][bin];
            if (now[k] == NULL || memcmp(before, &now[k][i], sizeof *before) == 0)
                continue;
            double negatives = now[k][i].negatives - before->negatives;
            double positives = now[k][i].positives - before->positives;
            double *side = k < COLD_BUCKETS ? cold : warm;
            add_bin(&gain->buckets[k], negatives, positives, middle);
            side[0] += negatives;
            side[1] += positives;
        }
        pairs_add(&gain->cold.pairs, cold[0], cold[1]);
        pairs_add(&gain->warm.pairs, warm[0], warm[1]);
        pairs_add(&gain->all.pairs, cold[0] + warm[0], cold[1] + warm[1]);
    }
}

static struct score_slice slice_of(const struct part *part, bool gate) {
    double positives = part->pairs.positives, events = positives + part->pairs.negatives;
    bool both = positives > 0 && positives < events;
    return (struct score_slice){
        .events = (uint64_t)events,
        .positives = (uint64_t)positives,
        .auc = pairs_auc(&part->pairs),
        .ne = both ? part->loss / events / binary_entropy(positives / events) : (double)NAN,
        .calibration = positives > 0 ? part->probability / positives : (double)NAN,
        .gate = gate && events > 0 ? part->gate / events : (double)NAN};
}

/* Pairs of a sum were counted bin by bin; these add up. */
static void join(struct part *sum, const struct part *part) {
    sum->loss += part->loss;
    sum->probability += part->probability;
    sum->gate += part->gate;
}

/* Before the model's first epoch there is no row. */
static const struct model_row *state_of(const struct model *m) {
    static const struct model_row nothing = {0};
    return table_live(m->state, 0) ? model_state(m) : &nothing;
}

void score_window_look(const struct score_window *w, const struct model *m,
                       struct score_figures *out) {
    const struct model_row *state = state_of(m);
    struct gain gain = {0};
    for (uint32_t group = 0; group < GROUPS; group++)
        gain_of_row(w, m, group, &gain);
    for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++) {
        gain.buckets[k].gate = state->gate_sum[k] - w->gate_sum[k];
        join(k < COLD_BUCKETS ? &gain.cold : &gain.warm, &gain.buckets[k]);
        join(&gain.all, &gain.buckets[k]);
        out->by_exposures[k] = slice_of(&gain.buckets[k], m->parts.gate);
    }
    gain.all.loss = state->loss_sum - w->loss_sum; /* exact, where the bins are not */
    gain.all.probability = state->probability_sum - w->probability_sum;
    out->cold = slice_of(&gain.cold, m->parts.gate);
    out->warm = slice_of(&gain.warm, m->parts.gate);
    out->all = slice_of(&gain.all, m->parts.gate);
}

void score_window_start(struct score_window *w, const struct model *m) {
    const struct model_row *state = state_of(m);
    memset(w, 0, sizeof *w);
    for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++)
        for (uint32_t group = 0; group < GROUPS; group++) {
            const struct score_bin *now = bins_of(m, k, group);
            if (now != NULL)
                memcpy(&w->bins[k][group * BINS_PER_ROW], now, BINS_PER_ROW * sizeof *now);
        }
    w->loss_sum = state->loss_sum;
    w->probability_sum = state->probability_sum;
    memcpy(w->gate_sum, state->gate_sum, sizeof w->gate_sum);
}

void score_window_take(struct score_window *w, const struct model *m, struct score_figures *out) {
    score_window_look(w, m, out);
    score_window_start(w, m);
}
