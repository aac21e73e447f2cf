#include "stage/check.h"
#include "stage/modalities.h"

#include "base/poison.h"

/* A value as text for a message: at most SHOWN_BYTES_MAX of its bytes, the unprintable ones as
 * \xNN. */
#define SHOWN_BYTES_MAX 32
struct shown {
    char text[4 * SHOWN_BYTES_MAX + sizeof "\"\"..."];
};

static struct shown show(struct bytes value) {
    static const char digits[] = "0123456789abcdef";
    struct shown shown;
    char *out = shown.text;
    *out++ = '"';
    for (size_t i = 0; i < value.len && i < SHOWN_BYTES_MAX; i++) {
        const uint8_t byte = value.data[i];
        if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\') {
            *out++ = (char)byte;
            continue;
        }
        *out++ = '\\';
        *out++ = 'x';
        *out++ = digits[byte >> 4];
        *out++ = digits[byte & 15];
    }
    *out++ = '"';
    for (int dot = 0; dot < 3 && value.len > SHOWN_BYTES_MAX; dot++)
        *out++ = '.';
    *out = '\0';
    return shown;
}

static enum status check_utf8(const char *field, struct bytes value, enum dead_reason *reason,
                              struct error *err) {
    if (value.len == 0 || bytes_is_utf8(value))
        return OK;
    *reason = DEAD_ID;
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "%s %s is not UTF-8 or has a NUL; send it as UTF-8 text", field, show(value).text);
}

static enum status check_id(const char *field, struct bytes id, uint32_t bytes_max,
                            enum dead_reason *reason, struct error *err) {
    *reason = DEAD_ID;
    if (id.len == 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%s is empty; every event must name one", field);
    if (id.len > bytes_max)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "%s %s has %zu bytes, %u are allowed; send shorter ids or raise the limit",
                    field, show(id).text, id.len, bytes_max);
    return check_utf8(field, id, reason, err);
}

static enum status check_key(const char *field, const struct record *record, struct bytes id,
                             enum dead_reason *reason, struct error *err) {
    if (record->key.data == NULL || bytes_equal(record->key, id))
        return OK;
    *reason = DEAD_KEY;
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "the record's key %s is not its %s %s; key the records of this topic by %s",
                show(record->key).text, field, show(id).text, field);
}

/* timestamp + ahead_ms, at most EVENT_TIME_MS_MAX. */
static int64_t latest_ms(const struct stage_config *config, const struct record *record) {
    if (record->timestamp_ms > EVENT_TIME_MS_MAX - config->ahead_ms)
        return EVENT_TIME_MS_MAX;
    return record->timestamp_ms + config->ahead_ms;
}

static enum status check_time(const struct stage_config *config, const struct record *record,
                              int64_t event_time_ms, enum dead_reason *reason, struct error *err) {
    const long long event_ms = event_time_ms;
    if (event_time_ms >= 0 && event_time_ms <= latest_ms(config, record))
        return OK;
    *reason = DEAD_TIME;
    if (event_time_ms < 0)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "event_time %lld is before 1970; send milliseconds since 1970", event_ms);
    if (event_time_ms > EVENT_TIME_MS_MAX)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "event_time %lld is after the year 9999; send milliseconds, not smaller units",
                    event_ms);
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "event_time %lld is more than %lld ms past the record's timestamp %lld; correct "
                "the producer's clock or its unit (milliseconds)",
                event_ms, (long long)config->ahead_ms, (long long)record->timestamp_ms);
}

static enum status check_interaction(const struct stage_config *config,
                                     const struct model_config *model, const struct record *record,
                                     const struct interaction *interaction,
                                     enum dead_reason *reason, struct error *err) {
    const struct bytes request_id = interaction->request_id;
    TRY(check_id("user_id", interaction->user_id, model->id_bytes_max, reason, err));
    TRY(check_id("item_id", interaction->item_id, model->id_bytes_max, reason, err));
    TRY(check_key("user_id", record, interaction->user_id, reason, err));
    TRY(check_time(config, record, interaction->event_time_ms, reason, err));
    if (request_id.data != NULL && request_id.len > REQUEST_ID_BYTES_MAX) {
        *reason = DEAD_ID;
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "request_id %s has %zu bytes, %u are allowed; send shorter ids",
                    show(request_id).text, request_id.len, REQUEST_ID_BYTES_MAX);
    }
    TRY(check_utf8("request_id", request_id, reason, err));
    if (interaction->has_label && interaction->label != 0.0f && interaction->label != 1.0f) {
        *reason = DEAD_LABEL;
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "label %.9g is neither 0 nor 1; send one of these, or null to have it derived",
                    (double)interaction->label);
    }
    return OK;
}

static enum status check_listing(const struct stage_config *config,
                                 const struct model_config *model, const struct record *record,
                                 const struct listing *listing, enum dead_reason *reason,
                                 struct error *err) {
    TRY(check_id("item_id", listing->item_id, model->id_bytes_max, reason, err));
    TRY(check_key("item_id", record, listing->item_id, reason, err));
    TRY(check_time(config, record, listing->event_time_ms, reason, err));
    TRY(modalities_check(&config->layout, model->tokenizer.content_dims, listing, reason, err));
    if (listing->text.len > 0 && !bytes_is_utf8(listing->text)) {
        *reason = DEAD_DECODE;
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "the text %s is not UTF-8 or has a NUL; send it as UTF-8 text",
                    show(listing->text).text);
    }
    return OK;
}

static enum status check_delisting(const struct model_config *model, const struct record *record,
                                   struct bytes item_id, enum dead_reason *reason,
                                   struct error *err) {
    if (record->key.data == NULL) {
        *reason = DEAD_KEY;
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "a record without value takes a listing back, but it has no key; key it by "
                    "item_id");
    }
    TRY(check_id("item_id", item_id, model->id_bytes_max, reason, err));
    return check_key("item_id", record, item_id, reason, err);
}

/* It is the time of all outputs from then on. */
static enum status check_timestamp(const struct record *record, enum dead_reason *reason,
                                   struct error *err) {
    if (record->timestamp_ms <= EVENT_TIME_MS_MAX)
        return OK;
    *reason = DEAD_TIME;
    return FAIL(err, BAD_RECORD, EX_DATAERR,
                "the record's timestamp %lld is after the year 9999; send milliseconds, not "
                "smaller units",
                (long long)record->timestamp_ms);
}

enum status check_event(const struct stage_config *config, const struct model_config *model,
                        const struct record *record, const struct event *event,
                        enum dead_reason *reason, struct error *err) {
    TRY(check_timestamp(record, reason, err));
    switch (event->kind) {
    case EVENT_INTERACTION:
        return check_interaction(config, model, record, &event->as.interaction, reason, err);
    case EVENT_LISTING:
        return check_listing(config, model, record, &event->as.listing, reason, err);
    case EVENT_DELISTING:
        return check_delisting(model, record, event->as.delisted_item_id, reason, err);
    }
    assert_failed("an event of a known kind", __FILE__, __LINE__);
}
