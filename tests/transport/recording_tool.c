/* For fastavro_check.py: writes a recording with something of everything, and prints what a
 * recording holds.
 *
 *   recording_tool write DIR null|deflate     prints what it means to write (no `record` lines)
 *   recording_tool dump DIR                   prints what it reads
 *
 * Tab-separated, bytes as hex, null as "-":
 *     record  topic partition offset timestamp key value header=value ...
 *     event   interaction user item time action label request position
 *     event   listing item time text vector
 *     event   delisting item
 *     row     table key position version epoch generation value
 *     epoch   epoch kind timestamp watermark ... (print_manifest)
 *     dead    reason damage
 * The inputs come in the source's order, then the outputs file by file. */
#include "codec/codec.h"
#include "transport/recording.h"

#include "base/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct error err;
static struct arena arena;
static struct codec *codec;
static struct codec_port port;

static void must(enum status status) {
    if (status == OK)
        return;
    fprintf(stderr, "recording_tool: %s\n", err.text);
    exit(1);
}

/* ---- printing ---- */

static void hex(struct bytes b) {
    printf("\t%s", b.data == NULL ? "-" : b.len == 0 ? "." : "");
    for (size_t i = 0; i < b.len; i++)
        printf("%02x", b.data[i]);
}

static void print_event(const struct event *event) {
    const struct interaction *i = &event->as.interaction;
    const struct listing *l = &event->as.listing;
    switch (event->kind) {
    case EVENT_INTERACTION:
        printf("event\tinteraction");
        hex(i->user_id);
        hex(i->item_id);
        printf("\t%" PRId64 "\t%d", i->event_time_ms, (int)i->action);
        printf(i->has_label ? "\t%g" : "\t-", (double)i->label);
        hex(i->request_id);
        printf(i->has_position ? "\t%d\n" : "\t-\n", i->position);
        break;
    case EVENT_LISTING:
        printf("event\tlisting");
        hex(l->item_id);
        printf("\t%" PRId64, l->event_time_ms);
        hex(l->text);
        hex(bytes_of(l->vector, l->dims * sizeof *l->vector));
        printf("\n");
        break;
    case EVENT_DELISTING:
        printf("event\tdelisting");
        hex(event->as.delisted_item_id);
        printf("\n");
        break;
    }
}

static void print_manifest(const struct manifest *m) {
    char text[DIGEST_HEX_BYTES];
    printf("epoch\t%" PRIu64 "\t%d\t%" PRId64 "\t%" PRId64 "\t%u\t%u", m->epoch, (int)m->kind,
           m->timestamp_ms, m->watermark_ms, m->generation, m->codebook_version);
    printf("\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\t%" PRIu64 "\t%" PRIu64,
           m->counts.events, m->counts.applied, m->counts.dead_letters, m->counts.parked,
           m->counts.labelled, m->counts.rows);
    for (uint32_t i = 0; i < m->range_count; i++)
        printf("\t%s\t%d\t%" PRId64 "\t%" PRId64 "\t%u\t%" PRId64, topic_name(m->ranges[i].topic),
               m->ranges[i].partition, m->ranges[i].first_offset, m->ranges[i].last_offset,
               m->ranges[i].count, (int64_t)m->ranges[i].hash);
    for (uint32_t i = 0; i < m->end_count; i++)
        printf("\t%s\t%d\t%" PRId64, topic_name(m->ends[i].topic), m->ends[i].partition,
               m->ends[i].end_offset);
    for (uint32_t i = 0; i < m->table_count; i++)
        printf("\t%s\t%s\t%" PRIu64, m->tables[i].name, digest_hex(m->tables[i].digest, text),
               m->tables[i].rows);
    for (uint32_t i = 0; i < m->batch_count; i++)
        printf("\t%u", m->batches[i]);
    printf("\t%s\t%s\t%s\t%" PRId64, digest_hex(m->state, text), m->build, m->blas_core,
           (int64_t)m->config_hash);
    hex(m->config != NULL ? bytes_text(m->config) : (struct bytes){0});
    printf("\n");
}

static void print_row(const struct row_output *row) {
    printf("row\t%s", row->table);
    hex(row->key);
    if (row->value.data != NULL)
        printf("\t%u\t%" PRIu64 "\t%" PRIu64 "\t%u", row->position, row->version, row->epoch,
               row->generation);
    hex(row->value);
    printf("\n");
}

/* ---- writing ---- */

static struct recording_writer *writer;
static struct sink_port sink;
static struct rng rng;

static void put_event(const struct event *event, int32_t partition) {
    struct record record;
    print_event(event);
    must(codec_encode_event(codec, event, "text", &record, &err));
    record.partition = partition;
    if (event->kind == EVENT_DELISTING)
        record.timestamp_ms = 5000;
    must(recording_writer_append(writer, &record, &err));
}

static struct bytes name(const char *prefix, uint32_t number) {
    char text[64];
    int len = snprintf(text, sizeof text, "%s-\xc3\xa4-%u", prefix, number);
    return bytes_of(arena_copy(&arena, text, (size_t)len), (size_t)len);
}

static void write_inputs(void) {
    for (uint32_t i = 0; i < 400; i++) {
        arena_reset(&arena);
        struct event event = {.kind = EVENT_INTERACTION};
        event.as.interaction = (struct interaction){.user_id = name("user", i % 50),
                                                    .item_id = name("item", i % 30),
                                                    .event_time_ms = 1000 + 10 * i,
                                                    .action = (enum action)(i % 4),
                                                    .has_label = i % 3 == 0,
                                                    .label = i % 3 == 0 && i % 2,
                                                    .has_position = i % 5 == 0,
                                                    .position = i % 5 == 0 ? (int32_t)i - 200 : 0};
        if (i % 7 == 0)
            event.as.interaction.request_id = name("request", i);
        put_event(&event, (int32_t)(i % 3));
        if (i % 4 != 0)
            continue;
        float *vector = arena_must(&arena, 16 * sizeof *vector);
        for (int d = 0; d < 16; d++)
            vector[d] = rng_normal(&rng);
        event = (struct event){.kind = i % 40 == 36 ? EVENT_DELISTING : EVENT_LISTING};
        if (event.kind == EVENT_DELISTING)
            event.as.delisted_item_id = name("item", i % 30);
        else
            event.as.listing =
                (struct listing){.item_id = name("item", i % 30),
                                 .event_time_ms = 1000 + 10 * i,
                                 .vector = vector,
                                 .dims = 16,
                                 .text = i % 8 ? name("a lamp", i) : (struct bytes){0}};
        put_event(&event, (int32_t)(i % 2));
    }
}

static void put_output(struct output output) {
    struct record record;
    output.timestamp_ms = 1000 + rng_below(&rng, 4000);
    if (output.kind == OUTPUT_ROW)
        print_row(&output.as.row);
    else if (output.kind == OUTPUT_MANIFEST)
        print_manifest(output.as.manifest);
    must(port.encode(port.self, &output, &record, &err));
    must(sink.put(sink.self, &record, &err));
}

static void put_rows(uint32_t epoch) {
    struct sid_row sid = {.codes = {1, 2, 3, 4, 65535},
                          .previous = {1, 2, 3, 4, 65535},
                          .reason = (uint16_t)(epoch % 4),
                          .generation = 2,
                          .codebook_version = epoch,
                          .quantisation_error = rng_unit(&rng),
                          .epoch = epoch,
                          .event_time_ms = 999};
    if (epoch % 2) {
        sid.has_previous = 1;
        sid.previous[0] = 9;
    }
    float values[33];
    for (int d = 0; d < 33; d++)
        values[d] = rng_normal(&rng);
    for (uint32_t i = 0; i < 20; i++) {
        uint8_t key[8];
        struct row_output row = {
            "embedding", name("item", i), i, epoch, epoch, 2, bytes_of(values, sizeof values)};
        struct row_output gone = row, history = row, code = row, unlisted, book = row;
        gone.value = (struct bytes){0};
        history.table = "users";
        put_output((struct output){.topic = TOPIC_RANKER_DELTAS, .as.row = i % 9 ? row : gone});
        put_output((struct output){.topic = TOPIC_CHANGELOG, .as.row = history});
        code.table = "sid";
        unlisted = code;
        unlisted.value = (struct bytes){0};
        code.value = bytes_of(&sid, sizeof sid);
        put_output((struct output){.topic = TOPIC_SEMANTIC_IDS, .as.row = i % 9 ? code : unlisted});
        book.table = "codebooks";
        put_be64(key, (uint64_t)2 << 40 | (uint64_t)(i % 8) << 32 | i);
        book.key = bytes_of(key, 8);
        put_output((struct output){.topic = TOPIC_CODEBOOKS, .as.row = book});
    }
}

static void put_manifest(uint32_t epoch) {
    struct input_range ranges[] = {
        {TOPIC_INTERACTIONS, 2, 10 * epoch, 10 * epoch + 9, 10, UINT64_MAX - epoch},
        {TOPIC_ITEM_CONTENT, 0, epoch, epoch, 1, 7}};
    struct output_end ends[] = {{TOPIC_EPOCHS, 0, epoch}};
    struct table_state tables[] = {{"embedding", {epoch, UINT64_MAX}, 20}, {"sid", {3, 4}, 18}};
    uint32_t batches[] = {512, epoch};
    struct manifest manifest = {.epoch = epoch,
                                .kind = (enum epoch_kind)(epoch % 2),
                                .timestamp_ms = 5000,
                                .watermark_ms = 4000,
                                .generation = 2,
                                .codebook_version = epoch,
                                .counts = {1, 2, 3, -4, 5, 6},
                                .range_count = 2,
                                .ranges = ranges,
                                .end_count = 1,
                                .ends = ends,
                                .table_count = 2,
                                .tables = tables,
                                .batch_count = 2,
                                .batches = batches,
                                .state = {epoch, 9},
                                .build = "0.1.0",
                                .blas_core = "Haswell",
                                .config_hash = UINT64_MAX,
                                .config = epoch == 1 ? "seed: 1\n" : NULL};
    put_output(
        (struct output){.topic = TOPIC_EPOCHS, .kind = OUTPUT_MANIFEST, .as.manifest = &manifest});
}

static void write_recording(const char *dir, const char *compression) {
    struct recording_writer_config config = {.partitions = {2, 3, 2, 2, 1, 1, 1, 1}};
    config.compression =
        strcmp(compression, "deflate") == 0 ? COMPRESSION_DEFLATE : COMPRESSION_NONE;
    const struct writer_schema *shipped = codec_shipped_schemas(&config.schema_count);
    struct recorded_schema *schemas = calloc(config.schema_count, sizeof *schemas);
    for (uint32_t i = 0; i < config.schema_count; i++) {
        schemas[i].id = shipped[i].id;
        schemas[i].json = shipped[i].json;
        snprintf(schemas[i].subject, sizeof schemas[i].subject, "%s", shipped[i].subject);
    }
    config.schemas = schemas;
    must(recording_writer_create(&writer, dir, &config, &err));
    write_inputs();
    sink = recording_writer_port(writer);
    struct record bad = {.topic = TOPIC_INTERACTIONS,
                         .partition = 1,
                         .offset = 77,
                         .timestamp_ms = -3,
                         .key = bytes_text("k"),
                         .value = bytes_of("\xff\0\1", 3)};
    for (uint32_t epoch = 1; epoch <= 5; epoch++) {
        arena_reset(&arena);
        must(sink.begin(sink.self, epoch, &err));
        put_rows(epoch);
        put_output((struct output){.topic = TOPIC_DEAD_LETTER,
                                   .kind = OUTPUT_DEAD,
                                   .as.dead = {&bad, DEAD_WIRE, "magic byte 255"}});
        put_manifest(epoch);
        must(sink.commit(sink.self, NULL, 0, &err));
    }
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
    free(schemas);
}

/* ---- reading ---- */

static void dump_record(const struct record *record) {
    printf("record\t%s\t%d\t%" PRId64 "\t%" PRId64, topic_name(record->topic), record->partition,
           record->offset, record->timestamp_ms);
    hex(record->key);
    hex(record->value);
    for (uint32_t i = 0; i < record->header_count; i++) {
        printf("\t%.*s=", (int)record->headers[i].key.len,
               (const char *)record->headers[i].key.data);
        for (size_t b = 0; b < record->headers[i].value.len; b++)
            printf("%02x", record->headers[i].value.data[b]);
    }
    printf("\n");
    arena_reset(&arena);
    struct event event;
    struct manifest manifest;
    struct row_output row;
    enum dead_reason reason;
    if (record->topic < TOPIC_INPUTS) {
        if (port.decode(port.self, record, &event, &reason, &err) == OK)
            print_event(&event);
        else
            printf("dead\t%s\t%s\n", dead_reason_name(reason), err.text);
    } else if (record->topic == TOPIC_EPOCHS) {
        must(codec_decode_manifest(codec, record, &arena, &manifest, &err));
        print_manifest(&manifest);
    } else if (record->topic != TOPIC_DEAD_LETTER) {
        must(codec_decode_row(codec, record, &row, &err));
        print_row(&row);
    }
}

static void dump(const char *dir, const struct recording_info *info) {
    struct recording_source *source;
    struct record record;
    bool got = true, end;
    must(recording_source_open(&source, dir, info, &err));
    struct source_port inputs = recording_source_port(source);
    while (got) {
        must(inputs.next(inputs.self, &record, &got, &end, &err));
        if (got)
            dump_record(&record);
    }
    recording_source_close(source);
    for (uint32_t i = 0; i < info->partition_count; i++) {
        struct recording_reader *reader;
        if (info->partitions[i].topic < TOPIC_INPUTS)
            continue;
        must(recording_reader_open(&reader, dir, &info->partitions[i], &err));
        for (got = true; got;) {
            must(recording_reader_next(reader, &record, &got, &err));
            if (got)
                dump_record(&record);
        }
        recording_reader_close(reader);
    }
}

int main(int argc, char **argv) {
    bool writes = argc == 4 && strcmp(argv[1], "write") == 0;
    if (!writes && (argc != 3 || strcmp(argv[1], "dump") != 0)) {
        fprintf(stderr, "usage: recording_tool write DIR null|deflate | dump DIR\n");
        return EX_USAGE;
    }
    struct arena kept; /* recording.yaml */
    struct recording_info info = {0};
    struct writer_schema writers[RECORDED_SCHEMAS_MAX];
    must(arena_reserve(&kept, "tool", (size_t)256 << 20, &err));
    must(arena_reserve(&arena, "tool", (size_t)256 << 20, &err));
    if (!writes)
        must(recording_info_read(argv[2], &kept, &info, &err));
    for (uint32_t i = 0; i < info.schema_count; i++)
        writers[i] = (struct writer_schema){info.schemas[i].id, info.schemas[i].subject,
                                            info.schemas[i].json};
    must(codec_create(&codec, writers, info.schema_count, (size_t)64 << 20, &err));
    port = codec_port(codec);
    rng = rng_stream(1, RNG_TEST, 0, 0);
    if (writes)
        write_recording(argv[2], argv[3]);
    else
        dump(argv[2], &info);
    codec_destroy(codec);
    return 0;
}
