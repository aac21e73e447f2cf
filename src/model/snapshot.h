/* Snapshot: all rows of all tables in one checksummed file, written under a temporary name, fsynced, renamed, folder
 * fsynced. A snapshot only shortens the fold of the log: when it is damaged or absent the log still has everything. */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include "model/table.h"

/* What the caller wants to find again beside the rows: epoch, positions; opaque here, at most 1 MiB. */
enum status snapshot_write(const char *path, const struct tables *set, struct bytes note, struct error *err);

/* Restores into empty tables of the same specs. RETRY when the file is absent; BAD_RECORD when it is damaged,
 * truncated, or of other tables or sizes (err says which and the remedy); the tables are then left empty. `note` is
 * copied into `arena`. */
enum status snapshot_read(const char *path, struct tables *set, struct arena *arena, struct bytes *note,
                          struct error *err);

/* The same from memory, for fuzzing. */
enum status snapshot_decode(struct bytes file, struct tables *set, struct bytes *note, struct error *err);

#endif
