/* Recordings: what is written is read, in the promised order, and a resumed writer leaves what
 * an undisturbed one would. */
#include "scratch.h"

#include "base/file.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena memory;
static struct error err;

#define must(call) ck_assert_msg((call) == OK, "%s", err.text)

static const struct recorded_schema schemas[] = {
    {1, "interactions-value", "{\n  \"type\": \"record\",\n  \"doc\": \"a: b # c\"\n}\n"},
    {-7, "item-content-value", "\"string\""}};

static struct recording_writer_config config(void) {
    return (struct recording_writer_config){
        .partitions = {2, 3, 1, 4, 0, 1, 1, 1}, .schema_count = 2, .schemas = schemas};
}

static void set_up(void) {
    must(arena_reserve(&memory, "test", (size_t)1 << 30, &err));
}
static void tear_down(void) {
    arena_release(&memory);
}

static struct recording_info read_info(const char *dir) {
    struct recording_info info;
    must(recording_info_read(dir, &memory, &info, &err));
    return info;
}

/* Both inputs, `count` records each, spread over the partitions. */
static void write_inputs(const char *dir, uint64_t seed, int count, enum compression compression) {
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    c.compression = compression;
    c.synthetic = true;
    must(recording_writer_create(&writer, dir, &c, &err));
    for (uint64_t i = 0; i < (uint64_t)count; i++)
        for (enum topic topic = 0; topic < TOPIC_INPUTS; topic++) {
            size_t mark = arena_mark(&memory);
            struct record record = test_record(seed, topic, i, &memory);
            record.partition = (int32_t)(i % (uint64_t)c.partitions[topic]);
            must(recording_writer_append(writer, &record, &err));
            arena_rewind(&memory, mark);
        }
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
}

START_TEST(files_round_trip) {
    uint64_t seed = test_seed("recording_test");
    const char *dir = scratch_dir("round-trip");
    write_inputs(dir, seed, 5000, _i ? COMPRESSION_DEFLATE : COMPRESSION_NONE);
    struct recording_info info = read_info(dir);
    ck_assert(info.synthetic);
    ck_assert_uint_eq(info.partition_count, 13);
    ck_assert_uint_eq(info.schema_count, 2);
    for (uint32_t s = 0; s < 2; s++) {
        ck_assert_int_eq(info.schemas[s].id, schemas[s].id);
        ck_assert_str_eq(info.schemas[s].subject, schemas[s].subject);
        ck_assert_str_eq(info.schemas[s].json, schemas[s].json);
    }
    for (uint32_t p = 0; p < 5; p++) {
        const struct recorded_partition *partition = &info.partitions[p];
        struct recording_reader *reader;
        uint64_t width = partition->topic == TOPIC_ITEM_CONTENT ? 2 : 3;
        must(recording_reader_open(&reader, dir, partition, &err));
        struct record record;
        bool got;
        int64_t count = 0;
        for (uint64_t i = (uint64_t)partition->partition; i < 5000; i += width) {
            size_t mark = arena_mark(&memory);
            struct record expected = test_record(seed, partition->topic, i, &memory);
            expected.partition = partition->partition;
            expected.offset = count++;
            must(recording_reader_next(reader, &record, &got, &err));
            ck_assert(got);
            ck_assert(same_record(&record, &expected));
            arena_rewind(&memory, mark);
        }
        must(recording_reader_next(reader, &record, &got, &err));
        ck_assert(!got);
        ck_assert_int_eq(partition->count, count);
        recording_reader_close(reader);
    }
}
END_TEST

/* ---- the source ---- */

struct place {
    enum topic topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
};

static uint32_t read_all(struct source_port port, struct place *places, uint32_t max) {
    uint32_t count = 0;
    struct record record;
    bool got, end;
    for (;;) {
        must(port.next(port.self, &record, &got, &end, &err));
        if (!got)
            break;
        ck_assert_uint_lt(count, max);
        places[count++] =
            (struct place){record.topic, record.partition, record.offset, record.timestamp_ms};
    }
    ck_assert(end);
    return count;
}

START_TEST(the_source_merges_by_time) {
    const char *dir = scratch_dir("merge");
    write_inputs(dir, test_seed("recording_test"), 3000, COMPRESSION_NONE);
    struct recording_info info = read_info(dir);
    struct recording_source *source;
    must(recording_source_open(&source, dir, &info, &err));
    struct place *places = arena_must(&memory, 6000 * sizeof *places);
    ck_assert_uint_eq(read_all(recording_source_port(source), places, 6000), 6000);
    /* the merge by hand: at each step the least (timestamp, topic, partition) among the
     * partitions' next records */
    int64_t given[TOPIC_INPUTS][3] = {0};
    for (uint32_t i = 0; i < 6000; i++) {
        const struct place *now = &places[i];
        ck_assert_int_eq(now->offset, given[now->topic][now->partition]++);
        bool seen[TOPIC_INPUTS][3] = {0};
        for (uint32_t j = i; j < 6000 && j < i + 400; j++) { /* each partition's next */
            const struct place *later = &places[j];
            if (seen[later->topic][later->partition])
                continue;
            seen[later->topic][later->partition] = true;
            bool fine = now->timestamp_ms != later->timestamp_ms
                            ? now->timestamp_ms < later->timestamp_ms
                        : now->topic != later->topic ? now->topic < later->topic
                                                     : now->partition <= later->partition;
            ck_assert(fine);
        }
    }
    recording_source_close(source);
}
END_TEST

START_TEST(the_source_rewinds) {
    uint64_t seed = test_seed("recording_test");
    const char *dir = scratch_dir("rewind");
    write_inputs(dir, seed, 3000, COMPRESSION_DEFLATE);
    struct recording_info info = read_info(dir);
    struct recording_source *source;
    must(recording_source_open(&source, dir, &info, &err));
    struct source_port port = recording_source_port(source);
    struct place *all = arena_must(&memory, 6000 * sizeof *all);
    struct place *again = arena_must(&memory, 6000 * sizeof *again);
    ck_assert_uint_eq(read_all(port, all, 6000), 6000);
    struct rng rng = rng_stream(seed, RNG_TEST, 99, 0);
    for (int turn = 0; turn < 20; turn++) {
        uint32_t from = turn == 0 ? 0 : rng_below(&rng, 6001);
        struct position positions[5] = {{.topic = 0, .partition = 0},
                                        {.topic = 0, .partition = 1},
                                        {.topic = 1, .partition = 0},
                                        {.topic = 1, .partition = 1},
                                        {.topic = 1, .partition = 2}};
        for (uint32_t i = 0; i < from; i++)
            for (int p = 0; p < 5; p++)
                if (positions[p].topic == all[i].topic &&
                    positions[p].partition == all[i].partition)
                    positions[p].next_offset = all[i].offset + 1;
        must(port.rewind(port.self, positions, turn == 0 ? 0 : 5, &err));
        ck_assert_uint_eq(read_all(port, again, 6000), 6000 - from);
        ck_assert_mem_eq(again, all + from, (6000 - from) * sizeof *all);
        if (turn % 3 == 0) { /* and once before anything was read */
            recording_source_close(source);
            must(recording_source_open(&source, dir, &info, &err));
            port = recording_source_port(source);
        }
    }
    recording_source_close(source);
}
END_TEST

START_TEST(the_source_follows_a_manifest) {
    const char *dir = scratch_dir("follow");
    write_inputs(dir, test_seed("recording_test"), 300, COMPRESSION_NONE);
    struct recording_info info = read_info(dir);
    struct recording_source *source;
    must(recording_source_open(&source, dir, &info, &err));
    struct source_port port = recording_source_port(source);
    struct input_range ranges[] = {{TOPIC_INTERACTIONS, 2, 10, 19, 10, 0},
                                   {TOPIC_ITEM_CONTENT, 1, 0, 4, 5, 0},
                                   {TOPIC_INTERACTIONS, 2, 20, 20, 1, 0}};
    struct place places[16];
    for (int turn = 0; turn < 2; turn++) { /* and again after a rewind */
        struct position at = {.topic = TOPIC_INTERACTIONS, .partition = 2, .next_offset = 10};
        if (turn == 0)
            must(recording_source_follow(source, ranges, 3, &err));
        else
            must(port.rewind(port.self, &at, 1, &err));
        ck_assert_uint_eq(read_all(port, places, 16), 16);
        for (int i = 0; i < 16; i++) {
            ck_assert_int_eq(places[i].topic,
                             i >= 10 && i < 15 ? TOPIC_ITEM_CONTENT : TOPIC_INTERACTIONS);
            ck_assert_int_eq(places[i].offset, i < 10 ? i + 10 : i < 15 ? i - 10 : 20);
        }
    }
    struct record record;
    bool got, end;
    struct input_range bad[] = {{TOPIC_INTERACTIONS, 2, 21, 22, 5, 0},
                                {TOPIC_INTERACTIONS, 2, 5, 6, 2, 0},
                                {TOPIC_INTERACTIONS, 1, 99, 100, 2, 0},
                                {TOPIC_INTERACTIONS, 7, 0, 0, 1, 0}};
    for (int i = 0; i < 4; i++) {
        must(recording_source_follow(source, &bad[i], 1, &err));
        enum status status;
        while ((status = port.next(port.self, &record, &got, &end, &err)) == OK && got) {
        }
        ck_assert_int_eq(status, FATAL);
        ck_assert_int_eq(err.exit_code, EX_DATAERR);
        ck_assert_ptr_nonnull(strstr(err.text, "interactions-"));
    }
    recording_source_close(source);
}
END_TEST

/* ---- epochs ---- */

#define EPOCHS 30
#define RECORDS_PER_EPOCH 40

/* One epoch's records: a function of (seed, epoch). */
static enum status put_epoch(struct sink_port sink, uint64_t seed, uint64_t epoch) {
    arena_reset(&memory);
    for (uint64_t i = 0; i < RECORDS_PER_EPOCH; i++) {
        enum topic topic = (enum topic)(TOPIC_SEMANTIC_IDS + (i + epoch) % 6);
        struct record record = test_record(seed, topic, epoch * RECORDS_PER_EPOCH + i, &memory);
        TRY(sink.put(sink.self, &record, &err));
    }
    return OK;
}

static enum status write_epoch(struct sink_port sink, uint64_t seed, uint64_t epoch) {
    TRY(sink.begin(sink.self, epoch, &err));
    TRY(put_epoch(sink, seed, epoch));
    return sink.commit(sink.self, NULL, 0, &err);
}

static void same_file(const char *a, const char *b, const char *name) {
    char path[600];
    struct bytes one, other;
    snprintf(path, sizeof path, "%s/%s", a, name);
    must(file_load(path, &memory, 1 << 28, &one, &err));
    snprintf(path, sizeof path, "%s/%s", b, name);
    must(file_load(path, &memory, 1 << 28, &other, &err));
    ck_assert_msg(bytes_equal(one, other), "%s differs", name);
}

static void same_recordings(const char *a, const char *b) {
    arena_reset(&memory);
    struct recording_info info = read_info(a);
    same_file(a, b, "recording.yaml");
    same_file(a, b, "sealed.log");
    for (uint32_t i = 0; i < info.partition_count; i++)
        same_file(a, b, info.partitions[i].file);
}

static void write_undisturbed(const char *dir, uint64_t seed, enum compression compression) {
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    c.compression = compression;
    must(recording_writer_create(&writer, dir, &c, &err));
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++)
        must(write_epoch(recording_writer_port(writer), seed, epoch));
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
}

START_TEST(an_aborted_epoch_leaves_nothing) {
    uint64_t seed = test_seed("recording_test");
    const char *plain = scratch_dir("plain"), *aborted = scratch_dir("aborted");
    write_undisturbed(plain, seed, COMPRESSION_NONE);
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    must(recording_writer_create(&writer, aborted, &c, &err));
    struct sink_port sink = recording_writer_port(writer);
    struct output_end before[16], after[16];
    uint32_t count;
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        must(sink.ends(sink.self, before, 16, &count, &err));
        must(sink.begin(sink.self, epoch, &err));
        must(put_epoch(sink, seed + 1, epoch));
        must(sink.abort(sink.self, &err));
        must(sink.ends(sink.self, after, 16, &count, &err));
        ck_assert_uint_eq(count, 8);
        for (uint32_t i = 0; i < count; i++)
            ck_assert_int_eq(before[i].end_offset, after[i].end_offset);
        must(write_epoch(sink, seed, epoch));
    }
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
    same_recordings(plain, aborted);
}
END_TEST

START_TEST(an_epoch_s_records_are_read_back) {
    uint64_t seed = test_seed("recording_test");
    const char *dir = scratch_dir("epochs");
    write_undisturbed(dir, seed, COMPRESSION_DEFLATE);
    arena_reset(&memory);
    struct recording_info info = read_info(dir);
    size_t mark = arena_mark(&memory);
    for (uint32_t p = 0; p < info.partition_count; p++) {
        const struct recorded_partition *partition = &info.partitions[p];
        int32_t width = config().partitions[partition->topic];
        struct recording_reader *reader;
        int64_t offset = 0;
        must(recording_reader_open(&reader, dir, partition, &err));
        for (uint64_t i = RECORDS_PER_EPOCH; i < (EPOCHS + 1) * RECORDS_PER_EPOCH; i++) {
            uint64_t epoch = i / RECORDS_PER_EPOCH;
            if ((enum topic)(TOPIC_SEMANTIC_IDS + (i % RECORDS_PER_EPOCH + epoch) % 6) !=
                partition->topic)
                continue;
            arena_rewind(&memory, mark);
            struct record expected = test_record(seed, partition->topic, i, &memory), record;
            expected.partition =
                (int32_t)(hash64(expected.key.data, expected.key.len, 0) % (uint64_t)width);
            if (expected.partition != partition->partition)
                continue;
            expected.offset = offset++;
            bool got;
            must(recording_reader_next(reader, &record, &got, &err));
            ck_assert(got);
            ck_assert(same_record(&record, &expected));
        }
        ck_assert_int_eq(partition->count, offset);
        recording_reader_close(reader);
    }
}
END_TEST

/* A child writes and is killed; another resumes; again and again, until all is written. */
static void write_and_be_killed(const char *dir, uint64_t seed, uint32_t delay_us,
                                enum compression compression) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct recording_writer *writer;
        struct recording_writer_config c = config();
        c.compression = compression;
        uint64_t epoch;
        if (recording_writer_resume(&writer, dir, &c, &epoch, &err) != OK) {
            fprintf(stderr, "%s\n", err.text);
            _exit(1);
        }
        while (++epoch <= EPOCHS)
            if (write_epoch(recording_writer_port(writer), seed, epoch) != OK)
                _exit(2);
        if (recording_writer_finish(writer, &err) != OK)
            _exit(3);
        pause();
    }
    usleep(delay_us);
    kill(child, SIGKILL);
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

START_TEST(a_killed_writer_resumes) {
    uint64_t seed = test_seed("recording_test");
    struct rng rng = rng_stream(seed, RNG_TEST, 77, (uint64_t)_i);
    enum compression compression = _i ? COMPRESSION_DEFLATE : COMPRESSION_NONE;
    const char *plain = scratch_dir("undisturbed"), *killed = scratch_dir("killed");
    write_undisturbed(plain, seed, compression);
    for (int round = 0; round < 15; round++) {
        scratch_remove(killed);
        uint32_t reach = rng_below(&rng, 9000) + 200;
        for (uint32_t kills = rng_below(&rng, 4) + 1; kills > 0; kills--)
            write_and_be_killed(killed, seed, rng_below(&rng, reach), compression);
        struct recording_writer *writer;
        struct recording_writer_config c = config();
        c.compression = compression;
        uint64_t epoch;
        must(recording_writer_resume(&writer, killed, &c, &epoch, &err));
        while (++epoch <= EPOCHS)
            must(write_epoch(recording_writer_port(writer), seed, epoch));
        must(recording_writer_finish(writer, &err));
        recording_writer_close(writer);
        same_recordings(plain, killed);
    }
}
END_TEST

/* ---- resuming from damaged ends ---- */

static void spoil(const char *dir, const char *name, const char *tail, long cut) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    if (cut > 0)
        ck_assert_int_eq(truncate(path, about.st_size - cut), 0);
    int fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, tail, strlen(tail)), (ssize_t)strlen(tail));
    close(fd);
}

static uint64_t resume_and_go_on(const char *dir, uint64_t seed) {
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    uint64_t epoch, found;
    must(recording_writer_resume(&writer, dir, &c, &epoch, &err));
    found = epoch;
    while (++epoch <= EPOCHS)
        must(write_epoch(recording_writer_port(writer), seed, epoch));
    must(recording_writer_finish(writer, &err));
    recording_writer_close(writer);
    return found;
}

START_TEST(resuming_falls_back_to_what_is_whole) {
    uint64_t seed = test_seed("recording_test");
    const char *plain = scratch_dir("whole"), *spoilt = scratch_dir("spoilt");
    write_undisturbed(plain, seed, COMPRESSION_NONE);
    write_undisturbed(spoilt, seed, COMPRESSION_NONE);
    spoil(spoilt, "sealed.log", "epoch=31 semantic-ids", 0); /* a torn line */
    ck_assert_uint_eq(resume_and_go_on(spoilt, seed), EPOCHS);
    same_recordings(plain, spoilt);
    spoil(spoilt, "sealed.log", "", 3); /* a line cut off */
    ck_assert_uint_eq(resume_and_go_on(spoilt, seed), EPOCHS - 1);
    same_recordings(plain, spoilt);
    spoil(spoilt, "sealed.log", "0\n", 2); /* a line changed: its sum does not fit */
    ck_assert_uint_eq(resume_and_go_on(spoilt, seed), EPOCHS - 1);
    same_recordings(plain, spoilt);
    spoil(spoilt, "epochs-0.avro", "", 1); /* a file shorter than the line says */
    ck_assert_uint_lt(resume_and_go_on(spoilt, seed), EPOCHS);
    same_recordings(plain, spoilt);
    spoil(spoilt, "epochs-0.avro", "0123456789abcdef", 16); /* as long, but no block's end */
    ck_assert_uint_lt(resume_and_go_on(spoilt, seed), EPOCHS);
    same_recordings(plain, spoilt);
    spoil(spoilt, "epochs-0.avro", "what a dying writer left", 0);
    ck_assert_uint_eq(resume_and_go_on(spoilt, seed), EPOCHS);
    same_recordings(plain, spoilt);
    char path[600];
    snprintf(path, sizeof path, "%s/codebooks-0.avro", spoilt);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(path, sizeof path, "%s/recording.yaml", spoilt);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(resume_and_go_on(spoilt, seed), 0); /* a file gone: all anew */
    same_recordings(plain, spoilt);
}
END_TEST

/* ---- refusals ---- */

static void refused(const char *dir, bool resume, struct recording_writer_config c, int exit_code) {
    struct recording_writer *writer;
    uint64_t epoch;
    enum status status = resume ? recording_writer_resume(&writer, dir, &c, &epoch, &err)
                                : recording_writer_create(&writer, dir, &c, &err);
    ck_assert_int_eq(status, FATAL);
    ck_assert_msg(err.exit_code == exit_code, "exit code %d instead of %d: %s", err.exit_code,
                  exit_code, err.text);
    ck_assert_ptr_nonnull(strstr(err.text, dir));
}

START_TEST(folders_that_are_not_ours_are_refused) {
    uint64_t seed = test_seed("recording_test");
    const char *inputs = scratch_dir("inputs"), *other = scratch_dir("other"),
               *epochs = scratch_dir("epochs2");
    struct recording_writer_config c = config();
    write_inputs(inputs, seed, 10, COMPRESSION_NONE);
    refused(inputs, false, c, EX_CANTCREAT); /* not empty */
    refused(inputs, true, c, EX_CANTCREAT);  /* without epochs: would be cut to nothing */
    mkdir(other, 0777);
    char path[600];
    snprintf(path, sizeof path, "%s/thesis.txt", other);
    must(file_save(path, bytes_text("x"), &err));
    refused(other, true, c, EX_CANTCREAT);
    write_undisturbed(epochs, seed, COMPRESSION_NONE);
    struct recording_writer_config wider = c, deflated = c;
    wider.partitions[TOPIC_RANKER_DELTAS]++;
    deflated.compression = COMPRESSION_DEFLATE;
    refused(epochs, true, wider, EX_CONFIG);
    refused(epochs, true, deflated, EX_CONFIG);
    refused("/proc/none", false, c, EX_CANTCREAT);
    refused("/proc/none", true, c, EX_CANTCREAT);
    struct recording_writer *one, *two;
    uint64_t epoch;
    must(recording_writer_resume(&one, epochs, &c, &epoch, &err));
    ck_assert_int_eq(recording_writer_resume(&two, epochs, &c, &epoch, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CANTCREAT);
    recording_writer_close(one);
}
END_TEST

START_TEST(a_full_disk_is_said_and_resumed_from) {
    uint64_t seed = test_seed("recording_test");
    const char *plain = scratch_dir("roomy"), *full = scratch_dir("full");
    write_undisturbed(plain, seed, COMPRESSION_NONE);
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    limit = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    uint64_t sealed = 0;
    must(recording_writer_create(&writer, full, &c, &err));
    enum status status = OK;
    while (status == OK && sealed < EPOCHS) {
        status = write_epoch(recording_writer_port(writer), seed, sealed + 1);
        sealed += status == OK;
    }
    recording_writer_close(writer);
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(status, FATAL);
    ck_assert_int_eq(err.exit_code, EX_IOERR);
    ck_assert_ptr_nonnull(strstr(err.text, ".avro: cannot write: File too large"));
    struct recording_info info;
    ck_assert_int_eq(recording_info_read(full, &memory, &info, &err), FATAL); /* unfinished */
    ck_assert_int_eq(err.exit_code, EX_NOINPUT);
    ck_assert_uint_eq(resume_and_go_on(full, seed), sealed);
    same_recordings(plain, full);
}
END_TEST

START_TEST(appended_offsets_must_increase) {
    struct recording_writer *writer;
    struct recording_writer_config c = config();
    must(recording_writer_create(&writer, scratch_dir("offsets"), &c, &err));
    struct record record = {.topic = TOPIC_INTERACTIONS, .offset = 100};
    must(recording_writer_append(writer, &record, &err));
    ck_assert_int_eq(recording_writer_append(writer, &record, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_DATAERR);
    record.offset = -1;
    must(recording_writer_append(writer, &record, &err)); /* 101 */
    record.offset = 101;
    ck_assert_int_eq(recording_writer_append(writer, &record, &err), FATAL);
    record.offset = 103; /* gaps are allowed */
    must(recording_writer_append(writer, &record, &err));
    record.partition = 3;
    ck_assert_int_eq(recording_writer_append(writer, &record, &err), FATAL);
    recording_writer_close(writer);
}
END_TEST

static Suite *recording_suite(void) {
    Suite *suite = suite_create("recording");
    TCase *tests = tcase_create("recording");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, files_round_trip, 0, 2);
    tcase_add_test(tests, the_source_merges_by_time);
    tcase_add_test(tests, the_source_rewinds);
    tcase_add_test(tests, the_source_follows_a_manifest);
    tcase_add_test(tests, an_aborted_epoch_leaves_nothing);
    tcase_add_test(tests, an_epoch_s_records_are_read_back);
    tcase_add_loop_test(tests, a_killed_writer_resumes, 0, 2);
    tcase_add_test(tests, resuming_falls_back_to_what_is_whole);
    tcase_add_test(tests, folders_that_are_not_ours_are_refused);
    tcase_add_test(tests, a_full_disk_is_said_and_resumed_from);
    tcase_add_test(tests, appended_offsets_must_increase);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(recording_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
