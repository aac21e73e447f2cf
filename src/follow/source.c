#include "follow/source.h"

#include "config/kafka_settings.h"

#include "base/poison.h"

#define SOURCE_BYTES ((size_t)64 << 20)
#define CODEC_BYTES ((size_t)512 << 20) /* the cap on Avro C's heap */

static enum status create(struct follow_source **out, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "source", SOURCE_BYTES, err));
    *out = arena_must(&arena, sizeof **out);
    **out = (struct follow_source){.arena = arena};
    return OK;
}

void follow_source_close(struct follow_source *s) {
    if (s->feed.self != NULL)
        s->feed.close(s->feed.self);
    if (s->codec != NULL)
        codec_destroy(s->codec);
    struct arena arena = s->arena; /* it lies in it */
    arena_release(&arena);
}

static enum status open_recording(struct follow_source *s, const char *folder, struct error *err) {
    TRY(recording_info_read(folder, &s->arena, &s->info, err));
    struct writer_schema *writers =
        arena_must(&s->arena, (s->info.schema_count + 1) * sizeof *writers);
    for (uint32_t i = 0; i < s->info.schema_count; i++)
        writers[i] = (struct writer_schema){s->info.schemas[i].id, s->info.schemas[i].subject,
                                            s->info.schemas[i].json};
    /* a live recording's schemas are those of the inputs, by a registry's ids */
    TRY(codec_create(&s->codec, writers, s->info.live ? 0 : s->info.schema_count, CODEC_BYTES,
                     err));
    return recorded_feed_open(&s->feed, arena_text(&s->arena, folder, strlen(folder)), &s->info,
                              s->codec, err);
}

static enum status open_kafka(struct follow_source *s, const struct settings *settings,
                              struct error *err) {
    struct settings *kept = arena_must(&s->arena, sizeof *kept);
    *kept = *settings;
    TRY(codec_create(&s->codec, NULL, 0, CODEC_BYTES, err));
    TRY(kafka_settings(kept, &s->arena, &s->kafka, err));
    return kafka_feed_open(&s->feed, &s->kafka, err);
}

enum status follow_source_recording(struct follow_source **out, const char *folder,
                                    struct error *err) {
    TRY(create(out, err));
    enum status status = open_recording(*out, folder, err);
    if (status != OK)
        follow_source_close(*out);
    return status;
}

enum status follow_source_kafka(struct follow_source **out, const struct settings *settings,
                                struct error *err) {
    TRY(create(out, err));
    enum status status = open_kafka(*out, settings, err);
    if (status != OK)
        follow_source_close(*out);
    return status;
}
