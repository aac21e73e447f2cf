/* Codebooks as rows of the table `codebooks`: where each of the tokenizer's arrays lies in them. */
#ifndef MODEL_CODEBOOKS_H
#define MODEL_CODEBOOKS_H

#include "model/tokenizer.h"

/* Key of a row of `codebooks`: generation << 40 | level << 32 | code. Each row is f32 [Dz]. */
enum codebook_level {
    LEVEL_RQ_1,
    LEVEL_RQ_2,
    LEVEL_RQ_3,
    LEVEL_OPQ_1, /* the first Dz/2 numbers of a row count */
    LEVEL_OPQ_2,
    LEVEL_ROTATION, /* code = row of R [Dz, Dz] */
    LEVEL_ENCODER,  /* code = row of W [Dc, Dz] */
    LEVEL_MEAN,     /* code = chunk of Dz numbers of the mean [Dc] */
    LEVEL_BALANCE /* code = chunk of Dz factors of the last RQ level's distances [K_3]; only where books live */
};
uint64_t codebook_key(uint32_t generation, enum codebook_level level, uint32_t code);

/* One level's rows as a matrix: `rows` rows of `width` numbers, `total` numbers in all (the last row may be short). */
struct codebook_view {
    enum codebook_level level;
    float *values; /* in the tokenizer */
    uint32_t rows, width, total;
};
#define CODEBOOK_LEVELS 9
/* Returns how many there are; the last one, LEVEL_BALANCE, only with `balance` (update_config.on). */
int codebook_views(const struct tokenizer_config *config, bool balance, struct codebooks *books,
                   struct codebook_view views[CODEBOOK_LEVELS]);
size_t codebook_row_bytes(const struct codebook_view *view, uint32_t row);

#endif
