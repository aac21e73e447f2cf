/* The model's own health. span="total": of everything since the warm-up; span="window": of the last interval that had events. */
#include "ops/metrics_text.h"
#include <math.h>
#include <stdio.h>

#define SLICES (3 + EXPOSURE_BUCKETS)

static const struct score_slice *slice_at(const struct score_figures *f, int i, const char **name) {
    static const char *const names[] = {"all", "cold", "warm"};
    *name = i < 3 ? names[i] : exposure_bucket_names[i - 3];
    return i == 0 ? &f->all : i == 1 ? &f->cold : i == 2 ? &f->warm : &f->by_exposures[i - 3];
}

enum figure { FIGURE_AUC, FIGURE_NE, FIGURE_CALIBRATION, FIGURE_GATE, FIGURES };

static double figure_of(const struct score_slice *slice, enum figure figure) {
    switch (figure) {
    case FIGURE_AUC:
        return slice->auc;
    case FIGURE_NE:
        return slice->ne;
    case FIGURE_CALIBRATION:
        return slice->calibration;
    default:
        return slice->gate;
    }
}

static void add_scores(struct metrics *m, const struct picture *p) {
    static const struct {
        const char *name, *help;
    } figures[FIGURES] = {
        {"coldstream_auc", "AUC of scores given before learning, by the item's exposures before "
                           "the event; cold: under 100."},
        {"coldstream_normalised_entropy", "Log loss over that of always predicting the average."},
        {"coldstream_calibration_ratio", "Sum of the predicted probabilities over the positives."},
        {"coldstream_gate_ratio",
         "Mean gate of the events' items: how much of an item's vector is its own row."}};
    const struct score_figures *spans[] = {&p->whole, &p->window};
    static const char *const span_names[] = {"total", "window"};
    char labels[96];
    const char *name;
    for (enum figure f = 0; f < FIGURES; f++) {
        metrics_family(m, figures[f].name, "gauge", figures[f].help);
        for (int i = 0; p->judged && i < 2 * SLICES; i++) {
            const struct score_slice *slice = slice_at(spans[i / SLICES], i % SLICES, &name);
            snprintf(labels, sizeof labels, "span=\"%s\",exposures=\"%s\"", span_names[i / SLICES],
                     name);
            metrics_value(m, figures[f].name, labels, figure_of(slice, f));
        }
    }
    metrics_family(m, "coldstream_scored_events", "gauge",
                   "Events that these figures are of, by exposures.");
    for (int i = 0; p->judged && i < 2 * EXPOSURE_BUCKETS; i++) {
        const struct score_slice *slice =
            slice_at(spans[i / EXPOSURE_BUCKETS], 3 + i % EXPOSURE_BUCKETS, &name);
        snprintf(labels, sizeof labels, "span=\"%s\",exposures=\"%s\"",
                 span_names[i / EXPOSURE_BUCKETS], name);
        metrics_count(m, "coldstream_scored_events", labels, slice->events);
    }
}

static void add_levels(struct metrics *m, const struct show *show) {
    static const char *const levels[SID_CODES] = {"RQ 1", "RQ 2", "RQ 3", "OPQ 1", "OPQ 2"};
    static const struct {
        const char *name, *type, *help;
    } kinds[] = {{"coldstream_codes", "gauge", "Codes of a level."},
                 {"coldstream_codes_used", "gauge", "Codes of a level that some item has."},
                 {"coldstream_code_perplexity", "gauge",
                  "Exponential of the entropy of the items' codes: how many are in even use."},
                 {"coldstream_code_collision_ratio", "gauge",
                  "Share of the items that share their codes up to this level with another item."},
                 {"coldstream_code_changes_total", "counter",
                  "Items whose code of a level was another one a survey before."}};
    const struct survey_figures *survey = show->survey;
    char labels[32];
    for (int k = 0; k < 5; k++) {
        metrics_family(m, kinds[k].name, kinds[k].type, kinds[k].help);
        for (uint32_t l = 0; l < SID_CODES; l++) {
            const struct survey_level *level = survey != NULL ? &survey->levels[l] : NULL;
            double values[] = {show->facts.books[l], level ? level->used : (double)NAN,
                               level ? level->perplexity : (double)NAN,
                               level ? level->collisions : (double)NAN, (double)show->changed[l]};
            snprintf(labels, sizeof labels, "level=\"%s\"", levels[l]);
            metrics_value(m, kinds[k].name, labels, values[k]);
        }
    }
}

static void add_hits(struct metrics *m, const struct evaluation *model) {
    static const char *const spaces[] = {"raw", "live", "live-decoded", "shadow", "shadow-decoded"};
    char labels[48];
    metrics_family(m, "coldstream_encoder_hit_ratio", "gauge",
                   "Hit@30 of later co-clicks, by the space they are looked for in.");
    for (int s = 0; s < 5; s++) {
        snprintf(labels, sizeof labels, "space=\"%s\"", spaces[s]);
        metrics_value(m, "coldstream_encoder_hit_ratio", labels, model->hits[s]);
    }
}

void metrics_model(struct metrics *m, const struct show *show) {
    const struct evaluation *model = &show->picture.model;
    const struct survey_figures *survey = show->survey;
    bool there = show->picture.number > 0;
    metrics_gauge(m, "coldstream_items", "Items known.", (double)model->items);
    metrics_gauge(m, "coldstream_items_with_sid", "Of these, those with a semantic ID.",
                  survey ? (double)survey->items : (double)NAN);
    add_scores(m, &show->picture);
    metrics_gauge(m, "coldstream_gauc", "AUC within each user, averaged by their events.",
                  survey ? survey->gauc : (double)NAN);
    metrics_gauge(m, "coldstream_sid_churn_per_day",
                  "Semantic IDs that changed, per item and day of event time, outside releases.",
                  there ? model->sid_churn_per_day : (double)NAN);
    metrics_gauge(m, "coldstream_sid_unique_ratio",
                  "Share of the items that have a semantic ID of their own.",
                  survey ? survey->unique : (double)NAN);
    metrics_gauge(
        m, "coldstream_quantisation_error_ratio",
        "Mean squared distance of items from what their codes say, over their squared length.",
        survey ? survey->quantisation_error : (double)NAN);
    metrics_gauge(m, "coldstream_item_code_cosine",
                  "Mean cosine of items and what their codes say.",
                  survey ? survey->cosine : (double)NAN);
    add_levels(m, show);
    metrics_gauge(m, "coldstream_generation", "Of encoder and codebooks.",
                  (double)model->generation);
    metrics_gauge(m, "coldstream_generation_previous", "One whose rows are still there; 0: none.",
                  (double)model->previous_generation);
    metrics_counter(m, "coldstream_generation_releases_total", "Generations released, ever.",
                    model->releases);
    metrics_gauge(m, "coldstream_codebook_version", "Published last.",
                  (double)model->codebook_version);
    metrics_counter(m, "coldstream_codebook_resets_total",
                    "Codes that starved and were set anew, ever.", model->codebook_resets);
    add_hits(m, model);
}
