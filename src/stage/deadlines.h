/* Rows of a table in the order in which their time is over: by (deadline, arrival). A binary heap
 * in which every row knows its place, so that any row can be taken out. It is derived from the rows
 * and never state itself: after restore or rollback clear it and put every row again. Arrival
 * numbers are unique, so the order depends on the rows alone. */
#ifndef STAGE_DEADLINES_H
#define STAGE_DEADLINES_H

#include "base/arena.h"
#include <stdint.h>

struct deadline {
    int64_t deadline_ms;
    uint64_t arrival;
    uint32_t row; /* position in the table, < rows_max */
};

struct deadlines {
    struct deadline *heap; /* [count], a parent is not after its children */
    uint32_t *place;       /* [rows_max]: index in heap + 1; 0 when the row is not queued */
    uint32_t count;
    uint32_t rows_max;
};

/* An empty queue; memory from `arena`. FATAL when the arena is too small; `name` is for that
 * message. */
enum status deadlines_create(struct deadlines *queue, const char *name, uint32_t rows_max,
                             struct arena *arena, struct error *err);
void deadlines_clear(struct deadlines *queue);
/* The row must not be queued. */
void deadlines_put(struct deadlines *queue, uint32_t row, int64_t deadline_ms, uint64_t arrival);
/* The row must be queued. */
void deadlines_remove(struct deadlines *queue, uint32_t row);
/* The earliest, or NULL when the queue is empty. Borrowed until the queue changes. */
const struct deadline *deadlines_first(const struct deadlines *queue);

/* time + span for span >= 0, at most INT64_MAX. */
static inline int64_t time_after_ms(int64_t time_ms, int64_t span_ms) {
    return time_ms > INT64_MAX - span_ms ? INT64_MAX : time_ms + span_ms;
}

#endif
