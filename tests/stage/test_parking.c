/* Parking: what goes in comes out once, whole and in order, when its item has a row or its time is
 * over. Time to wait 50 ms, 64 records of up to 128 bytes (world_config). */
#include "world.h"

#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>

static struct world *world;

#define OUT_MAX 1000
static struct {
    struct record record;
    uint8_t key[128], value[128];
} out[OUT_MAX];
static uint32_t out_count;
static enum status answer;

static void setup(void) {
    const struct stage_config config = world_config();
    world = world_create(&config);
    out_count = 0;
    answer = OK;
}

static void teardown(void) {
    world_destroy(world);
}

static struct bytes keep(uint8_t *to, struct bytes from) {
    if (from.data == NULL)
        return from;
    memcpy(to, from.data, from.len);
    return bytes_of(to, from.len);
}

static enum status take(void *self, const struct record *record, struct error *err) {
    (void)self, (void)err;
    if (answer != OK)
        return answer;
    ck_assert_uint_lt(out_count, OUT_MAX);
    out[out_count].record = *record;
    out[out_count].record.key = keep(out[out_count].key, record->key);
    out[out_count].record.value = keep(out[out_count].value, record->value);
    out_count++;
    return OK;
}

static const struct parking_port port = {NULL, take};

static enum status park(const char *item, int64_t offset, int64_t stream_ms) {
    char value[64];
    snprintf(value, sizeof value, "click on %s at %lld", item, (long long)offset);
    const struct record record = {.topic = TOPIC_INTERACTIONS,
                                  .partition = 3,
                                  .offset = offset,
                                  .timestamp_ms = stream_ms - 7,
                                  .key = bytes_text("user"),
                                  .value = bytes_text(value)};
    return parking_add(world->parking, &record, bytes_text(item), stream_ms, &world->err);
}

static void release(void) {
    ck_assert_int_eq(parking_release_listed(world->parking, port, &world->err), OK);
}

static void expire(int64_t stream_ms) {
    ck_assert_int_eq(parking_expire(world->parking, stream_ms, port, &world->err), OK);
}

/* The offsets that came out since the last call, in order. */
static void expect_out(uint32_t count, const int64_t *offsets) {
    ck_assert_uint_eq(out_count, count);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(out[i].record.offset, offsets[i]);
    out_count = 0;
}

START_TEST(records_come_back_whole) {
    ck_assert_int_eq(park("a", 42, 1000), OK);
    struct record bare = {.topic = TOPIC_INTERACTIONS, .partition = -1, .offset = 43};
    ck_assert_int_eq(parking_add(world->parking, &bare, bytes_text("a"), 1000, &world->err), OK);
    bare.offset = 44;
    bare.key = bare.value = bytes_text("");
    ck_assert_int_eq(parking_add(world->parking, &bare, bytes_text("a"), 1000, &world->err), OK);
    ck_assert_uint_eq(parking_count(world->parking), 3);
    world_list(world, "a");
    release();
    ck_assert_uint_eq(parking_count(world->parking), 0);
    ck_assert_uint_eq(out_count, 3);
    const struct record *whole = &out[0].record;
    ck_assert_int_eq(whole->topic, TOPIC_INTERACTIONS);
    ck_assert_int_eq(whole->partition, 3);
    ck_assert_int_eq(whole->timestamp_ms, 993);
    ck_assert(bytes_equal(whole->key, bytes_text("user")));
    ck_assert(bytes_equal(whole->value, bytes_text("click on a at 42")));
    ck_assert_int_eq(out[1].record.partition, -1);
    ck_assert_ptr_null(out[1].record.key.data);
    ck_assert_ptr_null(out[1].record.value.data);
    ck_assert_ptr_nonnull(out[2].record.key.data);
    ck_assert_uint_eq(out[2].record.value.len, 0);
    expect_out(3, (int64_t[]){42, 43, 44});
}
END_TEST

START_TEST(only_records_of_items_with_a_row_are_released) {
    park("a", 1, 1000), park("b", 2, 1000), park("a", 3, 1000), park("c", 4, 1000);
    release();
    expect_out(0, NULL);
    world_list(world, "a");
    release();
    expect_out(2, (int64_t[]){1, 3});
    release();
    expect_out(0, NULL);
    world_list(world, "c"), world_list(world, "b");
    release();
    expect_out(2, (int64_t[]){2, 4}); /* of arrival, not of listing */
}
END_TEST

START_TEST(order_is_that_of_arrival_although_rows_are_reused) {
    park("a", 1, 1000), park("b", 2, 1000), park("c", 3, 1000);
    world_list(world, "a");
    release();
    out_count = 0;
    world_commit(world);
    park("b", 4, 1000); /* takes the row of 1 */
    world_list(world, "b");
    release();
    expect_out(2, (int64_t[]){2, 4});
}
END_TEST

START_TEST(time_is_over_when_the_stream_has_passed_the_deadline) {
    park("a", 1, 1000), park("b", 2, 990), park("c", 3, 1000);
    expire(1040);
    expect_out(0, NULL);
    expire(1041);
    expect_out(1, (int64_t[]){2});
    expire(1050);
    expect_out(0, NULL);
    expire(5000);
    expect_out(2, (int64_t[]){1, 3});
    ck_assert_uint_eq(parking_count(world->parking), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_changes_nothing) {
    static uint8_t large[129];
    struct record record = {.topic = TOPIC_INTERACTIONS, .value = bytes_of(large, 128)};
    ck_assert_int_eq(parking_add(world->parking, &record, bytes_text("a"), 0, &world->err), OK);
    const struct digest before = world_digest(world);
    record.value.len = 129;
    ck_assert_int_eq(parking_add(world->parking, &record, bytes_text("a"), 0, &world->err),
                     BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(world->err.text, "129 bytes"));
    record.value.len = 1;
    record.key = bytes_of(large, 129);
    ck_assert_int_eq(parking_add(world->parking, &record, bytes_text("a"), 0, &world->err),
                     BAD_RECORD);
    ck_assert(digest_equal(before, world_digest(world)));
    for (int64_t i = 1; i < 64; i++)
        ck_assert_int_eq(park("a", i, 0), OK);
    ck_assert_int_eq(park("a", 64, 0), BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(world->err.text, "full"));
    ck_assert_uint_eq(parking_count(world->parking), 64);
}
END_TEST

START_TEST(parking_of_no_rows_parks_nothing) {
    struct stage_config config = world_config();
    config.parking_rows_max = 0;
    world_destroy(world);
    world = world_create(&config);
    ck_assert_int_eq(park("a", 1, 0), BAD_RECORD);
    release();
    expire(INT64_MAX);
    expect_out(0, NULL);
}
END_TEST

START_TEST(a_failed_call_is_passed_on_and_the_record_stays) {
    park("a", 1, 1000), park("b", 2, 1000), park("a", 3, 1000);
    world_list(world, "a");
    world_commit(world);
    answer = ABORT_EPOCH;
    ck_assert_int_eq(parking_release_listed(world->parking, port, &world->err), ABORT_EPOCH);
    ck_assert_int_eq(parking_expire(world->parking, 5000, port, &world->err), ABORT_EPOCH);
    world_rollback(world);
    answer = OK;
    release();
    expect_out(2, (int64_t[]){1, 3});
    expire(5000);
    expect_out(1, (int64_t[]){2});
}
END_TEST

/* ---- random, against a list ---- */

struct waiting {
    char item[8];
    int64_t offset, deadline_ms;
};
struct naive {
    struct waiting waiting[64];
    uint32_t count;
};

static void naive_out(struct naive *naive, uint32_t at, int64_t *offsets, uint32_t *count) {
    offsets[(*count)++] = naive->waiting[at].offset;
    naive->count--;
    memmove(&naive->waiting[at], &naive->waiting[at + 1],
            (naive->count - at) * sizeof naive->waiting[0]);
}

static void naive_release(struct naive *naive, int64_t *offsets, uint32_t *count) {
    for (uint32_t i = 0; i < naive->count;)
        if (world_item(world, naive->waiting[i].item) != NO_ROW)
            naive_out(naive, i, offsets, count);
        else
            i++;
}

static void naive_expire(struct naive *naive, int64_t stream_ms, int64_t *offsets,
                         uint32_t *count) {
    for (;;) {
        uint32_t first = naive->count;
        for (uint32_t i = 0; i < naive->count; i++)
            if (naive->waiting[i].deadline_ms < stream_ms &&
                (first == naive->count ||
                 naive->waiting[i].deadline_ms < naive->waiting[first].deadline_ms))
                first = i;
        if (first == naive->count)
            return;
        naive_out(naive, first, offsets, count);
    }
}

/* One epoch: parks, lists, delists, releases and expires at random. Draws depend on the epoch
 * alone, so it can be done again. */
static void run_epoch(struct naive *naive, uint64_t seed, uint64_t epoch) {
    struct rng rng = rng_stream(seed, RNG_TEST, 4, epoch);
    for (int i = 0; i < 30; i++) {
        char item[8];
        int64_t offsets[64];
        uint32_t count = 0;
        const int64_t offset = (int64_t)epoch * 30 + i, stream_ms = offset * 2;
        snprintf(item, sizeof item, "i%u", rng_below(&rng, 12));
        switch (rng_below(&rng, 8)) {
        case 0:
            world_list(world, item);
            break;
        case 1:
            world_delist(world, item);
            break;
        case 2:
            naive_release(naive, offsets, &count);
            release();
            break;
        case 3:
            naive_expire(naive, stream_ms, offsets, &count);
            expire(stream_ms);
            break;
        default: {
            const int64_t clock_ms = stream_ms + (int64_t)rng_below(&rng, 20);
            const bool fits = naive->count < 64;
            ck_assert_int_eq(park(item, offset, clock_ms), fits ? OK : BAD_RECORD);
            if (fits) {
                struct waiting *waiting = &naive->waiting[naive->count++];
                *waiting = (struct waiting){.offset = offset, .deadline_ms = clock_ms + 50};
                memcpy(waiting->item, item, sizeof item);
            }
        }
        }
        expect_out(count, offsets);
        ck_assert_uint_eq(parking_count(world->parking), naive->count);
    }
}

START_TEST(random_streams_give_what_a_list_gives) {
    const uint64_t seed = world_seed((uint64_t)_i + 1);
    struct rng rng = rng_stream(seed, RNG_TEST, 5, 0);
    struct naive naive = {.count = 0};
    printf("COLDSTREAM_SEED=%llu test_parking\n", (unsigned long long)seed);
    for (uint64_t epoch = 0; epoch < 40; epoch++) {
        if (rng_below(&rng, 2) == 0) {
            struct naive tried = naive;
            run_epoch(&tried, seed, epoch);
            world_rollback(world);
        }
        run_epoch(&naive, seed, epoch);
        world_commit(world);
        if (rng_below(&rng, 4) == 0) {
            struct world *restarted = epoch % 4 != 0 ? world_restart(world) : world_reload(world);
            world_destroy(world);
            world = restarted;
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("parking");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, records_come_back_whole);
    tcase_add_test(rules, only_records_of_items_with_a_row_are_released);
    tcase_add_test(rules, order_is_that_of_arrival_although_rows_are_reused);
    tcase_add_test(rules, time_is_over_when_the_stream_has_passed_the_deadline);
    tcase_add_test(rules, what_does_not_fit_is_refused_and_changes_nothing);
    tcase_add_test(rules, parking_of_no_rows_parks_nothing);
    tcase_add_test(rules, a_failed_call_is_passed_on_and_the_record_stays);
    tcase_add_loop_test(rules, random_streams_give_what_a_list_gives, 0, 20);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
