#include "math/adagrad.h"
#include "math/layers.h"
#include "math/matmul.h"
#include "math/pair_contrast.h"
#include "math/vector.h"
#include "model/shadow_private.h"
#include <math.h>
#include <string.h>

#define DRAWS 4 /* tries per pair of the batch: some items are gone */
#define NORM_EPSILON 1e-12f

/* One mini-batch of n pairs: rows 0 .. n-1 are the triggers, n .. 2n-1 the targets. */
struct step {
    uint32_t n;
    uint32_t *item;      /* [2n] positions in `items` */
    float *x;            /* [2n, Dc] centred content */
    float *u, *du;       /* [2n, Dz] x W */
    float *unit, *dunit; /* [2n, Dz] u / |u|; z = Z_SCALE * unit */
    float *inverse;      /* [2n] */
    float *decoded;      /* [2n, Dz] what the shadow's codes make of z */
    float *seen, *dseen; /* [2n, Dz] decoded / |decoded| */
    float *seen_inverse; /* [2n] */
    float *scratch;      /* of pair_contrast */
    float *gradient;     /* [Dc, Dz] */
};

static float *floats(struct arena *arena, size_t count) {
    float *out = arena_alloc(arena, count * sizeof *out);
    if (out)
        memset(out, 0, count * sizeof *out);
    return out;
}

static bool step_create(struct step *s, const struct model *m, struct arena *arena) {
    size_t rows = 2 * (size_t)m->config.encoder.batch, dz = m->config.tokenizer.z_dims,
           dc = m->config.tokenizer.content_dims, stride = (rows / 2 + 15) / 16 * 16;
    return (s->item = arena_alloc(arena, rows * sizeof *s->item)) &&
           (s->x = floats(arena, rows * dc)) && (s->u = floats(arena, rows * dz)) &&
           (s->du = floats(arena, rows * dz)) && (s->unit = floats(arena, rows * dz)) &&
           (s->dunit = floats(arena, rows * dz)) && (s->inverse = floats(arena, rows)) &&
           (s->decoded = floats(arena, rows * dz)) && (s->seen = floats(arena, rows * dz)) &&
           (s->dseen = floats(arena, rows * dz)) && (s->seen_inverse = floats(arena, rows)) &&
           (s->scratch = floats(arena, (rows / 2 + dz + 16) * stride)) &&
           (s->gradient = floats(arena, dc * dz));
}

/* Pairs that were judged, drawn from those the ring still has. */
static void draw_pairs(struct step *s, const struct model *m, uint64_t step) {
    const struct shadow_row *state = shadow_state(m);
    uint64_t capacity = m->config.encoder.pairs,
             from = state->pairs > capacity ? state->pairs - capacity : 0;
    uint32_t batch = m->config.encoder.batch, target[1];
    struct rng rng = rng_stream(m->config.seed, RNG_ENCODER, step, 0);
    if (state->judged <= from)
        return;
    uint32_t span = (uint32_t)(state->judged - from);
    for (uint32_t i = 0; i < DRAWS * batch && s->n < batch; i++) {
        uint64_t index = from + rng_below(&rng, span);
        if (shadow_pair(m, index, &s->item[s->n], target))
            s->item[batch + s->n++] = target[0];
    }
    memmove(s->item + s->n, s->item + batch, s->n * sizeof *s->item);
}

static void forward(struct step *s, struct model *m) {
    struct tokenizer *shadow = m->encoder.shadow;
    const struct codebooks *books = tokenizer_codebooks(shadow);
    size_t rows = 2 * s->n, dz = m->config.tokenizer.z_dims, dc = m->config.tokenizer.content_dims;
    for (size_t i = 0; i < rows; i++)
        tokenizer_centre(shadow, table_value(m->content, s->item[i]), s->x + i * dc);
    matmul(rows, dz, dc, s->x, dc, books->encoder, dz, s->u, dz);
    normalise_forward(rows, dz, NORM_EPSILON, s->u, s->unit, s->inverse);
    for (size_t i = 0; i < rows; i++) {
        uint16_t codes[SID_CODES];
        float z[Z_DIMS_MAX];
        for (size_t j = 0; j < dz; j++)
            z[j] = Z_SCALE * s->unit[i * dz + j];
        tokenizer_encode(shadow, z, 1, codes, NULL, NULL);
        tokenizer_decode(shadow, codes, s->decoded + i * dz);
    }
    normalise_forward(rows, dz, NORM_EPSILON, s->decoded, s->seen, s->seen_inverse);
}

/* Through the quantiser as if it were not there (straight-through): its gradient is that of z. The reconstruction pulls z
 * towards what its codes make of it, mean over the rows of |z - decoded|^2. */
static void backward(struct step *s, const struct model *m) {
    const struct encoder_config *c = &m->config.encoder;
    size_t rows = 2 * s->n, half = s->n, dz = m->config.tokenizer.z_dims,
           dc = m->config.tokenizer.content_dims;
    pair_contrast(half, dz, c->temperature, 1.0f, s->unit, s->unit + half * dz, s->item,
                  s->item + half, s->scratch, s->dunit, s->dunit + half * dz);
    if (c->decoded_weight > 0.0f) {
        pair_contrast(half, dz, c->temperature, c->decoded_weight, s->seen, s->seen + half * dz,
                      s->item, s->item + half, s->scratch, s->dseen, s->dseen + half * dz);
        memset(s->du, 0, rows * dz * sizeof *s->du);
        normalise_backward(rows, dz, s->seen, s->seen_inverse, s->dseen, s->du);
        vector_add_scaled(rows * dz, Z_SCALE, s->du, s->dunit);
        memset(s->du, 0, rows * dz * sizeof *s->du);
    }
    float pull = 2.0f * Z_SCALE * c->reconstruction_weight / (float)rows;
    vector_add_scaled(rows * dz, pull * Z_SCALE, s->unit, s->dunit);
    vector_add_scaled(rows * dz, -pull, s->decoded, s->dunit);
    normalise_backward(rows, dz, s->unit, s->inverse, s->dunit, s->du);
    matmul_transposed_add(dc, dz, rows, s->x, dc, s->du, dz, s->gradient, dz);
}

enum status shadow_step(struct model *m, uint64_t step, struct error *err) {
    struct step s = {0};
    size_t dz = m->config.tokenizer.z_dims, mark = arena_mark(&m->scratch);
    float *encoder = tokenizer_codebooks(m->encoder.shadow)->encoder;
    if (!step_create(&s, m, &m->scratch))
        return FAIL(err, FATAL, EX_CONFIG,
                    "a step of the encoder does not fit the training memory: lower encoder.batch");
    draw_pairs(&s, m, step);
    if (s.n == m->config.encoder.batch) {
        forward(&s, m);
        backward(&s, m);
        for (uint32_t i = 0; i < m->config.tokenizer.content_dims; i++)
            adagrad_row(dz, m->config.encoder.rate, s.gradient + i * dz, shadow_accumulator(m, i),
                        encoder + i * dz);
        shadow_edit(m)->steps++;
    }
    arena_rewind(&m->scratch, mark);
    return OK;
}
