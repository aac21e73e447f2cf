#include "cli/comparison.h"
#include "config/properties.h"
#include <math.h>
#include <string.h>

static const char *const metric_names[PAIRED_METRICS] = {"auc", "auc_cold", "gauc"};

/* The exact value, where the state has it: intervals come from coarser bins per user. */
static double exact(const struct evaluation *e, int metric) {
    return metric == PAIRED_AUC ? e->auc : metric == PAIRED_AUC_COLD ? e->auc_cold : e->gauc;
}

static uint32_t plain_figures(const struct evaluation *a, const struct evaluation *b,
                              struct figure *out) {
    static const char *const exposures[EXPOSURE_BUCKETS] = {
        "auc_exposures_0",     "auc_exposures_1-4",     "auc_exposures_5-19",
        "auc_exposures_20-99", "auc_exposures_100-499", "auc_exposures_500+"};
    static const char *const levels[SID_CODES] = {"utilisation_rq_1", "utilisation_rq_2",
                                                  "utilisation_rq_3", "utilisation_opq_1",
                                                  "utilisation_opq_2"};
    static const char *const hits[] = {"hit30_raw", "hit30_z", "hit30_z_decoded"};
    uint32_t n = 0;
    out[n++] = (struct figure){.name = "ne", .a = a->ne, .b = b->ne};
    out[n++] = (struct figure){.name = "calibration", .a = a->calibration, .b = b->calibration};
    for (int k = 0; k < EXPOSURE_BUCKETS; k++)
        out[n++] = (struct figure){
            .name = exposures[k], .a = a->auc_by_exposures[k], .b = b->auc_by_exposures[k]};
    out[n++] = (struct figure){.name = "sid_unique", .a = a->sid_unique, .b = b->sid_unique};
    out[n++] =
        (struct figure){.name = "sid_churn", .a = a->sid_churn_per_day, .b = b->sid_churn_per_day};
    out[n++] = (struct figure){
        .name = "quantisation_error", .a = a->quantisation_error, .b = b->quantisation_error};
    for (size_t h = 0; h < sizeof hits / sizeof *hits; h++)
        out[n++] = (struct figure){.name = hits[h], .a = a->hits[h], .b = b->hits[h]};
    for (int l = 0; l < SID_CODES; l++)
        out[n++] =
            (struct figure){.name = levels[l], .a = a->utilisation[l], .b = b->utilisation[l]};
    return n;
}

uint32_t comparison_figures(const struct evaluation *a, const struct evaluation *b,
                            const struct paired_result *paired, struct figure out[FIGURES_MAX]) {
    if (b == NULL)
        b = a;
    for (int m = 0; m < PAIRED_METRICS; m++) {
        out[m] = (struct figure){.name = metric_names[m], .a = exact(a, m), .b = exact(b, m)};
        out[m].has_interval = paired != NULL;
        if (paired != NULL)
            out[m].interval = paired->metrics[m];
    }
    return PAIRED_METRICS + plain_figures(a, b, out + PAIRED_METRICS);
}

bool comparison_sure(const struct figure *figure) {
    return figure->has_interval && (figure->interval.low > 0 || figure->interval.high < 0);
}

void comparison_settings(const struct settings *a, const struct settings *b, show_setting *show,
                         void *self) {
    char a_text[PROPERTY_TEXT_BYTES], b_text[PROPERTY_TEXT_BYTES];
    for (uint32_t i = 0; i < property_count; i++) {
        property_format(&properties[i], a, a_text);
        property_format(&properties[i], b, b_text);
        if (strcmp(a_text, b_text) != 0)
            show(self, properties[i].path, a_text, b_text);
    }
}
