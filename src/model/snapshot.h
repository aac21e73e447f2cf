/* Snapshot: all rows of all tables in one checksummed file, written under a temporary name, fsynced, renamed, folder
 * fsynced. A snapshot only shortens the fold of the log: when it is damaged or absent the log still has everything. */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include "model/table.h"

/* `note` is what the caller wants to find again beside the rows: epoch, positions; opaque here, at most 1 MiB. No epoch
 * may be open. FATAL when the file cannot be written (base/file.h has the exit codes); an old snapshot then stays. */
enum status snapshot_write(const char *path, const struct tables *set, struct bytes note,
                           struct error *err);

/* Restores into empty tables of the same names, key kinds and value sizes, with limits that hold the rows. RETRY when the
 * file is absent; BAD_RECORD when it is damaged, truncated, cannot be read to its end, or is of other tables or sizes (err
 * says which and the remedy); FATAL when it cannot be opened. On failure the tables are left empty. Nothing is applied
 * before the whole file's digests have been checked. `note` is copied into `arena`. */
enum status snapshot_read(const char *path, struct tables *set, struct arena *arena,
                          struct bytes *note, struct error *err);

/* The same from memory, for fuzzing; `note` points into `file`. */
enum status snapshot_decode(struct bytes file, struct tables *set, struct bytes *note,
                            struct error *err);

#endif
