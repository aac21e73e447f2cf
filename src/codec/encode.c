/* Typed values to records: the stage's outputs, and input events for import, generate and tests. */
#include "codec/private.h"

#include <stdio.h>

#include "base/poison.h"

/* ---- one schema's value ---- */

enum status encoder_create(struct encoder *encoder, enum schema_id schema, struct error *err) {
    const char *json = schema_json(schema);
    encoder->schema = schema;
    if (avro_schema_from_json_length(json, strlen(json), &encoder->parsed) != 0)
        return FAIL(err, FATAL, EX_SOFTWARE, "shipped schema %s: %.200s", schema_subject(schema),
                    avro_strerror());
    encoder->class = avro_generic_class_from_schema(encoder->parsed);
    if (encoder->class == NULL || avro_generic_value_new(encoder->class, &encoder->value) != 0)
        return FAIL(err, FATAL, EX_OSERR, "shipped schema %s: %.200s", schema_subject(schema),
                    avro_strerror());
    return OK;
}

void encoder_destroy(struct encoder *encoder) {
    if (encoder->value.self != NULL)
        avro_value_decref(&encoder->value);
    if (encoder->class != NULL)
        avro_value_iface_decref(encoder->class);
    if (encoder->parsed != NULL)
        avro_schema_decref(encoder->parsed);
    *encoder = (struct encoder){0};
}

static enum status frame(struct codec *codec, struct encoder *encoder, uint8_t *at, size_t max,
                         struct bytes *out, struct error *err) {
    at[0] = 0;
    put_be32(at + 1, (uint32_t)encoder->schema);
    avro_writer_memory_set_dest(codec->writer, (const char *)at + WIRE_HEAD_BYTES,
                                (int64_t)(max - WIRE_HEAD_BYTES));
    if (avro_value_write(codec->writer, &encoder->value) != 0)
        return FAIL(err, FATAL, EX_SOFTWARE, "%s: a record that takes more than %zu bytes: %.200s",
                    schema_subject(encoder->schema), max, avro_strerror());
    *out = bytes_of(at, WIRE_HEAD_BYTES + (size_t)avro_writer_tell(codec->writer));
    return OK;
}

enum status encode_key(struct codec *codec, struct encoder *encoder, struct bytes *out,
                       struct error *err) {
    return frame(codec, encoder, codec->key_out, KEY_BYTES_MAX, out, err);
}

enum status encode_value(struct codec *codec, struct encoder *encoder, struct bytes *out,
                         struct error *err) {
    return frame(codec, encoder, codec->value_out, codec->value_out_max, out, err);
}

/* ---- fields: a refusal is a wrong index or type, or a heap that is full: neither can be the
 * input's fault ---- */

void set_long(const avro_value_t *record, size_t field, int64_t value) {
    avro_value_t child = child_at(record, field);
    int refused = avro_value_set_long(&child, value);
    ASSERT(refused == 0);
}

void set_int(const avro_value_t *record, size_t field, int32_t value) {
    avro_value_t child = child_at(record, field);
    int refused = avro_value_set_int(&child, value);
    ASSERT(refused == 0);
}

void set_float(const avro_value_t *record, size_t field, float value) {
    avro_value_t child = child_at(record, field);
    int refused = avro_value_set_float(&child, value);
    ASSERT(refused == 0);
}

void set_symbol(const avro_value_t *record, size_t field, int symbol) {
    avro_value_t child = child_at(record, field);
    int refused = avro_value_set_enum(&child, symbol);
    ASSERT(refused == 0);
}

/* "give" with no free function: Avro C reads our bytes where they lie. It counts a NUL after a
 * text, and never reads it. */
void give_string(const avro_value_t *value, struct bytes text) {
    avro_wrapped_buffer_t buffer;
    int refused = avro_wrapped_buffer_new(&buffer, text.data != NULL ? text.data : (const void *)"",
                                          text.len + 1);
    if (refused == 0)
        refused = avro_value_give_string_len(value, &buffer);
    ASSERT(refused == 0);
}

void set_string(const avro_value_t *record, size_t field, struct bytes text) {
    avro_value_t child = child_at(record, field);
    give_string(&child, text);
}

void set_bytes(const avro_value_t *record, size_t field, struct bytes data) {
    avro_value_t child = child_at(record, field);
    avro_wrapped_buffer_t buffer;
    int refused = avro_wrapped_buffer_new(&buffer, data.data != NULL ? data.data : (const void *)"",
                                          data.len);
    if (refused == 0)
        refused = avro_value_give_bytes(&child, &buffer);
    ASSERT(refused == 0);
}

avro_value_t set_branch(const avro_value_t *record, size_t field, int branch) {
    avro_value_t child = child_at(record, field), chosen;
    int refused = avro_value_set_branch(&child, branch, &chosen);
    ASSERT(refused == 0);
    return chosen;
}

avro_value_t append_to(const avro_value_t *array) {
    avro_value_t child;
    int refused = avro_value_append(array, &child, NULL);
    ASSERT(refused == 0);
    return child;
}

void append_floats(const avro_value_t *array, const uint8_t *floats, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float number;
        memcpy(&number, floats + i * sizeof number, sizeof number);
        avro_value_t child = append_to(array);
        int refused = avro_value_set_float(&child, number);
        ASSERT(refused == 0);
    }
}

/* ---- rows ---- */

static enum status encode_row(struct codec *codec, const struct row_output *row, struct record *out,
                              struct error *err) {
    avro_value_t *key = &codec->encoders[SCHEMA_ROW_KEY].value;
    set_string(key, ROW_KEY_TABLE, bytes_text(row->table));
    set_bytes(key, ROW_KEY_KEY, row->key);
    TRY(encode_key(codec, &codec->encoders[SCHEMA_ROW_KEY], &out->key, err));
    if (row->value.data == NULL)
        return OK;
    avro_value_t *value = &codec->encoders[SCHEMA_ROW_VALUE].value;
    set_long(value, ROW_POSITION, row->position);
    set_long(value, ROW_VERSION, (int64_t)row->version);
    set_long(value, ROW_EPOCH, (int64_t)row->epoch);
    set_int(value, ROW_GENERATION, (int32_t)row->generation);
    set_bytes(value, ROW_VALUE, row->value);
    return encode_value(codec, &codec->encoders[SCHEMA_ROW_VALUE], &out->value, err);
}

static void append_codes(const avro_value_t *array, const uint16_t *codes) {
    for (int i = 0; i < SID_CODES; i++) {
        avro_value_t child = append_to(array);
        int refused = avro_value_set_int(&child, codes[i]);
        ASSERT(refused == 0);
    }
}

static enum status encode_sid(struct codec *codec, const struct row_output *row, struct record *out,
                              struct error *err) {
    out->key = row->key;
    if (row->value.data == NULL)
        return OK;
    struct sid_row sid;
    ASSERT(row->value.len == sizeof sid);
    memcpy(&sid, row->value.data, sizeof sid);
    avro_value_t *value = &codec->encoders[SCHEMA_SEMANTIC_IDS_VALUE].value;
    avro_value_reset(value); /* its arrays */
    set_string(value, SID_ITEM_ID, row->key);
    avro_value_t codes = child_at(value, SID_CODES_FIELD);
    append_codes(&codes, sid.codes);
    set_int(value, SID_GENERATION_FIELD, (int32_t)sid.generation);
    set_int(value, SID_CODEBOOK_VERSION, (int32_t)sid.codebook_version);
    set_long(value, SID_EPOCH, (int64_t)row->epoch);
    set_long(value, SID_ASSIGNED_EPOCH, (int64_t)sid.epoch);
    avro_value_t previous = set_branch(value, SID_PREVIOUS, sid.has_previous != 0);
    if (sid.has_previous)
        append_codes(&previous, sid.previous);
    set_symbol(value, SID_REASON, sid.reason);
    set_float(value, SID_ERROR, sid.quantisation_error);
    set_long(value, SID_EVENT_TIME, sid.event_time_ms);
    set_long(value, SID_POSITION, row->position);
    set_long(value, SID_VERSION, (int64_t)row->version);
    return encode_value(codec, &codec->encoders[SCHEMA_SEMANTIC_IDS_VALUE], &out->value, err);
}

static enum status encode_codebook(struct codec *codec, const struct row_output *row,
                                   struct record *out, struct error *err) {
    ASSERT(row->key.len == 8 && row->value.len % sizeof(float) == 0);
    uint64_t number = get_be64(row->key.data);
    avro_value_t *key = &codec->encoders[SCHEMA_CODEBOOKS_KEY].value;
    set_int(key, CODEBOOK_KEY_GENERATION, (int32_t)(number >> 40));
    set_int(key, CODEBOOK_KEY_LEVEL, (int32_t)(number >> 32 & 0xff));
    set_int(key, CODEBOOK_KEY_CODE, (int32_t)(uint32_t)number);
    TRY(encode_key(codec, &codec->encoders[SCHEMA_CODEBOOKS_KEY], &out->key, err));
    if (row->value.data == NULL)
        return OK;
    avro_value_t *value = &codec->encoders[SCHEMA_CODEBOOKS_VALUE].value;
    avro_value_reset(value);
    set_long(value, CODEBOOK_POSITION, row->position);
    set_long(value, CODEBOOK_VERSION, (int64_t)row->version);
    set_long(value, CODEBOOK_EPOCH, (int64_t)row->epoch);
    set_int(value, CODEBOOK_GENERATION, (int32_t)row->generation);
    avro_value_t vector = child_at(value, CODEBOOK_VECTOR);
    append_floats(&vector, row->value.data, row->value.len / sizeof(float));
    return encode_value(codec, &codec->encoders[SCHEMA_CODEBOOKS_VALUE], &out->value, err);
}

/* ---- dead letters ---- */

static void add_header(struct record *out, const char *key, struct bytes value) {
    out->headers[out->header_count++] = (struct header){bytes_text(key), value};
}

static void add_number(struct codec *codec, struct record *out, const char *key, int slot,
                       int64_t value) {
    char *text = codec->header_text[slot];
    snprintf(text, HEADER_TEXT_BYTES, "%lld", (long long)value);
    add_header(out, key, bytes_text(text));
}

/* The first `max` bytes; then a header has how many there were. */
static struct bytes cut(struct codec *codec, struct bytes raw, size_t max, const char *header,
                        int slot, struct record *out) {
    if (raw.len <= max)
        return raw;
    add_number(codec, out, header, slot, (int64_t)raw.len);
    return bytes_of(raw.data, max);
}

static void encode_dead(struct codec *codec, const struct dead_output *dead, struct record *out) {
    const struct record *record = dead->record;
    add_header(out, "topic", bytes_text(topic_name(record->topic)));
    add_number(codec, out, "partition", 0, record->partition);
    add_number(codec, out, "offset", 1, record->offset);
    add_number(codec, out, "timestamp", 2, record->timestamp_ms);
    add_header(out, "reason", bytes_text(dead_reason_name(dead->reason)));
    add_header(out, "error", bytes_text(dead->text != NULL ? dead->text : ""));
    out->key = cut(codec, record->key, DEAD_KEY_BYTES_MAX, "key_bytes", 3, out);
    out->value = cut(codec, record->value, DEAD_VALUE_BYTES_MAX, "value_bytes", 4, out);
}

enum status encode_output(void *self, const struct output *output, struct record *out,
                          struct error *err) {
    struct codec *codec = self;
    out->topic = output->topic;
    out->partition = -1;
    out->offset = -1;
    out->timestamp_ms = output->timestamp_ms;
    out->key = out->value = (struct bytes){0};
    out->header_count = 0;
    out->damage = NULL;
    switch (output->kind) {
    case OUTPUT_DEAD:
        encode_dead(codec, &output->as.dead, out);
        return OK;
    case OUTPUT_MANIFEST:
        return encode_manifest(codec, output->as.manifest, out, err);
    case OUTPUT_ROW:
        break;
    }
    if (output->topic == TOPIC_SEMANTIC_IDS)
        return encode_sid(codec, &output->as.row, out, err);
    if (output->topic == TOPIC_CODEBOOKS)
        return encode_codebook(codec, &output->as.row, out, err);
    ASSERT(output->topic == TOPIC_RANKER_DELTAS || output->topic == TOPIC_CHANGELOG);
    return encode_row(codec, &output->as.row, out, err);
}

/* ---- input events ---- */

static enum status encode_interaction(struct codec *codec, const struct interaction *event,
                                      struct record *out, struct error *err) {
    avro_value_t *value = &codec->encoders[SCHEMA_INTERACTIONS_VALUE].value;
    set_string(value, INTERACTION_USER_ID, event->user_id);
    set_string(value, INTERACTION_ITEM_ID, event->item_id);
    set_long(value, INTERACTION_EVENT_TIME, event->event_time_ms);
    set_symbol(value, INTERACTION_ACTION, (int)event->action);
    avro_value_t label = set_branch(value, INTERACTION_LABEL, event->has_label);
    if (event->has_label)
        avro_value_set_float(&label, event->label);
    avro_value_t request_id =
        set_branch(value, INTERACTION_REQUEST_ID, event->request_id.data != NULL);
    if (event->request_id.data != NULL)
        give_string(&request_id, event->request_id);
    avro_value_t position = set_branch(value, INTERACTION_POSITION, event->has_position);
    if (event->has_position)
        avro_value_set_int(&position, event->position);
    out->topic = TOPIC_INTERACTIONS;
    out->timestamp_ms = event->event_time_ms;
    out->key = event->user_id;
    return encode_value(codec, &codec->encoders[SCHEMA_INTERACTIONS_VALUE], &out->value, err);
}

static enum status encode_listing(struct codec *codec, const struct listing *event,
                                  const char *modality, struct record *out, struct error *err) {
    avro_value_t *value = &codec->encoders[SCHEMA_ITEM_CONTENT_VALUE].value;
    avro_value_reset(value);
    set_string(value, CONTENT_ITEM_ID, event->item_id);
    set_long(value, CONTENT_EVENT_TIME, event->event_time_ms);
    if (event->vector != NULL) {
        avro_value_t modalities = child_at(value, CONTENT_MODALITIES);
        avro_value_t one = append_to(&modalities);
        set_string(&one, MODALITY_NAME, bytes_text(modality));
        avro_value_t vector = child_at(&one, MODALITY_VECTOR);
        append_floats(&vector, (const uint8_t *)event->vector, event->dims);
    }
    avro_value_t text = set_branch(value, CONTENT_TEXT, event->text.data != NULL);
    if (event->text.data != NULL)
        give_string(&text, event->text);
    out->timestamp_ms = event->event_time_ms;
    out->key = event->item_id;
    return encode_value(codec, &codec->encoders[SCHEMA_ITEM_CONTENT_VALUE], &out->value, err);
}

enum status codec_encode_event(struct codec *codec, const struct event *event, const char *modality,
                               struct record *out, struct error *err) {
    *out = (struct record){.topic = TOPIC_ITEM_CONTENT, .offset = -1};
    switch (event->kind) {
    case EVENT_INTERACTION:
        return encode_interaction(codec, &event->as.interaction, out, err);
    case EVENT_LISTING:
        return encode_listing(codec, &event->as.listing, modality, out, err);
    case EVENT_DELISTING:
        out->key = event->as.delisted_item_id;
        return OK;
    }
    assert_failed("an event of a known kind", __FILE__, __LINE__);
}
