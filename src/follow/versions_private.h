/* What the writer's and the readers' half of the versions share. */
#ifndef FOLLOW_VERSIONS_PRIVATE_H
#define FOLLOW_VERSIONS_PRIVATE_H

#include "base/words.h"
#include "follow/key_index.h"
#include "follow/versions.h"

/* A position's word: step << 33 | lives << 32 | unit of the ring where the state before is kept. */
static inline uint64_t word_of(uint64_t step, bool lives, uint32_t unit) {
    return step << 33 | (uint64_t)lives << 32 | unit;
}
static inline uint64_t word_step(uint64_t word) {
    return word >> 33;
}
static inline bool word_lives(uint64_t word) {
    return word >> 32 & 1;
}

/* What is kept of a row, in the ring: this, then the value and the key's slot. Everything is written and read word by word. */
#define UNIT_BYTES 32u
struct kept {
    uint64_t word;  /* the position's before: step, life, and where what was before that is kept */
    uint32_t table; /* NO_ROW: padding up to the ring's end */
    uint32_t row;
    uint32_t units;   /* of the ring, with what follows */
    uint32_t leaving; /* the index still has the key for older views: it goes with this */
    uint32_t hash;    /* its upper half */
    uint32_t step;    /* that has changed it */
};

struct versioned {
    const struct table *table;
    _Atomic uint64_t *
        words; /* [rows_max, word_stride]: those of a table and of its children at one position lie together */
    uint32_t word_stride;
    const unsigned char *values, *keys;
    size_t stride, key_slot; /* key_slot 0: the table has no keys of its own */
    uint32_t rows_max;
    _Atomic uint32_t end;   /* one past the highest position that ever had a row */
    struct key_index index; /* where key_slot > 0 */
    uint64_t key_bytes;     /* of the live rows */
};

struct versions {
    struct arena arena, ring_arena;
    struct tables *set;
    uint32_t table_count;
    struct versioned *tables; /* [table_count] */
    unsigned char *ring;
    uint64_t ring_units;
    uint32_t *notes; /* [STEPS_MAX] struct step_facts, word by word */
    _Atomic uint64_t newest, oldest;
    /* the writer's own */
    uint64_t step;       /* the one that is being made */
    uint64_t tail, head; /* units ever dropped and ever kept */
    uint64_t first_unit; /* of this step */
    bool keeps;          /* false: nothing is visible before this step, or it does not fit */
};

static inline _Atomic uint64_t *word_at(const struct versioned *table, uint32_t row) {
    return table->words + (size_t)row * table->word_stride;
}
static inline const struct versioned *versioned_of(const struct versions *v,
                                                   const struct table *table) {
    return &v->tables[table_number(table)];
}
static inline const unsigned char *unit_at(const struct versions *v, uint64_t unit) {
    return v->ring + unit % v->ring_units * UNIT_BYTES;
}

#endif
