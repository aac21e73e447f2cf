/* Copies of 32-bit words between a thread that writes and threads that read at the same time: each word is whole, and ordered: a reader that has seen
 * a word sees what the writer stored before it. Whether all words are of one writing is the caller's to find out (follow/versions.h). Plain moves
 * on x86-64. */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `to` is aligned to 4 bytes; `bytes` is a multiple of 4. */
static inline void words_store(void *to, const void *from, size_t bytes) {
    uint32_t *out = to;
    const unsigned char *in = from;
    for (size_t i = 0; i < bytes / 4; i++) {
        uint32_t word;
        memcpy(&word, in + i * 4, sizeof word);
        __atomic_store_n(out + i, word, __ATOMIC_RELEASE);
    }
}

/* `from` is aligned to 4 bytes; `bytes` is a multiple of 4. */
static inline void words_load(void *to, const void *from, size_t bytes) {
    unsigned char *out = to;
    const uint32_t *in = from;
    for (size_t i = 0; i < bytes / 4; i++) {
        uint32_t word = __atomic_load_n(in + i, __ATOMIC_ACQUIRE);
        memcpy(out + i * 4, &word, sizeof word);
    }
}

#endif
