/* `replay --verify`: recomputes a recording that has manifests and names the first epoch, table and row that differs, or the
 * input that is missing. */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/progress.h"
#include "cli/session.h"

struct verify_result {
    uint64_t epochs; /* found equal */
    bool live;       /* outputs recorded from Kafka: */
    uint64_t rows_compared;
    uint64_t rows_compacted; /* not there any more: overwritten later, and compacted away */
    uint64_t rows_unseen;    /* ... of these: keys that nothing in the recording overwrites */
};

/* `outputs`: the folder with the epochs topic, session->from itself for a recorded live run. FATAL EX_DATAERR at the first difference,
 * EX_CONFIG when this machine's OpenBLAS core type is not the recorded one. */
enum status verify_outputs(struct session *session, const char *outputs, struct progress *progress,
                           struct verify_result *result, struct error *err);
/* The configuration that the outputs were made with, from their first manifest; empty text when they have none. */
enum status verify_config(struct session *session, const char *outputs, char *text, size_t size,
                          struct error *err);
bool record_headers_equal(const struct record *a, const struct record *b);

#endif
