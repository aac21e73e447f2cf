/* What the files of the stage share. collect.c forms epochs, epoch.c applies and commits them, publish.c says what they changed. */
#ifndef STAGE_STAGE_PRIVATE_H
#define STAGE_STAGE_PRIVATE_H

#include "stage/delisted.h"
#include "stage/labels.h"
#include "stage/parking.h"
#include "stage/stage.h"

/* A record that waits for its epoch, decoded and checked. Its memory is in its queue's arena. */
struct pending {
    struct record record;
    struct event event;
    bool bad;
    enum dead_reason reason; /* when bad */
    const char *text;
};

/* The records that the next epoch of one kind will hold. */
struct queue {
    struct arena arena;
    struct pending *records; /* [max] */
    uint32_t count, max;
    size_t bytes_max;       /* of records, as they are and decoded */
    uint32_t ranges;        /* runs of records of one partition */
    uint64_t expected;      /* samples, as far as one can tell before applying */
    int64_t first_event_ms; /* event time of the first interaction; INT64_MIN: none yet */
};

/* The one row of table `stage`. */
struct stage_row {
    uint64_t epoch;
    uint64_t events, applied, dead_letters, labelled;
    uint64_t config_hash;
    int64_t timestamp_ms; /* largest timestamp of a record that passed its checks */
    int64_t stream_ms;    /* largest event time, each no later than its record's timestamp */
    uint64_t dead_by_reason[DEAD_REASON_COUNT];
};

/* Value of a row of `positions`, keyed topic << 32 | partition. */
struct position_row {
    int64_t next_offset;
    uint32_t damaged;
    uint32_t reserved;
};

/* Input ranges of an epoch at most. A manifest is read back with about 1 KiB of the codec's memory for each: with more
 * of them it could be written and never be read. */
#define RANGES_MAX (1u << 14)

struct stage {
    struct stage_config config;
    struct model_config model_config;
    struct source_port source;
    struct sink_port sink;
    struct codec_port codec;
    struct arena arena; /* lives as long as the stage */
    struct arena epoch; /* emptied at the start of each epoch: the manifest and what it points to */
    struct tables *tables;
    struct table *state, *positions;
    struct model *model;
    struct labels *labels;
    struct parking *parking;
    struct delisted *delisted;

    /* collecting */
    struct queue queues[2]; /* by enum epoch_kind */
    struct record held;     /* read from the source, not yet in a queue */
    bool is_held;
    struct position seen[STAGE_PARTITIONS_MAX]; /* next offset to collect, by partition */
    uint32_t seen_count;
    uint64_t redelivered;
    bool finishing; /* nothing more is taken from the source */
    const struct manifest *follow;

    /* the open epoch */
    struct sample *samples; /* [B] */
    uint32_t sample_count;
    struct input_range *ranges;
    uint32_t range_count;
    uint32_t *batches;
    uint32_t batch_count, batch_max;
    struct epoch_counts counts;
    bool
        parked_of_delisted; /* parked records of items that this epoch delisted may still be there */
    uint64_t config_hash;
    struct manifest manifest;
};

static inline const struct stage_row *stage_state(const struct stage *stage) {
    return table_value(stage->state, 0);
}
static inline struct stage_row *stage_edit_state(struct stage *stage) {
    return table_edit(stage->state, 0);
}

/* collect.c */
enum status collect_create(struct stage *stage, struct error *err);
void queue_clear(struct queue *queue);
void collect_forget(
    struct stage
        *stage); /* empties the queues; the next offsets are those of the positions table */
enum status collect(struct stage *stage, enum epoch_kind *kind, bool *formed, bool *done,
                    struct error *err);

/* publish.c */
enum status publish_dead(struct stage *stage, const struct record *record, enum dead_reason reason,
                         const char *text, struct error *err);
enum status publish_epoch(struct stage *stage, enum epoch_kind kind, struct error *err);
uint32_t publish_positions(const struct stage *stage, struct position *out);

#endif
