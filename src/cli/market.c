#include "cli/market.h"
#include "base/rng.h"
#include "cli/market_words.h"
#include "math/vector.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the draws of rng_stream(seed, RNG_GENERATE, draw, index) are for. */
enum draw {
    DRAW_TOPIC = 1,
    DRAW_TASTE,
    DRAW_ITEM,
    DRAW_VECTOR,
    DRAW_USER,
    DRAW_SESSION,
    DRAW_DRIFT,
    DRAW_LATER,
    DRAW_NUISANCE
};

#define FAVOURITES 3
static const float favourite_weight[FAVOURITES] = {1.0f, 0.8f, 0.6f};
#define SESSION_SHOWN_MAX 12
#define TASTE_NOISE 0.7f /* of a taste's centre around its topic's */
#define ITEM_NOISE 0.6f  /* of a vector around its taste's centre */
#define LATER_SHIFT 1.5f /* of all later centres together, against TASTE_NOISE of each around it */
#define NUISANCES 8
#define AUC_BINS 4096

struct item {
    uint32_t taste, material;
    int64_t listed_ms;
    float charm; /* of popularity, -0.5 to 0.5 */
    float quality;
};
struct user {
    uint16_t favourite[FAVOURITES];
    uint16_t later; /* what the second favourite becomes ... */
    float shift_at; /* ... at this share of the stream; above 1: never */
};
struct shown {
    int64_t time_ms;
    uint32_t user, item, session;
    uint16_t position;
    uint8_t action;
    uint8_t label;
};

struct market {
    struct market_config config;
    int64_t span_ms, drift_ms;
    struct item *items;    /* [items], in order of listing */
    double *item_sums;     /* [items + 1]: sums of popularity before each */
    uint32_t *by_taste;    /* [items]: item indices, taste by taste, ascending */
    double *by_taste_sums; /* [items + MARKET_TASTES]: sums of popularity within each taste */
    uint32_t taste_from[MARKET_TASTES + 1]; /* of by_taste */
    float *centres;                         /* [2 MARKET_TASTES, dims]: at first, and later */
    float *nuisances;                       /* [NUISANCES, dims], unit vectors */
    bool restyled[MARKET_TASTES];           /* after the drift: later centres */
    struct user *users;
    double *user_sums;              /* [users + 1] of activity */
    uint16_t moved[MARKET_TASTES];  /* after the drift: the taste whose admirers a taste has */
    uint16_t source[MARKET_TASTES]; /* its inverse */
    struct shown *events;
    uint64_t event_count;
    uint64_t shown_count, clicked_count;
    uint64_t bins[2][AUC_BINS];
    float *vector; /* [dims] */
    char item_id[16], user_id[16], request_id[16], title[64];
};

size_t market_bytes(const struct market_config *config) {
    size_t item = sizeof(struct item) + 2 * sizeof(double) + sizeof(uint32_t);
    size_t user = sizeof(struct user) + sizeof(double);
    size_t floats =
        ((size_t)config->dims + 16) * (2 * MARKET_TASTES + NUISANCES + 1) * sizeof(float);
    return sizeof(struct market) + config->items * item + config->users * user + floats +
           (config->events + 2) * sizeof(struct shown) + 65536;
}

static struct rng stream(const struct market *market, enum draw draw, uint64_t index) {
    return rng_stream(market->config.seed, RNG_GENERATE, draw, index);
}

static double unit_double(struct rng *rng) {
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

/* An index i of 0 .. count-1 with probability (sums[i+1] - sums[i]) / sums[count]. */
static uint32_t draw_by_sums(struct rng *rng, const double *sums, uint32_t count) {
    double at = sums[0] + unit_double(rng) * (sums[count] - sums[0]);
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sums[middle + 1] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- what there is ---- */

static void make_centres(struct market *market) {
    uint32_t dims = market->config.dims;
    for (uint32_t taste = 0; taste < MARKET_TASTES; taste++) {
        struct rng topic = stream(market, DRAW_TOPIC, taste / MARKET_NOUNS),
                   own = stream(market, DRAW_TASTE, taste);
        for (uint32_t i = 0; i < dims; i++)
            market->centres[taste * dims + i] = rng_normal(&topic) + TASTE_NOISE * rng_normal(&own);
    }
    for (uint32_t taste = 0; taste < MARKET_TASTES; taste++) {
        struct rng shift = stream(market, DRAW_LATER, MARKET_TASTES),
                   own = stream(market, DRAW_LATER, taste);
        for (uint32_t i = 0; i < dims; i++)
            market->centres[(MARKET_TASTES + taste) * dims + i] =
                LATER_SHIFT * rng_normal(&shift) + TASTE_NOISE * rng_normal(&own);
    }
}

static void make_nuisances(struct market *market) {
    uint32_t dims = market->config.dims;
    for (uint32_t n = 0; n < NUISANCES; n++) {
        struct rng rng = stream(market, DRAW_NUISANCE, n);
        float *direction = market->nuisances + n * dims;
        for (uint32_t i = 0; i < dims; i++)
            direction[i] = rng_normal(&rng);
        float length = sqrtf(vector_dot(dims, direction, direction));
        for (uint32_t i = 0; i < dims; i++)
            direction[i] /= length;
    }
}

/* 1 / (u + 0.02) for u even in [0, 1): a power law from 50 down to 1. */
static double popularity_of(float u) {
    return 1.0 / ((double)u + 0.02);
}

static void make_items(struct market *market) {
    uint32_t count = market->config.items, initial = (uint32_t)(MARKET_INITIAL_SHARE * count + 0.5);
    initial = initial < 1 ? 1 : initial;
    for (uint32_t i = 0; i < count; i++) {
        struct rng rng = stream(market, DRAW_ITEM, i);
        struct item *item = &market->items[i];
        float u = rng_unit(&rng);
        item->taste = rng_below(&rng, MARKET_TASTES);
        item->material = rng_below(&rng, MARKET_MATERIALS);
        item->charm = 0.5f - u;
        item->quality = rng_normal(&rng);
        double place = i < initial ? 0
                                   : ((double)(i - initial) + (double)rng_unit(&rng)) /
                                         (double)(count - initial);
        item->listed_ms = i < initial
                              ? MARKET_START_MS - (int64_t)(initial - i) * 1000
                              : MARKET_START_MS + (int64_t)(0.95 * place * (double)market->span_ms);
        market->item_sums[i + 1] = market->item_sums[i] + popularity_of(u);
    }
}

/* The items of each taste, with sums of popularity of their own. */
static void sort_by_taste(struct market *market) {
    uint32_t at = 0;
    for (uint32_t taste = 0; taste < MARKET_TASTES; taste++) {
        market->taste_from[taste] = at;
        double *sums = market->by_taste_sums + at + taste;
        sums[0] = 0;
        for (uint32_t i = 0; i < market->config.items; i++) {
            if (market->items[i].taste != taste)
                continue;
            uint32_t place = at++ - market->taste_from[taste];
            market->by_taste[market->taste_from[taste] + place] = i;
            sums[place + 1] = sums[place] + market->item_sums[i + 1] - market->item_sums[i];
        }
    }
    market->taste_from[MARKET_TASTES] = at;
}

static void make_users(struct market *market) {
    for (uint32_t i = 0; i < market->config.users; i++) {
        struct rng rng = stream(market, DRAW_USER, i);
        struct user *user = &market->users[i];
        user->favourite[0] = (uint16_t)rng_below(&rng, MARKET_TASTES);
        /* the second favourite is often of the same topic */
        uint32_t topic =
            rng_below(&rng, 2) ? user->favourite[0] / MARKET_NOUNS : rng_below(&rng, MARKET_TOPICS);
        user->favourite[1] = (uint16_t)(topic * MARKET_NOUNS + rng_below(&rng, MARKET_NOUNS));
        user->favourite[2] = (uint16_t)rng_below(&rng, MARKET_TASTES);
        user->later = (uint16_t)rng_below(&rng, MARKET_TASTES);
        user->shift_at = 1.5f * rng_unit(&rng);
        market->user_sums[i + 1] = market->user_sums[i] + popularity_of(rng_unit(&rng));
    }
}

/* A share of the tastes, drawn without repetition, each takes the admirers of the next one
 * drawn. */
static void make_drift(struct market *market) {
    uint16_t order[MARKET_TASTES];
    struct rng rng = stream(market, DRAW_DRIFT, 0);
    for (uint16_t i = 0; i < MARKET_TASTES; i++)
        order[i] = market->moved[i] = i;
    for (uint32_t i = MARKET_TASTES - 1; i > 0; i--) {
        uint32_t j = rng_below(&rng, i + 1);
        uint16_t swapped = order[i];
        order[i] = order[j], order[j] = swapped;
    }
    uint32_t count =
        market->drift_ms < 0 ? 0 : (uint32_t)(market->config.drift_strength * MARKET_TASTES + 0.5);
    for (uint32_t i = 0; i < count; i++)
        market->moved[order[i]] = order[(i + 1) % count];
    for (uint16_t i = 0; i < MARKET_TASTES; i++)
        market->source[market->moved[i]] = i;
    count =
        market->drift_ms < 0 ? 0 : (uint32_t)(market->config.drift_content * MARKET_TASTES + 0.5);
    for (uint32_t i = 0; i < count; i++)
        market->restyled[order[MARKET_TASTES - 1 - i]] = true;
}

/* ---- what happens ---- */

/* The tastes that the user likes at that moment. */
static void favourites_at(const struct market *market, uint32_t user_index, int64_t time_ms,
                          uint16_t out[FAVOURITES]) {
    const struct user *user = &market->users[user_index];
    double share = (double)(time_ms - MARKET_START_MS) / (double)market->span_ms;
    for (uint32_t i = 0; i < FAVOURITES; i++)
        out[i] = user->favourite[i];
    if (share >= (double)user->shift_at)
        out[1] = user->later;
}

static bool has_drifted(const struct market *market, int64_t time_ms) {
    return market->drift_ms >= 0 && time_ms >= market->drift_ms;
}

static float click_probability(const struct market *market, const uint16_t favourites[FAVOURITES],
                               uint32_t item_index, int64_t time_ms) {
    const struct item *item = &market->items[item_index];
    uint32_t taste = has_drifted(market, time_ms) ? market->moved[item->taste] : item->taste;
    float liking = 0;
    for (uint32_t i = 0; i < FAVOURITES; i++) {
        float here = favourites[i] == taste ? 3.4f * favourite_weight[i]
                     : favourites[i] / MARKET_NOUNS == taste / MARKET_NOUNS
                         ? 1.2f * favourite_weight[i]
                         : 0;
        liking = here > liking ? here : liking;
    }
    float x = -2.4f + liking + 0.5f * item->quality + 0.8f * item->charm;
    return 1.0f / (1.0f + exp_f32(-x));
}

/* How many of the taste's items are among the first `live`. */
static uint32_t live_of_taste(const struct market *market, uint32_t taste, uint32_t live) {
    uint32_t low = market->taste_from[taste], high = market->taste_from[taste + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (market->by_taste[middle] < live)
            low = middle + 1;
        else
            high = middle;
    }
    return low - market->taste_from[taste];
}

/* 45 % from the session's taste, 15 % from what was listed last, 40 % by popularity from all. */
static uint32_t draw_item(const struct market *market, struct rng *rng, uint32_t taste,
                          uint32_t live) {
    uint32_t kind = rng_below(rng, 100), of_taste = live_of_taste(market, taste, live);
    if (kind < 45 && of_taste > 0) {
        uint32_t from = market->taste_from[taste];
        return market
            ->by_taste[from + draw_by_sums(rng, market->by_taste_sums + from + taste, of_taste)];
    }
    if (kind >= 85) {
        uint32_t fresh = live / 50 < 20 ? 20 : live / 50;
        return live - 1 - rng_below(rng, fresh < live ? fresh : live);
    }
    return draw_by_sums(rng, market->item_sums, live);
}

static void put_event(struct market *market, struct shown event) {
    if (market->event_count < market->config.events)
        market->events[market->event_count++] = event;
}

static void put_shown(struct market *market, struct shown event, bool clicked,
                      uint32_t click_delay_ms) {
    enum market_labels labels = market->config.labels;
    event.label = clicked;
    event.action = clicked && labels != MARKET_IMPRESSIONS ? ACTION_CLICK : ACTION_IMPRESSION;
    if (labels != MARKET_CLICKS || clicked)
        put_event(market, event);
    if (labels == MARKET_IMPRESSIONS && clicked) {
        event.action = ACTION_CLICK;
        event.time_ms += click_delay_ms;
        put_event(market, event);
    }
}

static bool was_shown(const uint32_t *shown, uint32_t count, uint32_t item) {
    for (uint32_t i = 0; i < count; i++)
        if (shown[i] == item)
            return true;
    return false;
}

static void make_session(struct market *market, uint32_t session, int64_t time_ms, uint32_t live) {
    struct rng rng = stream(market, DRAW_SESSION, session);
    uint32_t user = draw_by_sums(&rng, market->user_sums, market->config.users);
    uint32_t shown[SESSION_SHOWN_MAX], length = 4 + rng_below(&rng, SESSION_SHOWN_MAX - 3);
    uint16_t favourites[FAVOURITES];
    favourites_at(market, user, time_ms, favourites);
    uint16_t wanted = favourites[rng_below(&rng, FAVOURITES)];
    uint32_t taste = has_drifted(market, time_ms) ? market->source[wanted] : wanted;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t item = draw_item(market, &rng, taste, live);
        for (uint32_t again = 0; again < 8 && was_shown(shown, i, item); again++)
            item = draw_item(market, &rng, taste, live);
        shown[i] = item;
        float probability = click_probability(market, favourites, item, time_ms);
        bool clicked = rng_unit(&rng) < probability;
        market->shown_count++;
        market->clicked_count += clicked;
        market->bins[clicked][(uint32_t)(probability * (AUC_BINS - 1))]++;
        struct shown event = {.time_ms = time_ms,
                              .user = user,
                              .item = item,
                              .session = session,
                              .position = (uint16_t)i};
        put_shown(market, event, clicked, 500 + rng_below(&rng, 3000));
        time_ms += 1000 + rng_below(&rng, 15000);
    }
}

static int compare_shown(const void *a, const void *b) {
    const struct shown *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    if (x->session != y->session)
        return x->session < y->session ? -1 : 1;
    return x->position != y->position ? (x->position < y->position ? -1 : 1)
                                      : (x->action > y->action) - (x->action < y->action);
}

/* Sessions begin evenly over the stream, measured in events, and overlap. */
static void make_events(struct market *market) {
    uint32_t live = 0;
    for (uint32_t session = 0; market->event_count < market->config.events; session++) {
        double share = (double)market->event_count / (double)market->config.events;
        int64_t time_ms = MARKET_START_MS + (int64_t)(share * (double)market->span_ms);
        while (live < market->config.items && market->items[live].listed_ms < time_ms)
            live++;
        make_session(market, session, time_ms, live);
    }
    qsort(market->events, market->event_count, sizeof *market->events, compare_shown);
}

enum status market_create(struct market **out, const struct market_config *config,
                          struct arena *arena, struct error *err) {
    struct market *market = arena_alloc(arena, sizeof *market);
    ASSERT(config->items > 0 && config->users > 0 && config->dims > 0 && config->days > 0);
    if (arena->reserved - arena->used < market_bytes(config) - sizeof *market)
        return FAIL(err, FATAL, EX_OSERR, "no memory for a marketplace of %llu events",
                    (unsigned long long)config->events);
    *market = (struct market){.config = *config, .span_ms = (int64_t)config->days * 86400000};
    market->drift_ms =
        config->drift_at < 0
            ? -1
            : MARKET_START_MS + (int64_t)(config->drift_at * (double)market->span_ms);
    market->items = arena_must(arena, config->items * sizeof *market->items);
    market->item_sums = arena_must(arena, (config->items + 1) * sizeof *market->item_sums);
    market->by_taste = arena_must(arena, config->items * sizeof *market->by_taste);
    market->by_taste_sums =
        arena_must(arena, (config->items + MARKET_TASTES) * sizeof *market->by_taste_sums);
    market->centres =
        arena_must(arena, (size_t)2 * MARKET_TASTES * config->dims * sizeof *market->centres);
    market->nuisances =
        arena_must(arena, (size_t)NUISANCES * config->dims * sizeof *market->nuisances);
    market->vector = arena_must(arena, config->dims * sizeof *market->vector);
    market->users = arena_must(arena, config->users * sizeof *market->users);
    market->user_sums = arena_must(arena, (config->users + 1) * sizeof *market->user_sums);
    market->events = arena_must(arena, config->events * sizeof *market->events);
    market->item_sums[0] = market->user_sums[0] = 0;
    make_centres(market);
    make_nuisances(market);
    make_items(market);
    sort_by_taste(market);
    make_users(market);
    make_drift(market);
    make_events(market);
    *out = market;
    return OK;
}

/* ---- as events ---- */

static struct bytes name_item(struct market *market, uint32_t index) {
    return bytes_of(market->item_id,
                    (size_t)snprintf(market->item_id, sizeof market->item_id, "item-%05u", index));
}

static void make_vector(struct market *market, const struct item *item, uint32_t index) {
    struct rng rng = stream(market, DRAW_VECTOR, index);
    uint32_t dims = market->config.dims,
             centre = item->taste +
                      (has_drifted(market, item->listed_ms) && market->restyled[item->taste]
                           ? MARKET_TASTES
                           : 0);
    for (uint32_t i = 0; i < dims; i++)
        market->vector[i] = market->centres[centre * dims + i] + ITEM_NOISE * rng_normal(&rng);
    float own = sqrtf(vector_dot(dims, market->vector, market->vector));
    for (uint32_t n = 0; market->config.nuisance > 0 && n < NUISANCES; n++)
        vector_add_scaled(dims, (float)market->config.nuisance * own * rng_normal(&rng),
                          market->nuisances + n * dims, market->vector);
}

void market_listing(struct market *market, uint32_t index, struct event *out) {
    ASSERT(index < market->config.items);
    const struct item *item = &market->items[index];
    uint32_t dims = market->config.dims;
    make_vector(market, item, index);
    float length = sqrtf(vector_dot(dims, market->vector, market->vector));
    for (uint32_t i = 0; i < dims; i++)
        market->vector[i] = length > 0 ? market->vector[i] / length : 0;
    int title = snprintf(
        market->title, sizeof market->title, "%s %s %s %u", market_materials[item->material],
        market_topic_words[item->taste / MARKET_NOUNS], market_nouns[item->taste], index);
    *out = (struct event){.kind = EVENT_LISTING};
    out->as.listing = (struct listing){.item_id = name_item(market, index),
                                       .event_time_ms = item->listed_ms,
                                       .vector = market->vector,
                                       .dims = dims,
                                       .text = bytes_of(market->title, (size_t)title)};
}

void market_interaction(struct market *market, uint64_t index, struct event *out) {
    ASSERT(index < market->event_count);
    const struct shown *shown = &market->events[index];
    int user = snprintf(market->user_id, sizeof market->user_id, "user-%05u", shown->user);
    int request = snprintf(market->request_id, sizeof market->request_id, "s%u", shown->session);
    *out = (struct event){.kind = EVENT_INTERACTION};
    out->as.interaction =
        (struct interaction){.user_id = bytes_of(market->user_id, (size_t)user),
                             .item_id = name_item(market, shown->item),
                             .event_time_ms = shown->time_ms,
                             .action = shown->action,
                             .has_label = market->config.labels == MARKET_GIVEN,
                             .label = shown->label,
                             .request_id = bytes_of(market->request_id, (size_t)request),
                             .has_position = true,
                             .position = shown->position};
}

void market_truth(const struct market *market, struct market_truth *out) {
    double below = 0, won = 0, positives = 0;
    for (uint32_t i = 0; i < AUC_BINS; i++) {
        won += (double)market->bins[1][i] * (below + 0.5 * (double)market->bins[0][i]);
        below += (double)market->bins[0][i];
        positives += (double)market->bins[1][i];
    }
    *out = (struct market_truth){.shown = market->shown_count,
                                 .clicked = market->clicked_count,
                                 .auc_best =
                                     positives > 0 && below > 0 ? won / (positives * below) : NAN,
                                 .drift_ms = market->drift_ms};
    for (uint32_t i = 0; i < market->config.items; i++)
        out->listed_later += market->items[i].listed_ms >= MARKET_START_MS;
}

uint32_t market_taste(const struct market *market, uint32_t index) {
    return market->items[index].taste;
}
