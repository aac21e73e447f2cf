/* Codebooks that live. An item event is an item's first exposure in a click epoch, or its turn in the sweep; it moves the
 * running means of the cells that the item's codes name (PAPERS 3.1, 3.12):
 *
 *   n_k = f n_k + (1-g) w,  m_k = f m_k + (1-g) w r,  f = g^(events since the cell was touched),  w = delta^beta
 *
 * where delta is the number of item events since this item's last one: a seldom shown item weighs more. Every
 * publish_epochs click epochs the means become the centroids of a new codebook_version; only from that one are items assigned. Items move when their turn
 * comes: by being shown, or in the sweep. All of this is at the end of click epochs, so bounded work per epoch. */
#include "math/ema.h"
#include "math/nearest.h"
#include "math/vector.h"
#include "model/model_private.h"
#include <string.h>

/* Value of a row of `clusters` (KEY_DENSE: see cluster_at), then f32 sum [Dz] and f32 far [Dz]: the last vector that was
 * farther from the centroid than the cell's mean. OPQ cells use the first half of each. */
struct cluster_row {
    float count;      /* n_k */
    float error;      /* running mean of w |r - B_k|^2 */
    uint64_t touched; /* item event */
    uint32_t starved; /* versions in a row in which it was nearly empty */
    uint32_t has_far;
};

static uint32_t cells(const struct model *m) {
    uint32_t all = 0;
    for (uint32_t l = 0; l < SID_CODES; l++)
        all += m->config.tokenizer.books[l];
    return all;
}

static uint32_t level_dims(const struct model *m, uint32_t level) {
    uint32_t dz = m->config.tokenizer.z_dims;
    return level < RQ_LEVELS ? dz : dz / OPQ_CODES;
}

static float *level_book(const struct model *m, uint32_t level) {
    struct codebooks *books = tokenizer_codebooks(m->tokenizer);
    return level < RQ_LEVELS ? books->rq[level] : books->opq[level - RQ_LEVELS];
}

static struct cluster_row *cluster_at(struct model *m, uint32_t level, uint32_t code) {
    uint32_t row = code;
    for (uint32_t l = 0; l < level; l++)
        row += m->config.tokenizer.books[l];
    return table_edit(m->updates.clusters, row);
}
static float *cluster_sum(struct cluster_row *cluster) {
    return (float *)(cluster + 1);
}
static float *cluster_far(const struct model *m, struct cluster_row *cluster) {
    return (float *)(cluster + 1) + m->config.tokenizer.z_dims;
}

enum status codebook_updates_create(struct model *m, struct arena *arena, struct error *err) {
    const struct update_config *c = &m->config.updates;
    if (!c->on)
        return OK;
    size_t dz = m->config.tokenizer.z_dims, items = m->config.items_max;
    struct table_spec spec = {.name = "clusters",
                              .key_kind = KEY_DENSE,
                              .output = TO_CHANGELOG,
                              .value_bytes = (uint32_t)(sizeof(struct cluster_row) + 8 * dz),
                              .rows_max = cells(m)};
    TRY(tables_add(m->set, &spec, &m->updates.clusters, err));
    m->updates.inputs = arena_must(arena, (RQ_LEVELS + 1) * dz * sizeof(float));
    m->updates.shown = arena_must(arena, items * sizeof(uint32_t));
    m->updates.stamp_of = arena_must(arena, items * sizeof(uint32_t));
    m->updates.stamp = 1;
    for (uint32_t l = 0; l < SID_CODES; l++)
        m->updates.log_g[l] = log1p_f32(-1.0f / (float)c->memory[l]);
    return OK;
}

static float weight_of(const struct model *m, uint64_t delta) {
    const struct update_config *c = &m->config.updates;
    float w = exp_f32(c->popularity * log_f32((float)delta));
    return w < 1.0f ? 1.0f : w > c->weight_max ? c->weight_max : w;
}

/* ---- the first books ---- */

enum status codebook_updates_start(struct model *m, const uint16_t (*codes)[SID_CODES], uint32_t n,
                                   struct error *err) {
    if (!m->config.updates.on)
        return OK;
    uint32_t row;
    for (uint32_t i = 0; i < cells(m); i++)
        if (!table_live(m->updates.clusters, i))
            TRY(table_insert_u64(m->updates.clusters, i, &row, err));
    /* what these items would have left behind, each with the weight of one that waited its turn */
    float share = weight_of(m, table_rows(m->sid)) / (float)n;
    uint64_t now = model_state(m)->item_events;
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (uint32_t k = 0; k < m->config.tokenizer.books[l]; k++) {
            struct cluster_row *cluster = cluster_at(m, l, k);
            memset(cluster, 0, table_spec(m->updates.clusters)->value_bytes);
            cluster->touched = now;
        }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t l = 0; l < SID_CODES; l++)
            cluster_at(m, l, codes[i][l])->count += share;
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (uint32_t k = 0; k < m->config.tokenizer.books[l]; k++) {
            struct cluster_row *cluster = cluster_at(m, l, k);
            vector_add_scaled(level_dims(m, l), cluster->count,
                              level_book(m, l) + (size_t)k * level_dims(m, l),
                              cluster_sum(cluster));
        }
    return OK;
}

/* ---- item events ---- */

/* Brings the cell up to date; the caller adds what has come. */
static float decay(const struct model *m, struct cluster_row *cluster, uint32_t level) {
    uint64_t now = model_state(m)->item_events;
    float f = ema_decay(m->updates.log_g[level], now - cluster->touched);
    cluster->touched = now;
    return f;
}

static void learn_level(struct model *m, uint32_t level, uint32_t code, const float *x, float w) {
    struct cluster_row *cluster = cluster_at(m, level, code);
    uint32_t dims = level_dims(m, level);
    float f = decay(m, cluster, level), kept = 1.0f / (float)m->config.updates.memory[level];
    float d = squared_distance(x, level_book(m, level) + (size_t)code * dims, dims);
    ema_update(dims, f, kept, w, x, &cluster->count, cluster_sum(cluster));
    cluster->error = f * cluster->error + kept * w * d;
    if (d * cluster->count > cluster->error) {
        memcpy(cluster_far(m, cluster), x, dims * sizeof *x);
        cluster->has_far = 1;
    }
}

static bool of_these_books(const struct model *m, uint32_t item_row) {
    return table_live(m->sid, item_row) &&
           ((const struct sid_row *)table_value(m->sid, item_row))->generation ==
               model_generation(m);
}

static enum status item_event(struct model *m, uint32_t row, uint64_t epoch, struct error *err) {
    if (!of_these_books(m, row))
        return OK;
    TRY(semantic_id_revisit(m, row, epoch, err));
    const struct sid_row *sid = table_value(m->sid, row);
    size_t dz = m->config.tokenizer.z_dims;
    struct item_row *item = table_edit(m->items, row);
    uint64_t now = ++model_edit_state(m)->item_events;
    float w = weight_of(m, now - item->last_event);
    item->last_event = now;
    tokenizer_residuals(m->tokenizer, table_value(m->z, row), sid->codes, m->updates.inputs);
    for (uint32_t l = 0; l < RQ_LEVELS; l++)
        learn_level(m, l, sid->codes[l], m->updates.inputs + l * dz, w);
    for (uint32_t k = 0; k < OPQ_CODES; k++)
        learn_level(m, RQ_LEVELS + k, sid->codes[RQ_LEVELS + k],
                    m->updates.inputs + RQ_LEVELS * dz + k * dz / OPQ_CODES, w);
    return OK;
}

void codebook_updates_note(struct model *m, uint32_t item_row) {
    struct codebook_updates *u = &m->updates;
    if (!m->config.updates.on || u->stamp_of[item_row] == u->stamp)
        return;
    u->stamp_of[item_row] = u->stamp;
    u->shown[u->shown_count++] = item_row;
}

void codebook_updates_forget(struct model *m) {
    m->updates.shown_count = 0;
    m->updates.stamp++;
}

static bool was_shown(const struct model *m, uint32_t row) {
    return m->updates.stamp_of[row] == m->updates.stamp;
}

/* The next items in order of position, round and round: those that nobody is shown have their turn, too. */
static enum status sweep(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t end = table_end(m->sid), at = model_state(m)->sweep_position;
    for (uint32_t i = 0; i < m->config.updates.sweep && i < end; i++, at++) {
        at = at >= end ? 0 : at;
        if (!was_shown(m, at))
            TRY(item_event(m, at, epoch, err));
    }
    model_edit_state(m)->sweep_position = at;
    return OK;
}

/* ---- a new version ---- */

static double mean_count(struct model *m, uint32_t level) {
    double sum = 0;
    for (uint32_t k = 0; k < m->config.tokenizer.books[level]; k++)
        sum += (double)cluster_at(m, level, k)->count;
    return sum / m->config.tokenizer.books[level];
}

static void take_means(struct model *m, uint32_t level) {
    uint32_t dims = level_dims(m, level);
    for (uint32_t k = 0; k < m->config.tokenizer.books[level]; k++) {
        struct cluster_row *cluster = cluster_at(m, level, k);
        float f = decay(m, cluster, level);
        cluster->count *= f;
        cluster->error *= f;
        for (uint32_t i = 0; i < dims; i++)
            cluster_sum(cluster)[i] *= f;
    }
    float nearly_empty = (float)mean_count(m, level) * m->config.updates.reset_share;
    for (uint32_t k = 0; k < m->config.tokenizer.books[level]; k++) {
        struct cluster_row *cluster = cluster_at(m, level, k);
        bool starves = cluster->count < nearly_empty;
        cluster->starved = starves ? cluster->starved + 1 : 0;
        if (!starves) /* a cell that nothing falls into keeps its place until it is reset */
            ema_centroid(dims, cluster->count, cluster_sum(cluster),
                         level_book(m, level) + (size_t)k * dims);
    }
}

static uint32_t items_on(const struct model *m, uint32_t level, uint32_t code) {
    uint32_t count = 0;
    for (uint32_t row = 0; row < table_end(m->sid); row++)
        count += of_these_books(m, row) &&
                 ((const struct sid_row *)table_value(m->sid, row))->codes[level] == code;
    return count;
}

struct reset {
    bool due;
    uint32_t code;
};

/* The level's emptiest starved cell takes half of the cell with the largest error, at a vector that lay far out in it. */
static struct reset reset_one(struct model *m, uint32_t level) {
    uint32_t books = m->config.tokenizer.books[level], dims = level_dims(m, level);
    struct cluster_row *dead = NULL, *worst = NULL;
    struct reset reset = {0};
    for (uint32_t k = 0; k < books; k++) {
        struct cluster_row *cluster = cluster_at(m, level, k);
        if (cluster->starved >= m->config.updates.reset_versions &&
            (dead == NULL || cluster->count < dead->count)) {
            dead = cluster;
            reset.code = k;
        }
        if (cluster->has_far && (worst == NULL || cluster->error > worst->error))
            worst = cluster;
    }
    if (dead == NULL || worst == NULL || dead == worst ||
        items_on(m, level, reset.code) > m->config.updates.sweep)
        return reset;
    reset.due = true;
    memcpy(level_book(m, level) + (size_t)reset.code * dims, cluster_far(m, worst),
           dims * sizeof(float));
    worst->count /= 2;
    worst->error /= 2;
    *dead = (struct cluster_row){
        .count = worst->count, .error = worst->error, .touched = worst->touched};
    for (uint32_t i = 0; i < dims; i++) {
        cluster_sum(worst)[i] /= 2;
        cluster_sum(dead)[i] = dead->count * cluster_far(m, worst)[i];
    }
    worst->has_far = 0;
    return reset;
}

/* The few items that were on the code go where they belong now. Once nobody is on it, the ranker's rows of its former
 * meaning go: whoever moves onto it brings a copy of the rows it comes from. */
static enum status vacate(struct model *m, uint32_t level, uint32_t code, uint64_t epoch,
                          struct error *err) {
    for (uint32_t row = 0; row < table_end(m->sid); row++) {
        if (!of_these_books(m, row) ||
            ((const struct sid_row *)table_value(m->sid, row))->codes[level] != code)
            continue;
        uint16_t codes[SID_CODES];
        float error;
        semantic_id_choose(m, row, table_value(m->z, row), false, codes, &error);
        TRY(semantic_id_set(m, row, codes, error, SID_DRIFT, epoch, err));
    }
    if (items_on(m, level, code) > 0)
        return OK;
    ranker_forget_code(m->ranker, model_generation(m), level, code);
    return OK;
}

#define BALANCE_LEAST 0.5 /* an empty cell must not draw everything */

static void take_balance(struct model *m) {
    uint32_t level = RQ_LEVELS - 1;
    float *balance = tokenizer_codebooks(m->tokenizer)->balance;
    double even = mean_count(m, level) / (double)m->config.updates.balance;
    if (m->config.updates.balance == 0.0f)
        return;
    for (uint32_t k = 0; k < m->config.tokenizer.books[level]; k++) {
        double r = (double)cluster_at(m, level, k)->count / even;
        balance[k] = r < BALANCE_LEAST ? (float)BALANCE_LEAST : r < 1 ? (float)r : 1.0f;
    }
}

static enum status new_version(struct model *m, uint64_t epoch, struct error *err) {
    struct reset resets[SID_CODES];
    for (uint32_t l = 0; l < SID_CODES; l++) {
        take_means(m, l);
        resets[l] = reset_one(m, l);
    }
    take_balance(m);
    tokenizer_refresh(m->tokenizer);
    model_edit_state(m)->codebook_version++;
    TRY(codebooks_publish(m, err));
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (resets[l].due) {
            model_edit_state(m)->resets++;
            TRY(vacate(m, l, resets[l].code, epoch, err));
        }
    return OK;
}

enum status codebook_updates_end_epoch(struct model *m, uint64_t epoch, struct error *err) {
    uint32_t shown = m->updates.shown_count;
    if (!m->config.updates.on || model_codebook_version(m) == 0) {
        codebook_updates_forget(m);
        return OK;
    }
    for (uint32_t i = 0; i < shown; i++)
        TRY(item_event(m, m->updates.shown[i], epoch, err));
    TRY(sweep(m, epoch, err));
    codebook_updates_forget(m);
    if (++model_edit_state(m)->version_epochs < m->config.updates.publish_epochs)
        return OK;
    model_edit_state(m)->version_epochs = 0;
    return new_version(m, epoch, err);
}
