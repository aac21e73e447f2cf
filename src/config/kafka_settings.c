#include "config/kafka_settings.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES_MAX ((size_t)64 << 10)

/* ---- references to secrets ---- */

/* The reference that begins here: what is between `${env:` or `${file:` and `}`. */
struct reference {
    bool file;
    char name[sizeof((struct text_map *)0)->at[0].value];
    size_t length; /* of all of it */
};

static enum status read_reference(const char *text, struct reference *out, struct error *err) {
    const char *end = strchr(text, '}');
    out->file = strncmp(text, "${file:", 7) == 0;
    size_t head = out->file ? 7 : 6;
    if (end == NULL || (!out->file && strncmp(text, "${env:", 6) != 0) ||
        (size_t)(end - text) == head || (out->file && text[head] != '/'))
        return FAIL(err, FATAL, EX_CONFIG,
                    "a reference to a secret is ${env:NAME} or ${file:/path}");
    memcpy(out->name, text + head, (size_t)(end - text) - head);
    out->name[(size_t)(end - text) - head] = '\0';
    out->length = (size_t)(end + 1 - text);
    return OK;
}

enum status kafka_check_entry(const char *key, const char *value, struct error *err) {
    const char *at = strstr(value, "${");
    struct reference reference;
    TRY(kafka_check_property(key, at == NULL ? value : NULL, err));
    for (; at != NULL; at = strstr(at + reference.length, "${"))
        TRY(read_reference(at, &reference, err));
    return OK;
}

/* Without the newline at a file's end. */
static enum status resolve(const struct reference *reference, struct arena *arena,
                           struct bytes *out, struct error *err) {
    const char *variable = reference->file ? NULL : getenv(reference->name);
    if (!reference->file && variable == NULL)
        return FAIL(err, FATAL, EX_CONFIG, "the environment has no variable %s", reference->name);
    if (!reference->file) {
        *out = bytes_text(variable);
        return OK;
    }
    if (file_load(reference->name, arena, SECRET_BYTES_MAX, out, err) != OK) {
        err->exit_code = EX_CONFIG;
        return FATAL;
    }
    while (out->len > 0 && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
        out->len--;
    return OK;
}

static enum status append(char *text, size_t *used, const void *data, size_t len,
                          struct error *err) {
    if (*used + len >= SECRET_BYTES_MAX)
        return FAIL(err, FATAL, EX_CONFIG, "its value is longer than %zu bytes", SECRET_BYTES_MAX);
    memcpy(text + *used, data, len);
    *used += len;
    return OK;
}

enum status settings_expand(const char *value, struct arena *arena, const char **out,
                            struct error *err) {
    char *text = arena_must(arena, SECRET_BYTES_MAX);
    size_t used = 0;
    while (*value != '\0') {
        struct reference reference;
        struct bytes secret;
        const char *at = strstr(value, "${");
        TRY(append(text, &used, value, at != NULL ? (size_t)(at - value) : strlen(value), err));
        if (at == NULL)
            break;
        TRY(read_reference(at, &reference, err));
        TRY(resolve(&reference, arena, &secret, err));
        TRY(append(text, &used, secret.data, secret.len, err));
        value = at + reference.length;
    }
    text[used] = '\0';
    *out = text;
    return OK;
}

static enum status set_properties(const struct text_map *map, struct arena *arena,
                                  struct kafka_config *out, struct error *err) {
    struct kafka_property *properties = arena_must(arena, TEXT_MAP_MAX * sizeof *properties);
    out->properties = properties;
    out->property_count = map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        const char *key = map->at[i].key, *value = map->at[i].value;
        bool refers = strstr(value, "${") != NULL;
        properties[i] = (struct kafka_property){key, value, refers || kafka_property_secret(key)};
        if (refers && settings_expand(value, arena, &properties[i].value, err) != OK)
            return error_context(err, "kafka.properties.%s", key);
    }
    return OK;
}

/* ---- all of it ---- */

static void set_topics(const struct settings *settings, struct kafka_config *out) {
    for (int topic = 0; topic < KAFKA_TOPICS; topic++)
        out->names[topic] = settings->topic_names[topic];
    out->topics =
        (struct kafka_topic_config){.replication = (int32_t)settings->topic_replication,
                                    .segment_ms = settings->topic_segment_ms,
                                    .segment_bytes = settings->topic_segment_bytes,
                                    .dirty_ratio = settings->topic_dirty_ratio,
                                    .delete_retention_ms = settings->topic_delete_retention_ms,
                                    .retention_ms = settings->topic_retention_ms};
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
        out->partitions[topic] = topic < TOPIC_INPUTS || topic == TOPIC_EPOCHS
                                     ? 1
                                     : (int32_t)settings->output_partitions;
}

enum status kafka_settings(const struct settings *settings, struct arena *arena,
                           struct kafka_config *out, struct error *err) {
    if (settings->kafka_brokers[0] == '\0')
        return FAIL(err, FATAL, EX_CONFIG,
                    "kafka.brokers is empty: name the bootstrap servers, as in kafka.brokers: "
                    "\"127.0.0.1:9092\"");
    *out = (struct kafka_config){.brokers = settings->kafka_brokers,
                                 .prefix = settings->kafka_prefix,
                                 .application = settings->kafka_application,
                                 .input_partitions_max = STAGE_PARTITIONS_MAX / TOPIC_INPUTS,
                                 .transaction_timeout_ms = settings->transaction_timeout_ms,
                                 .session_timeout_ms = settings->session_timeout_ms,
                                 .fetch_bytes_max = settings->fetch_bytes,
                                 .produce_bytes_max = settings->produce_bytes,
                                 .poll_ms = 20,
                                 .linger_ms = settings->linger_ms};
    set_topics(settings, out);
    return set_properties(&settings->kafka_properties, arena, out, err);
}
