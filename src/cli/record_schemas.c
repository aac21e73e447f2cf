#include "cli/record_schemas.h"
#include <stdio.h>
#include <string.h>

#define WIRE_HEAD_BYTES 5 /* a zero byte, the id */

static bool is_there(const struct recorded_schema *schemas, uint32_t count, int32_t id,
                     const char *subject) {
    for (uint32_t i = 0; i < count; i++)
        if (schemas[i].id == id && strcmp(schemas[i].subject, subject) == 0)
            return true;
    return false;
}

/* An id that the registry does not have, or whose schema cannot be read as ours, made dead letters; so it does in a replay, which does not
 * know it. */
static enum status add(struct session *session, int32_t id, const char *subject,
                       struct recorded_schema *out, uint32_t *count, struct error *err) {
    struct writer_schema writer = {.id = id, .subject = subject};
    struct error refused;
    if (is_there(out, *count, id, subject))
        return OK;
    enum status status = registry_schema(session->registry, id, &writer.json, err);
    if (status == BAD_RECORD ||
        (status == OK && codec_add_schema(session->codec, &writer, &refused) != OK))
        return OK;
    TRY(status);
    if (*count == RECORDED_SCHEMAS_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "the inputs have more than %d schemas",
                    RECORDED_SCHEMAS_MAX);
    struct recorded_schema *schema = &out[(*count)++];
    *schema = (struct recorded_schema){.id = id, .json = writer.json};
    snprintf(schema->subject, sizeof schema->subject, "%s", subject);
    return OK;
}

static enum status scan(struct session *session, const char *dir, enum topic topic,
                        int32_t partition, struct recorded_schema *out, uint32_t *count,
                        struct error *err) {
    struct recorded_partition file = {.topic = topic, .partition = partition};
    struct recording_reader *reader;
    char subject[64];
    int32_t last = -1;
    snprintf(file.file, sizeof file.file, "%s-%d.avro", topic_name(topic), partition);
    snprintf(subject, sizeof subject, "%s-value", topic_name(topic));
    TRY(recording_reader_open(&reader, dir, &file, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct record record;
        status = recording_reader_next(reader, &record, &got, err);
        if (status != OK || !got || record.value.len < WIRE_HEAD_BYTES || record.value.data[0] != 0)
            continue;
        int32_t id = (int32_t)get_be32(record.value.data + 1);
        if (id >= 0 && id != last)
            status = add(session, id, subject, out, count, err);
        last = id;
    }
    recording_reader_close(reader);
    return status;
}

enum status record_schemas(struct session *session, const char *dir,
                           const int32_t partitions[TOPIC_COUNT],
                           struct recorded_schema out[RECORDED_SCHEMAS_MAX], uint32_t *count,
                           struct error *err) {
    *count = 0;
    for (enum topic topic = 0; topic < TOPIC_INPUTS; topic++)
        for (int32_t p = 0; p < partitions[topic]; p++)
            TRY(scan(session, dir, topic, p, out, count, err));
    return OK;
}
