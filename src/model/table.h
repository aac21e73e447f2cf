/* Tables: all state is rows `(table, key) -> {version, fixed-width value}`. One engine gives every row look-up, a dirty
 * set, undo of the open epoch, a digest, snapshot and restore (model/snapshot.h).
 *
 * A row has a *position* (0 .. rows_max-1), its place in the value array. A position is stable while the row lives, is
 * part of what is published and restored, and a new row always takes the lowest free one: so the positions are a
 * function of the rows alone, and values may hold positions of other tables' rows.
 *
 * Values of one table lie back to back (stride = value_bytes, no header between them): a kernel may take
 * table_values() as a dense matrix [rows_max, value_bytes / 4].
 *
 * Life of an epoch: table_edit/insert/remove ... -> tables_seal() (digests kept current, dirty set final) -> read the
 * dirty rows for publishing -> tables_commit(), or tables_rollback() to the state before the first edit.
 * A row's version goes up by one in every epoch that changes it and starts at 1. A key that is removed and inserted
 * again goes on from its old version in the same epoch, wherever it lives then, and starts at 1 in a later one.
 *
 * What breaks this contract (editing a row that is not live, inserting a key twice, ...) is a programmer's error and
 * aborts; what depends on input or configuration (a key's length, a full table) is an error that is returned. */
#ifndef MODEL_TABLE_H
#define MODEL_TABLE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/digest.h"
#include <stdint.h>

#define NO_ROW UINT32_MAX

enum key_kind {
    KEY_STRING, /* 1 .. key_bytes_max bytes, any content; hash index */
    KEY_U64,    /* a 64-bit integer; hash index; published as 8 bytes big-endian */
    KEY_DENSE,  /* key == position; no index; published as 8 bytes big-endian */
    KEY_CHILD /* shares key and position with a row of `parent`, which is not a KEY_CHILD itself; no index */
};

/* Which topic a table's rows are published to. TO_NOTHING: none; a follower of the public topics has the parent's rows from its children (apply/fold.h): they
 * are restored, have a key, and neither value, version nor digest. */
enum table_output { TO_DELTAS, TO_CHANGELOG, TO_SEMANTIC_IDS, TO_CODEBOOKS, TO_NOTHING };

struct table;

struct table_spec {
    const char *name; /* unique, at most 31 characters; a contract on the wire */
    enum key_kind key_kind;
    enum table_output output;
    struct table *parent;   /* KEY_CHILD only */
    uint32_t key_bytes_max; /* KEY_STRING only; at most 1024 */
    uint32_t value_bytes;   /* > 0, a multiple of 4, at most 16 MiB */
    uint32_t rows_max;
};

/* The set of all tables of one stage, in the order in which they were added. */
struct tables;

/* The set owns its memory (one arena per table, reserved here). tables_destroy releases it. */
enum status tables_create(struct tables **out, struct error *err);
void tables_destroy(struct tables *set);
/* FATAL when the name repeats, a size is beyond its limit or the address space cannot be reserved. A table is added
 * after its parent. */
enum status tables_add(struct tables *set, const struct table_spec *spec, struct table **out,
                       struct error *err);
uint32_t tables_count(const struct tables *set);
struct table *tables_at(const struct tables *set, uint32_t index);
struct table *tables_named(const struct tables *set, struct bytes name); /* NULL when absent */

/* Who is told of rows that are put back or taken out (everything below "Restoring"), in the thread that does it: before value, key or life of the row at a
 * position change, and after. Values and keys change word by word (base/words.h), so that other threads may read them meanwhile: follow/versions.h.
 * Not told of edits: such a set has none. */
struct table_watch {
    void *self;
    void (*before)(void *self, const struct table *table, uint32_t row);
    void (*after)(void *self, const struct table *table, uint32_t row);
};
void tables_watch(struct tables *set, const struct table_watch *watch);

const struct table_spec *table_spec(const struct table *table);
uint32_t table_number(const struct table *table); /* tables_at() of it is the table */
uint32_t table_rows(const struct table *table);   /* live rows */
uint32_t table_end(const struct table *table); /* one past the highest live position: for scans */

/* NO_ROW when absent. For KEY_CHILD look the parent up and use its position. */
uint32_t table_find(const struct table *table, struct bytes key);
uint32_t table_find_u64(const struct table *table, uint64_t key);
bool table_live(const struct table *table, uint32_t row);

/* The key as published (KEY_U64 and KEY_DENSE: 8 bytes big-endian into `scratch`). Borrowed until the row goes. */
struct bytes table_key(const struct table *table, uint32_t row, uint8_t scratch[8]);
uint64_t table_key_u64(const struct table *table, uint32_t row);
/* Of a live row, as of the last seal; 0 for one inserted since. */
uint64_t table_version(const struct table *table, uint32_t row);

/* The value of a live row. */
const void *table_value(const struct table *table, uint32_t row);
/* The whole value array [rows_max * value_bytes]; only live rows mean anything. */
void *table_values(const struct table *table);

/* The keys of a KEY_STRING (u32 length, bytes, zeros) or KEY_U64 (big end first) table [rows_max][*slot_bytes]; NULL for others. */
const void *table_keys(const struct table *table, size_t *slot_bytes);
/* No child has a row at this position. */
bool table_childless(const struct table *table, uint32_t row);

/* A new row with a zero value; it must be absent. FATAL (EX_CONFIG) when rows_max is reached, naming the table
 * and the limit; BAD_RECORD when the key's length does not fit. Nothing changes then. KEY_DENSE: key is the position.
 * KEY_CHILD: use table_insert_child. */
enum status table_insert(struct table *table, struct bytes key, uint32_t *row, struct error *err);
enum status table_insert_u64(struct table *table, uint64_t key, uint32_t *row, struct error *err);
enum status table_insert_child(struct table *table, uint32_t parent_row, struct error *err);

/* The value for writing: remembers the old value (once per epoch), marks the row dirty. */
void *table_edit(struct table *table, uint32_t row);

/* Takes a live row out; children of a row must be taken out before it. */
void table_remove(struct table *table, uint32_t row);

/* Restoring (no epoch may be open): puts a row as it was published at its position, as new or over what stood there;
 * value == NULL removes it, if it is there (position and version do not count then). BAD_RECORD when key, position,
 * length, version or parent do not fit. Not undoable, not dirty, digest kept current.
 * The log's order decides, not the version. A row that has lived elsewhere moves; another row that held the position
 * goes, since its own record, a newer place or a tombstone, belongs to the same epoch; children go with their row. So
 * the records of one table and epoch may come in any order, but a KEY_CHILD's rows must come after its parent's. */
enum status table_restore(struct table *table, struct bytes key, uint32_t position,
                          uint64_t version, struct bytes value, struct error *err);

/* The three parts of restoring from a log whose partitions come in any order, so that a child may come before its parent
 * and outlive it: for apply/compacted.h, which keeps the account and leaves no child without its parent.
 * table_place: as table_restore with a value, but a KEY_CHILD row needs no parent, and the children of a row that goes or moves stay where
 * they are. The digest of a KEY_CHILD row counts from table_settle on, when the parent that has its key stands at its position.
 * table_take: a live row goes, without its children. table_unsettle: the digest counts no more. */
enum status table_place(struct table *table, struct bytes key, uint32_t position, uint64_t version,
                        struct bytes value, struct error *err);
void table_settle(struct table *child, uint32_t row);
void table_unsettle(struct table *child, uint32_t row);
void table_take(struct table *table, uint32_t row);

/* Takes all rows out of all tables, as if newly created. No open epoch. */
void tables_clear(struct tables *set);

/* Ends the epoch's writing: versions and digests of all dirty rows are brought up to date. No edit until commit or
 * rollback. */
void tables_seal(struct tables *set);
/* The rows changed in this epoch (inserted, edited or removed), each once, in order of position. Valid between seal and commit.
 * A removed row has table_live() == false; its key stays readable until commit. A row inserted and removed in the
 * same epoch is left out; one removed and inserted again counts as live. */
uint32_t table_dirty_count(const struct table *table);
uint32_t table_dirty_at(const struct table *table, uint32_t index);
/* When a position changed hands in this epoch: the key that was removed there (a tombstone is due for it). A key that
 * was removed and lives again, here or elsewhere, is no longer removed: it is neither here nor a removed row above. */
uint32_t table_removed_count(const struct table *table);
struct bytes table_removed_key(const struct table *table, uint32_t index, uint8_t scratch[8]);
void tables_commit(struct tables *set);
void tables_rollback(struct tables *set); /* before or after seal */

/* Sum modulo 2^128 over live rows of XXH3-128 of (XXH3-128 of the value, u64 version, u32 position, u32 key length, key
 * as published), little-endian: independent of the order of events. As of the last seal. */
struct digest table_digest(const struct table *table);
/* Digest of all (digest, name) pairs, tables in order. */
struct digest tables_digest(const struct tables *set);

/* Bytes of memory in use by keys, values, versions, index and undo of this table. */
uint64_t table_memory(const struct table *table);

/* Checks every internal invariant (index <-> rows, free positions, digest recomputed from the rows); for tests and after
 * restore. FATAL with the first one broken. */
enum status table_validate(const struct table *table, struct error *err);

#endif
