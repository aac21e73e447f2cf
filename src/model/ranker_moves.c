/* SIDs change while the ranker learns: the rows that they name follow. */
#include "math/vector.h"
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
    const struct sid_row *now = table_value(r->items.sid, item_row);
    for (uint32_t l = 0; l < SID_CODES && ranker_has_codes(r); l++) {
        row[l] = code_row(&r->config, now, l);
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

/* One table's rows of the new generation: each the mean of the rows that its items come from. */
static enum status inherit_rows(struct ranker *r, uint32_t level, const struct code_rows *c,
                                const uint32_t *items, const uint16_t (*codes)[SID_CODES],
                                uint32_t n, uint32_t generation, uint32_t *counts,
                                struct error *err) {
    uint32_t *slot = r->levels[level].slot,
             distinct = 0;               /* NO_ROW between batches, and after this */
    for (int pass = 0; pass < 3; pass++) /* sums, means, and the slots as they were */
        for (uint32_t i = 0; i < n; i++) {
            struct sid_row sid = {.generation = generation};
            memcpy(sid.codes, codes[i], sizeof sid.codes);
            uint32_t to = code_row(&r->config, &sid, level),
                     from = code_row(&r->config, table_value(r->items.sid, items[i]), level);
            if (pass == 0) {
                TRY(ranker_admit_row(r, c, to, err));
                if (slot[to] == NO_ROW)
                    counts[slot[to] = distinct++] = 0;
                counts[slot[to]]++;
                vector_add(r->config.width, table_value(c->rows, from), table_edit(c->rows, to));
                *accumulator_at(c, to) += *accumulator_at(c, from);
            } else if (pass == 1 && counts[slot[to]] > 0) {
                float share = 1.0f / (float)counts[slot[to]], *row = table_edit(c->rows, to);
                for (uint32_t j = 0; j < r->config.width; j++)
                    row[j] *= share;
                *accumulator_at(c, to) *= share;
                counts[slot[to]] = 0;
            } else if (pass == 2) {
                slot[to] = NO_ROW;
            }
        }
    return OK;
}

enum status ranker_inherit(struct ranker *r, const uint32_t *items,
                           const uint16_t (*codes)[SID_CODES], uint32_t n, uint32_t generation,
                           uint32_t *counts, struct error *err) {
    for (uint32_t l = 0; l < SID_CODES; l++)
        for (int use = 0; use < CODE_USES; use++)
            if (r->levels[l].of[use].rows != NULL)
                TRY(inherit_rows(r, l, &r->levels[l].of[use], items, codes, n, generation, counts,
                                 err));
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

uint32_t ranker_retire(struct ranker *r, uint32_t generation, uint32_t max) {
    uint32_t retired = 0;
    for (uint32_t l = 0; l < SID_CODES && r->config.banks > 1; l++) {
        uint32_t bank = r->levels[l].rows_max / 2, first = generation % 2 == 0 ? bank : 0;
        for (uint32_t row = first; row < first + bank && retired < max; row++) {
            bool live = false;
            for (int use = 0; use < CODE_USES; use++)
                live |=
                    r->levels[l].of[use].rows != NULL && table_live(r->levels[l].of[use].rows, row);
            if (live)
                forget_row(r, l, row);
            retired += live;
        }
    }
    return retired;
}
