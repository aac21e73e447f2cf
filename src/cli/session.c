#include "cli/session.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/count_listings.h"
#include "cli/shipped.h"
#include "config/kafka_settings.h"
#include "config/model_settings.h"
#include "config/properties.h"
#include "math/blas_core.h"
#include <string.h>
#include <unistd.h>

#define REGISTRY_TRIES 60                  /* seconds to wait for a registry at start */
#define SESSION_BYTES ((size_t)1 << 30)    /* of address space */
#define CODEC_BYTES_MAX ((size_t)64 << 20) /* Avro C's heap; the largest record must fit */

/* Counts and times of a file whose recording.yaml entry has none. */
static enum status count_file(const struct session *s, struct recorded_partition *partition,
                              struct error *err) {
    struct recording_reader *reader;
    TRY(recording_reader_open(&reader, s->from, partition, err));
    enum status status = OK;
    for (bool got = true; status == OK && got;) {
        struct record record;
        status = recording_reader_next(reader, &record, &got, err);
        if (status != OK || !got)
            break;
        if (partition->count++ == 0 || record.timestamp_ms < partition->first_timestamp_ms)
            partition->first_timestamp_ms = record.timestamp_ms;
    }
    recording_reader_close(reader);
    return status;
}

static enum status count_inputs(struct session *s, struct error *err) {
    for (uint32_t i = 0; i < s->info.partition_count; i++) {
        struct recorded_partition *p = &s->info.partitions[i];
        bool input = p->topic < TOPIC_INPUTS;
        if (input && p->count == 0)
            TRY(count_file(s, p, err));
        if (p->topic == TOPIC_INTERACTIONS)
            s->interactions += (uint64_t)p->count;
        if (p->topic == TOPIC_ITEM_CONTENT)
            s->listings += (uint64_t)p->count;
    }
    if (s->interactions + s->listings == 0)
        return FAIL(err, FATAL, EX_NOINPUT,
                    "%s: the recording has no item-content and no interactions", s->from);
    return OK;
}

static enum status open_codec(struct session *s, struct error *err) {
    struct writer_schema *writers =
        arena_must(&s->arena, (s->info.schema_count + 1) * sizeof *writers);
    for (uint32_t i = 0; i < s->info.schema_count; i++)
        writers[i] = (struct writer_schema){s->info.schemas[i].id, s->info.schemas[i].subject,
                                            s->info.schemas[i].json};
    TRY(codec_create(&s->codec, writers, s->info.schema_count, CODEC_BYTES_MAX, err));
    if (s->info.live) /* it carries all that its inputs name; a registry's 1 is not ours */
        codec_use_source(s->codec, (struct schema_source){0});
    return OK;
}

#define LENGTHS_READ 64 /* listings whose vectors decide the length */

/* Lengths of the first content vectors, as many as fit. */
static enum status read_lengths(struct session *s, const struct recorded_partition *partition,
                                uint32_t lengths[LENGTHS_READ], uint32_t *count,
                                struct error *err) {
    struct recording_reader *reader;
    struct codec_port codec = codec_port(s->codec);
    TRY(recording_reader_open(&reader, s->from, partition, err));
    enum status status = OK;
    for (bool got = true; status == OK && got && *count < LENGTHS_READ;) {
        struct record record;
        struct event event;
        enum dead_reason reason;
        status = recording_reader_next(reader, &record, &got, err);
        if (status == OK && got && record.damage == NULL &&
            codec.decode(codec.self, &record, &event, &reason, err) == OK &&
            event.kind == EVENT_LISTING)
            lengths[(*count)++] = event.as.listing.dims;
    }
    recording_reader_close(reader);
    return status;
}

/* The one that most listings have; the first of them in a tie. */
static uint32_t commonest(const uint32_t *lengths, uint32_t count) {
    uint32_t best = 0, best_votes = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t votes = 0;
        for (uint32_t j = 0; j < count; j++)
            votes += lengths[j] == lengths[i];
        if (votes > best_votes) {
            best = lengths[i];
            best_votes = votes;
        }
    }
    return best;
}

static enum status find_dims(struct session *s, struct error *err) {
    TRY(settings_lay_out(&s->settings, err));
    uint32_t lengths[LENGTHS_READ], count = 0;
    for (uint32_t i = 0; i < s->info.partition_count && s->settings.content_dims == 0; i++)
        if (s->info.partitions[i].topic == TOPIC_ITEM_CONTENT)
            TRY(read_lengths(s, &s->info.partitions[i], lengths, &count, err));
    if (s->settings.content_dims == 0)
        s->settings.content_dims = commonest(lengths, count) + s->settings.stage.layout.ngram_dims;
    if (s->settings.content_dims < 2)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s: no listing with a content vector of 2 or more numbers: set content.dims, "
                    "or record the item-content topic too",
                    s->from);
    return OK;
}

/* Codebooks trained at the last listing would serve nobody: a recording that lists too few items before its first interaction
 * trains on those, or on a quarter of all, whichever is more. */
static enum status fit_train_listings(struct session *s, struct error *err) {
    int64_t first_ms = INT64_MAX;
    uint32_t wanted = s->settings.train_listings, before, all;
    for (uint32_t i = 0; i < s->info.partition_count; i++)
        if (s->info.partitions[i].topic == TOPIC_INTERACTIONS && s->info.partitions[i].count > 0 &&
            s->info.partitions[i].first_timestamp_ms < first_ms)
            first_ms = s->info.partitions[i].first_timestamp_ms;
    TRY(count_listings(s, first_ms, wanted, &before, err));
    if (before == wanted)
        return OK;
    TRY(count_listings(s, INT64_MAX, 4 * wanted, &all, err));
    uint32_t listings = before > all / 4 ? before : all / 4;
    if (listings < wanted)
        s->settings.train_listings = listings < 2 ? 2 : listings;
    return OK;
}

/* What the outputs were made with: settings that reach no further than a run are at their defaults. So a replay of a live run's recording
 * has its configuration. */
static void lasting_text(struct session *s) {
    struct settings preset, lasting = s->settings;
    settings_default(&preset);
    for (uint32_t i = 0; i < property_count; i++)
        if (properties[i].reach != REACH_STATE)
            property_copy(&properties[i], &preset, &lasting);
    settings_text(&lasting, s->config_text, sizeof s->config_text);
}

enum status session_open(struct session *s, const struct settings *settings, const char *from,
                         const char *to, struct error *err) {
    memset(s, 0, sizeof *s);
    s->settings = *settings;
    s->output_schema_count = shipped_schemas(false, s->output_schemas);
    s->from = from;
    s->to = to;
    TRY(arena_reserve(&s->arena, "session", SESSION_BYTES, err));
    TRY(recording_info_read(from, &s->arena, &s->info, err));
    TRY(count_inputs(s, err));
    TRY(open_codec(s, err));
    TRY(find_dims(s, err));
    settings_fit_z(&s->settings);
    TRY(fit_train_listings(s, err));
    if (s->settings.warmup_events == 0)
        s->settings.warmup_events = (uint64_t)(s->settings.warmup_share * (double)s->interactions);
    lasting_text(s);
    return recording_source_open(&s->source, from, &s->info, err);
}

static enum status schema_from_registry(void *self, int32_t id, const char **json,
                                        struct error *err) {
    return registry_schema(self, id, json, err);
}

/* What producers write now must be what we can read. */
static enum status check_subject(struct session *s, enum topic topic, const char *ours,
                                 struct error *err) {
    char subject[256];
    struct writer_schema latest = {.subject = ours};
    snprintf(subject, sizeof subject, "%s%s-value", s->settings.kafka_prefix,
             s->settings.topic_names[topic]);
    enum status status = registry_latest(s->registry, subject, &latest.id, &latest.json, err);
    for (int tries = 1; status == RETRY && tries < REGISTRY_TRIES; tries++) {
        sleep(1);
        status = registry_latest(s->registry, subject, &latest.id, &latest.json, err);
    }
    if (status == BAD_RECORD) {
        log_info("registry.subject", LOG_TEXT("subject", subject),
                 LOG_TEXT("text", "not registered yet"));
        return OK;
    }
    TRY(status);
    if (codec_add_schema(s->codec, &latest, err) != OK) {
        err->exit_code = EX_CONFIG;
        error_context(err, "schema registry: subject %s, whose latest schema we cannot read",
                      subject);
        return FATAL;
    }
    log_info("registry.subject", LOG_TEXT("subject", subject), LOG_INT("id", latest.id));
    return OK;
}

static enum status open_registry(struct session *s, struct error *err) {
    const char *auth = NULL;
    if (s->settings.registry_auth[0] != '\0' &&
        settings_expand(s->settings.registry_auth, &s->arena, &auth, err) != OK)
        return error_context(err, "schema_registry.auth");
    TRY(registry_open(&s->registry, s->settings.registry_url, auth, err));
    codec_use_source(s->codec, (struct schema_source){s->registry, schema_from_registry});
    TRY(check_subject(s, TOPIC_ITEM_CONTENT, "item-content-value", err));
    return check_subject(s, TOPIC_INTERACTIONS, "interactions-value", err);
}

enum status session_open_live(struct session *s, const struct settings *settings,
                              struct error *err) {
    memset(s, 0, sizeof *s);
    s->settings = *settings;
    TRY(arena_reserve(&s->arena, "session", SESSION_BYTES, err));
    TRY(open_codec(s, err));
    TRY(settings_lay_out(&s->settings, err));
    if (s->settings.content_dims < 2)
        return FAIL(err, FATAL, EX_CONFIG,
                    "content.dims must be set: on live topics no recording tells how long the "
                    "listings' vectors are");
    settings_fit_z(&s->settings);
    lasting_text(s);
    return settings->registry_url[0] != '\0' ? open_registry(s, err) : OK;
}

static void adopt_problem(void *self, const char *text) {
    (void)self;
    log_warn("config.problem", LOG_TEXT("text", text));
}

/* What reaches no further than a run is not in the text, and the session's own. */
enum status session_adopt(struct session *s, const char *config_text, const char *name,
                          struct error *err) {
    struct settings theirs;
    TRY(settings_decode(&theirs, bytes_text(config_text), name, adopt_problem, NULL, err));
    for (uint32_t i = 0; i < property_count; i++)
        if (properties[i].reach != REACH_STATE)
            property_copy(&properties[i], &s->settings, &theirs);
    s->settings = theirs;
    snprintf(s->config_text, sizeof s->config_text, "%s", config_text);
    return OK;
}

enum status session_open_outputs(struct session *s, const char *dir, struct error *err) {
    memset(s, 0, sizeof *s);
    s->from = s->to = dir;
    TRY(arena_reserve(&s->arena, "session", SESSION_BYTES, err));
    TRY(open_codec(s, err)); /* the stage's own schemas */
    return recording_info_read(dir, &s->arena, &s->info, err);
}

enum status session_stage(struct session *s, struct source_port source, struct sink_port sink,
                          struct error *err) {
    s->settings.stage.config_text = s->config_text;
    s->settings.stage.build = program_version;
    s->settings.stage.blas_core = blas_core_running();
    struct model_config model = settings_model(&s->settings);
    return stage_create(&s->stage, &s->settings.stage, &model, source, sink, codec_port(s->codec),
                        err);
}

void session_close(struct session *s) {
    stage_destroy(s->stage);
    if (s->source)
        recording_source_close(s->source);
    if (s->codec)
        codec_destroy(s->codec);
    if (s->registry)
        registry_close(s->registry);
    arena_release(&s->arena);
}

void session_writer_config(const struct session *s, struct recording_writer_config *out) {
    memset(out, 0, sizeof *out);
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++)
        out->partitions[topic] = topic == TOPIC_EPOCHS ? 1 : (int32_t)s->settings.output_partitions;
    out->compression = (enum compression)s->settings.output_compression;
    out->synthetic = s->info.synthetic;
    out->schema_count = s->output_schema_count;
    out->schemas = s->output_schemas;
}
