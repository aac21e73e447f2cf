/* The ranker's rates, with every part of it on: the fields that the tests' configurations share. */
#ifndef TESTS_RANKER_WHOLE_H
#define TESTS_RANKER_WHOLE_H

#include "model/ranker.h"

/* clang-format off */
#define RANKER_WHOLE \
    .rate_rows = 0.1f, .rate_dense = 0.05f, .accumulator_rows = 0.01f, .accumulator_dense = 1e-5f, \
    .init_rows = 0.05f, .sharpness = 4.0f, .banks = 1, .gate = GATE_LEARNED, .opq = 1, .mba = 1, \
    .cross = 1, .opq_share = 0.5f, .kl_weight = 0.1f, .contrast_weight = 0.05f
/* clang-format on */

#endif
