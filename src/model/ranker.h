/* The ranker: which of the items shown will this user click? Scores a mini-batch with the parameters as they stand,
 * then learns from it once (prequential). SMILE (1.3-1.6) and SaviorRec (2.3-2.4) as in DESIGN section 3:
 *
 *   per distinct item   I_id = id row [d];  I_RQ = Fuse(E1[c1], E2[c1,c2], E3[c1,c2,c3]);  I_OPQ = O1[o1] + O2[o2]
 *     gate              T = sigmoid(DNN(counts and age)) of the item; 1 for an item without a SID
 *     fused             I_f = T I_id + (1 - T) I_RQ + 0.5 I_OPQ
 *     MBA               z~ = z + MLP(A1[c1], A2[c1,c2], A3[c1,c2,c3]), the A starting at zero
 *   views               b (behaviour) = I_id or I_f;  m (modal) = z~ Wz, or I_RQ + I_OPQ
 *   per event           target attentions over the user's recent items (queries and keys x / sqrt(|x|^2 + 0.1), softmax of
 *                       sharpness * q.k, a learned sharpness for each view): a_vw has keys of view v and values of view w
 *   DNN input           [feat | b, a_bb, b*a_bb | m, a_mm, m*a_mm | a_mb, a_bm]
 *   logit               DNN(relu, relu, linear) + item bias
 *   loss                BCE + kl_weight * transfer loss (of the candidates) + contrast_weight * OPQ contrast
 *   update              row-wise Adagrad on the SUM of the batch's gradients for table rows (one accumulator a row, fed with the
 *                       mean over the row of the squared gradient); Adagrad on the MEAN for dense tensors
 *
 *   variant      b          m                attentions                      beside
 *   id           I_id                        a_bb
 *   content                 z Wz             a_mm                            no bias
 *   id+content   I_id       z Wz             a_bb, a_mm
 *   id+sid       I_id       I_RQ + I_OPQ     a_bb, a_mm
 *   smile        I_f        I_RQ + I_OPQ     a_bb, a_mm                      transfer loss, contrast
 *   savior       I_id       z~ Wz            all four
 *   full         I_f        z~ Wz            all four                        transfer loss, contrast
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

/* An item's features for the gate, as of the mini-batch's start: the first four of these, with the hours up to the
 * batch's first event. */
#define GATE_FEATURES 4
#define CONTRAST_ITEMS_MAX 256 /* of a batch that take part in the contrast */

enum variant {
    VARIANT_ID,
    VARIANT_CONTENT,
    VARIANT_ID_CONTENT,
    VARIANT_ID_SID,
    VARIANT_SMILE,
    VARIANT_SAVIOR,
    VARIANT_FULL
};
extern const char *const ranker_variant_names[]; /* as in model.variant; NULL-terminated */
enum gate_kind { GATE_HALF, GATE_LEARNED };

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
    /* Parts of a variant that can be left out. */
    enum gate_kind gate;   /* [learned]; half: T = 1/2 */
    uint32_t gate_hidden;  /* width of the gate's hidden layer [16] */
    uint32_t opq;          /* 0: no I_OPQ in I_f, and no contrast [1] */
    uint32_t mba;          /* 0: z~ = z [1] */
    uint32_t cross;        /* 0: no a_mb, a_bm [1] */
    float opq_share;       /* of I_OPQ in I_f [0.5] */
    float kl_weight;       /* of the transfer loss; 0: none [0.01] */
    float contrast_weight; /* 0: none [0.05] */
    uint32_t
        banks; /* 2: code rows of two generations side by side, by the generation's parity; else 1 */
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

/* What a variant consists of, less what the configuration leaves out. */
enum modal_source { MODAL_NONE, MODAL_CODES, MODAL_CONTENT };
struct ranker_parts {
    bool behaviour; /* the view b, and the bias */
    enum modal_source modal;
    bool fused, gate, opq; /* b is I_f, T is learned, I_OPQ is part of I_f */
    bool mba, cross;
    bool transfer, contrast; /* the losses beside BCE */
};
struct ranker_parts ranker_parts(const struct ranker_config *config);

/* Tables of code rows: of embeddings (E1 E2 E3 O1 O2) and residuals (A1 A2 A3). NULL: there is none of this use. */
enum code_use { CODES_EMBEDDING, CODES_RESIDUAL, CODE_USES };
extern const char *const code_table_names[CODE_USES][SID_CODES];
/* The row of an item's code in the tables of a level (0 .. 4). */
uint32_t code_row(const struct ranker_config *config, const struct sid_row *sid, uint32_t level);

/* One mini-batch, all indices checked by its builder (model/batch.c). */
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
    float *item_features;     /* [U, GATE_FEATURES]; only read if the gate is learned */
    float *labels;            /* [n] 0 or 1 */
    uint32_t contrast_items;  /* C <= CONTRAST_ITEMS_MAX distinct candidates; 0: no contrast */
    uint32_t *contrast_item;  /* [C] indices into item_row */
    uint8_t *
        positive; /* [C, C] row i: 1 for the items near i in OPQ space, otherwise 0; never i itself */
};

struct ranker;

/* Adds the ranker's tables (of E1 E2 E3 O1 O2 A1 A2 A3 and the dense tensors those that the variant has, and their
 * accumulators) to `set`. */
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

/* A generation begins, none of whose rows is there: those that these items [n] will name with these codes, each the mean of
 * the rows that its items name now. counts [n] is scratch. */
enum status ranker_inherit(struct ranker *ranker, const uint32_t *items,
                           const uint16_t (*codes)[SID_CODES], uint32_t n, uint32_t generation,
                           uint32_t *counts, struct error *err);
/* Takes out code rows of a generation that no item belongs to, at most `max`; returns how many. */
uint32_t ranker_retire(struct ranker *ranker, uint32_t generation, uint32_t max);
/* Whether every row that the item's SID names is there. */
bool ranker_covers(const struct ranker *ranker, uint32_t item_row);

/* logits [n] with the parameters as they stand. */
void ranker_score(struct ranker *ranker, const struct batch *batch, float *logits);
/* T of the batch's items [U] as scored last; NULL when the gate is not learned. */
const float *ranker_gate(const struct ranker *ranker);
/* T of an item that has a SID, as the parameters stand; NaN when the gate is not learned. For reports: overwrites the last batch's activations. */
float ranker_item_gate(struct ranker *ranker, const float features[GATE_FEATURES]);

/* Learns once from the batch that was scored last (its activations are kept). */
struct losses {
    float bce;      /* mean over the events */
    float transfer; /* mean over the events of their candidate's; before its weight */
    float contrast; /* mean over the items with positives; before its weight */
};
struct losses ranker_learn(struct ranker *ranker, const struct batch *batch);

#endif
