/* What the tokenizer's files share. */
#ifndef MODEL_TOKENIZER_PRIVATE_H
#define MODEL_TOKENIZER_PRIVATE_H

#include "math/nearest.h"
#include "model/tokenizer.h"

struct tokenizer {
    struct tokenizer_config config;
    uint32_t batch_max;
    struct codebooks books;
    struct nearest search[SID_CODES]; /* on books.rq and books.opq */
    bool balanced;                    /* some factor of books.balance is not 1 */
    float *centred;                   /* [Dc]: x - mean */
    float *residual;                  /* [batch_max, Dz] */
    float *rotated;                   /* [batch_max, Dz] */
    float *distances;                 /* [batch_max, OPQ_CODES] */
};

#endif
