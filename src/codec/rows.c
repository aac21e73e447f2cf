/* The stage's own row records back to rows: for restore, verify and follow. */
#include "codec/private.h"
#include "codec/varint.h"

#include "base/poison.h"

static enum status full(struct codec *codec, struct error *err) {
    return FAIL(err, BAD_RECORD, EX_DATAERR, "a row that does not fit into the codec's %zu bytes",
                codec->scratch.reserved);
}

static enum status get_position(int64_t told, uint32_t *out, struct error *err) {
    if (told != (uint32_t)told)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a row at the position %lld", (long long)told);
    *out = (uint32_t)told;
    return OK;
}

/* ---- rows of tables ---- */

/* A copy, aligned for any value, and with a NUL after it. */
static bool copy_run(struct codec *codec, struct bytes *run) {
    uint8_t *copy = arena_alloc(&codec->scratch, run->len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, run->data, run->len);
    copy[run->len] = 0;
    run->data = copy;
    return true;
}

static bool plain_key(struct codec *codec, const struct record *record, struct row_output *out) {
    struct bytes body, table;
    if (!codec_plain_body(codec, SCHEMA_ROW_KEY, record->key, &body))
        return false;
    const uint8_t *at = body.data, *end = body.data + body.len;
    if (!varint_get_run(&at, end, &table) || !varint_get_run(&at, end, &out->key) || at != end ||
        !bytes_is_utf8(table) || !copy_run(codec, &table) || !copy_run(codec, &out->key))
        return false;
    out->table = (const char *)table.data;
    return true;
}

static bool plain_value(struct codec *codec, const struct record *record, struct row_output *out) {
    struct bytes body;
    int64_t position, version, epoch, generation;
    if (!codec_plain_body(codec, SCHEMA_ROW_VALUE, record->value, &body))
        return false;
    const uint8_t *at = body.data, *end = body.data + body.len;
    if (!varint_get(&at, end, &position) || !varint_get(&at, end, &version) ||
        !varint_get(&at, end, &epoch) || !varint_get(&at, end, &generation) ||
        position != (uint32_t)position || generation != (int32_t)generation ||
        !varint_get_run(&at, end, &out->value) || at != end || !copy_run(codec, &out->value))
        return false;
    out->position = (uint32_t)position;
    out->version = (uint64_t)version;
    out->epoch = (uint64_t)epoch;
    out->generation = (uint32_t)generation;
    return true;
}

/* Most records by far are rows in our own schema: read where they lie, at a fifth of what Avro C's values cost. Whatever is not plain is Avro C's to
 * decide. */
static bool decode_plain(struct codec *codec, const struct record *record, struct row_output *out) {
    if (plain_key(codec, record, out) &&
        (record->value.data == NULL || plain_value(codec, record, out)))
        return true;
    arena_reset(&codec->scratch);
    *out = (struct row_output){0};
    return false;
}

static enum status decode_row(struct codec *codec, const struct record *record,
                              struct row_output *out, struct error *err) {
    struct decoder *d;
    if (decode_plain(codec, record, out))
        return OK;
    TRY(codec_read(codec, SCHEMA_ROW_KEY, record->key, &d, NULL, err));
    avro_value_t table = decoder_field(d, ROW_KEY_TABLE), key = decoder_field(d, ROW_KEY_KEY);
    struct bytes name = value_string(&table);
    out->table = (const char *)name.data;
    out->key = value_bytes(&key);
    if (strlen(out->table) != name.len)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a row of a table with a NUL in its name");
    if (record->value.data == NULL)
        return OK;
    TRY(codec_read(codec, SCHEMA_ROW_VALUE, record->value, &d, NULL, err));
    avro_value_t position = decoder_field(d, ROW_POSITION), version = decoder_field(d, ROW_VERSION),
                 epoch = decoder_field(d, ROW_EPOCH), value = decoder_field(d, ROW_VALUE),
                 generation = decoder_field(d, ROW_GENERATION);
    TRY(get_position(value_long(&position), &out->position, err));
    out->version = (uint64_t)value_long(&version);
    out->epoch = (uint64_t)value_long(&epoch);
    out->generation = (uint32_t)value_int(&generation);
    out->value = value_bytes(&value);
    return OK;
}

static enum status get_codes(const avro_value_t *array, uint16_t *out, struct error *err) {
    size_t count = child_count(array);
    if (count != SID_CODES)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a semantic ID of %zu codes instead of %d", count,
                    SID_CODES);
    for (size_t i = 0; i < count; i++) {
        avro_value_t child = child_at(array, i);
        int32_t code = value_int(&child);
        if (code < 0 || code > UINT16_MAX)
            return FAIL(err, BAD_RECORD, EX_DATAERR, "a semantic ID with the code %d", code);
        out[i] = (uint16_t)code;
    }
    return OK;
}

static int64_t long_of(const struct decoder *d, int field) {
    avro_value_t value = decoder_field(d, field);
    return value_long(&value);
}

static uint32_t u32_of(const struct decoder *d, int field) {
    avro_value_t value = decoder_field(d, field);
    return (uint32_t)value_int(&value);
}

static enum status get_sid(const struct decoder *d, struct sid_row *sid, struct error *err) {
    avro_value_t codes = decoder_field(d, SID_CODES_FIELD);
    TRY(get_codes(&codes, sid->codes, err));
    avro_value_t previous;
    sid->has_previous = decoder_optional(d, SID_PREVIOUS, &previous);
    memcpy(sid->previous, sid->codes, sizeof sid->previous);
    if (sid->has_previous)
        TRY(get_codes(&previous, sid->previous, err));
    int reason = decoder_symbol(d, SID_REASON);
    if (reason < 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a semantic ID for a reason that this build does not know");
    avro_value_t error = decoder_field(d, SID_ERROR);
    sid->reason = (uint16_t)reason;
    sid->generation = u32_of(d, SID_GENERATION_FIELD);
    sid->codebook_version = u32_of(d, SID_CODEBOOK_VERSION);
    sid->quantisation_error = value_float(&error);
    sid->epoch = (uint64_t)long_of(d, SID_ASSIGNED_EPOCH);
    sid->event_time_ms = long_of(d, SID_EVENT_TIME);
    return OK;
}

static enum status decode_sid(struct codec *codec, const struct record *record,
                              struct row_output *out, struct error *err) {
    out->table = "sid";
    out->key = record->key;
    if (out->key.data == NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a semantic ID without a key");
    if (record->value.data == NULL)
        return OK;
    struct decoder *d;
    TRY(codec_read(codec, SCHEMA_SEMANTIC_IDS_VALUE, record->value, &d, NULL, err));
    avro_value_t item_id = decoder_field(d, SID_ITEM_ID);
    if (!bytes_equal(out->key, value_string(&item_id)))
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a semantic ID whose key is not its item_id");
    struct sid_row *sid = arena_alloc(&codec->scratch, sizeof *sid);
    if (sid == NULL)
        return full(codec, err);
    *sid = (struct sid_row){0};
    TRY(get_sid(d, sid, err));
    TRY(get_position(long_of(d, SID_POSITION), &out->position, err));
    out->version = (uint64_t)long_of(d, SID_VERSION);
    out->epoch = (uint64_t)long_of(d, SID_EPOCH);
    out->generation = sid->generation;
    out->value = bytes_of(sid, sizeof *sid);
    return OK;
}

static enum status decode_codebook(struct codec *codec, const struct record *record,
                                   struct row_output *out, struct error *err) {
    struct decoder *d;
    TRY(codec_read(codec, SCHEMA_CODEBOOKS_KEY, record->key, &d, NULL, err));
    uint64_t generation = u32_of(d, CODEBOOK_KEY_GENERATION), level = u32_of(d, CODEBOOK_KEY_LEVEL),
             code = u32_of(d, CODEBOOK_KEY_CODE);
    uint8_t *key = arena_alloc(&codec->scratch, 8);
    if (key == NULL)
        return full(codec, err);
    if (generation >> 24 != 0 || level > UINT8_MAX)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "a codebook of generation %llu, level %llu",
                    (unsigned long long)generation, (unsigned long long)level);
    put_be64(key, generation << 40 | level << 32 | code);
    out->table = "codebooks";
    out->key = bytes_of(key, 8);
    if (record->value.data == NULL)
        return OK;
    TRY(codec_read(codec, SCHEMA_CODEBOOKS_VALUE, record->value, &d, NULL, err));
    avro_value_t vector = decoder_field(d, CODEBOOK_VECTOR);
    size_t count = child_count(&vector);
    float *numbers = arena_alloc(&codec->scratch, count * sizeof *numbers);
    if (numbers == NULL)
        return full(codec, err);
    for (size_t i = 0; i < count; i++) {
        avro_value_t number = child_at(&vector, i);
        numbers[i] = value_float(&number);
    }
    TRY(get_position(long_of(d, CODEBOOK_POSITION), &out->position, err));
    out->version = (uint64_t)long_of(d, CODEBOOK_VERSION);
    out->epoch = (uint64_t)long_of(d, CODEBOOK_EPOCH);
    out->generation = u32_of(d, CODEBOOK_GENERATION);
    out->value = bytes_of(numbers, count * sizeof *numbers);
    return OK;
}

enum status codec_decode_row(struct codec *codec, const struct record *record,
                             struct row_output *out, struct error *err) {
    arena_reset(&codec->scratch);
    *out = (struct row_output){0};
    if (record->damage != NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%s", record->damage);
    switch (record->topic) {
    case TOPIC_RANKER_DELTAS:
    case TOPIC_CHANGELOG:
        return decode_row(codec, record, out, err);
    case TOPIC_SEMANTIC_IDS:
        return decode_sid(codec, record, out, err);
    case TOPIC_CODEBOOKS:
        return decode_codebook(codec, record, out, err);
    default:
        return FAIL(err, BAD_RECORD, EX_DATAERR, "topic %s has no rows", topic_name(record->topic));
    }
}
