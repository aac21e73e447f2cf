/* Settings: the table documents itself, a file's errors are all found with line and column, and
 * text reads back. */
#include "base/file.h"
#include "base/rng.h"
#include "config/nearest.h"
#include "config/properties.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 65536

struct text {
    char bytes[TEXT_BYTES];
    size_t used;
    uint32_t lines;
};

static void add_line(void *self, const char *line) {
    struct text *text = self;
    text->used += (size_t)snprintf(text->bytes + text->used, TEXT_BYTES - text->used, "%s\n", line);
    text->lines++;
    ck_assert(text->used < TEXT_BYTES);
}

static void add_text(void *self, const char *piece) {
    struct text *text = self;
    text->used += (size_t)snprintf(text->bytes + text->used, TEXT_BYTES - text->used, "%s", piece);
    ck_assert(text->used < TEXT_BYTES);
}

static struct text found;

static enum status decode(struct settings *out, const char *yaml, struct error *err) {
    found = (struct text){.lines = 0};
    return settings_decode(out, bytes_text(yaml), "t", add_line, &found, err);
}

/* The file has exactly these errors, in this order. */
static void expect_errors(const char *yaml, const char *errors) {
    struct settings settings;
    struct error err;
    memset(&settings, 7, sizeof settings);
    struct settings before = settings;
    ck_assert_int_eq(decode(&settings, yaml, &err), FATAL);
    ck_assert_str_eq(found.bytes, errors);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    ck_assert(memcmp(&settings, &before, sizeof settings) == 0);
}

static void expect_set_error(const char *assignment, const char *text) {
    struct settings settings;
    struct error err;
    settings_default(&settings);
    struct settings before = settings;
    ck_assert_int_eq(settings_set(&settings, assignment, &err), FATAL);
    ck_assert_str_eq(err.text, text);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    ck_assert(memcmp(&settings, &before, sizeof settings) == 0);
}

START_TEST(every_setting_is_documented) {
    struct settings settings;
    char value[PROPERTY_TEXT_BYTES];
    settings_default(&settings);
    for (uint32_t i = 0; i < property_count; i++) {
        const struct property *property = &properties[i];
        ck_assert_msg(strlen(property->doc) > 10 && property->doc[strlen(property->doc) - 1] == '.',
                      "%s: doc", property->path);
        ck_assert_ptr_eq(property_named(property->path), property);
        ck_assert(strlen(property->path) < 64 && strchr(property->path, '|') == NULL);
        ck_assert(property->count >= 1 && property->count <= PROPERTY_VALUES_MAX);
        /* the default that the manual names is the one in force, in its own spelling */
        property_format(property, &settings, value);
        ck_assert_str_eq(value, property->preset);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_msg(properties[j].offset != property->offset, "%s and %s share a place",
                          properties[j].path, property->path);
    }
}
END_TEST

START_TEST(manual_is_the_document) {
    static struct text manual;
    struct arena arena;
    struct bytes document;
    struct error err;
    settings_manual(add_text, &manual);
    ck_assert_int_eq(arena_reserve(&arena, "manual", 1 << 20, &err), OK);
    ck_assert_msg(file_load("../docs/CONFIGURATION.md", &arena, 1 << 19, &document, &err) == OK,
                  "%s", err.text);
    ck_assert_msg(
        bytes_equal(document, bytes_text(manual.bytes)),
        "docs/CONFIGURATION.md is out of date: coldstream check --manual > docs/CONFIGURATION.md");
    arena_release(&arena);
}
END_TEST

START_TEST(shipped_file_names_defaults) {
    struct settings read, preset;
    struct error err;
    char a[TEXT_BYTES], b[TEXT_BYTES];
    found = (struct text){.lines = 0};
    ck_assert_msg(settings_read(&read, "../conf/replay.yaml", add_line, &found, &err) == OK, "%s",
                  found.bytes);
    settings_default(&preset);
    settings_text(&read, a, sizeof a);
    settings_text(&preset, b, sizeof b);
    ck_assert_str_eq(a, b);
}
END_TEST

START_TEST(file_sets_values) {
    struct settings settings;
    struct error err;
    ck_assert_msg(decode(&settings,
                         "# comment\nseed: 7\nmodel:\n  variant: id+content\n  hidden: [128, 64]\n "
                         " rate_rows: 2e-1\n"
                         "labels: {negatives_popular: 0.25, ahead_ms: 5}\nparking:\n  policy: "
                         "\"set-aside\"\nepoch:\n",
                         &err) == OK,
                  "%s", found.bytes);
    ck_assert_uint_eq(settings.seed, 7);
    ck_assert_int_eq(settings.ranker.variant, VARIANT_ID_CONTENT);
    ck_assert_uint_eq(settings.ranker.hidden[0], 128);
    ck_assert_uint_eq(settings.ranker.hidden[1], 64);
    ck_assert(settings.ranker.rate_rows == 0.2f);
    ck_assert(settings.stage.negatives_popular == 0.25f);
    ck_assert_int_eq(settings.stage.ahead_ms, 5);
    ck_assert_int_eq(settings.stage.parking_policy, PARKING_SET_ASIDE);
    ck_assert_uint_eq(settings.ranker.width, 32);
    ck_assert_int_eq(decode(&settings, "", &err), OK);
    ck_assert_int_eq(decode(&settings, "# nothing but a comment\n", &err), OK);
}
END_TEST

START_TEST(all_errors_are_reported) {
    expect_errors(
        "sede: 3\n"
        "model:\n"
        "  widht: 3\n"
        "  width: 3x\n"
        "  width: 9999\n"
        "  batch: 9999\n"
        "  hidden: [1, 2, 3]\n"
        "  variant: id+sidd\n"
        "  rate_rows: \"0.1\"\n"
        "  history: {a: [b, {c: d}]}\n"
        "content:\n"
        "  title_bytes: 97\n"
        "  dims:\n"
        "model: 3\n"
        "model.width: 3\n",
        "t:1:1: sede: there is no such setting; did you mean seed?\n"
        "t:3:3: model.widht: there is no such setting; did you mean model.width?\n"
        "t:4:10: model.width: `3x' is not a whole number; possible is 4 to 512\n"
        "t:5:3: model.width: stands here a second time; the first is in line 4\n"
        "t:6:10: model.batch: 9999 is out of range; possible is 1 to 8192\n"
        "t:7:11: model.hidden: has 3 values; it needs 2, such as [64, 32]\n"
        "t:8:12: model.variant: `id+sidd' is not one of id, content, id+content, id+sid, smile, "
        "savior, full; did you mean "
        "id+sid?\n"
        "t:9:14: model.rate_rows: `0.1' is a text; write the number without quotes and tags\n"
        "t:10:12: model.history: has settings below it where a single value is needed, such as "
        "100\n"
        "t:12:16: content.title_bytes: 97 is not a multiple of 4\n"
        "t:13:8: content.dims: has no value; give it one, such as 0, or take the line out\n"
        "t:14:1: model: stands here a second time; the first is in line 2\n"
        "t:14:1: model: is a section; its settings stand indented below it\n"
        "t:15:1: model.width: write the part before the dot as a section, the rest indented below "
        "it\n");
}
END_TEST

START_TEST(broken_text_ends_the_list) {
    expect_errors(
        "sed: 1\nmodel: [1\n",
        "t:1:1: sed: there is no such setting; did you mean seed?\n"
        "t:2:1: model: is a section; its settings stand indented below it\n"
        "t:3:1: not YAML: while parsing a flow sequence, did not find expected ',' or ']'\n");
    expect_errors("- a\n- b\n", "t:1:1: the file must be sections of `key: value'\n");
    expect_errors("seed: 1\n---\nseed: 2\n",
                  "t:2:1: a second document begins here; the file must have one\n");
    expect_errors("? [a, b]\n: 3\n", "t:1:3: a key must be a plain word\n");
    expect_errors("seed: *x\n",
                  "t:1:7: seed: has an alias where a single value is needed, such as 0\n");
    expect_errors("seed: \xff\n",
                  "t:1:1: not a text file: invalid leading UTF-8 octet at byte 6\n");
}
END_TEST

START_TEST(numbers_are_strict) {
    static const char *const whole[] = {
        "3x", "0x10", "1e3", "1_000", "1.0", " ", "--1", "+1", "9223372036854775808", "-1"};
    static const char *const decimal[] = {"x", "inf", "nan",  "0x1p3", "1e999",
                                          ".", "1,5", "-0.1", "e5"};
    char text[64];
    struct settings settings;
    struct error err;
    settings_default(&settings);
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        snprintf(text, sizeof text, "seed=%s", whole[i]);
        ck_assert_msg(settings_set(&settings, text, &err) == FATAL, "%s", text);
    }
    for (size_t i = 0; i < sizeof decimal / sizeof decimal[0]; i++) {
        snprintf(text, sizeof text, "model.rate_rows=%s", decimal[i]);
        ck_assert_msg(settings_set(&settings, text, &err) == FATAL, "%s", text);
    }
    ck_assert_int_eq(settings_set(&settings, "seed=9007199254740992", &err), OK);
    ck_assert_uint_eq(settings.seed, 9007199254740992u);
}
END_TEST

START_TEST(set_checks_as_the_file_does) {
    struct settings settings;
    struct error err;
    settings_default(&settings);
    ck_assert_int_eq(settings_set(&settings, "tokenizer.books=8,16, 32,64,128", &err), OK);
    ck_assert_uint_eq(settings.books[4], 128);
    ck_assert_int_eq(settings_set(&settings, "tokenizer.books=[16, 8, 4, 2, 2]", &err), OK);
    ck_assert_uint_eq(settings.books[0], 16);
    expect_set_error("model.widht=3",
                     "model.widht: there is no such setting; did you mean model.width?");
    expect_set_error("nonsense",
                     "`nonsense' is not a setting; write key=value, such as model.variant=id");
    expect_set_error("model.hidden=64", "model.hidden: has 1 values; it needs 2, such as [64, 32]");
    expect_set_error("tokenizer.z_dims=63", "tokenizer.z_dims: 63 is not a multiple of 2");
    expect_set_error("tokenizer.books=65536,65536,2,2,2",
                     "tokenizer.books: the first two multiplied are the rows of a table: "
                     "4294967296 of them; possible is 16777216");
    expect_errors("tokenizer:\n  books: [8192, 4096, 2, 2, 2]\n",
                  "t:2:3: tokenizer.books: the first two multiplied are the rows of a table: "
                  "33554432 of them; possible is 16777216\n");
}
END_TEST

/* A value that its property allows. */
static void random_value(const struct property *property, struct rng *rng, char *out, size_t size) {
    if (property->type == PROPERTY_NAME) {
        uint32_t count = 0;
        while (property->names[count] != NULL)
            count++;
        snprintf(out, size, "%s", property->names[rng_below(rng, count)]);
        return;
    }
    if (property->type == PROPERTY_MAP) { /* another test's */
        snprintf(out, size, "{}");
        return;
    }
    size_t used = 0;
    for (uint32_t i = 0; i < property->count; i++) {
        double value = property->min + (property->max - property->min) * (double)rng_unit(rng);
        const char *comma = i ? "," : "";
        if (property->type == PROPERTY_F32 || property->type == PROPERTY_F64) {
            used += (size_t)snprintf(out + used, size - used, "%s%.*g", comma,
                                     1 + (int)rng_below(rng, 17), value);
            continue;
        }
        uint64_t whole = (uint64_t)value;
        if (strcmp(property->path, "tokenizer.books") == 0)
            whole = 2 + whole % 4000;
        whole -= property->step ? whole % property->step : 0;
        used +=
            (size_t)snprintf(out + used, size - used, "%s%llu", comma, (unsigned long long)whole);
    }
}

START_TEST(text_reads_back) {
    uint64_t seed = getenv("COLDSTREAM_SEED") ? strtoull(getenv("COLDSTREAM_SEED"), NULL, 10) : 1;
    for (uint64_t round = 0; round < 200; round++) {
        struct rng rng = rng_stream(seed, RNG_TEST, 1, round);
        struct settings settings, back;
        struct error err;
        char assignment[256], value[160], text[TEXT_BYTES], again[TEXT_BYTES];
        settings_default(&settings);
        for (uint32_t i = 0; i < property_count; i++) {
            random_value(&properties[i], &rng, value, sizeof value);
            snprintf(assignment, sizeof assignment, "%s=%s", properties[i].path, value);
            /* a rounded decimal may leave the range: then the value before stays */
            enum status status = settings_set(&settings, assignment, &err);
            ck_assert_msg(status == OK || strstr(err.text, "out of range") != NULL ||
                              strstr(err.text, "another topic") != NULL ||
                              strstr(err.text, "a secret is no part") != NULL,
                          "%s: %s", assignment, err.text);
        }
        size_t length = settings_text(&settings, text, sizeof text);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert_msg(decode(&back, text, &err) == OK, "%s\nCOLDSTREAM_SEED=%llu test_settings",
                      found.bytes, (unsigned long long)seed);
        settings_text(&back, again, sizeof again);
        ck_assert_msg(strcmp(text, again) == 0 && memcmp(&back, &settings, sizeof back) == 0,
                      "round %llu differs; rerun: COLDSTREAM_SEED=%llu test_settings",
                      (unsigned long long)round, (unsigned long long)seed);
    }
}
END_TEST

START_TEST(librdkafka_properties_are_read_and_secrets_are_not_shown) {
    struct settings settings, back;
    struct error err;
    char text[TEXT_BYTES];
    const char *yaml = "kafka:\n  properties:\n    security.protocol: SASL_SSL\n"
                       "    sasl.username: shop\n    sasl.password: \"hunter2\"\n"
                       "    ssl.key.password: ${file:/run/secrets/key}\n"
                       "    compression.type: lz4\n    message.max.bytes: 2000000\n"
                       "    sasl.kerberos.kinit.cmd: 'kinit \"a\\b\"'\n";
    ck_assert_msg(decode(&settings, yaml, &err) == OK, "%s", found.bytes);
    ck_assert_uint_eq(settings.kafka_properties.count, 7);
    ck_assert_str_eq(settings.kafka_properties.at[2].value, "hunter2");
    settings_text(&settings, text, sizeof text);
    ck_assert_ptr_null(strstr(text, "hunter2"));
    ck_assert_ptr_null(strstr(text, "shop"));
    ck_assert_ptr_nonnull(strstr(text, "    ssl.key.password: \"${file:/run/secrets/key}\"\n"));
    ck_assert_msg(decode(&back, text, &err) == OK, "%s", found.bytes);
    ck_assert_str_eq(back.kafka_properties.at[6].value, "kinit \"a\\b\"");
    ck_assert_int_eq(settings_set(&settings, "kafka.properties.client.rack=a=b", &err), OK);
    ck_assert_str_eq(settings.kafka_properties.at[7].value, "a=b");
    ck_assert_int_eq(settings_set(&settings, "kafka.properties.client.rack=c", &err), OK);
    ck_assert_uint_eq(settings.kafka_properties.count, 8);
    ck_assert_int_eq(settings_set(&settings, "kafka.properties={}", &err), OK);
    ck_assert_uint_eq(settings.kafka_properties.count, 0);
}
END_TEST

START_TEST(properties_that_are_refused_name_their_place) {
    expect_errors("kafka:\n  properties:\n    acks: 1\n    group.id: mine\n",
                  "t:3:5: kafka.properties.acks: the property `acks' is the stage's own: "
                  "exactly-once depends on it; remove it\n"
                  "t:4:5: kafka.properties.group.id: the property `group.id' is the stage's own: "
                  "the setting for it is kafka.application; remove it\n");
    expect_errors(
        "kafka:\n  properties:\n    sasl.password: ${env:}\n    ssl.key.pem: ${vault:x}\n",
        "t:3:5: kafka.properties.sasl.password: a reference to a secret is ${env:NAME} or "
        "${file:/path}\n"
        "t:4:5: kafka.properties.ssl.key.pem: a reference to a secret is ${env:NAME} or "
        "${file:/path}\n");
    expect_errors("kafka:\n  properties:\n    client.rack: [a]\n    client.rack: a\n"
                  "    client.rack: b\n",
                  "t:3:18: kafka.properties.client.rack: needs a single value\n"
                  "t:5:5: kafka.properties.client.rack: stands here a second time\n");
    expect_errors("kafka:\n  properties: none\n",
                  "t:2:15: kafka.properties: is a mapping; its entries stand indented below it\n");
    struct settings settings;
    struct error err;
    ck_assert_int_eq(decode(&settings, "kafka:\n  properties:\n    securty.protocol: ssl\n", &err),
                     FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "t:3:5: "));
    ck_assert_ptr_nonnull(strstr(err.text, "no property `securty.protocol'"));
    ck_assert_int_eq(decode(&settings, "kafka:\n  properties:\n    linger.ms: soon\n", &err),
                     FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "t:3:5: "));
    ck_assert_int_eq(
        decode(&settings, "kafka:\n  properties:\n    sasl.oauthbearer.method: hunter2\n", &err),
        FATAL);
    ck_assert_ptr_null(strstr(err.text, "hunter2"));
}
END_TEST

START_TEST(names_of_topics_are_checked) {
    expect_errors("topics:\n  epochs: a b\n  codebooks: changelog\n",
                  "t:3:3: topics.codebooks: another topic is called `changelog', too\n"
                  "t:2:3: topics.epochs: `a b' is no name of a topic: letters, digits, `.', `_' "
                  "and `-' are possible\n");
}
END_TEST

START_TEST(text_is_cut_at_its_buffer) {
    struct settings settings;
    char text[64];
    settings_default(&settings);
    memset(text, 1, sizeof text);
    ck_assert_uint_eq(settings_text(&settings, text, 40), 39);
    ck_assert_uint_eq(strlen(text), 39);
    ck_assert_int_eq(text[40], 1);
}
END_TEST

START_TEST(absent_file_is_no_input) {
    struct settings settings;
    struct error err;
    ck_assert_int_eq(settings_read(&settings, "no/such/file", NULL, NULL, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_NOINPUT);
}
END_TEST

START_TEST(edits_are_counted) {
    ck_assert_uint_eq(edit_distance("", ""), 0);
    ck_assert_uint_eq(edit_distance("", "abc"), 3);
    ck_assert_uint_eq(edit_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(edit_distance("widht", "width"), 1);
    ck_assert_str_eq(property_nearest("negatives"), "labels.negatives");
    ck_assert_str_eq(property_nearest("model.negatives"), "labels.negatives");
    ck_assert_str_eq(property_nearest("labels.negatves"), "labels.negatives");
    ck_assert_ptr_null(property_nearest("entirely.unrelated"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("settings");
    TCase *all = tcase_create("all");
    suite_add_tcase(suite, all);
    tcase_add_test(all, every_setting_is_documented);
    tcase_add_test(all, manual_is_the_document);
    tcase_add_test(all, shipped_file_names_defaults);
    tcase_add_test(all, file_sets_values);
    tcase_add_test(all, all_errors_are_reported);
    tcase_add_test(all, broken_text_ends_the_list);
    tcase_add_test(all, numbers_are_strict);
    tcase_add_test(all, set_checks_as_the_file_does);
    tcase_add_test(all, text_reads_back);
    tcase_add_test(all, librdkafka_properties_are_read_and_secrets_are_not_shown);
    tcase_add_test(all, properties_that_are_refused_name_their_place);
    tcase_add_test(all, names_of_topics_are_checked);
    tcase_add_test(all, text_is_cut_at_its_buffer);
    tcase_add_test(all, absent_file_is_no_input);
    tcase_add_test(all, edits_are_counted);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
