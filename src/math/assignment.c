#include "math/assignment.h"

#include <string.h>

/* One-based inside: row and column 0 are the root of the tree that is grown from each new row. */
struct solver {
    uint32_t n;
    const uint32_t *gain;
    int64_t *of_row, *of_column; /* [n + 1] potentials */
    int64_t *slack;              /* [n + 1] least reduced cost from the tree to each column */
    uint32_t *row_at;            /* [n + 1] row that has the column; 0: free */
    uint32_t *from;              /* [n + 1] column before it on the path */
    bool *reached;               /* [n + 1] */
};

static int64_t reduced_cost(const struct solver *s, uint32_t row, uint32_t column) {
    int64_t cost = -(int64_t)s->gain[(size_t)(row - 1) * s->n + column - 1];
    return cost - s->of_row[row] - s->of_column[column];
}

/* Reaches `column`; returns the nearest column that is not reached yet. */
static uint32_t grow(struct solver *s, uint32_t column) {
    uint32_t nearest = 0;
    s->reached[column] = true;
    for (uint32_t j = 1; j <= s->n; j++) {
        if (s->reached[j])
            continue;
        int64_t cost = reduced_cost(s, s->row_at[column], j);
        if (cost < s->slack[j]) {
            s->slack[j] = cost;
            s->from[j] = column;
        }
        if (nearest == 0 || s->slack[j] < s->slack[nearest])
            nearest = j;
    }
    int64_t delta = s->slack[nearest];
    for (uint32_t j = 0; j <= s->n; j++)
        if (s->reached[j]) {
            s->of_row[s->row_at[j]] += delta;
            s->of_column[j] -= delta;
        } else {
            s->slack[j] -= delta;
        }
    return nearest;
}

static void add_row(struct solver *s, uint32_t row) {
    uint32_t column = 0;
    s->row_at[0] = row;
    for (uint32_t j = 0; j <= s->n; j++) {
        s->slack[j] = INT64_MAX / 4;
        s->reached[j] = false;
    }
    do
        column = grow(s, column);
    while (s->row_at[column] != 0);
    while (column != 0) { /* each column of the path takes the row of the one before */
        uint32_t before = s->from[column];
        s->row_at[column] = s->row_at[before];
        column = before;
    }
}

enum status assign_greatest(uint32_t n, const uint32_t *gain, uint32_t *column,
                            struct arena *scratch, struct error *err) {
    size_t mark = arena_mark(scratch), count = n + 1;
    int64_t *numbers = arena_alloc(scratch, 3 * count * sizeof *numbers);
    uint32_t *indices = arena_alloc(scratch, 2 * count * sizeof *indices);
    bool *reached = arena_alloc(scratch, count * sizeof *reached);
    if (numbers == NULL || indices == NULL || reached == NULL)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for an assignment of %u", scratch->name,
                    scratch->reserved, n);
    memset(numbers, 0, 3 * count * sizeof *numbers);
    memset(indices, 0, 2 * count * sizeof *indices);
    struct solver s = {
        n, gain, numbers, numbers + count, numbers + 2 * count, indices, indices + count, reached};
    for (uint32_t row = 1; row <= n; row++)
        add_row(&s, row);
    for (uint32_t j = 1; j <= n; j++)
        column[s.row_at[j] - 1] = j - 1;
    arena_rewind(scratch, mark);
    return OK;
}
