/* What the files of the table engine share:
 *   table.c          the set of tables, look-up and access
 *   table_index.c    keys, hash index, live rows and free positions
 *   table_epoch.c    insert, edit, remove; seal, commit, rollback
 *   table_restore.c  rows put back from outside; digests, validation
 *
 * The open epoch of a table is three things:
 *   touched   one entry per position that was edited, inserted or removed, in order of the first
 *             touch; beside it the old value when a row lived there. Its position's bit in `dirty`
 *             says that it is in the list.
 *   fresh     one bit per position: the row that lives there was inserted in this epoch; means
 *             nothing for a row that is not live.
 *   departed  one entry per row that lived when the epoch began and was removed since, with its key
 *             and version: its position may have a new owner, and its key may live elsewhere. */
#ifndef MODEL_TABLE_PRIVATE_H
#define MODEL_TABLE_PRIVATE_H

#include "model/table.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are published as they lie in memory, and the wire's floats are little-endian"
#endif

#define TABLES_MAX 256
#define TABLE_NAME_BYTES 32
#define KEY_BYTES_LIMIT 1024u
#define VALUE_BYTES_LIMIT (16u << 20)

struct touched {
    uint32_t row;
    uint32_t was_live;    /* when the epoch began */
    uint64_t old_version; /* this and old_digest are filled by seal */
    struct digest old_digest;
};

struct departed {
    uint64_t version;
    uint32_t row;
};

enum table_arena {
    ARENA_VALUES,
    ARENA_VERSIONS,
    ARENA_DIGESTS,
    ARENA_KEYS,
    ARENA_INDEX,
    ARENA_FLAGS,
    ARENA_TOUCHED,
    ARENA_OLD_VALUES,
    ARENA_DEPARTED,
    ARENA_LISTS,
    TABLE_ARENAS
};

struct table {
    struct table_spec spec;
    char name[TABLE_NAME_BYTES]; /* zero-padded; spec.name points here */
    uint32_t number;
    struct tables *set;
    const struct table *root; /* has the keys: the parent of a KEY_CHILD, else this table */
    struct table *first_child, *next_child;

    size_t stride;   /* spec.value_bytes */
    size_t key_slot; /* bytes per key of the root; 0: KEY_DENSE */
    unsigned char *values;
    unsigned char *keys; /* [rows_max][key_slot]; KEY_STRING: u32 length, bytes; KEY_U64: 8 bytes */
    uint64_t *versions;
    struct digest *digests;

    uint64_t *live;     /* bit per position */
    uint64_t *full;     /* bit per word of `live`: no free position in it */
    uint64_t *dirty;    /* bit per position */
    uint64_t *fresh;    /* bit per position */
    uint32_t free_hint; /* no free position in words of `full` below this one */
    uint32_t rows;
    uint32_t end;
    uint32_t end_peak;

    uint64_t *index;      /* upper half of the key's hash << 32 | row + 1; 0: empty */
    uint64_t index_slots; /* a power of two, in use */
    uint64_t index_slots_max;

    struct touched *touched;
    unsigned char *old_values; /* [touched][stride] */
    uint32_t touched_count, touched_peak;
    uint32_t touched_low, touched_high; /* lowest and highest position touched */
    struct departed *departed;
    unsigned char *departed_keys; /* [departed][key_slot] */
    uint32_t departed_count, departed_peak;
    uint32_t *dirty_rows, *removed; /* made by seal: positions; indices of `departed` */
    uint32_t dirty_count, removed_count;

    struct digest digest, digest_before; /* as of the last seal, and before it */
    struct arena arenas[TABLE_ARENAS];
};

struct tables {
    struct arena arena;
    struct table *at[TABLES_MAX];
    uint32_t count;
    bool sealed;
    struct table_watch watch; /* functions NULL: nobody */
    uint64_t touched;         /* in all tables: an epoch is open when > 0 */
    unsigned char *buffer;    /* of snapshots: SNAPSHOT_BUFFER_BYTES */
};

/* ---- bits ---- */
static inline bool bit_get(const uint64_t *bits, uint32_t i) {
    return bits[i / 64] >> (i % 64) & 1;
}
static inline void bit_set(uint64_t *bits, uint32_t i) {
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void bit_clear(uint64_t *bits, uint32_t i) {
    bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}
static inline uint32_t words_for(uint32_t bits) {
    return bits / 64 + (bits % 64 != 0);
}

static inline unsigned char *value_at(const struct table *table, uint32_t row) {
    return table->values + (size_t)row * table->stride;
}

/* ---- table_index.c ---- */
static inline bool key_is_hashed(const struct table *table) {
    return table->spec.key_kind == KEY_STRING || table->spec.key_kind == KEY_U64;
}
/* The key that lies in a slot of the table's own or departed keys; not for a KEY_DENSE root. */
struct bytes slot_key(const struct table *table, const unsigned char *slot);
/* The key of the row at a position, live or just removed. */
struct bytes row_key(const struct table *table, uint32_t row, uint8_t scratch[8]);
/* True when the key's length is one that the table (or its parent) can hold. */
bool key_fits(const struct table *table, struct bytes key);
uint64_t key_hash(struct bytes key);
uint32_t index_find(const struct table *table, uint64_t hash, struct bytes key);
/* Room for one more row than there are. */
void index_grow(struct table *table);
/* The key is in its slot, and not in the index yet. */
void index_insert(struct table *table, uint64_t hash, uint32_t row);
void index_remove(struct table *table, uint32_t row);
void key_store(struct table *table, uint32_t row, struct bytes key);
/* There must be one. */
uint32_t lowest_free(struct table *table);
void set_live(struct table *table, uint32_t row);
void clear_live(struct table *table, uint32_t row);

/* ---- table_restore.c ---- */
struct digest row_digest(const struct table *table, uint32_t row);
/* table_restore for a KEY_CHILD row whose parent lives at `position`: the key need not be looked
 * up. */
enum status table_restore_child(struct table *table, uint32_t position, uint64_t version,
                                struct bytes value, struct error *err);

#endif
