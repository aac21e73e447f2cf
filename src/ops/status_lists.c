/* The parts of /status.json that are lists. */
#include "ops/outside.h"
#include "ops/status_private.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- data flow ---- */

json_t *show_inputs(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *list = json_array();
    for (uint32_t i = 0; i < p->input_count; i++) {
        const struct shown_input *input = &p->inputs[i];
        json_t *one = json_object();
        json_object_set_new(one, "topic", json_string(show->facts.topics[input->topic]));
        json_object_set_new(one, "role", json_string(topic_name(input->topic)));
        json_object_set_new(one, "partition", json_integer(input->partition));
        json_object_set_new(one, "position", show_time(input->position));
        json_object_set_new(one, "end", show_time(input->end));
        json_object_set_new(one, "lag", show_time(show_lag(show, input)));
        json_object_set_new(one, "lag_s", show_number(show_lag_s(show, input)));
        json_object_set_new(one, "records_per_s",
                            show_rate(p, p->now.read[i].records, p->then.read[i].records));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *show_outputs(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *list = json_array();
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
        json_t *one = json_object();
        json_object_set_new(one, "topic", json_string(show->facts.topics[topic]));
        json_object_set_new(one, "role", json_string(topic_name(topic)));
        json_object_set_new(one, "records", show_count(p->now.written[topic].records));
        json_object_set_new(
            one, "records_per_s",
            show_rate(p, p->now.written[topic].records, p->then.written[topic].records));
        json_array_append_new(list, one);
    }
    return list;
}

/* ---- quality ---- */

static json_t *history_json(const struct picture *p) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < p->history_count; i++) {
        const struct quality_point *point = &p->history[i];
        json_t *one = json_object();
        json_object_set_new(one, "t_ms", show_time(point->t_ms));
        json_object_set_new(one, "events", show_count(point->all.events));
        json_object_set_new(one, "auc", show_number(point->all.auc));
        json_object_set_new(one, "auc_cold", show_number(point->cold.auc));
        json_object_set_new(one, "auc_warm", show_number(point->warm.auc));
        json_object_set_new(one, "ne", show_number(point->all.ne));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *show_quality(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *out = json_object(), *buckets = json_array();
    for (int k = 0; k < EXPOSURE_BUCKETS; k++) {
        const struct score_slice *slice = &p->whole.by_exposures[k];
        json_t *one = json_object();
        json_object_set_new(one, "exposures", json_string(exposure_bucket_names[k]));
        json_object_set_new(one, "events", show_count(slice->events));
        json_object_set_new(one, "auc", p->judged ? show_number(slice->auc) : json_null());
        json_object_set_new(one, "gate", p->judged ? show_number(slice->gate) : json_null());
        json_array_append_new(buckets, one);
    }
    bool judged = p->judged;
    json_object_set_new(out, "auc", judged ? show_number(p->whole.all.auc) : json_null());
    json_object_set_new(out, "auc_cold", judged ? show_number(p->whole.cold.auc) : json_null());
    json_object_set_new(out, "gauc", show->survey ? show_number(show->survey->gauc) : json_null());
    json_object_set_new(out, "ne", judged ? show_number(p->whole.all.ne) : json_null());
    json_object_set_new(out, "calibration",
                        judged ? show_number(p->whole.all.calibration) : json_null());
    json_object_set_new(out, "buckets", buckets);
    json_object_set_new(out, "history", history_json(p));
    return out;
}

/* ---- codebooks ---- */

static json_t *level_json(const struct show *show, uint32_t l) {
    static const char *const names[SID_CODES] = {"RQ 1", "RQ 2", "RQ 3", "OPQ 1", "OPQ 2"};
    const struct survey_level *level = &show->survey->levels[l];
    uint32_t codes = show->facts.books[l];
    json_t *occupancy = json_array(), *out = json_object();
    for (uint32_t c = 0; c < codes; c++)
        json_array_append_new(occupancy, json_integer(show->survey->occupancy[l][c]));
    json_object_set_new(out, "name", json_string(names[l]));
    json_object_set_new(out, "codes", json_integer(codes));
    json_object_set_new(out, "used", json_integer(level->used));
    json_object_set_new(out, "utilisation", show_number((double)level->used / codes));
    json_object_set_new(out, "perplexity", show_number(level->perplexity));
    json_object_set_new(out, "collisions", show_number(level->collisions));
    json_object_set_new(out, "occupancy", occupancy);
    return out;
}

json_t *show_codebooks(const struct show *show) {
    const struct evaluation *model = &show->picture.model;
    const struct survey_figures *survey = show->survey;
    json_t *levels = json_array(), *out = json_object();
    for (uint32_t l = 0; l < SID_CODES && survey != NULL; l++)
        json_array_append_new(levels, level_json(show, l));
    json_object_set_new(out, "generation", show_count(model->generation));
    json_object_set_new(out, "previous_generation", show_count(model->previous_generation));
    json_object_set_new(out, "version", show_count(model->codebook_version));
    json_object_set_new(out, "resets", show_count(model->codebook_resets));
    json_object_set_new(out, "releases", show_count(model->releases));
    json_object_set_new(out, "churn_per_day", show_number(model->sid_churn_per_day));
    json_object_set_new(out, "unique_share", survey ? show_number(survey->unique) : json_null());
    json_object_set_new(out, "quantisation_error",
                        survey ? show_number(survey->quantisation_error) : json_null());
    json_object_set_new(out, "item_code_cosine",
                        survey ? show_number(survey->cosine) : json_null());
    json_object_set_new(out, "levels", levels);
    return out;
}

/* ---- what came last ---- */

static json_t *text_json(const struct shown_text *text) {
    return outside_text(bytes_of(text->data, text->len));
}

json_t *show_listings(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *list = json_array();
    for (uint32_t i = 0; i < p->listing_count; i++) {
        const struct shown_listing *listing = &p->listings[i];
        json_t *one = json_object();
        json_object_set_new(one, "item", text_json(&listing->item));
        json_object_set_new(one, "title", text_json(&listing->title));
        json_object_set_new(one, "sid",
                            json_sprintf("%u-%u-%u.%u-%u", listing->codes[0], listing->codes[1],
                                         listing->codes[2], listing->codes[3], listing->codes[4]));
        json_object_set_new(one, "arrived_ms", show_time(listing->arrived_ms));
        json_object_set_new(one, "latency_ms", show_number(1e3 * listing->latency_s));
        json_object_set_new(one, "epoch", show_count(listing->epoch));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *show_dead_letters(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *reasons = json_object(), *list = json_array();
    for (int r = 0; r < DEAD_REASON_COUNT; r++)
        if (p->totals.dead_by_reason[r] > 0)
            json_object_set_new(reasons, dead_reason_name((enum dead_reason)r),
                                show_count(p->totals.dead_by_reason[r]));
    for (uint32_t i = 0; i < p->dead_count; i++) {
        const struct shown_dead *dead = &p->dead[i];
        json_t *one = json_object();
        json_object_set_new(one, "reason", json_string(dead->reason));
        json_object_set_new(one, "topic", json_string(show->facts.topics[dead->topic]));
        json_object_set_new(one, "partition", json_integer(dead->partition));
        json_object_set_new(one, "offset", show_time(dead->offset));
        json_object_set_new(one, "text", text_json(&dead->text));
        json_object_set_new(one, "time_ms", show_time(dead->time_ms));
        json_array_append_new(list, one);
    }
    return json_pack("{s:o, s:o}", "by_reason", reasons, "latest", list);
}

json_t *show_memory(const struct show *show) {
    const struct picture *p = &show->picture;
    json_t *list = json_array();
    for (uint32_t t = 0; t < p->table_count; t++) {
        const struct shown_table *table = &p->tables[t];
        json_t *one = json_object();
        json_object_set_new(one, "table", json_string(table->name));
        json_object_set_new(one, "rows", show_count(table->rows));
        json_object_set_new(one, "rows_max", show_count(table->rows_max));
        json_object_set_new(one, "bytes", show_count(table->bytes));
        json_array_append_new(list, one);
    }
    return json_pack("{s:I, s:o}", "rss_bytes", (json_int_t)show_memory_bytes(), "tables", list);
}
