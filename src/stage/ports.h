/* The stage's ports: what it needs from the world, as structs of function pointers. Transports (recordings, Kafka, the
 * simulated log of the tests) implement source and sink; the codec implements codec_port. */
#ifndef STAGE_PORTS_H
#define STAGE_PORTS_H

#include "stage/event.h"

/* The next record to be applied of one input partition. */
struct position {
    enum topic topic;
    int32_t partition;
    int64_t next_offset;
    uint32_t
        damaged; /* places that cannot be read, found just before next_offset and already set aside */
};

struct source_port {
    void *self;
    /* The next record; borrowed until the next call. OK with *got = false: nothing now (*end tells whether there will
     * ever be more). A place that cannot be read is a record with `damage` set; FATAL when nothing can be read. */
    enum status (*next)(void *self, struct record *out, bool *got, bool *end, struct error *err);
    /* Continue from these positions; a partition that is not among them continues from its beginning. Damage whose offset is
     * next_offset comes again (the stage skips `damaged` of it). */
    enum status (*rewind)(void *self, const struct position *positions, uint32_t count,
                          struct error *err);
    /* Where time passes; NULL in recordings. Whether the first interaction handed out since formed() or rewind() has waited so
     * long that its click epoch closes as it is. */
    bool (*due)(void *self);
    /* With due: a click epoch was formed of all interactions handed out so far. */
    void (*formed)(void *self);
};

/* Of all outputs together: 64 of each topic, 1 of epochs. */
#define OUTPUT_PARTITIONS_MAX 512u

struct sink_port {
    void *self;
    /* One epoch is one transaction: begin, put ..., commit or abort. */
    enum status (*begin)(void *self, uint64_t epoch, struct error *err);
    /* Appends the record to its topic (partition chosen by the sink from the key). */
    enum status (*put)(void *self, const struct record *record, struct error *err);
    /* Where each output partition will end if the epoch commits now, not counting the manifest. */
    enum status (*ends)(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                        struct error *err);
    /* Makes the epoch's records and the input positions durable together. ABORT_EPOCH: nothing was committed, the epoch
     * must be rolled back and formed again. FATAL: unknown whether it was; a restart finds out from the log. */
    enum status (*commit)(void *self, const struct position *positions, uint32_t count,
                          struct error *err);
    enum status (*abort)(void *self, struct error *err);
};

struct codec_port {
    void *self;
    /* Raw record of an input topic -> typed event; pointers borrowed until the next decode. BAD_RECORD: *reason and err->text say why. */
    enum status (*decode)(void *self, const struct record *record, struct event *out,
                          enum dead_reason *reason, struct error *err);
    /* Typed output -> key and value bytes (and headers, timestamp, topic); borrowed until the next encode. */
    enum status (*encode)(void *self, const struct output *output, struct record *out,
                          struct error *err);
};

#endif
