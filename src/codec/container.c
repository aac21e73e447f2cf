#include "codec/container.h"
#include "codec/decoder.h"
#include "codec/heap.h"
#include "codec/varint.h"

#include "base/poison.h"

#include <zlib.h>

#define HEAP_BYTES (4 * CONTAINER_BLOCK_BYTES_MAX)
#define ARENA_BYTES ((size_t)1 << 20)
#define RENEW_RECORDS 1024

enum { RECORD_OFFSET, RECORD_TIMESTAMP, RECORD_KEY, RECORD_VALUE, RECORD_HEADERS };

static const uint8_t magic[4] = {'O', 'b', 'j', 1};

struct container {
    struct arena arena;    /* this struct, the schema's steps */
    struct arena inflated; /* of a deflated block */
    struct decoder decoder;
    avro_reader_t reader;
    bool deflate;
    uint8_t sync[CONTAINER_SYNC_BYTES];
    struct bytes rest; /* of the block's payload */
    int64_t left;      /* records of the block */
    uint32_t since_renewed;
};

/* ---- the header ---- */

/* map<bytes>: blocks of (key, value), each after its count; a negative count is followed by the
 * block's length. */
static bool get_meta(const uint8_t **at, const uint8_t *end, struct bytes *schema,
                     struct bytes *codec) {
    int64_t count, bytes;
    for (;;) {
        if (!varint_get(at, end, &count) || count == INT64_MIN)
            return false;
        if (count == 0)
            return true;
        if (count < 0 && !varint_get(at, end, &bytes))
            return false;
        for (count = count < 0 ? -count : count; count > 0; count--) {
            struct bytes key, value;
            if (!varint_get_run(at, end, &key) || !varint_get_run(at, end, &value))
                return false;
            if (bytes_equal(key, bytes_text("avro.schema")))
                *schema = value;
            if (bytes_equal(key, bytes_text("avro.codec")))
                *codec = value;
        }
    }
}

static enum status read_header(struct container *c, struct bytes head, size_t *header_bytes,
                               struct error *err) {
    const uint8_t *at = head.data, *end = head.data + head.len;
    struct bytes schema = {0}, codec = {0};
    if (head.len < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return FAIL(err, FATAL, EX_DATAERR, "this is no Avro object container file");
    at += sizeof magic;
    if (!get_meta(&at, end, &schema, &codec) || end - at < CONTAINER_SYNC_BYTES)
        return FAIL(err, FATAL, EX_DATAERR,
                    "the container's header is damaged, cut off or longer than %zu bytes",
                    CONTAINER_HEADER_BYTES_MAX);
    memcpy(c->sync, at, CONTAINER_SYNC_BYTES);
    *header_bytes = (size_t)(at - head.data) + CONTAINER_SYNC_BYTES;
    c->deflate = bytes_equal(codec, bytes_text("deflate"));
    if (!c->deflate && codec.data != NULL && !bytes_equal(codec, bytes_text("null")))
        return FAIL(err, FATAL, EX_DATAERR,
                    "the container's codec is \"%.*s\"; write it with null or deflate",
                    (int)(codec.len < 32 ? codec.len : 32), (const char *)codec.data);
    if (schema.data == NULL)
        return FAIL(err, FATAL, EX_DATAERR, "the container's header has no schema");
    return decoder_create(&c->decoder, "the file's schema", schema, schema_recording_json(),
                          MAPS_KEEP, &c->arena, err);
}

enum status container_create(struct container **out, struct bytes head, size_t *header_bytes,
                             struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "recording's schema", ARENA_BYTES, err));
    struct container *c = arena_must(&arena, sizeof *c);
    *c = (struct container){.arena = arena};
    heap_grow(HEAP_BYTES);
    enum status status = read_header(c, head, header_bytes, err);
    if (status == OK && c->deflate)
        status = arena_reserve(&c->inflated, "recording's block", CONTAINER_BLOCK_BYTES_MAX, err);
    if (status == OK && (c->reader = avro_reader_memory(NULL, 0)) == NULL)
        status = FAIL(err, FATAL, EX_OSERR, "%.200s", avro_strerror());
    if (status == OK)
        *out = c;
    else
        container_destroy(c);
    return status;
}

void container_destroy(struct container *c) {
    decoder_destroy(&c->decoder);
    if (c->reader != NULL)
        avro_reader_free(c->reader);
    heap_shrink(HEAP_BYTES);
    arena_release(&c->inflated);
    struct arena arena = c->arena; /* holds the container itself */
    arena_release(&arena);
}

const uint8_t *container_sync(const struct container *c) {
    return c->sync;
}

/* ---- blocks ---- */

bool container_frame(struct bytes data, int64_t *count, int64_t *size, size_t *used) {
    const uint8_t *at = data.data, *end = data.data + data.len;
    if (!varint_get(&at, end, count) || !varint_get(&at, end, size) || *count < 0 || *size < 0)
        return false;
    *used = (size_t)(at - data.data);
    return true;
}

static enum status inflate_block(struct container *c, struct bytes payload, struct error *err) {
    arena_reset(&c->inflated);
    uint8_t *out = arena_must(&c->inflated, CONTAINER_BLOCK_BYTES_MAX);
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)payload.data,
                       .avail_in = (uInt)payload.len,
                       .next_out = out,
                       .avail_out = (uInt)CONTAINER_BLOCK_BYTES_MAX};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) /* Avro: no zlib header, no checksum */
        return FAIL(err, FATAL, EX_OSERR, "zlib: no memory to inflate a block");
    int result = inflate(&stream, Z_FINISH);
    size_t len = CONTAINER_BLOCK_BYTES_MAX - stream.avail_out;
    inflateEnd(&stream);
    if (result != Z_STREAM_END)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a block cannot be inflated (to %zu bytes at most)", CONTAINER_BLOCK_BYTES_MAX);
    c->rest = bytes_of(out, len);
    return OK;
}

enum status container_load(struct container *c, struct bytes payload, int64_t count,
                           struct error *err) {
    c->left = count;
    c->rest = payload;
    return c->deflate ? inflate_block(c, payload, err) : OK;
}

struct bytes container_rest(const struct container *c) {
    return c->rest;
}

static struct bytes optional_bytes(const struct decoder *decoder, int field) {
    avro_value_t value;
    return decoder_optional(decoder, field, &value) ? value_bytes(&value) : (struct bytes){0};
}

static void get_headers(const struct decoder *decoder, struct record *out) {
    out->header_count = 0;
    if (!decoder_has(decoder, RECORD_HEADERS))
        return;
    avro_value_t map = decoder_field(decoder, RECORD_HEADERS);
    size_t count = child_count(&map);
    for (size_t i = 0; i < count && i < HEADERS_MAX; i++) {
        avro_value_t value;
        const char *name = "";
        int refused = avro_value_get_by_index(&map, i, &value, &name);
        ASSERT(refused == 0);
        out->headers[out->header_count++] =
            (struct header){.key = bytes_text(name), .value = value_bytes(&value)};
    }
}

/* union {null, bytes} */
static bool get_optional(const uint8_t **at, const uint8_t *end, struct bytes *out) {
    int64_t branch;
    *out = (struct bytes){0};
    return varint_get(at, end, &branch) &&
           (branch == 0 || (branch == 1 && varint_get_run(at, end, out)));
}

/* Our own schema, and no headers, as almost every record is: read where it lies, at a tenth of what Avro C's values cost. False: nothing has
 * been read, Avro C decides. */
static bool next_plain(struct container *c, struct record *out) {
    const uint8_t *at = c->rest.data, *end = c->rest.data + c->rest.len;
    int64_t headers;
    if (!decoder_plain(&c->decoder) || !varint_get(&at, end, &out->offset) ||
        !varint_get(&at, end, &out->timestamp_ms) || !get_optional(&at, end, &out->key) ||
        !get_optional(&at, end, &out->value) || !varint_get(&at, end, &headers) || headers != 0)
        return false;
    out->header_count = 0;
    c->rest = bytes_of(at, (size_t)(end - at));
    return true;
}

enum status container_next(struct container *c, struct record *out, bool *got, struct error *err) {
    *got = false;
    if (c->left == 0) {
        if (c->rest.len > 0)
            return FAIL(err, BAD_RECORD, EX_DATAERR, "a block has %zu bytes after its last record",
                        c->rest.len);
        return OK;
    }
    out->damage = NULL;
    *got = true;
    if (next_plain(c, out)) {
        c->left--;
        return OK;
    }
    *got = false;
    if (++c->since_renewed == RENEW_RECORDS) {
        TRY(decoder_renew(&c->decoder, err));
        c->since_renewed = 0;
    }
    size_t used;
    TRY(decoder_read_first(&c->decoder, c->reader, c->rest, HEAP_BYTES / 2, &used, err));
    c->rest = bytes_of(c->rest.data + used, c->rest.len - used);
    c->left--;
    avro_value_t offset = decoder_field(&c->decoder, RECORD_OFFSET);
    avro_value_t timestamp = decoder_field(&c->decoder, RECORD_TIMESTAMP);
    out->offset = value_long(&offset);
    out->timestamp_ms = value_long(&timestamp);
    out->key = optional_bytes(&c->decoder, RECORD_KEY);
    out->value = optional_bytes(&c->decoder, RECORD_VALUE);
    get_headers(&c->decoder, out);
    *got = true;
    return OK;
}

/* ---- writing ---- */

static size_t put_run(uint8_t *out, struct bytes run) {
    size_t n = varint_put(out, (int64_t)run.len);
    if (run.len > 0)
        memcpy(out + n, run.data, run.len);
    return n + run.len;
}

size_t container_header(bool deflate, const uint8_t sync[CONTAINER_SYNC_BYTES], uint8_t *out) {
    uint8_t *at = out;
    memcpy(at, magic, sizeof magic);
    at += sizeof magic;
    at += varint_put(at, 2);
    at += put_run(at, bytes_text("avro.schema"));
    at += put_run(at, bytes_text(schema_recording_json()));
    at += put_run(at, bytes_text("avro.codec"));
    at += put_run(at, bytes_text(deflate ? "deflate" : "null"));
    at += varint_put(at, 0);
    memcpy(at, sync, CONTAINER_SYNC_BYTES);
    return (size_t)(at - out) + CONTAINER_SYNC_BYTES;
}

size_t container_record_bytes_max(const struct record *record) {
    size_t bytes = 8 * (size_t)VARINT_BYTES_MAX + record->key.len + record->value.len;
    for (uint32_t i = 0; i < record->header_count; i++)
        bytes += 2 * (size_t)VARINT_BYTES_MAX + record->headers[i].key.len +
                 record->headers[i].value.len;
    return bytes;
}

static size_t put_optional(uint8_t *out, struct bytes run) {
    size_t n = varint_put(out, run.data != NULL); /* the union's branch: null, bytes */
    return run.data != NULL ? n + put_run(out + n, run) : n;
}

size_t container_encode(const struct record *record, uint8_t *out) {
    uint8_t *at = out;
    at += varint_put(at, record->offset);
    at += varint_put(at, record->timestamp_ms);
    at += put_optional(at, record->key);
    at += put_optional(at, record->value);
    if (record->header_count > 0) {
        at += varint_put(at, record->header_count);
        for (uint32_t i = 0; i < record->header_count; i++) {
            at += put_run(at, record->headers[i].key);
            at += put_run(at, record->headers[i].value);
        }
    }
    at += varint_put(at, 0);
    return (size_t)(at - out);
}

struct deflater {
    z_stream stream;
};

enum status deflater_create(struct deflater **out, struct arena *arena, struct error *err) {
    struct deflater *deflater = arena_must(arena, sizeof *deflater);
    *deflater = (struct deflater){0};
    if (deflateInit2(&deflater->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return FAIL(err, FATAL, EX_OSERR, "zlib: no memory to deflate blocks");
    *out = deflater;
    return OK;
}

void deflater_destroy(struct deflater *deflater) {
    deflateEnd(&deflater->stream);
}

/* deflate's own bound: stored blocks of 64 KiB at worst, and some. */
static size_t deflated_bytes_max(size_t bytes) {
    return bytes + bytes / 1000 + 64;
}

size_t container_block_bytes_max(size_t payload_bytes) {
    return CONTAINER_FRAME_BYTES_MAX + deflated_bytes_max(payload_bytes) + CONTAINER_SYNC_BYTES;
}

size_t container_block(struct deflater *deflater, int64_t count, struct bytes payload,
                       const uint8_t sync[CONTAINER_SYNC_BYTES], uint8_t *out) {
    uint8_t *body = out + CONTAINER_FRAME_BYTES_MAX, *at = out;
    size_t size = payload.len;
    at += varint_put(at, count);
    if (deflater == NULL) {
        at += varint_put(at, (int64_t)size);
        memcpy(at, payload.data, size);
    } else {
        z_stream *stream = &deflater->stream;
        ASSERT(deflateBound(stream, payload.len) <= deflated_bytes_max(payload.len));
        deflateReset(stream);
        stream->next_in = (Bytef *)(uintptr_t)payload.data;
        stream->avail_in = (uInt)payload.len;
        stream->next_out = body;
        stream->avail_out = (uInt)deflated_bytes_max(payload.len);
        int result = deflate(stream, Z_FINISH);
        ASSERT(result == Z_STREAM_END);
        size = (size_t)(stream->next_out - body);
        at += varint_put(at, (int64_t)size);
        memmove(at, body, size);
    }
    at += size;
    memcpy(at, sync, CONTAINER_SYNC_BYTES);
    return (size_t)(at - out) + CONTAINER_SYNC_BYTES;
}
