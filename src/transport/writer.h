/* What the writer's files share: writer.c (records, epochs), sealed.c (sealed.log, starting and
 * resuming). */
#ifndef TRANSPORT_WRITER_H
#define TRANSPORT_WRITER_H

#include "base/file.h"
#include "codec/container.h"
#include "transport/recording.h"

/* A record that waits for its block. */
struct pending {
    struct pending *next;
    size_t bytes;
    uint8_t data[];
};

/* What a partition has; after the last sealed epoch, and now. */
struct reached {
    int64_t next_offset;
    int64_t count;
    int64_t first_timestamp_ms, last_timestamp_ms; /* smallest and largest */
};

struct slot {
    enum topic topic;
    int32_t partition;
    int fd;
    uint64_t bytes; /* of the file */
    struct reached now, sealed;
    struct pending *first, **last;
    uint8_t sync[CONTAINER_SYNC_BYTES];
};

struct recording_writer {
    struct arena arena;   /* this struct, slots, schemas, the line of sealed.log */
    struct arena pending; /* records since the last flush */
    struct arena block;   /* the block being put together, and its payload */
    const char *dir;
    struct recording_writer_config config;
    uint32_t slot_count;
    struct slot *slots;
    uint32_t first_slot[TOPIC_COUNT];
    uint8_t *payload, *framed, *header;
    struct deflater *deflater;
    int log_fd; /* sealed.log */
    uint64_t log_bytes;
    char *line;
    size_t line_max;
    bool in_epoch;
    uint64_t epoch;
};

void slot_path(const struct recording_writer *w, const struct slot *slot,
               char out[FILE_PATH_BYTES]);
/* All of it at `offset`; FATAL EX_IOERR with the path. */
enum status write_at(int fd, const char *path, uint64_t offset, const void *data, size_t len,
                     struct error *err);

/* sealed.c */
/* Opens sealed.log in a folder that is made, or is empty, or (resume) has one; takes its lock. */
enum status sealed_open(struct recording_writer *w, bool resume, struct error *err);
/* Finds the last epoch that is whole, cuts files and log back to it; *epoch = 0: there is none. */
enum status sealed_restore(struct recording_writer *w, uint64_t *epoch, struct error *err);
/* Appends the line of w->epoch. */
enum status sealed_append(struct recording_writer *w, struct error *err);

#endif
