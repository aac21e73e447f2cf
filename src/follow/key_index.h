/* Keys to positions, for readers beside one writer: an open-addressing table of (upper half of the hash, position + 1), each entry one atomic word.
 *
 * It answers with candidates: the reader holds the key against the row at the position. An entry outlives its row for as long as an older view may
 * ask for it, so one key may have several entries. When it gets full it is built again in the other of two places; a reader that was inside may then miss
 * what is there, so a miss counts only when `places` has not changed meanwhile. */
#ifndef FOLLOW_KEY_INDEX_H
#define FOLLOW_KEY_INDEX_H

#include "base/arena.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct key_place {
    _Atomic uint64_t mask;   /* slots - 1 */
    _Atomic uint64_t *slots; /* [mask + 1] */
    struct arena arena;
};

struct key_index {
    struct key_place places[2];
    _Atomic uint32_t place;    /* the one to read */
    _Atomic uint32_t rebuilds; /* begun: the other place is not what it was */
    uint64_t entries, used;    /* used: with those taken out */
};

enum status key_index_create(struct key_index *index, const char *name, uint64_t entries_max,
                             struct error *err);
void key_index_destroy(struct key_index *index);
/* More than entries_max at a time are a programmer's error. */
void key_index_add(struct key_index *index, uint64_t hash, uint32_t row);
/* One entry of this pair, which must be there. */
void key_index_remove(struct key_index *index, uint64_t hash, uint32_t row);
uint64_t key_index_memory(const struct key_index *index);

/* ---- readers ---- */
struct key_probe {
    const struct key_place *place;
    uint64_t slot, hash;
    uint32_t rebuilds;
};
static inline void key_probe_begin(const struct key_index *index, uint64_t hash,
                                   struct key_probe *probe) {
    probe->rebuilds = atomic_load_explicit(&index->rebuilds, memory_order_acquire);
    probe->place = &index->places[atomic_load_explicit(&index->place, memory_order_acquire)];
    probe->hash = hash;
    probe->slot = hash >> 32;
}
/* The next candidate; false: no more. */
static inline bool key_probe_next(struct key_probe *probe, uint32_t *row) {
    uint64_t mask = atomic_load_explicit(&probe->place->mask, memory_order_relaxed);
    for (uint64_t i = 0; i <= mask; i++) {
        uint64_t entry =
            atomic_load_explicit(&probe->place->slots[probe->slot++ & mask], memory_order_acquire);
        if (entry == 0)
            return false;
        if (entry >> 32 == probe->hash >> 32 && (uint32_t)entry != UINT32_MAX) {
            *row = (uint32_t)entry - 1;
            return true;
        }
    }
    return false;
}
/* After a miss: whether it counts. */
static inline bool key_probe_holds(const struct key_index *index, const struct key_probe *probe) {
    return atomic_load_explicit(&index->rebuilds, memory_order_acquire) == probe->rebuilds;
}

#endif
