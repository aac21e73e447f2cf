/* Opening, driving, waiting. */
#include "follow/public.h"

#include "base/clock.h"

#include <time.h>

#include "base/poison.h"

#define STEP_MS 50  /* the library's own thread waits so long for a record */
#define AWAY_MS 200 /* ... and so long while the broker is away */

/* ---- opening ---- */

static size_t bytes_needed(uint32_t tables) {
    return sizeof(cs_follower) + CS_VIEWS_MAX * (sizeof(cs_view) + tables * sizeof(void *) + 64) +
           4096;
}

static enum status create(cs_follower **out, struct follow *follow, struct error *err) {
    struct arena arena;
    uint32_t tables = tables_count(follow_tables(follow));
    TRY(arena_reserve(&arena, "library", bytes_needed(tables), err));
    cs_follower *f = arena_must(&arena, sizeof *f);
    *f = (cs_follower){.arena = arena,
                       .follow = follow,
                       .versions = follow_versions(follow),
                       .set = follow_tables(follow),
                       .model = follow_model(follow)};
    f->items = tables_named(f->set, bytes_text("items"));
    f->sid = tables_named(f->set, bytes_text("sid"));
    f->counts = tables_named(f->set, bytes_text("counts"));
    f->z = tables_named(f->set, bytes_text("z"));
    f->codebooks = tables_named(f->set, bytes_text("codebooks"));
    f->views = arena_must(&f->arena, CS_VIEWS_MAX * sizeof *f->views);
    for (uint32_t i = 0; i < CS_VIEWS_MAX; i++) {
        f->views[i].follower = f;
        f->views[i].dense = arena_must(&f->arena, tables * sizeof *f->views[i].dense);
    }
    pthread_mutex_init(&f->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&f->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = f;
    return OK;
}

static enum status open_follower(cs_follower **out, const char *folder, const cs_options *options,
                                 struct error *err) {
    struct follow_source *source;
    struct follow *follow;
    TRY(folder != NULL ? follow_source_recording(&source, folder, err)
                       : follow_source_kafka(&source, &options->config.settings, err));
    TRY(follow_open(&follow, source, &options->config, err));
    enum status status = create(out, follow, err);
    if (status != OK)
        follow_close(follow);
    return status;
}

static int open_any(cs_follower **out, const char *folder, const cs_options *options,
                    cs_error *error) {
    struct error err = {0};
    cs_options *preset = options == NULL ? cs_options_new() : NULL;
    if (options == NULL && preset == NULL)
        return public_fail(error, CS_NO_MEMORY, EX_OSERR, "no memory for options");
    enum status status = open_follower(out, folder, options != NULL ? options : preset, &err);
    cs_options_free(preset);
    if (status == RETRY)
        return public_fail(error, CS_UNAVAILABLE, EX_TEMPFAIL, "%s", err.text);
    return public_status(status, &err, error);
}

int cs_open_recording(cs_follower **out, const char *folder, const cs_options *options,
                      cs_error *error) {
    if (folder == NULL)
        return public_fail(error, CS_INVALID, EX_USAGE, "no folder");
    return open_any(out, folder, options, error);
}

int cs_open_kafka(cs_follower **out, const cs_options *options, cs_error *error) {
    if (options == NULL)
        return public_fail(error, CS_CONFIG, EX_CONFIG, "kafka.brokers is not set");
    return open_any(out, NULL, options, error);
}

void cs_close(cs_follower *f) {
    if (f == NULL)
        return;
    cs_stop(f, NULL);
    for (uint32_t i = 0; i < CS_VIEWS_MAX; i++)
        if (f->views[i].open)
            cs_view_close(&f->views[i]);
    follow_close(f->follow);
    pthread_cond_destroy(&f->news);
    pthread_mutex_destroy(&f->mutex);
    struct arena arena = f->arena; /* it lies in it */
    arena_release(&arena);
}

/* ---- driving ---- */

static int step(cs_follower *f, uint32_t wait_ms, cs_error *error) {
    struct error err = {0};
    enum follow_news news = FOLLOW_NOTHING;
    enum status status = follow_step(f->follow, wait_ms, &news, &err);
    if (status != OK)
        return public_status(status, &err, error);
    return news == FOLLOW_EPOCH ? CS_OK : news == FOLLOW_END ? CS_END : CS_AGAIN;
}

int cs_step(cs_follower *f, int timeout_ms, cs_error *error) {
    int64_t until = clock_ms() + timeout_ms;
    if (f->threaded)
        return public_fail(error, CS_INVALID, EX_USAGE, "the library's own thread drives it");
    public_fail(error, CS_OK, 0, "%s", "");
    for (;;) {
        int64_t left = until - clock_ms();
        int outcome = step(f, left > STEP_MS ? STEP_MS : left > 0 ? (uint32_t)left : 0, error);
        if (outcome != CS_AGAIN || (timeout_ms >= 0 && clock_ms() >= until))
            return outcome;
    }
}

static bool goes_on(int outcome) {
    return outcome == CS_OK || outcome == CS_AGAIN;
}

static void *drive(void *self) {
    cs_follower *f = self;
    int outcome = CS_AGAIN;
    while (!f->stop && goes_on(outcome)) {
        cs_error error = {0};
        outcome = step(f, STEP_MS, &error);
        pthread_mutex_lock(&f->mutex);
        f->error = error;
        f->outcome = goes_on(outcome) ? CS_OK : outcome;
        pthread_cond_broadcast(&f->news);
        pthread_mutex_unlock(&f->mutex);
        if (outcome == CS_AGAIN && error.text[0] != '\0')
            nanosleep(&(struct timespec){.tv_nsec = AWAY_MS * 1000000}, NULL);
    }
    return NULL;
}

int cs_start(cs_follower *f, cs_error *error) {
    if (f->threaded)
        return public_fail(error, CS_INVALID, EX_USAGE, "it has been started already");
    f->stop = false;
    f->outcome = CS_OK;
    if (pthread_create(&f->thread, NULL, drive, f) != 0)
        return public_fail(error, CS_NO_MEMORY, EX_OSERR, "no thread can be made");
    f->threaded = true;
    return CS_OK;
}

int cs_stop(cs_follower *f, cs_error *error) {
    if (!f->threaded)
        return CS_OK;
    f->stop = true;
    pthread_join(f->thread, NULL);
    pthread_mutex_lock(&f->mutex);
    f->threaded = false;
    pthread_cond_broadcast(&f->news); /* whoever waits for what it would have brought */
    pthread_mutex_unlock(&f->mutex);
    if (goes_on(f->outcome) || f->outcome == CS_END)
        return CS_OK;
    if (error != NULL)
        *error = f->error;
    return f->outcome;
}

/* ---- waiting ---- */

struct wish {
    uint64_t epoch, mark; /* mark: of CS_LATEST */
};

static bool fulfilled(const cs_follower *f, const struct wish *wish) {
    struct step_facts facts;
    if (wish->epoch == CS_LATEST)
        return follow_reached(f->follow, wish->mark);
    uint64_t newest = versions_newest(f->versions);
    return newest > 0 && versions_facts(f->versions, newest, &facts) == SEEN_LIVE &&
           facts.epoch >= wish->epoch;
}

/* The thread drives; what it tells wakes us. */
static int wait_threaded(cs_follower *f, const struct wish *wish, int64_t until, cs_error *error) {
    int outcome = CS_AGAIN;
    pthread_mutex_lock(&f->mutex);
    while (outcome == CS_AGAIN) {
        int64_t now = clock_ms();
        if (fulfilled(f, wish))
            outcome = CS_OK;
        else if (f->outcome != CS_OK) /* a recording at its end has nothing later */
            outcome = f->outcome == CS_END && wish->epoch == CS_LATEST ? CS_OK : f->outcome;
        else if (now >= until || !f->threaded) /* cs_stop: nobody brings it any more */
            break;
        else {
            int64_t wake = now + STEP_MS * 2;
            struct timespec at = {.tv_sec = wake / 1000, .tv_nsec = wake % 1000 * 1000000};
            pthread_cond_timedwait(&f->news, &f->mutex, &at);
        }
    }
    if (error != NULL && outcome != CS_OK)
        *error = f->error;
    pthread_mutex_unlock(&f->mutex);
    return outcome;
}

int cs_wait(cs_follower *f, uint64_t epoch, int timeout_ms, cs_error *error) {
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;
    struct wish wish = {.epoch = epoch};
    public_fail(error, CS_OK, 0, "%s", "");
    if (epoch == CS_LATEST)
        wish.mark = follow_mark(f->follow);
    if (f->threaded)
        return wait_threaded(f, &wish, until, error);
    while (!fulfilled(f, &wish)) {
        int64_t left = until - clock_ms();
        int outcome = step(f, left > STEP_MS ? STEP_MS : left > 0 ? (uint32_t)left : 0, error);
        if (!goes_on(outcome) && !(outcome == CS_END && fulfilled(f, &wish)))
            return outcome;
        if (outcome == CS_AGAIN && left <= 0)
            return CS_AGAIN;
    }
    return CS_OK;
}

/* ---- figures ---- */

void cs_follower_stats(const cs_follower *f, cs_stats *out, size_t size) {
    const struct follow_counts *counts = follow_counts(f->follow);
    struct step_facts facts = {0}, oldest = {0};
    uint64_t newest = versions_newest(f->versions);
    if (newest > 0) {
        versions_facts(f->versions, newest, &facts);
        versions_facts(f->versions, versions_oldest(f->versions), &oldest);
    }
    cs_stats stats = {.epoch = facts.epoch,
                      .newest_epoch = counts->newest_epoch,
                      .oldest_epoch = versions_oldest(f->versions) <= newest ? oldest.epoch : 0,
                      .progress = counts->progress,
                      .rows = counts->rows,
                      .epochs = counts->epochs,
                      .resyncs = counts->resyncs,
                      .gaps = counts->gaps,
                      .repeats = counts->repeats,
                      .bad_rows = counts->bad_rows,
                      .bad_digests = counts->bad_digests,
                      .memory_bytes = counts->table_bytes + counts->version_bytes,
                      .row_bytes = counts->row_bytes};
    public_copy(out, size, &stats, sizeof stats);
}

/* ---- tables ---- */

uint32_t public_number(const cs_follower *f, uint32_t table) {
    return f->items != NULL && table >= table_number(f->items) ? table + 1 : table;
}

const struct table *public_table(const cs_follower *f, uint32_t table) {
    return table < cs_table_count(f) ? tables_at(f->set, public_number(f, table)) : NULL;
}

uint32_t cs_table_count(const cs_follower *f) {
    return tables_count(f->set) - (f->items != NULL);
}

static const char *topic_of(enum table_output output) {
    switch (output) {
    case TO_DELTAS:
        return topic_name(TOPIC_RANKER_DELTAS);
    case TO_SEMANTIC_IDS:
        return topic_name(TOPIC_SEMANTIC_IDS);
    case TO_CODEBOOKS:
        return topic_name(TOPIC_CODEBOOKS);
    case TO_CHANGELOG:
    case TO_NOTHING:
        break;
    }
    return "";
}

int cs_table_at(const cs_follower *f, uint32_t number, cs_table *out, size_t size) {
    const struct table *table = public_table(f, number);
    if (table == NULL)
        return CS_ABSENT;
    const struct table_spec *spec = table_spec(table);
    cs_table info = {.name = spec->name,
                     .topic = topic_of(spec->output),
                     .key = spec->key_kind == KEY_U64     ? CS_KEY_NUMBER
                            : spec->key_kind == KEY_DENSE ? CS_KEY_POSITION
                                                          : CS_KEY_ITEM,
                     .row_bytes = spec->value_bytes,
                     .columns = spec->output == TO_SEMANTIC_IDS ? 0 : spec->value_bytes / 4,
                     .rows_max = spec->rows_max};
    public_copy(out, size, &info, sizeof info);
    return CS_OK;
}

uint32_t cs_table_named(const cs_follower *f, const char *name) {
    for (uint32_t i = 0; i < cs_table_count(f); i++)
        if (strcmp(table_spec(public_table(f, i))->name, name) == 0)
            return i;
    return UINT32_MAX;
}

void cs_follower_model(const cs_follower *f, cs_model *out, size_t size) {
    const struct ranker_config *ranker = &f->model->ranker;
    struct ranker_parts parts = ranker_parts(ranker);
    cs_model model = {.variant = ranker_variant_names[ranker->variant],
                      .content_dims = f->model->tokenizer.content_dims,
                      .z_dims = ranker->z_dims,
                      .width = ranker->width,
                      .history = ranker->history,
                      .hidden = {ranker->hidden[0], ranker->hidden[1]},
                      .gate_hidden = parts.gate ? ranker->gate_hidden : 0,
                      .opq_share = parts.opq ? ranker->opq_share : 0.0f,
                      .cross = parts.cross};
    memcpy(model.books, ranker->books, sizeof model.books);
    public_copy(out, size, &model, sizeof model);
}
