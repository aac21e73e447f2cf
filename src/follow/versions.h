/* Versions: tables that one thread changes step by step while others read the state after any step that is still in memory.
 *
 * There is one copy of the rows, the tables' own. Each position of a table has a word: the step that changed it last, whether a row lives there, and
 * where its old state is kept. Before the writer changes a row for the first time in a step it keeps the old state in a ring (undo), then stores the word,
 * then changes the row; a step becomes visible when `newest` is stored. A reader of step V
 *   - finds a word of a step <= V: copies the row, and takes it if the word is still the same; otherwise
 *   - follows the kept states back to the one that was there at V, copies it, and takes it if the ring has not come round to it meanwhile.
 * So a reader never waits for the writer and never takes a lock; it copies again when the row changed under it. A step that the ring has come round to is stale.
 *
 * Writer: one thread. Readers: any. */
#ifndef FOLLOW_VERSIONS_H
#define FOLLOW_VERSIONS_H

#include "model/table.h"
#include <stdatomic.h>

struct versions;

/* What is known of a visible step. Fixed size, a multiple of 4. */
struct step_facts {
    uint64_t step; /* 1, 2, ... */
    uint64_t epoch;
    int64_t timestamp_ms;
    int64_t watermark_ms;
    uint64_t items;
    uint32_t generation;
    uint32_t codebook_version;
    uint32_t whole; /* every row that the step changed is known (versions_changes) */
    uint32_t reserved;
    uint64_t first_unit, end_unit; /* what it has kept, in the ring */
};
#define STEPS_MAX 4096u /* steps that are known at most */

enum seen { SEEN_LIVE, SEEN_ABSENT, SEEN_STALE };

/* Watches the set, which is empty and has all its tables. undo_bytes: of the ring. */
enum status versions_create(struct versions **out, struct tables *set, size_t undo_bytes,
                            struct error *err);
void versions_destroy(struct versions *versions);

/* ---- the writer ---- */
/* What has changed since the last step is whole: it becomes visible. Fills step, whole and the units of *facts. */
void versions_publish(struct versions *versions, struct step_facts *facts);

/* ---- readers ---- */
uint64_t versions_newest(const struct versions *versions); /* 0: none yet */
/* Older steps are stale. More than newest while there is nothing to read. */
uint64_t versions_oldest(const struct versions *versions);
enum seen versions_facts(const struct versions *versions, uint64_t step, struct step_facts *out);

bool versions_live(const struct versions *versions, uint64_t step, const struct table *table,
                   uint32_t row);
/* The row's value [value_bytes] into out, aligned to 4. Positions past rows_max are absent. */
enum seen versions_value(const struct versions *versions, uint64_t step, const struct table *table,
                         uint32_t row, void *out);
/* Its key as published (a child's is its parent's) into out [KEY_BYTES_LIMIT or more], 4-aligned. */
enum seen versions_key(const struct versions *versions, uint64_t step, const struct table *table,
                       uint32_t row, void *out, uint32_t *key_bytes);
/* Position of the row of a KEY_STRING or KEY_U64 table, or of a child's parent; NO_ROW, or SEEN_STALE. hash: versions_hash(key). */
enum seen versions_find(const struct versions *versions, uint64_t step, const struct table *table,
                        struct bytes key, uint64_t hash, uint32_t *row);
uint64_t versions_hash(struct bytes key);
/* Brings what versions_find and then versions_value will read nearer: first the index, then, once that is near, what stands at the position it names. */
void versions_near_index(const struct versions *versions, const struct table *table, uint64_t hash);
uint32_t versions_near_rows(const struct versions *versions, const struct table *table,
                            uint64_t hash);
void versions_near_value(const struct versions *versions, const struct table *table, uint32_t row);
/* One past the highest position that ever had a row. */
uint32_t versions_end(const struct versions *versions, const struct table *table);

/* Positions of the table that the step changed, each once: at most max of *found. SEEN_ABSENT: not known. */
enum seen versions_changes(const struct versions *versions, uint64_t step,
                           const struct table *table, uint32_t *rows, uint32_t max,
                           uint32_t *found);

/* Keys and values of the live rows that have records. (The writer.) */
uint64_t versions_row_bytes(const struct versions *versions);
/* Bytes of words, indexes and ring in use. */
uint64_t versions_memory(const struct versions *versions);

#endif
