#include "cli/id_index.h"
#include "base/file.h"
#include <stdlib.h>

static int compare_ids(struct bytes a, struct bytes b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, shorter);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b) {
    const struct id_entry *x = a, *y = b;
    int order = compare_ids(x->id, y->id);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static uint64_t count_lines(struct bytes text) {
    uint64_t count = text.len > 0 && text.data[text.len - 1] != '\n';
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

enum status id_index_load(struct id_index *index, const char *path, struct arena *arena,
                          size_t bytes_max, struct error *err) {
    struct bytes text;
    TRY(file_load(path, arena, bytes_max, &text, err));
    index->count = count_lines(text);
    index->entries = arena_alloc(arena, (index->count + 1) * sizeof *index->entries);
    if (index->entries == NULL)
        return FAIL(err, FATAL, EX_OSERR, "%s: no memory for its %llu ids", path,
                    (unsigned long long)index->count);
    size_t at = 0;
    for (uint64_t row = 0; row < index->count; row++) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t length = end ? (size_t)(end - (text.data + at)) : text.len - at;
        size_t kept = length - (length > 0 && text.data[at + length - 1] == '\r');
        if (kept == 0)
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s:%llu: is empty; it must name the item of that row of the vectors", path,
                        (unsigned long long)row + 1);
        index->entries[row] = (struct id_entry){bytes_of(text.data + at, kept), row};
        at += length + 1;
    }
    qsort(index->entries, index->count, sizeof *index->entries, compare_entries);
    for (uint64_t i = 1; i < index->count; i++)
        if (bytes_equal(index->entries[i - 1].id, index->entries[i].id))
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s:%llu: repeats the item of line %llu; each has one vector", path,
                        (unsigned long long)index->entries[i].row + 1,
                        (unsigned long long)index->entries[i - 1].row + 1);
    return OK;
}

bool id_index_find(const struct id_index *index, struct bytes id, uint64_t *row) {
    uint64_t from = 0, to = index->count;
    while (from < to) {
        uint64_t middle = from + (to - from) / 2;
        int order = compare_ids(index->entries[middle].id, id);
        if (order == 0) {
            *row = index->entries[middle].row;
            return true;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}
