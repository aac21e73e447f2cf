#include "market_events.h"

#include "sim_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CLUSTERS 6
#define START_MS INT64_C(1700000000000)
#define ITEMS_MAX 512
#define NAME_BYTES 16

const char *const market_labels_names[MARKET_LABELS] = {"given", "impressions and clicks",
                                                        "clicks alone"};

static const char oversized[] = "an-id-of-more-bytes-than-are-allowed";
_Static_assert(sizeof oversized - 1 > SIM_ID_BYTES_MAX, "oversized");

/* ---- single events ---- */

static uint32_t add(struct market *market, const struct record *record, int expected) {
    uint32_t index = sim_inputs_add(market->inputs, record);
    market->expected[index] = expected;
    return index;
}

static struct record encode(struct market *market, const struct event *event) {
    struct error err;
    struct record record;
    ASSERT(codec_encode_event(market->codec, event, "image", &record, &err) == OK);
    record.partition = -1;
    return record;
}

static struct event interaction_of(const struct market_event *e) {
    return (struct event){
        .kind = EVENT_INTERACTION,
        .as.interaction = {.user_id = bytes_text(e->user),
                           .item_id = bytes_text(e->item),
                           .request_id = e->request ? bytes_text(e->request) : (struct bytes){0},
                           .event_time_ms = e->time_ms,
                           .action = e->action,
                           .has_label = e->has_label,
                           .label = e->label}};
}

uint32_t market_interaction(struct market *market, const struct market_event *event) {
    struct event typed = interaction_of(event);
    struct record record = encode(market, &typed);
    return add(market, &record, MARKET_ANY);
}

static void fill_vector(float vector[SIM_DIMS], uint32_t look) {
    struct rng center = rng_stream(1, RNG_TEST, 1, look % CLUSTERS),
               own = rng_stream(1, RNG_TEST, 2, look);
    for (int i = 0; i < SIM_DIMS; i++)
        vector[i] = rng_normal(&center) + 0.3f * rng_normal(&own);
}

uint32_t market_listing(struct market *market, const char *item, int64_t time_ms, uint32_t look) {
    float vector[SIM_DIMS];
    fill_vector(vector, look);
    struct event event = {.kind = EVENT_LISTING,
                          .as.listing = {.item_id = bytes_text(item),
                                         .event_time_ms = time_ms,
                                         .vector = vector,
                                         .dims = SIM_DIMS,
                                         .text = bytes_text("a title that is too long")}};
    struct record record = encode(market, &event);
    return add(market, &record, MARKET_ANY);
}

uint32_t market_delisting(struct market *market, const char *item, int64_t time_ms) {
    struct record record = {.topic = TOPIC_ITEM_CONTENT,
                            .partition = -1,
                            .timestamp_ms = time_ms,
                            .key = bytes_text(item)};
    return add(market, &record, MARKET_ANY);
}

/* ---- inputs that cannot be used ---- */

#define SPOILED_BYTES 1024

/* The record with other bytes as its value. */
static uint32_t add_spoiled(struct market *market, struct record record, enum market_bad kind,
                            enum dead_reason reason) {
    uint8_t bytes[SPOILED_BYTES];
    ASSERT(record.value.len + 1 < sizeof bytes);
    memcpy(bytes, record.value.data, record.value.len);
    record.value.data = bytes;
    switch (kind) {
    case BAD_MAGIC:
    case BAD_LISTING_MAGIC:
        bytes[0] = 7;
        break;
    case BAD_SCHEMA:
    case BAD_LISTING_SCHEMA:
        put_be32(bytes + 1, 4711);
        break;
    case BAD_OTHER_SCHEMA:
        put_be32(bytes + 1, SCHEMA_ITEM_CONTENT_VALUE);
        break;
    case BAD_TRUNCATED:
    case BAD_LISTING_TRUNCATED:
        record.value.len -= 3;
        break;
    case BAD_TOO_LONG:
        bytes[record.value.len++] = 0;
        break;
    case BAD_EMPTY:
        record.value.len = 0;
        break;
    case BAD_NO_VALUE:
        record.value = (struct bytes){0};
        break;
    case BAD_DAMAGED:
    case BAD_LISTING_DAMAGED:
        record.damage = "a block of the file does not decode";
        break;
    default:
        record.key = bytes_text("another-id"); /* BAD_KEY, BAD_LISTING_KEY */
        break;
    }
    return add(market, &record, reason);
}

static uint32_t bad_interaction(struct market *market, enum market_bad kind, int64_t time_ms) {
    struct market_event e = {
        .user = "user-bad", .item = "item-bad", .time_ms = time_ms, .action = ACTION_CLICK};
    char request[300];
    memset(request, 'r', sizeof request - 1);
    request[sizeof request - 1] = '\0';
    int64_t timestamp_ms = time_ms;
    enum dead_reason reason = DEAD_ID;
    switch (kind) {
    case BAD_USER_EMPTY:
        e.user = "";
        break;
    case BAD_ITEM_EMPTY:
        e.item = "";
        break;
    case BAD_USER_OVERSIZED:
        e.user = oversized;
        break;
    case BAD_ITEM_OVERSIZED:
        e.item = oversized;
        break;
    case BAD_ITEM_UTF8:
        e.item = "item-\xff";
        break;
    case BAD_REQUEST_OVERSIZED:
        e.request = request;
        break;
    case BAD_TIME_NEGATIVE:
        e.time_ms = -1;
        reason = DEAD_TIME;
        break;
    case BAD_TIME_AHEAD:
        e.time_ms += 2 * 3600000; /* one hour is allowed */
        reason = DEAD_TIME;
        break;
    case BAD_TIME_HUGE:
        e.time_ms *= 1000000; /* nanoseconds */
        reason = DEAD_TIME;
        break;
    default:
        e.has_label = true; /* BAD_LABEL, BAD_LABEL_NAN */
        e.label = kind == BAD_LABEL ? 0.5f : NAN;
        reason = DEAD_LABEL;
        break;
    }
    struct event event = interaction_of(&e);
    struct record record = encode(market, &event);
    record.timestamp_ms = timestamp_ms;
    return add(market, &record, reason);
}

static uint32_t bad_listing(struct market *market, enum market_bad kind, int64_t time_ms) {
    float vector[SIM_DIMS + 1] = {1.0f};
    fill_vector(vector, 1);
    struct listing l = {.item_id = bytes_text("item-bad"),
                        .event_time_ms = time_ms,
                        .vector = vector,
                        .dims = SIM_DIMS};
    enum dead_reason reason = DEAD_VECTOR;
    switch (kind) {
    case BAD_LISTING_ID_EMPTY:
        l.item_id = bytes_text("");
        reason = DEAD_ID;
        break;
    case BAD_LISTING_ID_OVERSIZED:
        l.item_id = bytes_text(oversized);
        reason = DEAD_ID;
        break;
    case BAD_LISTING_TIME:
        l.event_time_ms = -5;
        reason = DEAD_TIME;
        break;
    case BAD_VECTOR_NAN:
        vector[3] = NAN;
        break;
    case BAD_VECTOR_INFINITE:
        vector[SIM_DIMS - 1] = -INFINITY;
        break;
    case BAD_VECTOR_SHORT:
        l.dims--;
        break;
    case BAD_VECTOR_LONG:
        l.dims++;
        break;
    default: /* BAD_VECTOR_NONE */
        l.vector = NULL;
        l.dims = 0;
        break;
    }
    struct event event = {.kind = EVENT_LISTING, .as.listing = l};
    struct record record = encode(market, &event);
    record.timestamp_ms = time_ms;
    return add(market, &record, reason);
}

static uint32_t bad_delisting(struct market *market, enum market_bad kind, int64_t time_ms) {
    bool no_key = kind == BAD_DELISTING_NO_KEY;
    struct record record = {.topic = TOPIC_ITEM_CONTENT,
                            .partition = -1,
                            .timestamp_ms = time_ms,
                            .key = no_key ? (struct bytes){0} : bytes_text(oversized)};
    return add(market, &record, no_key ? DEAD_KEY : DEAD_ID);
}

/* The reason of those that are a good record with spoiled bytes; -1 for the others. */
static int spoiled_reason(enum market_bad kind) {
    switch (kind) {
    case BAD_MAGIC:
    case BAD_EMPTY:
    case BAD_NO_VALUE:
    case BAD_LISTING_MAGIC:
        return DEAD_WIRE;
    case BAD_SCHEMA:
    case BAD_OTHER_SCHEMA:
    case BAD_LISTING_SCHEMA:
        return DEAD_SCHEMA;
    case BAD_TRUNCATED:
    case BAD_TOO_LONG:
    case BAD_LISTING_TRUNCATED:
        return DEAD_DECODE;
    case BAD_DAMAGED:
    case BAD_LISTING_DAMAGED:
        return DEAD_DAMAGED;
    case BAD_KEY:
    case BAD_LISTING_KEY:
        return DEAD_KEY;
    default:
        return -1;
    }
}

uint32_t market_bad(struct market *market, enum market_bad kind, int64_t time_ms) {
    int reason = spoiled_reason(kind);
    if (kind >= BAD_DELISTING_NO_KEY)
        return bad_delisting(market, kind, time_ms);
    if (reason < 0)
        return kind < BAD_INTERACTIONS ? bad_interaction(market, kind, time_ms)
                                       : bad_listing(market, kind, time_ms);
    float vector[SIM_DIMS];
    fill_vector(vector, 1);
    struct event event = {.kind = EVENT_LISTING,
                          .as.listing = {.item_id = bytes_text("item-bad"),
                                         .event_time_ms = time_ms,
                                         .vector = vector,
                                         .dims = SIM_DIMS}};
    if (kind < BAD_INTERACTIONS)
        event = interaction_of(&(struct market_event){.user = "user-bad",
                                                      .item = "item-bad",
                                                      .time_ms = time_ms,
                                                      .action = ACTION_CLICK,
                                                      .has_label = true});
    return add_spoiled(market, encode(market, &event), kind, (enum dead_reason)reason);
}

/* ---- a whole stream ---- */

struct item_state {
    bool listed;
    int64_t time_ms; /* of the listing that stands */
    uint32_t look;
};

struct stream {
    struct market *market;
    const struct market_options *options;
    struct rng rng;
    int64_t now_ms;
    uint32_t requests;
    struct item_state items[ITEMS_MAX];
};

static void name_item(char out[NAME_BYTES], uint32_t item) {
    snprintf(out, NAME_BYTES, "item-%03u", item);
}
static void name_user(char out[NAME_BYTES], uint32_t user) {
    snprintf(out, NAME_BYTES, "user-%03u", user);
}
static bool chance(struct stream *s, uint32_t percent) {
    return rng_below(&s->rng, 100) < percent;
}

static void put_listing(struct stream *s, uint32_t item, int64_t time_ms, uint32_t look) {
    char name[NAME_BYTES];
    name_item(name, item);
    market_listing(s->market, name, time_ms, look);
}

static void list(struct stream *s, uint32_t item) {
    struct item_state *state = &s->items[item];
    *state = (struct item_state){
        .listed = true, .time_ms = s->now_ms, .look = rng_below(&s->rng, 100000)};
    put_listing(s, item, state->time_ms, state->look);
}

static void delist(struct stream *s, uint32_t item) {
    char name[NAME_BYTES];
    name_item(name, item);
    s->items[item].listed = false;
    market_delisting(s->market, name, s->now_ms);
}

/* A listing, or the next thing in the life of a listed item. */
static void live_on(struct stream *s) {
    uint32_t item = rng_below(&s->rng, s->options->items);
    const struct item_state *state = &s->items[item];
    if (!state->listed || !s->options->lifecycle) {
        if (!state->listed)
            list(s, item);
        return;
    }
    switch (rng_below(&s->rng, 5)) {
    case 0:
        put_listing(s, item, state->time_ms, state->look); /* once more */
        break;
    case 1:
        put_listing(s, item, state->time_ms - 1, state->look + 1); /* stale */
        break;
    case 2:
        delist(s, item);
        if (chance(s, 30))
            list(s, item); /* at once */
        break;
    default:
        list(s, item); /* other content */
        break;
    }
}

/* Users like the cluster of their number. */
static float taste(struct stream *s, uint32_t user, uint32_t item) {
    bool liked = s->items[item].look % CLUSTERS == user % CLUSTERS;
    return chance(s, liked ? 60 : 10) ? 1.0f : 0.0f;
}

static bool choose_item(struct stream *s, uint32_t *item) {
    for (int draw = 0; draw < 50; draw++) {
        *item = rng_below(&s->rng, s->options->items);
        if (s->items[*item].listed || (s->options->early && chance(s, 10)))
            return true;
    }
    return false;
}

static void interact(struct stream *s) {
    char user_name[NAME_BYTES], item_name[NAME_BYTES], request[NAME_BYTES];
    uint32_t user = rng_below(&s->rng, s->options->users), item;
    if (!choose_item(s, &item))
        return;
    name_user(user_name, user);
    name_item(item_name, item);
    snprintf(request, sizeof request, "r%u", s->requests++);
    struct market_event e = {.user = user_name,
                             .item = item_name,
                             .time_ms = s->now_ms,
                             .action = ACTION_IMPRESSION,
                             .request = chance(s, 70) ? request : NULL};
    float label = taste(s, user, item);
    if (s->options->early && chance(s, 8))
        e.time_ms -= rng_below(&s->rng, 20000); /* out of order, some of them late */
    switch (s->options->labels) {
    case MARKET_GIVEN:
        e.has_label = true;
        e.label = label;
        market_interaction(s->market, &e);
        break;
    case MARKET_CLICKS:
        e.action = chance(s, 80) ? ACTION_CLICK : ACTION_PURCHASE;
        market_interaction(s->market, &e);
        break;
    default: {
        struct market_event click = e;
        click.action = ACTION_CLICK;
        click.time_ms += rng_below(&s->rng, 5000);
        bool first = s->options->early && chance(s, 20); /* the click comes before its impression */
        if (label > 0.0f && first)
            market_interaction(s->market, &click);
        market_interaction(s->market, &e);
        if (label > 0.0f && !first)
            market_interaction(s->market, &click);
        break;
    }
    }
    if (s->options->early && chance(s, 4))
        market_interaction(s->market, &e); /* once more */
}

void market_generate(struct market *market, const struct market_options *options) {
    struct stream s = {.market = market,
                       .options = options,
                       .rng = rng_stream(options->seed, RNG_TEST, 3, 0),
                       .now_ms = START_MS};
    ASSERT(options->items <= ITEMS_MAX);
    for (uint32_t item = 0; item < options->items / 3; item++, s.now_ms += 10)
        list(&s, item);
    for (uint32_t e = 0; e < options->events; e++) {
        s.now_ms += 100 + rng_below(&s.rng, 900);
        if (options->bad && chance(&s, 5))
            market_bad(market, (enum market_bad)rng_below(&s.rng, BAD_KINDS), s.now_ms);
        else if (chance(&s, 10))
            for (uint32_t burst = 1 + rng_below(&s.rng, 5); burst > 0; burst--)
                live_on(&s);
        else
            interact(&s);
    }
}
