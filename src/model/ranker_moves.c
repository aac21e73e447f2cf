/* SIDs change while the ranker learns: the rows that they name follow. */
#include "model/ranker_private.h"
#include <string.h>

/* The row's own accumulator in its chunk. */
static float *accumulator_at(const struct code_rows *c, uint32_t row) {
    float *chunk = table_edit(c->accumulators, row / ACCUMULATORS_PER_ROW);
    return &chunk[row % ACCUMULATORS_PER_ROW];
}

static void copy_row(const struct code_rows *c, uint32_t from, uint32_t to) {
    size_t bytes = table_spec(c->rows)->value_bytes;
    memcpy(table_edit(c->rows, to), table_value(c->rows, from), bytes);
    *accumulator_at(c, to) = *accumulator_at(c, from);
}

enum status ranker_move(struct ranker *r, uint32_t item_row, const struct sid_row *before,
                        struct error *err) {
    bool missing[SID_CODES][CODE_USES] = {{false}};
    uint32_t row[SID_CODES];
    for (uint32_t l = 0; l < SID_CODES && ranker_has_codes(r); l++) {
        row[l] = code_row(&r->config, table_value(r->items.sid, item_row), l);
        for (int use = 0; use < CODE_USES; use++) {
            const struct table *rows = r->levels[l].of[use].rows;
            missing[l][use] = rows != NULL && !table_live(rows, row[l]);
        }
    }
    TRY(ranker_admit(r, item_row, err));
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (missing[l][use])
                copy_row(&r->levels[l].of[use], code_row(&r->config, before, l), row[l]);
    return OK;
}

bool ranker_covers(const struct ranker *r, uint32_t item_row) {
    bool covers =
        table_live(r->items.embedding, item_row) && table_live(r->items.optimiser, item_row);
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++) {
            const struct table *rows = r->levels[l].of[use].rows;
            covers &=
                rows == NULL ||
                table_live(rows, code_row(&r->config, table_value(r->items.sid, item_row), l));
        }
    return covers;
}

static void forget_row(struct ranker *r, uint32_t level, uint32_t row) {
    for (int use = 0; use < CODE_USES; use++) {
        const struct code_rows *c = &r->levels[level].of[use];
        if (c->rows == NULL || !table_live(c->rows, row))
            continue;
        table_remove(c->rows, row);
        *accumulator_at(c, row) = r->config.accumulator_rows;
    }
}

void ranker_forget_code(struct ranker *r, uint32_t generation, uint32_t level, uint32_t code) {
    struct sid_row sid = {.generation = generation};
    const uint32_t *books = r->config.books;
    sid.codes[level] = (uint16_t)code;
    if (level != 1 && level != 2)
        forget_row(r, level, code_row(&r->config, &sid, level));
    for (uint32_t other = 0; level < 2 && other < books[1 - level]; other++) {
        sid.codes[1 - level] = (uint16_t)other;
        forget_row(r, 1, code_row(&r->config, &sid, 1));
    }
}
