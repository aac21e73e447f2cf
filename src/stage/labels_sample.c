/* Negatives for a click in a stream that has clicks only. A share of them comes from the recent
 * clicks, so items turn up in proportion to their popularity (the model must tell taste from
 * popularity), the others uniformly from the live listings. */
#include "stage/labels_private.h"

#include "base/poison.h"
#include "base/rng.h"

#define DRAWS_MAX 64 /* of one negative, before it is left out */

enum status sample_create(struct labels *labels, struct tables *set, struct error *err) {
    const uint32_t rows = labels->config.popular_clicks / RECENT_PER_ROW +
                          (labels->config.popular_clicks % RECENT_PER_ROW > 0);
    const struct table_spec spec = {.name = "recent",
                                    .key_kind = KEY_DENSE,
                                    .output = TO_CHANGELOG,
                                    .value_bytes = RECENT_PER_ROW * sizeof(struct item_handle),
                                    .rows_max = rows > 0 ? rows : 1};
    return tables_add(set, &spec, &labels->recent, err);
}

/* The n-th click so far has place n mod popular_clicks of the ring. */
static enum status remember_click(struct labels *labels, uint32_t item_row, struct error *err) {
    struct labels_row *state;
    TRY(labels_edit(labels, &state, err));
    const uint64_t click = state->totals.clicks_sampled++;
    if (labels->config.popular_clicks == 0)
        return OK;
    const uint32_t place = (uint32_t)(click % labels->config.popular_clicks);
    uint32_t row = place / RECENT_PER_ROW;
    if (!table_live(labels->recent, row))
        TRY(table_insert_u64(labels->recent, row, &row, err));
    struct item_handle *ring = table_edit(labels->recent, row);
    ring[place % RECENT_PER_ROW] = model_item_handle(labels->model, item_row);
    return OK;
}

static bool draw_popular(const struct labels *labels, struct rng *rng, uint32_t clicked_row,
                         uint32_t *item_row) {
    const uint64_t clicks = labels_state(labels)->totals.clicks_sampled;
    const uint32_t capacity = labels->config.popular_clicks;
    const uint32_t filled = clicks < capacity ? (uint32_t)clicks : capacity;
    if (filled == 0)
        return false;
    for (int draw = 0; draw < DRAWS_MAX; draw++) {
        const uint32_t place = rng_below(rng, filled);
        const uint32_t row = place / RECENT_PER_ROW;
        if (!table_live(labels->recent, row))
            continue; /* the ring was made larger in the configuration */
        const struct item_handle *ring = table_value(labels->recent, row);
        const struct item_handle handle = ring[place % RECENT_PER_ROW];
        *item_row = handle.position;
        if (handle.position != clicked_row && model_item_alive(labels->model, handle))
            return true;
    }
    return false;
}

static bool draw_listed(const struct labels *labels, struct rng *rng, uint32_t clicked_row,
                        uint32_t *item_row) {
    const struct table *items = model_items(labels->model);
    const uint32_t end = table_end(items);
    if (end == 0)
        return false;
    for (int draw = 0; draw < DRAWS_MAX; draw++) {
        const uint32_t row = rng_below(rng, end);
        *item_row = row;
        if (row == clicked_row || !table_live(items, row))
            continue;
        const struct item_row *item = table_value(items, row);
        if (item->flags & ITEM_LISTED)
            return true;
    }
    return false;
}

enum status sample_apply(struct labels *labels, const struct record *record,
                         const struct sample *positive, struct sample_port samples,
                         struct error *err) {
    TRY(samples.take(samples.self, positive, err));
    struct rng rng = rng_stream(labels->seed, RNG_NEGATIVE,
                                (uint64_t)record->topic << 32 | (uint32_t)record->partition,
                                (uint64_t)record->offset);
    struct sample negative = *positive;
    negative.label = 0.0f;
    for (uint32_t k = 0; k < labels->config.negatives; k++) {
        const bool popular = rng_unit(&rng) < labels->config.negatives_popular;
        if ((popular && draw_popular(labels, &rng, positive->item_row, &negative.item_row)) ||
            draw_listed(labels, &rng, positive->item_row, &negative.item_row))
            TRY(samples.take(samples.self, &negative, err));
    }
    return remember_click(labels, positive->item_row, err);
}
