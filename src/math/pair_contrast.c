#include "math/pair_contrast.h"

#include "math/matmul.h"
#include "math/vector.h"

#include <stdbool.h>

/* Row i: softmax over the columns j that are no duplicate of i, minus 1 at j = i; returns -log of what was at i. */
static float row_loss(size_t n, size_t i, const float *scores, const uint32_t *id, float *row) {
    float most = scores[i], sum = 0;
    for (size_t j = 0; j < n; j++)
        if (id[j] != id[i] && scores[j] > most)
            most = scores[j];
    for (size_t j = 0; j < n; j++)
        row[j] = j == i || id[j] != id[i] ? scores[j] - most : -200.0f;
    vector_exp(n, row, row);
    for (size_t j = 0; j < n; j++)
        sum += row[j];
    for (size_t j = 0; j < n; j++)
        row[j] /= sum;
    float loss = log_f32(sum) - (scores[i] - most);
    row[i] -= 1.0f;
    return loss;
}

/* One way: `from` must find its pair in `to`. scores and dscores [n, stride], across [d, stride]. */
static float one_way(size_t n, size_t d, size_t stride, float tau, float weight, const float *from,
                     const float *to, const uint32_t *to_id, float *scores, float *across,
                     float *dfrom, float *dto) {
    float loss = 0;
    transpose(n, d, to, d, across, stride);
    matmul(n, n, d, from, d, across, stride, scores, stride);
    for (size_t i = 0; i < n; i++) {
        float *row = scores + i * stride;
        for (size_t j = 0; j < n; j++)
            row[j] /= tau;
        loss += row_loss(n, i, row, to_id, across); /* across is free again: n <= its size */
        for (size_t j = 0; j < n; j++)
            row[j] = across[j] * (weight / (tau * (float)n));
    }
    matmul_add(n, d, n, scores, stride, to, d, dfrom, d);
    matmul_transposed_add(n, d, n, scores, stride, from, d, dto, d);
    return loss / (float)n;
}

float pair_contrast(size_t n, size_t d, float tau, float weight, const float *trigger,
                    const float *target, const uint32_t *trigger_id, const uint32_t *target_id,
                    float *scratch, float *dtrigger, float *dtarget) {
    size_t stride = (n + 15) / 16 * 16;
    float *across = scratch + n * stride;
    float loss = one_way(n, d, stride, tau, weight, trigger, target, target_id, scratch, across,
                         dtrigger, dtarget);
    loss += one_way(n, d, stride, tau, weight, target, trigger, trigger_id, scratch, across,
                    dtarget, dtrigger);
    return weight * loss;
}
