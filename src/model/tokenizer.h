/* The tokenizer: content vector -> z -> semantic ID (SID).
 *
 *   z   = 4 * u / |u|,  u = W' (x - mean)                    PCA of the first listings (the encoder's first form)
 *   RQ  : c_l = argmin_k |r_{l-1} - B_l[k]|^2,  r_l = r_{l-1} - B_l[c_l],  l = 1..3, r_0 = z      (SMILE 1.2; TIGER)
 *   OPQ : y = R' r_3 with R orthogonal, y = [y_1 | y_2], o_m = argmin_k |y_m - P_m[k]|^2, m = 1,2
 *   SID = (c_1, c_2, c_3, o_1, o_2)
 *
 * Everything here works on the caller's buffers and is deterministic; ties go to the lowest code. Encoding one vector
 * gives the same bits as encoding it in any batch: 8-bit integer products shortlist codes, a fixed-order
 * kernel decides among those whose distance is within rounding of the best (math/nearest.h). Training goes through BLAS, so
 * its bits depend on the BLAS core type. One thread at a time. All matrices are row-major float32.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include "base/arena.h"
#include "base/rng.h"
#include <stdbool.h>
#include <stdint.h>

#define RQ_LEVELS 3
#define OPQ_CODES 2
#define SID_CODES (RQ_LEVELS + OPQ_CODES)
#define Z_SCALE 4.0f

#define TOKENIZER_PARTS_MAX 9

struct tokenizer_config {
    uint32_t content_dims;     /* Dc, length of x */
    uint32_t z_dims;           /* Dz <= Dc, even */
    uint32_t books[SID_CODES]; /* codes per level: RQ 1..3, OPQ 1..2; each 2 .. 65536 */
    uint32_t parts
        [TOKENIZER_PARTS_MAX]; /* lengths of the modalities that x consists of; all 0: it is one */
    uint64_t seed;
};

/* The arrays that define an encoding; views into memory that the caller owns (rows of the codebooks table). */
struct codebooks {
    float *mean;           /* [Dc] */
    float *encoder;        /* [Dc, Dz]: W */
    float *rq[RQ_LEVELS];  /* [K_l, Dz] */
    float *rotation;       /* [Dz, Dz]: R, y = R' r, that is y_j = sum_i r_i R[i,j] */
    float *opq[OPQ_CODES]; /* [K_m, Dz / 2] */
    float *balance;        /* [K_3]: factors of the distances of the last RQ level; 1 at first */
};

#define Z_DIMS_MAX 1024

struct tokenizer; /* config, codebooks and what is derived from them for speed */

/* Memory for one tokenizer and its scratch for batches of up to batch_max vectors comes from `arena`. */
enum status tokenizer_create(struct tokenizer **out, const struct tokenizer_config *config,
                             uint32_t batch_max, struct arena *arena, struct error *err);
/* The tokenizer's own arrays, to be filled from published rows; call tokenizer_refresh() after changing them. */
struct codebooks *tokenizer_codebooks(struct tokenizer *tokenizer);
/* Recomputes what is derived from the codebooks: norms and 8-bit copies for the search, whether there is balance. */
void tokenizer_refresh(struct tokenizer *tokenizer);

/* Fits mean (of what is there), encoder (PCA; modalities first brought to the same variance), RQ (k-means++ start, Lloyd iterations, on the residuals level by level; the last level
 * balanced: no code holds more than about twice its even share) and OPQ (learned rotation) on x [n, Dc], n >= 2. Works for n smaller
 * than the books: codes that no vector wants are jittered copies. Scratch comes from `scratch`.
 * `version` keys the randomness beside config.seed. */
enum status tokenizer_train(struct tokenizer *tokenizer, const float *x, uint32_t n,
                            uint64_t version, struct arena *scratch, struct error *err);

/* The books and the rotation alone, on z [n, Dz]; from nothing, or from those that stand, of which the new ones are then a
 * continuation: most codes keep their meaning. */
enum fit_from { FIT_FROM_NOTHING, FIT_FROM_BOOKS };
enum status tokenizer_train_books(struct tokenizer *tokenizer, const float *z, uint32_t n,
                                  enum fit_from from, uint64_t version, struct arena *scratch,
                                  struct error *err);

/* Takes over all arrays of another tokenizer of the same sizes. */
void tokenizer_copy(struct tokenizer *to, const struct tokenizer *from);

/* out [Dc] = x - mean; 0 where x is NaN: a modality that the item lacks counts as the mean. */
void tokenizer_centre(const struct tokenizer *tokenizer, const float *x, float *out);
/* x [Dc], finite or NaN for what is not there -> z [Dz], |z| = Z_SCALE (a vector at the mean, or so large that its products overflow, gives z = 0).
 * Fixed order of summation. */
void tokenizer_project(const struct tokenizer *tokenizer, const float *x, float *z);

/* z [n, Dz], n <= batch_max -> codes [n, 5], and, where not NULL: the squared norm of what is left after RQ and OPQ
 * (quantisation error, [n]) and the squared residual norms after each RQ level [n, 3]. */
void tokenizer_encode(struct tokenizer *tokenizer, const float *z, uint32_t n, uint16_t *codes,
                      float *error, float *residuals);

/* How an item's codes are chosen beside being the nearest. */
#define COLLISION_TRIES_MAX 16
struct assignment {
    /* The item keeps its code of a level unless d(old) - d(new) > reluctance * d(old) (PAPERS 3.12). */
    float reluctance[SID_CODES];
    uint32_t tries; /* other last codes to try while the SID is taken; below COLLISION_TRIES_MAX */
    bool (*taken)(void *self, const uint16_t *codes); /* by another item; NULL when tries == 0 */
    void *self;
};
/* z [Dz] -> codes and quantisation error of one item that has `current` [5] (NULL: none yet). A level below a code that
 * changed has nothing to keep: its old code belonged to another prefix. With current NULL, tries 0 and balance 1
 * the same as tokenizer_encode(). */
void tokenizer_assign(struct tokenizer *tokenizer, const struct assignment *rules, const float *z,
                      const uint16_t *current, uint16_t codes[SID_CODES], float *error);

/* What each level quantises of z under the given codes: inputs [3 Dz + Dz], r_0, r_1, r_2, then the rotated r_3, whose
 * halves are those of the two OPQ levels. */
void tokenizer_residuals(const struct tokenizer *tokenizer, const float *z, const uint16_t *codes,
                         float *inputs);

/* codes [5] -> the reconstructed z [Dz]: sum of the RQ centroids plus R times the OPQ centroids. */
void tokenizer_decode(const struct tokenizer *tokenizer, const uint16_t *codes, float *z);

#endif
