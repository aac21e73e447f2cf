#include "follow/follow.h"

#include "apply/follower.h"
#include "base/clock.h"
#include "config/model_settings.h"
#include "follow/public_tables.h"
#include "follow/source.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/poison.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define MANIFEST_BYTES ((size_t)64 << 20)
#define STEP_RECORDS 4096
#define BEGINNINGS_MAX 3 /* in a row that made no epoch visible */
#define DIFFERS_MS 5000  /* so long is waited for a manifest that explains a difference */
#define FACTS_MAX 8192u  /* of epochs whose manifests have come; far more than can wait */

struct follow {
    struct arena arena; /* itself and the texts */
    struct arena manifest;
    struct follow_config config;
    struct model_config model;
    struct follow_source *source;
    struct codec *codec; /* the source's */
    struct feed feed;
    bool begun;
    struct tables *tables;
    struct versions *versions;
    struct follower *follower;
    uint32_t partitions;
    struct table *last_table;
    struct step_facts facts[FACTS_MAX]; /* by epoch */
    int64_t reached[OUTPUT_PARTITIONS_MAX];
    uint64_t visible; /* epoch */
    bool shown;       /* an epoch became visible in this step */
    uint32_t beginnings;
    int64_t differs_since_ms; /* 0: it does not */
    int64_t last_manifest;    /* offset; FEED_BEGINNING */
    struct follow_counts counts;
    _Atomic uint64_t asked, answered; /* marks */
    uint64_t answering;
};

/* ---- opening ---- */

static void problem(void *self, const char *text) {
    struct error *err = self;
    if (err != NULL)
        FAIL(err, FATAL, EX_CONFIG, "%s", text);
}

static enum status model_of(const struct follow *f, const char *text, struct model_config *out,
                            struct error *err) {
    struct settings told = f->config.settings;
    if (text != NULL)
        TRY(settings_decode(&told, bytes_text(text), "the manifest's configuration", problem, NULL,
                            err));
    TRY(settings_lay_out(&told, err));
    settings_fit_z(&told);
    told.items_max = f->config.settings.items_max;
    *out = settings_model(&told);
    return OK;
}

/* The model's sizes, as the last manifest that has the configuration tells. */
static enum status learn_sizes(struct follow *f, struct error *err) {
    const char *text;
    TRY(f->feed.look(f->feed.self, f->codec, &f->arena, &f->last_manifest, &text, err));
    if (text == NULL && f->config.settings.content_dims < 2)
        return FAIL(err, FATAL, f->last_manifest == FEED_BEGINNING ? EX_UNAVAILABLE : EX_CONFIG,
                    "no manifest tells the stage's configuration: %s",
                    f->last_manifest == FEED_BEGINNING
                        ? "it has not committed an epoch yet; wait for it"
                        : "retention has dropped the one that did; give the stage's own "
                          "configuration file, with content.dims");
    return model_of(f, text, &f->model, err);
}

static void exact(void *self, uint64_t epoch);

/* As many as a stage can have: what is kept for each of them has room for these. */
static enum status check_partitions(const struct follow *f, struct error *err) {
    if (f->feed.slots <= OUTPUT_PARTITIONS_MAX)
        return OK;
    return FAIL(err, FATAL, EX_DATAERR,
                "the outputs have %u partitions, and a stage has %u at most: these are not one "
                "stage's outputs",
                f->feed.slots, OUTPUT_PARTITIONS_MAX);
}

static enum status open_parts(struct follow *f, struct error *err) {
    TRY(check_partitions(f, err));
    TRY(arena_reserve(&f->manifest, "manifest", MANIFEST_BYTES, err));
    TRY(learn_sizes(f, err));
    TRY(public_tables_create(&f->tables, &f->model, err));
    TRY(versions_create(&f->versions, f->tables, f->config.undo_bytes, err));
    f->partitions = f->feed.slots - 1;
    TRY(follower_create(&f->follower, f->tables, f->partitions, f->config.staged_bytes, err));
    follower_on_exact(f->follower, exact, f);
    return OK;
}

enum status follow_open(struct follow **out, struct follow_source *source,
                        const struct follow_config *config, struct error *err) {
    struct arena arena;
    enum status status = arena_reserve(&arena, "follower", ARENA_BYTES, err);
    if (status != OK) {
        follow_source_close(source);
        return status;
    }
    struct follow *f = arena_must(&arena, sizeof *f);
    *f = (struct follow){.arena = arena,
                         .config = *config,
                         .source = source,
                         .codec = source->codec,
                         .feed = source->feed};
    status = open_parts(f, err);
    if (status == OK)
        *out = f;
    else
        follow_close(f);
    return status;
}

void follow_close(struct follow *f) {
    if (f->follower != NULL)
        follower_destroy(f->follower);
    if (f->versions != NULL)
        versions_destroy(f->versions);
    tables_destroy(f->tables);
    follow_source_close(f->source);
    arena_release(&f->manifest);
    struct arena arena = f->arena; /* it lies in it */
    arena_release(&arena);
}

struct tables *follow_tables(const struct follow *f) {
    return f->tables;
}
struct versions *follow_versions(const struct follow *f) {
    return f->versions;
}
const struct model_config *follow_model(const struct follow *f) {
    return &f->model;
}
const struct follow_counts *follow_counts(const struct follow *f) {
    return &f->counts;
}

/* ---- an epoch is whole ---- */

static void measure(struct follow *f) {
    uint64_t memory = 0;
    for (uint32_t t = 0; t < tables_count(f->tables); t++)
        memory += table_memory(tables_at(f->tables, t));
    f->counts.row_bytes = versions_row_bytes(f->versions);
    f->counts.table_bytes = memory;
    f->counts.version_bytes = versions_memory(f->versions);
}

static void exact(void *self, uint64_t epoch) {
    struct follow *f = self;
    bool readable = versions_oldest(f->versions) <= versions_newest(f->versions);
    if (epoch < f->visible || (epoch == f->visible && readable))
        return; /* the log is folded anew, and readers have seen more */
    struct step_facts facts = f->facts[epoch % FACTS_MAX];
    const struct table *sid = tables_named(f->tables, bytes_text("sid"));
    facts.items = table_rows(sid);
    measure(f);
    versions_publish(f->versions, &facts);
    f->visible = epoch;
    f->counts.epochs++;
    f->shown = true;
    f->beginnings = 0;
}

/* ---- what comes ---- */

/* Where each partition of rows ends in the epoch. */
static enum status ends_in(const struct follow *f, const struct manifest *manifest, int64_t *ends,
                           struct error *err) {
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        ends[slot] = 0; /* a partition that was added later */
    for (uint32_t i = 0; i < manifest->end_count; i++) {
        const struct output_end *end = &manifest->ends[i];
        uint32_t slot;
        if (!topic_has_rows(end->topic) || end->topic == TOPIC_CHANGELOG)
            continue;
        if (!f->feed.slot(f->feed.self, end->topic, end->partition, &slot))
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s had a partition %d in epoch %" PRIu64
                        " and has it no more: the topic was made anew; restore it, or follow the "
                        "stage's new topics",
                        topic_name(end->topic), end->partition, manifest->epoch);
        ends[slot] = end->end_offset;
    }
    return OK;
}

/* Of a ranker, without what only the stage's learning reads: first values, rates, weights of losses. */
static struct ranker_config scoring_part(struct ranker_config c) {
    c.batch = 0;
    c.rate_rows = c.rate_dense = 0;
    c.accumulator_rows = c.accumulator_dense = 0;
    c.init_rows = c.sharpness = 0;
    c.kl_weight = c.contrast_weight = 0;
    c.seed = 0;
    return c;
}

/* Whether tables, encoding and scores are made as before. */
static bool same_model(const struct model_config *a, const struct model_config *b) {
    struct ranker_config one = scoring_part(a->ranker), other = scoring_part(b->ranker);
    return memcmp(&one, &other, sizeof one) == 0 &&
           a->tokenizer.content_dims == b->tokenizer.content_dims &&
           a->tokenizer.z_dims == b->tokenizer.z_dims &&
           memcmp(a->tokenizer.books, b->tokenizer.books, sizeof a->tokenizer.books) == 0 &&
           a->updates.on == b->updates.on && a->id_bytes_max == b->id_bytes_max;
}

static enum status other_model(const char *when, uint64_t epoch, struct error *err) {
    return FAIL(err, FATAL, EX_CONFIG,
                "%s epoch %" PRIu64
                " the stage has another configuration of its model: open a new follower, which "
                "learns it from the manifests",
                when, epoch);
}

/* Another configuration from here on: of the same model, or the tables would not fit any more. */
static enum status check_config(const struct follow *f, const struct manifest *manifest,
                                struct error *err) {
    struct model_config told;
    if (manifest->config == NULL)
        return OK;
    TRY(model_of(f, manifest->config, &told, err));
    if (same_model(&told, &f->model))
        return OK;
    return other_model("since", manifest->epoch, err);
}

static enum status take_manifest(struct follow *f, const struct record *record, struct error *err) {
    struct manifest manifest;
    int64_t ends[OUTPUT_PARTITIONS_MAX];
    arena_reset(&f->manifest);
    if (record->damage != NULL ||
        codec_decode_manifest(f->codec, record, &f->manifest, &manifest, err) != OK) {
        f->counts.bad_rows++;
        return OK; /* the next one is a gap then */
    }
    uint64_t newest = f->counts.newest_epoch;
    if (newest != 0 && manifest.epoch <= newest) {
        if (manifest.epoch == 1 && newest > 1)
            return FAIL(err, FATAL, EX_DATAERR,
                        "epoch 1 after epoch %" PRIu64
                        ": the outputs were made anew; open a new follower",
                        newest);
        f->counts.repeats++;
        return OK;
    }
    if (manifest.epoch > f->visible) /* else it is what a beginning anew reads first */
        TRY(check_config(f, &manifest, err));
    f->counts.gaps += newest != 0 && manifest.epoch != newest + 1;
    f->counts.newest_epoch = manifest.epoch;
    f->facts[manifest.epoch % FACTS_MAX] =
        (struct step_facts){.epoch = manifest.epoch,
                            .timestamp_ms = manifest.timestamp_ms,
                            .watermark_ms = manifest.watermark_ms,
                            .generation = manifest.generation,
                            .codebook_version = manifest.codebook_version};
    TRY(ends_in(f, &manifest, ends, err));
    return follower_manifest(f->follower, manifest.epoch, ends, manifest_digest, &manifest, err);
}

/* Whether the row can be one of its table; where not, the digests will tell what is missing. */
static bool fits(const struct row_output *row, const struct table *table) {
    const struct table_spec *spec = table_spec(table);
    const struct table_spec *root = spec->parent != NULL ? table_spec(spec->parent) : spec;
    bool key = root->key_kind == KEY_STRING
                   ? row->key.len > 0 && row->key.len <= root->key_bytes_max
                   : row->key.len == 8;
    if (!key || row->value.data == NULL)
        return key;
    bool dense = spec->key_kind != KEY_DENSE || get_be64(row->key.data) == row->position;
    return dense && row->value.len == spec->value_bytes && row->version > 0 &&
           row->position < spec->rows_max;
}

/* A limit of ours, and no fault of the log. */
static enum status check_limit(const struct row_output *row, const struct table *table,
                               struct error *err) {
    const struct table_spec *spec = table_spec(table);
    if (spec->parent == NULL || row->value.data == NULL || row->position < spec->rows_max)
        return OK;
    return FAIL(err, FATAL, EX_CONFIG,
                "table %s has a row at position %u, and limits.items is %u: set it as high as the "
                "stage's",
                spec->name, row->position, spec->rows_max);
}

static void reach(struct follow *f, uint32_t slot, int64_t offset) {
    f->reached[slot] = offset > f->reached[slot] ? offset : f->reached[slot];
    follower_reached(f->follower, slot, offset);
}

/* Most rows are of the table of the row before. */
static struct table *table_of(struct follow *f, const char *name) {
    if (f->last_table == NULL || strcmp(table_spec(f->last_table)->name, name) != 0)
        f->last_table = tables_named(f->tables, bytes_text(name));
    return f->last_table;
}

static enum status take_row(struct follow *f, uint32_t slot, const struct record *record,
                            struct error *err) {
    struct row_output row;
    struct table *table = NULL;
    if (record->offset < f->reached[slot] && record->damage == NULL) {
        f->counts.repeats++;
        return OK;
    }
    enum status status = codec_decode_row(f->codec, record, &row, err);
    if (status == OK)
        table = table_of(f, row.table);
    if (table != NULL)
        TRY(check_limit(&row, table, err));
    if (table == NULL || !fits(&row, table)) {
        f->counts.bad_rows++;
        if (record->damage == NULL) /* damage has no offset of its own */
            reach(f, slot, record->offset + 1);
        return OK;
    }
    struct folded_row folded = {table, row.key, row.position, row.version, row.value};
    f->counts.rows++;
    f->reached[slot] = record->offset + 1;
    return follower_row(f->follower, slot, record->offset, row.epoch, &folded, err);
}

static enum status take(struct follow *f, uint32_t wait_ms, bool *came, struct error *err) {
    struct record record;
    bool got;
    uint32_t slot;
    TRY(f->feed.next(f->feed.self, wait_ms, &record, &got, &slot, err));
    *came = slot != UINT32_MAX;
    if (got && slot == f->partitions)
        return take_manifest(f, &record, err);
    if (got)
        return take_row(f, slot, &record, err);
    if (*came && slot < f->partitions)
        reach(f, slot, f->feed.at(f->feed.self, slot));
    return OK;
}

/* ---- beginning ---- */

/* Where the topic of the manifests can be begun now: retention may have dropped what was its last one when the follower was opened. */
static enum status look_again(struct follow *f, struct error *err) {
    struct model_config told;
    const char *text;
    arena_reset(&f->manifest);
    TRY(f->feed.look(f->feed.self, f->codec, &f->manifest, &f->last_manifest, &text, err));
    if (text == NULL)
        return OK;
    TRY(model_of(f, text, &told, err));
    return same_model(&told, &f->model) ? OK : other_model("after", f->visible, err);
}

static enum status begin(struct follow *f, struct error *err) {
    int64_t from[OUTPUT_PARTITIONS_MAX + 1];
    if (f->counts.resyncs > 0)
        TRY(look_again(f, err));
    for (uint32_t slot = 0; slot < f->partitions; slot++)
        from[slot] = FEED_BEGINNING;
    from[f->partitions] = f->last_manifest;
    TRY(f->feed.start(f->feed.self, from, err));
    tables_clear(f->tables);
    follower_begin(f->follower);
    for (uint32_t slot = 0; slot < f->partitions; slot++) {
        f->reached[slot] = INT64_MIN;
        reach(f, slot, f->feed.at(f->feed.self, slot));
    }
    f->counts.newest_epoch = 0;
    f->differs_since_ms = 0;
    f->begun = true;
    return OK;
}

/* Everything again, from what the log has. */
static enum status begin_anew(struct follow *f, struct error *why) {
    f->begun = false;
    f->counts.resyncs++;
    if (++f->beginnings < BEGINNINGS_MAX)
        return OK;
    struct error last = *why;
    return FAIL(why, FATAL, EX_DATAERR, "%.400s (the log was folded %d times, to the same end)",
                last.text, BEGINNINGS_MAX);
}

/* ---- steps ---- */

uint64_t follow_mark(struct follow *f) {
    return atomic_fetch_add(&f->asked, 1) + 1;
}

bool follow_reached(const struct follow *f, uint64_t mark) {
    return atomic_load(&f->answered) >= mark;
}

static bool current(const struct follower_state *state) {
    return state->newest == 0 || (state->exact && state->epoch == state->newest);
}

/* What has to be answered for the marks: where the log ended when they were asked for, and whether that is visible. */
static enum status capture(struct follow *f, struct error *err) {
    uint64_t asked = atomic_load(&f->asked);
    if (asked > f->answering) {
        TRY(f->feed.capture(f->feed.self, err));
        f->answering = asked;
    }
    return OK;
}

static void answer(struct follow *f, const struct follower_state *state) {
    double share = f->feed.share(f->feed.self);
    f->counts.progress = current(state) ? 1 : share;
    if (f->answering > f->answered && share >= 1 && current(state))
        atomic_store(&f->answered, f->answering);
}

/* A state that is not its manifest's: what explains it may be on its way; where nothing more can come, it is an error. */
static enum status mind_difference(struct follow *f, const struct follower_state *state, bool end,
                                   struct error *err) {
    if (!state->exact && state->differs == NULL && !end)
        return OK;
    if (state->exact) {
        f->differs_since_ms = 0;
        return OK;
    }
    if (f->differs_since_ms == 0) {
        f->differs_since_ms = clock_ms();
        f->counts.bad_digests++;
    }
    if (!end && clock_ms() - f->differs_since_ms < DIFFERS_MS)
        return OK;
    FAIL(err, BAD_RECORD, EX_DATAERR,
         "after epoch %" PRIu64 " table '%s' is not what its manifest says: records are missing or "
         "were changed",
         state->newest, state->differs != NULL ? state->differs : "?");
    return begin_anew(f, err);
}

/* Until there is no more for now, or an epoch can be shown. */
static enum status take_some(struct follow *f, uint32_t wait_ms, struct error *err) {
    bool came = true;
    for (int i = 0; i < STEP_RECORDS && came && !f->shown; i++) {
        uint64_t manifests = f->counts.newest_epoch;
        TRY(take(f, i == 0 ? wait_ms : 0, &came, err));
        if (f->counts.newest_epoch != manifests)
            TRY(follower_advance(f->follower, err));
    }
    return follower_advance(f->follower, err);
}

enum status follow_step(struct follow *f, uint32_t wait_ms, enum follow_news *news,
                        struct error *err) {
    struct follower_state state;
    f->shown = false;
    *news = FOLLOW_NOTHING;
    enum status status = f->begun ? OK : begin(f, err);
    if (status == OK)
        status = capture(f, err);
    if (status == OK)
        status = take_some(f, wait_ms, err);
    if (status == BAD_RECORD)
        return begin_anew(f, err);
    TRY(status);
    follower_state(f->follower, &state);
    answer(f, &state);
    bool end = f->feed.ended != NULL && f->feed.ended(f->feed.self);
    if (f->shown)
        *news = FOLLOW_EPOCH;
    else if (end && current(&state))
        *news = FOLLOW_END;
    return f->shown ? OK : mind_difference(f, &state, end && !current(&state), err);
}
