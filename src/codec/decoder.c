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
static enum status cut(struct decoder *decoder, json_t *ours, enum maps maps, struct error *err) {
    json_t *fields = json_object_get(ours, "fields");
    size_t count = json_array_size(fields), kept = 0;
    ASSERT(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        json_t *field = json_array_get(fields, kept);
        const char *name = json_string_value(json_object_get(field, "name"));
        bool written = avro_schema_record_field_get_index(decoder->writer, name) >= 0;
        if (!written && json_object_get(field, "default") == NULL)
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s has no field \"%s\", and ours has no default for it", decoder->name,
                        name);
        bool keep = written && (maps == MAPS_KEEP || !is_map(field));
        decoder->field[i] = keep ? (int)kept++ : -1;
        if (!keep)
            json_array_remove(fields, kept);
    }
    return OK;
}

static enum status make_reader(struct decoder *decoder, const char *json, enum maps maps,
                               struct arena *arena, struct error *err) {
    json_t *ours = json_loads(json, 0, NULL);
    ASSERT(ours != NULL);
    enum status status = cut(decoder, ours, maps, err);
    size_t mark = arena_mark(arena);
    if (status == OK) {
        size_t len = json_dumpb(ours, NULL, 0, JSON_COMPACT);
        char *text = arena_must(arena, len);
        json_dumpb(ours, text, len, JSON_COMPACT);
        if (avro_schema_from_json_length(text, len, &decoder->reader) != 0)
            status = FAIL(err, FATAL, EX_SOFTWARE, "%s: our own schema: %.200s", decoder->name,
                          avro_strerror());
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
    memset(decoder->symbol, -1, sizeof decoder->symbol);
    for (size_t i = 0; i < avro_schema_record_size(decoder->reader); i++) {
        avro_schema_t ours = avro_schema_record_field_get_by_index(decoder->reader, (int)i);
        if (!is_avro_enum(ours))
            continue;
        const char *name = avro_schema_record_field_name(decoder->reader, (int)i);
        avro_schema_t theirs = enum_inside(avro_schema_record_field_get(decoder->writer, name));
        int count = theirs != NULL ? avro_schema_enum_number_of_symbols(theirs) : 0;
        if (count > SYMBOLS_MAX)
            return FAIL(err, FATAL, EX_DATAERR, "%s: \"%s\" has more than %d symbols",
                        decoder->name, name, SYMBOLS_MAX);
        for (int symbol = 0; symbol < count; symbol++)
            decoder->symbol[symbol] =
                (int8_t)avro_schema_enum_get_by_name(ours, avro_schema_enum_get(theirs, symbol));
        return OK; /* our schemas have one enum at most */
    }
    return OK;
}

static enum status out_of_heap(const struct decoder *decoder, struct error *err) {
    return FAIL(err, FATAL, EX_OSERR, "%s: %.300s", decoder->name, avro_strerror());
}

static enum status resolve(struct decoder *decoder, struct error *err) {
    decoder->reader_class = avro_generic_class_from_schema(decoder->reader);
    if (decoder->reader_class == NULL ||
        avro_generic_value_new(decoder->reader_class, &decoder->value) != 0)
        return out_of_heap(decoder, err);
    if (avro_schema_equal(decoder->writer, decoder->reader)) {
        avro_value_copy_ref(&decoder->resolved, &decoder->value);
        return OK;
    }
    decoder->resolver = avro_resolved_writer_new(decoder->writer, decoder->reader);
    if (decoder->resolver == NULL)
        return FAIL(err, FATAL, EX_DATAERR, "%s cannot be read as ours: %.300s", decoder->name,
                    avro_strerror());
    return decoder_renew(decoder, err);
}

enum status decoder_renew(struct decoder *decoder, struct error *err) {
    if (decoder->resolver == NULL)
        return OK;
    if (decoder->resolved.self != NULL)
        avro_value_decref(&decoder->resolved);
    decoder->resolved = (avro_value_t){0};
    if (avro_resolved_writer_new_value(decoder->resolver, &decoder->resolved) != 0)
        return out_of_heap(decoder, err);
    avro_resolved_writer_set_dest(&decoder->resolved, &decoder->value);
    return OK;
}

static bool equals_json(avro_schema_t schema, const char *json) {
    avro_schema_t other;
    if (avro_schema_from_json_length(json, strlen(json), &other) != 0)
        return false;
    bool equal = avro_schema_equal(schema, other);
    avro_schema_decref(other);
    return equal;
}

enum status decoder_create(struct decoder *decoder, const char *name, struct bytes writer,
                           const char *ours, enum maps maps, struct arena *arena,
                           struct error *err) {
    *decoder = (struct decoder){0};
    strncpy(decoder->name, name, sizeof decoder->name - 1);
    if (avro_schema_from_json_length((const char *)writer.data, writer.len, &decoder->writer) != 0)
        return FAIL(err, FATAL, EX_DATAERR, "%s is no Avro schema: %.200s", name, avro_strerror());
    if (!is_avro_record(decoder->writer))
        return FAIL(err, FATAL, EX_DATAERR, "%s is no record", name);
    enum status status = wire_create(&decoder->wire, decoder->writer, arena, err);
    if (status != OK) {
        error_context(err, "%s", name);
        return status;
    }
    TRY(make_reader(decoder, ours, maps, arena, err));
    TRY(map_symbols(decoder, err));
    decoder->plain = equals_json(decoder->writer, ours);
    return resolve(decoder, err);
}

bool decoder_plain(const struct decoder *decoder) {
    return decoder->plain;
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

static enum status not_a_value(const struct decoder *decoder, const char *wrong, size_t at,
                               size_t len, struct error *err) {
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "not a value of %s: %s (byte %zu of %zu); look at what the producer wrote",
                decoder->name, wrong, at, len);
}

enum status decoder_read_first(struct decoder *decoder, avro_reader_t reader, struct bytes body,
                               size_t memory_max, size_t *used, struct error *err) {
    const char *wrong = wire_check(decoder->wire, body, memory_max, used);
    if (wrong != NULL)
        return not_a_value(decoder, wrong, *used, body.len, err);
    avro_reader_memory_set_source(reader, (const char *)body.data, (int64_t)*used);
    if (avro_value_read(reader, &decoder->resolved) != 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a value of %s that cannot be read as ours: %.300s", decoder->name,
                    avro_strerror());
    return OK;
}

enum status decoder_read(struct decoder *decoder, avro_reader_t reader, struct bytes body,
                         size_t memory_max, struct error *err) {
    size_t used;
    TRY(decoder_read_first(decoder, reader, body, memory_max, &used, err));
    if (used < body.len)
        return not_a_value(decoder, "bytes are left over after the value", used, body.len, err);
    return OK;
}
