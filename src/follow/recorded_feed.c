#include "follow/feed.h"

#include <stdio.h>

#include "base/poison.h"

#define MANIFEST_BYTES ((size_t)64 << 20)

struct recorded_slot {
    const struct recorded_partition *file;
    struct recording_reader *reader;
    struct record ahead; /* read and not yet handed out */
    bool has_ahead, ended;
    int64_t at;
};

struct recorded_feed {
    struct arena arena;    /* itself */
    struct arena manifest; /* that of the epoch whose records come now */
    const char *dir;
    struct codec *codec;
    uint32_t slots;
    struct recorded_slot *slot; /* [slots] */
    int64_t *ends;              /* [slots] of that epoch */
    uint32_t current;           /* slot whose records come now */
    bool in_epoch;
    int64_t records, handed_out;
};

static enum status open_readers(struct recorded_feed *f, struct error *err) {
    for (uint32_t i = 0; i < f->slots; i++) {
        struct recorded_slot *slot = &f->slot[i];
        const struct recorded_partition *file = slot->file;
        if (slot->reader != NULL)
            recording_reader_close(slot->reader);
        *slot = (struct recorded_slot){.file = file};
        TRY(recording_reader_open(&slot->reader, f->dir, file, err));
    }
    return OK;
}

static enum status start(void *self, const int64_t *from, struct error *err) {
    struct recorded_feed *f = self;
    (void)from; /* a recording is read from its beginning */
    f->in_epoch = false;
    f->handed_out = 0;
    return open_readers(f, err);
}

static enum status fill(struct recorded_slot *slot, struct error *err) {
    bool got = true;
    if (slot->has_ahead || slot->ended)
        return OK;
    TRY(recording_reader_next(slot->reader, &slot->ahead, &got, err));
    slot->has_ahead = got;
    slot->ended = !got;
    return OK;
}

static enum status find_slot(const struct recorded_feed *f, const struct output_end *end,
                             uint32_t *slot) {
    for (uint32_t i = 0; i < f->slots; i++)
        if (f->slot[i].file->topic == end->topic && f->slot[i].file->partition == end->partition) {
            *slot = i;
            return OK;
        }
    return BAD_RECORD;
}

/* The records of the epoch that the next manifest tells come before it. One that cannot be decoded is handed out at once, for whoever judges it. */
static enum status begin_epoch(struct recorded_feed *f, struct error *err) {
    struct manifest manifest;
    struct recorded_slot *epochs = &f->slot[f->slots - 1];
    TRY(fill(epochs, err));
    f->current = f->slots - 1;
    f->in_epoch = true;
    for (uint32_t i = 0; i + 1 < f->slots; i++)
        f->ends[i] =
            epochs->has_ahead ? 0 : INT64_MAX; /* what follows the last manifest is of no epoch */
    arena_reset(&f->manifest);
    if (!epochs->has_ahead ||
        codec_decode_manifest(f->codec, &epochs->ahead, &f->manifest, &manifest, err) != OK)
        return OK;
    f->current = 0;
    for (uint32_t i = 0; i < manifest.end_count; i++) {
        uint32_t slot;
        if (find_slot(f, &manifest.ends[i], &slot) == OK)
            f->ends[slot] = manifest.ends[i].end_offset;
    }
    return OK;
}

static enum status next(void *self, uint32_t wait_ms, struct record *out, bool *got, uint32_t *slot,
                        struct error *err) {
    struct recorded_feed *f = self;
    (void)wait_ms;
    *got = false;
    *slot = UINT32_MAX;
    if (!f->in_epoch)
        TRY(begin_epoch(f, err));
    while (f->current < f->slots) {
        struct recorded_slot *from = &f->slot[f->current];
        bool manifests = f->current == f->slots - 1;
        TRY(fill(from, err));
        if (from->has_ahead && (manifests || from->ahead.offset < f->ends[f->current])) {
            *out = from->ahead;
            *got = true;
            *slot = f->current;
            from->has_ahead = false;
            from->at = out->offset + 1;
            f->handed_out++;
            f->in_epoch = !manifests;
            return OK;
        }
        if (!manifests && from->at < f->ends[f->current] && f->ends[f->current] != INT64_MAX) {
            from->at = f->ends[f->current]; /* compaction has taken the last of them */
            *slot = f->current++;
            return OK;
        }
        f->current++;
    }
    return OK;
}

static int64_t at(void *self, uint32_t slot) {
    return ((struct recorded_feed *)self)->slot[slot].at;
}

static bool slot_of(void *self, enum topic topic, int32_t partition, uint32_t *slot) {
    struct output_end end = {.topic = topic, .partition = partition};
    return find_slot(self, &end, slot) == OK;
}

static enum status capture(void *self, struct error *err) {
    (void)self, (void)err;
    return OK;
}

static bool ended(void *self) {
    const struct recorded_feed *f = self;
    return f->slot[f->slots - 1].ended;
}

static double share(void *self) {
    const struct recorded_feed *f = self;
    return ended(self) || f->records == 0 ? 1 : (double)f->handed_out / (double)(f->records + 1);
}

static enum status look(void *self, struct codec *codec, struct arena *arena, int64_t *last,
                        const char **config, struct error *err) {
    struct recorded_feed *f = self;
    struct recording_reader *reader;
    struct record record;
    struct manifest manifest;
    bool got = true;
    *last = FEED_BEGINNING;
    *config = NULL;
    TRY(recording_reader_open(&reader, f->dir, f->slot[f->slots - 1].file, err));
    enum status status = OK;
    while (status == OK && got && *config == NULL) {
        arena_reset(&f->manifest);
        status = recording_reader_next(reader, &record, &got, err);
        if (status == OK && got &&
            codec_decode_manifest(codec, &record, &f->manifest, &manifest, err) == OK &&
            manifest.config != NULL)
            *config = arena_text(arena, manifest.config, strlen(manifest.config));
    }
    recording_reader_close(reader);
    return status;
}

static void close_feed(void *self) {
    struct recorded_feed *f = self;
    for (uint32_t i = 0; i < f->slots; i++)
        if (f->slot[i].reader != NULL)
            recording_reader_close(f->slot[i].reader);
    arena_release(&f->manifest);
    struct arena arena = f->arena; /* it lies in it */
    arena_release(&arena);
}

static void add_files(struct recorded_feed *f, const struct recording_info *info) {
    for (int t = 0; t < FEED_TOPICS; t++)
        for (uint32_t i = 0; i < info->partition_count; i++)
            if (info->partitions[i].topic == feed_topics[t]) {
                f->slot[f->slots++].file = &info->partitions[i];
                f->records += info->partitions[i].count;
            }
}

enum status recorded_feed_open(struct feed *out, const char *dir, const struct recording_info *info,
                               struct codec *codec, struct error *err) {
    struct arena arena;
    size_t slots = info->partition_count + 1;
    TRY(arena_reserve(&arena, "recorded feed",
                      sizeof(struct recorded_feed) +
                          slots * (sizeof(struct recorded_slot) + sizeof(int64_t)) + 512,
                      err));
    struct recorded_feed *f = arena_must(&arena, sizeof *f);
    *f = (struct recorded_feed){.arena = arena, .dir = dir, .codec = codec};
    f->slot = arena_must(&f->arena, slots * sizeof *f->slot);
    f->ends = arena_must(&f->arena, slots * sizeof *f->ends);
    add_files(f, info);
    enum status status = arena_reserve(&f->manifest, "manifest", MANIFEST_BYTES, err);
    if (status == OK && (f->slots == 0 || f->slot[f->slots - 1].file->topic != TOPIC_EPOCHS))
        status = FAIL(err, FATAL, EX_NOINPUT,
                      "%s: it has no epochs topic: not the folder of a replay, nor a recording of "
                      "a stage's outputs",
                      dir);
    if (status != OK) {
        close_feed(f);
        return status;
    }
    *out = (struct feed){f,       f->slots, start, next, at,        slot_of,
                         capture, share,    ended, look, close_feed};
    return OK;
}
