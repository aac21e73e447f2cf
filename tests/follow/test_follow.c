/* A follower of a real replay's outputs: whole; through a feed that loses, repeats, swaps and damages records and hands partitions out in any order; and beside
 * readers. What it encodes and scores is the stage's, bit for bit.
 *
 * Whatever the feed does, an epoch that becomes visible has the manifest's digests (the follower itself sees to that) and is held here against a follower that
 * had the whole log, row for row. */
#include "base/rng.h"
#include "cli/restore.h"
#include "follow/public.h"
#include "model/model_private.h"
#include "stage/stage.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[512];
const char *const program_version = "test";

static uint64_t seed_of(uint64_t own) {
    const char *text = getenv("COLDSTREAM_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : own;
}

#define must_be(call, wanted)                                                                      \
    do {                                                                                           \
        int is_ = (call);                                                                          \
        if (is_ != (wanted))                                                                       \
            ck_abort_msg("%s: %s (%s) instead of %s; seed %llu", #call, cs_status_name(is_),       \
                         error.text, cs_status_name(wanted), (unsigned long long)seed);            \
    } while (0)

/* ---- recordings that the program makes ---- */

/* Small, so that a replay takes a moment; several partitions of each output. */
#define SIZES                                                                                      \
    "--set tokenizer.train_listings=64 --set tokenizer.z_dims=16 --set "                           \
    "tokenizer.books=[16,16,8,8,8] --set model.width=8 --set model.hidden=[16,8] --set "           \
    "model.history=8 --set model.batch=32 --set model.prefix_rows=256 --set epoch.batches=4 "      \
    "--set output.partitions=3 "
/* Every part that moves SIDs while the stream goes on. */
#define MOVES                                                                                      \
    "--set tokenizer.codebooks=continual --set tokenizer.version_epochs=2 --set "                  \
    "tokenizer.memory=[4000,2000,1000,1000,1000] --set tokenizer.balance=3 --set "                 \
    "tokenizer.sweep=32 --set tokenizer.collision_tries=3 --set model.encoder=behaviour --set "    \
    "encoder.batch=16 --set generation.release=on --set generation.check_epochs=1 --set "          \
    "generation.schedule_epochs=8 --set generation.slice=24 --set generation.window_epochs=2 "

static void make(const char *name, const char *settings) {
    const char *build = getenv("COLDSTREAM_BUILD");
    char command[4096];
    snprintf(command, sizeof command,
             "cd %s && { test -d market || %s/coldstream generate --to market --items 300 --users "
             "100 --events 6000 --dims 16 >/dev/null; } && %s/coldstream replay -c "
             "\"$OLDPWD/../conf/replay.yaml\" --from market --to %s " SIZES
             "%s 2>log >/dev/null || "
             "{ cat log; exit 1; }",
             folder, build, build, name, settings);
    ck_assert_int_eq(system(command), 0);
}

static void set_up(void) {
    const char *build = getenv("COLDSTREAM_BUILD");
    ck_assert_msg(build != NULL, "COLDSTREAM_BUILD is not set; run this test through ctest");
    snprintf(folder, sizeof folder, "%s/test_follow.XXXXXX", build);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    make("plain", "");
    make("living", MOVES);
}

static void tear_down(void) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- the whole log ---- */

static cs_follower *whole(const char *name) {
    cs_follower *f;
    cs_error error = {0};
    uint64_t seed = 0;
    cs_options *options = cs_options_new();
    must_be(cs_options_set(options, "undo_bytes", "268435456", &error), CS_OK);
    must_be(cs_open_recording(&f, path_of(name), options, &error), CS_OK);
    must_be(cs_wait(f, CS_LATEST, -1, &error), CS_OK);
    cs_options_free(options);
    return f;
}

/* Digest of everything that a view shows: tables, keys, values. */
static struct digest digest_of_view(const cs_view *view) {
    const cs_follower *f = view->follower;
    static _Thread_local uint8_t row[1 << 20];
    struct digest sum = {0, 0};
    for (uint32_t t = 0; t < cs_table_count(f); t++) {
        cs_table table;
        cs_table_at(f, t, &table, sizeof table);
        uint32_t at = 0;
        for (; cs_view_next(view, t, &at) == CS_OK; at++) {
            size_t key_bytes = 0;
            memset(row, 0, 64);
            memcpy(row, &t, 4);
            memcpy(row + 4, &at, 4);
            if (cs_view_key(view, t, at, row + 8, 40, &key_bytes) != CS_OK ||
                cs_view_row(view, t, at, row + 64, sizeof row - 64) != CS_OK)
                return (struct digest){0, 0}; /* stale */
            sum = digest_add(sum, digest_of(row, 64 + table.row_bytes, 0));
        }
    }
    return sum;
}

START_TEST(every_epoch_becomes_visible) {
    static const char *const names[] = {"plain", "living"};
    cs_error error = {0};
    uint64_t seed = 0, epochs = 0;
    cs_follower *f;
    must_be(cs_open_recording(&f, path_of(names[_i]), NULL, &error), CS_OK);
    int outcome;
    while ((outcome = cs_step(f, -1, &error)) == CS_OK) {
        cs_view *view;
        must_be(cs_view_open(f, &view, &error), CS_OK);
        ck_assert_uint_eq(cs_view_epoch(view), ++epochs);
        cs_view_close(view);
    }
    must_be(outcome, CS_END);
    cs_stats stats;
    cs_follower_stats(f, &stats, sizeof stats);
    ck_assert_uint_gt(epochs, 20);
    ck_assert_uint_eq(stats.epochs, epochs);
    ck_assert_uint_eq(stats.bad_rows + stats.bad_digests + stats.resyncs + stats.gaps, 0);
    must_be(cs_wait(f, epochs + 1, 100, &error), CS_END);
    cs_close(f);
}
END_TEST

START_TEST(a_view_stays_what_it_is) {
    uint64_t seed = 0;
    cs_error error = {0};
    cs_follower *f;
    cs_view *view[2], *again;
    must_be(cs_open_recording(&f, path_of("living"), NULL, &error), CS_OK);
    must_be(cs_wait(f, 10, -1, &error), CS_OK);
    must_be(cs_view_open(f, &view[0], &error), CS_OK);
    struct digest then = digest_of_view(view[0]);
    must_be(cs_wait(f, CS_LATEST, -1, &error), CS_OK);
    must_be(cs_view_open(f, &view[1], &error), CS_OK);
    ck_assert(digest_equal(then, digest_of_view(view[0])));
    ck_assert(!digest_equal(then, digest_of_view(view[1])));
    must_be(cs_view_open_at(f, 10, &again, &error), CS_OK);
    ck_assert(digest_equal(then, digest_of_view(again)));
    cs_view_close(again);
    must_be(cs_view_open_at(f, 1000000, &again, &error), CS_AGAIN);
    cs_view_close(view[0]);
    cs_view_close(view[1]);
    cs_close(f);
}
END_TEST

/* ---- a feed with faults ---- */

struct faults {
    uint32_t loses, repeats, swaps, damages; /* one record in so many; 0: none */
};

struct faulty {
    struct feed inner;
    struct rng rng;
    struct faults faults;
    bool transient; /* there are none when the log is read again */
    uint32_t readings;
    struct record held; /* a record that comes after the next one of its slot, or a second time */
    bool has_held;
    uint32_t held_slot;
    uint8_t bytes[1 << 20];
    uint64_t made; /* faults */
    bool retains;  /* the manifest that was the last at a look is gone at the beginning after */
    int64_t looks;
    uint64_t too_early; /* beginnings at what is gone */
};

static bool one_in(struct faulty *f, uint32_t n) {
    return n > 0 && rng_below(&f->rng, n) == 0;
}

/* The record's bytes in memory of its own, with a bit turned when it is to be damaged. */
static void hold(struct faulty *f, const struct record *record, uint32_t slot, bool damage) {
    f->held = *record;
    f->held_slot = slot;
    memcpy(f->bytes, record->key.data, record->key.len);
    f->held.key.data = f->bytes;
    if (record->value.data != NULL) {
        memcpy(f->bytes + record->key.len, record->value.data, record->value.len);
        f->held.value.data = f->bytes + record->key.len;
        if (damage && record->value.len > 0)
            f->bytes[record->key.len + rng_below(&f->rng, (uint32_t)record->value.len)] ^=
                (uint8_t)(1u << rng_below(&f->rng, 8));
    }
    f->has_held = true;
}

static enum status faulty_next(void *self, uint32_t wait_ms, struct record *out, bool *got,
                               uint32_t *slot, struct error *err) {
    struct faulty *f = self;
    if (f->has_held) {
        *out = f->held;
        *slot = f->held_slot;
        *got = true;
        f->has_held = false;
        return OK;
    }
    TRY(f->inner.next(f->inner.self, wait_ms, out, got, slot, err));
    if (!*got || *slot == f->inner.slots - 1 || out->key.len + out->value.len > sizeof f->bytes)
        return OK;
    if (one_in(f, f->faults.loses)) {
        *got = false;
    } else if (one_in(f, f->faults.repeats)) {
        hold(f, out, *slot, false);
    } else if (one_in(f, f->faults.damages)) {
        hold(f, out, *slot, true);
        *out = f->held;
        f->has_held = false;
    } else if (one_in(f, f->faults.swaps)) {
        hold(f, out, *slot, false);
        struct record late = f->held;
        uint32_t late_slot = f->held_slot;
        f->has_held = false;
        TRY(f->inner.next(f->inner.self, wait_ms, out, got, slot, err));
        f->held = late;
        f->held_slot = late_slot;
        f->has_held = true;
    } else {
        return OK;
    }
    f->made++;
    return OK;
}

#define INNER(f) (((struct faulty *)(f))->inner)
static enum status faulty_start(void *f, const int64_t *from, struct error *err) {
    struct faulty *faulty = f;
    faulty->has_held = false;
    if (faulty->retains && from[faulty->inner.slots - 1] <= 1) {
        faulty->too_early++;
        return FAIL(err, BAD_RECORD, EX_DATAERR, "the log begins later");
    }
    if (faulty->transient && faulty->readings++ > 0)
        faulty->faults = (struct faults){0};
    return INNER(f).start(INNER(f).self, from, err);
}
static int64_t faulty_at(void *f, uint32_t slot) {
    return INNER(f).at(INNER(f).self, slot);
}
static bool faulty_slot(void *f, enum topic topic, int32_t partition, uint32_t *slot) {
    return INNER(f).slot(INNER(f).self, topic, partition, slot);
}
static enum status faulty_capture(void *f, struct error *err) {
    return INNER(f).capture(INNER(f).self, err);
}
static double faulty_share(void *f) {
    return INNER(f).share(INNER(f).self);
}
static bool faulty_ended(void *f) {
    return INNER(f).ended(INNER(f).self);
}
static enum status faulty_look(void *f, struct codec *codec, struct arena *arena, int64_t *last,
                               const char **config, struct error *err) {
    struct faulty *faulty = f;
    TRY(faulty->inner.look(faulty->inner.self, codec, arena, last, config, err));
    if (faulty->retains)
        *last = ++faulty->looks;
    return OK;
}
static void faulty_close(void *f) {
    INNER(f).close(INNER(f).self);
    free(f);
}

static struct follow *open_faulty(const char *name, uint64_t seed, struct faults faults,
                                  size_t staged_bytes, struct faulty **out, bool retains) {
    struct follow_source *source;
    struct follow *follow;
    struct error err = {0};
    struct follow_config *config = calloc(1, sizeof *config);
    settings_default(&config->settings);
    config->undo_bytes = (size_t)64 << 20;
    config->staged_bytes = staged_bytes;
    ck_assert_int_eq(follow_source_recording(&source, path_of(name), &err), OK);
    struct faulty *f = calloc(1, sizeof *f);
    f->inner = source->feed;
    f->rng = rng_stream(seed, 77, 1, 0);
    f->faults = faults;
    f->retains = retains;
    source->feed =
        (struct feed){f,           source->feed.slots, faulty_start, faulty_next,  faulty_at,
                      faulty_slot, faulty_capture,     faulty_share, faulty_ended, faulty_look,
                      faulty_close};
    *out = f;
    if (follow_open(&follow, source, config, &err) != OK)
        ck_abort_msg("%s", err.text);
    free(config);
    return follow;
}

/* A visible epoch, row for row, against one that had everything. */
static void compare(cs_follower *all, const struct follow *follow, uint64_t seed) {
    const struct versions *versions = follow_versions(follow);
    struct step_facts facts;
    cs_error error = {0};
    cs_view *view;
    static uint32_t ours[1 << 18], theirs[1 << 18];
    versions_facts(versions, versions_newest(versions), &facts);
    must_be(cs_view_open_at(all, facts.epoch, &view, &error), CS_OK);
    for (uint32_t t = 0; t < tables_count(follow_tables(follow)); t++) {
        const struct table *table = tables_at(follow_tables(follow), t);
        const struct table *other = tables_at(all->set, t);
        size_t bytes = table_spec(table)->value_bytes;
        for (uint32_t row = 0; row < versions_end(all->versions, other) + 8; row++) {
            enum seen a = versions_value(versions, facts.step, table, row, ours),
                      b = versions_value(all->versions, view->facts.step, other, row, theirs);
            if (a != b || (a == SEEN_LIVE && memcmp(ours, theirs, bytes) != 0))
                ck_abort_msg("epoch %llu: %s, row %u is another one; seed %llu",
                             (unsigned long long)facts.epoch, table_spec(table)->name, row,
                             (unsigned long long)seed);
        }
    }
    cs_view_close(view);
}

START_TEST(faults_are_noticed_and_healed) {
    static const struct faults kinds[] = {{.loses = 900},   {.repeats = 50},         {.swaps = 900},
                                          {.damages = 900}, {3000, 400, 3000, 3000}, {0}};
    static const size_t staged[] = {1 << 16, 1 << 20, 1 << 26};
    uint64_t seed = seed_of((uint64_t)_i + 1), shown = 0;
    struct faulty *feed;
    struct error err = {0};
    enum follow_news news = FOLLOW_NOTHING;
    enum status status = OK;
    cs_follower *all = whole(_i / 3 % 2 ? "living" : "plain");
    struct follow *follow = open_faulty(_i / 3 % 2 ? "living" : "plain", seed, kinds[_i % 6],
                                        staged[_i % 3], &feed, false);
    feed->transient = _i >= 6;
    while (status == OK && news != FOLLOW_END) {
        status = follow_step(follow, 0, &news, &err);
        if (status != OK || news != FOLLOW_EPOCH)
            continue;
        shown++;
        compare(all, follow, seed);
    }
    const struct follow_counts *counts = follow_counts(follow);
    printf(
        "seed %llu: %llu faults, %llu epochs shown, %llu repeats, %llu bad rows, %llu bad digests, "
        "%s\n",
        (unsigned long long)seed, (unsigned long long)feed->made, (unsigned long long)shown,
        (unsigned long long)counts->repeats, (unsigned long long)counts->bad_rows,
        (unsigned long long)counts->bad_digests, status == OK ? "whole" : err.text);
    ck_assert_msg(status == OK || !feed->transient, "%s", err.text);
    if (status != OK) /* clear: it says where it stands */
        ck_assert_msg(err.exit_code == EX_DATAERR && feed->made > 0, "%s", err.text);
    if (_i % 6 == 1 || feed->made == 0) /* repeats alone do no harm */
        ck_assert_msg(status == OK && counts->bad_digests + counts->bad_rows == 0, "%s", err.text);
    if (feed->made == 0)
        ck_assert_uint_eq(counts->repeats, 0);
    follow_close(follow);
    cs_close(all);
}
END_TEST

/* ---- beside readers ---- */

struct reader {
    pthread_t thread;
    cs_follower *follower;
    _Atomic bool *done;
    cs_follower *all;
    _Atomic uint64_t whole;
    uint64_t wrong;
};

static void *read_on(void *self) {
    struct reader *r = self;
    while (!*r->done) {
        cs_view *view, *wanted;
        if (cs_view_open(r->follower, &view, NULL) != CS_OK)
            continue;
        struct digest digest = digest_of_view(view);
        if (cs_view_check(view) == CS_OK &&
            cs_view_open_at(r->all, cs_view_epoch(view), &wanted, NULL) == CS_OK) {
            r->wrong += !digest_equal(digest, digest_of_view(wanted));
            r->whole++;
            cs_view_close(wanted);
        }
        cs_view_close(view);
    }
    return NULL;
}

START_TEST(readers_see_whole_epochs) {
    uint64_t seed = 0, whole_views = 0;
    cs_error error = {0};
    cs_follower *all = whole("living");
    _Atomic bool done = false;
    struct reader readers[2] = {0};
    while (whole_views <
           20) { /* the recording is short: again, until readers have been in the middle of it */
        cs_follower *f;
        must_be(cs_open_recording(&f, path_of("living"), NULL, &error), CS_OK);
        done = false;
        for (int i = 0; i < 2; i++) {
            readers[i].follower = f;
            readers[i].all = all;
            readers[i].done = &done;
            pthread_create(&readers[i].thread, NULL, read_on, &readers[i]);
        }
        must_be(cs_start(f, &error), CS_OK);
        must_be(cs_wait(f, CS_LATEST, -1, &error), CS_OK);
        done = true;
        whole_views = 0;
        for (int i = 0; i < 2; i++) {
            pthread_join(readers[i].thread, NULL);
            ck_assert_uint_eq(readers[i].wrong, 0);
            whole_views += readers[i].whole;
        }
        must_be(cs_wait(f, CS_LATEST, -1, &error), CS_OK); /* also when the thread is at the end */
        must_be(cs_stop(f, &error), CS_OK);
        cs_close(f);
    }
    cs_close(all);
}
END_TEST

/* ---- the stage's own bits ---- */

static struct session stage_session;

static struct model *restored(const char *name) {
    struct error err = {0};
    if (restore_finished(&stage_session, path_of(name), &err) != OK)
        ck_abort_msg("%s", err.text);
    return stage_model(stage_session.stage);
}

START_TEST(it_encodes_as_the_stage_does) {
    static const char *const names[] = {"plain", "living"};
    uint64_t seed = 0;
    cs_error error = {0};
    cs_follower *f = whole(names[_i]);
    struct model *m = restored(names[_i]);
    cs_view *view;
    cs_encoder *encoder;
    must_be(cs_view_open(f, &view, &error), CS_OK);
    must_be(cs_encoder_open(view, &encoder, &error), CS_OK);
    uint32_t items = 0, same_sid = 0, dims = m->config.tokenizer.z_dims;
    for (uint32_t row = 0; row < table_end(m->items); row++) {
        uint16_t codes[CS_CODES];
        float z[64], left;
        if (!table_live(m->sid, row) ||
            ((const struct sid_row *)table_value(m->sid, row))->generation != model_generation(m))
            continue;
        const struct sid_row *sid = table_value(m->sid, row);
        must_be(cs_encode(encoder, 1, table_value(m->content, row), codes, z, &left, &error),
                CS_OK);
        ck_assert_mem_eq(z, table_value(m->z, row), dims * sizeof *z);
        items++;
        same_sid += memcmp(codes, sid->codes, sizeof codes) == 0;
        if (_i == 0)
            ck_assert(left == sid->quantisation_error);
    }
    ck_assert_uint_gt(items, 100);
    /* frozen books: the SID is a function of the content; living ones: items keep theirs in near ties, and a book moves on before an item does */
    if (_i == 0)
        ck_assert_uint_eq(same_sid, items);
    else
        ck_assert_uint_gt(same_sid, items / 4);
    cs_encoder_close(encoder);
    cs_view_close(view);
    cs_close(f);
    session_close(&stage_session);
}
END_TEST

/* A mini-batch as the stage would score it next, and each of its events by the library. */
START_TEST(it_scores_as_the_stage_does) {
    static const char *const names[] = {"plain", "living"};
    uint64_t seed = seed_of(1), events = 0;
    cs_error error = {0};
    cs_follower *f = whole(names[_i]);
    struct model *m = restored(names[_i]);
    struct rng rng = rng_stream(seed, 77, 2, 0);
    cs_view *view;
    cs_scorer *scorer;
    must_be(cs_view_open(f, &view, &error), CS_OK);
    must_be(cs_scorer_open(view, &scorer, &error), CS_OK);
    for (int round = 0; round < 20; round++) {
        struct sample samples[32];
        float logits[32];
        int64_t now_ms = 1769000000000 + round * 3600000;
        for (int e = 0; e < 32; e++)
            samples[e] = (struct sample){.user_row = rng_below(&rng, table_end(m->users)),
                                         .item_row = rng_below(&rng, table_end(m->items)),
                                         .time_ms = now_ms};
        batch_build(m, samples, 32);
        ranker_score(m->ranker, &m->batch, logits);
        for (int e = 0; e < 32; e++) {
            const struct user_row *user = user_at(m, samples[e].user_row);
            const struct item_handle *history = user_history(user);
            uint32_t positions[64];
            float logit;
            for (uint32_t h = 0; h < user->history_length; h++)
                positions[h] = model_item_alive(m, history[h]) ? history[h].position : NO_ROW;
            cs_user who = {.history = positions,
                           .history_length = user->history_length,
                           .clicks = user->clicks};
            must_be(
                cs_score(scorer, &who, sizeof who, now_ms, 1, &samples[e].item_row, &logit, &error),
                CS_OK);
            if (memcmp(&logit, &logits[e], sizeof logit) != 0)
                ck_abort_msg("event %d: %.9g instead of %.9g; seed %llu", e, (double)logit,
                             (double)logits[e], (unsigned long long)seed);
            events += user->history_length > 0;
        }
    }
    ck_assert_uint_gt(events, 300);
    cs_scorer_close(scorer);
    cs_view_close(view);
    cs_close(f);
    session_close(&stage_session);
}
END_TEST

/* ---- a beginning that is gone ---- */

/* Retention takes the manifest where the follower would have begun. */
START_TEST(it_begins_where_the_log_begins_now) {
    struct faulty *feed;
    struct error err = {0};
    enum follow_news news = FOLLOW_NOTHING;
    struct follow *follow = open_faulty("plain", 1, (struct faults){0}, 1 << 26, &feed, true);
    while (news != FOLLOW_END)
        if (follow_step(follow, 0, &news, &err) != OK)
            ck_abort_msg("%s", err.text);
    ck_assert_uint_eq(feed->too_early, 1);
    ck_assert_uint_eq(follow_counts(follow)->resyncs, 1);
    ck_assert_uint_gt(follow_counts(follow)->epochs, 20);
    follow_close(follow);
}
END_TEST

/* ---- stopping ---- */

static void *wait_for_ever(void *self) {
    return (void *)(intptr_t)cs_wait(self, CS_LATEST - 1, -1, NULL);
}

START_TEST(a_wait_ends_when_the_thread_is_stopped) {
    uint64_t seed = 0;
    cs_error error = {0};
    void *outcome = NULL;
    /* again, until it was stopped before the recording's end and under a wait */
    while ((intptr_t)outcome != CS_AGAIN) {
        cs_follower *f;
        pthread_t waiter;
        must_be(cs_open_recording(&f, path_of("living"), NULL, &error), CS_OK);
        must_be(cs_start(f, &error), CS_OK);
        ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_ever, f), 0);
        must_be(cs_wait(f, 1, -1, &error), CS_OK);
        must_be(cs_stop(f, &error), CS_OK);
        pthread_join(waiter, &outcome);
        ck_assert((intptr_t)outcome == CS_AGAIN || (intptr_t)outcome == CS_END);
        cs_close(f);
    }
}
END_TEST

/* ---- positions ---- */

/* The first varint of a row's value is its position: 2^32 - 1 has as many bytes as 2^32. */
START_TEST(a_position_past_32_bits_is_no_position) {
    static const uint8_t last[] = {0xfe, 0xff, 0xff, 0xff, 0x1f},
                         past[] = {0x80, 0x80, 0x80, 0x80, 0x20};
    struct error err = {0};
    struct codec *codec;
    struct record record;
    struct row_output back;
    struct output output = {.topic = TOPIC_RANKER_DELTAS,
                            .kind = OUTPUT_ROW,
                            .as.row = {.table = "counts",
                                       .key = bytes_text("x"),
                                       .value = bytes_text("four"),
                                       .position = UINT32_MAX,
                                       .version = 1,
                                       .epoch = 1}};
    ck_assert_int_eq(codec_create(&codec, NULL, 0, (size_t)1 << 30, &err), OK);
    struct codec_port port = codec_port(codec);
    ck_assert_int_eq(port.encode(port.self, &output, &record, &err), OK);
    uint8_t value[256], key[256];
    ck_assert(record.value.len <= sizeof value && record.key.len <= sizeof key);
    memcpy(value, record.value.data, record.value.len);
    memcpy(key, record.key.data, record.key.len);
    record.value.data = value;
    record.key.data = key;
    ck_assert_int_eq(codec_decode_row(codec, &record, &back, &err), OK);
    ck_assert_uint_eq(back.position, UINT32_MAX);
    uint8_t *position = memmem(value, record.value.len, last, sizeof last);
    ck_assert_ptr_nonnull(position);
    memcpy(position, past, sizeof past);
    ck_assert_int_eq(codec_decode_row(codec, &record, &back, &err), BAD_RECORD);
    ck_assert_ptr_nonnull(strstr(err.text, "4294967296"));
    codec_destroy(codec);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("follow");
    TCase *tests = tcase_create("follow");
    tcase_set_timeout(tests, 180);
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, every_epoch_becomes_visible, 0, 2);
    tcase_add_test(tests, a_view_stays_what_it_is);
    tcase_add_loop_test(tests, faults_are_noticed_and_healed, 0, 12);
    tcase_add_test(tests, readers_see_whole_epochs);
    tcase_add_test(tests, it_begins_where_the_log_begins_now);
    tcase_add_test(tests, a_wait_ends_when_the_thread_is_stopped);
    tcase_add_test(tests, a_position_past_32_bits_is_no_position);
    tcase_add_loop_test(tests, it_encodes_as_the_stage_does, 0, 2);
    tcase_add_loop_test(tests, it_scores_as_the_stage_does, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
