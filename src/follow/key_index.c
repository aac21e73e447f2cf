#include "follow/key_index.h"

#include <sys/mman.h>

#include "base/poison.h"

#define SLOTS_FIRST 64u
#define TAKEN_OUT UINT32_MAX /* hash and position of an entry that is no more */

/* At most five eighths full when it is built; it is built again when it is three quarters full. */
static uint64_t slots_for(uint64_t entries) {
    uint64_t slots = SLOTS_FIRST;
    while (slots * 5 < entries * 8)
        slots *= 2;
    return slots;
}

enum status key_index_create(struct key_index *index, const char *name, uint64_t entries_max,
                             struct error *err) {
    size_t bytes = slots_for(entries_max + 1) * sizeof(uint64_t);
    *index = (struct key_index){0};
    for (int i = 0; i < 2; i++) {
        struct key_place *place = &index->places[i];
        TRY(arena_reserve(&place->arena, name, bytes, err));
        place->slots = arena_must(&place->arena, bytes);
        place->mask = SLOTS_FIRST - 1;
    }
    return OK;
}

void key_index_destroy(struct key_index *index) {
    for (int i = 0; i < 2; i++)
        arena_release(&index->places[i].arena);
}

/* Into the first slot that is free; true when it was never used. */
static bool put(struct key_place *place, uint64_t entry) {
    uint64_t mask = place->mask, slot = entry >> 32 & mask;
    for (;; slot = (slot + 1) & mask) {
        uint64_t there = atomic_load_explicit(&place->slots[slot], memory_order_relaxed);
        if (there == 0 || (uint32_t)there == TAKEN_OUT) {
            atomic_store_explicit(&place->slots[slot], entry, memory_order_release);
            return there == 0;
        }
    }
}

/* Everything into the other place, at most five eighths full. A reader may still be in that one from before; it will see that `rebuilds` is another. */
static void rebuild(struct key_index *index) {
    uint32_t old = index->place;
    struct key_place *from = &index->places[old], *to = &index->places[1 - old];
    uint64_t slots = slots_for(index->entries + 1);
    ASSERT(slots * sizeof(uint64_t) <= to->arena.reserved);
    atomic_fetch_add(&index->rebuilds, 1);
    for (uint64_t i = 0; i < slots; i++)
        atomic_store_explicit(&to->slots[i], 0, memory_order_release);
    atomic_store_explicit(&to->mask, slots - 1, memory_order_release);
    for (uint64_t i = 0; i <= from->mask; i++) {
        uint64_t entry = atomic_load_explicit(&from->slots[i], memory_order_relaxed);
        if (entry != 0 && (uint32_t)entry != TAKEN_OUT)
            put(to, entry);
    }
    index->used = index->entries;
    atomic_store_explicit(&index->place, 1 - old, memory_order_release);
    atomic_fetch_add(&index->rebuilds, 1);
    madvise(from->arena.base, from->arena.reserved, MADV_DONTNEED); /* reads as empty from now on */
}

void key_index_add(struct key_index *index, uint64_t hash, uint32_t row) {
    struct key_place *place = &index->places[index->place];
    if ((index->used + 1) * 4 > (place->mask + 1) * 3) {
        rebuild(index);
        place = &index->places[index->place];
    }
    index->used += put(place, (hash >> 32) << 32 | (row + 1));
    index->entries++;
}

void key_index_remove(struct key_index *index, uint64_t hash, uint32_t row) {
    struct key_place *place = &index->places[index->place];
    uint64_t entry = (hash >> 32) << 32 | (row + 1), mask = place->mask, slot = hash >> 32 & mask;
    for (;; slot = (slot + 1) & mask) {
        uint64_t there = atomic_load_explicit(&place->slots[slot], memory_order_relaxed);
        ASSERT(there != 0);
        if (there == entry)
            break;
    }
    atomic_store_explicit(&place->slots[slot], (uint64_t)TAKEN_OUT << 32 | TAKEN_OUT,
                          memory_order_release);
    index->entries--;
}

uint64_t key_index_memory(const struct key_index *index) {
    return (index->places[index->place].mask + 1) * sizeof(uint64_t);
}
