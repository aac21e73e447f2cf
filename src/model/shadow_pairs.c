#include "model/shadow_private.h"

bool shadow_pair(const struct model *m, uint64_t index, uint32_t *trigger, uint32_t *target) {
    const struct pair_row *pair =
        table_value(m->encoder.pairs, (uint32_t)(index % m->config.encoder.pairs));
    *trigger = pair->trigger.position;
    *target = pair->target.position;
    return model_item_alive(m, pair->trigger) && model_item_alive(m, pair->target) &&
           table_live(m->sid, *trigger) && table_live(m->sid, *target);
}

/* How likely a pair is kept: what nearly everybody clicks says little of any one item (Swing's concern). */
static float keeps(const struct model *m, uint32_t a, uint32_t b) {
    uint64_t clicks_a = item_at(m, a)->clicks, clicks_b = item_at(m, b)->clicks;
    float fewer = (float)(clicks_a < clicks_b ? clicks_a : clicks_b);
    return m->config.encoder.popular_clicks / (m->config.encoder.popular_clicks + fewer);
}

enum status shadow_note_click(struct model *m, uint32_t user_row, uint32_t item_row,
                              struct error *err) {
    const struct user_row *user = user_at(m, user_row);
    uint32_t back = user->history_length < PAIRS_BACK ? user->history_length : PAIRS_BACK, row;
    if (!m->config.encoder.on || !table_live(m->encoder.state, 0) || back == 0)
        return OK;
    uint64_t index = shadow_state(m)->pairs;
    struct rng rng = rng_stream(m->config.seed, RNG_PAIR, user_row, user->clicks);
    struct item_handle trigger = user_history(user)[rng_below(&rng, back)];
    if (trigger.position == item_row || !model_item_alive(m, trigger) ||
        !table_live(m->sid, trigger.position) || !table_live(m->sid, item_row) ||
        rng_unit(&rng) >= keeps(m, trigger.position, item_row))
        return OK;
    row = (uint32_t)(index % m->config.encoder.pairs);
    if (!table_live(m->encoder.pairs, row))
        TRY(table_insert_u64(m->encoder.pairs, row, &row, err));
    *(struct pair_row *)table_edit(m->encoder.pairs, row) =
        (struct pair_row){trigger, model_item_handle(m, item_row)};
    shadow_edit(m)->pairs++;
    return OK;
}
