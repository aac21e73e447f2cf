#include "cli/inspect.h"
#include "cli/answer.h"
#include "cli/output_log.h"
#include "cli/utc.h"
#include "ops/outside.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NEAREST 5
#define LISTED_MAX 32
#define MANIFEST_BYTES ((size_t)64 << 20)

static json_t *time_of(int64_t ms) {
    char text[UTC_BYTES];
    return ms < 0 ? json_null() : json_string(utc_text(ms, text));
}

/* ---- items ---- */

static json_t *items_json(const struct model *model, const uint32_t *rows, uint32_t count) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        struct item_facts facts;
        char text[SID_TEXT_BYTES];
        model_item_facts(model, rows[i], &facts);
        json_t *one = json_object();
        json_object_set_new(one, "sid", json_string(sid_text(facts.codes, text)));
        json_object_set_new(one, "shown", json_count(facts.exposures));
        json_object_set_new(one, "clicks", json_count(facts.clicks));
        json_object_set_new(one, "item", outside_text(facts.id));
        json_object_set_new(one, "title", outside_text(facts.title));
        json_array_append_new(list, one);
    }
    return list;
}

struct history {
    struct bytes id;
    json_t *list;
};

static const char *const reason_names[] = {"NEW", "CONTENT", "DRIFT", "GENERATION"};

static enum status take_sid(void *self, const struct row_output *row, struct error *err) {
    (void)err;
    struct history *history = self;
    if (strcmp(row->table, "sid") != 0 || !bytes_equal(row->key, history->id))
        return OK;
    json_t *one = json_object();
    char text[SID_TEXT_BYTES];
    json_object_set_new(one, "epoch", json_count(row->epoch));
    if (row->value.data == NULL) {
        json_object_set_new(one, "sid", json_null());
        json_object_set_new(one, "reason", json_string("DELISTED"));
        json_object_set_new(one, "time", json_null());
    } else {
        struct sid_row sid;
        memcpy(&sid, row->value.data, sizeof sid);
        json_object_set_new(one, "sid", json_string(sid_text(sid.codes, text)));
        json_object_set_new(one, "reason", json_string(reason_names[sid.reason & 3]));
        json_object_set_new(one, "time", time_of(sid.event_time_ms));
    }
    json_array_append_new(history->list, one);
    return OK;
}

/* Every row of the outputs, epoch after epoch. */
static enum status each_row(struct session *session, output_row take, void *self,
                            struct error *err) {
    struct recording_writer_config written;
    struct output_log *log;
    struct arena scratch;
    bool got = true;
    session_writer_config(session, &written);
    TRY(arena_reserve(&scratch, "manifest", MANIFEST_BYTES, err));
    enum status status =
        output_log_open(&log, session->to, &written, session->codec, &session->arena, err);
    while (status == OK && got) {
        struct manifest manifest;
        arena_reset(&scratch);
        status = output_log_manifest(log, &scratch, &manifest, &got, err);
        if (status == OK && got)
            status = output_log_rows(log, &manifest, take, self, err);
    }
    output_log_close(log);
    arena_release(&scratch);
    return status;
}

static void facts_json(const struct item_facts *facts, json_t *out) {
    char text[SID_TEXT_BYTES];
    json_object_set_new(out, "item", outside_text(facts->id));
    json_object_set_new(out, "title", outside_text(facts->title));
    json_object_set_new(out, "listed", time_of(facts->listed_ms));
    json_object_set_new(out, "shown", json_count(facts->exposures));
    json_object_set_new(out, "clicks", json_count(facts->clicks));
    json_object_set_new(out, "first_shown", time_of(facts->first_shown_ms));
    json_object_set_new(out, "sid",
                        facts->has_sid ? json_string(sid_text(facts->codes, text)) : json_null());
    if (!facts->has_sid)
        return;
    json_object_set_new(out, "generation", json_count(facts->generation));
    json_object_set_new(out, "codebook_version", json_count(facts->codebook_version));
    json_object_set_new(out, "quantisation_error", json_number((double)facts->quantisation_error));
    json_object_set_new(out, "gate", json_number((double)facts->gate));
}

/* Of an item with a SID. */
static void nearest_json(const struct model *model, uint32_t row, json_t *out) {
    uint32_t near[NEAREST], count = model_nearest_by_sid(model, row, near, NEAREST);
    json_object_set_new(out, "nearest_by_sid", items_json(model, near, count));
    count = model_nearest(model, row, near, NEAREST);
    json_object_set_new(out, "nearest_by_embedding", items_json(model, near, count));
}

enum status inspect_item(struct session *session, const char *id, json_t **answer,
                         struct error *err) {
    struct model *model = stage_model(session->stage);
    struct history history = {bytes_text(id), json_array()};
    uint32_t row = model_find_item(model, history.id);
    struct item_facts facts;
    *answer = json_object();
    TRY(each_row(session, take_sid, &history, err));
    if (row == NO_ROW && json_array_size(history.list) == 0)
        return FAIL(err, FATAL, EX_DATAERR, "%s: there is no item `%s'", session->to, id);
    if (row != NO_ROW) {
        model_item_facts(model, row, &facts);
        facts_json(&facts, *answer);
    } else
        json_object_set_new(*answer, "item", outside_text(history.id));
    json_object_set_new(*answer, "history", history.list);
    if (row != NO_ROW && facts.has_sid)
        nearest_json(model, row, *answer);
    return OK;
}

json_t *inspect_live_item(const struct model *model, const char *id) {
    uint32_t row = model_find_item(model, bytes_text(id));
    struct item_facts facts;
    if (row == NO_ROW)
        return NULL;
    json_t *answer = json_object();
    model_item_facts(model, row, &facts);
    facts_json(&facts, answer);
    if (facts.has_sid)
        nearest_json(model, row, answer);
    return answer;
}

enum status inspect_sid(struct session *session, const char *sid, json_t **answer,
                        struct error *err) {
    const struct model *model = stage_model(session->stage);
    unsigned codes[SID_CODES] = {0};
    uint16_t wanted[SID_CODES];
    int used = 0;
    *answer = json_object();
    int depth = sscanf(sid, "%u%n-%u%n-%u%n.%u%n-%u%n", &codes[0], &used, &codes[1], &used,
                       &codes[2], &used, &codes[3], &used, &codes[4], &used);
    bool fits = depth > 0 && sid[used] == '\0';
    for (int l = 0; fits && l < SID_CODES; l++) {
        fits = codes[l] <= UINT16_MAX;
        wanted[l] = (uint16_t)codes[l];
    }
    if (!fits)
        return FAIL(err, FATAL, EX_USAGE,
                    "`%.60s' is no semantic ID, nor the beginning of one: such as 49, 49-21, "
                    "49-21-38 or 49-21-38.13-18",
                    sid);
    uint32_t rows[LISTED_MAX];
    uint64_t found;
    uint32_t count = model_with_prefix(model, wanted, (uint32_t)depth, rows, LISTED_MAX, &found);
    json_object_set_new(*answer, "sid", json_string(sid));
    json_object_set_new(*answer, "items", json_count(found));
    json_object_set_new(*answer, "most_shown", items_json(model, rows, count));
    return OK;
}

/* ---- epochs ---- */

static json_t *inputs_json(const struct manifest *m) {
    json_t *list = json_array();
    for (uint32_t r = 0; r < m->range_count; r++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:I, s:i}", "topic",
                                              topic_name(m->ranges[r].topic), "partition",
                                              m->ranges[r].partition, "first_offset",
                                              (json_int_t)m->ranges[r].first_offset, "last_offset",
                                              (json_int_t)m->ranges[r].last_offset, "count",
                                              (int)m->ranges[r].count));
    return list;
}

static json_t *ends_json(const struct manifest *m) {
    json_t *list = json_array();
    for (uint32_t e = 0; e < m->end_count; e++)
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:I}", "topic", topic_name(m->ends[e].topic), "partition",
                            m->ends[e].partition, "end_offset", (json_int_t)m->ends[e].end_offset));
    return list;
}

static json_t *digests_json(const struct manifest *m) {
    json_t *list = json_array();
    char hex[DIGEST_HEX_BYTES];
    for (uint32_t t = 0; t < m->table_count; t++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "table", m->tables[t].name, "rows",
                                              (json_int_t)m->tables[t].rows, "digest",
                                              digest_hex(m->tables[t].digest, hex)));
    return list;
}

static json_t *manifest_json(const struct manifest *m) {
    char hex[DIGEST_HEX_BYTES];
    const struct epoch_counts *c = &m->counts;
    json_t *batches = json_array(), *out = json_object();
    for (uint32_t b = 0; b < m->batch_count; b++)
        json_array_append_new(batches, json_integer(m->batches[b]));
    json_object_set_new(out, "epoch", json_count(m->epoch));
    json_object_set_new(out, "kind", json_string(m->kind == EPOCH_CLICK ? "click" : "content"));
    json_object_set_new(out, "time", time_of(m->timestamp_ms));
    json_object_set_new(out, "watermark", time_of(m->watermark_ms));
    json_object_set_new(out, "generation", json_count(m->generation));
    json_object_set_new(out, "codebook_version", json_count(m->codebook_version));
    json_object_set_new(out, "events", json_count(c->events));
    json_object_set_new(out, "applied", json_count(c->applied));
    json_object_set_new(out, "parked", json_integer((json_int_t)c->parked));
    json_object_set_new(out, "dead_letters", json_count(c->dead_letters));
    json_object_set_new(out, "labelled", json_count(c->labelled));
    json_object_set_new(out, "rows", json_count(c->rows));
    json_object_set_new(out, "batches", batches);
    json_object_set_new(out, "digest", json_string(digest_hex(m->state, hex)));
    json_object_set_new(out, "build", json_string(m->build));
    json_object_set_new(out, "blas_core", json_string(m->blas_core));
    json_object_set_new(out, "inputs", inputs_json(m));
    json_object_set_new(out, "ends", ends_json(m));
    json_object_set_new(out, "tables", digests_json(m));
    return out;
}

enum status inspect_epoch(struct session *session, uint64_t epoch, json_t **answer,
                          struct error *err) {
    static const struct recording_writer_config epochs_only = {.partitions[TOPIC_EPOCHS] = 1};
    struct output_log *log;
    struct arena scratch;
    struct manifest manifest = {0};
    bool got = true;
    *answer = NULL;
    TRY(arena_reserve(&scratch, "manifest", MANIFEST_BYTES, err));
    enum status status =
        output_log_open(&log, session->to, &epochs_only, session->codec, &session->arena, err);
    while (status == OK && got && manifest.epoch != epoch) {
        arena_reset(&scratch);
        status = output_log_manifest(log, &scratch, &manifest, &got, err);
    }
    if (status == OK && got)
        *answer = manifest_json(&manifest);
    else if (status == OK)
        status = FAIL(err, FATAL, EX_DATAERR,
                      "%s: there is no epoch %" PRIu64 "; the last one is %" PRIu64, session->to,
                      epoch, manifest.epoch);
    output_log_close(log);
    arena_release(&scratch);
    return status;
}

/* ---- tables ---- */

static json_t *table_json(const struct table *table) {
    static const char *const outputs[] = {"ranker-deltas", "changelog", "semantic-ids",
                                          "codebooks"};
    const struct table_spec *spec = table_spec(table);
    char hex[DIGEST_HEX_BYTES];
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "table", spec->name, "topic",
                     outputs[spec->output], "rows", (json_int_t)table_rows(table), "rows_max",
                     (json_int_t)spec->rows_max, "value_bytes", (json_int_t)spec->value_bytes,
                     "memory_bytes", (json_int_t)table_memory(table), "digest",
                     digest_hex(table_digest(table), hex));
}

enum status inspect_table(struct session *session, const char *name, json_t **answer,
                          struct error *err) {
    const struct tables *set = stage_tables(session->stage);
    json_t *list = json_array();
    *answer = json_pack("{s:o}", "tables", list);
    for (uint32_t t = 0; t < tables_count(set); t++) {
        const struct table *table = tables_at(set, t);
        if (name == NULL || strcmp(table_spec(table)->name, name) == 0)
            json_array_append_new(list, table_json(table));
    }
    if (json_array_size(list) > 0)
        return OK;
    return FAIL(err, FATAL, EX_DATAERR,
                "%s: there is no table `%s'; `coldstream inspect %s table' lists all", session->to,
                name, session->to);
}
