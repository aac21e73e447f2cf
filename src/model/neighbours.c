#include "model/neighbours.h"

#include "math/simd.h"
#include <math.h>
#include <string.h>

#include "base/poison.h"

/* Cells looked at for one reach. Where that many do not hold NEIGHBOURS items, the reach is that of the last. */
#define CELLS_VISITED_MAX 256u

struct neighbours {
    uint32_t books[OPQ_CODES];
    float *distance[OPQ_CODES]; /* [K, K] squared, between the centroids of one book */
    uint16_t *order[OPQ_CODES]; /* [K, K] row k: codes by rising distance from k */
    uint32_t *items;            /* [K_1 K_2] items in the cell */
    float *reach;               /* [K_1 K_2] valid where the stamp is current */
    uint32_t *stamp;            /* [K_1 K_2] */
    uint32_t now;               /* changes with every change of `items` */
};

enum status neighbours_create(struct neighbours **out, const uint32_t books[OPQ_CODES],
                              struct arena *arena, struct error *err) {
    struct neighbours *n = arena_must(arena, sizeof *n);
    *n = (struct neighbours){.now = 1};
    for (int m = 0; m < OPQ_CODES; m++) {
        size_t codes = n->books[m] = books[m];
        if (codes > NEIGHBOUR_CODES_MAX)
            return FAIL(err, FATAL, EX_CONFIG,
                        "tokenizer.books: the OPQ contrast works with books of at most %u codes, "
                        "not %zu: take fewer, or set model.contrast_weight to 0",
                        NEIGHBOUR_CODES_MAX, codes);
        n->distance[m] = arena_must(arena, codes * codes * sizeof(float));
        n->order[m] = arena_must(arena, codes * codes * sizeof(uint16_t));
    }
    size_t cells = (size_t)books[0] * books[1];
    n->items = arena_must(arena, cells * sizeof *n->items);
    n->reach = arena_must(arena, cells * sizeof *n->reach);
    n->stamp = arena_must(arena, cells * sizeof *n->stamp);
    memset(n->items, 0, cells * sizeof *n->items);
    memset(n->stamp, 0, cells * sizeof *n->stamp);
    *out = n;
    return OK;
}

static float square_distance(const float *a, const float *b, uint32_t width) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < width; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* order [codes]: by rising distance, ties by code. Insertion: books are small and this is done once a codebook. */
static void sort_codes(const float *distance, uint32_t codes, uint16_t *order) {
    for (uint32_t c = 0; c < codes; c++) {
        uint32_t place = c;
        for (; place > 0 && distance[order[place - 1]] > distance[c]; place--)
            order[place] = order[place - 1];
        order[place] = (uint16_t)c;
    }
}

void neighbours_start(struct neighbours *n, const float *const books[OPQ_CODES], uint32_t width) {
    for (int m = 0; m < OPQ_CODES; m++) {
        uint32_t codes = n->books[m];
        for (uint32_t a = 0; a < codes; a++) {
            float *row = n->distance[m] + (size_t)a * codes;
            for (uint32_t b = 0; b < codes; b++)
                row[b] = square_distance(books[m] + (size_t)a * width, books[m] + (size_t)b * width,
                                         width);
            sort_codes(row, codes, n->order[m] + (size_t)a * codes);
        }
    }
    memset(n->items, 0, (size_t)n->books[0] * n->books[1] * sizeof *n->items);
    n->now++;
}

static size_t cell_of(const struct neighbours *n, const uint16_t codes[SID_CODES]) {
    return (size_t)codes[RQ_LEVELS] * n->books[1] + codes[RQ_LEVELS + 1];
}

void neighbours_count(struct neighbours *n, const uint16_t codes[SID_CODES], int change) {
    n->items[cell_of(n, codes)] += (uint32_t)change;
    n->now++;
}

/* A place in the two orders of codes around a cell, as a heap of the nearest first. */
struct place {
    float distance;
    uint32_t at[OPQ_CODES];
};
struct heap {
    struct place places[2 * CELLS_VISITED_MAX + 1];
    uint32_t count;
};

static void heap_push(struct heap *h, struct place place) {
    uint32_t i = h->count++;
    for (; i > 0 && place.distance < h->places[(i - 1) / 2].distance; i = (i - 1) / 2)
        h->places[i] = h->places[(i - 1) / 2];
    h->places[i] = place;
}

static struct place heap_pop(struct heap *h) {
    struct place top = h->places[0], last = h->places[--h->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < h->count && h->places[child + 1].distance < h->places[child].distance)
            child++;
        if (child >= h->count || h->places[child].distance >= last.distance)
            break;
        h->places[i] = h->places[child];
        i = child;
    }
    h->places[i] = last;
    return top;
}

/* Cells around (a, b) by rising distance: every pair of places is reached from one of its two predecessors, once. */
static float find_reach(const struct neighbours *n, uint32_t a, uint32_t b) {
    const float *distance[] = {n->distance[0] + (size_t)a * n->books[0],
                               n->distance[1] + (size_t)b * n->books[1]};
    const uint16_t *order[] = {n->order[0] + (size_t)a * n->books[0],
                               n->order[1] + (size_t)b * n->books[1]};
    struct heap heap = {.count = 0};
    float reach = 0.0f;
    heap_push(&heap, (struct place){0.0f, {0, 0}});
    uint32_t found = 0;
    for (uint32_t visited = 0; visited < CELLS_VISITED_MAX && heap.count > 0; visited++) {
        struct place p = heap_pop(&heap);
        found += n->items[(size_t)order[0][p.at[0]] * n->books[1] + order[1][p.at[1]]];
        reach = p.distance;
        if (found > NEIGHBOURS) /* the item itself is one of those found */
            break;
        for (int m = 0; m < OPQ_CODES; m++) {
            struct place next = p;
            if ((m == 0 && p.at[1] > 0) || ++next.at[m] >= n->books[m])
                continue;
            next.distance = distance[0][order[0][next.at[0]]] + distance[1][order[1][next.at[1]]];
            heap_push(&heap, next);
        }
    }
    return reach;
}

static float reach_of(struct neighbours *n, const uint16_t codes[SID_CODES]) {
    size_t cell = cell_of(n, codes);
    if (n->stamp[cell] != n->now) {
        n->reach[cell] = find_reach(n, codes[RQ_LEVELS], codes[RQ_LEVELS + 1]);
        n->stamp[cell] = n->now;
    }
    return n->reach[cell];
}

static SIMD_CLONES void mark_within(uint32_t count, const uint16_t (*codes)[SID_CODES],
                                    const float *first, const float *second, float reach,
                                    uint8_t *restrict positive) {
    for (uint32_t j = 0; j < count; j++)
        positive[j] = first[codes[j][RQ_LEVELS]] + second[codes[j][RQ_LEVELS + 1]] <= reach;
}

void neighbours_among(struct neighbours *n, const uint16_t (*codes)[SID_CODES], uint32_t count,
                      uint8_t *positive) {
    for (uint32_t i = 0; i < count; i++) {
        const float *first = n->distance[0] + (size_t)codes[i][RQ_LEVELS] * n->books[0],
                    *second = n->distance[1] + (size_t)codes[i][RQ_LEVELS + 1] * n->books[1];
        mark_within(count, codes, first, second, reach_of(n, codes[i]),
                    positive + (size_t)i * count);
        positive[(size_t)i * count + i] = 0;
    }
}
