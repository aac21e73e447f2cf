#include "cli/summary.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/answer.h"
#include "cli/screen_text.h"
#include "math/blas_core.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* getrusage()'s maximum begins with that of whoever started the program; VmHWM is this program's own. */
static uint64_t peak_rss_bytes(void) {
    struct rusage usage;
    char line[128];
    unsigned long long kilobytes;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %llu", &kilobytes) == 1) {
            fclose(status);
            return kilobytes * 1024;
        }
    if (status != NULL)
        fclose(status);
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

void summary_collect(const struct session *session, double seconds, uint64_t events_before,
                     struct summary *out) {
    memset(out, 0, sizeof *out);
    stage_totals(session->stage, &out->totals);
    model_evaluate(stage_model(session->stage), &out->evaluation);
    out->tables = stage_tables(session->stage);
    out->digest = tables_digest(out->tables);
    out->seconds = seconds;
    out->run_events = out->totals.events - events_before;
    out->peak_rss_bytes = peak_rss_bytes();
    out->synthetic = session->info.synthetic;
    out->variant = ranker_variant_names[session->settings.ranker.variant];
    out->blas_core = blas_core_running();
}

static double events_per_s(const struct summary *s) {
    return s->seconds > 0 ? (double)s->run_events / s->seconds : 0.0;
}

static json_t *tables_json(const struct tables *set) {
    json_t *out = json_object();
    for (uint32_t i = 0; i < tables_count(set); i++) {
        const struct table *table = tables_at(set, i);
        json_object_set_new(out, table_spec(table)->name,
                            json_pack("{s:I,s:I}", "rows", (json_int_t)table_rows(table), "bytes",
                                      (json_int_t)table_memory(table)));
    }
    return out;
}

static json_t *dead_letters_json(const struct stage_totals *totals) {
    json_t *out = json_object();
    for (int r = 0; r < DEAD_REASON_COUNT; r++)
        if (totals->dead_by_reason[r])
            json_object_set_new(out, dead_reason_name((enum dead_reason)r),
                                json_count(totals->dead_by_reason[r]));
    return out;
}

static void counts_json(const struct summary *s, json_t *out) {
    const struct stage_totals *t = &s->totals;
    json_object_set_new(out, "events", json_count(t->events));
    json_object_set_new(out, "applied", json_count(t->applied));
    json_object_set_new(out, "parked", json_count(t->parked));
    json_object_set_new(out, "dead_letters", json_count(t->dead_letters));
    json_object_set_new(out, "dead_letters_by_reason", dead_letters_json(t));
    json_object_set_new(out, "redelivered", json_count(t->redelivered));
    json_object_set_new(out, "late", json_count(t->late));
    json_object_set_new(out, "labelled", json_count(t->labelled));
    json_object_set_new(out, "epochs", json_count(t->epochs));
}

/* i2i Hit@30 on pairs that no encoder had learned from. */
static json_t *hits_json(const struct evaluation *e) {
    static const char *const spaces[] = {"raw", "z", "z_decoded", "shadow", "shadow_decoded"};
    json_t *hits = json_object();
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++)
        json_object_set_new(hits, spaces[s], json_number(e->hits[s]));
    return hits;
}

static void evaluation_json(const struct evaluation *e, json_t *out) {
    json_t *by_exposures = json_object(), *gate = json_object(), *utilisation = json_array();
    for (int k = 0; k < EXPOSURE_BUCKETS; k++) {
        json_object_set_new(by_exposures, exposure_bucket_names[k],
                            json_number(e->auc_by_exposures[k]));
        json_object_set_new(gate, exposure_bucket_names[k], json_number(e->gate_by_exposures[k]));
    }
    for (int l = 0; l < SID_CODES; l++)
        json_array_append_new(utilisation, json_number(e->utilisation[l]));
    json_object_set_new(out, "items", json_count(e->items));
    json_object_set_new(out, "onboarded", json_count(e->onboarded));
    json_object_set_new(out, "auc", json_number(e->auc));
    json_object_set_new(out, "auc_cold", json_number(e->auc_cold));
    json_object_set_new(out, "auc_by_exposures", by_exposures);
    json_object_set_new(out, "gate_by_exposures", gate);
    json_object_set_new(out, "gauc", json_number(e->gauc));
    json_object_set_new(out, "ne", json_number(e->ne));
    json_object_set_new(out, "calibration", json_number(e->calibration));
    json_object_set_new(out, "sid_unique", json_number(e->sid_unique));
    json_object_set_new(out, "sid_churn", json_number(e->sid_churn_per_day));
    json_object_set_new(out, "utilisation", utilisation);
    json_object_set_new(out, "quantisation_error", json_number(e->quantisation_error));
    json_object_set_new(out, "hit30", hits_json(e));
    json_object_set_new(out, "encoder_steps", json_count(e->encoder_steps));
    json_object_set_new(out, "generation", json_count(e->generation));
    json_object_set_new(out, "releases", json_count(e->releases));
    json_object_set_new(out, "codebook_version", json_count(e->codebook_version));
    json_object_set_new(out, "codebook_resets", json_count(e->codebook_resets));
}

static json_t *summary_object(const struct summary *s) {
    char hex[DIGEST_HEX_BYTES];
    json_t *object = json_object();
    json_object_set_new(object, "variant", json_string(s->variant));
    json_object_set_new(object, "synthetic", json_boolean(s->synthetic));
    counts_json(s, object);
    evaluation_json(&s->evaluation, object);
    json_object_set_new(object, "digest", json_string(digest_hex(s->digest, hex)));
    json_object_set_new(object, "blas_core", json_string(s->blas_core));
    json_object_set_new(object, "seconds", json_number(s->seconds));
    json_object_set_new(object, "events_per_s", json_number(events_per_s(s)));
    json_object_set_new(object, "peak_rss_bytes", json_count(s->peak_rss_bytes));
    json_object_set_new(object, "tables", tables_json(s->tables));
    return object;
}

void summary_json(const struct summary *s, FILE *out) {
    json_t *object = summary_object(s);
    json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(object);
}

#define KEPT_FILE "%s/replay.json"

enum status summary_keep(const struct summary *s, const char *recording, const char *dir,
                         struct error *err) {
    char path[FILE_PATH_BYTES];
    if (snprintf(path, sizeof path, KEPT_FILE, dir) >= (int)sizeof path)
        return FAIL(err, FATAL, EX_USAGE, "%s: the path is too long", dir);
    json_t *object = summary_object(s);
    json_object_set_new(object, "recording", json_string(recording));
    char *text = json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    enum status status = text != NULL ? file_save(path, bytes_text(text), err)
                                      : FAIL(err, FATAL, EX_OSERR, "no memory for the summary");
    free(text);
    json_decref(object);
    return status;
}

json_t *summary_kept(const char *dir) {
    char path[FILE_PATH_BYTES];
    if (snprintf(path, sizeof path, KEPT_FILE, dir) >= (int)sizeof path)
        return NULL;
    return json_load_file(path, 0, NULL);
}

static const char *rate(double x, char text[16]) {
    if (isnan(x))
        return "-";
    snprintf(text, 16, "%.4f", x);
    return text;
}

static void text_dead_letters(const struct stage_totals *totals, FILE *out) {
    for (int r = 0; r < DEAD_REASON_COUNT; r++)
        if (totals->dead_by_reason[r])
            fprintf(out, "    %-14s %" PRIu64 "\n", dead_reason_name((enum dead_reason)r),
                    totals->dead_by_reason[r]);
}

static void text_memory(const struct summary *s, FILE *out) {
    const struct table *largest = tables_at(s->tables, 0);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tables_count(s->tables); i++) {
        const struct table *table = tables_at(s->tables, i);
        bytes += table_memory(table);
        if (table_memory(table) > table_memory(largest))
            largest = table;
    }
    fprintf(out,
            "memory        %.0f MB at most; %.1f MB of it %u tables, the largest %s with %.1f MB\n",
            (double)s->peak_rss_bytes / 1e6, (double)bytes / 1e6, tables_count(s->tables),
            table_spec(largest)->name, (double)table_memory(largest) / 1e6);
}

void summary_warn(const struct summary *s) {
    const struct stage_totals *t = &s->totals;
    int main_reason = 0;
    for (int r = 1; r < DEAD_REASON_COUNT; r++)
        if (t->dead_by_reason[r] > t->dead_by_reason[main_reason])
            main_reason = r;
    if (2 * t->dead_letters > t->events)
        log_warn("replay.dead_letters", LOG_UINT("dead_letters", t->dead_letters),
                 LOG_UINT("of", t->events),
                 LOG_TEXT("most", dead_reason_name((enum dead_reason)main_reason)),
                 LOG_TEXT("text", "most of the input could not be used; the topic dead-letter has "
                                  "each record with its reason"));
}

void summary_text(const struct summary *s, FILE *out) {
    const struct stage_totals *t = &s->totals;
    const struct evaluation *e = &s->evaluation;
    char hex[DIGEST_HEX_BYTES], text[16];
    fprintf(out,
            "%sevents        %" PRIu64 " = %" PRIu64 " applied + %" PRIu64 " parked + %" PRIu64
            " dead letters\n",
            s->synthetic ? "synthetic data: a generated marketplace, not real behaviour\n" : "",
            t->events, t->applied, t->parked, t->dead_letters);
    text_dead_letters(t, out);
    fprintf(out, "labelled      %" PRIu64 "   in %" PRIu64 " epochs\n", t->labelled, t->epochs);
    fprintf(out,
            "items         %" PRIu64 ", %" PRIu64
            " with a SID, %.1f %% of them with one of their own\n",
            e->items, e->onboarded, isnan(e->sid_unique) ? 0.0 : 100 * e->sid_unique);
    fprintf(out,
            "\nAUC of scores given before learning (variant %s)\n  exposures    events      AUC\n",
            s->variant);
    for (int k = 0; k < EXPOSURE_BUCKETS; k++)
        fprintf(out, "  %-9s %9" PRIu64 "   %6s\n", exposure_bucket_names[k],
                e->events_by_exposures[k], rate(e->auc_by_exposures[k], text));
    fprintf(out, "  cold <100              %6s\n", rate(e->auc_cold, text));
    fprintf(out, "  all                    %6s", rate(e->auc, text));
    fprintf(out, "   GAUC %s", rate(e->gauc, text));
    fprintf(out, "   NE %s\n", rate(e->ne, text));
    fprintf(out, "\nthroughput    %.0f events/s   (%.1f s, %s kernels)\n", events_per_s(s),
            s->seconds, s->blas_core);
    text_memory(s, out);
    fprintf(out, "digest        %s\n", digest_hex(s->digest, hex));
}

/* Titles come from outside: control characters could steer a terminal. */
#define TITLE_COLUMNS 100

static void print_item(const struct model *model, uint32_t row, const char *indent, FILE *out) {
    struct item_facts facts;
    char text[SID_TEXT_BYTES];
    model_item_facts(model, row, &facts);
    fprintf(out, "%s%s  ", indent, sid_text(facts.codes, text));
    screen_bytes(facts.title.len ? facts.title : facts.id, TITLE_COLUMNS, out);
    fputc('\n', out);
}

void summary_listings(const struct session *session, uint32_t count, FILE *out) {
    struct model *model = stage_model(session->stage);
    uint32_t rows[16], near[3];
    if (count > 16)
        count = 16;
    count = model_last_listed(model, rows, count);
    screen_text_start();
    if (count > 0)
        fprintf(out, "\nlast listings, their SIDs, and the items nearest to them\n");
    for (uint32_t i = 0; i < count; i++) {
        print_item(model, rows[i], "  ", out);
        uint32_t found = model_nearest(model, rows[i], near, 3);
        for (uint32_t n = 0; n < found; n++)
            print_item(model, near[n], "      ", out);
    }
}
