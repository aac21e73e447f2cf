#include "codec/heap.h"
#include "base/error.h"

#include <avro.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h> /* the heap itself: this file is Avro C's allocator */

static struct { _Atomic size_t used, max; } heap;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

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

static void install(void) {
    avro_set_allocator(allocate, NULL);
}

void heap_grow(size_t bytes_max) {
    pthread_once(&installed, install);
    heap.max += bytes_max;
}

void heap_shrink(size_t bytes_max) {
    ASSERT(bytes_max <= heap.max);
    heap.max -= bytes_max;
}

size_t heap_used(void) {
    return heap.used;
}
