/* Faults: whatever the log does to the stage, what is committed is what a run without faults
 * commits: the same records at the same places in all output topics, and the same final state. A
 * failing seed is run again alone with COLDSTREAM_SEED=n. */
#include "sim_fixture.h"

#ifndef FAULT_SEEDS
#define FAULT_SEEDS 25
#endif
#define SLOW (FAULT_SEEDS >= 200) /* then a crash at every step with all kinds of labels, too */

/* What went wrong, or NULL. */
static const char *compare(enum status status) {
    if (status != OK)
        return err.text;
    const char *difference = sim_log_differs(run.log, oracle.log);
    return difference ? difference : sim_run_differs(&run, &oracle);
}

/* ---- faults of all kinds, by seed ---- */

struct figures {
    uint64_t runs, faults, restarts, epochs;
};

static struct sim_faults faults_of(struct rng *rng) {
    struct sim_faults faults = {.crash_step = SIM_NEVER, .faults_max = 10 + rng_below(rng, 40)};
    if (rng_below(rng, 4) > 0)
        faults.repeat = rng_below(rng, 50000);
    if (rng_below(rng, 4) > 0)
        faults.delay = rng_below(rng, 50000);
    if (rng_below(rng, 4) > 0)
        faults.refuse = rng_below(rng, 1000);
    if (rng_below(rng, 4) > 0)
        faults.refuse_commit = rng_below(rng, 300000);
    if (rng_below(rng, 4) > 0)
        faults.crash = rng_below(rng, 1000);
    if (rng_below(rng, 4) > 0)
        faults.lose = rng_below(rng, 200000);
    return faults;
}

/* Limits that are seldom and that are often reached. */
static void vary(struct rng *rng) {
    small.stage.epoch_batches = 1 + rng_below(rng, 3);
    small.stage.epoch_events_max = 40 + rng_below(rng, 120);
    small.stage.content_listings = 1 + rng_below(rng, 8);
    small.stage.epoch_stream_ms = rng_below(rng, 3) ? 0 : 20000;
    small.stage.parking_policy = (enum parking_policy)rng_below(rng, 2);
    small.stage.parking_rows_max = rng_below(rng, 3) ? 64 : 3;
    small.stage.parking_ms = 10000 + rng_below(rng, 100000);
    small.stage.join_rows_max = rng_below(rng, 3) ? 256 : 8;
    small.stage.duplicate_rows_max = rng_below(rng, 3) ? 128 : 8;
    small.model.ranker.batch = rng_below(rng, 3) ? SIM_BATCH : 6;
    small.model.ranker.variant = (enum variant)rng_below(rng, VARIANT_FULL + 1);
    small.model.train_listings = 2 + rng_below(rng, 40);
    small.model.updates = (struct update_config){.on = rng_below(rng, 3) > 0,
                                                 .publish_epochs = 1 + rng_below(rng, 3),
                                                 .memory = {200, 100, 50, 50, 50},
                                                 .popularity = 1,
                                                 .weight_max = 1000,
                                                 .reluctance_first = 0.1f,
                                                 .reset_share = 0.3f,
                                                 .reset_versions = 1,
                                                 .balance = rng_below(rng, 2) ? 3.0f : 0.0f,
                                                 .sweep = 1 + rng_below(rng, 20),
                                                 .collision_tries = rng_below(rng, 4)};
    small.model.encoder = (struct encoder_config){.on = rng_below(rng, 2),
                                                  .pairs = 64,
                                                  .popular_clicks = 100,
                                                  .batch = 8,
                                                  .steps = 1 + rng_below(rng, 2),
                                                  .rate = 0.05f,
                                                  .temperature = 0.2f,
                                                  .reconstruction_weight = 0.01f,
                                                  .decoded_weight = 0.5f,
                                                  .judge_epochs = 1 + rng_below(rng, 3),
                                                  .judge_pairs = 1};
    small.model.generations = (struct generation_config){.on = rng_below(rng, 2),
                                                         .check_epochs = 1,
                                                         .schedule_epochs = 1 + rng_below(rng, 3),
                                                         .slice = 5 + rng_below(rng, 30),
                                                         .window_epochs = rng_below(rng, 3)};
    small.model.ranker.banks = small.model.generations.on ? 2 : 1;
}

static void run_seed(uint64_t seed, struct figures *figures) {
    struct rng rng = rng_stream(seed, RNG_TEST, 4, 0);
    struct market_options options = {.seed = seed,
                                     .labels = (enum market_labels)(seed % MARKET_LABELS),
                                     .items = 60,
                                     .users = 20,
                                     .events = 300 + rng_below(&rng, 300),
                                     .bad = true,
                                     .lifecycle = true,
                                     .early = true};
    sim_setup_small(&small);
    vary(&rng);
    generate(&options);
    run_to_end(&oracle);
    struct sim_faults faults = faults_of(&rng);
    DONE(sim_run_begin(&run, &small, &inputs, &faults, seed, &err));
    const char *wrong = compare(sim_run_to_end(&run, &err));
    ck_assert_msg(wrong == NULL,
                  "labels %s, %u faults, %u restarts: %s\nrun it again: COLDSTREAM_SEED=%llu "
                  "CK_RUN_CASE=mixed test_faults",
                  market_labels_names[options.labels], sim_log_injected(run.log), run.restarts,
                  wrong, (unsigned long long)seed);
    figures->runs++;
    figures->faults += sim_log_injected(run.log);
    figures->restarts += run.restarts;
    figures->epochs += (uint64_t)sim_log_end(run.log, TOPIC_EPOCHS, 0);
}

START_TEST(mixed_faults_change_nothing) {
    const char *only = getenv("COLDSTREAM_SEED");
    struct figures figures = {0};
    if (only != NULL)
        run_seed(strtoull(only, NULL, 0), &figures);
    for (uint64_t seed = 1; only == NULL && seed <= FAULT_SEEDS; seed++)
        run_seed(seed, &figures);
    printf("%llu runs, %llu faults, %llu restarts, %llu epochs\n", (unsigned long long)figures.runs,
           (unsigned long long)figures.faults, (unsigned long long)figures.restarts,
           (unsigned long long)figures.epochs);
    ck_assert(only != NULL ||
              (figures.faults > 4 * figures.runs && figures.restarts > figures.runs));
}
END_TEST

/* ---- a crash at every step ---- */

static void crash_at(struct sim_faults faults, uint64_t step, bool after) {
    faults.crash_step = step;
    faults.crash_after = after;
    DONE(sim_run_begin(&run, &small, &inputs, &faults, 1, &err));
    const char *wrong = compare(sim_run_to_end(&run, &err));
    ck_assert_msg(wrong == NULL && run.restarts == 1, "crash %s step %llu, %u restarts: %s",
                  after ? "after" : "before", (unsigned long long)step, run.restarts,
                  wrong ? wrong : "not one restart");
}

/* Before each step (or each `stride`-th) of a run, and after each commit that went well: its answer
 * is lost. Returns the number of steps. */
static uint64_t crash_everywhere(const struct sim_faults *faults, uint32_t stride) {
    static bool commits[1u << 16];
    bool done = false;
    memset(commits, 0, sizeof commits);
    DONE(sim_run_begin(&run, &small, &inputs, faults, 1, &err));
    while (!done) {
        DONE(sim_run_step(&run, &done, &err));
        if (!done && sim_log_committing(run.log))
            commits[sim_log_steps(run.log) - 1] = true;
    }
    uint64_t steps = sim_log_steps(run.log);
    ck_assert_uint_le(steps, sizeof commits);
    for (uint64_t step = 0; step < steps; step++) {
        if (step % stride == 0)
            crash_at(*faults, step, false);
        if (commits[step])
            crash_at(*faults, step, true);
    }
    return steps;
}

/* Few inputs and few rows to an epoch, but every kind of epoch: content without and with codebooks,
 * clicks. */
static void short_market(enum market_labels labels) {
    struct market_options options = {.seed = 3,
                                     .labels = labels,
                                     .items = 12,
                                     .users = 5,
                                     .events = 60,
                                     .bad = true,
                                     .lifecycle = true,
                                     .early = true};
    small.stage.epoch_batches = 1;
    small.stage.epoch_events_max = 24;
    small.stage.parking_ms = 5000;
    small.model.train_listings = 6;
    small.model.ranker.batch = 16;
    generate(&options);
}

START_TEST(a_crash_at_any_step_changes_nothing) {
    short_market((enum market_labels)_i);
    run_to_end(&oracle);
    uint64_t steps = crash_everywhere(&sim_no_faults, 1);
    printf("labels %s: a crash at each of %llu steps of %lld epochs\n", market_labels_names[_i],
           (unsigned long long)steps, (long long)sim_log_end(oracle.log, TOPIC_EPOCHS, 0));
}
END_TEST

/* The same in a run that also has epochs to roll back: crashes inside abort and rewind. */
START_TEST(a_crash_while_rolling_back_changes_nothing) {
    struct sim_faults faults = {
        .refuse = 2000, .refuse_commit = 300000, .faults_max = 6, .crash_step = SIM_NEVER};
    short_market(MARKET_GIVEN);
    run_to_end(&oracle);
    crash_everywhere(&faults, SLOW ? 1 : 5);
}
END_TEST

/* An item goes between the click on its impression and the epoch of that click: if this counted for
 * where the epoch closes, a crash between the two would move the border. */
START_TEST(a_delisting_while_clicks_gather_moves_no_border) {
    static const char *const items[] = {"x", "y", "z"}, *const users[] = {"a", "b", "c"};
    small.stage.epoch_batches = 1;
    small.stage.epoch_events_max = 3;
    small.model.ranker.batch = 2;
    for (int i = 0; i < 3; i++)
        market_listing(&market, items[i], 1000 + i, (uint32_t)i);
    for (int i = 0; i < 3; i++)
        market_interaction(&market, &(struct market_event){
                                        .user = users[i], .item = items[i], .time_ms = 2000 + i});
    for (int i = 0; i < 3; i++) {
        market_interaction(&market, &(struct market_event){.user = users[i],
                                                           .item = items[i],
                                                           .time_ms = 3000 + i,
                                                           .action = ACTION_CLICK});
        if (i == 0)
            market_delisting(&market, "x", 3000);
    }
    run_to_end(&oracle);
    crash_everywhere(&sim_no_faults, 1);
}
END_TEST

/* Places that cannot be read have no offset of their own: several before one record, at the start
 * and at the end. */
START_TEST(damaged_places_are_set_aside_once) {
    small.stage.epoch_batches = 1;
    small.model.ranker.batch = 2;
    for (int i = 0; i < 12; i++) {
        market_bad(&market, i % 2 ? BAD_DAMAGED : BAD_LISTING_DAMAGED, 1000 + i);
        if (i % 3 == 0)
            market_bad(&market, BAD_LISTING_DAMAGED, 1000 + i);
        if (i < 4)
            market_listing(&market, i % 2 ? "x" : "y", 1000 + i, (uint32_t)i);
        else if (i < 11)
            market_interaction(&market, &(struct market_event){.user = "a",
                                                               .item = i % 2 ? "x" : "y",
                                                               .time_ms = 1000 + i,
                                                               .has_label = true,
                                                               .label = (float)(i % 2)});
    }
    run_to_end(&oracle);
    ck_assert_uint_eq(totals_of(&oracle).dead_by_reason[DEAD_DAMAGED], 16);
    ck_assert_uint_eq(totals_of(&oracle).applied, 11);
    crash_everywhere(&sim_no_faults, 1);
}
END_TEST

/* ---- listings that come one by one ---- */

/* A content epoch is what is there at once, so delays between listings make other epochs; but every
 * item has the same SID, every input has one fate. */
START_TEST(delays_between_listings_change_no_code) {
    struct market_options options = {.seed = 9,
                                     .labels = MARKET_GIVEN,
                                     .items = 60,
                                     .users = 20,
                                     .events = 300,
                                     .lifecycle = true};
    struct sim_faults faults = {
        .delay = 300000, .delay_listings = true, .faults_max = 100000, .crash_step = SIM_NEVER};
    generate(&options);
    run_to_end(&oracle);
    DONE(sim_run_begin(&run, &small, &inputs, &faults, 1, &err));
    DONE(sim_run_to_end(&run, &err));
    struct stage_totals a = totals_of(&run), b = totals_of(&oracle);
    ck_assert_uint_gt(a.epochs, b.epochs);
    ck_assert_uint_eq(a.events, b.events);
    ck_assert_uint_eq(a.applied, b.applied);
    ck_assert_uint_eq(a.labelled, b.labelled);
    ck_assert_uint_eq(a.dead_letters, b.dead_letters);
    const struct table *made = tables_named(stage_tables(run.stage), bytes_text("sid"));
    const struct table *wanted = tables_named(stage_tables(oracle.stage), bytes_text("sid"));
    ck_assert_uint_eq(table_rows(made), table_rows(wanted));
    for (uint32_t row = 0; row < table_end(wanted); row++)
        if (table_live(wanted, row))
            ck_assert_mem_eq(((const struct sid_row *)table_value(made, row))->codes,
                             ((const struct sid_row *)table_value(wanted, row))->codes,
                             sizeof(uint16_t) * SID_CODES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("faults");
    add_case(suite, "mixed", mixed_faults_change_nothing, 1);
    add_case(suite, "every step", a_crash_at_any_step_changes_nothing, SLOW ? MARKET_LABELS : 1);
    add_case(suite, "rolling back", a_crash_while_rolling_back_changes_nothing, 1);
    add_case(suite, "borders", a_delisting_while_clicks_gather_moves_no_border, 1);
    add_case(suite, "damage", damaged_places_are_set_aside_once, 1);
    add_case(suite, "delays", delays_between_listings_change_no_code, 1);
    return run_suite(suite);
}
