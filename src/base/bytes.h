/* A borrowed run of bytes, and integers and floats in fixed byte order. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* data == NULL means "null" (a tombstone's value, an absent key); an empty run has data != NULL, len == 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len) {
    return (struct bytes){.data = data, .len = len};
}
static inline struct bytes bytes_text(const char *text) {
    return bytes_of(text, strlen(text));
}
static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.data == NULL) == (b.data == NULL) &&
           (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline void put_be64(uint8_t out[8], uint64_t v) {
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}
static inline uint64_t get_be64(const uint8_t in[8]) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | in[i];
    return v;
}
static inline void put_be32(uint8_t out[4], uint32_t v) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}
static inline uint32_t get_be32(const uint8_t in[4]) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 8 | in[i];
    return v;
}

/* How many bytes the well-formed UTF-8 character at p takes, of `left` (> 0) that are there; 0: there is none, or it is NUL. */
size_t utf8_length(const uint8_t *p, size_t left);
/* True when the run is well-formed UTF-8 without NUL. */
bool bytes_is_utf8(struct bytes b);

#endif
