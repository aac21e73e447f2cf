/* What the files of the ranker share:
 *   ranker_tables.c   parameters as rows of tables; creation and admission; scratch memory
 *   ranker_items.c    what depends on the item alone: rows -> views, and gradients back to rows
 *   ranker_score.c    events grouped by user, attentions, DNN
 *   ranker_learn.c    the same backwards, and the update
 *
 * In shapes: n events, U distinct items, R distinct rows of one table, d width, H history, Dz
 * content width. Events are computed in the order of their users, so that a history is gathered
 * once for all events of its user. */
#ifndef MODEL_RANKER_PRIVATE_H
#define MODEL_RANKER_PRIVATE_H

#include "math/layers.h"
#include "model/ranker.h"

#define ATTENTION_EPSILON 0.1f
#define ACCUMULATORS_PER_ROW 32u
#define CHUNK_BYTES_MAX (256u << 10)

/* A dense tensor: its elements lie contiguous in the rows (chunks) of two tables. */
enum tensor_name {
    TENSOR_FUSE,      /* [3d, d] */
    TENSOR_WZ,        /* [Dz, d] */
    TENSOR_SHARPNESS, /* [views] */
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

/* One table of code rows, and what a batch needs of it: each distinct row once. */
struct code_level {
    struct table *rows, *accumulators;
    uint32_t rows_max;
    uint32_t *slot; /* [rows_max] index among the batch's distinct rows; NO_ROW between batches */
    uint32_t distinct; /* R */
    uint32_t *row;     /* [R] */
    uint32_t *of_item; /* [U] index into row; NO_ROW: the item has no SID */
    float *value;      /* [R, d] the rows */
    float *part;  /* [R, d] what they add to an item: RQ: the row times F_l; OPQ: the row itself */
    float *dpart; /* [R, d] */
    float *gradient; /* [R, d] of the rows */
};

/* A space in which items are compared: behaviour (b) or modal (m). */
enum view_name { VIEW_BEHAVIOUR, VIEW_MODAL, VIEWS_MAX };
struct view {
    float *x, *dx;           /* [U, d] item vectors */
    float *unit, *dunit;     /* [U, d] x / sqrt(|x|^2 + epsilon) */
    float *inverse;          /* [U] */
    float *query, *dquery;   /* [n, d] unit vectors of the candidates */
    float *scores, *weights; /* [n, attention_stride(H)] */
};

struct ranker {
    struct ranker_config config;
    struct item_tables items;
    uint32_t views;
    struct tensor tensors[TENSORS];
    struct code_level levels[SID_CODES];
    struct dnn dnn;
    uint32_t scored; /* events whose activations are kept; 0: none */

    struct view view[VIEWS_MAX];
    float *z;            /* [U, Dz] */
    float *bias, *dbias; /* [U] */
    float *fuse_scratch; /* [d, d] */

    uint32_t *order;          /* [n] events by user, stable */
    uint32_t *user_start;     /* [users + 1] into order */
    float *key, *value;       /* [H, d] of one history */
    float *dkey, *dvalue;     /* [H, d] */
    float *attended;          /* [n, d] gradient of one view's attention */
    float *attention_scratch; /* [d, attention_stride(H)] */
    float *dscores;           /* [n, attention_stride(H)] */

    float *input;     /* [n, dnn.stride] [feat | b, a_b, b * a_b | m, a_m, m * a_m | 0 ...] */
    float *hidden[2]; /* [n, hidden 0] [n, hidden 1] */
    float *logits, *dlogits, *labels, *losses; /* [n], in `order` */
    struct dnn_gradients dnn_gradients;
};

/* First column of a view's part of the DNN's input: x, then its attention, then their product, d
 * columns each. */
static inline size_t view_column(const struct ranker *ranker, uint32_t view) {
    return FEATURES + (size_t)view * 3 * ranker->config.width;
}

/* The row of an item's code in the table of a level (0 .. 4). */
uint32_t code_row(const struct ranker_config *config, const struct sid_row *sid, uint32_t level);

/* Views of all items of the batch. */
void items_forward(struct ranker *ranker, const struct batch *batch);
/* From the views' dx and dunit to gradients of item rows (dx of the behaviour view), code rows and
 * tensors. */
void items_backward(struct ranker *ranker, const struct batch *batch);

/* How a view's attention of one user's events is called, forwards and backwards: gathers keys and
 * values. */
struct attention view_attention(struct ranker *ranker, const struct batch *batch, uint32_t view,
                                uint32_t user);

#endif
