/* What the files of the behaviour-aware encoder share (SaviorEnc's role, PAPERS 2.2):
 *   shadow_pairs.c   which items were clicked one after another: the pairs to learn from
 *   shadow.c         the shadow encoder and its books as rows; when what is done
 *   shadow_learn.c   one step: InfoNCE on pairs of z, reconstruction, InfoNCE on the reconstructed pairs
 *   shadow_judge.c   i2i Hit@30 on pairs not learned from, shadow against live
 *
 * The shadow is a second tokenizer. It starts as a copy of the live one and learns beside it; items never see it before it is
 * released as a generation (generations.c). */
#ifndef MODEL_SHADOW_PRIVATE_H
#define MODEL_SHADOW_PRIVATE_H

#include "model/model_private.h"

#define PAIRS_BACK 3 /* a pair's trigger is one of the user's so many previous clicks */
#define HITS_AT 30

/* Value of a row of `encoder.pairs`, a ring. */
struct pair_row {
    struct item_handle trigger, target;
};

/* What was found of the pairs of the judgements so far, older ones counting less. */
enum judged_space {
    JUDGED_RAW,
    JUDGED_LIVE,
    JUDGED_LIVE_DECODED,
    JUDGED_SHADOW,
    JUDGED_SHADOW_DECODED,
    JUDGED_SPACES
};

/* The one row of `encoder`. */
struct shadow_row {
    uint64_t pairs;  /* ever mined; pair i is in row i % capacity */
    uint64_t judged; /* pairs before this one were judged, and may be learned from */
    uint64_t steps;
    double tested;                 /* pairs */
    double hits[JUDGED_SPACES];    /* of them */
    double shadow_only, live_only; /* pairs that only one of the two finds, in z */
    uint32_t epochs;               /* click epochs since the last judgement */
    uint32_t judgements;
};

static inline const struct shadow_row *shadow_state(const struct model *m) {
    return table_value(m->encoder.state, 0);
}
static inline struct shadow_row *shadow_edit(struct model *m) {
    return table_edit(m->encoder.state, 0);
}

/* Pair `index`, if both of its items are still there with a SID. */
bool shadow_pair(const struct model *model, uint64_t index, uint32_t *trigger, uint32_t *target);

float *shadow_accumulator(struct model *model,
                          uint32_t row); /* Adagrad's, of a row of W; for writing */

enum status shadow_step(struct model *model, uint64_t step, struct error *err);
enum status shadow_judge(struct model *model, struct error *err);

#endif
