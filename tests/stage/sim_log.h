/* The simulated log: topics and partitions in memory, as the source and the sink of a stage, with
 * faults on demand.
 *
 *   source  The inputs come in one fixed order. After a rewind the records before the given
 *           positions are left out. What next() hands out is overwritten by the following call, so
 *           that whoever keeps borrowed bytes is found out. A rewind to other positions than the
 *           committed ones is FATAL.
 *   sink    What an epoch puts becomes visible at commit, all at once and together with the input
 *           positions; an abort or a crash leaves no trace of it.
 *
 * Every call of a port is a step. Faults come from a seed, or there is a crash at a given step. */
#ifndef TESTS_STAGE_SIM_LOG_H
#define TESTS_STAGE_SIM_LOG_H

#include "base/arena.h"
#include "base/rng.h"
#include "stage/ports.h"

#define SIM_PARTITIONS 3 /* of each topic but `epochs`, which has one */
#define SIM_NEVER UINT64_MAX

struct sim_record {
    enum topic topic;
    int32_t partition;
    int64_t offset, timestamp_ms;
    struct bytes key, value;
    uint32_t header_count;
    const struct header *headers;
    const char *damage;
};

/* The inputs in the order in which a source delivers them; many logs may share them. */
struct sim_inputs {
    struct arena arena;
    struct sim_record *records;
    uint32_t count, max;
    int64_t next_offset[TOPIC_INPUTS][SIM_PARTITIONS];
};
enum status sim_inputs_create(struct sim_inputs *inputs, uint32_t max, struct error *err);
/* A copy at the end; its offset is the partition's next one, and damage does not use it up.
 * partition < 0: by the key. Returns the index. */
uint32_t sim_inputs_add(struct sim_inputs *inputs, const struct record *record);
void sim_inputs_release(struct sim_inputs *inputs);

/* Chances of each call, in millionths. */
struct sim_faults {
    uint32_t repeat; /* next: up to 16 records come once more, committed ones among them */
    uint32_t delay; /* next: nothing now, up to 4 times; not between two listings, since one content
                       epoch is what is there at once */
    bool delay_listings; /* ... also there */
    uint32_t refuse;     /* begin, put, ends: ABORT_EPOCH or RETRY */
    uint32_t refuse_commit;
    uint32_t crash; /* any call: it does not happen, and the process is gone */
    uint32_t lose;  /* commit: FATAL, and the process is gone; it was committed or it was not, by
                       another draw */
    uint32_t faults_max; /* so that a run comes to its end */
    uint64_t crash_step; /* SIM_NEVER, or the step at which the process goes */
    bool crash_after;    /* ... once the call has happened */
};
extern const struct sim_faults sim_no_faults;

struct sim_log;

enum status sim_log_create(struct sim_log **out, const struct sim_inputs *inputs,
                           struct error *err);
void sim_log_destroy(struct sim_log *log);
/* Forgets outputs and positions: a new run over the inputs, which may be others now. */
void sim_log_begin(struct sim_log *log, const struct sim_inputs *inputs,
                   const struct sim_faults *faults, uint64_t seed);
/* After a crash: the open transaction is gone, the source is at its beginning until it is rewound.
 */
void sim_log_restart(struct sim_log *log);
/* The inputs come as these ranges say (copied). FATAL from next() when a range has too few records.
 */
void sim_log_follow(struct sim_log *log, const struct input_range *ranges, uint32_t count);

struct source_port sim_log_source(struct sim_log *log);
struct sink_port sim_log_sink(struct sim_log *log);

bool sim_log_crashed(const struct sim_log *log);
uint64_t sim_log_steps(const struct sim_log *log);
/* Whether the step that was made last was a commit. */
bool sim_log_committing(const struct sim_log *log);
uint32_t sim_log_injected(const struct sim_log *log); /* faults so far */

/* What is committed. */
int64_t sim_log_end(const struct sim_log *log, enum topic topic, int32_t partition);
const struct sim_record *sim_log_at(const struct sim_log *log, enum topic topic, int32_t partition,
                                    int64_t offset);
uint32_t sim_log_positions(const struct sim_log *log, const struct position **out);

/* NULL when both hold the same records; else the first difference in words (valid until the next
 * call). */
const char *sim_log_differs(const struct sim_log *log, const struct sim_log *oracle);
/* As struct record, for the codec. */
struct record sim_record_of(const struct sim_record *record);

#endif
