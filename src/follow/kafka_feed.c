#include "follow/feed.h"

#include "base/poison.h"

#define MANIFEST_BYTES ((size_t)64 << 20)
#define CONFIG_BYTES ((size_t)64 << 10)
#define FIRST_LOOK 64 /* offsets before the end; each further look goes back eight times as far */

struct kafka_feed {
    struct arena arena;
    const struct kafka_config *config;
    struct kafka_log *log;
};

static enum status start(void *self, const int64_t *from, struct error *err) {
    return kafka_log_start(((struct kafka_feed *)self)->log, from, err);
}

static enum status next(void *self, uint32_t wait_ms, struct record *out, bool *got, uint32_t *slot,
                        struct error *err) {
    return kafka_log_next(((struct kafka_feed *)self)->log, wait_ms, out, got, slot, err);
}

static int64_t at(void *self, uint32_t slot) {
    return kafka_log_at(((struct kafka_feed *)self)->log, slot);
}

static bool slot_of(void *self, enum topic topic, int32_t partition, uint32_t *slot) {
    return kafka_log_slot(((struct kafka_feed *)self)->log, topic, partition, slot);
}

static enum status capture(void *self, struct error *err) {
    return kafka_log_capture(((struct kafka_feed *)self)->log, err);
}

static double share(void *self) {
    return kafka_log_share(((struct kafka_feed *)self)->log);
}

/* ---- looking back over the manifests ---- */

struct look {
    struct kafka_log *log;
    struct codec *codec;
    struct arena manifest;
    int64_t last; /* offset of the last manifest */
    bool has_config;
    char *config; /* [CONFIG_BYTES] the last one told */
};

static enum status read_from(struct look *look, int64_t from, const struct kafka_config *config,
                             struct error *err) {
    look->has_config = false;
    TRY(kafka_log_start(look->log, &from, err));
    while (kafka_log_share(look->log) < 1) {
        struct record record;
        struct manifest manifest;
        bool got;
        uint32_t slot;
        TRY(kafka_log_next(look->log, config->poll_ms, &record, &got, &slot, err));
        arena_reset(&look->manifest);
        if (!got ||
            codec_decode_manifest(look->codec, &record, &look->manifest, &manifest, err) != OK)
            continue;
        look->last = record.offset;
        if (manifest.config == NULL || strlen(manifest.config) >= CONFIG_BYTES)
            continue;
        strcpy(look->config, manifest.config);
        look->has_config = true;
    }
    return OK;
}

/* Back from the end until a manifest tells the configuration: only the first epoch under it does. */
static enum status look_back(struct look *look, const struct kafka_config *config,
                             struct error *err) {
    int64_t beginning = KAFKA_LOG_BEGINNING;
    TRY(kafka_log_start(look->log, &beginning, err));
    int64_t low = kafka_log_at(look->log, 0);
    TRY(kafka_log_capture(look->log, err));
    int64_t end = kafka_log_end(look->log, 0);
    for (int64_t back = FIRST_LOOK; !look->has_config && low < end; back *= 8) {
        int64_t from = end - back > low ? end - back : low;
        TRY(read_from(look, from, config, err));
        if (from == low)
            break;
    }
    return OK;
}

static enum status look(void *self, struct codec *codec, struct arena *arena, int64_t *last,
                        const char **config, struct error *err) {
    struct kafka_feed *f = self;
    enum topic epochs = TOPIC_EPOCHS;
    struct look look = {.codec = codec, .last = FEED_BEGINNING};
    look.config = arena_must(arena, CONFIG_BYTES);
    TRY(arena_reserve(&look.manifest, "manifest", MANIFEST_BYTES, err));
    enum status status = kafka_log_open(&look.log, f->config, &epochs, 1, err);
    if (status == OK) {
        status = look_back(&look, f->config, err);
        kafka_log_close(look.log);
    }
    arena_release(&look.manifest);
    *last = look.last;
    *config = look.has_config ? look.config : NULL;
    return status;
}

static void close_feed(void *self) {
    struct kafka_feed *f = self;
    if (f->log != NULL)
        kafka_log_close(f->log);
    struct arena arena = f->arena; /* it lies in it */
    arena_release(&arena);
}

enum status kafka_feed_open(struct feed *out, const struct kafka_config *config,
                            struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "Kafka feed", sizeof(struct kafka_feed), err));
    struct kafka_feed *f = arena_must(&arena, sizeof *f);
    *f = (struct kafka_feed){.arena = arena, .config = config};
    enum status status = kafka_log_open(&f->log, config, feed_topics, FEED_TOPICS, err);
    if (status != OK) {
        close_feed(f);
        return status;
    }
    *out = (struct feed){
        f,         kafka_log_slots(f->log), start, next, at, slot_of, capture, share, NULL, look,
        close_feed};
    return OK;
}
