#include "cli/check_connect.h"
#include "config/kafka_settings.h"
#include <jansson.h>
#include <stdio.h>

#define SECRETS_BYTES ((size_t)16 << 20)

static const char *const topic_states[] = {[TOPIC_THERE] = "there",
                                           [TOPIC_MISSING] = "missing",
                                           [TOPIC_DIFFERS] = "differs",
                                           [TOPIC_DENIED] = "denied"};
static const char *const right_states[] = {
    [RIGHT_THERE] = "there", [RIGHT_LACKING] = "lacking", [RIGHT_UNKNOWN] = "unknown"};

static enum status ask(const struct settings *settings, struct arena *secrets,
                       struct connection_check *out, struct error *err) {
    struct kafka_config kafka;
    TRY(kafka_settings(settings, secrets, &kafka, err));
    TRY(kafka_check_topics(&kafka, out->topics, err));
    return kafka_check_rights(&kafka, out->topics, out->rights, &out->right_count, err);
}

enum status check_connect(const struct settings *settings, struct connection_check *out,
                          struct error *err) {
    struct arena secrets;
    *out = (struct connection_check){0};
    TRY(arena_reserve(&secrets, "secrets", SECRETS_BYTES, err));
    enum status status = ask(settings, &secrets, out, err);
    arena_release(&secrets);
    TRY(status);
    for (int t = 0; t < KAFKA_TOPICS; t++)
        out->wrong += out->topics[t].must;
    for (uint32_t r = 0; r < out->right_count; r++)
        out->wrong += out->rights[r].state == RIGHT_LACKING;
    return OK;
}

void check_connect_text(const struct connection_check *check) {
    for (int t = 0; t < KAFKA_TOPICS; t++) {
        const struct topic_check *topic = &check->topics[t];
        printf("topic %s: %s", topic->name, topic_states[topic->state]);
        if (topic->partitions > 0)
            printf(", %d partition%s", topic->partitions, topic->partitions == 1 ? "" : "s");
        printf("%s%s%s\n", topic->text[0] != '\0' ? ": " : "", topic->text,
               topic->must ? " (has to be corrected)" : "");
    }
    uint32_t there = 0;
    for (uint32_t r = 0; r < check->right_count; r++) {
        const struct right_check *right = &check->rights[r];
        there += right->state == RIGHT_THERE;
        if (right->state != RIGHT_THERE)
            printf("right on %s: %s: %s\n", right->what, right_states[right->state], right->text);
    }
    printf("rights: %u of %u are there\n", there, check->right_count);
}

static json_t *topic_json(const struct topic_check *topic) {
    json_t *json =
        json_pack("{s:s, s:s, s:b, s:s}", "topic", topic->name, "state", topic_states[topic->state],
                  "must_be_corrected", topic->must, "text", topic->text);
    if (topic->partitions > 0)
        json_object_set_new(json, "partitions", json_integer(topic->partitions));
    return json;
}

void *check_connect_json(const struct connection_check *check) {
    json_t *topics = json_array(), *rights = json_array();
    for (int t = 0; t < KAFKA_TOPICS; t++)
        json_array_append_new(topics, topic_json(&check->topics[t]));
    for (uint32_t r = 0; r < check->right_count; r++) {
        const struct right_check *right = &check->rights[r];
        json_array_append_new(rights, json_pack("{s:s, s:s, s:s}", "right", right->what, "state",
                                                right_states[right->state], "text", right->text));
    }
    return json_pack("{s:o, s:o}", "topics", topics, "rights", rights);
}
