#include "model/snapshot_private.h"

#include "base/file.h"

#include "base/poison.h"

/* ---- writing ---- */

struct writer {
    struct file_output file;
    unsigned char *block; /* SNAPSHOT_BUFFER_BYTES */
    size_t used;
    struct digest before;
};

static void put(struct writer *writer, const void *data, size_t len) {
    ASSERT(len <= SNAPSHOT_BUFFER_BYTES - BLOCK_DIGEST_BYTES - writer->used);
    memcpy(writer->block + writer->used, data, len);
    writer->used += len;
}

static void put_u32(struct writer *writer, uint32_t number) {
    put(writer, &number, sizeof number);
}

static void begin_block(struct writer *writer, enum block_kind kind) {
    writer->used = 0;
    put_u32(writer, kind);
    put_u32(writer, 0); /* the payload's length, known at the end */
}

static enum status end_block(struct writer *writer, struct error *err) {
    uint32_t payload = (uint32_t)writer->used - BLOCK_START_BYTES;
    memcpy(writer->block + 4, &payload, sizeof payload);
    writer->before = block_digest(bytes_of(writer->block, writer->used), writer->before);
    memcpy(writer->block + writer->used, &writer->before, BLOCK_DIGEST_BYTES);
    return file_append(&writer->file, writer->block, writer->used + BLOCK_DIGEST_BYTES, err);
}

static enum status write_head(struct writer *writer, const struct tables *set, struct bytes note,
                              struct error *err) {
    begin_block(writer, BLOCK_HEAD);
    put(writer, SNAPSHOT_MAGIC, 8);
    put_u32(writer, SNAPSHOT_FORMAT);
    put_u32(writer, set->count);
    if (note.len > 0)
        put(writer, note.data, note.len);
    return end_block(writer, err);
}

static void put_row(struct writer *writer, const struct table *t, uint32_t row) {
    uint8_t scratch[8];
    struct bytes key = key_is_hashed(t) ? row_key(t, row, scratch) : bytes_of(scratch, 0);
    put_u32(writer, row);
    put_u32(writer, (uint32_t)key.len);
    put(writer, &t->versions[row], sizeof t->versions[row]);
    put(writer, key.data, key.len);
    put(writer, value_at(t, row), t->stride);
}

static enum status write_table(struct writer *writer, const struct table *t, struct error *err) {
    begin_block(writer, BLOCK_TABLE);
    put(writer, t->name, TABLE_NAME_BYTES);
    put_u32(writer, t->spec.key_kind);
    put_u32(writer, t->spec.value_bytes);
    put_u32(writer, t->rows);
    put(writer, &t->digest, sizeof t->digest);
    TRY(end_block(writer, err));
    begin_block(writer, BLOCK_ROWS);
    for (uint32_t row = 0; row < t->end; row++) {
        if (!bit_get(t->live, row))
            continue;
        put_row(writer, t, row);
        if (writer->used < ROWS_BYTES_FULL && row + 1 < t->end)
            continue;
        TRY(end_block(writer, err));
        begin_block(writer, BLOCK_ROWS);
    }
    return OK;
}

enum status snapshot_write(const char *path, const struct tables *set, struct bytes note,
                           struct error *err) {
    ASSERT(set->touched == 0 && !set->sealed);
    ASSERT(note.len <= SNAPSHOT_NOTE_BYTES_MAX);
    struct writer writer = {.block = set->buffer};
    TRY(file_create(&writer.file, path, err));
    TRY(write_head(&writer, set, note, err));
    for (uint32_t i = 0; i < set->count; i++)
        TRY(write_table(&writer, set->at[i], err));
    begin_block(&writer, BLOCK_END);
    TRY(end_block(&writer, err));
    return file_commit(&writer.file, err);
}

/* ---- reading ---- */

struct reader {
    const char *name;              /* for messages */
    const uint8_t *memory;         /* the whole file, or NULL: */
    const struct file_input *file; /* blocks are read into `buffer` */
    unsigned char *buffer;         /* SNAPSHOT_BUFFER_BYTES */
    uint64_t at, end;
    struct digest before;
};

struct block {
    uint32_t kind;
    struct bytes payload;
};

#define DAMAGED(reader, ...) damaged((reader), FAIL(err, BAD_RECORD, EX_DATAERR, __VA_ARGS__), err)

static enum status damaged(const struct reader *reader, enum status status, struct error *err) {
    if (err != NULL)
        error_context(err, "%s: not a usable snapshot (delete it: the log has everything)",
                      reader->name);
    return status;
}

/* `len` bytes from reader->at on, at most a buffer full; valid until the next call. */
static enum status fetch(const struct reader *reader, size_t len, const uint8_t **out,
                         struct error *err) {
    if (reader->memory != NULL) {
        *out = reader->memory + reader->at;
        return OK;
    }
    struct error cause;
    if (file_read_at(reader->file, reader->at, reader->buffer, len, &cause) != OK)
        return DAMAGED(reader, "%s", cause.text);
    *out = reader->buffer;
    return OK;
}

static enum status next_block(struct reader *reader, struct block *block, struct error *err) {
    const size_t around = BLOCK_START_BYTES + BLOCK_DIGEST_BYTES;
    const unsigned long long at = reader->at;
    const uint64_t left = reader->end - reader->at;
    const uint8_t *bytes;
    uint32_t payload;
    if (left < around)
        return DAMAGED(reader, "it ends at byte %llu, within a block", at + left);
    TRY(fetch(reader, BLOCK_START_BYTES, &bytes, err));
    memcpy(&payload, bytes + 4, sizeof payload);
    if (payload > left - around || payload > SNAPSHOT_BUFFER_BYTES - around)
        return DAMAGED(reader, "the block at byte %llu claims %u bytes, of %llu that are left", at,
                       payload, (unsigned long long)left);
    TRY(fetch(reader, payload + around, &bytes, err));
    size_t signed_bytes = BLOCK_START_BYTES + payload;
    reader->before = block_digest(bytes_of(bytes, signed_bytes), reader->before);
    if (memcmp(&reader->before, bytes + signed_bytes, BLOCK_DIGEST_BYTES) != 0)
        return DAMAGED(reader, "the block at byte %llu does not have its digest", at);
    memcpy(&block->kind, bytes, sizeof block->kind);
    block->payload = bytes_of(bytes + BLOCK_START_BYTES, payload);
    reader->at += payload + around;
    return OK;
}

static enum status expect_block(struct reader *reader, enum block_kind kind, struct block *block,
                                struct error *err) {
    unsigned long long at = reader->at;
    TRY(next_block(reader, block, err));
    if (block->kind != (uint32_t)kind)
        return DAMAGED(reader, "a block of kind %u at byte %llu, where kind %d must stand",
                       block->kind, at, (int)kind);
    return OK;
}

static void rewind_reader(struct reader *reader) {
    reader->at = 0;
    reader->before = (struct digest){0, 0};
}

/* The first pass: all digests, and nothing else. */
static enum status check_digests(struct reader *reader, struct error *err) {
    struct block block;
    rewind_reader(reader);
    do
        TRY(next_block(reader, &block, err));
    while (reader->at < reader->end);
    rewind_reader(reader);
    return OK;
}

static enum status read_head(struct reader *reader, const struct tables *set, struct bytes *note,
                             struct error *err) {
    struct block block;
    uint32_t format, tables;
    TRY(expect_block(reader, BLOCK_HEAD, &block, err));
    const uint8_t *head = block.payload.data;
    if (block.payload.len < HEAD_BYTES || memcmp(head, SNAPSHOT_MAGIC, 8) != 0)
        return DAMAGED(reader, "it does not begin as a snapshot does");
    memcpy(&format, head + 8, sizeof format);
    memcpy(&tables, head + 12, sizeof tables);
    if (format != SNAPSHOT_FORMAT)
        return DAMAGED(reader, "its format is %u, this program reads format %u", format,
                       SNAPSHOT_FORMAT);
    if (tables != set->count)
        return DAMAGED(reader, "it has %u tables, this configuration %u", tables, set->count);
    *note = bytes_of(head + HEAD_BYTES, block.payload.len - HEAD_BYTES);
    if (note->len > SNAPSHOT_NOTE_BYTES_MAX)
        return DAMAGED(reader, "a note of %zu bytes", note->len);
    return OK;
}

static enum status restore_row(struct table *t, struct bytes key, uint32_t position,
                               uint64_t version, struct bytes value, struct error *err) {
    if (key_is_hashed(t))
        return table_restore(t, key, position, version, value, err);
    if (key.len != 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "table %s: a key at position %u, where none belongs", t->name, position);
    if (t->spec.key_kind == KEY_CHILD)
        return table_restore_child(t, position, version, value, err);
    uint8_t dense[8];
    put_be64(dense, position);
    return table_restore(t, bytes_of(dense, 8), position, version, value, err);
}

/* The rows of one block. *next is one past the position of the row before. */
static enum status restore_block(const struct reader *reader, struct table *t, struct bytes rows,
                                 uint64_t *next, struct error *err) {
    while (rows.len > 0) {
        uint32_t position, key_len;
        uint64_t version;
        if (rows.len < ROW_START_BYTES)
            return DAMAGED(reader, "table %s: a row of %zu bytes", t->name, rows.len);
        memcpy(&position, rows.data, 4);
        memcpy(&key_len, rows.data + 4, 4);
        memcpy(&version, rows.data + 8, 8);
        rows = bytes_of(rows.data + ROW_START_BYTES, rows.len - ROW_START_BYTES);
        if (key_len > rows.len || t->stride > rows.len - key_len)
            return DAMAGED(reader, "table %s: a row longer than its block", t->name);
        if (position < *next)
            return DAMAGED(reader, "table %s: position %u after %llu", t->name, position,
                           (unsigned long long)*next - 1);
        *next = (uint64_t)position + 1;
        enum status status = restore_row(t, bytes_of(rows.data, key_len), position, version,
                                         bytes_of(rows.data + key_len, t->stride), err);
        if (status != OK)
            return damaged(reader, status, err);
        size_t taken = key_len + t->stride;
        rows = bytes_of(rows.data + taken, rows.len - taken);
    }
    return OK;
}

static enum status read_table(struct reader *reader, struct table *t, struct error *err) {
    struct block block;
    uint32_t numbers[3]; /* key kind, value bytes, rows */
    struct digest digest;
    TRY(expect_block(reader, BLOCK_TABLE, &block, err));
    if (block.payload.len != TABLE_BYTES)
        return DAMAGED(reader, "the head of a table has %zu bytes", block.payload.len);
    if (memcmp(block.payload.data, t->name, TABLE_NAME_BYTES) != 0)
        return DAMAGED(reader, "it has table %.31s where this configuration has %s",
                       (const char *)block.payload.data, t->name);
    memcpy(numbers, block.payload.data + TABLE_NAME_BYTES, sizeof numbers);
    memcpy(&digest, block.payload.data + TABLE_NAME_BYTES + sizeof numbers, sizeof digest);
    if (numbers[0] != (uint32_t)t->spec.key_kind || numbers[1] != t->spec.value_bytes)
        return DAMAGED(reader, "table %s: kind %u with rows of %u bytes, but kind %u and %u here",
                       t->name, numbers[0], numbers[1], (uint32_t)t->spec.key_kind,
                       t->spec.value_bytes);
    for (uint64_t next = 0; t->rows < numbers[2];) {
        TRY(expect_block(reader, BLOCK_ROWS, &block, err));
        if (block.payload.len == 0)
            return DAMAGED(reader, "table %s: a block without rows", t->name);
        TRY(restore_block(reader, t, block.payload, &next, err));
    }
    if (t->rows != numbers[2] || !digest_equal(t->digest, digest))
        return DAMAGED(reader, "table %s: its %u rows, of %u, do not have its digest", t->name,
                       t->rows, numbers[2]);
    return OK;
}

/* After the head: what may leave rows behind when it fails. */
static enum status read_tables(struct reader *reader, struct tables *set, struct error *err) {
    struct block block;
    for (uint32_t i = 0; i < set->count; i++)
        TRY(read_table(reader, set->at[i], err));
    TRY(expect_block(reader, BLOCK_END, &block, err));
    if (block.payload.len != 0 || reader->at != reader->end)
        return DAMAGED(reader, "it goes on after its end, at byte %llu",
                       (unsigned long long)reader->at);
    return OK;
}

/* arena == NULL: the note stays where it is. */
static enum status decode(struct reader *reader, struct tables *set, struct arena *arena,
                          struct bytes *note, struct error *err) {
    for (uint32_t i = 0; i < set->count; i++)
        ASSERT(set->at[i]->rows == 0);
    TRY(check_digests(reader, err));
    TRY(read_head(reader, set, note, err));
    if (arena != NULL) {
        note->data = arena_copy(arena, note->data, note->len);
        if (note->data == NULL)
            return FAIL(err, FATAL, EX_SOFTWARE,
                        "%s: its note of %zu bytes does not fit into the memory for %s",
                        reader->name, note->len, arena->name);
    }
    enum status status = read_tables(reader, set, err);
    if (status != OK)
        tables_clear(set);
    return status;
}

enum status snapshot_decode(struct bytes file, struct tables *set, struct bytes *note,
                            struct error *err) {
    struct reader reader = {.name = "snapshot", .memory = file.data, .end = file.len};
    if (file.len == 0)
        return DAMAGED(&reader, "it is empty");
    return decode(&reader, set, NULL, note, err);
}

enum status snapshot_read(const char *path, struct tables *set, struct arena *arena,
                          struct bytes *note, struct error *err) {
    struct file_input file;
    if (!file_exists(path))
        return FAIL(err, RETRY, EX_NOINPUT, "%s: there is no snapshot", path);
    TRY(file_open(&file, path, err));
    struct reader reader = {.name = path, .file = &file, .buffer = set->buffer, .end = file.bytes};
    size_t mark = arena_mark(arena);
    enum status status = decode(&reader, set, arena, note, err);
    if (status != OK)
        arena_rewind(arena, mark);
    file_close(&file);
    return status;
}
