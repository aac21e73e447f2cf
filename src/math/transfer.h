/* SMILE's transfer between an item's own row and the rows of its codes (SMILE 1.4-1.6): gate, blend
 * and the asymmetric alignment loss. Row-major float32, fixed order of operations. */
#ifndef MATH_TRANSFER_H
#define MATH_TRANSFER_H

#include <stddef.h>

/* T [n] = sigmoid(relu(x w1 + b1) w2 + b2) */
struct gate {
    size_t inputs, hidden;
    const float *w1, *b1; /* [inputs, hidden] [hidden] */
    const float *w2, *b2; /* [hidden] [1] */
};
struct gate_gradients {
    float *w1, *b1, *w2, *b2; /* added to */
    float *hidden;            /* [n, hidden] set: of relu's argument */
};
/* x [n, inputs]; hidden [n, hidden], kept for backward; out [n] */
void gate_forward(const struct gate *gate, size_t n, const float *x, float *hidden, float *out);
/* dout [n]. The inputs are counts: they have no gradient. */
void gate_backward(const struct gate *gate, size_t n, const float *x, const float *hidden,
                   const float *out, const float *dout, const struct gate_gradients *gradients);

/* I_f [n, d] = T I_id + (1 - T) I_RQ + share I_OPQ; opq NULL: without the last. */
void blend_forward(size_t n, size_t d, const float *gate, const float *id, const float *rq,
                   const float *opq, float share, float *out);
/* All gradients are set: did, drq, dopq [n, d] (dopq NULL: none) and dgate [n]. */
void blend_backward(size_t n, size_t d, const float *gate, const float *id, const float *rq,
                    float share, const float *dout, float *did, float *drq, float *dopq,
                    float *dgate);

/* loss [n] = T KL(sg(p) || q) + (1 - T) KL(p || sg(q)), p = softmax(I_id), q = softmax(I_RQ) over
 * the d coordinates; sg() lets no gradient through, and T gets none: warm items (T near 1) pull
 * their codes, cold ones are pulled by them. weight [n] times the gradient is added to did and drq
 * [n, d]; rows of weight 0 are skipped and their loss is 0. scratch [4 d]. */
void transfer_loss(size_t n, size_t d, const float *gate, const float *weight, const float *id,
                   const float *rq, float *scratch, float *loss, float *did, float *drq);

#endif
