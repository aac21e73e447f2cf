/* /status.json: docs/HTTP.md says what each field means. */
#include "ops/outside.h"
#include "ops/status_private.h"
#include "ops/verdict.h"
#include "ops/watch_private.h"
#include <math.h>

json_t *show_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}
json_t *show_count(uint64_t n) {
    return json_integer((json_int_t)n);
}
json_t *show_time(int64_t ms) {
    return ms >= 0 ? json_integer(ms) : json_null();
}
json_t *show_rate(const struct picture *p, uint64_t now, uint64_t then) {
    double s = (double)(p->now.at_ms - p->then.at_ms) / 1e3;
    return s >= 1 ? json_real((double)(now - then) / s) : json_null();
}

static json_t *restore_json(const struct watch_status *status) {
    if (!status->restoring)
        return json_null();
    double all = (double)status->restore_total;
    return json_pack("{s:f, s:I, s:I}", "share", all > 0 ? (double)status->restored / all : 1.0,
                     "records", (json_int_t)status->restored, "records_total",
                     (json_int_t)status->restore_total);
}

static json_t *epoch_json(const struct picture *p) {
    const struct counters *now = &p->now, *then = &p->then;
    json_t *phases = json_object();
    for (int i = 0; i < PHASES; i++)
        json_object_set_new(phases, phase_names[i],
                            show_number(1e3 * histogram_mean(&now->phases[i], &then->phases[i])));
    bool any = p->epoch > 0;
    json_t *out = json_object();
    json_object_set_new(out, "number", any ? show_count(p->epoch) : json_null());
    json_object_set_new(
        out, "kind", any ? json_string(p->kind == EPOCH_CLICK ? "click" : "content") : json_null());
    json_object_set_new(out, "committed_ms", show_time(p->number > 0 ? p->committed_ms : -1));
    json_object_set_new(
        out, "epochs_per_s",
        show_rate(p, now->epochs[0] + now->epochs[1], then->epochs[0] + then->epochs[1]));
    json_object_set_new(out, "aborted", show_count(now->aborted));
    json_object_set_new(out, "phases_ms", phases);
    return out;
}

static json_t *totals_json(const struct picture *p) {
    const struct stage_totals *t = &p->totals;
    json_t *out = json_object();
    json_object_set_new(out, "events", show_count(t->events));
    json_object_set_new(out, "applied", show_count(t->applied));
    json_object_set_new(out, "parked", show_count(t->parked));
    json_object_set_new(out, "dead_letters", show_count(t->dead_letters));
    json_object_set_new(out, "labelled", show_count(t->labelled));
    json_object_set_new(out, "items", show_count(p->model.items));
    json_object_set_new(out, "onboarded", show_count(p->model.onboarded));
    return out;
}

static json_t *rates_json(const struct picture *p) {
    const struct counters *now = &p->now, *then = &p->then;
    json_t *out = json_object();
    json_object_set_new(out, "events_per_s", show_rate(p, now->events, then->events));
    json_object_set_new(out, "labelled_per_s", show_rate(p, now->labelled, then->labelled));
    json_object_set_new(out, "listings_per_s",
                        show_rate(p, histogram_count(&now->listing_latency),
                                  histogram_count(&then->listing_latency)));
    return out;
}

static json_t *latency_json(const struct picture *p) {
    const struct histogram *now = &p->now.listing_latency, *then = &p->then.listing_latency;
    uint64_t count = histogram_count(now) - histogram_count(then);
    double max_ms = count > 0 ? 1e3 * p->latency_max_s : (double)NAN;
    json_t *out = json_object();
    json_object_set_new(out, "count", show_count(count));
    json_object_set_new(out, "p50",
                        show_number(fmin(max_ms, 1e3 * histogram_quantile(now, then, 0.5))));
    json_object_set_new(out, "p99",
                        show_number(fmin(max_ms, 1e3 * histogram_quantile(now, then, 0.99))));
    json_object_set_new(out, "max", show_number(max_ms));
    return out;
}

json_t *show_status(const struct show *show) {
    const struct picture *p = &show->picture;
    char reason[REASON_BYTES];
    bool ready = show_ready(show, reason);
    json_t *out = json_object();
    json_object_set_new(out, "version", json_string(show->facts.version));
    json_object_set_new(out, "now_ms", show_time(watch_wall_ms()));
    json_object_set_new(out, "started_ms", show_time(show->facts.started_ms));
    json_object_set_new(out, "picture_ms", show_time(p->number > 0 ? p->taken_ms : -1));
    json_object_set_new(out, "application", json_string(show->facts.application));
    json_object_set_new(out, "synthetic", json_false());
    json_object_set_new(out, "state", json_string(watch_state_names[show->status.state]));
    json_object_set_new(out, "ready", json_boolean(ready));
    json_object_set_new(out, "reason", outside_text(bytes_text(reason)));
    json_object_set_new(out, "restore", restore_json(&show->status));
    json_object_set_new(out, "epoch", epoch_json(p));
    json_object_set_new(out, "inputs", show_inputs(show));
    json_object_set_new(out, "outputs", show_outputs(show));
    json_object_set_new(out, "totals", totals_json(p));
    json_object_set_new(out, "rates", rates_json(p));
    json_object_set_new(out, "listing_latency_ms", latency_json(p));
    json_object_set_new(out, "quality", show_quality(show));
    json_object_set_new(out, "codebooks", show_codebooks(show));
    json_object_set_new(out, "listings", show_listings(show));
    json_object_set_new(out, "dead_letters", show_dead_letters(show));
    json_object_set_new(out, "memory", show_memory(show));
    json_object_set_new(out, "verdict", verdict_of(out));
    return out;
}
