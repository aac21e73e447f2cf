#include "codec/decoder.h"

#include <jansson.h>

#include "base/poison.h"

/* ---- plain values: the types are those of our schema, so a refusal is a programmer's error ----
 */

avro_value_t child_at(const avro_value_t *value, size_t index) {
    avro_value_t child;
    int refused = avro_value_get_by_index(value, index, &child, NULL);
    ASSERT(refused == 0);
    return child;
}

size_t child_count(const avro_value_t *value) {
    size_t count = 0;
    int refused = avro_value_get_size(value, &count);
    ASSERT(refused == 0);
    return count;
}

int64_t value_long(const avro_value_t *value) {
    int64_t out = 0;
    int refused = avro_value_get_long(value, &out);
    ASSERT(refused == 0);
    return out;
}

int32_t value_int(const avro_value_t *value) {
    int32_t out = 0;
    int refused = avro_value_get_int(value, &out);
    ASSERT(refused == 0);
    return out;
}

float value_float(const avro_value_t *value) {
    float out = 0;
    int refused = avro_value_get_float(value, &out);
    ASSERT(refused == 0);
    return out;
}

struct bytes value_string(const avro_value_t *value) {
    const char *text = NULL;
    size_t size = 0; /* with the NUL that Avro C puts after it */
    int refused = avro_value_get_string(value, &text, &size);
    ASSERT(refused == 0 && text != NULL && size > 0);
    return bytes_of(text, size - 1);
}

struct bytes value_bytes(const avro_value_t *value) {
    const void *data = NULL;
    size_t size = 0;
    int refused = avro_value_get_bytes(value, &data, &size);
    ASSERT(refused == 0 && data != NULL);
    return bytes_of(data, size);
}

avro_value_t decoder_field(const struct decoder *decoder, int field) {
    ASSERT(decoder_has(decoder, field));
    return child_at(&decoder->value, (size_t)decoder->field[field]);
}

bool decoder_optional(const struct decoder *decoder, int field, avro_value_t *out) {
    if (!decoder_has(decoder, field))
        return false;
    avro_value_t nullable = decoder_field(decoder, field);
    int branch = 0;
    int refused = avro_value_get_discriminant(&nullable, &branch);
    ASSERT(refused == 0);
    if (branch <= 0) /* null is the first branch of all our unions */
        return false;
    refused = avro_value_get_current_branch(&nullable, out);
    ASSERT(refused == 0);
    return true;
}

int decoder_symbol(const struct decoder *decoder, int field) {
    avro_value_t value = decoder_field(decoder, field);
    int symbol = -1;
    int refused = avro_value_get_enum(&value, &symbol);
    ASSERT(refused == 0 && symbol >= 0 && symbol < SYMBOLS_MAX); /* wire_check saw it */
    return decoder->symbol[symbol];
}

/* ---- making one ---- */

static bool is_map(const json_t *field) {
    const char *type = json_string_value(json_object_get(json_object_get(field, "type"), "type"));
    return type != NULL && strcmp(type, "map") == 0;
}

/* Our schema without maps and without what the writer lacks; decoder->field on the way. */
static enum status cut(struct decoder *decoder, json_t *ours, struct error *err) {
    json_t *fields = json_object_get(ours, "fields");
    size_t count = json_array_size(fields), kept = 0;
    ASSERT(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        json_t *field = json_array_get(fields, kept);
        const char *name = json_string_value(json_object_get(field, "name"));
        bool written = avro_schema_record_field_get_index(decoder->writer, name) >= 0;
        if (!written && json_object_get(field, "default") == NULL)
            return FAIL(err, FATAL, EX_DATAERR,
                        "schema %d of %s has no field \"%s\", and ours has no default for it",
                        decoder->id, schema_subject(decoder->schema), name);
        bool keep = written && !is_map(field);
        decoder->field[i] = keep ? (int)kept++ : -1;
        if (!keep)
            json_array_remove(fields, kept);
    }
    return OK;
}

static enum status parse(const char *json, size_t len, avro_schema_t *out, int32_t id,
                         enum schema_id schema, struct error *err) {
    if (avro_schema_from_json_length(json, len, out) != 0)
        return FAIL(err, FATAL, EX_DATAERR, "schema %d of %s is no Avro schema: %.200s", id,
                    schema_subject(schema), avro_strerror());
    return OK;
}

static enum status make_reader(struct decoder *decoder, struct arena *arena, struct error *err) {
    json_t *ours = json_loads(schema_json(decoder->schema), 0, NULL);
    ASSERT(ours != NULL);
    enum status status = cut(decoder, ours, err);
    size_t mark = arena_mark(arena);
    if (status == OK) {
        size_t len = json_dumpb(ours, NULL, 0, JSON_COMPACT);
        char *text = arena_must(arena, len);
        json_dumpb(ours, text, len, JSON_COMPACT);
        status = parse(text, len, &decoder->reader, decoder->id, decoder->schema, err);
    }
    arena_rewind(arena, mark);
    json_decref(ours);
    return status;
}

static avro_schema_t enum_inside(avro_schema_t schema) {
    while (is_avro_link(schema))
        schema = avro_schema_link_target(schema);
    if (is_avro_enum(schema))
        return schema;
    if (is_avro_union(schema))
        for (size_t i = 0; i < avro_schema_union_size(schema); i++) {
            avro_schema_t found = enum_inside(avro_schema_union_branch(schema, (int)i));
            if (found != NULL)
                return found;
        }
    return NULL;
}

/* Avro C hands the writer's number of a symbol on: the symbols' names are what counts. */
static enum status map_symbols(struct decoder *decoder, struct error *err) {
    for (size_t i = 0; i < avro_schema_record_size(decoder->reader); i++) {
        avro_schema_t ours = avro_schema_record_field_get_by_index(decoder->reader, (int)i);
        if (!is_avro_enum(ours))
            continue;
        const char *name = avro_schema_record_field_name(decoder->reader, (int)i);
        avro_schema_t theirs = enum_inside(avro_schema_record_field_get(decoder->writer, name));
        int count = theirs != NULL ? avro_schema_enum_number_of_symbols(theirs) : 0;
        if (count > SYMBOLS_MAX)
            return FAIL(err, FATAL, EX_DATAERR, "schema %d of %s: \"%s\" has more than %d symbols",
                        decoder->id, schema_subject(decoder->schema), name, SYMBOLS_MAX);
        for (int symbol = 0; symbol < count; symbol++)
            decoder->symbol[symbol] =
                (int8_t)avro_schema_enum_get_by_name(ours, avro_schema_enum_get(theirs, symbol));
        return OK; /* our schemas have one enum at most */
    }
    return OK;
}

static enum status resolve(struct decoder *decoder, struct error *err) {
    decoder->resolver = avro_resolved_writer_new(decoder->writer, decoder->reader);
    if (decoder->resolver == NULL)
        return FAIL(err, FATAL, EX_DATAERR, "schema %d of %s cannot be read as ours: %.300s",
                    decoder->id, schema_subject(decoder->schema), avro_strerror());
    decoder->reader_class = avro_generic_class_from_schema(decoder->reader);
    if (decoder->reader_class == NULL ||
        avro_generic_value_new(decoder->reader_class, &decoder->value) != 0 ||
        avro_resolved_writer_new_value(decoder->resolver, &decoder->resolved) != 0)
        return FAIL(err, FATAL, EX_OSERR, "schema %d of %s: %.300s", decoder->id,
                    schema_subject(decoder->schema), avro_strerror());
    avro_resolved_writer_set_dest(&decoder->resolved, &decoder->value);
    return OK;
}

enum status decoder_create(struct decoder *decoder, int32_t id, enum schema_id schema,
                           const char *json, struct arena *arena, struct error *err) {
    *decoder = (struct decoder){.id = id, .schema = schema};
    memset(decoder->symbol, -1, sizeof decoder->symbol);
    TRY(parse(json, strlen(json), &decoder->writer, id, schema, err));
    if (!is_avro_record(decoder->writer))
        return FAIL(err, FATAL, EX_DATAERR, "schema %d of %s is no record", id,
                    schema_subject(schema));
    enum status status = wire_create(&decoder->wire, decoder->writer, arena, err);
    if (status != OK) {
        error_context(err, "schema %d of %s", id, schema_subject(schema));
        return status;
    }
    TRY(make_reader(decoder, arena, err));
    TRY(map_symbols(decoder, err));
    return resolve(decoder, err);
}

void decoder_destroy(struct decoder *decoder) {
    if (decoder->resolved.self != NULL)
        avro_value_decref(&decoder->resolved);
    if (decoder->value.self != NULL)
        avro_value_decref(&decoder->value);
    if (decoder->reader_class != NULL)
        avro_value_iface_decref(decoder->reader_class);
    if (decoder->resolver != NULL)
        avro_value_iface_decref(decoder->resolver);
    if (decoder->reader != NULL)
        avro_schema_decref(decoder->reader);
    if (decoder->writer != NULL)
        avro_schema_decref(decoder->writer);
    *decoder = (struct decoder){0};
}

/* ---- reading ---- */

enum status decoder_read(struct decoder *decoder, avro_reader_t reader, struct bytes body,
                         size_t memory_max, struct error *err) {
    size_t used;
    const char *wrong = wire_check(decoder->wire, body, memory_max, &used);
    if (wrong == NULL && used < body.len)
        wrong = "bytes are left over after the value";
    if (wrong != NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "not a value of schema %d of %s: %s (byte %zu of %zu); look at what the "
                    "producer wrote",
                    decoder->id, schema_subject(decoder->schema), wrong, used, body.len);
    avro_reader_memory_set_source(reader, (const char *)body.data, (int64_t)body.len);
    if (avro_value_read(reader, &decoder->resolved) != 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a value of schema %d of %s that cannot be read as ours: %.300s", decoder->id,
                    schema_subject(decoder->schema), avro_strerror());
    return OK;
}
