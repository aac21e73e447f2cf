/* Prequential evaluation: every sample is counted with the score it got before it was learned from. AUC comes from
 * histograms of the scores that are rows like everything else, so it survives restarts and costs O(1) per sample; a pair in the
 * same bin counts one half. */
#include "math/vector.h"
#include "model/model_private.h"
#include "model/pairs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_PER_BUCKET (SCORE_BINS / BINS_PER_ROW)
#define MS_PER_DAY 86400000.0

const char *const exposure_bucket_names[EXPOSURE_BUCKETS] = {"0",     "1-4",     "5-19",
                                                             "20-99", "100-499", "500+"};

static uint32_t exposure_bucket(uint64_t exposures) {
    static const uint64_t ends[EXPOSURE_BUCKETS - 1] = {1, 5, 20, 100, 500};
    uint32_t bucket = 0;
    while (bucket < EXPOSURE_BUCKETS - 1 && exposures >= ends[bucket])
        bucket++;
    return bucket;
}

enum status evaluation_create(struct model *model, struct error *err) {
    struct table_spec spec = {.name = "score_bins",
                              .key_kind = KEY_DENSE,
                              .output = TO_CHANGELOG,
                              .value_bytes = BINS_PER_ROW * sizeof(struct score_bin),
                              .rows_max = EXPOSURE_BUCKETS * ROWS_PER_BUCKET};
    return tables_add(model->set, &spec, &model->score_bins, err);
}

static enum status count_bin(struct model *m, uint32_t bucket, float probability, bool positive,
                             struct error *err) {
    uint32_t bin = (uint32_t)(probability * (float)SCORE_BINS);
    if (bin >= SCORE_BINS)
        bin = SCORE_BINS - 1;
    uint32_t key = bucket * ROWS_PER_BUCKET + bin / BINS_PER_ROW, row = key;
    if (!table_live(m->score_bins, key))
        TRY(table_insert_u64(m->score_bins, key, &row, err));
    struct score_bin *bins = table_edit(m->score_bins, row);
    if (positive)
        bins[bin % BINS_PER_ROW].positives++;
    else
        bins[bin % BINS_PER_ROW].negatives++;
    return OK;
}

static void count_user_bin(struct user_scores *scores, uint32_t bin, bool positive) {
    uint16_t *count = positive ? &scores->positives[bin] : &scores->negatives[bin];
    if (*count < UINT16_MAX)
        (*count)++;
}

static void count_user(struct model *m, uint32_t user_row, float logit, bool positive, bool cold) {
    float place = (logit + 6.0f) * 8.0f;
    uint32_t bin = place <= 0.0f                     ? 0
                   : place >= (float)(USER_BINS - 1) ? USER_BINS - 1
                                                     : (uint32_t)place;
    struct user_score_row *row = table_edit(m->user_scores, user_row);
    count_user_bin(&row->all, bin, positive);
    if (cold)
        count_user_bin(&row->cold, bin, positive);
}

/* BCE of a logit: max(o,0) - o y + log(1 + exp(-|o|)), and the probability. */
static double loss_of(float logit, float label, float *probability) {
    float small = exp_f32(-fabsf(logit));
    *probability = logit >= 0.0f ? 1.0f / (1.0f + small) : small / (1.0f + small);
    return (double)(logit > 0.0f ? logit : 0.0f) - (double)logit * (double)label +
           (double)log1p_f32(small);
}

enum status evaluation_count(struct model *model, const struct sample *samples, uint32_t count,
                             struct error *err) {
    struct model_row *state = model_edit_state(model);
    const float *gate = ranker_gate(model->ranker);
    for (uint32_t e = 0; e < count; e++) {
        float logit = model->logits[e], probability;
        if (!isfinite(logit))
            return FAIL_SEE(err, FATAL, EX_SOFTWARE, "score-not-finite",
                            "the ranker's score is not finite: lower model.rate_rows or "
                            "model.rate_dense and replay from the start");
        bool positive = samples[e].label > 0.0f;
        double loss = loss_of(logit, samples[e].label, &probability);
        if (state->first_ms < 0)
            state->first_ms = samples[e].time_ms;
        if (samples[e].time_ms > state->last_ms)
            state->last_ms = samples[e].time_ms;
        if (state->labelled++ < model->config.warmup_events)
            continue;
        state->evaluated++;
        state->positives += positive;
        state->loss_sum += loss;
        state->probability_sum += (double)probability;
        uint32_t bucket = exposure_bucket(model->exposures[e]);
        if (gate != NULL)
            state->gate_sum[bucket] += (double)gate[model->batch.candidate[e]];
        TRY(count_bin(model, bucket, probability, positive, err));
        count_user(model, samples[e].user_row, logit, positive, bucket < COLD_BUCKETS);
    }
    return OK;
}

static struct score_bin bin_at(const struct model *m, uint32_t bucket, uint32_t bin) {
    uint32_t row = bucket * ROWS_PER_BUCKET + bin / BINS_PER_ROW;
    if (!table_live(m->score_bins, row))
        return (struct score_bin){0, 0};
    return ((const struct score_bin *)table_value(m->score_bins, row))[bin % BINS_PER_ROW];
}

static void evaluate_scores(const struct model *m, struct evaluation *out) {
    struct pairs all = {0}, cold = {0}, buckets[EXPOSURE_BUCKETS] = {{0}};
    for (uint32_t bin = 0; bin < SCORE_BINS; bin++) {
        double sum[2] = {0, 0}, cold_sum[2] = {0, 0};
        for (uint32_t k = 0; k < EXPOSURE_BUCKETS; k++) {
            struct score_bin b = bin_at(m, k, bin);
            pairs_add(&buckets[k], b.negatives, b.positives);
            sum[0] += b.negatives;
            sum[1] += b.positives;
            if (k < COLD_BUCKETS) {
                cold_sum[0] += b.negatives;
                cold_sum[1] += b.positives;
            }
        }
        pairs_add(&all, sum[0], sum[1]);
        pairs_add(&cold, cold_sum[0], cold_sum[1]);
    }
    out->auc = pairs_auc(&all);
    out->auc_cold = pairs_auc(&cold);
    for (int k = 0; k < EXPOSURE_BUCKETS; k++) {
        out->auc_by_exposures[k] = pairs_auc(&buckets[k]);
        out->events_by_exposures[k] = (uint64_t)(buckets[k].negatives + buckets[k].positives);
    }
}

/* Mean of the users' AUC, weighted by their events; users with one class are left out. */
static double evaluate_gauc(const struct model *m) {
    double sum = 0, weight = 0;
    for (uint32_t row = 0; row < table_end(m->user_scores); row++) {
        if (!table_live(m->user_scores, row))
            continue;
        const struct user_scores *user =
            &((const struct user_score_row *)table_value(m->user_scores, row))->all;
        struct pairs p = {0};
        for (uint32_t bin = 0; bin < USER_BINS; bin++)
            pairs_add(&p, user->negatives[bin], user->positives[bin]);
        if (p.negatives > 0 && p.positives > 0) {
            sum += pairs_auc(&p) * (p.negatives + p.positives);
            weight += p.negatives + p.positives;
        }
    }
    return weight > 0 ? sum / weight : (double)NAN;
}

uint32_t model_users_end(const struct model *model) {
    return table_end(model->users);
}

const struct user_score_row *model_user_scores(const struct model *model, uint32_t user_row,
                                               struct bytes *user_id) {
    uint8_t scratch[8];
    if (!table_live(model->user_scores, user_row))
        return NULL;
    *user_id = table_key(model->users, user_row, scratch); /* a text: nothing goes into scratch */
    return table_value(model->user_scores, user_row);
}

double binary_entropy(double rate) {
    return -(rate * (double)log_f32((float)rate) + (1 - rate) * (double)log_f32((float)(1 - rate)));
}

static int compare_codes(const void *a, const void *b) {
    return memcmp(a, b, sizeof(uint16_t) * SID_CODES);
}

/* SIDs of their own, and how many codes of each level are in use. Reports only: the scratch arena is free then. */
static void evaluate_sids(struct model *m, struct evaluation *out) {
    arena_reset(&m->scratch);
    uint32_t count = 0, rows = table_rows(m->sid);
    uint16_t(*codes)[SID_CODES] = arena_alloc(&m->scratch, (size_t)rows * sizeof *codes);
    uint8_t *used = arena_alloc(&m->scratch, SID_CODES * 65536);
    out->sid_unique = (double)NAN;
    if (rows == 0 || codes == NULL || used == NULL)
        return;
    memset(used, 0, SID_CODES * 65536);
    for (uint32_t row = 0; row < table_end(m->sid); row++)
        if (table_live(m->sid, row)) {
            const struct sid_row *sid = table_value(m->sid, row);
            for (uint32_t l = 0; l < SID_CODES; l++)
                used[l * 65536 + sid->codes[l]] = 1;
            memcpy(codes[count++], sid->codes, sizeof *codes);
        }
    for (uint32_t l = 0; l < SID_CODES; l++) {
        uint32_t in_use = 0;
        for (uint32_t c = 0; c < m->config.tokenizer.books[l]; c++)
            in_use += used[l * 65536 + c];
        out->utilisation[l] = (double)in_use / m->config.tokenizer.books[l];
    }
    qsort(codes, count, sizeof *codes, compare_codes);
    uint32_t own = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool like_before = i > 0 && compare_codes(codes[i - 1], codes[i]) == 0;
        bool like_after = i + 1 < count && compare_codes(codes[i + 1], codes[i]) == 0;
        own += !like_before && !like_after;
    }
    out->sid_unique = (double)own / count;
}

/* Of SIDs of the current generation, as the codebooks stand. */
static double evaluate_quantisation(const struct model *m) {
    struct quantised sum = {0};
    for (uint32_t row = 0; row < table_end(m->sid); row++)
        if (table_live(m->sid, row) &&
            ((const struct sid_row *)table_value(m->sid, row))->generation == model_generation(m))
            semantic_id_measure(m, row, &sum);
    return sum.all > 0 ? sum.wrong / sum.all : (double)NAN;
}

double model_auc(const struct model *model) {
    struct evaluation scores = {0};
    evaluate_scores(model, &scores);
    return scores.auc;
}

/* What is counted as it happens: no scan. */
void model_overview(const struct model *model, struct evaluation *out) {
    memset(out, 0, sizeof *out);
    if (!table_live(model->state, 0))
        return;
    const struct model_row *state = model_state(model);
    shadow_evaluate(model, out);
    generations_evaluate(model, out);
    out->codebook_version = state->codebook_version;
    out->codebook_resets = state->resets;
    out->labelled = state->labelled;
    out->items = table_rows(model->items);
    out->onboarded = state->onboarded;
    double events = (double)state->evaluated, positives = (double)state->positives;
    bool both = positives > 0 && positives < events;
    out->ne = both ? state->loss_sum / events / binary_entropy(positives / events) : (double)NAN;
    out->calibration = positives > 0 ? state->probability_sum / positives : (double)NAN;
    double days = (double)(state->last_ms - state->first_ms) / MS_PER_DAY;
    bool lasted = state->onboarded > 0 && days > 0;
    out->sid_churn_per_day = lasted ? (double)(state->sid_changes - state->sid_changes_released) /
                                          (double)state->onboarded / days
                                    : 0.0;
}

void model_evaluate(struct model *model, struct evaluation *out) {
    model_overview(model, out);
    if (!table_live(model->state, 0))
        return;
    const struct model_row *state = model_state(model);
    evaluate_scores(model, out);
    evaluate_sids(model, out);
    out->quantisation_error = evaluate_quantisation(model);
    for (int k = 0; k < EXPOSURE_BUCKETS; k++)
        out->gate_by_exposures[k] = model->parts.gate && out->events_by_exposures[k] > 0
                                        ? state->gate_sum[k] / (double)out->events_by_exposures[k]
                                        : (double)NAN;
    out->gauc = evaluate_gauc(model);
}
