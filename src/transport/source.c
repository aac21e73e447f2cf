/* The inputs of a recording as one stream: merged by time, or in the exact order of manifests. */
#include "transport/reader.h"

#include <inttypes.h>

#include "base/poison.h"

/* Address space for the ranges of one manifest. */
#define RANGES_BYTES ((size_t)64 << 20)

/* One file and the record that it will give next. */
struct stream {
    struct recording_reader *reader;
    enum topic topic;
    int32_t partition;
    bool loaded; /* `head` was read, and not yet handed out */
    bool ended;
    struct record head;
};

struct recording_source {
    struct arena arena;  /* this struct, the streams */
    struct arena ranges; /* of the manifest that is followed */
    uint32_t stream_count;
    struct stream *streams;
    /* merging: a binary heap of streams, the earliest head on top */
    bool merged; /* the heap is in order, but for the top when its head was handed out */
    uint32_t heap_count;
    uint32_t *heap;
    /* following */
    bool following;
    uint32_t range_count, range_at; /* range_at: the range being handed out */
    uint32_t range_given;           /* records of it handed out */
    const struct input_range *range;
};

/* ---- opening ---- */

static enum status open_streams(struct recording_source *source, const char *dir,
                                const struct recording_info *info, struct error *err) {
    for (uint32_t i = 0; i < info->partition_count; i++) {
        const struct recorded_partition *partition = &info->partitions[i];
        if (partition->topic >= TOPIC_INPUTS)
            continue;
        struct stream *stream = &source->streams[source->stream_count];
        *stream = (struct stream){.topic = partition->topic, .partition = partition->partition};
        TRY(recording_reader_open(&stream->reader, dir, partition, err));
        source->stream_count++;
    }
    if (source->stream_count == 0)
        return FAIL(err, FATAL, EX_NOINPUT, "%s: this recording has no input topics (%s, %s)", dir,
                    topic_name(TOPIC_ITEM_CONTENT), topic_name(TOPIC_INTERACTIONS));
    return OK;
}

enum status recording_source_open(struct recording_source **out, const char *dir,
                                  const struct recording_info *info, struct error *err) {
    struct arena arena;
    uint32_t max = info->partition_count + 1;
    size_t bytes =
        sizeof(struct recording_source) + max * (sizeof(struct stream) + sizeof(uint32_t));
    TRY(arena_reserve(&arena, "recording's source", bytes + 256, err));
    struct recording_source *source = arena_must(&arena, sizeof *source);
    *source = (struct recording_source){.arena = arena};
    source->streams = arena_must(&source->arena, max * sizeof *source->streams);
    source->heap = arena_must(&source->arena, max * sizeof *source->heap);
    enum status status = arena_reserve(&source->ranges, "manifest's ranges", RANGES_BYTES, err);
    if (status == OK)
        status = open_streams(source, dir, info, err);
    if (status == OK)
        *out = source;
    else
        recording_source_close(source);
    return status;
}

void recording_source_close(struct recording_source *source) {
    for (uint32_t i = 0; i < source->stream_count; i++)
        recording_reader_close(source->streams[i].reader);
    arena_release(&source->ranges);
    struct arena arena = source->arena; /* holds the source itself */
    arena_release(&arena);
}

/* ---- streams ---- */

static enum status load(struct stream *stream, struct error *err) {
    if (stream->loaded || stream->ended)
        return OK;
    TRY(recording_reader_next(stream->reader, &stream->head, &stream->loaded, err));
    stream->ended = !stream->loaded;
    return OK;
}

static struct stream *find(struct recording_source *source, enum topic topic, int32_t partition) {
    for (uint32_t i = 0; i < source->stream_count; i++)
        if (source->streams[i].topic == topic && source->streams[i].partition == partition)
            return &source->streams[i];
    return NULL;
}

static void hand_out(struct stream *stream, struct record *out, bool *got) {
    *out = stream->head;
    *got = true;
    stream->loaded = false; /* its bytes stay until the stream is loaded again */
}

/* ---- merging ---- */

static bool earlier(const struct stream *a, const struct stream *b) {
    if (a->head.timestamp_ms != b->head.timestamp_ms)
        return a->head.timestamp_ms < b->head.timestamp_ms;
    if (a->topic != b->topic)
        return a->topic < b->topic;
    return a->partition <
           b->partition; /* within one partition: the file's order, that of offsets */
}

static void sift_down(struct recording_source *source, uint32_t at) {
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < source->heap_count;
             child++)
            if (earlier(&source->streams[source->heap[child]],
                        &source->streams[source->heap[least]]))
                least = child;
        if (least == at)
            return;
        uint32_t moved = source->heap[at];
        source->heap[at] = source->heap[least];
        source->heap[least] = moved;
        at = least;
    }
}

static enum status merge(struct recording_source *source, struct error *err) {
    source->heap_count = 0;
    for (uint32_t i = 0; i < source->stream_count; i++) {
        TRY(load(&source->streams[i], err));
        if (!source->streams[i].ended)
            source->heap[source->heap_count++] = i;
    }
    for (uint32_t at = source->heap_count / 2; at-- > 0;)
        sift_down(source, at);
    source->merged = true;
    return OK;
}

static enum status next_merged(struct recording_source *source, struct record *out, bool *got,
                               bool *end, struct error *err) {
    if (!source->merged)
        TRY(merge(source, err));
    if (source->heap_count > 0) {
        struct stream *top = &source->streams[source->heap[0]];
        if (!top->loaded) {
            TRY(load(top, err));
            if (top->ended)
                source->heap[0] = source->heap[--source->heap_count];
            sift_down(source, 0);
        }
    }
    *end = source->heap_count == 0;
    if (!*end)
        hand_out(&source->streams[source->heap[0]], out, got);
    return OK;
}

/* ---- following a manifest ---- */

static enum status missing(const struct input_range *range, const struct stream *stream,
                           struct error *err) {
    if (stream != NULL && stream->loaded)
        return FAIL(
            err, FATAL, EX_DATAERR,
            "%s-%d: offsets %" PRId64 " to %" PRId64 " (%u records) are named by a manifest, "
            "but the recording has %" PRId64 " there; it is not the manifest's recording, or "
            "records are missing",
            topic_name(range->topic), range->partition, range->first_offset, range->last_offset,
            range->count, stream->head.offset);
    return FAIL(err, FATAL, EX_DATAERR,
                "%s-%d: offsets %" PRId64 " to %" PRId64
                " (%u records) are named by a manifest, but "
                "the recording ends before",
                topic_name(range->topic), range->partition, range->first_offset, range->last_offset,
                range->count);
}

static enum status next_followed(struct recording_source *source, struct record *out, bool *got,
                                 bool *end, struct error *err) {
    while (source->range_at < source->range_count &&
           source->range_given == source->range[source->range_at].count) {
        source->range_at++;
        source->range_given = 0;
    }
    *end = source->range_at == source->range_count;
    if (*end)
        return OK;
    const struct input_range *range = &source->range[source->range_at];
    struct stream *stream = find(source, range->topic, range->partition);
    if (stream == NULL)
        return missing(range, NULL, err);
    TRY(load(stream, err));
    /* records before the range were not applied: the recording may begin earlier than the
     * manifests */
    while (stream->loaded && source->range_given == 0 &&
           stream->head.offset < range->first_offset) {
        stream->loaded = false;
        TRY(load(stream, err));
    }
    if (!stream->loaded)
        return missing(range, stream, err);
    bool first = source->range_given == 0, last = source->range_given + 1 == range->count;
    int64_t offset = stream->head.offset;
    if ((first && offset != range->first_offset) || offset > range->last_offset ||
        (last && offset != range->last_offset))
        return missing(range, stream, err);
    source->range_given++;
    hand_out(stream, out, got);
    return OK;
}

enum status recording_source_follow(struct recording_source *source,
                                    const struct input_range *ranges, uint32_t count,
                                    struct error *err) {
    arena_reset(&source->ranges);
    source->range =
        ranges != NULL ? arena_copy(&source->ranges, ranges, count * sizeof *ranges) : NULL;
    if (ranges != NULL && source->range == NULL)
        return FAIL(err, FATAL, EX_DATAERR,
                    "a manifest of %u input ranges is more than can be followed", count);
    source->following = ranges != NULL;
    source->merged = false;
    source->range_count = count;
    source->range_at = source->range_given = 0;
    return OK;
}

/* ---- the port ---- */

static enum status source_next(void *self, struct record *out, bool *got, bool *end,
                               struct error *err) {
    struct recording_source *source = self;
    *got = *end = false;
    return source->following ? next_followed(source, out, got, end, err)
                             : next_merged(source, out, got, end, err);
}

static enum status source_rewind(void *self, const struct position *positions, uint32_t count,
                                 struct error *err) {
    struct recording_source *source = self;
    for (uint32_t i = 0; i < count; i++)
        if (positions[i].next_offset > 0 &&
            find(source, positions[i].topic, positions[i].partition) == NULL)
            return FAIL(
                err, FATAL, EX_DATAERR,
                "%s-%d was read up to offset %" PRId64 " before, and is not in this recording",
                topic_name(positions[i].topic), positions[i].partition, positions[i].next_offset);
    for (uint32_t s = 0; s < source->stream_count; s++) {
        struct stream *stream = &source->streams[s];
        int64_t offset = INT64_MIN; /* from the beginning */
        for (uint32_t i = 0; i < count; i++)
            if (positions[i].topic == stream->topic && positions[i].partition == stream->partition)
                offset = positions[i].next_offset;
        recording_reader_seek(stream->reader, offset);
        stream->loaded = stream->ended = false;
    }
    source->merged = false;
    source->range_at = source->range_given = 0;
    return OK;
}

struct source_port recording_source_port(struct recording_source *source) {
    return (struct source_port){.self = source, .next = source_next, .rewind = source_rewind};
}
