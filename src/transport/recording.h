/* Recordings: a folder with recording.yaml and one Avro object container file per
 * topic-partition, `<topic>-<partition>.avro`, each record {offset long, timestamp long, key
 * bytes|null, value bytes|null, headers map<bytes>}: the exact bytes that were, or would be, on
 * Kafka (DESIGN section 8). */
#ifndef TRANSPORT_RECORDING_H
#define TRANSPORT_RECORDING_H

#include "base/arena.h"
#include "stage/ports.h"

/* recording.yaml. A recording is self-contained: it carries the writer schemas that its records
 * name by id. */
struct recorded_partition {
    enum topic topic;
    int32_t partition;
    int64_t count;                                 /* records */
    int64_t first_timestamp_ms, last_timestamp_ms; /* smallest and largest; 0 when count is 0 */
    char file[256];
};
struct recorded_schema {
    int32_t id;
    char subject[64]; /* "interactions-value", ... */
    const char *json;
};
#define RECORDED_PARTITIONS_MAX 1024
#define RECORDED_SCHEMAS_MAX 64
struct recording_info {
    uint32_t partition_count;
    struct recorded_partition *partitions;
    uint32_t schema_count;
    struct recorded_schema *schemas;
    bool synthetic; /* written by `generate` */
    bool live;      /* copied from Kafka: offsets have gaps, overwritten rows may be missing */
};

/* Memory from arena. FATAL EX_NOINPUT when the folder or recording.yaml is absent, EX_DATAERR
 * (file:line:column) when it cannot be read. When recording.yaml has no entry for a file that is
 * there, or the reverse, the error says which. */
enum status recording_info_read(const char *dir, struct arena *arena, struct recording_info *out,
                                struct error *err);
/* Atomic (temporary name, fsync, rename). */
enum status recording_info_write(const char *dir, const struct recording_info *info,
                                 struct error *err);

/* ---- reading one file ---- */
struct recording_reader;
enum status recording_reader_open(struct recording_reader **out, const char *dir,
                                  const struct recorded_partition *partition, struct error *err);
/* OK and *got=false at the end. A damaged block or truncated tail comes as one record with
 * `damage` set (value = the raw bytes, at most 256 KiB of them; offset = the one expected next),
 * then reading goes on at the next sync marker. An offset that repeats or steps back comes as
 * damage, too, with the record's own key and value. */
enum status recording_reader_next(struct recording_reader *reader, struct record *out, bool *got,
                                  struct error *err);
void recording_reader_close(struct recording_reader *reader);

/* ---- the merged inputs of a recording as a source ---- */
/* Order: (timestamp, topic rank, partition, offset). */
struct recording_source;
enum status recording_source_open(struct recording_source **out, const char *dir,
                                  const struct recording_info *info, struct error *err);
struct source_port recording_source_port(struct recording_source *source);
/* The exact order of a manifest instead: the next records come as these ranges say (copied). A
 * range whose records are missing is FATAL EX_DATAERR naming topic, partition and offsets; records
 * before a range are passed over. After the last range next() says *end = true, until the next
 * call of this; rewind() goes back to the first range. ranges == NULL: merge by time again. */
enum status recording_source_follow(struct recording_source *source,
                                    const struct input_range *ranges, uint32_t count,
                                    struct error *err);
void recording_source_close(struct recording_source *source);

/* ---- writing ---- */
struct recording_writer;
enum compression { COMPRESSION_NONE, COMPRESSION_DEFLATE };
struct recording_writer_config {
    int32_t partitions[TOPIC_COUNT]; /* 0: the topic is not written */
    enum compression compression;
    bool synthetic, live;
    uint32_t schema_count;
    const struct recorded_schema *schemas;
};
/* A new recording in an absent or empty folder (FATAL EX_CANTCREAT when it is not empty). */
enum status recording_writer_create(struct recording_writer **out, const char *dir,
                                    const struct recording_writer_config *config,
                                    struct error *err);
/* Opens a recording that was cut off: every file is cut back to the last sealed epoch
 * (sealed.log), *epoch = that epoch (0: none), and `ends` = the offsets at that point. A torn
 * last line of sealed.log, or lengths beyond a file's size, fall back to the line before. An
 * absent folder is created. EX_CONFIG when it was begun with other partitions or compression;
 * EX_CANTCREAT for a folder that no writer began, or that another process is writing. */
enum status recording_writer_resume(struct recording_writer **out, const char *dir,
                                    const struct recording_writer_config *config, uint64_t *epoch,
                                    struct error *err);
/* The writer as the stage's sink: records go to partition hash(key) % partitions; commit seals
 * the epoch: blocks flushed, lengths and next offsets appended to sealed.log as one checksummed
 * line. abort drops what was put since begin. */
struct sink_port recording_writer_port(struct recording_writer *writer);
/* The partition that the sink chooses. */
int32_t recording_partition(const struct record *record, int32_t partitions);
/* Directly, for import, generate and record: the record's own partition, offset (-1: the next)
 * and timestamp. */
enum status recording_writer_append(struct recording_writer *writer, const struct record *record,
                                    struct error *err);
/* The offset that a partition goes on with; it may be set before the partition has records. */
int64_t recording_writer_next(const struct recording_writer *writer, enum topic topic,
                              int32_t partition);
void recording_writer_place(struct recording_writer *writer, enum topic topic, int32_t partition,
                            int64_t next_offset);
/* Other schemas than at its creation; borrowed until it is finished. */
void recording_writer_schemas(struct recording_writer *writer,
                              const struct recorded_schema *schemas, uint32_t count);
/* Flushes, writes recording.yaml, fsyncs. Without it the folder has no recording.yaml and is no
 * recording. */
enum status recording_writer_finish(struct recording_writer *writer, struct error *err);
void recording_writer_close(struct recording_writer *writer);

#endif
