/* The ranker: which of the items shown will this user click? Scores a mini-batch with the parameters as they stand,
 * then learns from it once (prequential, SMILE 1.6 / SaviorRec 2.3-2.4; variants as in DESIGN section 3).
 *
 *   per distinct item   I_id = id row [d];  I_RQ = Fuse(E1[c1], E2[c1,c2], E3[c1,c2,c3]);  I_OPQ = O1[o1] + O2[o2]
 *   views               b = I_id  (behaviour)
 *                       m = I_RQ + I_OPQ  (`id+sid`: codes as plain features)   or   m = z Wz  (`id+content`)
 *   per event, per view target attention over the user's recent items (queries and keys x / sqrt(|x|^2 + 0.1), softmax of
 *                       sharpness * q.k, learned sharpness), giving a [d];  DNN input [feat | b, a_b, b*a_b | m, a_m, m*a_m]
 *   logit               DNN(relu, relu, linear) + item bias;  loss BCE
 *   update              row-wise Adagrad on the SUM of the batch's gradients for table rows (one accumulator a row, fed with the
 *                       mean over the row of the squared gradient); Adagrad on the MEAN for dense tensors
 *
 * Each distinct item is computed once per batch, not once per occurrence; gradients of all occurrences sum into it.
 * All parameters are rows of tables that the ranker adds to the set, so they are undone, published and restored
 * like everything else. The only state outside tables is scratch.
 */
#ifndef MODEL_RANKER_H
#define MODEL_RANKER_H

#include "model/table.h"
#include "model/tokenizer.h"

/* Event features, in this order (all as of the mini-batch's start):
 * log1p(item exposures)/5, log1p(item clicks)/5, log((clicks+1)/(exposures+5))/2, log1p(hours since first exposure)/5,
 * log1p(user's clicks)/5, log1p(times the candidate is in the user's history). */
#define FEATURES 6

enum variant { VARIANT_ID, VARIANT_ID_CONTENT, VARIANT_ID_SID };

struct ranker_config {
    enum variant variant;
    uint32_t width;   /* d [32] */
    uint32_t history; /* H [30] items of a user's history at most */
    uint32_t batch;   /* B [512] events of a mini-batch at most */
    uint32_t z_dims;  /* Dz [64] */
    uint32_t books[SID_CODES];
    uint32_t prefix_rows;    /* rows of E3, keyed by (c1,c2,c3) mod prefix_rows [16384] */
    uint32_t hidden[2];      /* DNN widths [64, 32] */
    float rate_rows;         /* row-wise Adagrad [0.1] */
    float rate_dense;        /* dense Adagrad [0.05] */
    float accumulator_rows;  /* first accumulator [0.01] */
    float accumulator_dense; /* first accumulator [1e-5] */
    float init_rows;         /* standard deviation of new code rows [0.05] */
    float sharpness;         /* first sharpness of both views [4] */
    uint64_t seed;
};

/* The tables of items that the ranker reads and writes; positions are those of the `items` table. */
struct item_tables {
    struct table *items;     /* parent */
    struct table *embedding; /* child: f32 [d + 1]: I_id and the item's bias (zero at first) */
    struct table *optimiser; /* child: f32 [2]: Adagrad accumulators of I_id and of the bias */
    struct table *z;         /* child: f32 [Dz]; absent row = no content yet: z = 0 */
    struct table *sid;       /* child: struct sid_row; absent row = no SID yet: I_RQ = I_OPQ = 0 */
};

/* Value of a row of the `semantic-ids` table. Codes are little-endian on the wire like all values. */
struct sid_row {
    uint16_t codes[SID_CODES];
    uint16_t previous[SID_CODES]; /* equal to codes when there was none */
    uint16_t reason;              /* enum sid_reason */
    uint16_t has_previous;
    uint32_t generation;
    uint32_t codebook_version;
    float quantisation_error;
    uint32_t reserved; /* keeps the 64-bit fields aligned; 0 */
    uint64_t epoch;
    int64_t event_time_ms;
};
enum sid_reason { SID_NEW, SID_CONTENT, SID_DRIFT, SID_GENERATION };

/* One mini-batch, all indices checked by its builder (model/batch.h). */
struct batch {
    uint32_t events;          /* n <= B */
    uint32_t items;           /* U distinct items among candidates and histories */
    uint32_t users;           /* distinct users */
    uint32_t *item_row;       /* [U] positions in `items`, in order of first appearance */
    uint32_t *candidate;      /* [n] index into item_row */
    uint32_t *user;           /* [n] index into the user arrays */
    uint32_t *history;        /* [users, H] indices into item_row, newest first */
    uint32_t *history_length; /* [users] 0 .. H */
    float *features;          /* [n, FEATURES] */
    float *labels;            /* [n] 0 or 1 */
};

struct ranker;

/* Adds the ranker's tables (E1 E2 E3 O1 O2 and their accumulators, dense tensors and theirs) to `set`. */
enum status ranker_create(struct ranker **out, const struct ranker_config *config,
                          const struct item_tables *items, struct tables *set, struct arena *arena,
                          struct error *err);

/* Creates the dense tensors' rows with their first values; once, in the stage's first epoch. */
enum status ranker_start(struct ranker *ranker, struct error *err);

/* Creates the item's embedding, optimiser and code rows where they are missing, so that no SID ever points at a row
 * that is not there. Call after the item's row in `items` and, if it has one, in `sid` exist. */
enum status ranker_admit(struct ranker *ranker, uint32_t item_row, struct error *err);

/* An item's SID has changed from `before`, whose rows are there: creates the rows of the new one where they are missing, as
 * copies of those that the item comes from, so that its score changes little. */
enum status ranker_move(struct ranker *ranker, uint32_t item_row, const struct sid_row *before,
                        struct error *err);
/* No item has this code of a level (0 .. 4) any more, and its meaning changes: takes out the rows that belong to it and to
 * no other (those of E3 and A3, which prefixes share by hash, stay). */
void ranker_forget_code(struct ranker *ranker, uint32_t generation, uint32_t level, uint32_t code);

/* Whether every row that the item's SID names is there. */
bool ranker_covers(const struct ranker *ranker, uint32_t item_row);

/* logits [n] with the parameters as they stand. */
void ranker_score(struct ranker *ranker, const struct batch *batch, float *logits);

/* Learns once from the batch that was scored last (its activations are kept). Returns the batch's mean BCE. */
float ranker_learn(struct ranker *ranker, const struct batch *batch);

#endif
