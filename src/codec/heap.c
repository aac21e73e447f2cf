#include "codec/heap.h"
#include "base/error.h"

#include <avro.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h> /* the heap itself: this file is Avro C's allocator */

static struct {
    size_t used, max;
    bool installed;
} heap;

static void *allocate(void *self, void *old, size_t old_bytes, size_t bytes) {
    (void)self;
    (void)old_bytes; /* what the library believes; the heap knows */
    size_t before = old != NULL ? malloc_usable_size(old) : 0;
    if (bytes == 0) {
        heap.used -= before;
        free(old);
        return NULL;
    }
    if (bytes > heap.max || heap.used - before > heap.max - bytes)
        return NULL;
    void *now = realloc(old, bytes);
    if (now != NULL)
        heap.used += malloc_usable_size(now) - before;
    return now;
}

void heap_grow(size_t bytes_max) {
    if (!heap.installed)
        avro_set_allocator(allocate, NULL);
    heap.installed = true;
    heap.max += bytes_max;
}

void heap_shrink(size_t bytes_max) {
    ASSERT(bytes_max <= heap.max);
    heap.max -= bytes_max;
}

size_t heap_used(void) {
    return heap.used;
}
