#include "cli/request_counter.h"
#include "base/digest.h"

#define FIRST_SLOTS 4096
#define HASH_SEED 0

static enum status reserve_slots(struct request_counter *counter, uint64_t slots,
                                 struct error *err) {
    counter->hashes = arena_alloc(counter->arena, slots * sizeof *counter->hashes);
    counter->counts = arena_alloc(counter->arena, slots * sizeof *counter->counts);
    if (counter->hashes == NULL || counter->counts == NULL)
        return FAIL(err, FATAL, EX_OSERR, "no memory for more than %llu requests",
                    (unsigned long long)counter->used);
    memset(counter->hashes, 0, slots * sizeof *counter->hashes);
    counter->slots = slots;
    return OK;
}

static uint64_t find_slot(const struct request_counter *counter, uint64_t hash) {
    uint64_t slot = hash & (counter->slots - 1);
    while (counter->hashes[slot] != 0 && counter->hashes[slot] != hash)
        slot = (slot + 1) & (counter->slots - 1);
    return slot;
}

/* Twice the slots; the old ones stay in the arena, which costs as much again in all. */
static enum status grow(struct request_counter *counter, struct error *err) {
    struct request_counter old = *counter;
    TRY(reserve_slots(counter, 2 * old.slots, err));
    for (uint64_t i = 0; i < old.slots; i++) {
        if (old.hashes[i] == 0)
            continue;
        uint64_t slot = find_slot(counter, old.hashes[i]);
        counter->hashes[slot] = old.hashes[i];
        counter->counts[slot] = old.counts[i];
    }
    return OK;
}

enum status request_counter_create(struct request_counter *counter, struct arena *arena,
                                   struct error *err) {
    *counter = (struct request_counter){.arena = arena};
    return reserve_slots(counter, FIRST_SLOTS, err);
}

enum status request_counter_next(struct request_counter *counter, struct bytes request,
                                 int32_t *place, struct error *err) {
    uint64_t hash = hash64(request.data, request.len, HASH_SEED);
    hash += hash == 0;
    if (2 * counter->used >= counter->slots)
        TRY(grow(counter, err));
    uint64_t slot = find_slot(counter, hash);
    if (counter->hashes[slot] == 0) {
        counter->hashes[slot] = hash;
        counter->counts[slot] = 0;
        counter->used++;
    }
    *place = counter->counts[slot]++;
    return OK;
}
