/* Import: tables in, records out, read back through the reader of recordings and the codec. */
#include "cli/import.h"
#include "codec/codec.h"
#include "transport/recording.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define SKIPPED 77

static struct arena arena;
static char folder[512], recording[600];
static struct import_config config;
static struct import_totals totals;

static const char *in_folder(const char *name) {
    char path[600];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return arena_text(&arena, path, (size_t)length);
}

static void put_file(const char *name, const char *content, bool gzip) {
    gzFile file = gzopen(in_folder(name), gzip ? "wb" : "wbT");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzputs(file, content), (int)strlen(content));
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* Two items in the vectors, in another order than in the table. */
static void put_vectors(void) {
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    float rows[4] = {3, 4, 1, 2};
    FILE *file = fopen(in_folder("v.npy"), "wb");
    fprintf(file, "%cNUMPY%c%c%c%c%s", 0x93, 1, 0, (int)strlen(header), 0, header);
    fwrite(rows, sizeof rows, 1, file);
    fclose(file);
    put_file("ids.txt", "b\na\n", false);
}

static void set_up(void) {
    struct error err;
    const char *build = getenv("COLDSTREAM_BUILD");
    snprintf(folder, sizeof folder, "%s/test_import.XXXXXX", build ? build : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(recording, sizeof recording, "%s/recording", folder);
    ck_assert_int_eq(arena_reserve(&arena, "test", 256 << 20, &err), OK);
    put_vectors();
    put_file("items.tsv",
             "item\tlisted_ms\ttitle\tprice\na\t1000\t\"7\"\" RECORD\"\t2.5\nb\t1500\tplain\t1\n",
             false);
    config = (struct import_config){.items = in_folder("items.tsv"),
                                    .vectors = in_folder("v.npy"),
                                    .vector_ids = in_folder("ids.txt"),
                                    .events = in_folder("events"),
                                    .to = recording,
                                    .modality = "text",
                                    .partitions = 1,
                                    .time_unit_ms = 1,
                                    .progress_s = 5};
}

static void tear_down(void) {
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    arena_release(&arena);
}

static void import_good(void) {
    struct error err;
    enum status status = import_run(&config, &totals, &err);
    ck_assert_msg(status == OK, "%s", err.text);
}

static void import_bad(int exit_code, const char *part) {
    struct error err;
    struct stat about;
    ck_assert_int_eq(import_run(&config, &totals, &err), FATAL);
    ck_assert_msg(strstr(err.text, part) != NULL, "no `%s' in: %s", part, err.text);
    ck_assert_int_eq(err.exit_code, exit_code);
    ck_assert_msg(stat(recording, &about) != 0, "a folder was left behind");
}

/* "user item time action label request position" of every interaction, listings as "item time
 * title x,y". */
static void describe(const struct event *event, char *out, size_t size) {
    size_t used = strlen(out);
    if (event->kind == EVENT_LISTING) {
        const struct listing *one = &event->as.listing;
        snprintf(out + used, size - used, "%.*s %lld %.*s %g,%g\n", (int)one->item_id.len,
                 one->item_id.data, (long long)one->event_time_ms, (int)one->text.len,
                 one->text.data ? (const char *)one->text.data : "", (double)one->vector[0],
                 (double)one->vector[1]);
        return;
    }
    const struct interaction *one = &event->as.interaction;
    snprintf(out + used, size - used, "%.*s %.*s %lld %d %s%.0f %.*s %s%d\n", (int)one->user_id.len,
             one->user_id.data, (int)one->item_id.len, one->item_id.data,
             (long long)one->event_time_ms, one->action, one->has_label ? "" : "no",
             one->has_label ? (double)one->label : 0, (int)one->request_id.len,
             one->request_id.data ? (const char *)one->request_id.data : "",
             one->has_position ? "" : "no", one->position);
}

static void read_back(enum topic topic, char *out, size_t size) {
    struct recording_info info;
    struct recording_reader *reader;
    struct codec *codec;
    struct record record;
    struct event event;
    enum dead_reason reason;
    struct error err;
    bool got;
    out[0] = '\0';
    ck_assert_int_eq(codec_create(&codec, NULL, 0, 64 << 20, &err), OK);
    ck_assert_msg(recording_info_read(recording, &arena, &info, &err) == OK, "%s", err.text);
    ck_assert(!info.synthetic);
    for (uint32_t i = 0; i < info.partition_count; i++) {
        if (info.partitions[i].topic != topic)
            continue;
        ck_assert_int_eq(recording_reader_open(&reader, recording, &info.partitions[i], &err), OK);
        for (;;) {
            ck_assert_int_eq(recording_reader_next(reader, &record, &got, &err), OK);
            if (!got)
                break;
            struct codec_port port = codec_port(codec);
            ck_assert_msg(port.decode(port.self, &record, &event, &reason, &err) == OK, "%s",
                          err.text);
            int64_t time_ms = event.kind == EVENT_LISTING ? event.as.listing.event_time_ms
                                                          : event.as.interaction.event_time_ms;
            ck_assert_int_eq(record.timestamp_ms, time_ms);
            describe(&event, out, size);
        }
        recording_reader_close(reader);
    }
    codec_destroy(codec);
}

static void expect_records(enum topic topic, const char *expected) {
    char out[4096];
    read_back(topic, out, sizeof out);
    ck_assert_str_eq(out, expected);
}

START_TEST(typed_purchases) {
    put_file("events",
             "ts_ms\tuser\titem\tlabel\ttype\treq\tvalue\n"
             "2000\tu\ta\t1\tpurchase\tr1\t1\n"
             "2000\tu\ta\t1\tpurchase\tr1\t1\n"
             "2000\tv\tb\t1\tclick\tr2\t1\n"
             "2001\tu\tb\t1\tImpression\tr1\t1\n"
             "2002\tu\tb\t1\tcart\t\t1\n",
             true);
    import_good();
    expect_records(TOPIC_ITEM_CONTENT, "a 1000 7\" RECORD 1,2\nb 1500 plain 3,4\n");
    /* the constant label beside a type is no label; two equal lines differ by their place */
    expect_records(
        TOPIC_INTERACTIONS,
        "u a 2000 3 no0 r1 0\nu a 2000 3 no0 r1 1\nv b 2000 1 no0 r2 0\nu b 2001 0 no0 r1 2\n"
        "u b 2002 2 no0  no0\n");
    ck_assert_uint_eq(totals.listings, 2);
    ck_assert_uint_eq(totals.interactions, 5);
    ck_assert_uint_eq(totals.labelled, 0);
    ck_assert_int_eq(totals.first_ms, 2000);
    ck_assert_int_eq(totals.last_ms, 2002);
}
END_TEST

START_TEST(label_on_request) {
    put_file("events", "ts_ms\tuser\titem\tlabel\ttype\n2000\tu\ta\t0\tpurchase\n", false);
    config.maps[config.map_count++] = "label=label";
    import_good();
    expect_records(TOPIC_INTERACTIONS, "u a 2000 3 0  no0\n");
}
END_TEST

START_TEST(labelled_csv) {
    put_file("events", "ts_ms,user,item,label\n2000,u,a,1\n2000,u,a,1\n2001,\"v, w\",b,0\n", false);
    import_good();
    expect_records(TOPIC_INTERACTIONS,
                   "u a 2000 1 1  no0\nu a 2000 1 1  no0\nv, w b 2001 0 0  no0\n");
    ck_assert_uint_eq(totals.labelled, 3);
}
END_TEST

START_TEST(mapped_columns_and_seconds) {
    put_file("events", "timestamp,userId,movieId,rating\n2,u,a,5\n3,u,b,1\n", false);
    put_file("items.tsv", "movie,since\nb,1\na,1\n", false);
    static const char *const maps[] = {"events.item=movieId", "user=userId", "ts_ms=timestamp",
                                       "items.item=movie", "listed_ms=since"};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        config.maps[config.map_count++] = maps[i];
    config.time_unit_ms = 1000;
    import_good();
    expect_records(TOPIC_ITEM_CONTENT, "b 1000  3,4\na 1000  1,2\n");
    expect_records(TOPIC_INTERACTIONS, "u a 2000 1 no0  no0\nu b 3000 1 no0  no0\n");
}
END_TEST

START_TEST(partitions_keep_users_together) {
    char content[8192] = "ts_ms,user,item,label\n";
    for (int i = 0; i < 200; i++)
        snprintf(content + strlen(content), sizeof content - strlen(content), "%d,u%d,a,1\n",
                 2000 + i / 3, i % 20);
    put_file("events", content, false);
    config.partitions = 4;
    import_good();
    struct recording_info info;
    struct error err;
    int64_t records = 0, largest = 0;
    ck_assert_int_eq(recording_info_read(recording, &arena, &info, &err), OK);
    ck_assert_uint_eq(info.partition_count, 5);
    for (uint32_t i = 0; i < info.partition_count; i++) {
        if (info.partitions[i].topic != TOPIC_INTERACTIONS)
            continue;
        ck_assert_int_eq(info.partitions[i].count % 10, 0); /* whole users of 10 events */
        records += info.partitions[i].count;
        largest = info.partitions[i].count > largest ? info.partitions[i].count : largest;
    }
    ck_assert_int_eq(records, 200);
    ck_assert_int_lt(largest, 200);
}
END_TEST

START_TEST(malformed_lines) {
    put_file("events",
             "ts_ms,user,item,label\n2000,u,a,1\nx,u,a,1\n2001,u,a\n2002,,a,1\n1999,u,a,0\n2003,u,"
             "\xff,0\n2004,u,b,2\n2005,u,b,0\n",
             false);
    import_bad(EX_DATAERR, "events:3: column `ts_ms': `x' is not a time");
    config.skip_bad = true;
    import_good();
    expect_records(TOPIC_INTERACTIONS, "u a 2000 1 1  no0\nu b 2005 0 0  no0\n");
    ck_assert_uint_eq(totals.skipped, 6);
    ck_assert_msg(strstr(totals.first_skipped, "events:3: ") != NULL, "%s", totals.first_skipped);
}
END_TEST

START_TEST(errors_name_the_remedy) {
    put_file("events", "time,user,item\n1,u,a\n", false);
    import_bad(EX_DATAERR, "events:1: has no column `ts_ms' (its columns: time, user, item); say "
                           "which it is with --map events.ts_ms=COLUMN");
    put_file("events", "ts_ms,user,item,type\n1,u,a,view\n", false);
    import_bad(EX_DATAERR,
               "events:2: column `type': `view' is not one of impression, click, cart, purchase");
    put_file("events", "ts_ms,user,item\n2,u,a\n1,u,a\n", false);
    import_bad(EX_DATAERR, "events:3: column `ts_ms': `1' goes back in time; sort the lines");
    put_file("items.tsv", "item\tlisted_ms\nc\t1\n", false);
    import_bad(EX_DATAERR, "items.tsv:2: column `item': `c' has no vector");
    put_file("ids.txt", "a\n", false);
    import_bad(EX_DATAERR, "ids.txt: names 1 items, but");
    config.events = in_folder("absent");
    put_vectors();
    put_file("items.tsv", "item\tlisted_ms\na\t1\n", false);
    import_bad(EX_NOINPUT, "absent");
    config.maps[config.map_count++] = "colour=x";
    import_bad(EX_USAGE, "--map colour=x: write field=column");
}
END_TEST

/* ---- the real data set ---- */

static const char data[] = "../../shared/data/online_retail2";

static void import_real(const char *events, uint64_t interactions, uint64_t labelled) {
    char paths[4][256];
    snprintf(paths[0], sizeof paths[0], "%s/items.tsv.gz", data);
    snprintf(paths[1], sizeof paths[1], "%s/minilm.f32.npy", data);
    snprintf(paths[2], sizeof paths[2], "%s/minilm.ids.txt", data);
    snprintf(paths[3], sizeof paths[3], "%s/%s", data, events);
    config.items = paths[0], config.vectors = paths[1], config.vector_ids = paths[2],
    config.events = paths[3];
    import_good();
    ck_assert_uint_eq(totals.listings, 4707);
    ck_assert_uint_eq(totals.interactions, interactions);
    ck_assert_uint_eq(totals.labelled, labelled);
}

START_TEST(real_labelled) {
    import_real("labelled.tsv.gz", 999910, 999910);
}
END_TEST
START_TEST(real_purchases) {
    import_real("events.tsv.gz", 1014945, 0);
}
END_TEST

static int run_case(TCase *tests) {
    Suite *suite = suite_create("import");
    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    TCase *tests = tcase_create("all");
    if (argc > 1 && strcmp(argv[1], "real") == 0) {
        if (access(data, R_OK) != 0) {
            printf("skipped: %s is not here\n", data);
            return SKIPPED;
        }
        tcase_add_test(tests, real_labelled);
        tcase_add_test(tests, real_purchases);
        return run_case(tests);
    }
    tcase_add_test(tests, typed_purchases);
    tcase_add_test(tests, label_on_request);
    tcase_add_test(tests, labelled_csv);
    tcase_add_test(tests, mapped_columns_and_seconds);
    tcase_add_test(tests, partitions_keep_users_together);
    tcase_add_test(tests, malformed_lines);
    tcase_add_test(tests, errors_name_the_remedy);
    return run_case(tests);
}
