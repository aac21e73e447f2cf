/* One writer's schema, resolved to ours: all that is needed to read its records, made once.
 *
 * Avro C 1.11's resolver knows no defaults, keeps a writer's enum numbers, and a map read through
 * it grows with every record. So it resolves to a cut of our schema: fields that the writer lacks
 * are left out when ours have a default (decoder_has() tells), maps are checked on the wire but not
 * decoded (nothing reads them), and symbols are renumbered. */
#ifndef CODEC_DECODER_H
#define CODEC_DECODER_H

#include "codec/schemas.h"
#include "codec/wire.h"

#include <avro.h>

#define SYMBOLS_MAX 64
#define DECODER_NAME_BYTES 96

struct decoder {
    char name[DECODER_NAME_BYTES]; /* for messages: "schema 7 of interactions-value" */
    int32_t id;                    /* the schema's id on the wire, and which of ours it is */
    enum schema_id schema;         /* (for the codec's look-up) */
    struct wire *wire;             /* checks the writer's bytes */
    avro_schema_t writer, reader;
    avro_value_iface_t *reader_class, *resolver;
    avro_value_t value;    /* a record of the cut of our schema */
    avro_value_t resolved; /* what Avro C reads into: `value` in the writer's clothes */
    int field[FIELDS_MAX]; /* our field -> its index in `value`; -1: not decoded */
    bool plain;
    int8_t
        symbol[SYMBOLS_MAX]; /* the writer's symbol of our enum field -> ours; -1: we have none */
};

enum maps { MAPS_SKIP, MAPS_KEEP };

/* Resolves the schema `writer` to `ours` (JSON texts). FATAL EX_DATAERR, starting with `name`, when
 * it does not parse or cannot be resolved. The steps of the check come from `arena`.
 * decoder_destroy is due also after a failure. With MAPS_KEEP the caller must call decoder_renew
 * now and then, unless the schemas are equal. */
enum status decoder_create(struct decoder *decoder, const char *name, struct bytes writer,
                           const char *ours, enum maps maps, struct arena *arena,
                           struct error *err);
void decoder_destroy(struct decoder *decoder);

/* The writer's schema is ours, field for field: its bytes may be read as ours. */
bool decoder_plain(const struct decoder *decoder);

/* Drops what the resolver has gathered (see above). Values read before are gone. */
enum status decoder_renew(struct decoder *decoder, struct error *err);

/* Reads exactly one value from `body` into decoder->value. BAD_RECORD otherwise. */
enum status decoder_read(struct decoder *decoder, avro_reader_t reader, struct bytes body,
                         size_t memory_max, struct error *err);
/* The same for a value that others may follow; *used is its length. */
enum status decoder_read_first(struct decoder *decoder, avro_reader_t reader, struct bytes body,
                               size_t memory_max, size_t *used, struct error *err);

/* ---- fields of decoder->value, by our index; the field must be there where our schema has no
 * default ---- */

static inline bool decoder_has(const struct decoder *decoder, int field) {
    return decoder->field[field] >= 0;
}
avro_value_t decoder_field(const struct decoder *decoder, int field);
/* The branch of a nullable field; false when it is null or absent. */
bool decoder_optional(const struct decoder *decoder, int field, avro_value_t *out);
/* Our number of the enum field's symbol; -1 when ours has no such symbol. */
int decoder_symbol(const struct decoder *decoder, int field);

/* ---- plain values ---- */
avro_value_t child_at(const avro_value_t *value, size_t index);
size_t child_count(const avro_value_t *value);
int64_t value_long(const avro_value_t *value);
int32_t value_int(const avro_value_t *value);
float value_float(const avro_value_t *value);
struct bytes value_string(const avro_value_t *value);
struct bytes value_bytes(const avro_value_t *value);

#endif
