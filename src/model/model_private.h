/* What the files of the model share: its tables and what is derived from them. */
#ifndef MODEL_MODEL_PRIVATE_H
#define MODEL_MODEL_PRIVATE_H

#include "model/codebooks.h"
#include "model/model.h"
#include "model/neighbours.h"

/* The one row of table `model`: counters that no other table has. */
struct model_row {
    uint32_t next_sequence; /* of the next listing */
    uint32_t codebook_version;
    uint32_t generation;
    uint32_t waiting;     /* listings with content and without codebooks */
    uint64_t onboarded;   /* items with a SID */
    uint64_t sid_changes; /* items whose codes changed, ever */
    uint64_t labelled;    /* samples scored, warm-up included */
    uint64_t evaluated;   /* of them after the warm-up */
    uint64_t positives;
    double loss_sum; /* of the evaluated: BCE in nats */
    double probability_sum;
    int64_t first_ms, last_ms;     /* event time of the first and last sample */
    uint64_t item_events;          /* codebook_updates.c */
    uint64_t resets;               /* codes that were reset, ever */
    uint64_t sid_changes_released; /* of sid_changes: by a new generation */
    uint32_t sweep_position;
    uint32_t version_epochs;           /* click epochs since the codebook_version advanced */
    double gate_sum[EXPOSURE_BUCKETS]; /* of the evaluated events' gates T */
};

#define SCORE_BINS (1u << 16) /* of the probability, per exposure bucket */
#define BINS_PER_ROW 16u
#define COLD_BUCKETS 4 /* the first four buckets: fewer than 100 exposures */

struct score_bin {
    uint32_t negatives, positives;
};

/* Maps table positions to indices of a batch without clearing between batches. */
struct stamps {
    uint32_t *stamp; /* [rows_max] the batch in which the row was last seen */
    uint32_t *index; /* [rows_max] its index there */
};

/* What codebook_updates.c needs beside rows. */
struct codebook_updates {
    struct table *clusters;
    float log_g[SID_CODES];
    float *inputs;      /* [4, Dz]: what each level quantises of one item */
    uint32_t *shown;    /* [items_max] rows of the items shown in the open epoch, in order */
    uint32_t *stamp_of; /* [items_max] the stamp with which an item was noted last */
    uint32_t shown_count, stamp;
};

/* See model/shadow_private.h. */
struct shadow {
    struct table *state, *pairs, *accumulators, *books;
    struct tokenizer *shadow;
};

/* Where a tokenizer's arrays are rows. */
struct book_rows {
    struct table *table;
    struct tokenizer *tokenizer;
    uint32_t generation; /* of their keys */
};

struct model {
    struct model_config config;
    struct tables *set;
    struct table *items, *content, *z, *sid, *embedding, *optimiser, *counts;
    struct table *users, *user_scores;
    struct table *codebooks, *state, *score_bins;
    struct table *holders; /* how many items hold a SID, by its hash; NULL: nobody asks */
    struct codebook_updates updates;
    struct shadow encoder;
    struct table *generations; /* NULL: there is one for ever */
    struct tokenizer *next;    /* where a release is prepared */
    struct tokenizer *tokenizer;
    struct ranker *ranker;
    struct ranker_parts parts;
    struct neighbours *neighbours; /* NULL: the variant has no contrast */
    struct arena scratch;          /* training only */
    struct batch batch;
    uint16_t (*contrast_codes)[SID_CODES]; /* [CONTRAST_ITEMS_MAX] */
    float *logits;                         /* [B] */
    uint64_t *exposures;                   /* [B] of each sample's item at the batch's start */
    struct stamps item_stamps, user_stamps;
    uint32_t stamp;
    uint32_t loaded_version; /* of the codebooks in `tokenizer` */
    uint32_t loaded_generation;
};

static inline const struct model_row *model_state(const struct model *model) {
    return table_value(model->state, 0);
}
static inline struct model_row *model_edit_state(struct model *model) {
    return table_edit(model->state, 0);
}
static inline const struct item_row *item_at(const struct model *model, uint32_t row) {
    return table_value(model->items, row);
}
static inline const struct user_row *user_at(const struct model *model, uint32_t row) {
    return table_value(model->users, row);
}
static inline const struct item_handle *user_history(const struct user_row *user) {
    return (const struct item_handle *)(user + 1);
}

/* codebooks.c */
enum status codebooks_train(struct model *model,
                            struct error *err); /* from all items that wait; publishes rows */
enum status codebooks_load(struct model *model, struct error *err); /* rows -> tokenizer */
enum status codebooks_publish(struct model *model,
                              struct error *err); /* tokenizer -> rows of the current generation */
/* Whether the centroid's row is there; level 0 .. 4. */
bool codebooks_have(const struct model *model, uint32_t generation, uint32_t level, uint32_t code);
enum status codebooks_publish_rows(struct model *model, struct book_rows rows, struct error *err);
enum status codebooks_load_rows(struct model *model, struct book_rows rows, struct error *err);

/* shadow*.c */
enum status shadow_create(struct model *model, struct arena *arena, struct error *err);
enum status shadow_start(struct model *model, struct error *err); /* as a copy of the live one */
enum status shadow_refresh(struct model *model, struct error *err);
enum status shadow_end_epoch(struct model *model, struct error *err);
/* Before the click enters the user's history. */
enum status shadow_note_click(struct model *model, uint32_t user_row, uint32_t item_row,
                              struct error *err);
/* Whether the shadow finds later co-clicks better than the live encoder: by more than two standard deviations of the
 * pairs on which they differ, and no worse after quantisation. */
bool shadow_is_better(const struct model *model);
void shadow_evaluate(const struct model *model, struct evaluation *out);

void codebooks_retire(struct model *model, uint32_t generation); /* takes its rows out */

/* generations.c */
enum status generations_create(struct model *model, struct arena *arena, struct error *err);
enum status generations_end_epoch(struct model *model, uint64_t epoch, struct error *err);
void generations_evaluate(const struct model *model, struct evaluation *out);

/* semantic_ids.c */
enum status semantic_ids_create(struct model *model, struct error *err);
/* z and SID of an item whose content is stored, from the content alone; codebooks are there. */
enum status semantic_id_encode(struct model *model, uint32_t item_row, uint64_t epoch,
                               enum sid_reason reason, struct error *err);
/* The codes for an item with this z; `keep`: its own ones where hysteresis says so. */
void semantic_id_choose(struct model *model, uint32_t item_row, const float *z, bool keep,
                        uint16_t codes[SID_CODES], float *error);
/* Writes the item's SID of the current generation and gives it the ranker's rows. `reason` is not used for a first SID. */
enum status semantic_id_set(struct model *model, uint32_t item_row, const uint16_t codes[SID_CODES],
                            float error, enum sid_reason reason, uint64_t epoch, struct error *err);
/* Holds the SID against the current codebook_version, once per version; it may move. */
enum status semantic_id_revisit(struct model *model, uint32_t item_row, uint64_t epoch,
                                struct error *err);
/* Rows of at most `max` items with a SID of the generation: one of every few in order of position, drawn at random. */
uint32_t semantic_ids_sample(const struct model *model, uint32_t generation, uint64_t occasion,
                             uint32_t max, uint32_t *items);
/* Before an item's SID is taken out. */
void semantic_id_release(struct model *model, uint32_t item_row);
/* Sums over items with a SID: |z - decoded z|^2 as the codebooks stand, and |z|^2. */
struct quantised {
    double wrong, all;
};
void semantic_id_measure(const struct model *model, uint32_t item_row, struct quantised *sum);

/* codebook_updates.c */
enum status codebook_updates_create(struct model *model, struct arena *arena, struct error *err);
/* With new books: as if items with these codes [n] had just been seen. */
enum status codebook_updates_start(struct model *model, const uint16_t (*codes)[SID_CODES],
                                   uint32_t n, struct error *err);  /* with the first books */
void codebook_updates_note(struct model *model, uint32_t item_row); /* an item was shown */
void codebook_updates_forget(struct model *model); /* what was noted, after a roll-back */
enum status codebook_updates_end_epoch(struct model *model, uint64_t epoch, struct error *err);

/* The item's SID enters (+1) or leaves (-1) what is derived from SIDs: around every change of a row of `sid`. Those of another
 * generation are in a space of their own and take no part. */
static inline void sid_count(struct model *m, uint32_t row, int change) {
    const struct sid_row *sid = table_value(m->sid, row);
    if (m->neighbours != NULL && sid->generation == m->loaded_generation)
        neighbours_count(m->neighbours, sid->codes, change);
}
/* The neighbours as the rows of `sid` have them; after rows or codebooks were loaded. */
void model_refresh_neighbours(struct model *model);

/* batch.c */
void batch_create(struct model *model, struct arena *arena);
void batch_build(struct model *model, const struct sample *samples, uint32_t count);
/* For learning with the contrast: the first distinct candidates of the batch that have a SID of this generation, and which of them are near each
 * other. */
void batch_find_positives(struct model *model);
void counts_publish(struct model *model, uint32_t item_row); /* items -> the public row of counts */
enum status batch_remember(struct model *model, const struct sample *samples, uint32_t count,
                           struct error *err);

/* evaluation.c */
enum status evaluation_create(struct model *model, struct error *err);
enum status evaluation_count(struct model *model, const struct sample *samples, uint32_t count,
                             struct error *err);
/* In nats, of an event that happens at this rate; 0 < rate < 1. */
double binary_entropy(double rate);

#endif
