/* A small marketplace as input records, from a seed: listings with content of a few clusters, their
 * changes, delistings and relistings; interactions of users who like one cluster each; and inputs
 * that cannot be used, of every kind. Times are event times in milliseconds and go up by about half
 * a second an event. */
#ifndef TESTS_STAGE_MARKET_EVENTS_H
#define TESTS_STAGE_MARKET_EVENTS_H

#include "codec/codec.h"
#include "sim_log.h"

enum market_labels { MARKET_GIVEN, MARKET_JOINED, MARKET_CLICKS, MARKET_LABELS };
extern const char *const market_labels_names[MARKET_LABELS];

/* ---- single events, for streams made by hand ---- */

struct market {
    struct sim_inputs *inputs;
    struct codec *codec;
    int *expected; /* [inputs->max] enum dead_reason of inputs that are bad by themselves;
                      MARKET_ANY for all others */
};
#define MARKET_ANY (-1)

struct market_event {
    const char *user, *item;
    const char *request; /* NULL: none */
    int64_t time_ms;
    enum action action;
    bool has_label;
    float label;
};
/* Each returns the index of the input. */
uint32_t market_interaction(struct market *market, const struct market_event *event);
/* The content is a function of `look`: equal looks are equal vectors. */
uint32_t market_listing(struct market *market, const char *item, int64_t time_ms, uint32_t look);
uint32_t market_delisting(struct market *market, const char *item, int64_t time_ms);

/* ---- inputs that cannot be used ---- */

enum market_bad {
    BAD_MAGIC,
    BAD_SCHEMA,
    BAD_OTHER_SCHEMA,
    BAD_TRUNCATED,
    BAD_TOO_LONG,
    BAD_EMPTY,
    BAD_NO_VALUE,
    BAD_KEY,
    BAD_USER_EMPTY,
    BAD_ITEM_EMPTY,
    BAD_USER_OVERSIZED,
    BAD_ITEM_OVERSIZED,
    BAD_ITEM_UTF8,
    BAD_REQUEST_OVERSIZED,
    BAD_TIME_NEGATIVE,
    BAD_TIME_AHEAD,
    BAD_TIME_HUGE,
    BAD_LABEL,
    BAD_LABEL_NAN,
    BAD_DAMAGED,
    BAD_INTERACTIONS, /* from here on: listings */
    BAD_LISTING_MAGIC = BAD_INTERACTIONS,
    BAD_LISTING_SCHEMA,
    BAD_LISTING_TRUNCATED,
    BAD_LISTING_KEY,
    BAD_LISTING_ID_EMPTY,
    BAD_LISTING_ID_OVERSIZED,
    BAD_LISTING_TIME,
    BAD_VECTOR_NAN,
    BAD_VECTOR_INFINITE,
    BAD_VECTOR_SHORT,
    BAD_VECTOR_LONG,
    BAD_VECTOR_NONE,
    BAD_LISTING_DAMAGED,
    BAD_DELISTING_NO_KEY,
    BAD_DELISTING_ID_OVERSIZED,
    BAD_KINDS
};
uint32_t market_bad(struct market *market, enum market_bad kind, int64_t time_ms);

/* ---- a whole stream ---- */

struct market_options {
    uint64_t seed;
    enum market_labels labels;
    uint32_t items, users, events;
    bool bad;       /* some inputs cannot be used */
    bool lifecycle; /* changes, delistings, relistings, repeated and stale listings */
    bool early;     /* interactions before their listing, or without any; repeated, late and out of
                       order ones */
};
/* `events` is about the number of inputs. */
void market_generate(struct market *market, const struct market_options *options);

#endif
