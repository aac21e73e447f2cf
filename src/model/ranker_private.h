/* What the files of the ranker share:
 *   ranker_config.c   what a variant consists of; limits
 *   ranker_tables.c   parameters as rows of tables; creation and admission
 *   ranker_scratch.c  memory for one mini-batch
 *   ranker_codes.c    rows of codes -> I_RQ, I_OPQ and MBA's hidden layer, and gradients back
 *   ranker_items.c    what depends on the item alone: rows -> views, and gradients back to rows
 *   ranker_score.c    events grouped by user, attentions, DNN
 *   ranker_learn.c    the same backwards, and the update
 *
 * In shapes: n events, U distinct items, R distinct rows of one table, d width, H history, Dz
 * content width. Events are computed in the order of their users, so that a history is gathered
 * once for all events of its user. */
#ifndef MODEL_RANKER_PRIVATE_H
#define MODEL_RANKER_PRIVATE_H

#include "math/contrast.h"
#include "math/gather.h"
#include "math/layers.h"
#include "math/residual.h"
#include "math/transfer.h"
#include "model/ranker.h"

#define ATTENTION_EPSILON 0.1f
#define CONTRAST_TEMPERATURE 0.1f
#define ACCUMULATORS_PER_ROW 32u
#define CHUNK_BYTES_MAX (256u << 10)

/* A dense tensor: its elements lie contiguous in the rows (chunks) of two tables. */
enum tensor_name {
    TENSOR_FUSE,      /* [3d, d] */
    TENSOR_WZ,        /* [Dz, d] */
    TENSOR_M1,        /* [3d, d] */
    TENSOR_M2,        /* [d, Dz] */
    TENSOR_GATE_W1,   /* [GATE_FEATURES, gate_hidden] */
    TENSOR_GATE_B1,   /* [gate_hidden] */
    TENSOR_GATE_W2,   /* [gate_hidden] */
    TENSOR_GATE_B2,   /* [1] */
    TENSOR_SHARPNESS, /* [VIEWS] */
    TENSOR_W1,        /* [inputs, hidden 0] */
    TENSOR_B1,
    TENSOR_W2, /* [hidden 0, hidden 1] */
    TENSOR_B2,
    TENSOR_W3, /* [hidden 1] */
    TENSOR_B3, /* [1] */
    TENSORS
};
struct tensor {
    const char *name;
    size_t count; /* elements; 0: the variant has no such tensor */
    /* First values are normal; Fuse starts as three stacked identities instead. */
    float first_mean, first_deviation;
    size_t chunk; /* elements of a chunk */
    struct table *values, *accumulators;
    float *value, *accumulator; /* [count], in the tables */
    float *gradient;            /* [count], sum over the batch's events */
};

/* One table of rows that a level's codes name, and what a batch needs of it. */
struct code_rows {
    struct table *rows, *accumulators; /* NULL: the variant has none */
    const float
        *block; /* [d, d] what a row is multiplied with: a block of Fuse or M1; NULL: nothing */
    float *dblock;
    float *value;        /* [R, d] the batch's distinct rows */
    float *gradient;     /* [R, d] */
    float *part, *dpart; /* [R, d] value times block; value and gradient themselves without one */
};

/* A level of the SID: its distinct rows in a batch, in up to two tables that have the same keys. */
struct code_level {
    struct code_rows of[CODE_USES];
    uint32_t rows_max;
    uint32_t *slot; /* [rows_max] index among the batch's distinct rows; NO_ROW between batches */
    uint32_t distinct; /* R */
    uint32_t *row;     /* [R] */
    uint32_t *of_item; /* [U] index into row; NO_ROW: the item has no SID */
};

/* A space in which items are compared: behaviour (b) or modal (m). */
enum view_name { VIEW_BEHAVIOUR, VIEW_MODAL, VIEWS };
struct view {
    bool used;
    float *x, *dx;           /* [U, d] item vectors */
    float *unit, *dunit;     /* [U, d] x / sqrt(|x|^2 + epsilon) */
    float *inverse;          /* [U] */
    float *query, *dquery;   /* [n, d] unit vectors of the candidates */
    float *scores, *weights; /* [n, attention_stride(H)] */
    float *key, *value;      /* [H, d] of one history */
    float *dkey, *dvalue;    /* [H, d] */
    size_t column;           /* first of its part of the DNN's input: x, a_vv, their product */
    size_t cross_column;     /* of the attention with its keys and the other view's values */
};

struct ranker {
    struct ranker_config config;
    struct ranker_parts parts;
    struct item_tables items;
    struct tensor tensors[TENSORS];
    struct code_level levels[SID_CODES];
    struct dnn dnn;
    uint32_t scored; /* events whose activations are kept; 0: none */

    struct view view[VIEWS];
    float *id, *did;     /* [U, d] I_id; those of the behaviour view unless it is fused */
    float *rq, *drq;     /* [U, d] I_RQ; those of the modal view when nothing is fused */
    float *opq, *dopq;   /* [U, d] I_OPQ; likewise */
    float *bias, *dbias; /* [U] */
    float *square;       /* [d, d] scratch */
    struct gate gate;
    struct gate_gradients gate_gradients;
    float *gate_hidden, *gates, *dgates;                         /* [U, gate_hidden] [U] [U] */
    float *transfer_weight, *transfer_losses, *transfer_scratch; /* [U] [U] [4d] */
    struct contrast contrast;
    float *contrast_x, *dcontrast; /* [C, d] I_OPQ of the items that take part */
    struct residual residual;
    struct residual_gradients residual_gradients;
    float *z; /* [U, Dz] */

    uint32_t *order;          /* [n] events by user, stable */
    uint32_t *user_start;     /* [users + 1] into order */
    uint32_t *candidate;      /* [n] index into item_row, in `order` */
    float *attention_scratch; /* [d, attention_stride(H)] */
    float *dscores;           /* [n, attention_stride(H)] */

    float *input;     /* [n, dnn.stride], the columns of struct view, zero beyond them */
    float *hidden[2]; /* [n, hidden 0] [n, hidden 1] */
    float *logits, *dlogits, *labels, *losses; /* [n], in `order` */
    struct dnn_gradients dnn_gradients;
};

/* The only tables of codes that a ranker has are those its parts need. */
static inline bool ranker_has_codes(const struct ranker *r) {
    return r->parts.fused || r->parts.mba || r->parts.modal == MODAL_CODES;
}

/* ranker_config.c */
enum status ranker_check_config(const struct ranker_config *config, struct error *err);
bool ranker_has_rows(const struct ranker_parts *parts, enum code_use use, uint32_t level);
uint32_t level_rows(const struct ranker_config *config, uint32_t level);

/* ranker_tables.c */
/* A row at zero with an accumulator of zero, unless it is there. */
enum status ranker_admit_row(struct ranker *ranker, const struct code_rows *rows, uint32_t row,
                             struct error *err);

/* ranker_scratch.c: everything that is no row. The tables are there. */
enum status ranker_reserve(struct ranker *ranker, struct arena *arena, struct error *err);

/* ranker_codes.c. Finds the batch's rows; I_RQ and I_OPQ; the argument of MBA's tanh. */
void codes_forward(struct ranker *ranker, const struct batch *batch);
/* From drq, dopq and the residual's dh to rows and to Fuse and M1. */
void codes_backward(struct ranker *ranker, const struct batch *batch);

/* Views of all items of the batch. */
void items_forward(struct ranker *ranker, const struct batch *batch);
/* From the views' dx and dunit, and the losses that items have of their own, to gradients of item rows (did), code
 * rows and tensors. */
void items_backward(struct ranker *ranker, const struct batch *batch, struct losses *losses);

/* Gathers one user's history: keys and values of all views. */
void gather_history(struct ranker *ranker, const struct batch *batch, uint32_t user);
/* How a view's attentions of the user gathered last are called, forwards and backwards. */
struct attention view_attention(struct ranker *ranker, const struct batch *batch, uint32_t view,
                                uint32_t user);

#endif
