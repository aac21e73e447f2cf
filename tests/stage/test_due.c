/* A source with a clock: interactions that have waited long enough are an epoch, mini-batch or not. */
#include "sim_fixture.h"

/* The simulated log as a source that has no end; the test says when the first interaction has waited. */
struct clocked {
    struct source_port log;
    bool due;
    uint32_t formed;
};

static enum status clocked_next(void *self, struct record *out, bool *got, bool *end,
                                struct error *e) {
    struct clocked *clocked = self;
    TRY(clocked->log.next(clocked->log.self, out, got, end, e));
    *end = false;
    return OK;
}

static enum status clocked_rewind(void *self, const struct position *positions, uint32_t count,
                                  struct error *e) {
    struct clocked *clocked = self;
    return clocked->log.rewind(clocked->log.self, positions, count, e);
}

static bool clocked_due(void *self) {
    return ((struct clocked *)self)->due;
}
static void clocked_formed(void *self) {
    ((struct clocked *)self)->formed++;
}

static struct stage *stage;
static struct clocked clocked;

static void begin(void) {
    DONE(sim_run_begin(&run, &small, &inputs, &sim_no_faults, 0, &err));
    clocked = (struct clocked){.log = sim_log_source(run.log)};
    struct source_port port = {.self = &clocked,
                               .next = clocked_next,
                               .rewind = clocked_rewind,
                               .due = clocked_due,
                               .formed = clocked_formed};
    DONE(stage_create(&stage, &small.stage, &small.model, port, sim_log_sink(run.log),
                      codec_port(codec), &err));
}

static enum status step(void) {
    bool done;
    enum status status = stage_step(stage, &done, &err);
    ck_assert(!done);
    return status;
}

static void add_clicks(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        market_interaction(&market, &(struct market_event){.user = "u",
                                                           .item = "i",
                                                           .time_ms = 1700000000000 + i,
                                                           .action = ACTION_CLICK,
                                                           .has_label = true,
                                                           .label = 1});
}

START_TEST(waiting_interactions_are_an_epoch_when_due) {
    start_over();
    add_clicks(5);
    begin();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(step(), RETRY);
    ck_assert_uint_eq(clocked.formed, 0);
    clocked.due = true;
    DONE(step());
    ck_assert_uint_eq(clocked.formed, 1);
    ck_assert_uint_eq(stage_last_manifest(stage)->counts.events, 5);
    ck_assert_int_eq(step(), RETRY); /* due, but nothing waits */
    ck_assert_uint_eq(clocked.formed, 1);
    stage_destroy(stage);
}
END_TEST

/* A trickle never leaves the source with nothing: the epoch closes in the middle of it. */
START_TEST(a_trickle_does_not_put_it_off) {
    start_over();
    add_clicks(5);
    begin();
    clocked.due = true;
    DONE(step());
    ck_assert_uint_eq(stage_last_manifest(stage)->counts.events, 1);
    stage_destroy(stage);
}
END_TEST

/* Listings at hand are onboarded first, and are no reason to say that clicks were taken. */
START_TEST(listings_go_first) {
    start_over();
    market_listing(&market, "i", 1700000000000, 1);
    market_listing(&market, "j", 1700000000000, 2);
    add_clicks(2);
    begin();
    clocked.due = true;
    DONE(step());
    ck_assert_int_eq(stage_last_manifest(stage)->kind, EPOCH_CONTENT);
    ck_assert_uint_eq(stage_last_manifest(stage)->counts.events, 2);
    ck_assert_uint_eq(clocked.formed, 0);
    DONE(step());
    ck_assert_int_eq(stage_last_manifest(stage)->kind, EPOCH_CLICK);
    ck_assert_uint_eq(clocked.formed, 1);
    stage_destroy(stage);
}
END_TEST

/* What was taken is committed, what was not stays in the source. */
START_TEST(a_stage_that_finishes_takes_no_more) {
    bool done;
    start_over();
    add_clicks(3);
    begin();
    ck_assert_int_eq(step(), RETRY); /* three are taken and wait for more */
    add_clicks(4);
    stage_finish(stage);
    DONE(stage_step(stage, &done, &err));
    ck_assert(!done);
    ck_assert_uint_eq(stage_last_manifest(stage)->counts.events, 3);
    DONE(stage_step(stage, &done, &err));
    ck_assert(done);
    ck_assert_uint_eq(stage_last_manifest(stage)->counts.events, 3);
    stage_destroy(stage);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("due");
    add_case(suite, "waiting", waiting_interactions_are_an_epoch_when_due, 1);
    add_case(suite, "trickle", a_trickle_does_not_put_it_off, 1);
    add_case(suite, "listings", listings_go_first, 1);
    add_case(suite, "finishing", a_stage_that_finishes_takes_no_more, 1);
    return run_suite(suite);
}
