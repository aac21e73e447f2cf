/* Memory: an arena reserves its largest size as address space once, at start, and the kernel backs pages as they
 * are first touched. So a limit is known at start, addresses never move, and nothing is allocated per event.
 *
 * malloc and friends are poisoned in our rooms (base/poison.h); start-up code that truly needs the heap says so. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"
#include <stddef.h>

struct arena {
    const char *name; /* for messages and memory reports */
    unsigned char *base;
    size_t reserved; /* bytes, a multiple of the page size */
    size_t used;     /* bytes handed out */
    size_t peak;     /* largest `used` so far */
};

/* Reserves bytes_max bytes of address space. FATAL (EX_OSERR) when the kernel refuses. */
enum status arena_reserve(struct arena *arena, const char *name, size_t bytes_max,
                          struct error *err);

/* Zeroed memory the first time round (after arena_reset it holds old bytes), aligned to 64 bytes. NULL when the
 * arena is full: callers turn that into a clear error that names the limit. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* arena_alloc that treats a full arena as a programmer's error: for sizes computed at start. */
void *arena_must(struct arena *arena, size_t bytes);

/* A copy of text/bytes in the arena; NULL when full. The text copy is NUL-terminated. */
void *arena_copy(struct arena *arena, const void *data, size_t len);
char *arena_text(struct arena *arena, const char *text, size_t len);

static inline size_t arena_mark(const struct arena *arena) {
    return arena->used;
}
void arena_rewind(struct arena *arena, size_t mark);
static inline void arena_reset(struct arena *arena) {
    arena_rewind(arena, 0);
}
/* Gives the pages back to the kernel and keeps the address space: all that was handed out reads as zero, until it is written again. */
void arena_give_back(struct arena *arena);
void arena_release(struct arena *arena);

/* How many arenas were ever reserved in this process; a test holds it still after "ready". */
size_t arena_count(void);

#endif
