/* SIDs change while the ranker learns: the rows that they name follow. */
#include "model/ranker_private.h"
#include <string.h>

/* The row's own accumulator in its chunk. */
static float *accumulator_at(struct code_level *level, uint32_t row) {
    float *chunk = table_edit(level->accumulators, row / ACCUMULATORS_PER_ROW);
    return &chunk[row % ACCUMULATORS_PER_ROW];
}

static void copy_row(struct code_level *level, uint32_t from, uint32_t to) {
    size_t bytes = table_spec(level->rows)->value_bytes;
    memcpy(table_edit(level->rows, to), table_value(level->rows, from), bytes);
    *accumulator_at(level, to) = *accumulator_at(level, from);
}

enum status ranker_move(struct ranker *r, uint32_t item_row, const struct sid_row *before,
                        struct error *err) {
    bool missing[SID_CODES];
    uint32_t row[SID_CODES];
    if (r->config.variant != VARIANT_ID_SID)
        return ranker_admit(r, item_row, err);
    for (uint32_t l = 0; l < SID_CODES; l++) {
        row[l] = code_row(&r->config, table_value(r->items.sid, item_row), l);
        missing[l] = !table_live(r->levels[l].rows, row[l]);
    }
    TRY(ranker_admit(r, item_row, err));
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (missing[l])
            copy_row(&r->levels[l], code_row(&r->config, before, l), row[l]);
    return OK;
}

bool ranker_covers(const struct ranker *r, uint32_t item_row) {
    bool covers =
        table_live(r->items.embedding, item_row) && table_live(r->items.optimiser, item_row);
    for (uint32_t l = 0; r->config.variant == VARIANT_ID_SID && l < SID_CODES; l++)
        covers &= table_live(r->levels[l].rows,
                             code_row(&r->config, table_value(r->items.sid, item_row), l));
    return covers;
}

static void forget_row(struct ranker *r, uint32_t level, uint32_t row) {
    if (!table_live(r->levels[level].rows, row))
        return;
    table_remove(r->levels[level].rows, row);
    *accumulator_at(&r->levels[level], row) = r->config.accumulator_rows;
}

void ranker_forget_code(struct ranker *r, uint32_t generation, uint32_t level, uint32_t code) {
    struct sid_row sid = {.generation = generation};
    const uint32_t *books = r->config.books;
    if (r->config.variant != VARIANT_ID_SID)
        return;
    sid.codes[level] = (uint16_t)code;
    if (level != 1 && level != 2)
        forget_row(r, level, code_row(&r->config, &sid, level));
    for (uint32_t other = 0; level < 2 && other < books[1 - level]; other++) {
        sid.codes[1 - level] = (uint16_t)other;
        forget_row(r, 1, code_row(&r->config, &sid, 1));
    }
}
