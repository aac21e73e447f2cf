/* Bytes -> snapshot_decode, as they are and once more with all digests made right, since no
 * mutation would pass them. What decodes must be valid tables, what does not must leave them
 * empty. */
#include "model/snapshot_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct table *add(struct tables *set, const char *name, enum key_kind kind,
                         struct table *parent) {
    struct error err;
    struct table *table;
    struct table_spec spec = {.name = name,
                              .key_kind = kind,
                              .output = TO_DELTAS,
                              .parent = parent,
                              .key_bytes_max = kind == KEY_STRING ? 20 : 0,
                              .value_bytes = 4,
                              .rows_max = 70};
    ASSERT(tables_add(set, &spec, &table, &err) == OK);
    return table;
}

static struct tables *new_set(void) {
    struct error err;
    struct tables *set;
    ASSERT(tables_create(&set, &err) == OK);
    struct table *items = add(set, "items", KEY_STRING, NULL);
    add(set, "child", KEY_CHILD, items);
    add(set, "numbers", KEY_U64, NULL);
    add(set, "dense", KEY_DENSE, NULL);
    return set;
}

/* Puts the right digest behind every block, as far as the lengths lead. */
static void sign(uint8_t *file, size_t size) {
    struct digest digest = {0, 0};
    const size_t around = BLOCK_START_BYTES + BLOCK_DIGEST_BYTES;
    for (size_t at = 0; size - at >= around;) {
        uint32_t payload;
        memcpy(&payload, file + at + 4, sizeof payload);
        if (payload > size - at - around)
            return;
        digest = block_digest(bytes_of(file + at, BLOCK_START_BYTES + payload), digest);
        memcpy(file + at + BLOCK_START_BYTES + payload, &digest, BLOCK_DIGEST_BYTES);
        at += payload + around;
    }
}

static void decode(struct tables *set, const uint8_t *data, size_t size) {
    struct error err;
    struct bytes note;
    enum status status = snapshot_decode(bytes_of(data, size), set, &note, &err);
    ASSERT(status == OK || status == BAD_RECORD);
    for (uint32_t i = 0; i < tables_count(set); i++) {
        ASSERT(table_validate(tables_at(set, i), &err) == OK);
        ASSERT(status == OK || table_rows(tables_at(set, i)) == 0);
    }
    tables_clear(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tables *set;
    if (set == NULL)
        set = new_set();
    decode(set, data, size);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, data, size);
    sign(copy, size);
    decode(set, copy, size);
    free(copy);
    return 0;
}
