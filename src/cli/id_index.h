/* A text file of ids, one a line -> the line's number, from 0. */
#ifndef CLI_ID_INDEX_H
#define CLI_ID_INDEX_H

#include "base/arena.h"
#include "base/bytes.h"

struct id_entry {
    struct bytes id;
    uint64_t row;
};
struct id_index {
    struct id_entry *entries; /* sorted by id */
    uint64_t count;
};

/* Memory from arena. EX_NOINPUT when the file is absent, EX_DATAERR when a line is empty or
 * repeats an id. */
enum status id_index_load(struct id_index *index, const char *path, struct arena *arena,
                          size_t bytes_max, struct error *err);
bool id_index_find(const struct id_index *index, struct bytes id, uint64_t *row);

#endif
