/* Kafka as the stage's transport (librdkafka 2.0.2 and later). One epoch is one transaction: outputs and the input positions commit together
 * or not at all. Only the kafka_*.c files of this room include rdkafka.h.
 *
 *   leader   a group consumer on the one partition of a small leader topic: who holds it is the stage; its group metadata goes
 *            into every transaction and fences whoever lost it
 *   source   the input topics by assign(), read_committed, at positions that the stage names: never by the group's offsets
 *   sink     a transactional producer
 *   log      the output topics read back by assign(), read_committed, from given positions on: for restore and standby
 *
 * All objects belong to the thread that made them; librdkafka's threads only queue. */
#ifndef TRANSPORT_KAFKA_H
#define TRANSPORT_KAFKA_H

#include "base/arena.h"
#include "stage/ports.h"
#include "transport/kafka_statistics.h"

#define KAFKA_NAME_BYTES 250

/* Where a topic's name is asked for: the leader topic, which has no records. */
#define KAFKA_TOPIC_LEADER TOPIC_COUNT
#define KAFKA_TOPICS (TOPIC_COUNT + 1)

/* A further property of librdkafka, e.g. security.protocol. */
struct kafka_property {
    const char *key, *value;
    bool secret; /* the value is in no text */
};
/* How topics are created, and what check compares them with. */
struct kafka_topic_config {
    int32_t replication; /* 0: the broker's default */
    int64_t segment_ms;  /* of compacted topics, and the three below */
    int64_t segment_bytes;
    double dirty_ratio;          /* min.cleanable.dirty.ratio */
    int64_t delete_retention_ms; /* how long tombstones stay */
    int64_t retention_ms;        /* of manifests and dead letters; 0: for ever */
};

/* Its texts are borrowed for as long as an object made with it lives. */
struct kafka_config {
    const char *brokers;             /* bootstrap.servers */
    const char *prefix;              /* of all topic names: "" or e.g. "shop." */
    const char *names[KAFKA_TOPICS]; /* after the prefix; NULL: as in topic_name(), "leader" */
    struct kafka_topic_config topics;
    const char *application; /* group id and transactional id; instances of one stage share it */
    int32_t input_partitions_max;    /* of one input; refuse more */
    int32_t partitions[TOPIC_COUNT]; /* of outputs that are created */
    uint32_t
        transaction_timeout_ms; /* [15000] of the broker: how long a killed instance may hold back readers */
    uint32_t
        session_timeout_ms; /* [6000] of the leader's group: how long until a dead leader is replaced */
    uint32_t fetch_bytes_max;   /* [64 MiB] of each input, fetched and not yet taken */
    uint32_t produce_bytes_max; /* [64 MiB] produced and not yet delivered */
    uint32_t poll_ms;           /* [20] next() waits at most so long for a record */
    uint32_t linger_ms; /* [200] a click epoch closes when its first record has waited so long */
    uint32_t property_count; /* those that exactly-once owns are refused */
    const struct kafka_property *properties;
    struct kafka_statistics *statistics; /* of readers and producer are put there; NULL: nowhere */
};

/* RETRY in `err` of any call: the broker is away or slow; call again. FATAL: stop, text has the remedy (EX_CONFIG: configuration or rights; EX_UNAVAILABLE: fenced by
 * another instance; EX_DATAERR: positions that the log does not have any more). Texts name topic, partition and offset and never a secret. */

/* ---- properties ---- */
/* FATAL EX_CONFIG with the reason: librdkafka has no such property, does not take the value, or exactly-once owns it. value == NULL: the
 * name alone. */
enum status kafka_check_property(const char *key, const char *value, struct error *err);
/* Whether a value of this property is never to be shown. */
bool kafka_property_secret(const char *key);

/* ---- topics ---- */
enum topic_state { TOPIC_THERE, TOPIC_MISSING, TOPIC_DIFFERS, TOPIC_DENIED };
struct topic_check {
    int topic; /* enum topic or KAFKA_TOPIC_LEADER */
    char name[KAFKA_NAME_BYTES];
    enum topic_state state;
    bool must;      /* what differs has to be corrected; otherwise it costs, or is meant */
    char text[512]; /* what differs, or what will be created */
    /* for kafka_check_rights() */
    int32_t partitions;
    int64_t message_bytes_max;
    bool compacted, settings_denied;
};
/* What is there, what is missing, what differs (partitions and the settings that the stage sets); changes nothing. */
enum status kafka_check_topics(const struct kafka_config *config,
                               struct topic_check checks[KAFKA_TOPICS], struct error *err);

/* ---- rights ---- */
enum right_state { RIGHT_THERE, RIGHT_LACKING, RIGHT_UNKNOWN };
struct right_check {
    enum right_state state;
    char what[KAFKA_NAME_BYTES + 32]; /* "topic shop.epochs: write" */
    char text[256];                   /* what the broker says; why it was not asked */
};
#define KAFKA_RIGHTS_MAX 48
/* What this principal may do, found out by trying what leaves no trace: topics are described, read at their ends, and offered records that
 * no topic takes (without a key where it is compacted, too large elsewhere); topics that are missing are created without being made. The group and
 * the transactional id are tried only where no instance is at work, because that would take them from it. */
enum status kafka_check_rights(const struct kafka_config *config,
                               const struct topic_check checks[KAFKA_TOPICS],
                               struct right_check rights[KAFKA_RIGHTS_MAX], uint32_t *count,
                               struct error *err);
/* Creates what is missing (inputs too, one partition each) and the leader topic; alters nothing that is there. */
enum status kafka_create_topics(const struct kafka_config *config, struct error *err);

/* ---- leader ---- */
struct kafka_leader;
enum status kafka_leader_join(struct kafka_leader **out, const struct kafka_config *config,
                              struct error *err);
/* Serves the group; *leads says whether this instance holds the leader partition. Call at least once a second. When it was lost, and
 * comes back, another instance may have led meanwhile: restore again. The topic is prefix + "leader". */
enum status kafka_leader_poll(struct kafka_leader *leader, uint32_t timeout_ms, bool *leads,
                              struct error *err);
void kafka_leader_leave(struct kafka_leader *leader);

/* ---- source ---- */
struct kafka_source;
enum status kafka_source_open(struct kafka_source **out, const struct kafka_config *config,
                              struct error *err);
/* next: listings first, interactions when there are none; waits poll_ms at most, and not at all after a listing. It comes back without a record
 * twice a second at least, records or not, so that the caller can do what else it has to.
 * rewind: partitions not among the positions start at the beginning of what the topic has. A position before the log's start or past its end is
 * FATAL EX_DATAERR: never a silent reset. */
struct source_port kafka_source_port(struct kafka_source *source);
/* linger_ms from now on. */
void kafka_source_linger(struct kafka_source *source, uint32_t linger_ms);
/* Where the partitions stand: the next record to be handed out, and the end of the log as the last fetch has told; -1: not known (yet). Asks no broker. Returns
 * how many, at most STAGE_PARTITIONS_MAX. Control records of transactions after the last record count only until the reader has come to them. */
struct kafka_spot {
    enum topic topic;
    int32_t partition;
    int64_t next_offset, end_offset;
};
uint32_t kafka_source_spots(const struct kafka_source *source, struct kafka_spot *spots);
void kafka_source_close(struct kafka_source *source);

/* ---- sink ---- */
struct kafka_sink;
/* Registers the transactional id: whoever had it before is fenced and its open transaction aborted. `leader` is borrowed; only while it
 * leads do epochs begin (else RETRY) and commit (else ABORT_EPOCH). The output topics must be there. */
enum status kafka_sink_open(struct kafka_sink **out, const struct kafka_config *config,
                            struct kafka_leader *leader, struct error *err);
/* commit: ABORT_EPOCH for what an abort cures; an error after which the outcome is unknown, or a fatal one that is no fencing, re-creates the
 * producer (which aborts or completes what was open) and then tells from the epochs topic whether the epoch was committed: OK or ABORT_EPOCH.
 * FATAL EX_UNAVAILABLE when the broker does not come back for that within four transaction timeouts, when another producer has the
 * transactional id before this epoch's time was over, or when the epochs topic has an epoch that this sink did not commit.
 * ends: waits for the delivery of what was put; then exact: one past the epoch's last record of a partition, or past that of the last epoch that
 * touched it, and in `epochs` where the manifest will be. Control records are not counted, but for a partition that was not touched since the
 * sink was opened: there it is the log's end at that time. So a follower has reached an end when its position, control and aborted
 * records passed over, is at or past it: with librdkafka, partition EOF at or past it (rd_kafka_position() stops at the last record given). */
struct sink_port kafka_sink_port(struct kafka_sink *sink);
/* Producers that it gave up for a new one, so far. */
uint32_t kafka_sink_replaced(const struct kafka_sink *sink);
/* Between epochs, now and then: takes what librdkafka has to tell, which would gather while no epoch comes. */
void kafka_sink_listen(struct kafka_sink *sink);
void kafka_sink_close(struct kafka_sink *sink);

/* ---- log ---- */
struct kafka_log;
#define KAFKA_LOG_BEGINNING INT64_MIN /* where no position is known */
/* The partitions of a set of output topics, numbered 0, 1, ... ("slots"): topics in the order given. From from[slot] on; from == NULL: from the beginnings. BAD_RECORD: the log does not have such a
 * position, or not so many partitions (the text names it). */
enum status kafka_log_open(struct kafka_log **out, const struct kafka_config *config,
                           const enum topic *topics, uint32_t count, struct error *err);
enum status kafka_log_start(struct kafka_log *log, const int64_t *from, struct error *err);
uint32_t kafka_log_slots(const struct kafka_log *log);
/* False: no such partition. */
bool kafka_log_slot(const struct kafka_log *log, enum topic topic, int32_t partition,
                    uint32_t *slot);
/* The offset up to which the partition has been given: control records, aborted and compacted ones passed over. */
int64_t kafka_log_at(const struct kafka_log *log, uint32_t slot);
/* Captures where the committed records end now: what kafka_log_share measures against. With the sink open, no transaction is: what is committed is all there. */
enum status kafka_log_capture(struct kafka_log *log, struct error *err);
/* Where the slot's committed records ended then. */
int64_t kafka_log_end(const struct kafka_log *log, uint32_t slot);
/* Of the way from the start to the captured ends; 1 only when all have been reached. */
double kafka_log_share(const struct kafka_log *log);
/* The same way in offsets. */
void kafka_log_way(const struct kafka_log *log, uint64_t *done, uint64_t *all);
/* The next record, or *got = false: nothing now. Waits wait_ms at most. BAD_RECORD: the log does not have the position any more. *slot: whose record it is, or the slot whose position has changed without one;
 * NO_SLOT when there is no news. */
#define KAFKA_NO_SLOT UINT32_MAX
enum status kafka_log_next(struct kafka_log *log, uint32_t wait_ms, struct record *out, bool *got,
                           uint32_t *slot, struct error *err);
void kafka_log_close(struct kafka_log *log);

/* The last record of a partition that a committed transaction wrote: *got = false when there is none. The record's bytes are copied into `arena`. */
enum status kafka_log_last(const struct kafka_config *config, enum topic topic, struct arena *arena,
                           struct record *out, bool *got, struct error *err);

/* ---- copy: any partitions between any offsets, for `record` ---- */
struct kafka_copy;
struct kafka_span {
    enum topic topic;
    int32_t partition;
    int64_t next_offset; /* all before it has been handed out */
    int64_t end_offset;  /* one past the last that is wanted; INT64_MAX: as they come */
};
/* Joins no group and commits nothing. */
enum status kafka_copy_open(struct kafka_copy **out, const struct kafka_config *config,
                            struct error *err);
/* 0: there is no such topic. */
enum status kafka_copy_partitions(struct kafka_copy *copy, enum topic topic, int32_t *count,
                                  struct error *err);
/* Where the partition begins, and where what is committed ends. */
enum status kafka_copy_range(struct kafka_copy *copy, enum topic topic, int32_t partition,
                             int64_t *low, int64_t *high, struct error *err);
/* The first offset whose timestamp is at or past time_ms; where there is none, the end of what is committed. */
enum status kafka_copy_offset_at(struct kafka_copy *copy, enum topic topic, int32_t partition,
                                 int64_t time_ms, int64_t *offset, struct error *err);
/* From now on these: borrowed, their next_offset kept current, their end_offset the caller's to change. FATAL EX_DATAERR when a
 * partition does not have its next_offset (any more). */
enum status kafka_copy_begin(struct kafka_copy *copy, struct kafka_span *spans, uint32_t count,
                             struct error *err);
/* The next committed record of any span; *got = false: nothing now, or all spans have reached their ends. */
enum status kafka_copy_next(struct kafka_copy *copy, struct record *out, bool *got,
                            struct error *err);
bool kafka_copy_done(const struct kafka_copy *copy);
void kafka_copy_close(struct kafka_copy *copy);

#endif
