#include "stage/deadlines.h"

#include "base/poison.h"

enum status deadlines_create(struct deadlines *queue, const char *name, uint32_t rows_max,
                             struct arena *arena, struct error *err) {
    *queue = (struct deadlines){.rows_max = rows_max};
    queue->heap = arena_alloc(arena, rows_max * sizeof *queue->heap);
    queue->place = arena_alloc(arena, rows_max * sizeof *queue->place);
    if (queue->heap == NULL || queue->place == NULL)
        return FAIL(err, FATAL, EX_OSERR,
                    "the queue of deadlines of %s (%u rows) does not fit into the arena %s", name,
                    rows_max, arena->name);
    return OK;
}

void deadlines_clear(struct deadlines *queue) {
    for (uint32_t i = 0; i < queue->count; i++)
        queue->place[queue->heap[i].row] = 0;
    queue->count = 0;
}

static bool before(const struct deadline *a, const struct deadline *b) {
    if (a->deadline_ms != b->deadline_ms)
        return a->deadline_ms < b->deadline_ms;
    return a->arrival < b->arrival;
}

static void settle(struct deadlines *queue, uint32_t at, struct deadline entry) {
    queue->heap[at] = entry;
    queue->place[entry.row] = at + 1;
}

/* Moves the entry that belongs at `at` or above it up to its place. */
static void rise(struct deadlines *queue, uint32_t at, struct deadline entry) {
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!before(&entry, &queue->heap[parent]))
            break;
        settle(queue, at, queue->heap[parent]);
        at = parent;
    }
    settle(queue, at, entry);
}

/* Moves the entry that belongs at `at` or below it down to its place. */
static void sink(struct deadlines *queue, uint32_t at, struct deadline entry) {
    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!before(&queue->heap[child], &entry))
            break;
        settle(queue, at, queue->heap[child]);
        at = (uint32_t)child;
    }
    settle(queue, at, entry);
}

void deadlines_put(struct deadlines *queue, uint32_t row, int64_t deadline_ms, uint64_t arrival) {
    ASSERT(row < queue->rows_max && queue->place[row] == 0);
    ASSERT(queue->count < queue->rows_max);
    struct deadline entry = {.deadline_ms = deadline_ms, .arrival = arrival, .row = row};
    rise(queue, queue->count++, entry);
}

void deadlines_remove(struct deadlines *queue, uint32_t row) {
    ASSERT(row < queue->rows_max && queue->place[row] != 0);
    uint32_t at = queue->place[row] - 1;
    queue->place[row] = 0;
    struct deadline last = queue->heap[--queue->count];
    if (at == queue->count)
        return;
    if (at > 0 && before(&last, &queue->heap[(at - 1) / 2]))
        rise(queue, at, last);
    else
        sink(queue, at, last);
}

const struct deadline *deadlines_first(const struct deadlines *queue) {
    return queue->count == 0 ? NULL : &queue->heap[0];
}
