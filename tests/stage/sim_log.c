#include "sim_log.h"

#include <stdio.h>
#include <string.h>

#define INPUTS_BYTES ((size_t)256 << 20)
#define OUTPUTS_BYTES ((size_t)4 << 30) /* of address space, for each log */
#define OUTPUTS_MAX (1u << 20)          /* records of one partition */
#define DELIVERED_BYTES ((size_t)16 << 20)
#define FOLLOWED_MAX (1u << 16)
#define POSITIONS_MAX (TOPIC_INPUTS * SIM_PARTITIONS)
#define OVERWRITTEN 0xDB

enum step_kind { STEP_NEXT, STEP_REWIND, STEP_BEGIN, STEP_PUT, STEP_ENDS, STEP_COMMIT, STEP_ABORT };
static const char *const step_names[] = {"next", "rewind", "begin", "put",
                                         "ends", "commit", "abort"};

struct sim_partition {
    struct sim_record *records;
    uint32_t committed, count; /* those past `committed` are of the open transaction */
};

struct sim_log {
    const struct sim_inputs *inputs;
    struct sim_faults faults;
    struct rng rng;
    uint32_t injected;
    uint64_t steps;
    enum step_kind last_step;
    bool crashed;

    /* source */
    struct arena delivered;
    uint32_t cursor;                      /* index of the input that comes next */
    uint32_t repeat_until;                /* inputs before this one come though they came before */
    uint32_t delays;                      /* next() still says "nothing now" so many times */
    bool listing_last;                    /* the last input that was new was a listing */
    struct position start[POSITIONS_MAX]; /* of the last rewind */
    uint32_t start_count;
    struct input_range *followed;
    uint32_t followed_count, followed_at, followed_used;
    uint32_t followed_cursor[TOPIC_INPUTS][SIM_PARTITIONS];

    /* sink */
    struct arena outputs;
    size_t outputs_mark; /* where the open transaction begins */
    bool open;
    struct sim_partition partitions[TOPIC_COUNT][SIM_PARTITIONS];
    struct position committed[POSITIONS_MAX];
    uint32_t committed_count;
    struct arena index; /* of the partitions' records */
};

const struct sim_faults sim_no_faults = {.crash_step = SIM_NEVER};

/* ---- inputs ---- */

static int32_t partition_of(const struct record *record) {
    if (record->topic == TOPIC_EPOCHS || record->key.data == NULL)
        return 0;
    return (int32_t)(hash64(record->key.data, record->key.len, 0) % SIM_PARTITIONS);
}

static struct bytes keep(struct arena *arena, struct bytes b) {
    if (b.data == NULL)
        return b;
    void *copy = arena_copy(arena, b.data, b.len);
    ASSERT(copy != NULL);
    return bytes_of(copy, b.len);
}

static struct sim_record keep_record(struct arena *arena, const struct record *record) {
    struct sim_record kept = {.topic = record->topic,
                              .partition = record->partition,
                              .offset = record->offset,
                              .timestamp_ms = record->timestamp_ms,
                              .key = keep(arena, record->key),
                              .value = keep(arena, record->value),
                              .header_count = record->header_count};
    struct header *headers = arena_must(arena, record->header_count * sizeof *headers);
    for (uint32_t h = 0; h < record->header_count; h++)
        headers[h] = (struct header){keep(arena, record->headers[h].key),
                                     keep(arena, record->headers[h].value)};
    kept.headers = headers;
    if (record->damage != NULL)
        kept.damage =
            (const char *)keep(arena, bytes_of(record->damage, strlen(record->damage) + 1)).data;
    return kept;
}

enum status sim_inputs_create(struct sim_inputs *inputs, uint32_t max, struct error *err) {
    *inputs = (struct sim_inputs){.max = max};
    TRY(arena_reserve(&inputs->arena, "simulated inputs", INPUTS_BYTES, err));
    inputs->records = arena_must(&inputs->arena, max * sizeof *inputs->records);
    return OK;
}

uint32_t sim_inputs_add(struct sim_inputs *inputs, const struct record *record) {
    ASSERT(inputs->count < inputs->max && record->topic < TOPIC_INPUTS);
    struct record placed = *record;
    if (placed.partition < 0)
        placed.partition = partition_of(record);
    int64_t *next = &inputs->next_offset[placed.topic][placed.partition];
    placed.offset = *next;
    *next += record->damage == NULL;
    inputs->records[inputs->count] = keep_record(&inputs->arena, &placed);
    return inputs->count++;
}

void sim_inputs_release(struct sim_inputs *inputs) {
    arena_release(&inputs->arena);
}

/* ---- faults ---- */

static enum status process_is_gone(struct sim_log *log, struct error *err) {
    log->crashed = true;
    return FAIL(err, FATAL, EX_SOFTWARE, "simulated crash at step %llu (%s)",
                (unsigned long long)log->steps - 1, step_names[log->last_step]);
}

static bool fault(struct sim_log *log, uint32_t chance) {
    if (chance == 0 || log->injected == log->faults.faults_max ||
        rng_below(&log->rng, 1000000) >= chance)
        return false;
    log->injected++;
    return true;
}

static bool crash_due(const struct sim_log *log, bool after) {
    return log->steps - 1 == log->faults.crash_step && log->faults.crash_after == after;
}

/* At the start of every call of a port. */
static enum status step(struct sim_log *log, enum step_kind kind, struct error *err) {
    if (log->crashed)
        return FAIL(err, FATAL, EX_SOFTWARE, "%s was called after the simulated crash",
                    step_names[kind]);
    log->steps++;
    log->last_step = kind;
    if (crash_due(log, false) || fault(log, log->faults.crash))
        return process_is_gone(log, err);
    return OK;
}

/* At the end of every call of a port. */
static enum status step_done(struct sim_log *log, struct error *err) {
    return crash_due(log, true) ? process_is_gone(log, err) : OK;
}

static enum status refuse(struct sim_log *log, uint32_t chance, struct error *err) {
    if (!fault(log, chance))
        return OK;
    enum status status = rng_below(&log->rng, 4) ? ABORT_EPOCH : RETRY;
    return FAIL(err, status, EX_TEMPFAIL, "simulated refusal at step %llu (%s)",
                (unsigned long long)log->steps - 1, step_names[log->last_step]);
}

/* ---- the source ---- */

static int64_t start_offset(const struct sim_log *log, const struct sim_record *record) {
    for (uint32_t i = 0; i < log->start_count; i++)
        if (log->start[i].topic == record->topic && log->start[i].partition == record->partition)
            return log->start[i].next_offset;
    return INT64_MIN;
}

static bool is_before_start(const struct sim_log *log, const struct sim_record *record) {
    return record->offset < start_offset(log, record);
}

/* The input that will come next of those that have not come since the rewind; count when there is
 * none. */
static uint32_t next_new(const struct sim_log *log) {
    uint32_t i = log->cursor > log->repeat_until ? log->cursor : log->repeat_until;
    while (i < log->inputs->count && is_before_start(log, &log->inputs->records[i]))
        i++;
    return i;
}

static bool delay_now(struct sim_log *log) {
    if (log->delays > 0) {
        log->delays--;
        return true;
    }
    uint32_t next = next_new(log);
    bool between = log->listing_last && next < log->inputs->count &&
                   log->inputs->records[next].topic == TOPIC_ITEM_CONTENT;
    if ((between && !log->faults.delay_listings) || !fault(log, log->faults.delay))
        return false;
    log->delays = rng_below(&log->rng, 4);
    return true;
}

static void deliver(struct sim_log *log, const struct sim_record *input, struct record *out) {
    struct record borrowed = sim_record_of(input);
    struct sim_record copy = keep_record(&log->delivered, &borrowed);
    *out = sim_record_of(&copy);
}

/* What was handed out before is no longer there. */
static void take_back(struct sim_log *log) {
    memset(log->delivered.base, OVERWRITTEN, log->delivered.used);
    arena_reset(&log->delivered);
}

static bool next_in_order(struct sim_log *log, struct record *out) {
    const struct sim_inputs *inputs = log->inputs;
    if (log->cursor > 0 && fault(log, log->faults.repeat)) {
        uint32_t back = 1 + rng_below(&log->rng, 16);
        if (log->repeat_until < log->cursor)
            log->repeat_until = log->cursor;
        log->cursor -= back < log->cursor ? back : log->cursor;
    }
    for (; log->cursor < inputs->count; log->cursor++) {
        const struct sim_record *record = &inputs->records[log->cursor];
        bool repeated = log->cursor < log->repeat_until;
        /* damage has no offset of its own, so no source may hand it out a second time without a
         * rewind */
        if (repeated ? record->damage != NULL : is_before_start(log, record))
            continue;
        if (!repeated)
            log->listing_last = record->topic == TOPIC_ITEM_CONTENT;
        log->cursor++;
        deliver(log, record, out);
        return true;
    }
    return false;
}

static enum status next_followed(struct sim_log *log, struct record *out, bool *got,
                                 struct error *err) {
    while (log->followed_at < log->followed_count &&
           log->followed_used == log->followed[log->followed_at].count) {
        log->followed_at++;
        log->followed_used = 0;
    }
    if (log->followed_at == log->followed_count)
        return OK;
    const struct input_range *range = &log->followed[log->followed_at];
    uint32_t *cursor = &log->followed_cursor[range->topic][range->partition];
    for (; *cursor < log->inputs->count; ++*cursor) {
        const struct sim_record *record = &log->inputs->records[*cursor];
        if (record->topic != range->topic || record->partition != range->partition ||
            record->offset < range->first_offset)
            continue;
        if (record->offset > range->last_offset)
            break;
        ++*cursor;
        log->followed_used++;
        deliver(log, record, out);
        *got = true;
        return OK;
    }
    return FAIL(err, FATAL, EX_DATAERR, "%s-%d: records of offsets %lld to %lld are missing",
                topic_name(range->topic), range->partition, (long long)range->first_offset,
                (long long)range->last_offset);
}

static enum status source_next(void *self, struct record *out, bool *got, bool *end,
                               struct error *err) {
    struct sim_log *log = self;
    *got = *end = false;
    TRY(step(log, STEP_NEXT, err));
    take_back(log);
    if (log->followed_count > 0) {
        TRY(next_followed(log, out, got, err));
        *end = !*got;
    } else if (!delay_now(log)) {
        *got = next_in_order(log, out);
        *end = !*got;
    }
    return step_done(log, err);
}

static bool same_position(const struct position *a, const struct position *b) {
    return a->topic == b->topic && a->partition == b->partition &&
           a->next_offset == b->next_offset && a->damaged == b->damaged;
}

static bool is_committed(const struct sim_log *log, const struct position *position) {
    for (uint32_t i = 0; i < log->committed_count; i++)
        if (same_position(&log->committed[i], position))
            return true;
    return false;
}

static void rewind_followed(struct sim_log *log) {
    for (uint32_t i = 0; i < log->start_count; i++) {
        const struct position *start = &log->start[i];
        uint32_t *cursor = &log->followed_cursor[start->topic][start->partition];
        for (*cursor = 0; *cursor < log->inputs->count; ++*cursor) {
            const struct sim_record *record = &log->inputs->records[*cursor];
            if (record->topic == start->topic && record->partition == start->partition &&
                record->offset >= start->next_offset)
                break;
        }
    }
    log->followed_at = log->followed_used = 0;
}

static enum status source_rewind(void *self, const struct position *positions, uint32_t count,
                                 struct error *err) {
    struct sim_log *log = self;
    TRY(step(log, STEP_REWIND, err));
    if (count != log->committed_count)
        return FAIL(err, FATAL, EX_SOFTWARE, "rewind to %u positions while %u are committed", count,
                    log->committed_count);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_committed(log, &positions[i]))
            return FAIL(err, FATAL, EX_SOFTWARE,
                        "rewind of %s-%d to %lld, which is not what was committed",
                        topic_name(positions[i].topic), positions[i].partition,
                        (long long)positions[i].next_offset);
        log->start[i] = positions[i];
    }
    log->start_count = count;
    log->cursor = log->repeat_until = log->delays = 0;
    log->listing_last = false;
    rewind_followed(log);
    return step_done(log, err);
}

/* ---- the sink ---- */

static void drop_open(struct sim_log *log) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        for (int p = 0; p < SIM_PARTITIONS; p++)
            log->partitions[topic][p].count = log->partitions[topic][p].committed;
    arena_rewind(&log->outputs, log->outputs_mark);
    log->open = false;
}

static enum status sink_begin(void *self, uint64_t epoch, struct error *err) {
    struct sim_log *log = self;
    TRY(step(log, STEP_BEGIN, err));
    if (log->open)
        return FAIL(err, FATAL, EX_SOFTWARE, "begin of epoch %llu inside a transaction",
                    (unsigned long long)epoch);
    TRY(refuse(log, log->faults.refuse, err));
    log->open = true;
    return step_done(log, err);
}

static enum status sink_put(void *self, const struct record *record, struct error *err) {
    struct sim_log *log = self;
    TRY(step(log, STEP_PUT, err));
    if (!log->open)
        return FAIL(err, FATAL, EX_SOFTWARE, "put outside a transaction");
    TRY(refuse(log, log->faults.refuse, err));
    struct record placed = *record;
    placed.partition = partition_of(record);
    struct sim_partition *partition = &log->partitions[placed.topic][placed.partition];
    ASSERT(partition->count < OUTPUTS_MAX);
    placed.offset = partition->count;
    partition->records[partition->count++] = keep_record(&log->outputs, &placed);
    return step_done(log, err);
}

static enum status sink_ends(void *self, struct output_end *ends, uint32_t max, uint32_t *count,
                             struct error *err) {
    struct sim_log *log = self;
    *count = 0;
    TRY(step(log, STEP_ENDS, err));
    TRY(refuse(log, log->faults.refuse, err));
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < (topic == TOPIC_EPOCHS ? 1 : SIM_PARTITIONS); p++) {
            ASSERT(*count < max);
            ends[(*count)++] = (struct output_end){topic, p, log->partitions[topic][p].count};
        }
    return step_done(log, err);
}

static void make_visible(struct sim_log *log, const struct position *positions, uint32_t count) {
    ASSERT(count <= POSITIONS_MAX);
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        for (int p = 0; p < SIM_PARTITIONS; p++)
            log->partitions[topic][p].committed = log->partitions[topic][p].count;
    log->outputs_mark = arena_mark(&log->outputs);
    memcpy(log->committed, positions, count * sizeof *positions);
    log->committed_count = count;
    log->open = false;
}

static enum status sink_commit(void *self, const struct position *positions, uint32_t count,
                               struct error *err) {
    struct sim_log *log = self;
    TRY(step(log, STEP_COMMIT, err));
    if (!log->open)
        return FAIL(err, FATAL, EX_SOFTWARE, "commit outside a transaction");
    TRY(refuse(log, log->faults.refuse_commit, err));
    bool lost = fault(log, log->faults.lose);
    if (!lost || rng_below(&log->rng, 2))
        make_visible(log, positions, count);
    return lost ? process_is_gone(log, err) : step_done(log, err);
}

static enum status sink_abort(void *self, struct error *err) {
    struct sim_log *log = self;
    TRY(step(log, STEP_ABORT, err));
    drop_open(log);
    return step_done(log, err);
}

/* ---- the log ---- */

enum status sim_log_create(struct sim_log **out, const struct sim_inputs *inputs,
                           struct error *err) {
    struct arena index;
    TRY(arena_reserve(
        &index, "simulated log",
        sizeof(struct sim_log) + FOLLOWED_MAX * sizeof(struct input_range) +
            (size_t)TOPIC_COUNT * SIM_PARTITIONS * OUTPUTS_MAX * sizeof(struct sim_record) + 65536,
        err));
    struct sim_log *log = arena_must(&index, sizeof *log);
    *log = (struct sim_log){.inputs = inputs, .faults = sim_no_faults};
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        for (int p = 0; p < SIM_PARTITIONS; p++)
            log->partitions[topic][p].records =
                arena_must(&index, OUTPUTS_MAX * sizeof(struct sim_record));
    log->followed = arena_must(&index, FOLLOWED_MAX * sizeof *log->followed);
    log->index = index;
    TRY(arena_reserve(&log->outputs, "simulated outputs", OUTPUTS_BYTES, err));
    TRY(arena_reserve(&log->delivered, "simulated delivery", DELIVERED_BYTES, err));
    *out = log;
    return OK;
}

void sim_log_destroy(struct sim_log *log) {
    arena_release(&log->outputs);
    arena_release(&log->delivered);
    struct arena index = log->index; /* holds the log itself */
    arena_release(&index);
}

void sim_log_begin(struct sim_log *log, const struct sim_inputs *inputs,
                   const struct sim_faults *faults, uint64_t seed) {
    log->inputs = inputs;
    log->faults = *faults;
    log->rng = rng_stream(seed, RNG_TEST, 0, 0);
    log->injected = 0;
    log->steps = 0;
    log->outputs_mark = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        for (int p = 0; p < SIM_PARTITIONS; p++)
            log->partitions[topic][p].committed = 0;
    log->committed_count = 0;
    log->followed_count = 0;
    sim_log_restart(log);
}

void sim_log_restart(struct sim_log *log) {
    drop_open(log);
    log->crashed = false;
    log->start_count = log->cursor = log->repeat_until = log->delays = 0;
    log->listing_last = false;
    memset(log->followed_cursor, 0, sizeof log->followed_cursor);
}

void sim_log_follow(struct sim_log *log, const struct input_range *ranges, uint32_t count) {
    ASSERT(count <= FOLLOWED_MAX);
    if (count == 0) {
        log->start_count = log->committed_count;
        memcpy(log->start, log->committed, sizeof log->start);
        log->cursor = log->repeat_until = 0;
        log->listing_last = false;
    }
    for (uint32_t r = 0; r < count; r++)
        log->followed[r] = ranges[r];
    log->followed_count = count;
    log->followed_at = log->followed_used = 0;
}

struct source_port sim_log_source(struct sim_log *log) {
    return (struct source_port){.self = log, .next = source_next, .rewind = source_rewind};
}

struct sink_port sim_log_sink(struct sim_log *log) {
    return (struct sink_port){log, sink_begin, sink_put, sink_ends, sink_commit, sink_abort};
}

bool sim_log_crashed(const struct sim_log *log) {
    return log->crashed;
}
uint64_t sim_log_steps(const struct sim_log *log) {
    return log->steps;
}
bool sim_log_committing(const struct sim_log *log) {
    return log->last_step == STEP_COMMIT;
}
uint32_t sim_log_injected(const struct sim_log *log) {
    return log->injected;
}

int64_t sim_log_end(const struct sim_log *log, enum topic topic, int32_t partition) {
    return log->partitions[topic][partition].committed;
}

const struct sim_record *sim_log_at(const struct sim_log *log, enum topic topic, int32_t partition,
                                    int64_t offset) {
    ASSERT(offset >= 0 && offset < sim_log_end(log, topic, partition));
    return &log->partitions[topic][partition].records[offset];
}

uint32_t sim_log_positions(const struct sim_log *log, const struct position **out) {
    *out = log->committed;
    return log->committed_count;
}

struct record sim_record_of(const struct sim_record *record) {
    struct record out = {.topic = record->topic,
                         .partition = record->partition,
                         .offset = record->offset,
                         .timestamp_ms = record->timestamp_ms,
                         .key = record->key,
                         .value = record->value,
                         .header_count = record->header_count,
                         .damage = record->damage};
    for (uint32_t h = 0; h < record->header_count; h++)
        out.headers[h] = record->headers[h];
    return out;
}

static const char *record_differs(const struct sim_record *a, const struct sim_record *b) {
    if (a->offset != b->offset || a->partition != b->partition ||
        a->timestamp_ms != b->timestamp_ms)
        return "place or timestamp";
    if (!bytes_equal(a->key, b->key))
        return "key";
    if (!bytes_equal(a->value, b->value))
        return "value";
    if (a->header_count != b->header_count)
        return "number of headers";
    for (uint32_t h = 0; h < a->header_count; h++)
        if (!bytes_equal(a->headers[h].key, b->headers[h].key) ||
            !bytes_equal(a->headers[h].value, b->headers[h].value))
            return "header";
    return NULL;
}

static bool partition_differs(const struct sim_partition *a, const struct sim_partition *b,
                              const char *name, int p, char *text, size_t size) {
    uint32_t both = a->committed < b->committed ? a->committed : b->committed;
    for (uint32_t i = 0; i < both; i++) {
        const char *what = record_differs(&a->records[i], &b->records[i]);
        if (what == NULL)
            continue;
        snprintf(text, size, "%s-%d offset %u: %s differs (key %.*s)", name, p, i, what,
                 b->records[i].key.len > 64 ? 64 : (int)b->records[i].key.len,
                 (const char *)b->records[i].key.data);
        return true;
    }
    if (a->committed == b->committed)
        return false;
    snprintf(text, size, "%s-%d has %u records instead of %u", name, p, a->committed, b->committed);
    return true;
}

const char *sim_log_differs(const struct sim_log *log, const struct sim_log *oracle) {
    static char text[256];
    /* the manifests last: whatever differs shows there too, in a less telling place */
    for (int i = TOPIC_INPUTS; i < TOPIC_COUNT + 1; i++) {
        int topic = i < TOPIC_COUNT ? i : TOPIC_EPOCHS;
        if (i == TOPIC_EPOCHS)
            continue;
        for (int p = 0; p < SIM_PARTITIONS; p++)
            if (partition_differs(&log->partitions[topic][p], &oracle->partitions[topic][p],
                                  topic_name((enum topic)topic), p, text, sizeof text))
                return text;
    }
    return NULL;
}
