/* Writing a recording. Records wait in memory until their epoch commits (or, outside epochs,
 * until some MiB are together), then go to their files as whole blocks; blocks never span two
 * epochs. */
#include "transport/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/poison.h"

#define PENDING_BYTES ((size_t)1 << 30)
/* Outside epochs records are written when so many bytes are together. */
#define FLUSH_BYTES ((size_t)16 << 20)
/* A block is closed when it has so much; a larger record has one of its own. */
#define BLOCK_BYTES ((size_t)64 << 10)
/* Room for one partition in a line of sealed.log. */
#define LINE_BYTES_PER_SLOT 160

void slot_path(const struct recording_writer *w, const struct slot *slot,
               char out[FILE_PATH_BYTES]) {
    snprintf(out, FILE_PATH_BYTES, "%s/%s-%d.avro", w->dir, topic_name(slot->topic),
             slot->partition);
}

enum status write_at(int fd, const char *path, uint64_t offset, const void *data, size_t len,
                     struct error *err) {
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FAIL(err, FATAL, EX_IOERR, "%s: cannot write: %s", path,
                        n == 0 ? "nothing was taken" : strerror(errno));
        done += (size_t)n;
    }
    return OK;
}

/* ---- starting ---- */

static void make_slots(struct recording_writer *w) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        w->first_slot[topic] = w->slot_count;
        for (int32_t p = 0; p < w->config.partitions[topic]; p++) {
            struct slot *slot = &w->slots[w->slot_count++];
            *slot = (struct slot){.topic = (enum topic)topic, .partition = p, .fd = -1};
            slot->last = &slot->first;
            /* a function of the name: equal records give equal files, and one file's marker is
             * in no other */
            const char *name = topic_name(slot->topic);
            struct digest mark = digest_of(name, strlen(name), (uint64_t)p + 1);
            put_be64(slot->sync, mark.hi);
            put_be64(slot->sync + 8, mark.lo);
        }
    }
}

static enum status copy_config(struct recording_writer *w,
                               const struct recording_writer_config *config, struct error *err) {
    w->config = *config;
    uint32_t slots = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (config->partitions[topic] < 0 || config->partitions[topic] > RECORDED_PARTITIONS_MAX)
            return FAIL(err, FATAL, EX_CONFIG, "topic %s: %d partitions; a recording has 0 to %d",
                        topic_name((enum topic)topic), config->partitions[topic],
                        RECORDED_PARTITIONS_MAX);
        slots += (uint32_t)config->partitions[topic];
    }
    if (slots > RECORDED_PARTITIONS_MAX || config->schema_count > RECORDED_SCHEMAS_MAX)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%u partitions and %u schemas are more than a recording has (%d, %d)", slots,
                    config->schema_count, RECORDED_PARTITIONS_MAX, RECORDED_SCHEMAS_MAX);
    w->slots = arena_must(&w->arena, sizeof *w->slots * (slots + 1));
    make_slots(w);
    w->line_max = ((size_t)slots + 1) * LINE_BYTES_PER_SLOT;
    w->line = arena_must(&w->arena, w->line_max);
    struct recorded_schema *schemas =
        arena_must(&w->arena, sizeof *schemas * (config->schema_count + 1));
    for (uint32_t i = 0; i < config->schema_count; i++) {
        schemas[i] = config->schemas[i];
        schemas[i].json = arena_text(&w->arena, schemas[i].json, strlen(schemas[i].json));
        if (schemas[i].json == NULL)
            return FAIL(err, FATAL, EX_DATAERR, "the schemas are longer than %zu bytes together",
                        w->arena.reserved);
    }
    w->config.schemas = schemas;
    return OK;
}

static enum status prepare(struct recording_writer *w, const char *dir,
                           const struct recording_writer_config *config, struct error *err) {
    if (strlen(dir) + 64 > FILE_PATH_BYTES)
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: the path is too long", dir);
    w->dir = arena_text(&w->arena, dir, strlen(dir));
    TRY(copy_config(w, config, err));
    TRY(arena_reserve(&w->pending, "recording's records", PENDING_BYTES, err));
    size_t framed_bytes = container_block_bytes_max(CONTAINER_BLOCK_BYTES_MAX);
    TRY(arena_reserve(&w->block, "recording's block",
                      CONTAINER_BLOCK_BYTES_MAX + framed_bytes + CONTAINER_HEADER_BYTES_MAX + 256,
                      err));
    w->payload = arena_must(&w->block, CONTAINER_BLOCK_BYTES_MAX);
    w->framed = arena_must(&w->block, framed_bytes);
    w->header = arena_must(&w->block, CONTAINER_HEADER_BYTES_MAX);
    if (config->compression == COMPRESSION_DEFLATE)
        TRY(deflater_create(&w->deflater, &w->arena, err));
    return OK;
}

/* A new file for each partition: the header alone. */
static enum status create_files(struct recording_writer *w, struct error *err) {
    for (uint32_t i = 0; i < w->slot_count; i++) {
        struct slot *slot = &w->slots[i];
        char path[FILE_PATH_BYTES];
        slot_path(w, slot, path);
        slot->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (slot->fd < 0)
            return FAIL(err, FATAL, EX_CANTCREAT, "%s: cannot create: %s", path, strerror(errno));
        slot->bytes = container_header(w->deflater != NULL, slot->sync, w->header);
        TRY(write_at(slot->fd, path, 0, w->header, slot->bytes, err));
    }
    return OK;
}

static enum status start(struct recording_writer **out, const char *dir,
                         const struct recording_writer_config *config, bool resume, uint64_t *epoch,
                         struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "recording's writer", (size_t)64 << 20, err));
    struct recording_writer *w = arena_must(&arena, sizeof *w);
    *w = (struct recording_writer){.arena = arena, .log_fd = -1};
    *epoch = 0;
    enum status status = prepare(w, dir, config, err);
    if (status == OK)
        status = sealed_open(w, resume, err);
    if (status == OK && resume)
        status = sealed_restore(w, epoch, err);
    if (status == OK && *epoch == 0)
        status = create_files(w, err);
    if (status == OK)
        *out = w;
    else
        recording_writer_close(w);
    return status;
}

enum status recording_writer_create(struct recording_writer **out, const char *dir,
                                    const struct recording_writer_config *config,
                                    struct error *err) {
    uint64_t none;
    return start(out, dir, config, false, &none, err);
}

enum status recording_writer_resume(struct recording_writer **out, const char *dir,
                                    const struct recording_writer_config *config, uint64_t *epoch,
                                    struct error *err) {
    return start(out, dir, config, true, epoch, err);
}

void recording_writer_close(struct recording_writer *w) {
    for (uint32_t i = 0; i < w->slot_count; i++)
        if (w->slots[i].fd >= 0)
            close(w->slots[i].fd);
    if (w->log_fd >= 0)
        close(w->log_fd);
    if (w->deflater != NULL)
        deflater_destroy(w->deflater);
    arena_release(&w->pending);
    arena_release(&w->block);
    struct arena arena = w->arena; /* holds the writer itself */
    arena_release(&arena);
}

/* ---- records ---- */

static enum status keep(struct recording_writer *w, struct slot *slot, const struct record *record,
                        struct error *err) {
    size_t max = container_record_bytes_max(record);
    if (max > CONTAINER_BLOCK_BYTES_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "%s-%d: a record of %zu bytes; a recording takes %zu",
                    topic_name(slot->topic), slot->partition, max, CONTAINER_BLOCK_BYTES_MAX);
    struct pending *pending = arena_alloc(&w->pending, sizeof *pending + max);
    if (pending == NULL)
        return FAIL(err, FATAL, EX_UNAVAILABLE,
                    "epoch %" PRIu64 " has more than %zu bytes of records; make epochs shorter",
                    w->epoch, w->pending.reserved);
    pending->bytes = container_encode(record, pending->data);
    pending->next = NULL;
    *slot->last = pending;
    slot->last = &pending->next;
    struct reached *now = &slot->now;
    if (now->count == 0 || record->timestamp_ms < now->first_timestamp_ms)
        now->first_timestamp_ms = record->timestamp_ms;
    if (now->count == 0 || record->timestamp_ms > now->last_timestamp_ms)
        now->last_timestamp_ms = record->timestamp_ms;
    now->count++;
    now->next_offset = record->offset + 1;
    return OK;
}

static enum status write_block(struct recording_writer *w, struct slot *slot, const char *path,
                               int64_t count, size_t payload_bytes, struct error *err) {
    size_t len = container_block(w->deflater, count, bytes_of(w->payload, payload_bytes),
                                 slot->sync, w->framed);
    TRY(write_at(slot->fd, path, slot->bytes, w->framed, len, err));
    slot->bytes += len;
    return OK;
}

static enum status flush_slot(struct recording_writer *w, struct slot *slot, struct error *err) {
    char path[FILE_PATH_BYTES];
    int64_t count = 0;
    size_t bytes = 0;
    slot_path(w, slot, path);
    for (const struct pending *p = slot->first; p != NULL; p = p->next) {
        memcpy(w->payload + bytes, p->data, p->bytes);
        bytes += p->bytes;
        count++;
        if (p->next != NULL && bytes + p->next->bytes <= BLOCK_BYTES)
            continue;
        TRY(write_block(w, slot, path, count, bytes, err));
        count = 0;
        bytes = 0;
    }
    slot->first = NULL;
    slot->last = &slot->first;
    return OK;
}

static enum status flush(struct recording_writer *w, struct error *err) {
    for (uint32_t i = 0; i < w->slot_count; i++)
        TRY(flush_slot(w, &w->slots[i], err));
    arena_reset(&w->pending);
    return OK;
}

enum status recording_writer_append(struct recording_writer *w, const struct record *record,
                                    struct error *err) {
    ASSERT(!w->in_epoch);
    int32_t partitions = w->config.partitions[record->topic];
    if (record->partition < 0 || record->partition >= partitions)
        return FAIL(err, FATAL, EX_DATAERR, "%s-%d: this recording has %d partitions of the topic",
                    topic_name(record->topic), record->partition, partitions);
    struct slot *slot = &w->slots[w->first_slot[record->topic] + (uint32_t)record->partition];
    struct record placed = *record;
    if (placed.offset == -1)
        placed.offset = slot->now.next_offset;
    if (placed.offset < slot->now.next_offset || placed.offset == INT64_MAX)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s-%d: offset %" PRId64 " after %" PRId64 "; offsets must increase",
                    topic_name(record->topic), record->partition, placed.offset,
                    slot->now.next_offset - 1);
    if (w->pending.used > FLUSH_BYTES)
        TRY(flush(w, err));
    return keep(w, slot, &placed, err);
}

static struct slot *slot_of(const struct recording_writer *w, enum topic topic, int32_t partition) {
    ASSERT(partition >= 0 && partition < w->config.partitions[topic]);
    return &w->slots[w->first_slot[topic] + (uint32_t)partition];
}

int64_t recording_writer_next(const struct recording_writer *w, enum topic topic,
                              int32_t partition) {
    return slot_of(w, topic, partition)->now.next_offset;
}

void recording_writer_place(struct recording_writer *w, enum topic topic, int32_t partition,
                            int64_t next_offset) {
    struct slot *slot = slot_of(w, topic, partition);
    ASSERT(slot->now.count == 0);
    slot->now.next_offset = next_offset;
}

void recording_writer_schemas(struct recording_writer *w, const struct recorded_schema *schemas,
                              uint32_t count) {
    ASSERT(count <= RECORDED_SCHEMAS_MAX);
    w->config.schemas = schemas;
    w->config.schema_count = count;
}

/* ---- the sink ---- */

static enum status sink_begin(void *self, uint64_t epoch, struct error *err) {
    struct recording_writer *w = self;
    ASSERT(!w->in_epoch);
    TRY(flush(w, err)); /* what was appended before belongs to no epoch */
    w->in_epoch = true;
    w->epoch = epoch;
    return OK;
}

int32_t recording_partition(const struct record *record, int32_t partitions) {
    return (int32_t)(hash64(record->key.data, record->key.len, 0) % (uint64_t)partitions);
}

static enum status sink_put(void *self, const struct record *record, struct error *err) {
    struct recording_writer *w = self;
    ASSERT(w->in_epoch && record->topic < TOPIC_COUNT);
    uint64_t partitions = (uint64_t)w->config.partitions[record->topic];
    if (partitions == 0)
        return OK; /* a topic that is not written */
    struct record placed = *record;
    placed.partition = recording_partition(record, (int32_t)partitions);
    struct slot *slot = &w->slots[w->first_slot[record->topic] + (uint32_t)placed.partition];
    placed.offset = slot->now.next_offset;
    return keep(w, slot, &placed, err);
}

static enum status sink_ends(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                             struct error *err) {
    const struct recording_writer *w = self;
    *count = 0;
    for (uint32_t i = w->first_slot[TOPIC_INPUTS]; i < w->slot_count; i++) {
        if (*count == max)
            return FAIL(err, FATAL, EX_SOFTWARE,
                        "room for the ends of %u output partitions is not enough", max);
        ends[(*count)++] = (struct output_end){.topic = w->slots[i].topic,
                                               .partition = w->slots[i].partition,
                                               .end_offset = w->slots[i].now.next_offset};
    }
    return OK;
}

/* The input positions are in the epoch's manifest, which is one of its records. */
static enum status sink_commit(void *self, const struct position *positions, uint32_t count,
                               struct error *err) {
    (void)positions;
    (void)count;
    struct recording_writer *w = self;
    ASSERT(w->in_epoch);
    TRY(flush(w, err));
    TRY(sealed_append(w, err));
    w->in_epoch = false;
    return OK;
}

static enum status sink_abort(void *self, struct error *err) {
    (void)err;
    struct recording_writer *w = self;
    ASSERT(w->in_epoch);
    for (uint32_t i = 0; i < w->slot_count; i++) {
        struct slot *slot = &w->slots[i];
        slot->now = slot->sealed;
        slot->first = NULL;
        slot->last = &slot->first;
    }
    arena_reset(&w->pending);
    w->in_epoch = false;
    return OK;
}

struct sink_port recording_writer_port(struct recording_writer *w) {
    return (struct sink_port){.self = w,
                              .begin = sink_begin,
                              .put = sink_put,
                              .ends = sink_ends,
                              .commit = sink_commit,
                              .abort = sink_abort};
}

/* ---- the end ---- */

static enum status sync_file(int fd, const char *path, struct error *err) {
    if (fsync(fd) != 0)
        return FAIL(err, FATAL, EX_IOERR, "%s: cannot make it durable: %s", path, strerror(errno));
    return OK;
}

enum status recording_writer_finish(struct recording_writer *w, struct error *err) {
    ASSERT(!w->in_epoch);
    TRY(flush(w, err));
    struct recorded_partition *partitions =
        arena_alloc(&w->pending, sizeof *partitions * (w->slot_count + 1));
    ASSERT(partitions != NULL);
    struct recording_info info = {.partition_count = w->slot_count,
                                  .partitions = partitions,
                                  .schema_count = w->config.schema_count,
                                  /* only read from here on */
                                  .schemas = (struct recorded_schema *)(uintptr_t)w->config.schemas,
                                  .synthetic = w->config.synthetic,
                                  .live = w->config.live};
    for (uint32_t i = 0; i < w->slot_count; i++) {
        const struct slot *slot = &w->slots[i];
        char path[FILE_PATH_BYTES];
        slot_path(w, slot, path);
        TRY(sync_file(slot->fd, path, err));
        partitions[i] =
            (struct recorded_partition){.topic = slot->topic,
                                        .partition = slot->partition,
                                        .count = slot->now.count,
                                        .first_timestamp_ms = slot->now.first_timestamp_ms,
                                        .last_timestamp_ms = slot->now.last_timestamp_ms};
        snprintf(partitions[i].file, sizeof partitions[i].file, "%s-%d.avro",
                 topic_name(slot->topic), slot->partition);
    }
    TRY(sync_file(w->log_fd, w->dir, err));
    enum status status = recording_info_write(w->dir, &info, err);
    arena_reset(&w->pending);
    return status;
}
