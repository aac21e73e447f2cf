#include "base/arena.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT_BYTES ((size_t)64)

static atomic_size_t arenas_reserved;

enum status arena_reserve(struct arena *arena, const char *name, size_t bytes_max,
                          struct error *err) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *arena = (struct arena){.name = name};
    if (bytes_max > SIZE_MAX / 2)
        return FAIL(err, FATAL, EX_OSERR, "memory for %s: %zu bytes are more than can be addressed",
                    name, bytes_max);
    size_t bytes = (bytes_max + page) / page * page; /* at least one page */
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return FAIL(err, FATAL, EX_OSERR,
                    "memory for %s: cannot reserve %zu bytes of address space (%s); lower its "
                    "limit, or look at ulimit -v and vm.overcommit_memory",
                    name, bytes, strerror(errno));
    /* Where huge pages come unasked, one touched byte would cost 2 MiB, and there are some ten
     * arenas per table. */
    madvise(base, bytes, MADV_NOHUGEPAGE);
    arena->base = base;
    arena->reserved = bytes;
    atomic_fetch_add(&arenas_reserved, 1);
    return OK;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    /* used and reserved are multiples of the alignment, so what is left is one too */
    if (bytes > arena->reserved - arena->used)
        return NULL;
    void *start = arena->base + arena->used;
    arena->used += (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return start;
}

void *arena_must(struct arena *arena, size_t bytes) {
    void *start = arena_alloc(arena, bytes);
    ASSERT(start != NULL);
    return start;
}

void *arena_copy(struct arena *arena, const void *data, size_t len) {
    void *copy = arena_alloc(arena, len);
    if (copy != NULL && len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *arena_text(struct arena *arena, const char *text, size_t len) {
    char *copy = len < SIZE_MAX ? arena_alloc(arena, len + 1) : NULL;
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void arena_rewind(struct arena *arena, size_t mark) {
    ASSERT(mark <= arena->used && mark % ALIGNMENT_BYTES == 0);
    arena->used = mark;
}

void arena_give_back(struct arena *arena) {
    madvise(arena->base, arena->reserved, MADV_DONTNEED);
}

void arena_release(struct arena *arena) {
    if (arena->base != NULL) {
        int refused = munmap(arena->base, arena->reserved);
        ASSERT(refused == 0);
    }
    *arena = (struct arena){.name = arena->name};
}

size_t arena_count(void) {
    return atomic_load(&arenas_reserved);
}
