/* The format of snapshots, and what a fuzzer needs to sign what it has changed. All numbers
 * little-endian.
 *
 *   file  = HEAD, (TABLE, ROWS*) for each table in order, END
 *   block = u32 kind, u32 payload bytes, payload, 16 bytes digest
 *
 * A block's digest is XXH3-128 over kind, length and payload, seeded with the lower half of the
 * digest of the block before (0 for the first). So every byte is covered, and the last digest
 * vouches for the whole file.
 *
 *   HEAD  = magic [8], u32 format, u32 tables, note
 *   TABLE = name [32], u32 key kind, u32 value bytes, u32 rows, digest of the table [16]
 *   ROWS  = row*, complete rows in order of position
 *   row   = u32 position, u32 key bytes (0: KEY_CHILD, KEY_DENSE), u64 version, key, value
 *   END   = empty; the file ends with it */
#ifndef MODEL_SNAPSHOT_PRIVATE_H
#define MODEL_SNAPSHOT_PRIVATE_H

#include "model/snapshot.h"
#include "model/table_private.h"

#define SNAPSHOT_MAGIC "coldsnap"
#define SNAPSHOT_FORMAT 1u
#define SNAPSHOT_NOTE_BYTES_MAX (1u << 20)

enum block_kind { BLOCK_HEAD = 1, BLOCK_TABLE, BLOCK_ROWS, BLOCK_END };
#define BLOCK_START_BYTES 8u
#define BLOCK_DIGEST_BYTES 16u
#define HEAD_BYTES 16u /* before the note */
#define TABLE_BYTES 60u
#define ROW_START_BYTES 16u

/* A ROWS block ends once it holds this much. */
#define ROWS_BYTES_FULL (256u << 10)
/* The largest block: one that a row short of the mark and then the largest row fill. */
#define BLOCK_BYTES_MAX                                                                            \
    (BLOCK_START_BYTES + ROWS_BYTES_FULL + ROW_START_BYTES + KEY_BYTES_LIMIT + VALUE_BYTES_LIMIT + \
     BLOCK_DIGEST_BYTES)
#define SNAPSHOT_BUFFER_BYTES ((size_t)BLOCK_BYTES_MAX)

/* `block` from its kind to the end of its payload. */
static inline struct digest block_digest(struct bytes block, struct digest before) {
    return digest_of(block.data, block.len, before.lo);
}

#endif
