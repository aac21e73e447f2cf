/* Bytes -> the codec: input events, row records, manifests, writers' schemas. Nothing may crash,
 * hang or leak; what decodes must encode to what decodes to the same.
 *
 *   a record: topic, key length (2 bytes, little-endian), key, value
 *   a writer's schema for interactions: 255, text */
#include "codec/codec.h"
#include "codec/heap.h"

#include <stdlib.h>
#include <string.h>
#ifdef COLDSTREAM_LEAKS_CHECKED
#include <sanitizer/lsan_interface.h>
/* Avro C puts a reference count of 4 bytes before its values, so their pointers are not aligned. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) {
    return "use_unaligned=1";
}
#endif

#define BYTES_MAX ((size_t)16 << 20)
#define SCHEMA_BYTES_MAX 65536
#define ROOT_BYTES ((size_t)1 << 20)
/* What Avro C may hold on to between records: its reused buffers. */
#define HEAP_SLACK_BYTES ((size_t)24 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A writer with everything that ours lacks, so that Avro C's skipping and resolving run too. */
static const char newer[] =
    "{\"type\":\"record\",\"name\":\"Interaction\",\"namespace\":\"coldstream\",\"fields\":["
    "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":"
    "\"string\"}}},"
    "{\"name\":\"nothing\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},"
    "{\"name\":\"action\",\"type\":{\"type\":\"enum\",\"name\":\"Action\",\"symbols\":[\"SHARE\","
    "\"CLICK\"]}},"
    "{\"name\":\"tree\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Tree\",\"fields\":["
    "{\"name\":\"left\",\"type\":[\"null\",\"Tree\"]},{\"name\":\"right\",\"type\":[\"null\","
    "\"Tree\"]}]}]},"
    "{\"name\":\"label\",\"type\":[\"int\",\"null\",\"string\"]},"
    "{\"name\":\"item_id\",\"type\":\"string\"},{\"name\":\"user_id\",\"type\":\"string\"},"
    "{\"name\":\"event_time\",\"type\":\"int\"}]}";

static struct codec *codec;
static void destroy_codec(void) {
    codec_destroy(codec);
}

static void check_event(const struct record *record) {
    struct error err;
    struct event event, again;
    enum dead_reason reason = DEAD_REASON_COUNT;
    struct codec_port port = codec_port(codec);
    enum status status = port.decode(port.self, record, &event, &reason, &err);
    if (status != OK) {
        ASSERT(status == BAD_RECORD && reason < DEAD_REASON_COUNT && err.text[0] != '\0');
        return;
    }
    if (event.kind == EVENT_DELISTING)
        return;
    struct record encoded;
    if (event.kind == EVENT_LISTING && event.as.listing.dims == 0)
        event.as.listing.vector = NULL;
    ASSERT(codec_encode_event(codec, &event, "m", &encoded, &err) == OK);
    encoded.key = (struct bytes){0}; /* the event's own bytes, which the next decode takes away */
    ASSERT(port.decode(port.self, &encoded, &again, &reason, &err) == OK);
    ASSERT(again.kind == event.kind);
    if (event.kind == EVENT_LISTING)
        ASSERT(again.as.listing.dims == event.as.listing.dims);
    else
        ASSERT(again.as.interaction.event_time_ms == event.as.interaction.event_time_ms);
}

static void check_row(const struct record *record) {
    struct error err;
    struct row_output row, again;
    enum status status = codec_decode_row(codec, record, &row, &err);
    if (status != OK) {
        ASSERT(status == BAD_RECORD && err.text[0] != '\0');
        return;
    }
    /* the row lies in the codec's memory, and the next call takes that */
    static uint8_t value[1 << 20], key[1 << 16];
    static char table[1 << 16];
    size_t len = strlen(row.table);
    if (row.value.len > sizeof value || row.key.len > sizeof key || len >= sizeof table)
        return;
    memcpy(key, row.key.data, row.key.len);
    memcpy(table, row.table, len + 1);
    if (row.value.data != NULL)
        memcpy(value, row.value.data, row.value.len);
    row.key.data = key;
    row.table = table;
    if (row.value.data != NULL)
        row.value.data = value;
    struct output output = {.topic = record->topic, .kind = OUTPUT_ROW, .as.row = row};
    struct record encoded;
    struct codec_port port = codec_port(codec);
    ASSERT(port.encode(port.self, &output, &encoded, &err) == OK);
    ASSERT(codec_decode_row(codec, &encoded, &again, &err) == OK);
    ASSERT(bytes_equal(row.key, again.key) && bytes_equal(row.value, again.value));
    ASSERT(strcmp(row.table, again.table) == 0 && row.version == again.version);
}

static void check_schema(const uint8_t *text, size_t size) {
    static char json[SCHEMA_BYTES_MAX + 1];
    struct error err;
    struct codec *other;
    if (size > SCHEMA_BYTES_MAX)
        return;
    memcpy(json, text, size);
    json[size] = '\0';
    struct writer_schema writer = {100, "interactions-value", json};
#ifdef COLDSTREAM_LEAKS_CHECKED
    __lsan_disable(); /* Avro C's parser leaks a schema that it refuses; the process ends then */
#endif
    if (codec_create(&other, &writer, 1, BYTES_MAX, &err) == OK)
        codec_destroy(other);
    else
        ASSERT(err.status == FATAL && err.text[0] != '\0');
#ifdef COLDSTREAM_LEAKS_CHECKED
    __lsan_enable();
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena arena;
    static size_t heap_at_start;
    struct error err;
    if (codec == NULL) {
        /* whoever brings a schema of a subject brings all: also the one that events are encoded with again */
        uint32_t shipped;
        struct writer_schema writers[2] = {{71, "interactions-value", newer},
                                           codec_shipped_schemas(&shipped)[0]};
        ASSERT(writers[1].id == SCHEMA_INTERACTIONS_VALUE);
        ASSERT(codec_create(&codec, writers, 2, BYTES_MAX, &err) == OK);
        ASSERT(arena_reserve(&arena, "fuzz", BYTES_MAX, &err) == OK);
        heap_at_start = heap_used();
        atexit(destroy_codec);
#ifdef COLDSTREAM_LEAKS_CHECKED
        __lsan_register_root_region(codec, ROOT_BYTES); /* arenas are no heap: it would see leaks */
#endif
    }
    if (size > 0 && data[0] == 255) {
        size_t before = heap_used();
        check_schema(data + 1, size - 1);
        heap_at_start += heap_used() - before;
        return 0;
    }
    if (size < 3)
        return 0;
    struct record record = {.topic = (enum topic)(data[0] % TOPIC_COUNT)};
    size_t key_len = (size_t)data[1] | (size_t)data[2] << 8;
    data += 3;
    size -= 3;
    if (key_len > size)
        key_len = size;
    if (key_len > 0)
        record.key = bytes_of(data, key_len);
    if (size > key_len)
        record.value = bytes_of(data + key_len, size - key_len);
    arena_reset(&arena);
    struct manifest manifest;
    if (record.topic < TOPIC_INPUTS)
        check_event(&record);
    else if (record.topic == TOPIC_EPOCHS)
        ASSERT(codec_decode_manifest(codec, &record, &arena, &manifest, &err) != ABORT_EPOCH);
    else
        check_row(&record);
    ASSERT(heap_used() <= heap_at_start + HEAP_SLACK_BYTES);
    return 0;
}
