/* A stage on the simulated log: started, restored from what was committed, run to the end through
 * every crash. */
#ifndef TESTS_STAGE_SIM_RUN_H
#define TESTS_STAGE_SIM_RUN_H

#include "codec/codec.h"
#include "sim_log.h"
#include "stage/stage.h"

#define SIM_DIMS 16
#define SIM_ID_BYTES_MAX 24
#define SIM_BATCH 32

struct sim_setup {
    struct stage_config stage;
    struct model_config model;
};
/* Small sizes: a run of some hundred events takes milliseconds. */
void sim_setup_small(struct sim_setup *out);

/* Memory and codec that many runs share. */
struct sim_run {
    struct sim_log *log;
    struct codec *codec;
    struct sim_setup setup;
    struct stage *stage; /* NULL: none is running */
    uint32_t restarts;
    struct arena manifests, fold_bytes, fold_index; /* of restoring */
    struct folded_row *rows;
    uint32_t row_count;
    int64_t cursors[TOPIC_COUNT][SIM_PARTITIONS];
};
enum status sim_run_create(struct sim_run *run, struct codec *codec,
                           const struct sim_inputs *inputs, struct error *err);
void sim_run_destroy(struct sim_run *run);

/* A new run over `inputs` from nothing; the stage is made. */
enum status sim_run_begin(struct sim_run *run, const struct sim_setup *setup,
                          const struct sim_inputs *inputs, const struct sim_faults *faults,
                          uint64_t seed, struct error *err);
/* One step of the stage; after a crash a new stage, restored from the log. */
enum status sim_run_step(struct sim_run *run, bool *done, struct error *err);
/* To the end of the inputs; then the tables are validated. */
enum status sim_run_to_end(struct sim_run *run, struct error *err);
/* Throws the stage away and restores a new one from the committed outputs, as cli/restore.c does:
 * fold each epoch by its manifest, compare all digests (here after every epoch), resume. */
enum status sim_run_restart(struct sim_run *run, struct error *err);

/* The manifest of an epoch (1, 2, ...) as it is in the log; memory from `arena`. */
enum status sim_run_manifest(struct sim_run *run, uint64_t epoch, struct arena *arena,
                             struct manifest *out, struct error *err);

/* NULL when the final states agree (digests of all tables, totals); else what differs. */
const char *sim_run_differs(const struct sim_run *run, const struct sim_run *oracle);

#endif
