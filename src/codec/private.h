/* What the files of this room share. */
#ifndef CODEC_PRIVATE_H
#define CODEC_PRIVATE_H

#include "codec/decoder.h"

#define WIRE_HEAD_BYTES 5 /* magic 0, schema id big-endian */
#define KEY_BYTES_MAX ((size_t)1 << 20)
#define DECODERS_MAX 128
#define REFUSED_MAX 64
#define HEADER_TEXT_BYTES 32

/* Writes one of our schemas. */
struct encoder {
    enum schema_id schema;
    avro_schema_t parsed;
    avro_value_iface_t *class;
    avro_value_t value;
};

struct codec {
    size_t bytes_max;
    struct arena arena;   /* this struct, the wires */
    struct arena scratch; /* what a decoded event or row points at; reset by each decode */
    struct arena out;     /* the encoded key, then the value */
    uint8_t *key_out, *value_out;
    size_t value_out_max;
    avro_reader_t reader;
    avro_writer_t writer;
    struct schema_source source;  /* .schema == NULL: none */
    int32_t refused[REFUSED_MAX]; /* ids of the source that cannot be resolved to ours; a ring */
    uint32_t refused_count;
    uint32_t own_count; /* of the decoders, the writers given at the start; then the shipped */
    uint32_t decoder_count;
    struct decoder *decoders;               /* [DECODERS_MAX] */
    struct decoder *latest[SCHEMA_COUNT];   /* the decoder that a record of this schema used last */
    struct encoder encoders[SCHEMA_COUNT];  /* by schema id; 0 is empty */
    char header_text[5][HEADER_TEXT_BYTES]; /* a dead letter's numbers */
};

/* The decoder that `data` names, its body read into it. BAD_RECORD with *reason (may be NULL)
 * otherwise. */
enum status codec_read(struct codec *codec, enum schema_id schema, struct bytes data,
                       struct decoder **out, enum dead_reason *reason, struct error *err);

/* The body of `data` when its writer's schema is ours, field for field; false otherwise, whatever the reason. */
bool codec_plain_body(struct codec *codec, enum schema_id schema, struct bytes data,
                      struct bytes *body);

/* decode.c */
enum status decode_event(void *self, const struct record *record, struct event *out,
                         enum dead_reason *reason, struct error *err);

/* encode.c */
enum status encoder_create(struct encoder *encoder, enum schema_id schema, struct error *err);
void encoder_destroy(struct encoder *encoder);
enum status encode_output(void *self, const struct output *output, struct record *out,
                          struct error *err);
/* encoder->value as a record's key or value (magic, id, Avro), borrowed until the next one. */
enum status encode_key(struct codec *codec, struct encoder *encoder, struct bytes *out,
                       struct error *err);
enum status encode_value(struct codec *codec, struct encoder *encoder, struct bytes *out,
                         struct error *err);

/* Fields of encoder->value; texts and bytes are borrowed until encode_key or encode_value. */
void set_long(const avro_value_t *record, size_t field, int64_t value);
void set_int(const avro_value_t *record, size_t field, int32_t value);
void set_float(const avro_value_t *record, size_t field, float value);
void set_symbol(const avro_value_t *record, size_t field, int symbol);
void set_string(const avro_value_t *record, size_t field, struct bytes text);
void set_bytes(const avro_value_t *record, size_t field, struct bytes data);
void give_string(const avro_value_t *value, struct bytes text);
/* Chooses the branch of a nullable field: 0 null, 1 the other, which comes back. */
avro_value_t set_branch(const avro_value_t *record, size_t field, int branch);
avro_value_t append_to(const avro_value_t *array);
void append_floats(const avro_value_t *array, const uint8_t *floats, size_t count);

/* manifest.c */
enum status encode_manifest(struct codec *codec, const struct manifest *manifest,
                            struct record *out, struct error *err);

#endif
