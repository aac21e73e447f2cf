#include "math/matmul.h"

#include "math/lanes.h"
#include "math/simd.h"
#include <stdbool.h>

/* a[i, p] is at[i * row_stride + p * column_stride]: one kernel serves a and its transpose. */
struct left {
    const float *at;
    size_t row_stride, column_stride;
};

#define BLOCK_ROWS 6
#define BLOCK_COLUMNS (2 * LANES)
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

/* Six rows by two registers of columns: twelve running sums, two registers for b and one for a just
 * fit the sixteen that AVX2 has. */
LANES_INLINE void block_wide(size_t k, struct left a, const float *b, size_t ldb, bool add,
                             float *c, size_t ldc) {
#define LOAD_C(i)                                                                                  \
    lanes low##i = {0}, high##i = {0};                                                             \
    if (add) {                                                                                     \
        low##i = LANES_LOAD(c + i * ldc);                                                          \
        high##i = LANES_LOAD(c + i * ldc + LANES);                                                 \
    }
#define ADD_PRODUCT(i)                                                                             \
    {                                                                                              \
        lanes x = LANES_OF(column[i * a.row_stride]);                                              \
        low##i += x * b_low;                                                                       \
        high##i += x * b_high;                                                                     \
    }
#define STORE_C(i)                                                                                 \
    LANES_STORE(c + i * ldc, low##i);                                                              \
    LANES_STORE(c + i * ldc + LANES, high##i);

    EACH_ROW(LOAD_C)
    for (size_t p = 0; p < k; p++) {
        const float *column = a.at + p * a.column_stride;
        lanes b_low = LANES_LOAD(b + p * ldb), b_high = LANES_LOAD(b + p * ldb + LANES);
        EACH_ROW(ADD_PRODUCT)
    }
    EACH_ROW(STORE_C)
#undef LOAD_C
#undef ADD_PRODUCT
#undef STORE_C
}

LANES_INLINE void row_wide(size_t k, struct left a, const float *b, size_t ldb, bool add,
                           float *c) {
    lanes low = {0}, high = {0};
    if (add) {
        low = LANES_LOAD(c);
        high = LANES_LOAD(c + LANES);
    }
    for (size_t p = 0; p < k; p++) {
        lanes x = LANES_OF(a.at[p * a.column_stride]);
        low += x * LANES_LOAD(b + p * ldb);
        high += x * LANES_LOAD(b + p * ldb + LANES);
    }
    LANES_STORE(c, low);
    LANES_STORE(c + LANES, high);
}

LANES_INLINE void row_narrow(size_t k, struct left a, const float *b, size_t ldb, bool add,
                             float *c) {
    lanes sum = {0};
    if (add)
        sum = LANES_LOAD(c);
    for (size_t p = 0; p < k; p++)
        sum += LANES_OF(a.at[p * a.column_stride]) * LANES_LOAD(b + p * ldb);
    LANES_STORE(c, sum);
}

LANES_INLINE float element(size_t k, struct left a, const float *b, size_t ldb, float sum) {
    for (size_t p = 0; p < k; p++)
        sum += a.at[p * a.column_stride] * b[p * ldb];
    return sum;
}

LANES_INLINE struct left left_row(struct left a, size_t i) {
    a.at += i * a.row_stride;
    return a;
}

LANES_INLINE void product(size_t m, size_t n, size_t k, struct left a, const float *b, size_t ldb,
                          bool add, float *c, size_t ldc) {
    size_t j = 0;
    for (; j + BLOCK_COLUMNS <= n; j += BLOCK_COLUMNS) {
        size_t i = 0;
        for (; i + BLOCK_ROWS <= m; i += BLOCK_ROWS)
            block_wide(k, left_row(a, i), b + j, ldb, add, c + i * ldc + j, ldc);
        for (; i < m; i++)
            row_wide(k, left_row(a, i), b + j, ldb, add, c + i * ldc + j);
    }
    for (; j + LANES <= n; j += LANES)
        for (size_t i = 0; i < m; i++)
            row_narrow(k, left_row(a, i), b + j, ldb, add, c + i * ldc + j);
    for (; j < n; j++)
        for (size_t i = 0; i < m; i++)
            c[i * ldc + j] = element(k, left_row(a, i), b + j, ldb, add ? c[i * ldc + j] : 0.0f);
}

SIMD_CLONES void matmul(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                        size_t ldb, float *c, size_t ldc) {
    product(m, n, k, (struct left){a, lda, 1}, b, ldb, false, c, ldc);
}

SIMD_CLONES void matmul_add(size_t m, size_t n, size_t k, const float *a, size_t lda,
                            const float *b, size_t ldb, float *c, size_t ldc) {
    product(m, n, k, (struct left){a, lda, 1}, b, ldb, true, c, ldc);
}

SIMD_CLONES void matmul_transposed_add(size_t m, size_t n, size_t k, const float *a, size_t lda,
                                       const float *b, size_t ldb, float *c, size_t ldc) {
    product(m, n, k, (struct left){a, 1, lda}, b, ldb, true, c, ldc);
}

SIMD_CLONES void transpose(size_t m, size_t n, const float *a, size_t lda, float *out,
                           size_t ldout) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            out[j * ldout + i] = a[i * lda + j];
}
