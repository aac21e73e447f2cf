/* What comes in and what goes out, as typed values: the stage knows no Avro and no Kafka.
 * All pointers are borrowed: until the next call of whoever handed the value out. */
#ifndef STAGE_EVENT_H
#define STAGE_EVENT_H

#include "base/bytes.h"
#include "base/digest.h"
#include "model/ranker.h"

/* Topics of DESIGN section 2, in the order in which a replay merges equal timestamps (item-content first). */
enum topic {
    TOPIC_ITEM_CONTENT,
    TOPIC_INTERACTIONS,
    TOPIC_SEMANTIC_IDS,
    TOPIC_RANKER_DELTAS,
    TOPIC_CHANGELOG,
    TOPIC_CODEBOOKS,
    TOPIC_EPOCHS,
    TOPIC_DEAD_LETTER,
    TOPIC_COUNT
};
#define TOPIC_INPUTS 2 /* the first two are inputs */

bool topic_has_rows(enum topic topic);    /* of tables: neither manifests nor dead letters */
const char *topic_name(enum topic topic); /* "item-content", ... as in DESIGN section 2 */
bool topic_of_name(struct bytes name, enum topic *out);

/* One record of the log, as on the wire. value.data == NULL is a tombstone. */
struct header {
    struct bytes key;
    struct bytes value;
};
#define HEADERS_MAX 16
struct record {
    enum topic topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    struct bytes key;
    struct bytes value;
    uint32_t header_count;
    struct header headers[HEADERS_MAX];
    const char *
        damage; /* not NULL: the transport could not read a record here; value has the raw bytes it found */
};

/* The value of the header of this name; empty when there is none. Borrowed. */
struct bytes record_header(const struct record *record, const char *name);

/* ---- in ---- */

enum action { ACTION_IMPRESSION, ACTION_CLICK, ACTION_CART, ACTION_PURCHASE };

struct interaction {
    struct bytes user_id;
    struct bytes item_id;
    int64_t event_time_ms;
    enum action action;
    bool has_label;
    float label;             /* 0 or 1 when has_label */
    struct bytes request_id; /* data == NULL: none */
    bool has_position;
    int32_t position;
    /* the context map is decoded and checked, but the model does not use it yet */
};

#define MODALITIES_MAX 8
struct listing_part {
    struct bytes name; /* borrowed from the decoder, until it is copied into the epoch's queue */
    uint32_t dims;
};

struct listing {
    struct bytes item_id;
    int64_t event_time_ms;
    const float
        *vector; /* the modalities' vectors one after the other, in the order of the event */
    uint32_t dims;
    uint32_t part_count;                       /* modalities; may be more than parts has room for */
    struct listing_part parts[MODALITIES_MAX]; /* which of them the vector consists of */
    struct bytes text;                         /* data == NULL: none */
};

enum event_kind { EVENT_INTERACTION, EVENT_LISTING, EVENT_DELISTING };

struct event {
    enum event_kind kind;
    union {
        struct interaction interaction;
        struct listing listing;
        struct bytes delisted_item_id;
    } as;
};

/* ---- out ---- */

/* A row as published: to ranker-deltas, changelog, semantic-ids or codebooks (the table's spec says which). */
struct row_output {
    const char *table;
    struct bytes key;
    uint32_t position;
    uint64_t version;
    uint64_t epoch;
    uint32_t generation;
    struct bytes value; /* little-endian; data == NULL: the row is gone (tombstone) */
};

enum dead_reason {
    DEAD_DAMAGED,      /* the transport could not read it */
    DEAD_WIRE,         /* magic byte, length */
    DEAD_SCHEMA,       /* unknown or incompatible schema id */
    DEAD_DECODE,       /* Avro bytes do not decode */
    DEAD_KEY,          /* key and value disagree, or no key where one is needed */
    DEAD_ID,           /* empty, oversized or non-UTF-8 id */
    DEAD_TIME,         /* before 1970 or too far in the future */
    DEAD_VECTOR,       /* wrong length, NaN or infinity */
    DEAD_LABEL,        /* not 0 or 1 */
    DEAD_DUPLICATE,    /* the same event or listing again */
    DEAD_STALE,        /* a listing older than the one that stands */
    DEAD_LATE,         /* behind the watermark */
    DEAD_UNKNOWN_ITEM, /* its item was not listed within the parking time, or parking is full */
    DEAD_REASON_COUNT
};
const char *dead_reason_name(enum dead_reason reason); /* "vector", ... a contract */

struct dead_output {
    const struct record *record; /* where it came from, raw */
    enum dead_reason reason;
    const char *text; /* one sentence with the remedy */
};

/* A run of consecutive records of one partition, in the order applied. */
struct input_range {
    enum topic topic;
    int32_t partition;
    int64_t first_offset;
    int64_t last_offset;
    uint32_t count;
    uint64_t
        hash; /* of (offset, timestamp, key, value) of each, chained: tells missing input from divergence */
};

struct output_end {
    enum topic topic;
    int32_t partition;
    int64_t
        end_offset; /* one past the last record of this epoch (epochs topic: past this manifest) */
};

struct table_state {
    const char *name;
    struct digest digest;
    uint64_t rows;
};

enum epoch_kind { EPOCH_CONTENT, EPOCH_CLICK };

struct epoch_counts {
    uint64_t events; /* interactions and listings read in this epoch */
    uint64_t applied;
    uint64_t dead_letters;
    int64_t parked;    /* parked minus released: may be negative */
    uint64_t labelled; /* samples learned from */
    uint64_t rows;     /* row records published */
};

struct manifest {
    uint64_t epoch; /* 1, 2, ... */
    enum epoch_kind kind;
    int64_t
        timestamp_ms; /* of the outputs: the largest timestamp of the inputs so far that passed their checks; 0: none */
    int64_t watermark_ms;
    uint32_t generation;
    uint32_t codebook_version;
    struct epoch_counts counts;
    uint32_t range_count;
    const struct input_range *ranges;
    uint32_t end_count;
    const struct output_end *ends;
    uint32_t table_count;
    const struct table_state *tables;
    uint32_t batch_count;
    const uint32_t *batches; /* events of each mini-batch */
    struct digest state;     /* of all tables */
    const char *build;       /* version and commit */
    const char *blas_core;   /* OpenBLAS core type that the bits depend on */
    uint64_t config_hash;
    const char *
        config; /* the effective configuration, in an epoch that is the first under it; else NULL */
};

/* What the manifest says of a table; NULL: nothing. Borrowed. */
const struct table_state *manifest_table(const struct manifest *manifest, const char *table);
/* Its digest alone, in the form in which the room apply asks a manifest for it; false: nothing. */
bool manifest_digest(void *manifest, const char *table, struct digest *out);

enum output_kind { OUTPUT_ROW, OUTPUT_DEAD, OUTPUT_MANIFEST };

struct output {
    enum topic topic;
    enum output_kind kind;
    int64_t timestamp_ms;
    union {
        struct row_output row;
        struct dead_output dead;
        const struct manifest *manifest;
    } as;
};

#endif
