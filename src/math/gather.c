#include "math/gather.h"

#include "math/lanes.h"
#include "math/simd.h"

#define AHEAD 8 /* rows that are on their way from memory */

static inline void fetch(const float *row, size_t d) {
    for (size_t j = 0; j < d; j += 16)
        __builtin_prefetch(row + j);
}

SIMD_CLONES void gather(size_t n, size_t d, const uint32_t *index, const float *restrict rows,
                        float *restrict out, size_t ldout) {
    for (size_t i = 0; i < n; i++) {
        const float *row = rows + index[i] * d;
        if (i + AHEAD < n)
            fetch(rows + index[i + AHEAD] * d, d);
        size_t j = 0;
        for (; j + LANES <= d; j += LANES)
            LANES_STORE(out + i * ldout + j, LANES_LOAD(row + j));
        for (; j < d; j++)
            out[i * ldout + j] = row[j];
    }
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
