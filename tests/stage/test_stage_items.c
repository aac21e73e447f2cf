/* The life of items in the stage: onboarding before and after the first codebooks, new content,
 * delisting, interactions that come before their listing. */
#include "sim_fixture.h"
#include "stage/stage_private.h"

#define LISTED_FIRST 30u /* more than train_listings: the codebooks are there */
#define SECOND_MS 1000

static const char *item_name(uint32_t item) {
    static char names[4][16];
    static uint32_t next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof names[0], "item-%u", item);
    return name;
}

static void list_many(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        market_listing(&market, item_name(i), SECOND_MS + i, i);
}

/* `count` events with labels, one a second, on the items [0, items). */
static void interact_many(uint32_t count, uint32_t items, int64_t from_ms) {
    static const char *const users[] = {"ann", "bea", "cleo", "dora", "eve"};
    struct rng rng = rng_stream(7, RNG_TEST, 7, (uint64_t)from_ms);
    for (uint32_t e = 0; e < count; e++)
        market_interaction(&market,
                           &(struct market_event){.user = users[rng_below(&rng, 5)],
                                                  .item = item_name(rng_below(&rng, items)),
                                                  .time_ms = from_ms + e * SECOND_MS,
                                                  .has_label = true,
                                                  .label = (float)rng_below(&rng, 2)});
}

static uint32_t interact(const char *item, int64_t time_ms) {
    return market_interaction(
        &market,
        &(struct market_event){
            .user = "ann", .item = item, .time_ms = time_ms, .has_label = true, .label = 1.0f});
}

static uint32_t item_row(const char *item) {
    return table_find(table_of(&run, "items"), bytes_text(item));
}

static const struct sid_row *sid_of(const char *item) {
    uint32_t row = item_row(item);
    return row != NO_ROW && table_live(table_of(&run, "sid"), row)
               ? table_value(table_of(&run, "sid"), row)
               : NULL;
}

static struct manifest manifest_of(uint64_t epoch) {
    struct manifest manifest;
    arena_reset(&run.manifests);
    DONE(sim_run_manifest(&run, epoch, &run.manifests, &manifest, &err));
    return manifest;
}

/* One epoch, or nothing as long as there is more to come. */
static void step(void) {
    bool done = false;
    DONE(sim_run_step(&run, &done, &err));
    ck_assert_msg(!done, "the inputs are over");
}

/* The epoch that has the input, and its kind. */
static uint64_t epoch_of(uint32_t input, enum epoch_kind kind) {
    const struct sim_record *record = &inputs.records[input];
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++) {
        struct manifest manifest = manifest_of(epoch);
        for (uint32_t r = 0; r < manifest.range_count; r++)
            if (manifest.ranges[r].topic == record->topic &&
                manifest.ranges[r].partition == record->partition &&
                manifest.ranges[r].first_offset <= record->offset &&
                record->offset <= manifest.ranges[r].last_offset) {
                ck_assert_int_eq(manifest.kind, kind);
                return epoch;
            }
    }
    ck_abort_msg("input %u is in no epoch", input);
    return 0;
}

/* The newest record of a row: as of the whole log. false: there is none. */
static bool newest_row(enum topic topic, const char *table, const char *key,
                       struct row_output *out) {
    int32_t partition = -1;
    int64_t newest = -1;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++)
        for (int64_t offset = 0; offset < sim_log_end(run.log, topic, p); offset++) {
            struct record record = sim_record_of(sim_log_at(run.log, topic, p, offset));
            DONE(codec_decode_row(codec, &record, out, &err));
            if (strcmp(out->table, table) == 0 && bytes_equal(out->key, bytes_text(key))) {
                ck_assert(partition == -1 || partition == p); /* one key, one partition */
                partition = p;
                newest = offset;
            }
        }
    if (newest < 0)
        return false;
    struct record record = sim_record_of(sim_log_at(run.log, topic, partition, newest));
    DONE(codec_decode_row(codec, &record, out, &err));
    return true;
}

/* ---- onboarding ---- */

/* The listing comes while a mini-batch gathers that has interactions with it, before and after: it
 * is onboarded first, in an epoch of its own, nobody is parked, and no batch is split. */
START_TEST(a_listing_is_onboarded_before_the_clicks_that_gather) {
    list_many(LISTED_FIRST);
    interact_many(40, LISTED_FIRST, 10 * SECOND_MS);
    uint32_t before = interact("late", 49 * SECOND_MS);
    uint32_t listing = market_listing(&market, "late", 50 * SECOND_MS, 77);
    uint32_t after = interact("late", 51 * SECOND_MS);
    interact_many(86, LISTED_FIRST, 60 * SECOND_MS);
    run_to_end(&run);
    uint64_t content = epoch_of(listing, EPOCH_CONTENT), click = epoch_of(before, EPOCH_CLICK);
    ck_assert_uint_eq(content + 1, click);
    ck_assert_uint_eq(epoch_of(after, EPOCH_CLICK), click);
    struct manifest manifest = manifest_of(content);
    ck_assert_uint_eq(manifest.counts.events, 1);
    ck_assert_uint_eq(manifest.counts.labelled, 0);
    for (uint64_t epoch = click; epoch <= epochs_of(&run); epoch++) {
        manifest = manifest_of(epoch);
        ck_assert_int_eq(manifest.counts.parked, 0);
        ck_assert_uint_eq(manifest.batch_count, 2);
        ck_assert_uint_eq(manifest.batches[0], SIM_BATCH);
        ck_assert_uint_eq(manifest.batches[1], SIM_BATCH);
    }
    ck_assert_uint_eq(epochs_of(&run), click + 1); /* 128 interactions */
    ck_assert_ptr_nonnull(sid_of("late"));
    ck_assert_uint_eq(sid_of("late")->epoch, content);
}
END_TEST

START_TEST(listings_wait_for_the_first_codebooks) {
    uint32_t train = small.model.train_listings;
    list_many(train - 1);
    interact_many(64, train - 1, 10 * SECOND_MS);
    uint32_t last = market_listing(&market, "last", 80 * SECOND_MS, 99);
    market_listing(&market, "more", 81 * SECOND_MS, 100);
    interact_many(64, train - 1, 100 * SECOND_MS);
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    while (item_row("last") == NO_ROW) {
        ck_assert_uint_eq(table_rows(table_of(&run, "sid")), 0);
        ck_assert_uint_eq(table_rows(table_of(&run, "codebooks")), 0);
        ck_assert_int_eq(sim_log_end(run.log, TOPIC_SEMANTIC_IDS, 0), 0);
        step();
    }
    ck_assert_uint_eq(totals_of(&run).labelled, 64); /* the ranker did not wait */
    DONE(sim_run_to_end(&run, &err));
    uint64_t epoch = epoch_of(last, EPOCH_CONTENT);
    ck_assert_uint_eq(manifest_of(epoch - 1).codebook_version, 0);
    ck_assert_uint_eq(manifest_of(epoch).codebook_version, 1);
    ck_assert_uint_eq(manifest_of(epoch).generation, 1);
    ck_assert_uint_eq(table_rows(table_of(&run, "sid")), train + 1);
    for (uint32_t i = 0; i < train - 1; i++) {
        const struct sid_row *sid = sid_of(item_name(i));
        ck_assert_ptr_nonnull(sid);
        ck_assert_uint_eq(sid->epoch, epoch);
        ck_assert_int_eq(sid->reason, SID_NEW);
        ck_assert_int_eq(sid->has_previous, 0);
        ck_assert_int_eq(sid->event_time_ms, SECOND_MS + (int64_t)i);
    }
    ck_assert_uint_eq(sid_of("more")->epoch, epoch);
}
END_TEST

/* ---- new content ---- */

/* The public counts of an item that nobody has seen: no first exposure, which is not one in 1970. */
START_TEST(a_new_item_has_no_first_exposure) {
    list_many(LISTED_FIRST);
    run_to_end(&run);
    const float *counts = table_value(table_of(&run, "counts"), item_row(item_name(3)));
    ck_assert(counts[0] == 0.0f && counts[1] == 0.0f && counts[2] == -1.0f && counts[3] == 0.0f);
}
END_TEST

START_TEST(new_content_is_encoded_again) {
    struct sid_row before, after;
    struct row_output row;
    list_many(LISTED_FIRST);
    uint32_t change =
        market_listing(&market, item_name(4), 60 * SECOND_MS, 1003); /* of another cluster */
    interact_many(64, LISTED_FIRST, 100 * SECOND_MS);
    uint32_t touch =
        market_listing(&market, item_name(4), 300 * SECOND_MS, 1003); /* only the time is new */
    small.stage.content_listings = 1; /* an epoch for each listing */
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    while (epochs_of(&run) < change)
        step();
    before = *sid_of(item_name(4));
    ck_assert_int_eq(before.reason, SID_NEW);
    step();
    after = *sid_of(item_name(4));
    ck_assert_int_eq(after.reason, SID_CONTENT);
    ck_assert_int_eq(after.has_previous, 1);
    ck_assert_mem_eq(after.previous, before.codes, sizeof before.codes);
    ck_assert_mem_ne(after.codes, before.codes, sizeof before.codes);
    ck_assert_int_eq(after.event_time_ms, 60 * SECOND_MS);
    ck_assert_uint_eq(after.epoch, epoch_of(change, EPOCH_CONTENT));
    ck_assert(newest_row(TOPIC_SEMANTIC_IDS, "sid", item_name(4), &row));
    ck_assert_mem_eq(row.value.data, &after, sizeof after);
    DONE(sim_run_to_end(&run, &err));
    ck_assert(newest_row(TOPIC_SEMANTIC_IDS, "sid", item_name(4), &row));
    ck_assert_uint_eq(row.epoch, after.epoch); /* no record for content that stays */
    const struct item_row *item = table_value(table_of(&run, "items"), item_row(item_name(4)));
    ck_assert_int_eq(item->listed_ms, 300 * SECOND_MS);
    epoch_of(touch, EPOCH_CONTENT);
}
END_TEST

/* ---- delisting ---- */

/* Every output row with the item's id as its key. */
static const struct {
    enum topic topic;
    const char *table;
} item_tables[] = {{TOPIC_CHANGELOG, "items"},         {TOPIC_CHANGELOG, "content"},
                   {TOPIC_RANKER_DELTAS, "z"},         {TOPIC_SEMANTIC_IDS, "sid"},
                   {TOPIC_RANKER_DELTAS, "embedding"}, {TOPIC_CHANGELOG, "embedding.adagrad"},
                   {TOPIC_RANKER_DELTAS, "counts"}};
#define ITEM_TABLES (sizeof item_tables / sizeof *item_tables)

/* The item's rows in each output; `gone`: the newest of each is a tombstone. */
static void assert_published(const char *item, bool gone) {
    struct row_output row;
    for (size_t t = 0; t < ITEM_TABLES; t++) {
        ck_assert_msg(newest_row(item_tables[t].topic, item_tables[t].table, item, &row),
                      "%s has no row of %s", topic_name(item_tables[t].topic),
                      item_tables[t].table);
        ck_assert_msg((row.value.data == NULL) == gone, "%s: the newest row of %s is %s tombstone",
                      topic_name(item_tables[t].topic), item_tables[t].table, gone ? "no" : "a");
    }
}

/* No output topic has a living row with the item's id, in whatever table. */
static void assert_erased(const char *item) {
    for (enum topic topic = TOPIC_SEMANTIC_IDS; topic <= TOPIC_CODEBOOKS; topic++)
        for (uint32_t t = 0; t < tables_count(stage_tables(run.stage)); t++) {
            struct row_output row;
            const char *table = table_spec(tables_at(stage_tables(run.stage), t))->name;
            ck_assert_msg(!newest_row(topic, table, item, &row) || row.value.data == NULL,
                          "%s still has a row of %s", topic_name(topic), table);
        }
}

START_TEST(a_delisted_item_is_gone_everywhere) {
    list_many(LISTED_FIRST);
    interact_many(64, LISTED_FIRST, 100 * SECOND_MS);
    uint32_t rows = LISTED_FIRST + (_i == 2);
    if (_i == 1) /* without a SID */
        small.model.train_listings = 100;
    market_delisting(&market, item_name(3), 200 * SECOND_MS);
    market_delisting(&market, "never-listed", 201 * SECOND_MS);
    if (_i == 2) /* its place is taken in the same epoch */
        market_listing(&market, "heir", 202 * SECOND_MS, 9);
    run_to_end(&run);
    ck_assert(_i != 2 || item_row("heir") == 3);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 0);
    ck_assert_uint_eq(item_row(item_name(3)), NO_ROW);
    for (size_t t = 0; t < ITEM_TABLES; t++) {
        bool made = _i != 1 || (strcmp(item_tables[t].table, "z") != 0 &&
                                strcmp(item_tables[t].table, "sid") != 0);
        ck_assert_uint_eq(table_rows(table_of(&run, item_tables[t].table)), made ? rows - 1 : 0);
    }
    assert_erased(item_name(3));
    if (_i != 1) {
        assert_published(item_name(3), true);
        assert_published(item_name(2), false);
    }
}
END_TEST

/* Listed again it is another item: nothing that was learned of the old one comes back, and
 * histories do not name it. */
START_TEST(a_relisted_item_begins_anew) {
    list_many(LISTED_FIRST);
    for (uint32_t e = 0; e < 64; e++)
        interact(item_name(3), 100 * SECOND_MS + e);
    market_delisting(&market, item_name(3), 200 * SECOND_MS);
    if (_i == 1) /* in the same epoch or in another one */
        interact_many(64, 3, 210 * SECOND_MS);
    market_listing(&market, item_name(3), 300 * SECOND_MS, 3);
    run_to_end(&run);
    uint32_t row = item_row(item_name(3));
    ck_assert_uint_ne(row, NO_ROW);
    const struct item_row *item = table_value(table_of(&run, "items"), row);
    ck_assert_uint_eq(item->sequence, LISTED_FIRST + 1);
    ck_assert_uint_eq(item->exposures, 0);
    ck_assert_int_eq(item->first_exposed_ms, -1);
    const float *embedding = table_value(table_of(&run, "embedding"), row);
    for (uint32_t i = 0; i <= small.model.ranker.width; i++)
        ck_assert(embedding[i] == 0.0f);
    ck_assert_int_eq(sid_of(item_name(3))->reason, SID_NEW);
    assert_published(item_name(3), false);
    const struct table *users = table_of(&run, "users");
    const struct user_row *ann = table_value(users, table_find(users, bytes_text("ann")));
    for (uint32_t h = 0; h < ann->history_length; h++) {
        const struct item_handle *handle = (const struct item_handle *)(ann + 1) + h;
        ck_assert(handle->position != row || !model_item_alive(stage_model(run.stage), *handle));
    }
}
END_TEST

/* ---- interactions around a delisting ---- */

#define DAY_MS (86400 * (int64_t)SECOND_MS)

static uint64_t digest_of_id(const char *item) {
    return hash64(item, strlen(item), 0);
}

static bool remembered(const char *item) {
    return table_find_u64(table_of(&run, "delisted"), digest_of_id(item)) != NO_ROW;
}

static void assert_balanced(void) {
    struct stage_totals totals = totals_of(&run);
    int64_t parked = 0;
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++)
        parked += manifest_of(epoch).counts.parked;
    ck_assert_int_eq(parked, (int64_t)totals.parked);
    ck_assert_uint_eq(totals.events, totals.applied + totals.parked + totals.dead_letters);
}

/* The dead letters are these inputs in this order, and each tells of a delisting. */
static void assert_refused(const uint32_t *refused, uint32_t count) {
    uint32_t found = 0;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++)
        for (int64_t offset = 0; offset < sim_log_end(run.log, TOPIC_DEAD_LETTER, p); offset++) {
            const struct sim_record *dead = sim_log_at(run.log, TOPIC_DEAD_LETTER, p, offset);
            ck_assert_uint_lt(found, count);
            ck_assert(bytes_equal(dead->value, inputs.records[refused[found++]].value));
            for (uint32_t h = 0; h < dead->header_count; h++)
                if (bytes_equal(dead->headers[h].key, bytes_text("error")))
                    ck_assert_ptr_nonnull(memmem(dead->headers[h].value.data,
                                                 dead->headers[h].value.len, "delisted", 8));
        }
    ck_assert_uint_eq(found, count);
    ck_assert_uint_eq(totals_of(&run).dead_by_reason[DEAD_UNKNOWN_ITEM], count);
    ck_assert_uint_eq(totals_of(&run).dead_letters, count);
}

/* The tombstone overtakes the clicks that gather: those before and those after it are refused, and
 * no time brings the item back. */
START_TEST(clicks_around_a_delisting_are_refused) {
    uint32_t refused[2];
    small.stage.parking_ms = 20 * SECOND_MS;
    list_many(LISTED_FIRST);
    refused[0] = interact(item_name(3), 10 * SECOND_MS);
    market_delisting(&market, item_name(3), 11 * SECOND_MS);
    refused[1] = interact(item_name(3), 12 * SECOND_MS);
    interact_many(190, 3, 100 * SECOND_MS);
    run_to_end(&run);
    ck_assert_uint_eq(item_row(item_name(3)), NO_ROW);
    ck_assert_uint_eq(totals_of(&run).parked, 0);
    ck_assert(remembered(item_name(3)));
    assert_refused(refused, 2);
    assert_erased(item_name(3));
    assert_balanced();
}
END_TEST

/* Whether it had a row or not: what waits for it goes in the tombstone's epoch. */
START_TEST(a_delisting_empties_the_parking_of_its_item) {
    uint32_t refused[3];
    bool relisted = _i == 1;
    list_many(LISTED_FIRST);
    refused[0] = interact("never", 10 * SECOND_MS);
    uint32_t other = interact("other", 11 * SECOND_MS);
    refused[1] = interact("never", 12 * SECOND_MS);
    refused[2] = interact("never", 13 * SECOND_MS);
    interact_many(60, LISTED_FIRST, 14 * SECOND_MS); /* the epoch in which they are parked */
    interact_many(10, LISTED_FIRST, 80 * SECOND_MS);
    uint32_t tombstone = market_delisting(&market, "never", 90 * SECOND_MS);
    if (relisted) /* in the same epoch */
        market_listing(&market, "never", 91 * SECOND_MS, 5);
    interact_many(64, LISTED_FIRST, 92 * SECOND_MS);
    run_to_end(&run);
    ck_assert_int_eq(manifest_of(epoch_of(other, EPOCH_CLICK)).counts.parked, 4);
    struct manifest manifest = manifest_of(epoch_of(tombstone, EPOCH_CONTENT));
    ck_assert_int_eq(manifest.counts.parked, -3);
    ck_assert_uint_eq(manifest.counts.dead_letters, 3);
    ck_assert(remembered("never") == !relisted);
    assert_refused(refused, 3);
    if (!relisted)
        assert_erased("never");
    else
        ck_assert_uint_eq(
            ((const struct item_row *)table_value(table_of(&run, "items"), item_row("never")))
                ->exposures,
            0);
    assert_balanced();
}
END_TEST

/* A new listing holds from then on, also for clicks that gathered across both. */
START_TEST(a_relisted_item_takes_clicks_at_once) {
    list_many(LISTED_FIRST);
    interact_many(64, 3, 10 * SECOND_MS);
    market_delisting(&market, item_name(3), 80 * SECOND_MS);
    interact(item_name(1), 81 * SECOND_MS);
    market_listing(&market, item_name(3), 82 * SECOND_MS, 5);
    interact(item_name(3), 83 * SECOND_MS);
    run_to_end(&run);
    ck_assert(!remembered(item_name(3)));
    ck_assert_uint_eq(totals_of(&run).dead_letters, 0);
    const struct item_row *item = table_value(table_of(&run, "items"), item_row(item_name(3)));
    ck_assert_uint_eq(item->exposures, 1);
    assert_balanced();
}
END_TEST

/* After a day, or the parking time if that is longer, it is an id like any other. Before the first
 * interaction the tombstone's own time counts. */
START_TEST(a_delisting_is_forgotten_in_time) {
    int64_t span_ms = _i == 0 ? DAY_MS : 3 * DAY_MS, delisted_ms = 50 * SECOND_MS;
    small.stage.parking_ms = _i == 0 ? 20 * SECOND_MS : span_ms;
    list_many(LISTED_FIRST);
    market_delisting(&market, item_name(3), delisted_ms);
    interact_many(63, 3, 60 * SECOND_MS);
    interact(item_name(1), delisted_ms + span_ms); /* not yet passed: */
    uint32_t refused = interact(item_name(3), delisted_ms + span_ms);
    interact_many(62, 3, 61 * SECOND_MS);
    interact(item_name(1), delisted_ms + span_ms + 1); /* the next epoch forgets it */
    interact(item_name(3), delisted_ms + span_ms + 2);
    run_to_end(&run);
    ck_assert(!remembered(item_name(3)));
    ck_assert_uint_eq(totals_of(&run).parked, 1);
    assert_refused(&refused, 1);
    assert_balanced();
}
END_TEST

/* Of as many as there may be items, the one with the earliest (deadline, digest) goes, with what still waits for it. Here all
 * deadlines are equal. */
START_TEST(full_memory_of_delistings_forgets_the_first) {
    static const char *const items[] = {"b", "a", "c", "d", "e"};
    const char *kept[3] = {items[0], items[1], items[2]};
    small.model.items_max = 3;
    small.model.train_listings = 100;
    market_listing(&market, "x", SECOND_MS, 1);
    uint32_t refused = interact("b", 2 * SECOND_MS);
    for (uint32_t i = 0; i < 63; i++)
        interact("x", (3 + i) * SECOND_MS);
    for (uint32_t i = 0; i < 5; i++)
        market_delisting(&market, items[i], (100 + i) * SECOND_MS);
    run_to_end(&run);
    for (uint32_t i = 3; i < 5; i++) {
        uint32_t first = 0;
        for (uint32_t k = 1; k < 3; k++)
            if (digest_of_id(kept[k]) < digest_of_id(kept[first]))
                first = k;
        kept[first] = items[i];
    }
    for (uint32_t i = 0; i < 5; i++) {
        bool wanted = kept[0] == items[i] || kept[1] == items[i] || kept[2] == items[i];
        ck_assert_int_eq(remembered(items[i]), wanted);
    }
    assert_refused(&refused, 1);
    assert_balanced();
}
END_TEST

/* ---- interactions before their listing ---- */

START_TEST(a_parked_interaction_is_applied_after_its_listing) {
    list_many(LISTED_FIRST);
    interact_many(63, LISTED_FIRST, 10 * SECOND_MS);
    uint32_t early = interact("late", 73 * SECOND_MS);
    market_listing(&market, "late", 80 * SECOND_MS, 5);
    uint32_t next = interact(item_name(1), 90 * SECOND_MS);
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    while (totals_of(&run).parked == 0)
        step();
    ck_assert_uint_eq(totals_of(&run).labelled, 63);
    DONE(sim_run_to_end(&run, &err));
    struct manifest manifest = manifest_of(epoch_of(early, EPOCH_CLICK));
    ck_assert_int_eq(manifest.counts.parked, 1);
    manifest = manifest_of(epoch_of(next, EPOCH_CLICK));
    ck_assert_int_eq(manifest.counts.parked, -1);
    ck_assert_uint_eq(manifest.counts.events, 1);
    ck_assert_uint_eq(manifest.counts.applied, 2);
    ck_assert_uint_eq(manifest.counts.labelled, 2);
    const struct item_row *item = table_value(table_of(&run, "items"), item_row("late"));
    ck_assert_uint_eq(item->exposures, 1);
    ck_assert_uint_eq(item->clicks, 1);
    ck_assert_int_eq(item->first_exposed_ms, 73 * SECOND_MS);
    ck_assert_uint_eq(totals_of(&run).parked, 0);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 0);
}
END_TEST

/* One dead letter: this input, with this reason. */
static void assert_set_aside(uint32_t input, enum dead_reason reason) {
    const struct sim_record *record = &inputs.records[input], *dead = NULL;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++)
        if (sim_log_end(run.log, TOPIC_DEAD_LETTER, p) > 0)
            dead = sim_log_at(run.log, TOPIC_DEAD_LETTER, p, 0);
    ck_assert_ptr_nonnull(dead);
    ck_assert(bytes_equal(dead->key, record->key) && bytes_equal(dead->value, record->value));
    char offset[32];
    snprintf(offset, sizeof offset, "%lld", (long long)record->offset);
    for (uint32_t h = 0; h < dead->header_count; h++) {
        if (bytes_equal(dead->headers[h].key, bytes_text("reason")))
            ck_assert(bytes_equal(dead->headers[h].value, bytes_text(dead_reason_name(reason))));
        if (bytes_equal(dead->headers[h].key, bytes_text("offset")))
            ck_assert(bytes_equal(dead->headers[h].value, bytes_text(offset)));
    }
    ck_assert_uint_eq(totals_of(&run).dead_by_reason[reason], 1);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 1);
}

START_TEST(parking_time_over_is_settled_by_policy) {
    bool apply = _i == 0;
    small.stage.parking_policy = apply ? PARKING_APPLY : PARKING_SET_ASIDE;
    small.stage.parking_ms = 20 * SECOND_MS;
    list_many(LISTED_FIRST);
    uint32_t never = interact("never", 10 * SECOND_MS);
    interact_many(63, LISTED_FIRST, 11 * SECOND_MS);  /* the epoch in which it is parked */
    interact_many(64, LISTED_FIRST, 100 * SECOND_MS); /* the one in which its time is over */
    run_to_end(&run);
    struct stage_totals totals = totals_of(&run);
    ck_assert_uint_eq(totals.parked, 0);
    ck_assert_uint_eq(totals.labelled, apply ? 128 : 127);
    ck_assert((item_row("never") != NO_ROW) == apply);
    if (!apply) {
        assert_set_aside(never, DEAD_UNKNOWN_ITEM);
        return;
    }
    ck_assert_uint_eq(totals.dead_letters, 0);
    ck_assert_ptr_null(sid_of("never"));
    const struct item_row *item = table_value(table_of(&run, "items"), item_row("never"));
    ck_assert_uint_eq(item->exposures, 1);
    ck_assert_uint_eq(item->flags & ITEM_LISTED, 0);
}
END_TEST

static void act(const char *item, enum action action, int64_t time_ms) {
    market_interaction(&market, &(struct market_event){.user = "ann",
                                                       .item = item,
                                                       .request = "request",
                                                       .time_ms = time_ms,
                                                       .action = action});
}

/* An impression and its click that wait while the watermark passes them: until the listing; until
 * the time of both is over; until that of the impression is over and not yet the click's. */
START_TEST(a_parked_impression_is_joined_by_its_parked_click) {
    if (_i > 0)
        small.stage.parking_ms = 20 * SECOND_MS;
    small.stage.lateness_ms = 5 * SECOND_MS;
    small.stage.join_window_ms = 10 * SECOND_MS;
    list_many(LISTED_FIRST);
    act("late", ACTION_IMPRESSION, 10 * SECOND_MS);
    act("late", ACTION_CLICK, 11 * SECOND_MS);
    for (int e = 0; e < 64; e++)
        interact(item_name(1), _i == 2 ? 30 * SECOND_MS + 500 : 50 * SECOND_MS);
    if (_i == 0)
        market_listing(&market, "late", 51 * SECOND_MS, 5);
    interact_many(64, LISTED_FIRST, 200 * SECOND_MS);
    run_to_end(&run);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 0);
    ck_assert_uint_eq(totals_of(&run).parked, 0);
    ck_assert_uint_eq(totals_of(&run).labelled, 129);
    const struct item_row *item = table_value(table_of(&run, "items"), item_row("late"));
    ck_assert_uint_eq(item->exposures, 1);
    ck_assert_uint_eq(item->clicks, 1);
    assert_balanced();
}
END_TEST

static struct codec_port whole;
static int64_t unknown_ms;

static enum status decode_the_rest(void *self, const struct record *record, struct event *out,
                                   enum dead_reason *reason, struct error *error) {
    if (record->timestamp_ms != unknown_ms)
        return whole.decode(self, record, out, reason, error);
    *reason = DEAD_SCHEMA;
    return FAIL(error, BAD_RECORD, EX_DATAERR, "its schema is not known any more");
}

/* Another build of the codec, or other schemas, after a restart. */
START_TEST(a_parked_record_that_no_longer_decodes_is_a_dead_letter) {
    list_many(LISTED_FIRST);
    uint32_t early = interact("late", 10 * SECOND_MS);
    interact_many(63, LISTED_FIRST, 11 * SECOND_MS);
    market_listing(&market, "late", 80 * SECOND_MS, 5);
    interact_many(10, LISTED_FIRST, 90 * SECOND_MS);
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    while (totals_of(&run).parked == 0)
        step();
    unknown_ms = inputs.records[early].timestamp_ms;
    whole = run.stage->codec;
    run.stage->codec.decode = decode_the_rest;
    DONE(sim_run_to_end(&run, &err));
    assert_set_aside(early, DEAD_SCHEMA);
    assert_balanced();
}
END_TEST

/* An item known by id alone that is listed after all keeps what was learned. */
START_TEST(an_unlisted_item_is_onboarded_by_its_listing) {
    small.stage.parking_ms = 20 * SECOND_MS;
    list_many(LISTED_FIRST);
    interact("never", 10 * SECOND_MS);
    interact_many(63, LISTED_FIRST, 11 * SECOND_MS);
    interact_many(64, LISTED_FIRST, 100 * SECOND_MS);
    market_listing(&market, "never", 300 * SECOND_MS, 8);
    run_to_end(&run);
    ck_assert_ptr_nonnull(sid_of("never"));
    ck_assert_int_eq(sid_of("never")->reason, SID_NEW);
    const struct item_row *item = table_value(table_of(&run, "items"), item_row("never"));
    ck_assert_uint_eq(item->exposures, 1);
    ck_assert_uint_eq(item->flags & ITEM_LISTED, ITEM_LISTED);
}
END_TEST

START_TEST(full_parking_is_a_dead_letter) {
    small.stage.parking_rows_max = 1;
    list_many(LISTED_FIRST);
    interact("never", 10 * SECOND_MS);
    uint32_t second = interact("never", 11 * SECOND_MS);
    run_to_end(&run);
    ck_assert_uint_eq(totals_of(&run).parked, 1);
    assert_set_aside(second, DEAD_UNKNOWN_ITEM);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("items");
    add_case(suite, "gathering", a_listing_is_onboarded_before_the_clicks_that_gather, 1);
    add_case(suite, "first codebooks", listings_wait_for_the_first_codebooks, 1);
    add_case(suite, "new item", a_new_item_has_no_first_exposure, 1);
    add_case(suite, "new content", new_content_is_encoded_again, 1);
    add_case(suite, "delisting", a_delisted_item_is_gone_everywhere, 3);
    add_case(suite, "relisting", a_relisted_item_begins_anew, 2);
    add_case(suite, "around", clicks_around_a_delisting_are_refused, 1);
    add_case(suite, "parked, delisted", a_delisting_empties_the_parking_of_its_item, 2);
    add_case(suite, "at once", a_relisted_item_takes_clicks_at_once, 1);
    add_case(suite, "forgotten", a_delisting_is_forgotten_in_time, 2);
    add_case(suite, "full memory", full_memory_of_delistings_forgets_the_first, 1);
    add_case(suite, "parked", a_parked_interaction_is_applied_after_its_listing, 1);
    add_case(suite, "parking time", parking_time_over_is_settled_by_policy, 2);
    add_case(suite, "parked joins", a_parked_impression_is_joined_by_its_parked_click, 3);
    add_case(suite, "undecodable", a_parked_record_that_no_longer_decodes_is_a_dead_letter, 1);
    add_case(suite, "unlisted", an_unlisted_item_is_onboarded_by_its_listing, 1);
    add_case(suite, "full", full_parking_is_a_dead_letter, 1);
    return run_suite(suite);
}
