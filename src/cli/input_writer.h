/* A new recording of the two input topics: typed events -> records, for import and generate. */
#ifndef CLI_INPUT_WRITER_H
#define CLI_INPUT_WRITER_H

#include "codec/codec.h"
#include "transport/recording.h"

struct input_writer {
    struct codec *codec;
    struct recording_writer *writer;
    const char *dir;
    const char *modality;
    uint32_t partitions; /* of interactions; item-content has one */
};

/* `dir` must be absent or empty; it and `modality`, the name of the listings' vectors, are
 * borrowed. */
enum status input_writer_create(struct input_writer *out, const char *dir, uint32_t partitions,
                                const char *modality, bool synthetic, struct error *err);
/* Appends the event as a record: keyed by item id or user id, interactions to the partition
 * hash(user id) % partitions. FATAL when it cannot be encoded or written. */
enum status input_writer_put(struct input_writer *writer, const struct event *event,
                             int64_t timestamp_ms, struct error *err);
/* Makes it a recording: without it the folder is none. */
enum status input_writer_finish(struct input_writer *writer, struct error *err);
/* After input_writer_finish, or instead of it: then the files written so far are removed again. */
void input_writer_close(struct input_writer *writer);

#endif
