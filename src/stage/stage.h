/* The stage: forms epochs from a source, applies them to the model, publishes every dirty row and a manifest, commits.
 * The way of one event, in one function (stage/epoch.c): source.next -> codec.decode -> check -> labels -> model -> codec.encode ->
 * sink.put -> sink.commit. */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "model/model.h"
#include "stage/ports.h"

enum parking_policy { PARKING_APPLY, PARKING_SET_ASIDE };

/* What the vector that the model takes is made of. */
struct modality {
    char name[24];
    uint32_t dims;
};
struct content_layout {
    struct modality modalities[MODALITIES_MAX];
    uint32_t modality_count; /* 0: a listing's vectors as they come */
    uint32_t ngram_dims;     /* of the text's hashed n-grams, after all others; 0: none */
};

struct stage_config {
    struct content_layout layout;
    uint32_t
        epoch_batches; /* a click epoch closes at so many whole mini-batches of expected samples */
    uint32_t epoch_events_max; /* ... or so many interactions (events without a sample) */
    uint32_t
        epoch_bytes_max; /* an epoch of either kind closes when its records take so much memory */
    int64_t
        epoch_stream_ms; /* ... or when stream time since its first event passes this; 0: no such limit */
    uint32_t
        content_listings; /* a content epoch takes at most so many listings that are there at once */
    int64_t ahead_ms;     /* an event time so far past its record's timestamp is a bad record */
    int64_t join_window_ms; /* impression -> click, event time */
    int64_t lateness_ms;    /* watermark = largest event time of the partition - this */
    int64_t
        idle_ms; /* a partition this far behind the furthest one no longer holds the watermark */
    uint32_t join_rows_max;  /* impressions that wait for a click at most */
    uint32_t negatives;      /* per click, when only clicks exist */
    float negatives_popular; /* share of them drawn from recent clicks rather than live listings */
    uint32_t popular_clicks; /* how many recent clicks that is */
    uint32_t duplicate_rows_max; /* events with a request id that are remembered to tell a repeat */
    enum parking_policy parking_policy; /* what to do when parking time is over */
    int64_t parking_ms;                 /* stream time */
    uint32_t parking_rows_max;
    uint32_t
        parking_bytes_max; /* of a parked record's key and value each; larger ones are dead letters */
    const char *config_text; /* the effective configuration, for the manifest */
    const char *build;
    const char *blas_core;
};

struct stage;

#define STAGE_PARTITIONS_MAX 256

enum status stage_create(struct stage **out, const struct stage_config *config,
                         const struct model_config *model, struct source_port source,
                         struct sink_port sink, struct codec_port codec, struct error *err);
/* Other ports: of a stage that was made without, to be restored before it has any. No epoch may be open. */
void stage_connect(struct stage *stage, struct source_port source, struct sink_port sink);
void stage_destroy(struct stage *stage);

/* The tables, for restoring before stage_run (then stage_resume), and for reports. */
struct tables *stage_tables(struct stage *stage);
struct model *stage_model(struct stage *stage);
/* After rows were restored: derives what is not rows, rewinds the source to the restored positions. */
enum status stage_resume(struct stage *stage, struct error *err);

/* Totals since the first epoch ever (they are state, so a resumed run reports the whole). */
struct stage_totals {
    uint64_t epochs, events, applied, parked, dead_letters, redelivered, labelled, late;
    uint64_t dead_by_reason[DEAD_REASON_COUNT];
    int64_t stream_ms; /* largest event time seen, each no later than its record's timestamp */
};
void stage_totals(const struct stage *stage, struct stage_totals *out);

/* Runs one epoch. *done = true when the source has ended and all is committed. RETRY: nothing to do now. ABORT_EPOCH never
 * leaves this function: it rolls back, rewinds and comes back as RETRY. */
enum status stage_step(struct stage *stage, bool *done, struct error *err);

/* From now on nothing is taken from the source any more: the next steps commit what was taken before, then *done. An epoch that is
 * aborted meanwhile is not formed again; its records stay in the source. */
void stage_finish(struct stage *stage);

/* The manifest of the epoch that was committed last; borrowed until the next step. */
const struct manifest *stage_last_manifest(const struct stage *stage);

/* Of a record's offset, timestamp, key and value, chained: what an input_range's hash is made of, beginning with 0. */
uint64_t stage_record_hash(const struct record *record, uint64_t hash);

/* Verify: the next step must form this epoch (the source delivers its ranges): kind and inputs come from the manifest. */
void stage_follow(struct stage *stage, const struct manifest *manifest);

#endif
