/* What the suites on the simulated log share: one codec, the inputs, a run and an oracle to compare
 * it with. */
#ifndef TESTS_STAGE_SIM_FIXTURE_H
#define TESTS_STAGE_SIM_FIXTURE_H

#include "market_events.h"
#include "sim_run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 4096
#define CODEC_BYTES ((size_t)16 << 20)

static struct codec *codec;
static struct sim_inputs inputs;
static struct market market;
static struct sim_run run, oracle;
static struct sim_setup small; /* sim_setup_small() at the start of each test */
static int expected[INPUTS_MAX];
static struct error err;

#define DONE(call) ck_assert_msg((call) == OK, "%s", err.text)

static void setup(void) {
    DONE(codec_create(&codec, NULL, 0, CODEC_BYTES, &err));
    DONE(sim_inputs_create(&inputs, INPUTS_MAX, &err));
    DONE(sim_run_create(&run, codec, &inputs, &err));
    DONE(sim_run_create(&oracle, codec, &inputs, &err));
    sim_setup_small(&small);
    market = (struct market){&inputs, codec, expected};
}

static void teardown(void) {
    sim_run_destroy(&run);
    sim_run_destroy(&oracle);
    sim_inputs_release(&inputs);
    codec_destroy(codec);
}

/* Other inputs, none at first. */
static inline void start_over(void) {
    sim_inputs_release(&inputs);
    DONE(sim_inputs_create(&inputs, INPUTS_MAX, &err));
}

static inline void generate(const struct market_options *options) {
    start_over();
    market_generate(&market, options);
}

static inline void run_to_end(struct sim_run *which) {
    DONE(sim_run_begin(which, &small, &inputs, &sim_no_faults, 0, &err));
    DONE(sim_run_to_end(which, &err));
}

static inline struct stage_totals totals_of(const struct sim_run *which) {
    struct stage_totals totals;
    stage_totals(which->stage, &totals);
    return totals;
}

static inline uint64_t epochs_of(const struct sim_run *which) {
    return (uint64_t)sim_log_end(which->log, TOPIC_EPOCHS, 0);
}

static inline struct table *table_of(const struct sim_run *which, const char *name) {
    struct table *table = tables_named(stage_tables(which->stage), bytes_text(name));
    ck_assert_msg(table != NULL, "no table %s", name);
    return table;
}

static void add_case(Suite *suite, const char *name, const TTest *test, int loops) {
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 3600);
    tcase_add_loop_test(tcase, test, 0, loops);
    suite_add_tcase(suite, tcase);
}

static int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
