#include "cli/input_writer.h"
#include "cli/shipped.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CODEC_BYTES_MAX (256u << 20)
#define PARTITION_SEED 0

enum status input_writer_create(struct input_writer *out, const char *dir, uint32_t partitions,
                                const char *modality, bool synthetic, struct error *err) {
    struct recorded_schema schemas[RECORDED_SCHEMAS_MAX];
    uint32_t kept = shipped_schemas(true, schemas);
    struct recording_writer_config config = {.compression = COMPRESSION_NONE,
                                             .synthetic = synthetic,
                                             .schema_count = kept,
                                             .schemas = schemas};
    config.partitions[TOPIC_ITEM_CONTENT] = 1;
    config.partitions[TOPIC_INTERACTIONS] = (int32_t)partitions;
    *out = (struct input_writer){.dir = dir, .modality = modality, .partitions = partitions};
    TRY(codec_create(&out->codec, NULL, 0, CODEC_BYTES_MAX, err));
    enum status status = recording_writer_create(&out->writer, dir, &config, err);
    if (status != OK) {
        out->writer = NULL; /* the folder is not ours to clear */
        input_writer_close(out);
    }
    return status;
}

enum status input_writer_put(struct input_writer *writer, const struct event *event,
                             int64_t timestamp_ms, struct error *err) {
    struct record record;
    if (codec_encode_event(writer->codec, event, writer->modality, &record, err) != OK)
        return FATAL;
    bool interaction = event->kind == EVENT_INTERACTION;
    record.topic = interaction ? TOPIC_INTERACTIONS : TOPIC_ITEM_CONTENT;
    record.partition = interaction
                           ? (int32_t)(hash64(record.key.data, record.key.len, PARTITION_SEED) %
                                       writer->partitions)
                           : 0;
    record.offset = -1;
    record.timestamp_ms = timestamp_ms;
    return recording_writer_append(writer->writer, &record, err);
}

enum status input_writer_finish(struct input_writer *writer, struct error *err) {
    TRY(recording_writer_finish(writer->writer, err));
    recording_writer_close(writer->writer);
    writer->writer = NULL;
    return OK;
}

/* All files in it are ours: the folder was absent or empty. */
static void remove_files(const char *dir) {
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_type == DT_REG)
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(dir);
}

void input_writer_close(struct input_writer *writer) {
    if (writer->writer != NULL) {
        recording_writer_close(writer->writer);
        remove_files(writer->dir);
    }
    if (writer->codec != NULL)
        codec_destroy(writer->codec);
    *writer = (struct input_writer){0};
}
