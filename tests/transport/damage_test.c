/* Damaged recordings: what is whole is read, what is not is reported, and reading ends. */
#include "scratch.h"

#include "base/file.h"
#include "codec/container.h"
#include "transport/reader.h"

#include <check.h>

static struct arena memory;
static struct error err;

#define must(call) ck_assert_msg((call) == OK, "%s", err.text)

#define RECORDS 2000
#define RECORDS_PER_BLOCK 20
#define BLOCKS (RECORDS / RECORDS_PER_BLOCK)

static const struct recorded_partition partition = {.topic = TOPIC_INTERACTIONS,
                                                    .file = "interactions-0.avro"};

/* A recording of one partition in blocks of RECORDS_PER_BLOCK; its bytes, and where each block
 * ends. */
struct sound {
    const char *dir;
    char path[600];
    struct bytes file;
    struct record *records;
    size_t block_end[BLOCKS + 1]; /* [0]: the header's end */
};

static struct sound make(const char *name, uint64_t seed, enum compression compression) {
    struct sound s = {.dir = scratch_dir(name),
                      .records = arena_must(&memory, RECORDS * sizeof(struct record))};
    struct recording_writer *writer;
    struct recording_writer_config c = {.partitions[TOPIC_INTERACTIONS] = 1,
                                        .compression = compression};
    must(recording_writer_create(&writer, s.dir, &c, &err));
    struct sink_port sink = recording_writer_port(writer);
    for (uint64_t i = 0; i < RECORDS; i++) {
        s.records[i] = test_record(seed, TOPIC_INTERACTIONS, i, &memory);
        s.records[i].offset = (int64_t)i;
        must(recording_writer_append(writer, &s.records[i], &err));
        if (i % RECORDS_PER_BLOCK == RECORDS_PER_BLOCK - 1) { /* an epoch ends a block */
            must(sink.begin(sink.self, 1 + i / RECORDS_PER_BLOCK, &err));
            must(sink.commit(sink.self, NULL, 0, &err));
        }
    }
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
    snprintf(s.path, sizeof s.path, "%s/%s", s.dir, partition.file);
    must(file_load(s.path, &memory, 1 << 28, &s.file, &err));
    const uint8_t *sync = s.file.data + s.file.len - CONTAINER_SYNC_BYTES, *at = s.file.data;
    for (int b = 0; b <= BLOCKS; b++) {
        at = memmem(at, (size_t)(s.file.data + s.file.len - at), sync, CONTAINER_SYNC_BYTES);
        ck_assert_ptr_nonnull(at);
        at += CONTAINER_SYNC_BYTES;
        s.block_end[b] = (size_t)(at - s.file.data);
    }
    ck_assert_uint_eq(s.block_end[BLOCKS], s.file.len);
    return s;
}

/* In place, without the care for crashes that file_save takes. */
static void put_file(const struct sound *s, const void *data, size_t len) {
    FILE *file = fopen(s->path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

/* What a reader finds in a file: which of the sound records, unchanged, and how many damaged
 * places. */
struct found {
    bool sound[RECORDS];
    uint32_t changed, damaged, records;
};

static void read_file(const struct sound *s, struct found *out) {
    struct recording_reader *reader;
    *out = (struct found){0};
    must(recording_reader_open(&reader, s->dir, &partition, &err));
    int64_t last = -1;
    for (;;) {
        struct record record;
        bool got;
        must(recording_reader_next(reader, &record, &got, &err));
        if (!got)
            break;
        out->records++;
        if (record.damage != NULL) {
            ck_assert(record.value.len <= 256 << 10);
            ck_assert_int_eq(record.offset, last + 1);
            ck_assert_ptr_nonnull(strstr(record.damage, partition.file));
            out->damaged++;
            continue;
        }
        ck_assert_int_gt(record.offset, last);
        last = record.offset;
        if (record.offset < RECORDS && same_record(&record, &s->records[record.offset]))
            out->sound[record.offset] = true;
        else
            out->changed++;
    }
    recording_reader_close(reader);
}

/* One stretch of the file is replaced by another; all blocks but those that it touches, and the
 * one after them, must come out whole. */
static void check_spoilt(const struct sound *s, size_t from, size_t to, struct bytes with) {
    size_t mark = arena_mark(&memory);
    size_t len = s->file.len - (to - from) + with.len;
    uint8_t *spoilt = arena_must(&memory, len + 1);
    memcpy(spoilt, s->file.data, from);
    if (with.len > 0)
        memcpy(spoilt + from, with.data, with.len);
    memcpy(spoilt + from + with.len, s->file.data + to, s->file.len - to);
    put_file(s, spoilt, len);
    struct found found;
    read_file(s, &found);
    int last_touched = BLOCKS;
    for (int b = BLOCKS - 1; b >= 0; b--)
        if (s->block_end[b] >= to && to < s->file.len)
            last_touched =
                b; /* wholly behind the stretch, but maybe lost with the marker before it */
    uint32_t lost = 0;
    for (int b = 0; b < BLOCKS; b++)
        for (int i = b * RECORDS_PER_BLOCK; i < (b + 1) * RECORDS_PER_BLOCK; i++) {
            lost += !found.sound[i];
            bool whole = s->block_end[b + 1] <= from || b > last_touched;
            ck_assert_msg(
                !whole || found.sound[i],
                "record %d of block %d is lost, though only bytes %zu to %zu were changed", i, b,
                from, to);
        }
    ck_assert_msg(lost == 0 || found.damaged + found.changed > 0,
                  "%u records are lost without a word (bytes %zu to %zu)", lost, from, to);
    arena_rewind(&memory, mark);
}

START_TEST(what_is_whole_is_read) {
    uint64_t seed = test_seed("damage_test");
    must(arena_reserve(&memory, "test", (size_t)1 << 28, &err));
    struct sound s = make("damage", seed, _i ? COMPRESSION_DEFLATE : COMPRESSION_NONE);
    struct rng rng = rng_stream(seed, RNG_TEST, 5, (uint64_t)_i);
    check_spoilt(&s, s.file.len, s.file.len, (struct bytes){0});
    uint32_t body = (uint32_t)(s.file.len - s.block_end[0]);
    for (int turn = 0; turn < 150; turn++) {
        uint8_t noise[300];
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)rng_u32(&rng);
        size_t from = s.block_end[0] + rng_below(&rng, body), to = from;
        size_t left = s.file.len - from, span = 1 + rng_below(&rng, 300);
        if (span > left)
            span = left;
        struct bytes with = bytes_of(noise, span);
        switch (rng_below(&rng, 5)) {
        case 0: /* a bit */
            noise[0] = s.file.data[from] ^ (uint8_t)(1u << rng_below(&rng, 8));
            to = from + 1;
            with.len = 1;
            break;
        case 1: /* a stretch overwritten */
            to = from + span;
            break;
        case 2: /* a stretch gone */
            to = from + span;
            with.len = 0;
            break;
        case 3: /* noise put in */
            break;
        default: /* cut off */
            to = s.file.len;
            with.len = 0;
            break;
        }
        check_spoilt(&s, from, to, with);
    }
    arena_release(&memory);
}
END_TEST

START_TEST(a_broken_header_is_fatal) {
    must(arena_reserve(&memory, "test", (size_t)1 << 28, &err));
    struct sound s = make("header", test_seed("damage_test"), COMPRESSION_NONE);
    for (size_t len = 0; len < s.block_end[0]; len += 7) {
        put_file(&s, s.file.data, len);
        struct recording_reader *reader;
        ck_assert_int_eq(recording_reader_open(&reader, s.dir, &partition, &err), FATAL);
        ck_assert_int_eq(err.exit_code, EX_DATAERR);
        ck_assert_ptr_nonnull(strstr(err.text, s.path));
    }
    arena_release(&memory);
}
END_TEST

/* A block that stands twice: its records' offsets step back. */
START_TEST(repeated_offsets_are_damage) {
    must(arena_reserve(&memory, "test", (size_t)1 << 28, &err));
    struct sound s = make("repeat", test_seed("damage_test"), COMPRESSION_NONE);
    size_t from = s.block_end[3], to = s.block_end[4];
    uint8_t *twice = arena_must(&memory, s.file.len + to - from);
    memcpy(twice, s.file.data, to);
    memcpy(twice + to, s.file.data + from, s.file.len - from);
    put_file(&s, twice, s.file.len + to - from);
    struct found found;
    read_file(&s, &found);
    ck_assert_uint_eq(found.damaged, RECORDS_PER_BLOCK);
    ck_assert_uint_eq(found.changed, 0);
    for (int i = 0; i < RECORDS; i++)
        ck_assert(found.sound[i]);
    arena_release(&memory);
}
END_TEST

/* Seeking gives what reading on from the beginning gives, damage included. */
START_TEST(seeking_meets_the_same_damage) {
    uint64_t seed = test_seed("damage_test");
    must(arena_reserve(&memory, "test", (size_t)1 << 28, &err));
    struct sound s = make("seek", seed, COMPRESSION_NONE);
    uint8_t *spoilt = arena_copy(&memory, s.file.data, s.file.len);
    for (int b = 5; b < BLOCKS; b += 10) /* within a block, and a marker */
        spoilt[b % 20 == 5 ? (s.block_end[b] + s.block_end[b + 1]) / 2 : s.block_end[b] - 1] ^=
            0x55;
    size_t len = s.file.len + 10; /* and noise where no record is lost: at the end */
    uint8_t *longer = arena_must(&memory, len);
    memcpy(longer, spoilt, s.file.len);
    memset(longer + s.file.len, 0xee, 10);
    put_file(&s, longer, len);
    struct recording_reader *reader;
    must(recording_reader_open(&reader, s.dir, &partition, &err));
    static struct record all[RECORDS + 100];
    uint32_t count = 0;
    bool got;
    for (;; count++) {
        ck_assert_uint_lt(count, RECORDS + 100);
        must(recording_reader_next(reader, &all[count], &got, &err));
        if (!got)
            break;
    }
    ck_assert_ptr_nonnull(all[count - 1].damage);
    struct rng rng = rng_stream(seed, RNG_TEST, 6, 0);
    for (int turn = 0; turn < 300; turn++) {
        int64_t offset = turn == 0 ? INT64_MIN : (int64_t)rng_below(&rng, RECORDS + 10);
        recording_reader_seek(reader, offset);
        for (uint32_t i = 0; i < count; i++) {
            if (all[i].offset < offset)
                continue;
            struct record record;
            must(recording_reader_next(reader, &record, &got, &err));
            ck_assert(got);
            ck_assert_int_eq(record.offset, all[i].offset);
            ck_assert_int_eq(record.timestamp_ms, all[i].timestamp_ms);
            ck_assert_int_eq(record.damage == NULL, all[i].damage == NULL);
            if (turn > 20 && i % 50 == 0) /* and from the middle */
                break;
        }
    }
    recording_reader_close(reader);
    arena_release(&memory);
}
END_TEST

/* ---- recording.yaml ---- */

static void info_refused(const char *dir, const char *yaml, int exit_code, const char *words) {
    char path[600];
    snprintf(path, sizeof path, "%s/recording.yaml", dir);
    must(file_save(path, bytes_text(yaml), &err));
    struct recording_info info;
    ck_assert_int_eq(recording_info_read(dir, &memory, &info, &err), FATAL);
    ck_assert_int_eq(err.exit_code, exit_code);
    ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" is not in \"%s\"", words, err.text);
}

START_TEST(errors_in_recording_yaml_name_the_place) {
    must(arena_reserve(&memory, "test", (size_t)1 << 28, &err));
    struct sound s = make("yaml", test_seed("damage_test"), COMPRESSION_NONE);
    const char *d = s.dir;
    info_refused(d, "", EX_DATAERR, "recording.yaml:1:1: ");
    info_refused(d, "recording: 1\npartitions: [\n", EX_DATAERR, "recording.yaml:3:");
    info_refused(d, "recording: 2\n", EX_DATAERR, "recording.yaml:1:12: `recording`");
    info_refused(d, "recording: 1\npartitions:\n- topic: clicks\n", EX_DATAERR,
                 ":3:10: this is none");
    info_refused(d, "recording: 1\npartitions:\n- topic: interactions\n  partition: -1\n",
                 EX_DATAERR, ":4:14: `partition`");
    info_refused(
        d, "recording: 1\npartitions:\n- {topic: epochs, partition: 0, file: ../x}\nschemas: []\n",
        EX_DATAERR, ":3:39: this is no plain name");
    info_refused(d, "recording: 1\npartitions: []\nschemas: []\n", EX_DATAERR,
                 "interactions-0.avro has no entry");
    info_refused(d,
                 "recording: 1\npartitions:\n- {topic: interactions, partition: 0, file: "
                 "interactions-0.avro}\n"
                 "- {topic: epochs, partition: 0, file: gone.avro}\nschemas: []\n",
                 EX_NOINPUT, "gone.avro");
    info_refused(d,
                 "recording: 1\npartitions:\n- {topic: interactions, partition: 0, file: "
                 "interactions-0.avro}\n"
                 "- {topic: interactions, partition: 0, file: x.avro}\nschemas: []\n",
                 EX_DATAERR, ":4:3: this partition");
    info_refused(d,
                 "recording: 1\npartitions:\n- {topic: interactions, partition: 0, file: "
                 "interactions-0.avro}\n"
                 "schemas: [{id: 99999999999, subject: a, schema: b}]\n",
                 EX_DATAERR, ":4:16: `id`");
    arena_release(&memory);
}
END_TEST

static Suite *damage_suite(void) {
    Suite *suite = suite_create("damage");
    TCase *tests = tcase_create("damage");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, what_is_whole_is_read, 0, 2);
    tcase_add_test(tests, a_broken_header_is_fatal);
    tcase_add_test(tests, repeated_offsets_are_damage);
    tcase_add_test(tests, seeking_meets_the_same_damage);
    tcase_add_test(tests, errors_in_recording_yaml_name_the_place);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(damage_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
