/* Avro's zigzag varints. */
#ifndef CODEC_VARINT_H
#define CODEC_VARINT_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_BYTES_MAX 10

/* The number at *at, which moves past it; false when the bytes end first or it has more than 64
 * bits. */
static inline bool varint_get(const uint8_t **at, const uint8_t *end, int64_t *out) {
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at == end)
            return false;
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = (int64_t)(bits >> 1 ^ (0 - (bits & 1)));
            return true;
        }
    }
    return false;
}

/* bytes or string: a length, then so many bytes, borrowed. */
static inline bool varint_get_run(const uint8_t **at, const uint8_t *end, struct bytes *out) {
    int64_t len;
    if (!varint_get(at, end, &len) || len < 0 || len > end - *at)
        return false;
    *out = bytes_of(*at, (size_t)len);
    *at += len;
    return true;
}

/* Writes at most VARINT_BYTES_MAX bytes; returns how many. */
static inline size_t varint_put(uint8_t *out, int64_t value) {
    uint64_t bits = (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
    size_t n = 0;
    for (; bits >= 0x80; bits >>= 7)
        out[n++] = (uint8_t)(bits | 0x80);
    out[n++] = (uint8_t)bits;
    return n;
}

#endif
