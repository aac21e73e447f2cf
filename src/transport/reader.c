/* One file of a recording. Blocks are framed here, so that a damaged one costs no more than what
 * lies up to the next sync marker; records are decoded by the codec room. */
#include "transport/reader.h"

#include "base/file.h"
#include "codec/container.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/poison.h"

#define DAMAGE_BYTES_MAX ((size_t)256 << 10)
#define SEARCH_BYTES ((size_t)1 << 20)
/* A block is not shorter than this: two numbers and a sync marker. */
#define BLOCK_BYTES_MIN (2 + CONTAINER_SYNC_BYTES)

/* Where a block lies, and its first record: for seeking back. */
struct block_start {
    int64_t first_offset;
    uint64_t at;
    int64_t expected; /* the offset that was expected there */
    int64_t timestamp_ms;
};

struct recording_reader {
    struct arena arena;  /* this struct and the window: the block being read, or searched */
    struct arena blocks; /* struct block_start [block_count], by position in the file */
    char path[FILE_PATH_BYTES];
    struct file_input input;
    struct container *container;
    enum topic topic;
    int32_t partition;
    uint64_t first_block; /* where the header ends */
    uint64_t at;          /* the next block */
    bool in_block;
    bool first_in_block;
    uint64_t block_at;
    int64_t expected;     /* the next offset */
    int64_t timestamp_ms; /* of the last record */
    int64_t skip_below;   /* seeking: records before this offset are passed over */
    uint8_t *window;
    size_t window_bytes;
    uint32_t block_count;
    char text[384]; /* of the damage reported last */
};

/* ---- opening ---- */

static enum status read_head(struct recording_reader *r, struct error *err) {
    size_t len = r->input.bytes < r->window_bytes ? (size_t)r->input.bytes : r->window_bytes;
    if (len > CONTAINER_HEADER_BYTES_MAX)
        len = CONTAINER_HEADER_BYTES_MAX;
    TRY(file_read_at(&r->input, 0, r->window, len, err));
    size_t header_bytes = 0;
    if (container_create(&r->container, bytes_of(r->window, len), &header_bytes, err) != OK)
        return error_context(err, "%s", r->path);
    r->first_block = r->at = header_bytes;
    return OK;
}

static enum status open_file(struct recording_reader *r, struct error *err) {
    TRY(file_open(&r->input, r->path, err));
    uint64_t blocks = r->input.bytes / BLOCK_BYTES_MIN + 1;
    TRY(arena_reserve(&r->blocks, "recording's block index",
                      (size_t)blocks * sizeof(struct block_start), err));
    arena_must(&r->blocks, (size_t)blocks * sizeof(struct block_start));
    return read_head(r, err);
}

enum status recording_reader_open(struct recording_reader **out, const char *dir,
                                  const struct recorded_partition *partition, struct error *err) {
    struct arena arena;
    size_t window_bytes = CONTAINER_BLOCK_BYTES_MAX + CONTAINER_SYNC_BYTES;
    TRY(arena_reserve(&arena, "recording's reader",
                      window_bytes + sizeof(struct recording_reader) + 128, err));
    struct recording_reader *r = arena_must(&arena, sizeof *r);
    *r = (struct recording_reader){.arena = arena,
                                   .input.fd = -1,
                                   .topic = partition->topic,
                                   .partition = partition->partition,
                                   .skip_below = INT64_MIN,
                                   .window_bytes = window_bytes};
    r->window = arena_must(&r->arena, window_bytes);
    enum status status = OK;
    if (snprintf(r->path, sizeof r->path, "%s/%s", dir, partition->file) >= (int)sizeof r->path)
        status = FAIL(err, FATAL, EX_NOINPUT, "%s/%s: the path is too long", dir, partition->file);
    if (status == OK)
        status = open_file(r, err);
    if (status == OK)
        *out = r;
    else
        recording_reader_close(r);
    return status;
}

void recording_reader_close(struct recording_reader *r) {
    if (r->container != NULL)
        container_destroy(r->container);
    if (r->input.fd >= 0)
        file_close(&r->input);
    arena_release(&r->blocks);
    struct arena arena = r->arena; /* holds the reader itself */
    arena_release(&arena);
}

/* ---- damage ---- */

static void damaged(struct recording_reader *r, struct record *out, struct bytes raw) {
    if (raw.len > DAMAGE_BYTES_MAX)
        raw.len = DAMAGE_BYTES_MAX;
    *out = (struct record){.topic = r->topic,
                           .partition = r->partition,
                           .offset = r->expected,
                           .timestamp_ms = r->timestamp_ms,
                           .value = raw,
                           .damage = r->text};
}

/* The first sync marker at or after `from`; the file's end when there is none. */
static enum status find_sync(struct recording_reader *r, uint64_t from, uint64_t *found,
                             struct error *err) {
    const uint8_t *sync = container_sync(r->container);
    for (uint64_t at = from; at + CONTAINER_SYNC_BYTES <= r->input.bytes;) {
        uint64_t left = r->input.bytes - at;
        size_t len = left < SEARCH_BYTES ? (size_t)left : SEARCH_BYTES;
        TRY(file_read_at(&r->input, at, r->window, len, err));
        const uint8_t *hit = memmem(r->window, len, sync, CONTAINER_SYNC_BYTES);
        if (hit != NULL) {
            *found = at + (uint64_t)(hit - r->window);
            return OK;
        }
        at += len - (CONTAINER_SYNC_BYTES - 1);
    }
    *found = r->input.bytes;
    return OK;
}

/* What is at r->at begins no block: one damage record for all up to the end of the next sync
 * marker. */
static enum status skip_damage(struct recording_reader *r, const char *what, struct record *out,
                               struct error *err) {
    uint64_t from = r->at, end;
    TRY(find_sync(r, from, &end, err));
    bool cut_off = end == r->input.bytes;
    r->at = cut_off ? end : end + CONTAINER_SYNC_BYTES;
    uint64_t bytes = r->at - from;
    size_t len = bytes < DAMAGE_BYTES_MAX ? (size_t)bytes : DAMAGE_BYTES_MAX;
    TRY(file_read_at(&r->input, from, r->window, len, err));
    snprintf(r->text, sizeof r->text,
             "%.240s: byte %" PRIu64 ": %s; %" PRIu64 " bytes up to the %s are lost", r->path, from,
             what, bytes, cut_off ? "file's end" : "next sync marker");
    damaged(r, out, bytes_of(r->window, len));
    return OK;
}

/* The rest of the block that is being read cannot be decoded. */
static void skip_rest(struct recording_reader *r, const char *what, struct record *out) {
    snprintf(r->text, sizeof r->text, "%.160s: block at byte %" PRIu64 ": %.160s; its rest is lost",
             r->path, r->block_at, what);
    r->in_block = false;
    damaged(r, out, container_rest(r->container));
}

/* ---- blocks ---- */

/* Loads the block at r->at. *what is set when there is none. */
static enum status load_block(struct recording_reader *r, const char **what, struct error *err) {
    uint64_t left = r->input.bytes - r->at;
    uint8_t frame[CONTAINER_FRAME_BYTES_MAX];
    size_t len = left < sizeof frame ? (size_t)left : sizeof frame, used;
    int64_t count, size;
    TRY(file_read_at(&r->input, r->at, frame, len, err));
    if (!container_frame(bytes_of(frame, len), &count, &size, &used)) {
        *what = "no block begins here";
        return OK;
    }
    left -= used;
    if (left < CONTAINER_SYNC_BYTES || (uint64_t)size > left - CONTAINER_SYNC_BYTES) {
        *what = "the block is cut off, or its length is wrong";
        return OK;
    }
    if ((uint64_t)size > CONTAINER_BLOCK_BYTES_MAX) {
        *what = "the block is longer than 64 MiB";
        return OK;
    }
    size_t bytes = (size_t)size;
    TRY(file_read_at(&r->input, r->at + used, r->window, bytes + CONTAINER_SYNC_BYTES, err));
    if (memcmp(r->window + bytes, container_sync(r->container), CONTAINER_SYNC_BYTES) != 0) {
        *what = "no sync marker follows the block";
        return OK;
    }
    r->block_at = r->at;
    r->at += used + bytes + CONTAINER_SYNC_BYTES;
    r->in_block = r->first_in_block = true;
    return container_load(r->container, bytes_of(r->window, bytes), count, err);
}

/* Remembers where the block lies, the first time that its first record is read. */
static void note_block(struct recording_reader *r, int64_t first_offset) {
    struct block_start *starts = (struct block_start *)(void *)r->blocks.base;
    if (r->block_count == 0 || starts[r->block_count - 1].at < r->block_at)
        starts[r->block_count++] = (struct block_start){.first_offset = first_offset,
                                                        .at = r->block_at,
                                                        .expected = r->expected,
                                                        .timestamp_ms = r->timestamp_ms};
}

/* A record came out of the block: offsets must go up. */
static void check_offset(struct recording_reader *r, struct record *out) {
    bool first = r->first_in_block;
    r->first_in_block = false;
    out->topic = r->topic;
    out->partition = r->partition;
    if (out->offset >= r->expected && out->offset < INT64_MAX) {
        if (first)
            note_block(r, out->offset);
        r->expected = out->offset + 1;
        r->timestamp_ms = out->timestamp_ms;
        return;
    }
    snprintf(r->text, sizeof r->text,
             "%.240s: block at byte %" PRIu64 ": offset %" PRId64 " repeats or steps back", r->path,
             r->block_at, out->offset);
    out->offset = r->expected;
    out->damage = r->text;
}

/* A record out of the block, or damage in its place; *got = false at the block's end. */
static enum status next_in_block(struct recording_reader *r, struct record *out, bool *got,
                                 struct error *err) {
    struct error reason;
    enum status status = container_next(r->container, out, got, &reason);
    if (status == OK && *got)
        check_offset(r, out);
    else if (status == OK)
        r->in_block = false;
    else if (status == BAD_RECORD) {
        skip_rest(r, reason.text, out);
        *got = true;
    } else {
        *err = reason;
        return status;
    }
    return OK;
}

/* Opens the next block, or makes damage of what is there; *got = false when the block is open. */
static enum status next_block(struct recording_reader *r, struct record *out, bool *got,
                              struct error *err) {
    struct error reason;
    const char *what = NULL;
    enum status status = load_block(r, &what, &reason);
    *got = status == BAD_RECORD || what != NULL;
    if (what != NULL)
        return skip_damage(r, what, out, err);
    if (status == BAD_RECORD) {
        skip_rest(r, reason.text, out);
        return OK;
    }
    if (status != OK)
        *err = reason;
    return status;
}

static enum status next(struct recording_reader *r, struct record *out, bool *got,
                        struct error *err) {
    for (*got = false; !*got && (r->in_block || r->at < r->input.bytes);)
        TRY(r->in_block ? next_in_block(r, out, got, err) : next_block(r, out, got, err));
    return OK;
}

enum status recording_reader_next(struct recording_reader *r, struct record *out, bool *got,
                                  struct error *err) {
    do
        TRY(next(r, out, got, err));
    while (*got && out->offset < r->skip_below);
    r->skip_below = INT64_MIN;
    return OK;
}

void recording_reader_seek(struct recording_reader *r, int64_t offset) {
    const struct block_start *starts = (const struct block_start *)(const void *)r->blocks.base;
    uint32_t low = 0, high = r->block_count; /* the last block that begins before `offset` */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (starts[middle].first_offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    r->in_block = false;
    r->skip_below = offset;
    r->at = low > 0 ? starts[low - 1].at : r->first_block;
    r->expected = low > 0 ? starts[low - 1].expected : 0;
    r->timestamp_ms = low > 0 ? starts[low - 1].timestamp_ms : 0;
}
