/* A follower: tables that go after a stage's output log, epoch by epoch. One code for restart, standby and whoever serves from the outputs.
 *
 * It knows no transport: it is given rows, positions and manifests as they come, partitions in any order, each in its own order.
 * Two ways of folding:
 *  - exact: the set is the state after an epoch. The next epoch's rows are staged, and folded at once when its manifest is there and every
 *    partition has reached its end in it; every digest must then be the manifest's
 *  - catching up, at the beginning and whenever what has to be staged outgrows its memory, or compaction has taken rows or retention manifests before they were read: rows are folded as
 *    they come (compacted.h), up to the ends of a manifest that no row seen is past (the target); when all partitions have
 *    reached them and the digests are the manifest's, the set is exact. If they are not, compaction may have been at work between:
 *    the next manifest becomes the target.
 * Only an exact set may be looked at. */
#ifndef APPLY_FOLLOWER_H
#define APPLY_FOLLOWER_H

#include "apply/fold.h"

struct follower;

/* Of `partitions` output partitions, numbered as the caller likes. staged_bytes_max: memory for rows of epochs that are not whole yet. */
enum status follower_create(struct follower **out, struct tables *set, uint32_t partitions,
                            size_t staged_bytes_max, struct error *err);
void follower_destroy(struct follower *follower);
/* Begins, or begins anew, with what the set has: the state after an epoch, and records come from its ends on; or nothing, and records come from the
 * beginnings. It is exact only after the first target. */
void follower_begin(struct follower *follower);

/* Called whenever the set has become the state after an epoch, digests compared, before anything more is folded: the one moment at which every epoch can be
 * looked at. */
void follower_on_exact(struct follower *follower, void (*exact)(void *self, uint64_t epoch),
                       void *self);

/* The record at this offset. `row` is copied where it must wait. BAD_RECORD: it does not fit its table; begin anew. */
enum status follower_row(struct follower *follower, uint32_t partition, int64_t offset,
                         uint64_t epoch, const struct folded_row *row, struct error *err);
/* All records before this offset of the partition have been given, or there are none. */
void follower_reached(struct follower *follower, uint32_t partition, int64_t offset);
/* ends: one past each partition's last record of the epoch, [partitions]. One that is not newer than another given before is left alone. BAD_RECORD as
 * above. */
enum status follower_manifest(struct follower *follower, uint64_t epoch, const int64_t *ends,
                              wanted_digest *wanted, void *self, struct error *err);
/* Folds what is whole by now. BAD_RECORD as above. */
enum status follower_advance(struct follower *follower, struct error *err);

struct follower_state {
    bool exact;
    uint64_t epoch;  /* exact: of the state; else of the target, 0 while there is none */
    uint64_t newest; /* epoch of the newest manifest */
    const char *
        differs; /* the target is reached and this table is not what its manifest says: begin anew, unless a newer manifest comes */
    uint64_t rows; /* folded since the beginning */
    size_t staged_bytes;
};
void follower_state(const struct follower *follower, struct follower_state *out);

#endif
