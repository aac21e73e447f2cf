/* Public data sets -> recorded topics (DESIGN section 7): what cmd_import.c asks for. */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "base/error.h"
#include <stdint.h>

#define IMPORT_MAPS_MAX 32

struct import_config {
    const char *items, *vectors, *vector_ids, *events; /* paths */
    const char *to;
    const char *modality; /* name of the vectors in item-content */
    const char
        *maps[IMPORT_MAPS_MAX]; /* "[items.|events.]field=column"; an empty column: not there */
    uint32_t map_count;
    uint32_t partitions;  /* of interactions */
    int64_t time_unit_ms; /* what the time columns count: 1 or 1000 */
    bool skip_bad;        /* malformed lines are counted instead of ending the import */
    double progress_s;
};

struct import_totals {
    uint64_t listings, interactions, labelled, skipped;
    int64_t first_ms, last_ms; /* of the interactions */
    double seconds;
    char first_skipped[ERROR_TEXT_BYTES]; /* why; "" when none was */
};

/* FATAL: EX_USAGE for a map that names no field, EX_NOINPUT, EX_DATAERR (with file and line),
 * EX_CANTCREAT, EX_IOERR. Then there is no new folder either. */
enum status import_run(const struct import_config *config, struct import_totals *totals,
                       struct error *err);

#endif
