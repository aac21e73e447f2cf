/* A follower of the public topics: settings from the manifests, tables, versions of them, and the driver that folds what comes and makes each epoch visible.
 * include/coldstream is its public face. One thread at a time drives. */
#ifndef FOLLOW_FOLLOW_H
#define FOLLOW_FOLLOW_H

#include "config/settings.h"
#include "follow/versions.h"
#include "model/model.h"

struct follow;

struct follow_config {
    struct settings settings; /* what the manifests do not tell: brokers, topics, limits */
    size_t undo_bytes, staged_bytes;
};
#define FOLLOW_UNDO_BYTES ((size_t)16 << 20)
#define FOLLOW_STAGED_BYTES ((size_t)256 << 20)

/* Counters that other threads read while the driver writes them. */
struct follow_counts {
    _Atomic uint64_t newest_epoch, rows, epochs, resyncs, gaps, repeats, bad_rows, bad_digests;
    _Atomic uint64_t row_bytes, table_bytes, version_bytes; /* as of the last epoch made visible */
    _Atomic double progress;
};

/* FATAL EX_NOINPUT, EX_CONFIG, EX_UNAVAILABLE. `config` is copied; the source is closed with the follower, or at once after a failure. */
struct follow_source;
enum status follow_open(struct follow **out, struct follow_source *source,
                        const struct follow_config *config, struct error *err);
void follow_close(struct follow *follow);

/* Takes what is there, until an epoch becomes visible; waits wait_ms at most for a record. RETRY: the broker is away. FATAL EX_DATAERR: the log does not fold to what
 * its manifests say; EX_CONFIG: the stage goes on with other sizes. */
enum follow_news { FOLLOW_NOTHING, FOLLOW_EPOCH, FOLLOW_END };
enum status follow_step(struct follow *follow, uint32_t wait_ms, enum follow_news *news,
                        struct error *err);
/* Whether everything that the log had at a mark has become visible: ask for a mark, drive, ask. (Any thread.) */
uint64_t follow_mark(struct follow *follow);
bool follow_reached(const struct follow *follow, uint64_t mark);

struct tables *follow_tables(const struct follow *follow);
struct versions *follow_versions(const struct follow *follow);
const struct model_config *follow_model(const struct follow *follow);
const struct follow_counts *follow_counts(const struct follow *follow);

#endif
