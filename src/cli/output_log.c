#include "cli/output_log.h"
#include <stdio.h>

struct log_partition {
    struct recorded_partition file;
    struct recording_reader *reader;
    int64_t next_offset;
};
struct output_log {
    const char *dir;
    struct codec *codec;
    uint32_t count;
    struct log_partition partitions[OUTPUT_PARTITIONS_MAX];
};

static struct log_partition *find_partition(struct output_log *log, enum topic topic,
                                            int32_t partition) {
    for (uint32_t i = 0; i < log->count; i++)
        if (log->partitions[i].file.topic == topic &&
            log->partitions[i].file.partition == partition)
            return &log->partitions[i];
    return NULL;
}

enum status output_log_open(struct output_log **out, const char *dir,
                            const struct recording_writer_config *written, struct codec *codec,
                            struct arena *arena, struct error *err) {
    struct output_log *log = arena_must(arena, sizeof *log);
    *log = (struct output_log){.dir = dir, .codec = codec};
    *out = log;
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < written->partitions[topic]; p++) {
            if (log->count == OUTPUT_PARTITIONS_MAX)
                return FAIL(err, FATAL, EX_CONFIG, "%s: more than %u output partitions", dir,
                            OUTPUT_PARTITIONS_MAX);
            struct log_partition *partition = &log->partitions[log->count++];
            partition->file = (struct recorded_partition){.topic = topic, .partition = p};
            snprintf(partition->file.file, sizeof partition->file.file, "%s-%d.avro",
                     topic_name(topic), p);
            TRY(recording_reader_open(&partition->reader, dir, &partition->file, err));
        }
    return OK;
}

static enum status next_of(struct output_log *log, struct log_partition *partition,
                           struct record *out, bool *got, struct error *err) {
    TRY(recording_reader_next(partition->reader, out, got, err));
    if (!*got)
        return OK;
    if (out->damage != NULL)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s/%s: %s (offset %lld): the outputs are damaged; replay into a new folder",
                    log->dir, partition->file.file, out->damage, (long long)out->offset);
    partition->next_offset = out->offset + 1;
    return OK;
}

enum status output_log_next(struct output_log *log, enum topic topic, int32_t partition,
                            struct record *out, bool *got, struct error *err) {
    struct log_partition *found = find_partition(log, topic, partition);
    *got = false;
    return found ? next_of(log, found, out, got, err) : OK;
}

enum status output_log_manifest(struct output_log *log, struct arena *scratch, struct manifest *out,
                                bool *got, struct error *err) {
    struct record record;
    TRY(output_log_next(log, TOPIC_EPOCHS, 0, &record, got, err));
    if (!*got)
        return OK;
    enum status status = codec_decode_manifest(log->codec, &record, scratch, out, err);
    return status == BAD_RECORD
               ? FAIL(err, FATAL, EX_DATAERR, "%s: manifest at offset %lld does not decode",
                      log->dir, (long long)record.offset)
               : status;
}

enum status output_log_rows(struct output_log *log, const struct manifest *manifest,
                            output_row take, void *self, struct error *err) {
    for (uint32_t e = 0; e < manifest->end_count; e++) {
        const struct output_end *end = &manifest->ends[e];
        struct log_partition *partition = find_partition(log, end->topic, end->partition);
        while (partition && topic_has_rows(end->topic) &&
               partition->next_offset < end->end_offset) {
            struct record record;
            struct row_output row;
            bool got;
            TRY(next_of(log, partition, &record, &got, err));
            if (!got)
                return FAIL(err, FATAL, EX_DATAERR,
                            "%s/%s ends at offset %lld and the manifest of epoch %llu says %lld",
                            log->dir, partition->file.file, (long long)partition->next_offset,
                            (unsigned long long)manifest->epoch, (long long)end->end_offset);
            if (take == NULL)
                continue;
            TRY(codec_decode_row(log->codec, &record, &row, err));
            TRY(take(self, &row, err));
        }
    }
    return OK;
}

enum status output_log_skip(struct output_log *log, const struct manifest *manifest,
                            struct error *err) {
    return output_log_rows(log, manifest, NULL, NULL, err);
}

void output_log_close(struct output_log *log) {
    for (uint32_t i = 0; log && i < log->count; i++)
        if (log->partitions[i].reader)
            recording_reader_close(log->partitions[i].reader);
}
