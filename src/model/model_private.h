/* What the files of the model share: its tables and what is derived from them. */
#ifndef MODEL_MODEL_PRIVATE_H
#define MODEL_MODEL_PRIVATE_H

#include "model/model.h"

/* Key of a row of `codebooks`: generation << 40 | level << 32 | code. Each row is f32 [Dz]. */
enum codebook_level {
    LEVEL_RQ_1,
    LEVEL_RQ_2,
    LEVEL_RQ_3,
    LEVEL_OPQ_1, /* the first Dz/2 numbers of a row count */
    LEVEL_OPQ_2,
    LEVEL_ROTATION, /* code = row of R [Dz, Dz] */
    LEVEL_ENCODER,  /* code = row of W [Dc, Dz] */
    LEVEL_MEAN      /* code = chunk of Dz numbers of the mean [Dc] */
};

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
    int64_t first_ms, last_ms; /* event time of the first and last sample */
};

#define SCORE_BINS (1u << 16) /* of the probability, per exposure bucket */
#define BINS_PER_ROW 16u
#define USER_BINS 64u /* of the logit, per user: [-6, 2) in steps of 1/8, the ends open */

struct score_bin {
    uint32_t negatives, positives;
};
/* One user's scores for GAUC; counts stay at 65535 once there. */
struct user_score_row {
    uint16_t negatives[USER_BINS], positives[USER_BINS];
};

/* Maps table positions to indices of a batch without clearing between batches. */
struct stamps {
    uint32_t *stamp; /* [rows_max] the batch in which the row was last seen */
    uint32_t *index; /* [rows_max] its index there */
};

struct model {
    struct model_config config;
    struct tables *set;
    struct table *items, *content, *z, *sid, *embedding, *optimiser, *counts;
    struct table *users, *user_scores;
    struct table *codebooks, *state, *score_bins;
    struct tokenizer *tokenizer;
    struct ranker *ranker;
    struct arena scratch; /* training only */
    struct batch batch;
    float *logits;       /* [B] */
    uint64_t *exposures; /* [B] of each sample's item at the batch's start */
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

/* batch.c */
void batch_create(struct model *model, struct arena *arena);
void batch_build(struct model *model, const struct sample *samples, uint32_t count);
void counts_publish(struct model *model, uint32_t item_row); /* items -> the public row of counts */
enum status batch_remember(struct model *model, const struct sample *samples, uint32_t count,
                           struct error *err);

/* evaluation.c */
enum status evaluation_create(struct model *model, struct error *err);
enum status evaluation_count(struct model *model, const struct sample *samples, uint32_t count,
                             struct error *err);

#endif
