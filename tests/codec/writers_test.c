/* Other writers' schemas, and bytes that no writer should have sent. */
#include "events.h"

#include "codec/heap.h"
#include "codec/varint.h"

#include <check.h>

static struct error err;

#define must(call) ck_assert_msg((call) == OK, "%s", err.text)

/* ---- Avro by hand ---- */

struct message {
    uint8_t bytes[4096];
    size_t len;
};

static void put_number(struct message *m, int64_t value) {
    m->len += varint_put(m->bytes + m->len, value);
}

static void put_text(struct message *m, const char *text) {
    put_number(m, (int64_t)strlen(text));
    memcpy(m->bytes + m->len, text, strlen(text));
    m->len += strlen(text);
}

static void put_float(struct message *m, float value) {
    memcpy(m->bytes + m->len, &value, sizeof value);
    m->len += sizeof value;
}

static struct message framed(int32_t id) {
    struct message m = {.len = 5};
    put_be32(m.bytes + 1, (uint32_t)id);
    return m;
}

static enum status decode(struct codec *codec, enum topic topic, const struct message *m,
                          struct event *out, enum dead_reason *reason) {
    struct record record = {.topic = topic, .value = bytes_of(m->bytes, m->len)};
    struct codec_port port = codec_port(codec);
    return port.decode(port.self, &record, out, reason, &err);
}

static struct codec *codec_with(const struct writer_schema *writers, uint32_t count) {
    struct codec *codec;
    must(codec_create(&codec, writers, count, TEST_BYTES_MAX, &err));
    return codec;
}

/* ---- writers of other versions ---- */

#define HEAD                                                                                       \
    "{\"type\":\"record\",\"name\":\"Interaction\",\"namespace\":\"coldstream\",\"fields\":["
#define ACTION(symbols)                                                                            \
    "{\"name\":\"action\",\"type\":{\"type\":\"enum\",\"name\":\"Action\",\"symbols\":[" symbols   \
    "]}}"
#define TEXT(name) "{\"name\":\"" name "\",\"type\":\"string\"}"

static const char older[] =
    HEAD TEXT("user_id") "," TEXT("item_id") ",{\"name\":\"event_time\",\"type\":\"long\"}," ACTION(
        "\"IMPRESSION\",\"CLICK\"") "]}";

/* More fields, all in another order, an action more, a label of ints, a position that is never
 * null, a time of ints. */
/* clang-format off */
static const char newer[] = HEAD
    "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":"
        "{\"type\":\"array\",\"items\":\"string\"}}},"
    "{\"name\":\"position\",\"type\":\"int\"},"
    "{\"name\":\"context\",\"type\":{\"type\":\"map\",\"values\":\"string\"}},"
    ACTION("\"PURCHASE\",\"SHARE\",\"CLICK\",\"CART\",\"IMPRESSION\"") ","
    "{\"name\":\"place\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Place\",\"fields\":["
        TEXT("city") "]},\"double\"]},"
    "{\"name\":\"label\",\"type\":[\"int\",\"null\"]},"
    TEXT("item_id") "," TEXT("user_id") ","
    "{\"name\":\"event_time\",\"type\":\"int\"},{\"name\":\"flag\",\"type\":\"boolean\"}]}";
/* clang-format on */

static const struct writer_schema others[] = {{70, "interactions-value", older},
                                              {71, "interactions-value", newer},
                                              {72, "some-other-topic-value", "\"string\""}};

static struct message newer_message(int action, int place) {
    struct message m = framed(71);
    put_number(&m, -1); /* tags: a block of one entry and its length */
    put_number(&m, 9);
    put_text(&m, "k");
    put_number(&m, 2);
    put_text(&m, "a");
    put_text(&m, "b");
    put_number(&m, 0);
    put_number(&m, 0);
    put_number(&m, 4); /* position */
    put_number(&m, 1); /* context */
    put_text(&m, "device");
    put_text(&m, "phone");
    put_number(&m, 0);
    put_number(&m, action);
    put_number(&m, place);
    if (place == 1)
        put_text(&m, "Aachen");
    put_number(&m, 0); /* label: an int */
    put_number(&m, 1);
    put_text(&m, "item");
    put_text(&m, "user");
    put_number(&m, 1234567);
    m.bytes[m.len++] = 1;
    return m;
}

START_TEST(older_writers_resolve) {
    struct codec *codec = codec_with(others, 3);
    struct message m = framed(70);
    put_text(&m, "user");
    put_text(&m, "item");
    put_number(&m, 1700000000000);
    put_number(&m, 1);
    struct event event;
    enum dead_reason reason;
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    const struct interaction *i = &event.as.interaction;
    ck_assert(bytes_equal(i->user_id, bytes_text("user")));
    ck_assert(bytes_equal(i->item_id, bytes_text("item")));
    ck_assert_int_eq(i->event_time_ms, 1700000000000);
    ck_assert_int_eq(i->action, ACTION_CLICK);
    ck_assert(!i->has_label && !i->has_position && i->request_id.data == NULL);
    codec_destroy(codec);
}
END_TEST

START_TEST(newer_writers_resolve) {
    static const enum action actions[] = {ACTION_PURCHASE, 0, ACTION_CLICK, ACTION_CART,
                                          ACTION_IMPRESSION};
    struct codec *codec = codec_with(others, 3);
    struct event event;
    enum dead_reason reason;
    for (int action = 0; action < 5; action++) {
        struct message m = newer_message(action, action % 2);
        enum status status = decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason);
        if (action == 1) { /* SHARE: none of ours */
            ck_assert_int_eq(status, BAD_RECORD);
            ck_assert_int_eq(reason, DEAD_DECODE);
            continue;
        }
        must(status);
        const struct interaction *i = &event.as.interaction;
        ck_assert(bytes_equal(i->user_id, bytes_text("user")));
        ck_assert(bytes_equal(i->item_id, bytes_text("item")));
        ck_assert_int_eq(i->event_time_ms, 1234567);
        ck_assert_int_eq(i->action, actions[action]);
        ck_assert(i->has_label && i->label == 1.0f);
        ck_assert(i->has_position && i->position == 4);
        ck_assert_ptr_null(i->request_id.data);
    }
    codec_destroy(codec);
}
END_TEST

START_TEST(a_recording_s_own_schema_wins_over_a_shipped_one) {
    struct writer_schema own[] = {{SCHEMA_INTERACTIONS_VALUE, "interactions-value", older},
                                  {SCHEMA_ITEM_CONTENT_VALUE, "interactions-value", newer}};
    struct codec *codec = codec_with(own, 2);
    struct message m = framed(SCHEMA_INTERACTIONS_VALUE);
    put_text(&m, "user");
    put_text(&m, "item");
    put_number(&m, 1);
    put_number(&m, 0);
    struct event event;
    enum dead_reason reason;
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    m = newer_message(2, 0);
    put_be32(m.bytes + 1,
             SCHEMA_ITEM_CONTENT_VALUE); /* the same id means another schema on another topic */
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    m = framed(SCHEMA_ITEM_CONTENT_VALUE);
    put_text(&m, "item");
    put_number(&m, 5);
    put_number(&m, 0);
    put_number(&m, 0);
    put_number(&m, 0);
    must(decode(codec, TOPIC_ITEM_CONTENT, &m, &event, &reason));
    ck_assert_uint_eq(event.as.listing.dims, 0);
    codec_destroy(codec);
}
END_TEST

/* A registry that is away for the first call, and knows three ids: one of them is nothing of ours. */
static int asked;
static enum status registry(void *self, int32_t id, const char **json, struct error *e) {
    (void)self;
    if (asked++ == 0)
        return FAIL(e, RETRY, EX_TEMPFAIL, "away");
    *json = id == 70 ? older : id == 71 ? "\"long\"" : NULL;
    return *json != NULL ? OK : FAIL(e, BAD_RECORD, EX_DATAERR, "unknown");
}

static struct message older_message(int32_t id) {
    struct message m = framed(id);
    put_text(&m, "user");
    put_text(&m, "item");
    put_number(&m, 1);
    put_number(&m, 0);
    return m;
}

START_TEST(a_source_s_ids_are_its_own) {
    struct codec *codec = codec_with(NULL, 0);
    struct event event;
    enum dead_reason reason;
    asked = 0;
    codec_use_source(codec, (struct schema_source){NULL, registry});
    struct message m = older_message(70);
    ck_assert_int_eq(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason), RETRY);
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    ck_assert_int_eq(asked, 2); /* kept */
    char unknown[ERROR_TEXT_BYTES];
    static const int32_t bad[] = {72, 71, 71, SCHEMA_INTERACTIONS_VALUE, -1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        m = older_message(bad[i]);
        ck_assert_int_eq(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason), BAD_RECORD);
        ck_assert_int_eq(reason, DEAD_SCHEMA);
        snprintf(unknown, sizeof unknown, "schema id %d is not known for interactions-value",
                 bad[i]);
        ck_assert_msg(strncmp(err.text, unknown, strlen(unknown)) == 0, "%s", err.text);
    }
    ck_assert_int_eq(asked, 5); /* 72, 71 once, 1; and -1 is no id */
    codec_destroy(codec);
}
END_TEST

START_TEST(schemas_that_cannot_be_read_as_ours_are_refused) {
    static const char *const bad[] = {
        "",
        "{",
        "\"string\"",
        "{\"type\":\"record\"}",
        HEAD TEXT("user_id") "," TEXT("item_id") "," ACTION("\"CLICK\"") "]}", /* no event_time */
        HEAD TEXT("user_id") "," TEXT("item_id") "," TEXT("event_time") "," ACTION(
            "\"CLICK\"") "]}",
        "{\"type\":\"record\",\"name\":\"Click\",\"fields\":[" TEXT("user_id") "," TEXT(
            "item_id") ",{\"name\":\"event_time\",\"type\":\"long\"}," ACTION("\"CLICK\"") "]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct writer_schema writer = {9, "interactions-value", bad[i]};
        struct codec *codec;
        ck_assert_int_eq(codec_create(&codec, &writer, 1, TEST_BYTES_MAX, &err), FATAL);
        ck_assert_int_eq(err.exit_code, EX_DATAERR);
        ck_assert_msg(strstr(err.text, "schema 9 of interactions-value") != NULL, "%s", err.text);
    }
}
END_TEST

/* ---- bytes that are wrong ---- */

static void bad(struct codec *codec, const struct message *m, enum dead_reason expected,
                const char *words) {
    struct event event;
    enum dead_reason reason;
    ck_assert_int_eq(decode(codec, TOPIC_INTERACTIONS, m, &event, &reason), BAD_RECORD);
    ck_assert_msg(reason == expected, "reason %d instead of %d: %s", (int)reason, (int)expected,
                  err.text);
    ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" is not in \"%s\"", words, err.text);
}

START_TEST(bad_frames_name_the_remedy) {
    struct codec *codec = codec_with(others, 3);
    struct message m = newer_message(0, 0);
    m.len = 4;
    bad(codec, &m, DEAD_WIRE, "Confluent");
    m = newer_message(0, 0);
    m.bytes[0] = '{';
    bad(codec, &m, DEAD_WIRE, "magic byte 123");
    m.bytes[0] = 1;
    bad(codec, &m, DEAD_WIRE, "GUID");
    m = newer_message(0, 0);
    m.bytes[1] = 0x7f;
    bad(codec, &m, DEAD_SCHEMA, "recording.yaml");
    m = newer_message(0, 0);
    put_be32(m.bytes + 1, 72); /* another topic's */
    bad(codec, &m, DEAD_SCHEMA, "schema id 72");
    struct record record = {.topic = TOPIC_INTERACTIONS, .key = bytes_text("user")};
    struct event event;
    enum dead_reason reason;
    struct codec_port port = codec_port(codec);
    ck_assert_int_eq(port.decode(port.self, &record, &event, &reason, &err), BAD_RECORD);
    ck_assert_int_eq(reason, DEAD_WIRE);
    m = newer_message(0, 0);
    record.value = bytes_of(m.bytes, m.len);
    must(port.decode(port.self, &record, &event, &reason, &err));
    record.key = bytes_text("other");
    ck_assert_int_eq(port.decode(port.self, &record, &event, &reason, &err), BAD_RECORD);
    ck_assert_int_eq(reason, DEAD_KEY);
    record.damage = "a hole";
    ck_assert_int_eq(port.decode(port.self, &record, &event, &reason, &err), BAD_RECORD);
    ck_assert_int_eq(reason, DEAD_DAMAGED);
    codec_destroy(codec);
}
END_TEST

START_TEST(bad_values_are_bad_records) {
    struct codec *codec = codec_with(others, 3);
    struct message m = newer_message(0, 0);
    m.len++;
    bad(codec, &m, DEAD_DECODE, "left over");
    m = newer_message(5, 0);
    bad(codec, &m, DEAD_DECODE, "no such symbol");
    m = newer_message(0, 3); /* no such branch: Avro C would index past its array */
    bad(codec, &m, DEAD_DECODE, "no such branch");
    m = newer_message(0, -1);
    bad(codec, &m, DEAD_DECODE, "no such branch");
    for (size_t len = 5; len < newer_message(0, 1).len;
         len++) { /* Avro C would leak each of these */
        m = newer_message(0, 1);
        m.len = len;
        bad(codec, &m, DEAD_DECODE, "not a value of schema 71");
    }
    codec_destroy(codec);
}
END_TEST

START_TEST(gigabytes_are_refused) {
    struct codec *codec = codec_with(NULL, 0);
    static const int64_t sizes[] = {1 << 20, 1 << 30, (int64_t)1 << 40, INT64_MAX, -1, INT64_MIN};
    size_t before = heap_used();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct message text = framed(SCHEMA_INTERACTIONS_VALUE),
                       array = framed(SCHEMA_ITEM_CONTENT_VALUE);
        struct event event;
        enum dead_reason reason;
        put_number(&text, sizes[i]);
        put_text(&text, "user");
        bad(codec, &text, DEAD_DECODE, "length");
        put_text(&array, "item");
        put_number(&array, 5);
        put_number(&array, 1);
        put_text(&array, "text");
        put_number(&array, sizes[i]);
        put_float(&array, 1);
        ck_assert_int_eq(decode(codec, TOPIC_ITEM_CONTENT, &array, &event, &reason), BAD_RECORD);
    }
    ck_assert_uint_eq(heap_used(), before);
    codec_destroy(codec);
}
END_TEST

/* An array of nulls has no bytes: 2^40 of them would keep Avro C busy for hours. */
START_TEST(arrays_of_nothing_end) {
    static const char schema[] = HEAD
        TEXT("user_id") "," TEXT("item_id") ",{\"name\":\"event_time\",\"type\":\"long\"}," ACTION(
            "\"CLICK\"") ",{\"name\":\"n\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}]}";
    struct writer_schema writer = {9, "interactions-value", schema};
    struct codec *codec = codec_with(&writer, 1);
    struct message m = framed(9);
    put_text(&m, "user");
    put_text(&m, "item");
    put_number(&m, 1);
    put_number(&m, 0);
    struct message many = m;
    put_number(&many, (int64_t)1 << 40);
    put_number(&many, 0);
    bad(codec, &many, DEAD_DECODE, "memory");
    put_number(&m, 3);
    put_number(&m, 0);
    struct event event;
    enum dead_reason reason;
    must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
    codec_destroy(codec);
}
END_TEST

/* Good and bad records by the thousand: Avro C's heap is the same before and after. */
START_TEST(nothing_leaks) {
    struct rng rng = rng_stream(test_seed("writers_test"), RNG_TEST, 8, 0);
    struct codec *codec = codec_with(others, 3);
    size_t before = 0;
    for (int i = 0; i < 40000; i++) {
        struct message m = newer_message((int)rng_below(&rng, 5), (int)rng_below(&rng, 2));
        if (rng_below(&rng, 2))
            m.bytes[5 + rng_below(&rng, (uint32_t)m.len - 5)] ^= (uint8_t)(1 << rng_below(&rng, 8));
        if (rng_below(&rng, 4) == 0)
            m.len = 5 + rng_below(&rng, (uint32_t)m.len - 5);
        struct event event;
        enum dead_reason reason;
        decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason);
        m = newer_message(2, 1);
        must(decode(codec, TOPIC_INTERACTIONS, &m, &event, &reason));
        if (i == 100)
            before = heap_used();
    }
    ck_assert_uint_le(heap_used(), before + 256);
    codec_destroy(codec);
    ck_assert_uint_lt(heap_used(), before);
}
END_TEST

static Suite *writers_suite(void) {
    Suite *suite = suite_create("writers");
    TCase *tests = tcase_create("writers");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, older_writers_resolve);
    tcase_add_test(tests, newer_writers_resolve);
    tcase_add_test(tests, a_recording_s_own_schema_wins_over_a_shipped_one);
    tcase_add_test(tests, schemas_that_cannot_be_read_as_ours_are_refused);
    tcase_add_test(tests, bad_frames_name_the_remedy);
    tcase_add_test(tests, bad_values_are_bad_records);
    tcase_add_test(tests, a_source_s_ids_are_its_own);
    tcase_add_test(tests, gigabytes_are_refused);
    tcase_add_test(tests, arrays_of_nothing_end);
    tcase_add_test(tests, nothing_leaks);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(writers_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
