#include "math/residual.h"

#include "math/matmul.h"
#include "math/simd.h"
#include "math/vector.h"
#include <string.h>

void residual_forward(const struct residual *r, float *m) {
    size_t n = r->items, dz = r->content, h = r->hidden, d = r->width;
    matmul(n, d, dz, r->z, dz, r->wz, d, m, d);
    if (r->m2 == NULL)
        return;
    matmul(h, d, dz, r->m2, dz, r->wz, d, r->product, d);
    vector_tanh(n * h, r->tanh, r->tanh);
    matmul_add(n, d, h, r->tanh, h, r->product, d, m, d);
}

static SIMD_CLONES void tanh_backward(size_t n, const float *restrict t, float *restrict dh) {
    for (size_t i = 0; i < n; i++)
        dh[i] *= 1.0f - t[i] * t[i];
}

void residual_backward(const struct residual *r, const float *dm,
                       const struct residual_gradients *g) {
    size_t n = r->items, dz = r->content, h = r->hidden, d = r->width;
    matmul_transposed_add(dz, d, n, r->z, dz, dm, d, g->wz, d);
    if (r->m2 == NULL)
        return;
    memset(g->product, 0, h * d * sizeof *g->product); /* of M2 Wz */
    matmul_transposed_add(h, d, n, r->tanh, h, dm, d, g->product, d);
    matmul_transposed_add(dz, d, h, r->m2, dz, g->product, d, g->wz, d);
    transpose(dz, d, r->wz, d, r->transposed, dz);
    matmul_add(h, dz, d, g->product, d, r->transposed, dz, g->m2, dz);
    transpose(h, d, r->product, d, r->transposed, h);
    matmul(n, h, d, dm, d, r->transposed, h, g->h, h);
    tanh_backward(n * h, r->tanh, g->h);
}
