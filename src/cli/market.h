/* A synthetic marketplace with known structure: who likes what is written below, so a model can be
 * held against it.
 *
 *   tastes    16 topics of 4 tastes each ("garden lamp", "garden bench", ...); a taste's centre is
 *             its topic's centre + noise
 *   items     one taste each; vector = centre + noise, of unit length; a quality that only clicks
 *             reveal; power-law popularity. 60 % are listed before the first event, the others one
 *             by one over the first 95 % of the stream
 *   users     three favourite tastes of falling weight, one of which changes some day; power-law
 *             activity
 *   sessions  one user, one request id: items of a favourite taste, popular ones, and new ones are
 *             shown in turn
 *   click     with probability sigmoid(taste or topic + quality + popularity)
 *   drift     from a known moment on, a share of the tastes trade places: who liked one now likes
 *             another, while vectors and titles stay. And what is listed later of a share of the tastes
 *             has other vectors: around new centres that lie close together, away from all old ones
 *   nuisance  directions in which vectors vary a lot, and that nobody's taste depends on
 *
 * Pure and deterministic: the same configuration gives the same events on every machine; no clock,
 * no libm. */
#ifndef CLI_MARKET_H
#define CLI_MARKET_H

#include "base/arena.h"
#include "stage/event.h"

#define MARKET_TOPICS 16
#define MARKET_NOUNS 4
#define MARKET_TASTES (MARKET_TOPICS * MARKET_NOUNS)
#define MARKET_START_MS 1767225600000 /* 2026-01-01 00:00 UTC */
#define MARKET_INITIAL_SHARE 0.6

enum market_labels {
    MARKET_GIVEN,       /* every item shown gives one interaction with its label */
    MARKET_IMPRESSIONS, /* ... gives an impression, and seconds later a click if there was one */
    MARKET_CLICKS       /* clicks alone */
};

struct market_config {
    uint32_t items, users, dims, days;
    uint64_t events; /* interactions, exactly */
    uint64_t seed;
    double drift_at;       /* share of the stream; below 0: none */
    double drift_strength; /* share of the tastes that trade places */
    double drift_content;  /* share of the tastes whose later listings have other vectors */
    double
        nuisance; /* length of a vector in each of 8 directions that mean nothing, over its own; 0: none */
    enum market_labels labels;
};

struct market;

/* Memory from `arena`; market_bytes() says how much at most. */
size_t market_bytes(const struct market_config *config);
enum status market_create(struct market **out, const struct market_config *config,
                          struct arena *arena, struct error *err);

/* Listing `index` of config.items, in order of time; borrowed until the next call. */
void market_listing(struct market *market, uint32_t index, struct event *out);
/* Interaction `index` of config.events, in order of time; borrowed until the next call. */
void market_interaction(struct market *market, uint64_t index, struct event *out);

struct market_truth {
    uint64_t shown, clicked;
    /* of the true click probability itself: no model can be expected to do better; NaN without
     * both labels */
    double auc_best;
    uint32_t listed_later; /* items that arrive during the stream */
    int64_t drift_ms;      /* -1: none */
};
void market_truth(const struct market *market, struct market_truth *out);

/* The taste of an item, 0 .. MARKET_TASTES - 1; its topic is taste / MARKET_NOUNS. */
uint32_t market_taste(const struct market *market, uint32_t index);

#endif
