/* The stage without faults: where every input goes, what a manifest says, same input same bytes, no
 * look into the future, verifying. The life of items is test_stage_items.c. */
#include "sim_fixture.h"
#include "stage/stage_private.h"

static uint64_t records_of(const struct sim_run *which, enum topic topic) {
    uint64_t count = 0;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++)
        count += (uint64_t)sim_log_end(which->log, topic, p);
    return count;
}

/* The manifest lives until the next call. */
static struct manifest manifest_of(struct sim_run *which, uint64_t epoch) {
    struct manifest manifest;
    arena_reset(&which->manifests);
    DONE(sim_run_manifest(which, epoch, &which->manifests, &manifest, &err));
    return manifest;
}

static void run_until_epoch(struct sim_run *which, uint64_t epoch) {
    bool done = false;
    DONE(sim_run_begin(which, &small, &inputs, &sim_no_faults, 0, &err));
    while (epochs_of(which) < epoch && !done)
        DONE(sim_run_step(which, &done, &err));
}

static struct market_options busy(uint64_t seed, enum market_labels labels) {
    return (struct market_options){.seed = seed,
                                   .labels = labels,
                                   .items = 60,
                                   .users = 20,
                                   .events = 500,
                                   .bad = true,
                                   .lifecycle = true,
                                   .early = true};
}

/* ---- where every input goes ---- */

START_TEST(every_input_has_one_fate) {
    struct market_options options = busy(11, (enum market_labels)(_i % MARKET_LABELS));
    small.stage.parking_policy = _i < MARKET_LABELS ? PARKING_APPLY : PARKING_SET_ASIDE;
    generate(&options);
    run_to_end(&run);
    struct stage_totals totals = totals_of(&run);
    struct epoch_counts sum = {0};
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++) {
        struct manifest manifest = manifest_of(&run, epoch);
        sum.events += manifest.counts.events;
        sum.applied += manifest.counts.applied;
        sum.dead_letters += manifest.counts.dead_letters;
        sum.parked += manifest.counts.parked;
        sum.labelled += manifest.counts.labelled;
        sum.rows += manifest.counts.rows;
        uint64_t samples = 0;
        for (uint32_t b = 0; b < manifest.batch_count; b++)
            samples += manifest.batches[b];
        ck_assert_uint_eq(samples, manifest.counts.labelled);
    }
    ck_assert_uint_eq(totals.events, inputs.count);
    ck_assert_uint_eq(totals.events, totals.applied + totals.parked + totals.dead_letters);
    ck_assert_uint_eq(totals.dead_letters, records_of(&run, TOPIC_DEAD_LETTER));
    ck_assert_uint_eq(totals.redelivered, 0);
    ck_assert_uint_eq(sum.events, totals.events);
    ck_assert_uint_eq(sum.applied, totals.applied);
    ck_assert_uint_eq(sum.dead_letters, totals.dead_letters);
    ck_assert_int_eq(sum.parked, (int64_t)totals.parked);
    ck_assert_uint_eq(sum.labelled, totals.labelled);
    ck_assert_uint_eq(sum.rows,
                      records_of(&run, TOPIC_SEMANTIC_IDS) + records_of(&run, TOPIC_RANKER_DELTAS) +
                          records_of(&run, TOPIC_CHANGELOG) + records_of(&run, TOPIC_CODEBOOKS));
    uint64_t by_reason = 0;
    for (int reason = 0; reason < DEAD_REASON_COUNT; reason++)
        by_reason += totals.dead_by_reason[reason];
    ck_assert_uint_eq(by_reason, totals.dead_letters);
    ck_assert_uint_gt(totals.labelled, 100);
    ck_assert_uint_gt(totals.dead_by_reason[DEAD_STALE], 0);
    ck_assert_uint_gt(totals.dead_by_reason[DEAD_DUPLICATE], 0);
}
END_TEST

static struct bytes header_of(const struct sim_record *record, const char *key) {
    for (uint32_t h = 0; h < record->header_count; h++)
        if (bytes_equal(record->headers[h].key, bytes_text(key)))
            return record->headers[h].value;
    return (struct bytes){0};
}

static bool header_is_number(const struct sim_record *record, const char *key, int64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    return bytes_equal(header_of(record, key), bytes_text(text));
}

static bool tells_of(const struct sim_record *dead, const struct sim_record *input, int reason) {
    return bytes_equal(header_of(dead, "topic"), bytes_text(topic_name(input->topic))) &&
           header_is_number(dead, "partition", input->partition) &&
           header_is_number(dead, "offset", input->offset) &&
           header_is_number(dead, "timestamp", input->timestamp_ms) &&
           bytes_equal(header_of(dead, "reason"),
                       bytes_text(dead_reason_name((enum dead_reason)reason))) &&
           header_of(dead, "error").len > 10 && bytes_equal(dead->key, input->key) &&
           bytes_equal(dead->value, input->value);
}

/* Exactly one dead letter tells of the input. */
static void assert_set_aside(uint32_t input) {
    uint32_t found = 0;
    for (int32_t p = 0; p < SIM_PARTITIONS; p++)
        for (int64_t offset = 0; offset < sim_log_end(run.log, TOPIC_DEAD_LETTER, p); offset++)
            found += tells_of(sim_log_at(run.log, TOPIC_DEAD_LETTER, p, offset),
                              &inputs.records[input], expected[input]);
    ck_assert_msg(
        found == 1,
        "input %u (%s-%d, offset %lld) should be one dead letter with reason %s, and is %u", input,
        topic_name(inputs.records[input].topic), inputs.records[input].partition,
        (long long)inputs.records[input].offset,
        dead_reason_name((enum dead_reason)expected[input]), found);
}

/* The same stream with, and without, inputs that cannot be used. */
static void plain_stream(bool with_bad, struct rng rng) {
    static const char *const users[] = {"ann", "bea", "cleo", "dora"};
    char item[16];
    start_over();
    for (uint32_t e = 0; e < 400; e++) {
        int64_t now_ms = 100000 + e * 500;
        snprintf(item, sizeof item, "item-%u", e < 30 ? e : rng_below(&rng, 30));
        if (e < 30)
            market_listing(&market, item, now_ms, e);
        else
            market_interaction(&market, &(struct market_event){.user = users[rng_below(&rng, 4)],
                                                               .item = item,
                                                               .time_ms = now_ms,
                                                               .has_label = true,
                                                               .label = (float)rng_below(&rng, 2)});
        if (with_bad && e >= 40 && e - 40 < 2 * BAD_KINDS)
            market_bad(&market, (enum market_bad)((e - 40) % BAD_KINDS), now_ms);
    }
}

START_TEST(bad_inputs_are_set_aside_and_the_rest_is_applied) {
    static const char *const learned[] = {"embedding",   "embedding.adagrad", "counts", "users",
                                          "user_scores", "score_bins",        "z"};
    small.stage.epoch_events_max =
        1000; /* bad inputs count there, so it would move the epochs' borders */
    plain_stream(false, rng_stream(5, RNG_TEST, 5, 0));
    run_to_end(&oracle);
    uint64_t good = inputs.count;
    plain_stream(true, rng_stream(5, RNG_TEST, 5, 0));
    run_to_end(&run);
    ck_assert_uint_eq(inputs.count, good + 2 * BAD_KINDS);
    for (uint32_t i = 0; i < inputs.count; i++)
        if (expected[i] != MARKET_ANY)
            assert_set_aside(i);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 2 * BAD_KINDS);
    ck_assert_uint_eq(totals_of(&run).applied, good);
    for (size_t t = 0; t < sizeof learned / sizeof *learned; t++)
        ck_assert_msg(digest_equal(table_digest(table_of(&run, learned[t])),
                                   table_digest(table_of(&oracle, learned[t]))),
                      "bad inputs changed table '%s'", learned[t]);
}
END_TEST

/* What gathers for an epoch is bounded in bytes, too: by records large and small, of either kind. */
START_TEST(epochs_close_where_their_bytes_are_full) {
    plain_stream(false, rng_stream(5, RNG_TEST, 5, 0));
    run_to_end(&oracle);
    uint64_t epochs = totals_of(&oracle).epochs, events = totals_of(&oracle).events;
    small.stage.epoch_bytes_max = 1; /* one record is always taken */
    run_to_end(&run);
    ck_assert_uint_lt(epochs, events);
    ck_assert_uint_eq(totals_of(&run).events, events);
    ck_assert_uint_eq(totals_of(&run).epochs, events);
}
END_TEST

/* ---- manifests ---- */

/* The epoch's ranges are the next records of each partition, without gap or repeat. */
static void assert_ranges_continue(const struct manifest *manifest,
                                   int64_t next[TOPIC_INPUTS][SIM_PARTITIONS], uint64_t *covered) {
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        const struct input_range *range = &manifest->ranges[r];
        int64_t *offset = &next[range->topic][range->partition];
        ck_assert_uint_lt(range->topic, TOPIC_INPUTS);
        ck_assert_int_eq(range->topic,
                         manifest->kind == EPOCH_CONTENT ? TOPIC_ITEM_CONTENT : TOPIC_INTERACTIONS);
        ck_assert_int_eq(range->first_offset, *offset);
        ck_assert_uint_ge(range->count, (uint64_t)(range->last_offset - range->first_offset +
                                                   1)); /* more when some are damaged */
        const struct sim_record *last = NULL;
        for (uint32_t i = 0; i < inputs.count; i++)
            if (inputs.records[i].topic == range->topic &&
                inputs.records[i].partition == range->partition &&
                inputs.records[i].offset == range->last_offset)
                last = &inputs.records[i];
        ck_assert_ptr_nonnull(last);
        *offset = range->last_offset + 1;
        *covered += range->count;
    }
}

static struct market_options undamaged(uint64_t seed) {
    struct market_options options = busy(seed, MARKET_GIVEN);
    options.bad = false;
    return options;
}

START_TEST(manifests_cover_every_input_once) {
    int64_t next[TOPIC_INPUTS][SIM_PARTITIONS] = {0};
    uint64_t covered = 0;
    struct market_options options = undamaged(12);
    generate(&options);
    run_to_end(&run);
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++) {
        struct manifest manifest = manifest_of(&run, epoch);
        assert_ranges_continue(&manifest, next, &covered);
    }
    ck_assert_uint_eq(covered, inputs.count);
    for (int topic = 0; topic < TOPIC_INPUTS; topic++)
        for (int p = 0; p < SIM_PARTITIONS; p++)
            ck_assert_int_eq(next[topic][p], inputs.next_offset[topic][p]);
}
END_TEST

static void assert_ends(const struct manifest *manifest, const struct sim_log *log) {
    uint32_t partitions = (TOPIC_COUNT - TOPIC_INPUTS - 1) * SIM_PARTITIONS + 1;
    ck_assert_uint_eq(manifest->end_count, partitions);
    for (uint32_t e = 0; e < manifest->end_count; e++)
        ck_assert_int_eq(manifest->ends[e].end_offset,
                         sim_log_end(log, manifest->ends[e].topic, manifest->ends[e].partition));
}

/* What the manifest says of the state is so at the moment of its commit. */
/* Within ahead_ms an event time past its record's timestamp is no bad record, but it must not drag the
 * watermark along: of what follows nothing is late. */
START_TEST(a_clock_that_runs_ahead_makes_nobody_late) {
    enum { EVENTS = 200, AHEAD = 50 };
    char request[16];
    market_listing(&market, "item", 1000, 1);
    for (uint32_t e = 0; e < EVENTS; e++) {
        int64_t time_ms = 2000 + 1000 * (int64_t)e;
        snprintf(request, sizeof request, "request-%u", e);
        uint32_t input = market_interaction(
            &market,
            &(struct market_event){.user = "ann",
                                   .item = "item",
                                   .request = request,
                                   .time_ms = time_ms + (e == AHEAD ? small.stage.ahead_ms : 0),
                                   .action = ACTION_IMPRESSION});
        inputs.records[input].timestamp_ms = time_ms;
    }
    run_to_end(&run);
    ck_assert_int_gt(small.stage.ahead_ms, small.stage.lateness_ms + EVENTS * 1000);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 0);
    ck_assert_int_eq(totals_of(&run).stream_ms, 2000 + 1000 * (EVENTS - 1));
}
END_TEST

/* Not that of a record whose bytes or whose own time are no good: it would be the time of all
 * outputs for ever. */
START_TEST(outputs_have_the_time_of_the_last_good_input) {
    const int64_t last_ms = 3000;
    market_listing(&market, "item", 1000, 1);
    uint32_t spoiled = market_bad(&market, BAD_MAGIC, 1500);
    uint32_t listing = market_bad(&market, BAD_LISTING_SCHEMA, 1500);
    const struct market_event click = {.user = "ann", .item = "item", .time_ms = 2000};
    uint32_t good = market_interaction(&market, &click);
    market_delisting(&market, "gone", last_ms);
    uint32_t delisting = market_delisting(&market, "item", 2500);
    const uint32_t far[] = {spoiled, listing, good, delisting};
    for (int i = 0; i < 4; i++)
        inputs.records[far[i]].timestamp_ms = INT64_C(1) << 62;
    run_to_end(&run);
    ck_assert_uint_eq(totals_of(&run).dead_letters, 4);
    ck_assert_uint_eq(totals_of(&run).dead_by_reason[DEAD_TIME], 2);
    ck_assert_uint_eq(totals_of(&run).applied, 2);
    for (int topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < SIM_PARTITIONS; p++)
            for (int64_t o = 0; o < sim_log_end(run.log, (enum topic)topic, p); o++)
                ck_assert_int_le(sim_log_at(run.log, (enum topic)topic, p, o)->timestamp_ms,
                                 last_ms);
    ck_assert_int_eq(manifest_of(&run, epochs_of(&run)).timestamp_ms, last_ms);
}
END_TEST

/* Bad records give no samples, so only their number and what the manifest can name close their
 * epochs. Partitions that take turns make a range of each record: the manifests are still read
 * back, with a codec as large as that of a replay. */
START_TEST(manifests_of_many_ranges_can_be_read) {
    enum { RECORDS = 2 * RANGES_MAX + 100 };
    struct record bad = {
        .topic = TOPIC_INTERACTIONS, .key = bytes_text("ann"), .value = bytes_text("?")};
    struct codec *large;
    uint32_t named = 0;
    sim_inputs_release(&inputs);
    DONE(sim_inputs_create(&inputs, RECORDS, &err));
    for (uint32_t i = 0; i < RECORDS; i++) {
        bad.partition = (int32_t)(i % SIM_PARTITIONS);
        bad.timestamp_ms = i + 1;
        sim_inputs_add(&inputs, &bad);
    }
    small.stage.epoch_events_max = RECORDS;
    DONE(codec_create(&large, NULL, 0, (size_t)64 << 20, &err));
    run.codec = large;
    run_to_end(&run);
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++)
        named += manifest_of(&run, epoch).range_count;
    ck_assert_uint_eq(named, RECORDS);
    ck_assert_uint_eq(totals_of(&run).dead_letters, RECORDS);
    run.codec = codec;
    codec_destroy(large);
}
END_TEST

START_TEST(manifests_tell_ends_and_state) {
    struct market_options options = busy(13, MARKET_JOINED);
    int64_t timestamp_ms = INT64_MIN;
    bool done = false;
    generate(&options);
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    for (uint64_t seen = 0; !done;) {
        DONE(sim_run_step(&run, &done, &err));
        if (epochs_of(&run) == seen)
            continue;
        struct manifest manifest = manifest_of(&run, ++seen);
        struct tables *tables = stage_tables(run.stage);
        assert_ends(&manifest, run.log);
        ck_assert_int_ge(manifest.timestamp_ms, timestamp_ms);
        timestamp_ms = manifest.timestamp_ms;
        ck_assert(digest_equal(manifest.state, tables_digest(tables)));
        ck_assert_uint_eq(manifest.table_count, tables_count(tables));
        for (uint32_t t = 0; t < manifest.table_count; t++) {
            ck_assert_str_eq(manifest.tables[t].name, table_spec(tables_at(tables, t))->name);
            ck_assert(digest_equal(manifest.tables[t].digest, table_digest(tables_at(tables, t))));
            ck_assert_uint_eq(manifest.tables[t].rows, table_rows(tables_at(tables, t)));
        }
        ck_assert((manifest.config != NULL) == (seen == 1));
        ck_assert_str_eq(manifest.build, "test");
    }
    ck_assert_str_eq(manifest_of(&run, 1).config, small.stage.config_text);
}
END_TEST

START_TEST(a_new_configuration_is_in_its_first_manifest) {
    struct market_options options = busy(14, MARKET_GIVEN);
    generate(&options);
    run_until_epoch(&run, 5);
    run.setup.stage.config_text = "seed: 7\nsomething: else\n";
    DONE(sim_run_restart(&run, &err));
    DONE(sim_run_to_end(&run, &err));
    ck_assert_uint_gt(epochs_of(&run), 7);
    for (uint64_t epoch = 2; epoch <= epochs_of(&run); epoch++) {
        struct manifest manifest = manifest_of(&run, epoch);
        ck_assert((manifest.config != NULL) == (epoch == 6));
        if (epoch == 6)
            ck_assert_str_eq(manifest.config, run.setup.stage.config_text);
    }
}
END_TEST

START_TEST(batches_are_whole_where_labels_are_given) {
    struct market_options options = {
        .seed = 15, .labels = MARKET_GIVEN, .items = 60, .users = 20, .events = 600};
    uint64_t click_epochs = 0, last_click = 0;
    generate(&options);
    run_to_end(&run);
    for (uint64_t epoch = 1; epoch <= epochs_of(&run); epoch++)
        if (manifest_of(&run, epoch).kind == EPOCH_CLICK)
            last_click = epoch;
    for (uint64_t epoch = 1; epoch < last_click; epoch++) {
        struct manifest manifest = manifest_of(&run, epoch);
        ck_assert_uint_eq(manifest.batch_count,
                          manifest.kind == EPOCH_CLICK ? small.stage.epoch_batches : 0);
        for (uint32_t b = 0; b < manifest.batch_count; b++)
            ck_assert_uint_eq(manifest.batches[b], SIM_BATCH);
        click_epochs += manifest.kind == EPOCH_CLICK;
    }
    ck_assert_uint_gt(click_epochs, 3);
    ck_assert_uint_gt(epochs_of(&run), click_epochs + 10); /* content epochs came in between */
}
END_TEST

/* ---- same input, same bytes; no look into the future ---- */

START_TEST(two_runs_give_equal_bytes) {
    struct market_options options = busy(16, (enum market_labels)_i);
    generate(&options);
    run_to_end(&oracle);
    run_to_end(&run);
    const char *difference = sim_log_differs(run.log, oracle.log);
    ck_assert_msg(difference == NULL, "%s", difference);
    ck_assert_ptr_null(sim_run_differs(&run, &oracle));
}
END_TEST

START_TEST(another_seed_gives_other_bytes) {
    struct market_options options = busy(16, MARKET_CLICKS);
    generate(&options);
    run_to_end(&oracle);
    small.model.seed = small.model.tokenizer.seed = small.model.ranker.seed = 8;
    run_to_end(&run);
    ck_assert_ptr_nonnull(sim_log_differs(run.log, oracle.log));
    ck_assert_uint_eq(totals_of(&run).events, totals_of(&oracle).events);
}
END_TEST

static bool same_records(enum topic topic, int32_t partition, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; offset++) {
        const struct sim_record *a = sim_log_at(run.log, topic, partition, offset),
                                *b = sim_log_at(oracle.log, topic, partition, offset);
        if (a->timestamp_ms != b->timestamp_ms || !bytes_equal(a->key, b->key) ||
            !bytes_equal(a->value, b->value))
            return false;
    }
    return true;
}

/* The first epoch whose records differ; 0: none. */
static uint64_t first_difference(void) {
    int64_t from[TOPIC_COUNT][SIM_PARTITIONS] = {0};
    for (uint64_t epoch = 1; epoch <= epochs_of(&oracle); epoch++) {
        struct manifest manifest = manifest_of(&oracle, epoch);
        for (uint32_t e = 0; e < manifest.end_count; e++) {
            const struct output_end *end = &manifest.ends[e];
            int64_t *start = &from[end->topic][end->partition];
            if (sim_log_end(run.log, end->topic, end->partition) < end->end_offset ||
                !same_records(end->topic, end->partition, *start, end->end_offset))
                return epoch;
            *start = end->end_offset;
        }
    }
    return 0;
}

/* The epoch that holds an input. */
static uint64_t epoch_of_input(const struct sim_record *input) {
    for (uint64_t epoch = 1; epoch <= epochs_of(&oracle); epoch++) {
        struct manifest manifest = manifest_of(&oracle, epoch);
        for (uint32_t r = 0; r < manifest.range_count; r++)
            if (manifest.ranges[r].topic == input->topic &&
                manifest.ranges[r].partition == input->partition &&
                manifest.ranges[r].first_offset <= input->offset &&
                input->offset <= manifest.ranges[r].last_offset)
                return epoch;
    }
    return 0;
}

/* The same stream each time, but for the label of one event, which is turned round. */
static void labelled_stream(uint32_t turned) {
    struct rng rng = rng_stream(6, RNG_TEST, 6, 0);
    char item[16], user[16];
    start_over();
    for (uint32_t e = 0; e < 500; e++) {
        uint32_t label = rng_below(&rng, 2) ^ (e == turned);
        snprintf(item, sizeof item, "item-%u", e < 40 ? e : rng_below(&rng, 40));
        snprintf(user, sizeof user, "user-%u", rng_below(&rng, 10));
        if (e < 40)
            market_listing(&market, item, 100000 + e, e);
        else
            market_interaction(&market, &(struct market_event){.user = user,
                                                               .item = item,
                                                               .time_ms = 100000 + e * 700,
                                                               .has_label = true,
                                                               .label = (float)label});
    }
}

START_TEST(a_later_event_changes_nothing_earlier) {
    labelled_stream(UINT32_MAX);
    run_to_end(&oracle);
    for (uint32_t turned = 45; turned < 500; turned += 65) {
        labelled_stream(turned);
        run_to_end(&run);
        ck_assert_uint_eq(first_difference(), epoch_of_input(&inputs.records[turned]));
    }
}
END_TEST

/* The two numbers, negatives and positives, of the one score bin that differs. */
static uint32_t differing_bins(int32_t change[2]) {
    struct table *a = table_of(&run, "score_bins"), *b = table_of(&oracle, "score_bins");
    uint32_t bins = 0, per_row = table_spec(a)->value_bytes / 8;
    for (uint32_t row = 0; row < table_end(a) || row < table_end(b); row++) {
        ck_assert(table_live(a, row) == table_live(b, row));
        for (uint32_t bin = 0; table_live(a, row) && bin < per_row; bin++) {
            const uint32_t *x = (const uint32_t *)table_value(a, row) + 2 * bin,
                           *y = (const uint32_t *)table_value(b, row) + 2 * bin;
            if (x[0] == y[0] && x[1] == y[1])
                continue;
            bins++;
            change[0] = (int32_t)(x[0] - y[0]);
            change[1] = (int32_t)(x[1] - y[1]);
        }
    }
    return bins;
}

/* Inside a mini-batch too: with one label turned round, that event's own score and all others of
 * the batch stay what they were, so one count moves from the negatives to the positives of the same
 * bin, or back. */
START_TEST(a_label_changes_no_score_of_its_batch) {
    small.stage.epoch_batches = 1;
    for (uint32_t turned = 42; turned < 500; turned += 45) {
        int32_t change[2] = {0};
        labelled_stream(UINT32_MAX);
        run_to_end(&oracle);
        uint64_t epoch = epoch_of_input(&inputs.records[turned]);
        run_until_epoch(&oracle, epoch);
        labelled_stream(turned);
        run_until_epoch(&run, epoch);
        ck_assert_uint_eq(differing_bins(change), 1);
        ck_assert_int_eq(change[0] + change[1], 0);
        ck_assert_int_eq(change[0] * change[0], 1);
        ck_assert(!digest_equal(table_digest(table_of(&run, "embedding")),
                                table_digest(table_of(&oracle, "embedding"))));
    }
}
END_TEST

/* ---- verifying ---- */

/* Re-forms the first epochs of the oracle's log, one by one; the status of the first step that
 * fails. */
static enum status follow(uint64_t epochs, uint64_t *epoch) {
    static struct arena arena;
    bool done;
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    DONE(arena_reserve(&arena, "followed manifest", (size_t)64 << 20, &err));
    enum status status = OK;
    for (*epoch = 1; status == OK && *epoch <= epochs; ++*epoch) {
        struct manifest manifest;
        arena_reset(&arena);
        DONE(sim_run_manifest(&oracle, *epoch, &arena, &manifest, &err));
        sim_log_follow(run.log, manifest.ranges, manifest.range_count);
        stage_follow(run.stage, &manifest);
        status = stage_step(run.stage, &done, &err);
    }
    arena_release(&arena);
    return status;
}

static enum status follow_all(uint64_t *epoch) {
    return follow(epochs_of(&oracle), epoch);
}

START_TEST(following_makes_the_same_bytes) {
    struct market_options options = busy(17, (enum market_labels)_i);
    uint64_t epoch;
    generate(&options);
    run_to_end(&oracle);
    DONE(follow_all(&epoch));
    const char *difference = sim_log_differs(run.log, oracle.log);
    ck_assert_msg(difference == NULL, "%s", difference);
    ck_assert_ptr_null(sim_run_differs(&run, &oracle));
}
END_TEST

/* What is followed ends with the step. */
START_TEST(a_stage_goes_on_where_following_ends) {
    struct market_options options = undamaged(17);
    uint64_t epoch;
    generate(&options);
    run_to_end(&oracle);
    DONE(follow(epochs_of(&oracle) / 2, &epoch));
    sim_log_follow(run.log, NULL, 0);
    DONE(sim_run_to_end(&run, &err));
    const char *difference = sim_log_differs(run.log, oracle.log);
    ck_assert_msg(difference == NULL, "%s", difference);
}
END_TEST

static void assert_found_in(uint64_t wanted, uint64_t epoch, const struct sim_record *input) {
    ck_assert_uint_eq(epoch - 1, wanted);
    ck_assert_int_eq(err.exit_code, EX_DATAERR);
    ck_assert_msg(strstr(err.text, topic_name(input->topic)) != NULL, "%s", err.text);
}

/* Epochs are formed by the manifests and not by the limits of the moment, so changed input is told
 * from a stage that diverges. */
START_TEST(following_finds_changed_input) {
    struct market_options options = undamaged(18);
    uint64_t epoch;
    generate(&options);
    run_to_end(&oracle);
    for (uint32_t i = 7; i < inputs.count; i += 61) {
        struct sim_record *input = &inputs.records[i], before = *input;
        uint64_t wanted = epoch_of_input(input);
        input->timestamp_ms++;
        ck_assert_int_eq(follow_all(&epoch), FATAL);
        assert_found_in(wanted, epoch, input);
        *input = before;
        if (input->value.data == NULL)
            continue;
        uint8_t *byte = (uint8_t *)(uintptr_t)input->value.data + input->value.len / 2;
        *byte ^= 0x10;
        ck_assert_int_eq(follow_all(&epoch), FATAL);
        assert_found_in(wanted, epoch, input);
        *byte ^= 0x10;
        input->offset = INT64_MAX; /* gone */
        ck_assert_int_eq(follow_all(&epoch), FATAL);
        ck_assert_uint_eq(epoch - 1, wanted);
        *input = before;
    }
    DONE(follow_all(&epoch));
}
END_TEST

/* ---- memory ---- */

START_TEST(nothing_is_reserved_after_the_first_epoch) {
    struct market_options options = busy(19, (enum market_labels)_i);
    struct sim_faults faults = {.repeat = 20000,
                                .delay = 20000,
                                .refuse = 200,
                                .refuse_commit = 50000,
                                .faults_max = 20,
                                .crash_step = SIM_NEVER};
    bool done = false;
    generate(&options);
    DONE(sim_run_begin(&run, &small, &inputs, &faults, 1, &err));
    while (epochs_of(&run) < 1 && !done)
        DONE(sim_run_step(&run, &done, &err));
    size_t arenas = arena_count();
    DONE(sim_run_to_end(&run, &err));
    ck_assert_uint_eq(arena_count(), arenas);
    ck_assert_uint_gt(epochs_of(&run), 10);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stage");
    add_case(suite, "fates", every_input_has_one_fate, 2 * MARKET_LABELS);
    add_case(suite, "bad inputs", bad_inputs_are_set_aside_and_the_rest_is_applied, 1);
    add_case(suite, "bytes", epochs_close_where_their_bytes_are_full, 1);
    add_case(suite, "ranges", manifests_cover_every_input_once, 1);
    add_case(suite, "clock ahead", a_clock_that_runs_ahead_makes_nobody_late, 1);
    add_case(suite, "output time", outputs_have_the_time_of_the_last_good_input, 1);
    add_case(suite, "many ranges", manifests_of_many_ranges_can_be_read, 1);
    add_case(suite, "manifests", manifests_tell_ends_and_state, 1);
    add_case(suite, "configuration", a_new_configuration_is_in_its_first_manifest, 1);
    add_case(suite, "batches", batches_are_whole_where_labels_are_given, 1);
    add_case(suite, "same bytes", two_runs_give_equal_bytes, MARKET_LABELS);
    add_case(suite, "other seed", another_seed_gives_other_bytes, 1);
    add_case(suite, "future", a_later_event_changes_nothing_earlier, 1);
    add_case(suite, "scores", a_label_changes_no_score_of_its_batch, 1);
    add_case(suite, "following", following_makes_the_same_bytes, MARKET_LABELS);
    add_case(suite, "going on", a_stage_goes_on_where_following_ends, 1);
    add_case(suite, "changed input", following_finds_changed_input, 1);
    add_case(suite, "memory", nothing_is_reserved_after_the_first_epoch, MARKET_LABELS);
    return run_suite(suite);
}
