/* The codec: whatever is encoded comes back, other writers' schemas resolve, and bad bytes are bad
 * records. */
#include "events.h"

#include <check.h>

static struct codec *codec;
static struct codec_port port;
static struct arena memory;
static struct error err;

#define must(call) ck_assert_msg((call) == OK, "%s", err.text)

static void set_up(void) {
    must(arena_reserve(&memory, "test", (size_t)64 << 20, &err));
    must(codec_create(&codec, NULL, 0, TEST_BYTES_MAX, &err));
    port = codec_port(codec);
}

static void tear_down(void) {
    codec_destroy(codec);
    arena_release(&memory);
}

static void same_interaction(const struct interaction *a, const struct interaction *b) {
    ck_assert(bytes_equal(a->user_id, b->user_id));
    ck_assert(bytes_equal(a->item_id, b->item_id));
    ck_assert_int_eq(a->event_time_ms, b->event_time_ms);
    ck_assert_int_eq(a->action, b->action);
    ck_assert_int_eq(a->has_label, b->has_label);
    ck_assert_mem_eq(&a->label, &b->label, sizeof a->label);
    ck_assert(bytes_equal(a->request_id, b->request_id));
    ck_assert_int_eq(a->has_position, b->has_position);
    ck_assert_int_eq(a->position, b->position);
}

START_TEST(interactions_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 1, 0);
    for (int i = 0; i < 5000; i++) {
        arena_reset(&memory);
        struct event event = {.kind = EVENT_INTERACTION,
                              .as.interaction = random_interaction(&rng, &memory)},
                     back;
        struct record record;
        enum dead_reason reason;
        must(codec_encode_event(codec, &event, NULL, &record, &err));
        ck_assert_int_eq(record.topic, TOPIC_INTERACTIONS);
        must(port.decode(port.self, &record, &back, &reason, &err));
        ck_assert_int_eq(back.kind, EVENT_INTERACTION);
        same_interaction(&event.as.interaction, &back.as.interaction);
    }
}
END_TEST

START_TEST(listings_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 2, 0);
    for (int i = 0; i < 2000; i++) {
        arena_reset(&memory);
        struct event event = {.kind = EVENT_LISTING, .as.listing = random_listing(&rng, &memory)},
                     back;
        struct record record;
        enum dead_reason reason;
        must(codec_encode_event(codec, &event, "text", &record, &err));
        ck_assert_int_eq(record.topic, TOPIC_ITEM_CONTENT);
        must(port.decode(port.self, &record, &back, &reason, &err));
        const struct listing *a = &event.as.listing, *b = &back.as.listing;
        ck_assert_int_eq(back.kind, EVENT_LISTING);
        ck_assert(bytes_equal(a->item_id, b->item_id));
        ck_assert(bytes_equal(a->text, b->text));
        ck_assert_int_eq(a->event_time_ms, b->event_time_ms);
        ck_assert_uint_eq(a->dims, b->dims);
        if (a->dims > 0)
            ck_assert_mem_eq(a->vector, b->vector, a->dims * sizeof(float));
    }
}
END_TEST

START_TEST(delistings) {
    struct event event = {.kind = EVENT_DELISTING, .as.delisted_item_id = bytes_text("x")}, back;
    struct record record;
    enum dead_reason reason;
    must(codec_encode_event(codec, &event, NULL, &record, &err));
    ck_assert_ptr_null(record.value.data);
    must(port.decode(port.self, &record, &back, &reason, &err));
    ck_assert_int_eq(back.kind, EVENT_DELISTING);
    ck_assert(bytes_equal(back.as.delisted_item_id, bytes_text("x")));
    record.key = (struct bytes){0};
    ck_assert_int_eq(port.decode(port.self, &record, &back, &reason, &err), BAD_RECORD);
    ck_assert_int_eq(reason, DEAD_KEY);
}
END_TEST

/* ---- rows ---- */

static void row_round_trip(enum topic topic, const struct row_output *row) {
    struct output output = {.topic = topic, .kind = OUTPUT_ROW, .timestamp_ms = 77, .as.row = *row};
    struct record record;
    struct row_output back;
    must(port.encode(port.self, &output, &record, &err));
    ck_assert_int_eq(record.timestamp_ms, 77);
    ck_assert_int_eq(record.topic, topic);
    must(codec_decode_row(codec, &record, &back, &err));
    ck_assert_str_eq(row->table, back.table);
    ck_assert(bytes_equal(row->key, back.key));
    ck_assert(bytes_equal(row->value, back.value));
    if (row->value.data == NULL) {
        ck_assert_ptr_null(record.value.data);
        return;
    }
    ck_assert_uint_eq(row->position, back.position);
    ck_assert_uint_eq(row->version, back.version);
    ck_assert_uint_eq(row->epoch, back.epoch);
    ck_assert_uint_eq(row->generation, back.generation);
}

static struct row_output random_row(struct rng *rng, const char *table, struct bytes key) {
    return (struct row_output){.table = table,
                               .key = key,
                               .position = rng_u32(rng),
                               .version = rng_u64(rng),
                               .epoch = rng_u64(rng),
                               .generation = rng_u32(rng)};
}

START_TEST(rows_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 3, 0);
    for (int i = 0; i < 2000; i++) {
        arena_reset(&memory);
        struct row_output row = random_row(&rng, "embedding", random_text(&rng, &memory, 64));
        if (rng_below(&rng, 8) != 0)
            row.value = random_bytes(&rng, &memory, rng_below(&rng, 600));
        row_round_trip(i % 2 ? TOPIC_RANKER_DELTAS : TOPIC_CHANGELOG, &row);
    }
    struct row_output chunk = random_row(&rng, "dense", bytes_text("12345678"));
    chunk.value = random_bytes(&rng, &memory, 256 << 10);
    row_round_trip(TOPIC_RANKER_DELTAS, &chunk);
}
END_TEST

START_TEST(sids_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 4, 0);
    for (int i = 0; i < 2000; i++) {
        arena_reset(&memory);
        struct sid_row sid = {.reason = (uint16_t)rng_below(&rng, 4),
                              .has_previous = (uint16_t)rng_below(&rng, 2),
                              .generation = rng_u32(&rng),
                              .codebook_version = rng_u32(&rng),
                              .quantisation_error = rng_unit(&rng),
                              .epoch = rng_u64(&rng),
                              .event_time_ms = (int64_t)rng_u64(&rng)};
        for (int c = 0; c < SID_CODES; c++) {
            sid.codes[c] = (uint16_t)rng_u32(&rng);
            sid.previous[c] = sid.has_previous ? (uint16_t)rng_u32(&rng) : sid.codes[c];
        }
        struct row_output row = random_row(&rng, "sid", random_text(&rng, &memory, 64));
        row.generation = sid.generation;
        if (rng_below(&rng, 8) != 0)
            row.value = bytes_of(&sid, sizeof sid);
        row_round_trip(TOPIC_SEMANTIC_IDS, &row);
    }
}
END_TEST

START_TEST(codebooks_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 5, 0);
    for (int i = 0; i < 300; i++) {
        arena_reset(&memory);
        uint8_t key[8];
        put_be64(key, rng_u64(&rng));
        struct row_output row = random_row(&rng, "codebooks", bytes_of(key, 8));
        if (rng_below(&rng, 8) != 0)
            row.value = random_bytes(&rng, &memory, 4 * rng_below(&rng, 300));
        row_round_trip(TOPIC_CODEBOOKS, &row);
    }
}
END_TEST

/* ---- manifests ---- */

static struct digest random_digest(struct rng *rng) {
    return (struct digest){rng_u64(rng), rng_u64(rng)};
}

static void fill_manifest(struct rng *rng, struct manifest *m, struct input_range *ranges,
                          struct output_end *ends, struct table_state *tables, uint32_t *batches) {
    *m = (struct manifest){.epoch = rng_u64(rng), .kind = (enum epoch_kind)rng_below(rng, 2)};
    m->timestamp_ms = (int64_t)rng_u64(rng);
    m->watermark_ms = (int64_t)rng_u64(rng);
    m->generation = rng_u32(rng);
    m->codebook_version = rng_u32(rng);
    m->counts = (struct epoch_counts){rng_u64(rng), rng_u64(rng), rng_u64(rng),
                                      -5,           rng_u64(rng), rng_u64(rng)};
    m->range_count = rng_below(rng, 10);
    for (uint32_t i = 0; i < m->range_count; i++)
        ranges[i] = (struct input_range){.topic = (enum topic)rng_below(rng, TOPIC_INPUTS),
                                         .partition = (int32_t)rng_below(rng, 100),
                                         .first_offset = (int64_t)rng_u64(rng),
                                         .last_offset = (int64_t)rng_u64(rng),
                                         .count = rng_u32(rng),
                                         .hash = rng_u64(rng)};
    m->end_count = rng_below(rng, 10);
    for (uint32_t i = 0; i < m->end_count; i++)
        ends[i] = (struct output_end){.topic = (enum topic)rng_below(rng, TOPIC_COUNT),
                                      .partition = (int32_t)rng_below(rng, 100),
                                      .end_offset = (int64_t)rng_u64(rng)};
    m->table_count = rng_below(rng, 10);
    for (uint32_t i = 0; i < m->table_count; i++)
        tables[i] = (struct table_state){"a table", random_digest(rng), rng_u64(rng)};
    m->batch_count = rng_below(rng, 10);
    for (uint32_t i = 0; i < m->batch_count; i++)
        batches[i] = rng_u32(rng);
    m->state = random_digest(rng);
    m->config_hash = rng_u64(rng);
    m->build = "0.1.0 abc";
    m->blas_core = "Haswell";
    m->config = rng_below(rng, 2) ? "model:\n  width: 32\n" : NULL;
    m->ranges = ranges, m->ends = ends, m->tables = tables, m->batches = batches;
}

static void same_manifest(const struct manifest *a, const struct manifest *b) {
    ck_assert_uint_eq(a->epoch, b->epoch);
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_int_eq(a->timestamp_ms, b->timestamp_ms);
    ck_assert_int_eq(a->watermark_ms, b->watermark_ms);
    ck_assert_uint_eq(a->generation, b->generation);
    ck_assert_uint_eq(a->codebook_version, b->codebook_version);
    ck_assert_mem_eq(&a->counts, &b->counts, sizeof a->counts);
    ck_assert_uint_eq(a->range_count, b->range_count);
    for (uint32_t i = 0; i < a->range_count; i++) {
        ck_assert_int_eq(a->ranges[i].topic, b->ranges[i].topic);
        ck_assert_int_eq(a->ranges[i].partition, b->ranges[i].partition);
        ck_assert_int_eq(a->ranges[i].first_offset, b->ranges[i].first_offset);
        ck_assert_int_eq(a->ranges[i].last_offset, b->ranges[i].last_offset);
        ck_assert_uint_eq(a->ranges[i].count, b->ranges[i].count);
        ck_assert_uint_eq(a->ranges[i].hash, b->ranges[i].hash);
    }
    ck_assert_uint_eq(a->end_count, b->end_count);
    for (uint32_t i = 0; i < a->end_count; i++) {
        ck_assert_int_eq(a->ends[i].topic, b->ends[i].topic);
        ck_assert_int_eq(a->ends[i].partition, b->ends[i].partition);
        ck_assert_int_eq(a->ends[i].end_offset, b->ends[i].end_offset);
    }
    ck_assert_uint_eq(a->table_count, b->table_count);
    for (uint32_t i = 0; i < a->table_count; i++) {
        ck_assert_str_eq(a->tables[i].name, b->tables[i].name);
        ck_assert(digest_equal(a->tables[i].digest, b->tables[i].digest));
        ck_assert_uint_eq(a->tables[i].rows, b->tables[i].rows);
    }
    ck_assert_uint_eq(a->batch_count, b->batch_count);
    if (a->batch_count > 0)
        ck_assert_mem_eq(a->batches, b->batches, a->batch_count * sizeof *a->batches);
    ck_assert(digest_equal(a->state, b->state));
    ck_assert_uint_eq(a->config_hash, b->config_hash);
    ck_assert_str_eq(a->build, b->build);
    ck_assert_str_eq(a->blas_core, b->blas_core);
    ck_assert_pstr_eq(a->config, b->config);
}

START_TEST(manifests_round_trip) {
    struct rng rng = rng_stream(test_seed("codec_test"), RNG_TEST, 6, 0);
    struct input_range ranges[10];
    struct output_end ends[10];
    struct table_state tables[10];
    uint32_t batches[10];
    for (int i = 0; i < 300; i++) {
        arena_reset(&memory);
        struct manifest manifest, back;
        fill_manifest(&rng, &manifest, ranges, ends, tables, batches);
        struct output output = {
            .topic = TOPIC_EPOCHS, .kind = OUTPUT_MANIFEST, .as.manifest = &manifest};
        struct record record;
        must(port.encode(port.self, &output, &record, &err));
        must(codec_decode_manifest(codec, &record, &memory, &back, &err));
        same_manifest(&manifest, &back);
    }
}
END_TEST

START_TEST(dead_letters_keep_the_bytes_and_say_where_from) {
    struct record from = {.topic = TOPIC_INTERACTIONS,
                          .partition = 3,
                          .offset = 1234567890123,
                          .timestamp_ms = -1,
                          .key = bytes_text("k"),
                          .value = bytes_of("\0\1\2", 3)};
    struct output output = {.topic = TOPIC_DEAD_LETTER,
                            .kind = OUTPUT_DEAD,
                            .timestamp_ms = 5,
                            .as.dead = {&from, DEAD_DECODE, "it ends too early"}};
    const char *expected[][2] = {{"topic", "interactions"},   {"partition", "3"},
                                 {"offset", "1234567890123"}, {"timestamp", "-1"},
                                 {"reason", "decode"},        {"error", "it ends too early"}};
    struct record record;
    must(port.encode(port.self, &output, &record, &err));
    ck_assert(bytes_equal(record.key, from.key));
    ck_assert(bytes_equal(record.value, from.value));
    ck_assert_uint_eq(record.header_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert(bytes_equal(record.headers[i].key, bytes_text(expected[i][0])));
        ck_assert(bytes_equal(record.headers[i].value, bytes_text(expected[i][1])));
    }
}
END_TEST

static Suite *codec_suite(void) {
    Suite *suite = suite_create("codec");
    TCase *tests = tcase_create("round trips");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, interactions_round_trip);
    tcase_add_test(tests, listings_round_trip);
    tcase_add_test(tests, delistings);
    tcase_add_test(tests, rows_round_trip);
    tcase_add_test(tests, sids_round_trip);
    tcase_add_test(tests, codebooks_round_trip);
    tcase_add_test(tests, manifests_round_trip);
    tcase_add_test(tests, dead_letters_keep_the_bytes_and_say_where_from);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(codec_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
