/* Avro bytes <-> typed events; the only room that includes avro.h. Confluent wire format: byte 0
 * = 0x00, bytes 1-4 = schema id big-endian, then Avro binary.
 *
 * Each writer schema is resolved against the reader's (schemas/x.avsc) once; the resolver and
 * its value are kept. Every length, branch, symbol and count is looked at before Avro C sees it
 * (codec/wire.h), and its allocator is capped, so a length on the wire that asks for gigabytes is
 * a bad record, not an out-of-memory. Avro C has one allocator a process: the cap is the sum over
 * the codecs and recording readers alive. Each of them belongs to one thread at a time. */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include "base/arena.h"
#include "stage/ports.h"

/* Fixed ids of the schemas that ship with the stage (used when there is no registry). */
enum schema_id {
    SCHEMA_INTERACTIONS_VALUE = 1,
    SCHEMA_ITEM_CONTENT_VALUE = 2,
    SCHEMA_SEMANTIC_IDS_VALUE = 3,
    SCHEMA_ROW_KEY = 4, /* ranker-deltas and changelog */
    SCHEMA_ROW_VALUE = 5,
    SCHEMA_CODEBOOKS_KEY = 6,
    SCHEMA_CODEBOOKS_VALUE = 7,
    SCHEMA_EPOCHS_KEY = 8,
    SCHEMA_EPOCHS_VALUE = 9
};

/* So much of a dead letter's raw key and value is kept: any topic that takes records of 4 MiB takes it, whatever the inputs take. The whole is
 * where its headers say, and key_bytes or value_bytes, how long it is. */
#define DEAD_KEY_BYTES_MAX ((size_t)512 << 10)
#define DEAD_VALUE_BYTES_MAX ((size_t)3 << 20)

struct codec;

struct writer_schema {
    int32_t id;
    const char *subject; /* "interactions-value" */
    const char *json;
};

/* The shipped schemas, as embedded at build time: for recording.yaml. */
const struct writer_schema *codec_shipped_schemas(uint32_t *count);

/* `writers`: the schemas that records name by id (from recording.yaml); the shipped ones are
 * always known, unless an id repeats one of them with another schema for the same subject: then
 * the recording's own wins. FATAL EX_DATAERR when a writer schema does not parse or cannot be
 * resolved to ours. bytes_max is this codec's share of Avro C's heap; half of it is what one
 * decoded record may need (some 128 bytes for each number of a vector). */
enum status codec_create(struct codec **out, const struct writer_schema *writers, uint32_t count,
                         size_t bytes_max, struct error *err);
void codec_destroy(struct codec *codec);
/* Decoding also holds the key against the value: a key that is there must be the user_id or
 * item_id, as plain UTF-8 bytes (DEAD_KEY). The values themselves are the stage's to check. */
struct codec_port codec_port(struct codec *codec);

/* Schemas by id from outside (a registry), for records that name one that is not known yet. RETRY: it cannot be told now, and decode says so
 * too; BAD_RECORD: there is none. */
struct schema_source {
    void *self;
    enum status (*schema)(void *self, int32_t id, const char **json, struct error *err);
};
/* From now on ids in the inputs' records are this source's, beside the writers given at the start: those of the shipped schemas are not known
 * any more. A source without a function knows none. */
void codec_use_source(struct codec *codec, struct schema_source source);
/* One more writer. FATAL EX_DATAERR when it does not parse or cannot be resolved to ours: nothing has changed then. */
enum status codec_add_schema(struct codec *codec, const struct writer_schema *writer,
                             struct error *err);

/* The other way round, for import, generate and tests: an input event as a record's key and
 * value (borrowed until the next call). item-content with dims == 0 and vector == NULL and kind
 * EVENT_DELISTING gives a tombstone. `modality` names the vector. The key is the event's own id
 * bytes; partition and offset are left to the caller, and a tombstone's timestamp, too. */
enum status codec_encode_event(struct codec *codec, const struct event *event, const char *modality,
                               struct record *out, struct error *err);

/* The stage's own outputs back to typed values: for restore, verify, follow. The table of a
 * semantic-ids or codebooks record is "sid" or "codebooks". Borrowed until the next call. */
enum status codec_decode_row(struct codec *codec, const struct record *record,
                             struct row_output *out, struct error *err);
/* Arrays and texts are copied into `arena`. */
enum status codec_decode_manifest(struct codec *codec, const struct record *record,
                                  struct arena *arena, struct manifest *out, struct error *err);

#endif
