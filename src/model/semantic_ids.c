/* Items get their SIDs, keep them or change them. Whatever gives an item another SID goes through semantic_id_set(), which
 * also sees to it that the ranker has the rows it points to. */
#include "math/nearest.h"
#include "math/vector.h"
#include "model/model_private.h"
#include <string.h>

static bool relieves(const struct model *m) {
    return m->config.updates.collision_tries > 0;
}

enum status semantic_ids_create(struct model *m, struct error *err) {
    if (!relieves(m))
        return OK;
    struct table_spec spec = {.name = "sid.holders",
                              .key_kind = KEY_U64,
                              .output = TO_CHANGELOG,
                              .value_bytes = sizeof(uint32_t),
                              .rows_max = m->config.items_max};
    return tables_add(m->set, &spec, &m->holders, err);
}

/* Codes of two generations are never the same SID. Two SIDs with one hash would count as one: that costs a try. */
static uint64_t holders_key(uint32_t generation, const uint16_t codes[SID_CODES]) {
    return hash64(codes, SID_CODES * sizeof *codes, generation);
}

static enum status hold(struct model *m, uint32_t generation, const uint16_t codes[SID_CODES],
                        struct error *err) {
    if (!relieves(m))
        return OK;
    uint64_t key = holders_key(generation, codes);
    uint32_t row = table_find_u64(m->holders, key);
    if (row == NO_ROW)
        TRY(table_insert_u64(m->holders, key, &row, err));
    ++*(uint32_t *)table_edit(m->holders, row);
    return OK;
}

void semantic_id_release(struct model *m, uint32_t item_row) {
    const struct sid_row *sid = table_value(m->sid, item_row);
    sid_count(m, item_row, -1);
    if (!relieves(m))
        return;
    uint32_t row = table_find_u64(m->holders, holders_key(sid->generation, sid->codes));
    ASSERT(row != NO_ROW);
    if (--*(uint32_t *)table_edit(m->holders, row) == 0)
        table_remove(m->holders, row);
}

/* The item whose codes are being chosen, and what it holds now: that is not taken by another. */
struct chooser {
    const struct model *model;
    const struct sid_row *own; /* NULL: none */
};

static bool taken(void *self, const uint16_t *codes) {
    const struct chooser *c = self;
    uint32_t generation = model_generation(c->model);
    uint32_t row = table_find_u64(c->model->holders, holders_key(generation, codes));
    if (row == NO_ROW)
        return false;
    bool own = c->own != NULL && c->own->generation == generation &&
               memcmp(c->own->codes, codes, sizeof c->own->codes) == 0;
    return *(const uint32_t *)table_value(c->model->holders, row) > (own ? 1u : 0u);
}

void semantic_id_choose(struct model *m, uint32_t item_row, const float *z, bool keep,
                        uint16_t codes[SID_CODES], float *error) {
    const struct update_config *updates = &m->config.updates;
    bool has = table_live(m->sid, item_row);
    struct chooser chooser = {m, has ? table_value(m->sid, item_row) : NULL};
    struct assignment rules = {.tries = updates->collision_tries, .taken = taken, .self = &chooser};
    rules.reluctance[0] = updates->reluctance_first;
    for (uint32_t l = 1; l < SID_CODES; l++)
        rules.reluctance[l] = updates->reluctance;
    tokenizer_assign(m->tokenizer, &rules, z, keep && has ? chooser.own->codes : NULL, codes,
                     error);
}

static void count_move(struct model *m, enum sid_reason reason) {
    struct model_row *state = model_edit_state(m);
    state->sid_changes++;
    if (reason == SID_GENERATION)
        state->sid_changes_released++;
}

enum status semantic_id_set(struct model *m, uint32_t item_row, const uint16_t codes[SID_CODES],
                            float error, enum sid_reason reason, uint64_t epoch,
                            struct error *err) {
    bool is_new = !table_live(m->sid, item_row);
    struct sid_row before = {0};
    if (is_new) {
        TRY(table_insert_child(m->sid, item_row, err));
        model_edit_state(m)->onboarded++;
    } else {
        before = *(const struct sid_row *)table_value(m->sid, item_row);
        semantic_id_release(m, item_row);
    }
    TRY(hold(m, model_generation(m), codes, err));
    if (!is_new && memcmp(before.codes, codes, sizeof before.codes) != 0)
        count_move(m, reason);
    struct sid_row *sid = table_edit(m->sid, item_row);
    memcpy(sid->codes, codes, sizeof sid->codes);
    memcpy(sid->previous, is_new ? codes : before.codes, sizeof sid->previous);
    sid->has_previous = !is_new;
    sid->reason = is_new ? SID_NEW : (uint16_t)reason;
    sid->generation = model_generation(m);
    sid->codebook_version = model_codebook_version(m);
    sid->quantisation_error = error;
    sid->epoch = epoch;
    sid->event_time_ms = item_at(m, item_row)->listed_ms;
    sid_count(m, item_row, 1);
    if (is_new)
        return ranker_admit(m->ranker, item_row, err);
    return ranker_move(m->ranker, item_row, &before, err);
}

enum status semantic_id_encode(struct model *m, uint32_t item_row, uint64_t epoch,
                               enum sid_reason reason, struct error *err) {
    uint16_t codes[SID_CODES];
    float error;
    if (!table_live(m->z, item_row))
        TRY(table_insert_child(m->z, item_row, err));
    float *z = table_edit(m->z, item_row);
    tokenizer_project(m->tokenizer, table_value(m->content, item_row), z);
    /* a generation's codes are named after those before them: near ties stay */
    semantic_id_choose(m, item_row, z, reason == SID_GENERATION, codes, &error);
    if (m->config.updates.on) {
        struct item_row *item = table_edit(m->items, item_row);
        item->visited_version = model_codebook_version(m);
        item->last_event = model_state(m)->item_events;
    }
    return semantic_id_set(m, item_row, codes, error, reason, epoch, err);
}

enum status semantic_id_revisit(struct model *m, uint32_t item_row, uint64_t epoch,
                                struct error *err) {
    const struct sid_row *sid = table_value(m->sid, item_row);
    uint32_t version = model_codebook_version(m);
    uint16_t codes[SID_CODES];
    float error;
    if (item_at(m, item_row)->visited_version == version)
        return OK;
    ((struct item_row *)table_edit(m->items, item_row))->visited_version = version;
    semantic_id_choose(m, item_row, table_value(m->z, item_row), true, codes, &error);
    if (memcmp(codes, sid->codes, sizeof codes) == 0)
        return OK;
    return semantic_id_set(m, item_row, codes, error, SID_DRIFT, epoch, err);
}

uint32_t semantic_ids_sample(const struct model *m, uint32_t generation, uint64_t occasion,
                             uint32_t max, uint32_t *items) {
    uint32_t n = 0, seen = 0, pick = 0, span = (table_rows(m->sid) + max - 1) / max;
    for (uint32_t row = 0; row < table_end(m->sid) && n < max; row++) {
        if (!table_live(m->sid, row) ||
            ((const struct sid_row *)table_value(m->sid, row))->generation != generation)
            continue;
        if (seen % span == 0) {
            struct rng rng = rng_stream(m->config.seed, RNG_SAMPLE, occasion, seen / span);
            pick = rng_below(&rng, span);
        }
        if (seen++ % span == pick)
            items[n++] = row;
    }
    return n;
}

void semantic_id_measure(const struct model *m, uint32_t item_row, struct quantised *sum) {
    uint32_t dz = m->config.tokenizer.z_dims;
    float decoded[Z_DIMS_MAX];
    const float *z = table_value(m->z, item_row);
    const struct sid_row *sid = table_value(m->sid, item_row);
    tokenizer_decode(m->tokenizer, sid->codes, decoded);
    sum->wrong += (double)squared_distance(z, decoded, dz);
    sum->all += (double)vector_dot(dz, z, z);
}
