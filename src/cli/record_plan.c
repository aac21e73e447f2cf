#include "cli/record_plan.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- bounds ---- */

static bool parse_time(const char *text, int64_t *out) {
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M", &utc);
    if (rest != NULL && *rest == ':')
        rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest != NULL && strcmp(rest, "Z") == 0) {
        *out = (int64_t)timegm(&utc) * 1000;
        return true;
    }
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= 0;
}

/* "interactions:0=1500" */
static bool parse_offset(const char *text, struct output_end *out) {
    char name[64];
    int used = 0;
    return sscanf(text, "%63[a-z-]:%" SCNd32 "=%" SCNd64 "%n", name, &out->partition,
                  &out->end_offset, &used) == 3 &&
           text[used] == '\0' && topic_of_name(bytes_text(name), &out->topic) &&
           out->topic < TOPIC_INPUTS && out->partition >= 0 && out->end_offset >= 0;
}

static bool parse_offsets(const char *text, struct record_bound *out) {
    char copy[1024];
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    for (char *rest = copy, *one; (one = strsep(&rest, ",")) != NULL; out->offset_count++)
        if (out->offset_count == RECORD_OFFSETS_MAX ||
            !parse_offset(one, &out->offsets[out->offset_count]))
            return false;
    return true;
}

enum status record_bound_parse(const char *text, struct record_bound *out, struct error *err) {
    *out = (struct record_bound){0};
    if (strcmp(text, "earliest") == 0)
        return OK;
    if (strcmp(text, "latest") == 0)
        out->kind = BOUND_LATEST;
    else if (parse_time(text, &out->time_ms))
        out->kind = BOUND_TIME;
    else if (parse_offsets(text, out))
        out->kind = BOUND_OFFSETS;
    else
        return FAIL(err, FATAL, EX_USAGE,
                    "`%.100s' is no place in the topics; possible are latest, a time "
                    "(2026-11-25T16:00:00Z, or milliseconds since 1970), and offsets of the "
                    "inputs (interactions:0=1500,item-content:0=40)",
                    text);
    return OK;
}

/* The offset that a bound names for a partition; -1: none. */
static int64_t named(const struct record_bound *bound, enum topic topic, int32_t partition) {
    for (uint32_t i = 0; i < bound->offset_count; i++)
        if (bound->offsets[i].topic == topic && bound->offsets[i].partition == partition)
            return bound->offsets[i].end_offset;
    return -1;
}

/* ---- partitions ---- */

static enum status find_partitions(struct record_plan *plan, struct error *err) {
    uint32_t count = 0;
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
        TRY(kafka_copy_partitions(plan->asking, topic, &plan->partitions[topic], err));
        if (topic < TOPIC_INPUTS && plan->partitions[topic] > STAGE_PARTITIONS_MAX)
            return FAIL(err, FATAL, EX_CONFIG, "topic %s has %d partitions: the limit is %d",
                        topic_name(topic), plan->partitions[topic], STAGE_PARTITIONS_MAX);
        count += (uint32_t)plan->partitions[topic];
    }
    if (plan->partitions[TOPIC_ITEM_CONTENT] + plan->partitions[TOPIC_INTERACTIONS] == 0)
        return FAIL(err, FATAL, EX_CONFIG,
                    "neither %s nor %s is on the broker: look at kafka.prefix and topics.*",
                    topic_name(TOPIC_ITEM_CONTENT), topic_name(TOPIC_INTERACTIONS));
    if (count > RECORDED_PARTITIONS_MAX)
        return FAIL(err, FATAL, EX_CONFIG, "the topics have %u partitions; a recording takes %d",
                    count, RECORDED_PARTITIONS_MAX);
    return OK;
}

static enum status find_first(struct record_plan *plan, enum topic topic, int32_t partition,
                              struct error *err) {
    int64_t low, high, wanted = named(&plan->from, topic, partition);
    TRY(kafka_copy_range(plan->asking, topic, partition, &low, &high, err));
    if (plan->from.kind == BOUND_TIME)
        TRY(kafka_copy_offset_at(plan->asking, topic, partition, plan->from.time_ms, &wanted, err));
    if (plan->from.kind == BOUND_LATEST)
        wanted = high;
    if (wanted > high)
        return FAIL(err, FATAL, EX_USAGE,
                    "--from: %s-%d ends at offset %" PRId64 ", before the %" PRId64 " named",
                    topic_name(topic), partition, high, wanted);
    plan->first[topic][partition] = wanted > low ? wanted : low;
    return OK;
}

/* ---- manifests ---- */

static void mark(struct epoch_mark *out, const struct manifest *manifest, int64_t offset) {
    *out = (struct epoch_mark){.epoch = manifest->epoch,
                               .offset = offset,
                               .timestamp_ms = manifest->timestamp_ms,
                               .config_hash = manifest->config_hash,
                               .state = manifest->state,
                               .end_count = manifest->end_count};
    memcpy(out->ends, manifest->ends, manifest->end_count * sizeof *out->ends);
}

/* Whether the epoch reads what the recording will not have: then it begins later. */
static bool begins_before(const struct record_plan *plan, const struct manifest *manifest) {
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        const struct input_range *range = &manifest->ranges[r];
        if (range->partition >= STAGE_PARTITIONS_MAX ||
            range->first_offset < plan->first[range->topic][range->partition])
            return true;
    }
    return false;
}

static bool is_past(const struct record_plan *plan, const struct manifest *manifest) {
    const struct record_bound *until = &plan->until;
    if (until->kind == BOUND_TIME)
        return manifest->timestamp_ms >= until->time_ms;
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        int64_t end = named(until, manifest->ranges[r].topic, manifest->ranges[r].partition);
        if (end >= 0 && manifest->ranges[r].last_offset >= end)
            return true;
    }
    return false;
}

static enum status take_manifest(struct record_plan *plan, const struct manifest *manifest,
                                 int64_t offset, struct error *err) {
    if (manifest->end_count > RECORDED_PARTITIONS_MAX)
        return FAIL(err, FATAL, EX_DATAERR, "the manifest at offset %" PRId64 " has %u ends",
                    offset, manifest->end_count);
    bool first = plan->last.epoch == 0 && manifest->epoch > 1;
    bool starts = first || begins_before(plan, manifest) || plan->from.kind == BOUND_LATEST;
    if (manifest->config != NULL)
        snprintf(plan->config, sizeof plan->config, "%s", manifest->config);
    if (starts) {
        mark(&plan->start, manifest, offset);
        memcpy(plan->start_config, plan->config, sizeof plan->start_config);
    }
    mark(&plan->last, manifest, offset);
    for (uint32_t r = 0; r < manifest->range_count; r++) {
        const struct input_range *range = &manifest->ranges[r];
        if (range->partition < STAGE_PARTITIONS_MAX)
            plan->applied[range->topic][range->partition] = range->last_offset + 1;
    }
    return OK;
}

static enum status read_manifest(struct record_plan *plan, const struct record *record, bool *past,
                                 struct error *err) {
    struct manifest manifest;
    arena_reset(&plan->scratch);
    enum status status = codec_decode_manifest(plan->codec, record, &plan->scratch, &manifest, err);
    if (status == BAD_RECORD)
        return FAIL(err, FATAL, EX_DATAERR, "%s, offset %" PRId64 ": no manifest of this stage",
                    topic_name(TOPIC_EPOCHS), record->offset);
    TRY(status);
    *past = is_past(plan, &manifest);
    return *past ? OK : take_manifest(plan, &manifest, record->offset, err);
}

/* All that have been committed since the last look. */
static enum status read_manifests(struct record_plan *plan, struct error *err) {
    int64_t low, high;
    if (plan->partitions[TOPIC_EPOCHS] == 0)
        return OK;
    TRY(kafka_copy_range(plan->asking, TOPIC_EPOCHS, 0, &low, &high, err));
    struct kafka_span span = {TOPIC_EPOCHS, 0, low, high};
    if (plan->last.epoch > 0 && plan->last.offset >= low)
        span.next_offset = plan->last.offset + 1;
    TRY(kafka_copy_begin(plan->asking, &span, 1, err));
    for (bool past = false; !past && !*plan->stop && !kafka_copy_done(plan->asking);) {
        struct record record;
        bool got;
        TRY(kafka_copy_next(plan->asking, &record, &got, err));
        if (got)
            TRY(read_manifest(plan, &record, &past, err));
    }
    return OK;
}

/* ---- spans ---- */

static int64_t end_of(const struct epoch_mark *mark, enum topic topic, int32_t partition) {
    if (topic == TOPIC_EPOCHS)
        return mark->offset + 1;
    for (uint32_t i = 0; i < mark->end_count; i++)
        if (mark->ends[i].topic == topic && mark->ends[i].partition == partition)
            return mark->ends[i].end_offset;
    return 0;
}

static enum status begin_span(struct record_plan *plan, struct kafka_span *span,
                              struct error *err) {
    int64_t low, high;
    if (span->topic < TOPIC_INPUTS) {
        span->next_offset = plan->first[span->topic][span->partition];
        return OK;
    }
    TRY(kafka_copy_range(plan->asking, span->topic, span->partition, &low, &high, err));
    int64_t begin = plan->start.epoch > 0 ? end_of(&plan->start, span->topic, span->partition) : 0;
    if (span->topic == TOPIC_EPOCHS && plan->start.epoch > 0)
        begin = plan->start.offset; /* with the manifest that the snapshot is held against */
    span->next_offset = begin > low ? begin : low;
    return OK;
}

enum status record_plan_place(struct record_plan *plan, struct error *err) {
    plan->span_count = 0;
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; p < plan->partitions[topic]; p++) {
            struct kafka_span *span = &plan->spans[plan->span_count++];
            *span = (struct kafka_span){topic, p, 0, INT64_MAX};
            TRY(begin_span(plan, span, err));
        }
    return OK;
}

void record_plan_start_at_last(struct record_plan *plan) {
    plan->start = plan->last;
    memcpy(plan->start_config, plan->config, sizeof plan->start_config);
}

enum status record_plan_begin(struct record_plan *plan, struct error *err) {
    plan->start = plan->last = (struct epoch_mark){0};
    plan->config[0] = plan->start_config[0] = '\0';
    memset(plan->applied, 0, sizeof plan->applied);
    TRY(find_partitions(plan, err));
    for (enum topic topic = 0; topic < TOPIC_INPUTS; topic++)
        for (int32_t p = 0; p < plan->partitions[topic]; p++)
            TRY(find_first(plan, topic, p, err));
    TRY(read_manifests(plan, err));
    return record_plan_place(plan, err);
}

static enum status end_input(struct record_plan *plan, struct kafka_span *span, struct error *err) {
    int64_t low, end = named(&plan->until, span->topic, span->partition);
    if (plan->until.kind == BOUND_TIME)
        TRY(kafka_copy_offset_at(plan->asking, span->topic, span->partition, plan->until.time_ms,
                                 &end, err));
    else if (end < 0)
        TRY(kafka_copy_range(plan->asking, span->topic, span->partition, &low, &end, err));
    /* all that the last epoch has read, whatever its timestamps */
    int64_t applied = plan->applied[span->topic][span->partition];
    span->end_offset = end > applied ? end : applied;
    return OK;
}

enum status record_plan_end(struct record_plan *plan, struct error *err) {
    TRY(read_manifests(plan, err));
    for (uint32_t i = 0; i < plan->span_count; i++) {
        struct kafka_span *span = &plan->spans[i];
        int64_t low;
        if (span->topic < TOPIC_INPUTS)
            TRY(end_input(plan, span, err));
        else if (plan->last.epoch > 0)
            span->end_offset = end_of(&plan->last, span->topic, span->partition);
        else
            TRY(kafka_copy_range(plan->asking, span->topic, span->partition, &low,
                                 &span->end_offset, err));
    }
    return OK;
}
