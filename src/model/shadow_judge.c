/* i2i Hit@30: is the item that was clicked next among the 30 nearest of the one before? On pairs that no encoder has learned
 * from. The guard of releases, and a figure to watch. */
#include "math/matmul.h"
#include "math/vector.h"
#include "model/shadow_private.h"
#include <math.h>
#include <string.h>

#define CANDIDATES_MAX 8192 /* items that compete; of more, every k-th in order of position */
#define TESTED_MAX 768      /* pairs, the newest */
#define KEPT 0.7            /* of earlier judgements */

struct judgement {
    uint32_t n, candidates;
    uint32_t *trigger, *target;  /* [n] indices of candidates */
    uint32_t *item;              /* [candidates] */
    uint32_t *index;             /* [items] of an item among the candidates; NO_ROW */
    float *space;                /* [candidates, width], rows of unit length */
    float *decoded;              /* [candidates, Dz] */
    float *across;               /* [width, candidates rounded up to 16] */
    float *scores;               /* [candidates] */
    uint8_t *hit[JUDGED_SPACES]; /* [n] */
};

static bool create(struct judgement *j, const struct model *m, struct arena *arena) {
    uint32_t items = table_end(m->items);
    size_t dc = m->config.tokenizer.content_dims, dz = m->config.tokenizer.z_dims,
           count = CANDIDATES_MAX + 2 * TESTED_MAX;
    bool room = (j->trigger = arena_alloc(arena, TESTED_MAX * 4)) &&
                (j->target = arena_alloc(arena, TESTED_MAX * 4)) &&
                (j->item = arena_alloc(arena, count * 4)) &&
                (j->index = arena_alloc(arena, (size_t)items * 4)) &&
                (j->space = arena_alloc(arena, count * dc * 4)) &&
                (j->decoded = arena_alloc(arena, count * dz * 4)) &&
                (j->across = arena_alloc(arena, (count + 16) * dc * 4)) &&
                (j->scores = arena_alloc(arena, (count + 16) * 4));
    for (int s = 0; room && s < JUDGED_SPACES; s++)
        room = (j->hit[s] = arena_alloc(arena, TESTED_MAX));
    if (room)
        memset(j->index, 0xff, (size_t)items * 4);
    return room;
}

static uint32_t candidate(struct judgement *j, uint32_t item_row) {
    if (j->index[item_row] == NO_ROW) {
        j->index[item_row] = j->candidates;
        j->item[j->candidates++] = item_row;
    }
    return j->index[item_row];
}

static void choose(struct judgement *j, const struct model *m) {
    const struct shadow_row *state = shadow_state(m);
    uint64_t from = state->judged;
    if (state->pairs - from > m->config.encoder.pairs)
        from = state->pairs - m->config.encoder.pairs;
    for (uint64_t i = state->pairs; i-- > from && j->n < TESTED_MAX;) {
        uint32_t trigger, target;
        if (!shadow_pair(m, i, &trigger, &target))
            continue;
        j->trigger[j->n] = candidate(j, trigger);
        j->target[j->n++] = candidate(j, target);
    }
    uint32_t step = (table_rows(m->sid) + CANDIDATES_MAX - 1) / CANDIDATES_MAX;
    for (uint32_t row = 0; row < table_end(m->sid); row += step)
        if (table_live(m->sid, row))
            candidate(j, row);
}

static void unit_rows(float *rows, uint32_t count, size_t width) {
    for (uint32_t i = 0; i < count; i++) {
        float *row = rows + i * width, square = vector_dot(width, row, row);
        float scale = square > 0.0f ? 1.0f / sqrtf(square) : 0.0f;
        for (size_t k = 0; k < width; k++)
            row[k] *= scale;
    }
}

static void count_hits(struct judgement *j, float *rows, size_t width, enum judged_space space) {
    size_t stride = (j->candidates + 15) / 16 * 16;
    unit_rows(rows, j->candidates, width);
    transpose(j->candidates, width, rows, width, j->across, stride);
    for (uint32_t i = 0; i < j->n; i++) {
        uint32_t nearer = 0;
        matmul(1, j->candidates, width, rows + j->trigger[i] * width, width, j->across, stride,
               j->scores, stride);
        float wanted = j->scores[j->target[i]];
        for (uint32_t c = 0; c < j->candidates; c++)
            nearer += j->scores[c] > wanted && c != j->trigger[i];
        j->hit[space][i] = nearer < HITS_AT;
    }
}

/* z of the candidates in j->space, and in j->decoded what their codes make of it. */
static void encode(struct judgement *j, const struct model *m, struct tokenizer *tokenizer) {
    size_t dz = m->config.tokenizer.z_dims;
    for (uint32_t c = 0; c < j->candidates; c++) {
        uint16_t codes[SID_CODES];
        float *z = j->space + c * dz;
        tokenizer_project(tokenizer, table_value(m->content, j->item[c]), z);
        tokenizer_encode(tokenizer, z, 1, codes, NULL, NULL);
        tokenizer_decode(tokenizer, codes, j->decoded + c * dz);
    }
}

static void judge_all(struct judgement *j, struct model *m) {
    size_t dz = m->config.tokenizer.z_dims, dc = m->config.tokenizer.content_dims;
    for (uint32_t c = 0; c < j->candidates; c++)
        tokenizer_centre(m->tokenizer, table_value(m->content, j->item[c]), j->space + c * dc);
    count_hits(j, j->space, dc, JUDGED_RAW);
    encode(j, m, m->tokenizer);
    count_hits(j, j->space, dz, JUDGED_LIVE);
    count_hits(j, j->decoded, dz, JUDGED_LIVE_DECODED);
    encode(j, m, m->encoder.shadow);
    count_hits(j, j->space, dz, JUDGED_SHADOW);
    count_hits(j, j->decoded, dz, JUDGED_SHADOW_DECODED);
}

static void record(const struct judgement *j, struct shadow_row *state) {
    state->tested = KEPT * state->tested + j->n;
    state->shadow_only *= KEPT;
    state->live_only *= KEPT;
    for (int s = 0; s < JUDGED_SPACES; s++) {
        state->hits[s] *= KEPT;
        for (uint32_t i = 0; i < j->n; i++)
            state->hits[s] += j->hit[s][i];
    }
    for (uint32_t i = 0; i < j->n; i++) {
        state->shadow_only += j->hit[JUDGED_SHADOW][i] && !j->hit[JUDGED_LIVE][i];
        state->live_only += j->hit[JUDGED_LIVE][i] && !j->hit[JUDGED_SHADOW][i];
    }
    state->judgements++;
}

enum status shadow_judge(struct model *m, struct error *err) {
    struct judgement j = {0};
    size_t mark = arena_mark(&m->scratch);
    if (!create(&j, m, &m->scratch))
        return FAIL(err, FATAL, EX_CONFIG,
                    "judging the encoder on %u dims of content does not fit the training memory: "
                    "raise tokenizer.train_listings",
                    m->config.tokenizer.content_dims);
    choose(&j, m);
    if (j.n > 0) {
        judge_all(&j, m);
        record(&j, shadow_edit(m));
    }
    shadow_edit(m)->judged = shadow_state(m)->pairs;
    arena_rewind(&m->scratch, mark);
    return OK;
}

bool shadow_is_better(const struct model *m) {
    if (!m->config.encoder.on || !table_live(m->encoder.state, 0))
        return false;
    const struct shadow_row *s = shadow_state(m);
    double more = s->shadow_only - s->live_only, either = s->shadow_only + s->live_only;
    return s->tested >= m->config.encoder.judge_pairs && more > 2 * sqrt(either) &&
           s->hits[JUDGED_SHADOW_DECODED] >= s->hits[JUDGED_LIVE_DECODED];
}

void shadow_evaluate(const struct model *m, struct evaluation *out) {
    bool judged =
        m->config.encoder.on && table_live(m->encoder.state, 0) && shadow_state(m)->tested > 0;
    for (int s = 0; s < JUDGED_SPACES; s++)
        out->hits[s] = judged ? shadow_state(m)->hits[s] / shadow_state(m)->tested : (double)NAN;
    if (!judged)
        return;
    out->encoder_steps = shadow_state(m)->steps;
    out->encoder_judgements = shadow_state(m)->judgements;
}
