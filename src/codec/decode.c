/* Input records to events. */
#include "codec/private.h"

#include "base/poison.h"

/* A key that is there must be the id that the value names: compaction and partitions go by the key.
 */
static enum status check_key(const struct record *record, struct bytes id, const char *field,
                             enum dead_reason *reason, struct error *err) {
    if (record->key.data == NULL || bytes_equal(record->key, id))
        return OK;
    *reason = DEAD_KEY;
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "the key is not the value's %s; the producer must use it as the key, as plain "
                "UTF-8 bytes",
                field);
}

static enum status decode_interaction(struct codec *codec, const struct record *record,
                                      struct interaction *out, enum dead_reason *reason,
                                      struct error *err) {
    struct decoder *d;
    TRY(codec_read(codec, SCHEMA_INTERACTIONS_VALUE, record->value, &d, reason, err));
    avro_value_t user_id = decoder_field(d, INTERACTION_USER_ID);
    avro_value_t item_id = decoder_field(d, INTERACTION_ITEM_ID);
    avro_value_t event_time = decoder_field(d, INTERACTION_EVENT_TIME);
    int action = decoder_symbol(d, INTERACTION_ACTION);
    if (action < 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "the action is none of IMPRESSION, CLICK, CART, PURCHASE");
    *out = (struct interaction){.user_id = value_string(&user_id),
                                .item_id = value_string(&item_id),
                                .event_time_ms = value_long(&event_time),
                                .action = (enum action)action};
    avro_value_t field;
    if (decoder_optional(d, INTERACTION_LABEL, &field)) {
        out->has_label = true;
        out->label = value_float(&field);
    }
    if (decoder_optional(d, INTERACTION_REQUEST_ID, &field))
        out->request_id = value_string(&field);
    if (decoder_optional(d, INTERACTION_POSITION, &field)) {
        out->has_position = true;
        out->position = value_int(&field);
    }
    return check_key(record, out->user_id, "user_id", reason, err);
}

/* The modalities' vectors end to end in the scratch arena. */
static enum status join_vectors(struct codec *codec, const avro_value_t *modalities,
                                struct listing *out, struct error *err) {
    size_t dims = 0, count = child_count(modalities);
    for (size_t m = 0; m < count; m++) {
        avro_value_t modality = child_at(modalities, m);
        avro_value_t vector = child_at(&modality, MODALITY_VECTOR);
        dims += child_count(&vector);
    }
    float *joined = arena_alloc(&codec->scratch, dims * sizeof *joined);
    if (joined == NULL || dims > UINT32_MAX)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "vectors of %zu numbers are more than the codec's limit", dims);
    out->vector = joined;
    out->dims = (uint32_t)dims;
    out->part_count = (uint32_t)count;
    for (size_t m = 0; m < count; m++) {
        avro_value_t modality = child_at(modalities, m);
        avro_value_t vector = child_at(&modality, MODALITY_VECTOR);
        size_t numbers = child_count(&vector);
        if (m < MODALITIES_MAX) {
            avro_value_t name = child_at(&modality, MODALITY_NAME);
            out->parts[m] = (struct listing_part){value_string(&name), (uint32_t)numbers};
        }
        for (size_t i = 0; i < numbers; i++) {
            avro_value_t number = child_at(&vector, i);
            *joined++ = value_float(&number);
        }
    }
    return OK;
}

static enum status decode_listing(struct codec *codec, const struct record *record,
                                  struct listing *out, enum dead_reason *reason,
                                  struct error *err) {
    struct decoder *d;
    TRY(codec_read(codec, SCHEMA_ITEM_CONTENT_VALUE, record->value, &d, reason, err));
    avro_value_t item_id = decoder_field(d, CONTENT_ITEM_ID);
    avro_value_t event_time = decoder_field(d, CONTENT_EVENT_TIME);
    *out = (struct listing){.item_id = value_string(&item_id),
                            .event_time_ms = value_long(&event_time)};
    if (decoder_has(d, CONTENT_MODALITIES)) {
        avro_value_t modalities = decoder_field(d, CONTENT_MODALITIES);
        TRY(join_vectors(codec, &modalities, out, err));
    }
    avro_value_t text;
    if (decoder_optional(d, CONTENT_TEXT, &text))
        out->text = value_string(&text);
    return check_key(record, out->item_id, "item_id", reason, err);
}

static enum status decode_delisting(const struct record *record, struct bytes *out,
                                    enum dead_reason *reason, struct error *err) {
    *reason = DEAD_KEY;
    if (record->key.data == NULL)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a null value delists the item in the key, and there is no key");
    *out = record->key;
    return OK;
}

enum status decode_event(void *self, const struct record *record, struct event *out,
                         enum dead_reason *reason, struct error *err) {
    struct codec *codec = self;
    arena_reset(&codec->scratch);
    if (record->damage != NULL) {
        *reason = DEAD_DAMAGED;
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%s", record->damage);
    }
    if (record->topic == TOPIC_INTERACTIONS) {
        out->kind = EVENT_INTERACTION;
        return decode_interaction(codec, record, &out->as.interaction, reason, err);
    }
    ASSERT(record->topic == TOPIC_ITEM_CONTENT);
    if (record->value.data == NULL) {
        out->kind = EVENT_DELISTING;
        return decode_delisting(record, &out->as.delisted_item_id, reason, err);
    }
    out->kind = EVENT_LISTING;
    return decode_listing(codec, record, &out->as.listing, reason, err);
}
