#include "codec/codec.h"
#include "codec/heap.h"
#include "codec/private.h"

#include <stdio.h>

#include "base/log.h"

#include "base/poison.h"

/* Address space for the steps of all writers' schemas. */
#define WIRES_BYTES ((size_t)DECODERS_MAX * ((size_t)256 << 10))

static struct decoder *find(struct codec *codec, enum schema_id schema, int32_t id) {
    struct decoder *latest = codec->latest[schema];
    if (latest != NULL && latest->id == id)
        return latest;
    for (uint32_t i = 0; i < codec->decoder_count; i++)
        if (codec->decoders[i].schema == schema && codec->decoders[i].id == id)
            return codec->latest[schema] = &codec->decoders[i];
    return NULL;
}

static enum status add(struct codec *codec, const struct writer_schema *writer, struct error *err) {
    enum schema_id schema;
    if (!schema_of_subject(writer->subject, &schema) || find(codec, schema, writer->id) != NULL)
        return OK; /* a topic that is not ours, or ranker-deltas and changelog share it */
    if (codec->decoder_count == DECODERS_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "more than %d schemas of writers", DECODERS_MAX);
    struct decoder *decoder = &codec->decoders[codec->decoder_count++];
    char name[DECODER_NAME_BYTES];
    snprintf(name, sizeof name, "schema %d of %s", writer->id, writer->subject);
    enum status status = decoder_create(decoder, name, bytes_text(writer->json),
                                        schema_json(schema), MAPS_SKIP, &codec->arena, err);
    if (status != OK) {
        decoder_destroy(decoder);
        codec->decoder_count--;
        return status;
    }
    decoder->id = writer->id;
    decoder->schema = schema;
    return OK;
}

/* ---- schemas from outside ---- */

static bool is_input(enum schema_id schema) {
    return schema == SCHEMA_INTERACTIONS_VALUE || schema == SCHEMA_ITEM_CONTENT_VALUE;
}

enum status codec_add_schema(struct codec *codec, const struct writer_schema *writer,
                             struct error *err) {
    return add(codec, writer, err);
}

void codec_use_source(struct codec *codec, struct schema_source source) {
    codec->source = source;
    for (uint32_t i = codec->own_count; i < codec->decoder_count; i++)
        if (is_input(codec->decoders[i].schema))
            codec->decoders[i].id = INT32_MIN; /* no id on the wire is negative */
}

static bool was_refused(const struct codec *codec, int32_t id) {
    for (uint32_t i = 0; i < codec->refused_count && i < REFUSED_MAX; i++)
        if (codec->refused[i] == id)
            return true;
    return false;
}

/* *out = NULL: there is none that we can read. (Which of the two reasons it is must not be in the dead letter: a replay of the recording,
 * which has no registry, could not say the same.) */
static enum status ask_source(struct codec *codec, enum schema_id schema, int32_t id,
                              struct decoder **out, struct error *err) {
    struct writer_schema writer = {.id = id, .subject = schema_subject(schema)};
    *out = NULL;
    if (codec->source.schema == NULL || !is_input(schema) || id < 0 || was_refused(codec, id))
        return OK;
    enum status status = codec->source.schema(codec->source.self, id, &writer.json, err);
    if (status == BAD_RECORD)
        return OK;
    TRY(status);
    if (add(codec, &writer, err) != OK) {
        log_warn("schema.refused", LOG_INT("id", id), LOG_TEXT("text", err->text));
        codec->refused[codec->refused_count++ % REFUSED_MAX] = id;
        return OK;
    }
    *out = find(codec, schema, id);
    return OK;
}

static enum status fill(struct codec *codec, const struct writer_schema *writers, uint32_t count,
                        struct error *err) {
    codec->reader = avro_reader_memory(NULL, 0);
    codec->writer = avro_writer_memory((const char *)codec->value_out, 0);
    if (codec->reader == NULL || codec->writer == NULL)
        return FAIL(err, FATAL, EX_OSERR, "the codec's limit of %zu bytes is too low",
                    codec->bytes_max);
    for (int id = 1; id < SCHEMA_COUNT; id++)
        TRY(encoder_create(&codec->encoders[id], (enum schema_id)id, err));
    /* the recording's own first: they win over the shipped ones with the same id and subject */
    for (uint32_t i = 0; i < count; i++)
        TRY(add(codec, &writers[i], err));
    codec->own_count = codec->decoder_count;
    uint32_t shipped_count;
    const struct writer_schema *shipped = codec_shipped_schemas(&shipped_count);
    for (uint32_t i = 0; i < shipped_count; i++)
        TRY(add(codec, &shipped[i], err));
    return OK;
}

static enum status reserve(struct codec **out, size_t bytes_max, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "codec schemas", WIRES_BYTES, err));
    struct codec *codec = arena_must(&arena, sizeof *codec);
    *codec = (struct codec){.bytes_max = bytes_max};
    codec->decoders = arena_must(&arena, sizeof *codec->decoders * DECODERS_MAX);
    codec->arena = arena;
    *out = codec;
    codec->value_out_max = bytes_max;
    TRY(arena_reserve(&codec->scratch, "codec scratch", bytes_max, err));
    TRY(arena_reserve(&codec->out, "codec output", bytes_max + KEY_BYTES_MAX, err));
    codec->key_out = arena_must(&codec->out, KEY_BYTES_MAX);
    codec->value_out = arena_must(&codec->out, bytes_max);
    return OK;
}

enum status codec_create(struct codec **out, const struct writer_schema *writers, uint32_t count,
                         size_t bytes_max, struct error *err) {
    struct codec *codec = NULL;
    heap_grow(bytes_max);
    enum status status = reserve(&codec, bytes_max, err);
    if (status == OK)
        status = fill(codec, writers, count, err);
    if (status == OK)
        *out = codec;
    else if (codec != NULL)
        codec_destroy(codec);
    else
        heap_shrink(bytes_max);
    return status;
}

void codec_destroy(struct codec *codec) {
    for (uint32_t i = 0; i < codec->decoder_count; i++)
        decoder_destroy(&codec->decoders[i]);
    for (int id = 1; id < SCHEMA_COUNT; id++)
        encoder_destroy(&codec->encoders[id]);
    if (codec->reader != NULL)
        avro_reader_free(codec->reader);
    if (codec->writer != NULL)
        avro_writer_free(codec->writer);
    heap_shrink(codec->bytes_max);
    arena_release(&codec->scratch);
    arena_release(&codec->out);
    struct arena arena = codec->arena; /* holds the codec itself */
    arena_release(&arena);
}

struct codec_port codec_port(struct codec *codec) {
    return (struct codec_port){.self = codec, .decode = decode_event, .encode = encode_output};
}

/* ---- the wire format ---- */

static enum status not_framed(struct bytes data, struct error *err) {
    if (data.len < WIRE_HEAD_BYTES)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "%zu bytes are too few for a magic byte and a schema id; the producer must "
                    "use a Confluent Avro serializer",
                    data.len);
    if (data.data[0] == 1)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "magic byte 1 (a schema's GUID) is not supported; let the producer write "
                    "schema ids (magic byte 0)");
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "magic byte %u instead of 0; the producer must use a Confluent Avro serializer",
                data.data[0]);
}

enum status codec_read(struct codec *codec, enum schema_id schema, struct bytes data,
                       struct decoder **out, enum dead_reason *reason, struct error *err) {
    enum dead_reason unused;
    if (reason == NULL)
        reason = &unused;
    *reason = DEAD_WIRE;
    if (data.data == NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%s: there are no bytes where a value is needed",
                    schema_subject(schema));
    if (data.len < WIRE_HEAD_BYTES || data.data[0] != 0)
        return not_framed(data, err);
    int32_t id = (int32_t)get_be32(data.data + 1);
    struct decoder *decoder = find(codec, schema, id);
    *reason = DEAD_SCHEMA;
    if (decoder == NULL)
        TRY(ask_source(codec, schema, id, &decoder, err));
    if (decoder == NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "schema id %d is not known for %s; add the schema to recording.yaml, or let "
                    "the producer use the registry's",
                    id, schema_subject(schema));
    *reason = DEAD_DECODE;
    struct bytes body = bytes_of(data.data + WIRE_HEAD_BYTES, data.len - WIRE_HEAD_BYTES);
    /* half of the cap: an array that grows has its old and its new place at once */
    TRY(decoder_read(decoder, codec->reader, body, codec->bytes_max / 2, err));
    *out = decoder;
    return OK;
}

bool codec_plain_body(struct codec *codec, enum schema_id schema, struct bytes data,
                      struct bytes *body) {
    if (data.data == NULL || data.len < WIRE_HEAD_BYTES || data.data[0] != 0)
        return false;
    struct decoder *decoder = find(codec, schema, (int32_t)get_be32(data.data + 1));
    *body = bytes_of(data.data + WIRE_HEAD_BYTES, data.len - WIRE_HEAD_BYTES);
    return decoder != NULL && decoder_plain(decoder);
}
