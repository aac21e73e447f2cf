#include "math/gather.h"

#include "math/simd.h"
#include <string.h>

void gather(size_t n, size_t d, const uint32_t *index, const float *rows, float *out,
            size_t ldout) {
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * ldout, rows + index[i] * d, d * sizeof *out);
}

SIMD_CLONES void gather_add(size_t n, size_t d, const uint32_t *index, const float *restrict rows,
                            float *restrict out) {
    for (size_t i = 0; i < n; i++) {
        if (index[i] == GATHER_NONE)
            continue;
        const float *row = rows + index[i] * d;
        for (size_t j = 0; j < d; j++)
            out[i * d + j] += row[j];
    }
}

SIMD_CLONES void scatter_add(size_t n, size_t d, const uint32_t *index, const float *restrict x,
                             size_t ldx, float *restrict rows) {
    for (size_t i = 0; i < n; i++) {
        if (index[i] == GATHER_NONE)
            continue;
        float *row = rows + index[i] * d;
        for (size_t j = 0; j < d; j++)
            row[j] += x[i * ldx + j];
    }
}
