/* The model: items, users, tokenizer, ranker and evaluation over one set of tables. What the stage calls in each epoch.
 * No I/O, no clock, no Kafka: the same calls in the same order give the same bytes. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/ranker.h"
#include "model/table.h"
#include "model/tokenizer.h"

#define EXPOSURE_BUCKETS 6 /* of an item, before the event */

/* Codebooks that follow the stream (model/codebook_updates.c). */
struct update_config {
    uint32_t on;                        /* 0: the first codebooks stay as they are */
    uint32_t publish_epochs;            /* click epochs per codebook_version */
    uint32_t memory[SID_CODES];         /* item events: 1 / (1 - g) of each level */
    float popularity;                   /* beta of the weight delta^beta; 0: every event weighs 1 */
    float weight_max;                   /* of that weight */
    float reluctance_first, reluctance; /* hysteresis: of the first level, of the others */
    float reset_share;       /* a cell below this share of its level's mean count is nearly empty */
    uint32_t reset_versions; /* ... and is reset when it was so for so many versions */
    float balance;           /* s of Streaming VQ's r_k, on the last RQ level; 0: none */
    uint32_t sweep;          /* items re-visited per click epoch, besides those shown */
    uint32_t
        collision_tries; /* other last codes tried while a SID is another item's; 0: none. Also when off */
};

/* An encoder that learns from behaviour in the shadow (model/shadow_private.h). */
struct encoder_config {
    uint32_t on;
    uint32_t pairs; /* remembered, the newest */
    float
        popular_clicks; /* a pair is kept with probability p / (p + clicks of its less clicked item) */
    uint32_t batch, steps; /* pairs of a step; steps per click epoch */
    float rate;            /* Adagrad, one accumulator per row of W */
    float temperature;
    float reconstruction_weight; /* of |z - decoded z|^2 */
    float decoded_weight;        /* of the contrast on decoded pairs */
    uint32_t judge_epochs;       /* click epochs between judgements */
    uint32_t judge_pairs;        /* judged so far before the shadow can be found better */
};

/* How one encoder and its books follow another (model/generations.c). */
struct generation_config {
    uint32_t on;
    uint32_t check_epochs;    /* click epochs between looks at whether a release is due */
    uint32_t schedule_epochs; /* click epochs after which one is due; 0: never */
    float
        drift; /* quantisation error, over that of the books when new, at which one is due; 0: never */
    uint32_t slice;         /* items moved, or rows retired, per click epoch */
    uint32_t window_epochs; /* the old generation stays for so many after the last item moved */
    uint32_t hold;          /* stay at, or go back to, this generation; 0: no */
};

struct model_config {
    struct tokenizer_config tokenizer;
    struct generation_config generations;
    struct encoder_config encoder;
    struct update_config updates;
    struct ranker_config ranker;
    uint32_t train_listings; /* the first codebooks are trained when so many listings wait */
    uint32_t items_max, users_max;
    uint32_t id_bytes_max;  /* of item and user ids */
    uint32_t title_bytes;   /* of a listing's text that are kept; a multiple of 4 */
    uint64_t warmup_events; /* labelled events that the AUC figures leave out */
    uint64_t seed;
};

/* Value of a row of `items` (KEY_STRING: the item id). Private: changelog. */
enum item_flags { ITEM_LISTED = 1, ITEM_HAS_CONTENT = 2 };
struct item_row {
    uint32_t sequence; /* of its listing, never reused: position + sequence name an item for ever */
    uint32_t flags;
    int64_t listed_ms; /* event time of the listing that stands; INT64_MIN when never listed */
    int64_t first_exposed_ms; /* -1: never */
    uint64_t exposures, clicks;
    uint64_t content_hash;
    uint64_t last_event;      /* item event of its last visit by codebook_updates.c */
    uint32_t visited_version; /* codebook_version that its SID was last held against */
    uint32_t reserved;
};

/* Counts and age of an item: what the gate reads, and the first features of an event. */
void item_features(const struct item_row *item, int64_t now_ms, float features[GATE_FEATURES]);
/* A row of `counts`, what a ranker downstream needs of an item's counts [4], into the item's exposures, clicks and first_exposed_ms. */
void item_counts(const float counts[4], struct item_row *out);
/* The features of an event that are the user's: of clicks in all, and of how often the candidate is in the history. */
void user_features(uint64_t clicks, uint32_t times, float features[FEATURES]);

/* An item in a user's history. The item is gone when the row at `position` has another sequence. */
struct item_handle {
    uint32_t position;
    uint32_t sequence;
};

/* Value of a row of `users` (KEY_STRING: the user id): this header, then H item_handles, newest first. */
struct user_row {
    uint64_t clicks;
    uint32_t history_length;
    uint32_t reserved;
};

/* One labelled interaction to score and learn from. */
struct sample {
    uint32_t user_row;
    uint32_t item_row;
    int64_t time_ms;
    float label; /* 0 or 1 */
};

struct model;

enum status model_create(struct model **out, const struct model_config *config, struct tables *set,
                         struct arena *arena, struct error *err);
void model_destroy(struct model *model);

/* First epoch of a new stage: rows that must exist from the start. */
enum status model_start(struct model *model, struct error *err);
/* After rows were restored or rolled back: what is derived from them. */
enum status model_refresh(struct model *model, struct error *err);

/* A listing that passed the stage's checks: new item or new content. *changed = false when it repeats what stands. The item is onboarded (z, SID,
 * code rows) at once if codebooks exist, otherwise it waits; the listing that completes train_listings trains the
 * codebooks and onboards all that wait. */
enum list_result { LIST_NEW, LIST_CHANGED, LIST_DUPLICATE, LIST_STALE };
enum status model_list(struct model *model, struct bytes item_id, int64_t event_time_ms,
                       const float *vector, struct bytes text, uint64_t epoch,
                       enum list_result *result, struct error *err);
/* Takes the item out of every table; false when it was not there. */
bool model_delist(struct model *model, struct bytes item_id);

/* NO_ROW when the item was never listed. */
uint32_t model_find_item(const struct model *model, struct bytes item_id);
bool model_item_alive(const struct model *model, struct item_handle handle);
struct item_handle model_item_handle(const struct model *model, uint32_t item_row);
/* An item that is interacted with but never listed, to be learned by id alone. */
enum status model_admit_unlisted(struct model *model, struct bytes item_id, uint32_t *item_row,
                                 struct error *err);
/* The user's row, made if absent. */
enum status model_user(struct model *model, struct bytes user_id, uint32_t *user_row,
                       struct error *err);
/* Items alive and listed; positions run to table_end(items). */
const struct table *model_items(const struct model *model);

/* Scores the samples (at most ranker.batch) with the state as it stands, counts them in the evaluation, learns from them, then
 * updates counts and histories (features, counts and histories are those at the start of the mini-batch). */
enum status model_learn(struct model *model, const struct sample *samples, uint32_t count,
                        struct error *err);
/* At the end of a click epoch, after its last mini-batch: the codebooks follow what was shown, and items their codebooks. */
enum status model_align(struct model *model, uint64_t epoch, struct error *err);

/* What must hold between the tables after every epoch: no SID points at anything that is not there. FATAL with the first
 * thing that is wrong. */
enum status model_validate(const struct model *model, struct error *err);

uint32_t model_codebook_version(const struct model *model);
uint32_t model_generation(const struct model *model);

/* What the evaluation rows say. NaN where a bucket has one class only. */
extern const char
    *const exposure_bucket_names[EXPOSURE_BUCKETS]; /* "0" "1-4" "5-19" "20-99" "100-499" "500+" */
struct evaluation {
    uint64_t labelled;    /* scored, warm-up included */
    double auc, auc_cold; /* cold: fewer than 100 exposures before the event */
    double auc_by_exposures[EXPOSURE_BUCKETS];
    uint64_t events_by_exposures[EXPOSURE_BUCKETS];
    double
        gate_by_exposures[EXPOSURE_BUCKETS]; /* mean T of the events' items; NaN without a gate */
    double gauc, ne, calibration;
    double sid_unique;
    double sid_churn_per_day; /* outside the release of generations */
    double
        quantisation_error; /* mean |z - decoded z|^2 over |z|^2, of live SIDs as the codebooks stand */
    uint64_t codebook_version, codebook_resets;
    /* Hit@30 of raw content, live z, live decoded z, shadow z, shadow decoded z; NaN: not judged */
    double hits[5];
    uint64_t encoder_steps, encoder_judgements;
    uint64_t generation, previous_generation, releases;
    double utilisation[SID_CODES];
    uint64_t items, onboarded;
};
void model_evaluate(struct model *model, struct evaluation *out);
/* Without its scans over scores, items and users: AUC, GAUC, the figures by exposures and those of the items' SIDs are 0. */
void model_overview(const struct model *model, struct evaluation *out);
/* The overall AUC alone: cheap enough for progress. */
double model_auc(const struct model *model);

/* One user's scores after the warm-up, counted in bins of the logit: [-6, 2) in steps of 1/8, the ends open. A count stays at 65535
 * once there. */
#define USER_BINS 64u
struct user_scores {
    uint16_t negatives[USER_BINS], positives[USER_BINS];
};
/* Value of a row of `user_scores`. Cold: events on items with fewer than 100 exposures, which are among all, too. */
struct user_score_row {
    struct user_scores all, cold;
};
/* Users have rows below this. */
uint32_t model_users_end(const struct model *model);
/* NULL where no user lives at the row; *user_id is borrowed. */
const struct user_score_row *model_user_scores(const struct model *model, uint32_t user_row,
                                               struct bytes *user_id);

/* ---- for people who look ---- */

struct item_facts {
    struct bytes id, title; /* borrowed; the title may be empty */
    int64_t listed_ms;      /* event time; INT64_MIN: never listed */
    int64_t first_shown_ms; /* -1: never */
    uint64_t exposures, clicks;
    bool has_sid;
    uint16_t codes[SID_CODES]; /* this and what follows: only with a SID */
    uint32_t generation, codebook_version;
    uint64_t sid_epoch; /* that gave it this SID */
    float quantisation_error;
    float gate; /* T as of the last event; NaN where the variant learns none */
};
/* Of a live item. */
void model_item_facts(const struct model *model, uint32_t item_row, struct item_facts *out);
/* Users who have clicked, drawn by a hash of their ids: the same ones whatever the configuration. Returns how many (at most max, 64). */
uint32_t model_panel(const struct model *model, uint32_t *user_rows, uint32_t max);
/* The click probabilities that the stage would give now; nothing is counted or learned. At most ranker.batch samples; labels do not count. */
void model_score(struct model *model, const struct sample *samples, uint32_t count,
                 float *probabilities);
/* The items listed last that have a SID, newest first; returns how many (at most max). */
uint32_t model_last_listed(const struct model *model, uint32_t *rows, uint32_t max);
/* The items with a SID whose z has the largest inner product with this one's, best first. Of an item with a SID; at most 32. */
uint32_t model_nearest(const struct model *model, uint32_t item_row, uint32_t *rows, uint32_t max);
/* The items that share the most leading RQ codes with this one, then OPQ codes, then those nearest by z, best first; those that share the first code
 * at least. Of an item with a SID; at most 32. */
uint32_t model_nearest_by_sid(const struct model *model, uint32_t item_row, uint32_t *rows,
                              uint32_t max);
/* Items whose SID begins with the first `depth` of `codes`; the most shown first, at most `max` (32) of *found. */
uint32_t model_with_prefix(const struct model *model, const uint16_t codes[SID_CODES],
                           uint32_t depth, uint32_t *rows, uint32_t max, uint64_t *found);

#endif
