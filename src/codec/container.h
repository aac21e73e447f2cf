/* Avro object container files as recordings use them, in memory: transport does the files.
 *
 *   file   = header block*            header = "Obj" 1, map<bytes> {avro.schema, avro.codec}, sync
 *   block  = count size payload sync  payload = `count` records of schemas/recording.avsc, deflated
 * or not
 *
 * The frame around the records is read and written here rather than by Avro C: its writer has a
 * largest record, a sync marker from the clock and no word on a failed flush, its reader no way on
 * after a damaged block. Ours gives equal bytes for equal records. The records themselves are
 * resolved and decoded by Avro C. */
#ifndef CODEC_CONTAINER_H
#define CODEC_CONTAINER_H

#include "base/arena.h"
#include "stage/event.h"

#define CONTAINER_SYNC_BYTES 16
/* A block's payload, deflated or not; longer ones are not read. */
#define CONTAINER_BLOCK_BYTES_MAX ((size_t)64 << 20)
#define CONTAINER_HEADER_BYTES_MAX ((size_t)1 << 20)
#define CONTAINER_FRAME_BYTES_MAX 20 /* count and size */

/* ---- reading ---- */

struct container;

/* `head` is the file's beginning, at least CONTAINER_HEADER_BYTES_MAX of it or all; *header_bytes
 * is where the first block starts. FATAL EX_DATAERR when it is no container, or of records that
 * cannot be read as ours. */
enum status container_create(struct container **out, struct bytes head, size_t *header_bytes,
                             struct error *err);
void container_destroy(struct container *container);
const uint8_t *container_sync(const struct container *container);

/* A block's count and size, from its first CONTAINER_FRAME_BYTES_MAX bytes or as many as there are;
 * *used of them. False when these bytes cannot begin a block. */
bool container_frame(struct bytes data, int64_t *count, int64_t *size, size_t *used);

/* Takes a block's payload, borrowed until the block is read. BAD_RECORD when it cannot be inflated.
 */
enum status container_load(struct container *container, struct bytes payload, int64_t count,
                           struct error *err);
/* The block's next record: offset, timestamp, key, value, headers (the first HEADERS_MAX); borrowed
 * until the next call. *got = false at the block's end. BAD_RECORD: the rest of the block cannot be
 * read. */
enum status container_next(struct container *container, struct record *out, bool *got,
                           struct error *err);
/* What of the block's (inflated) payload has not been read. */
struct bytes container_rest(const struct container *container);

/* ---- writing ---- */

/* The header, into out [CONTAINER_HEADER_BYTES_MAX]; returns its length. */
size_t container_header(bool deflate, const uint8_t sync[CONTAINER_SYNC_BYTES], uint8_t *out);

/* An upper bound of container_encode's length, and the record as Avro; returns its length. */
size_t container_record_bytes_max(const struct record *record);
size_t container_encode(const struct record *record, uint8_t *out);

struct deflater; /* NULL: blocks are not deflated */
enum status deflater_create(struct deflater **out, struct arena *arena, struct error *err);
void deflater_destroy(struct deflater *deflater);

/* An upper bound of container_block's length. */
size_t container_block_bytes_max(size_t payload_bytes);
/* The whole block; returns its length. */
size_t container_block(struct deflater *deflater, int64_t count, struct bytes payload,
                       const uint8_t sync[CONTAINER_SYNC_BYTES], uint8_t *out);

#endif
