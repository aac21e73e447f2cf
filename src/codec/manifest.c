/* Topic epochs: struct manifest <-> schemas/epochs-key.avsc and epochs-value.avsc. */
#include "codec/private.h"

#include "base/poison.h"

/* Fields of the records inside, in the order of the schema. */
enum {
    COUNTS_EVENTS,
    COUNTS_APPLIED,
    COUNTS_DEAD_LETTERS,
    COUNTS_PARKED,
    COUNTS_LABELLED,
    COUNTS_ROWS
};
enum { RANGE_TOPIC, RANGE_PARTITION, RANGE_FIRST, RANGE_LAST, RANGE_COUNT, RANGE_HASH };
enum { END_TOPIC, END_PARTITION, END_OFFSET };
enum { TABLE_NAME, TABLE_DIGEST, TABLE_ROWS };

#define DIGEST_BYTES 16

/* ---- encoding ---- */

static void set_digest(const avro_value_t *record, size_t field, struct digest digest) {
    uint8_t bytes[DIGEST_BYTES];
    put_be64(bytes, digest.hi);
    put_be64(bytes + 8, digest.lo);
    avro_value_t child = child_at(record, field);
    int refused = avro_value_set_fixed(&child, bytes, sizeof bytes);
    ASSERT(refused == 0);
}

static void put_counts(const avro_value_t *value, const struct epoch_counts *counts) {
    avro_value_t record = child_at(value, EPOCH_COUNTS);
    set_long(&record, COUNTS_EVENTS, (int64_t)counts->events);
    set_long(&record, COUNTS_APPLIED, (int64_t)counts->applied);
    set_long(&record, COUNTS_DEAD_LETTERS, (int64_t)counts->dead_letters);
    set_long(&record, COUNTS_PARKED, counts->parked);
    set_long(&record, COUNTS_LABELLED, (int64_t)counts->labelled);
    set_long(&record, COUNTS_ROWS, (int64_t)counts->rows);
}

static void put_ranges(const avro_value_t *value, const struct manifest *manifest) {
    avro_value_t array = child_at(value, EPOCH_INPUTS);
    for (uint32_t i = 0; i < manifest->range_count; i++) {
        const struct input_range *range = &manifest->ranges[i];
        avro_value_t record = append_to(&array);
        set_string(&record, RANGE_TOPIC, bytes_text(topic_name(range->topic)));
        set_int(&record, RANGE_PARTITION, range->partition);
        set_long(&record, RANGE_FIRST, range->first_offset);
        set_long(&record, RANGE_LAST, range->last_offset);
        set_long(&record, RANGE_COUNT, range->count);
        set_long(&record, RANGE_HASH, (int64_t)range->hash);
    }
}

static void put_ends(const avro_value_t *value, const struct manifest *manifest) {
    avro_value_t array = child_at(value, EPOCH_ENDS);
    for (uint32_t i = 0; i < manifest->end_count; i++) {
        avro_value_t record = append_to(&array);
        set_string(&record, END_TOPIC, bytes_text(topic_name(manifest->ends[i].topic)));
        set_int(&record, END_PARTITION, manifest->ends[i].partition);
        set_long(&record, END_OFFSET, manifest->ends[i].end_offset);
    }
}

static void put_tables(const avro_value_t *value, const struct manifest *manifest) {
    avro_value_t array = child_at(value, EPOCH_TABLES);
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        avro_value_t record = append_to(&array);
        set_string(&record, TABLE_NAME, bytes_text(manifest->tables[i].name));
        set_digest(&record, TABLE_DIGEST, manifest->tables[i].digest);
        set_long(&record, TABLE_ROWS, (int64_t)manifest->tables[i].rows);
    }
}

enum status encode_manifest(struct codec *codec, const struct manifest *manifest,
                            struct record *out, struct error *err) {
    avro_value_t *key = &codec->encoders[SCHEMA_EPOCHS_KEY].value;
    set_long(key, EPOCH_KEY_EPOCH, (int64_t)manifest->epoch);
    TRY(encode_key(codec, &codec->encoders[SCHEMA_EPOCHS_KEY], &out->key, err));
    avro_value_t *value = &codec->encoders[SCHEMA_EPOCHS_VALUE].value;
    avro_value_reset(value);
    set_long(value, EPOCH_EPOCH, (int64_t)manifest->epoch);
    set_symbol(value, EPOCH_KIND, (int)manifest->kind);
    set_long(value, EPOCH_TIMESTAMP, manifest->timestamp_ms);
    set_long(value, EPOCH_WATERMARK, manifest->watermark_ms);
    set_int(value, EPOCH_GENERATION, (int32_t)manifest->generation);
    set_int(value, EPOCH_CODEBOOK_VERSION, (int32_t)manifest->codebook_version);
    put_counts(value, &manifest->counts);
    put_ranges(value, manifest);
    put_ends(value, manifest);
    put_tables(value, manifest);
    avro_value_t batches = child_at(value, EPOCH_BATCHES);
    for (uint32_t i = 0; i < manifest->batch_count; i++) {
        avro_value_t batch = append_to(&batches);
        avro_value_set_long(&batch, manifest->batches[i]);
    }
    set_digest(value, EPOCH_STATE, manifest->state);
    set_string(value, EPOCH_BUILD, bytes_text(manifest->build != NULL ? manifest->build : ""));
    set_string(value, EPOCH_BLAS_CORE,
               bytes_text(manifest->blas_core != NULL ? manifest->blas_core : ""));
    set_long(value, EPOCH_CONFIG_HASH, (int64_t)manifest->config_hash);
    avro_value_t config = set_branch(value, EPOCH_CONFIG, manifest->config != NULL);
    if (manifest->config != NULL)
        give_string(&config, bytes_text(manifest->config));
    return encode_value(codec, &codec->encoders[SCHEMA_EPOCHS_VALUE], &out->value, err);
}

/* ---- decoding ---- */

/* What a decoded part needs: where to put it, and whom to tell. */
struct into {
    struct decoder *decoder;
    struct arena *arena;
    struct error *err;
};

static enum status full(const struct into *into) {
    return FAIL(into->err, FATAL, EX_UNAVAILABLE,
                "a manifest does not fit into the %zu bytes of %s", into->arena->reserved,
                into->arena->name);
}

static enum status get_u32(const struct into *into, int64_t number, uint32_t *out) {
    if (number < 0 || number > UINT32_MAX)
        return FAIL(into->err, BAD_RECORD, EX_DATAERR, "a manifest with the count %lld",
                    (long long)number);
    *out = (uint32_t)number;
    return OK;
}

static struct digest get_digest(const avro_value_t *value) {
    const void *data = NULL;
    size_t size = 0;
    int refused = avro_value_get_fixed(value, &data, &size);
    ASSERT(refused == 0 && size == DIGEST_BYTES);
    return (struct digest){.hi = get_be64(data), .lo = get_be64((const uint8_t *)data + 8)};
}

static enum status get_text(const struct into *into, const avro_value_t *value, const char **out) {
    struct bytes text = value_string(value);
    *out = arena_text(into->arena, (const char *)text.data, text.len);
    return *out != NULL ? OK : full(into);
}

static enum status get_topic(const struct into *into, const avro_value_t *value, enum topic *out) {
    struct bytes name = value_string(value);
    if (!topic_of_name(name, out))
        return FAIL(into->err, BAD_RECORD, EX_DATAERR, "a manifest with the topic \"%.*s\"",
                    (int)(name.len < 64 ? name.len : 64), (const char *)name.data);
    return OK;
}

static int64_t long_at(const avro_value_t *record, size_t field) {
    avro_value_t child = child_at(record, field);
    return value_long(&child);
}

static int64_t long_of(const struct into *into, int field) {
    avro_value_t value = decoder_field(into->decoder, field);
    return value_long(&value);
}

static enum status get_ranges(const struct into *into, struct manifest *out) {
    avro_value_t array = decoder_field(into->decoder, EPOCH_INPUTS);
    size_t count = child_count(&array);
    struct input_range *ranges = arena_alloc(into->arena, count * sizeof *ranges);
    if (ranges == NULL)
        return full(into);
    for (size_t i = 0; i < count; i++) {
        avro_value_t record = child_at(&array, i);
        avro_value_t topic = child_at(&record, RANGE_TOPIC);
        avro_value_t partition = child_at(&record, RANGE_PARTITION);
        ranges[i] = (struct input_range){.partition = value_int(&partition),
                                         .first_offset = long_at(&record, RANGE_FIRST),
                                         .last_offset = long_at(&record, RANGE_LAST),
                                         .hash = (uint64_t)long_at(&record, RANGE_HASH)};
        TRY(get_topic(into, &topic, &ranges[i].topic));
        TRY(get_u32(into, long_at(&record, RANGE_COUNT), &ranges[i].count));
        if (ranges[i].topic >= TOPIC_INPUTS || ranges[i].partition < 0)
            return FAIL(into->err, BAD_RECORD, EX_DATAERR, "%s-%d is no partition of an input",
                        topic_name(ranges[i].topic), ranges[i].partition);
    }
    out->ranges = ranges;
    out->range_count = (uint32_t)count;
    return OK;
}

static enum status get_ends(const struct into *into, struct manifest *out) {
    avro_value_t array = decoder_field(into->decoder, EPOCH_ENDS);
    size_t count = child_count(&array);
    struct output_end *ends = arena_alloc(into->arena, count * sizeof *ends);
    if (ends == NULL)
        return full(into);
    for (size_t i = 0; i < count; i++) {
        avro_value_t record = child_at(&array, i);
        avro_value_t topic = child_at(&record, END_TOPIC);
        avro_value_t partition = child_at(&record, END_PARTITION);
        ends[i] = (struct output_end){.partition = value_int(&partition),
                                      .end_offset = long_at(&record, END_OFFSET)};
        TRY(get_topic(into, &topic, &ends[i].topic));
    }
    out->ends = ends;
    out->end_count = (uint32_t)count;
    return OK;
}

static enum status get_tables(const struct into *into, struct manifest *out) {
    avro_value_t array = decoder_field(into->decoder, EPOCH_TABLES);
    size_t count = child_count(&array);
    struct table_state *tables = arena_alloc(into->arena, count * sizeof *tables);
    if (tables == NULL)
        return full(into);
    for (size_t i = 0; i < count; i++) {
        avro_value_t record = child_at(&array, i);
        avro_value_t name = child_at(&record, TABLE_NAME);
        avro_value_t digest = child_at(&record, TABLE_DIGEST);
        tables[i] = (struct table_state){.digest = get_digest(&digest),
                                         .rows = (uint64_t)long_at(&record, TABLE_ROWS)};
        TRY(get_text(into, &name, &tables[i].name));
    }
    out->tables = tables;
    out->table_count = (uint32_t)count;
    return OK;
}

static enum status get_batches(const struct into *into, struct manifest *out) {
    avro_value_t array = decoder_field(into->decoder, EPOCH_BATCHES);
    size_t count = child_count(&array);
    uint32_t *batches = arena_alloc(into->arena, count * sizeof *batches);
    if (batches == NULL)
        return full(into);
    for (size_t i = 0; i < count; i++)
        TRY(get_u32(into, long_at(&array, i), &batches[i]));
    out->batches = batches;
    out->batch_count = (uint32_t)count;
    return OK;
}

static enum status get_texts(const struct into *into, struct manifest *out) {
    avro_value_t build = decoder_field(into->decoder, EPOCH_BUILD);
    avro_value_t blas_core = decoder_field(into->decoder, EPOCH_BLAS_CORE);
    TRY(get_text(into, &build, &out->build));
    TRY(get_text(into, &blas_core, &out->blas_core));
    avro_value_t config;
    if (decoder_optional(into->decoder, EPOCH_CONFIG, &config))
        TRY(get_text(into, &config, &out->config));
    return OK;
}

static void get_counts(const struct into *into, struct epoch_counts *out) {
    avro_value_t record = decoder_field(into->decoder, EPOCH_COUNTS);
    *out = (struct epoch_counts){.events = (uint64_t)long_at(&record, COUNTS_EVENTS),
                                 .applied = (uint64_t)long_at(&record, COUNTS_APPLIED),
                                 .dead_letters = (uint64_t)long_at(&record, COUNTS_DEAD_LETTERS),
                                 .parked = long_at(&record, COUNTS_PARKED),
                                 .labelled = (uint64_t)long_at(&record, COUNTS_LABELLED),
                                 .rows = (uint64_t)long_at(&record, COUNTS_ROWS)};
}

enum status codec_decode_manifest(struct codec *codec, const struct record *record,
                                  struct arena *arena, struct manifest *out, struct error *err) {
    struct into into = {.arena = arena, .err = err};
    TRY(codec_read(codec, SCHEMA_EPOCHS_VALUE, record->value, &into.decoder, NULL, err));
    int kind = decoder_symbol(into.decoder, EPOCH_KIND);
    if (kind < 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a manifest of a kind that this build does not know");
    avro_value_t generation = decoder_field(into.decoder, EPOCH_GENERATION);
    avro_value_t codebook_version = decoder_field(into.decoder, EPOCH_CODEBOOK_VERSION);
    avro_value_t state = decoder_field(into.decoder, EPOCH_STATE);
    *out = (struct manifest){.epoch = (uint64_t)long_of(&into, EPOCH_EPOCH),
                             .kind = (enum epoch_kind)kind,
                             .timestamp_ms = long_of(&into, EPOCH_TIMESTAMP),
                             .watermark_ms = long_of(&into, EPOCH_WATERMARK),
                             .generation = (uint32_t)value_int(&generation),
                             .codebook_version = (uint32_t)value_int(&codebook_version),
                             .state = get_digest(&state),
                             .config_hash = (uint64_t)long_of(&into, EPOCH_CONFIG_HASH)};
    get_counts(&into, &out->counts);
    TRY(get_ranges(&into, out));
    TRY(get_ends(&into, out));
    TRY(get_tables(&into, out));
    TRY(get_batches(&into, out));
    return get_texts(&into, out);
}
