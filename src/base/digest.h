/* 128-bit XXH3 digests, and sums of them that do not depend on order. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/bytes.h"

struct digest {
    uint64_t lo, hi;
};

struct digest digest_of(const void *data, size_t len, uint64_t seed);
uint64_t hash64(const void *data, size_t len, uint64_t seed); /* XXH3-64 */

/* Sums modulo 2^128: a set's digest is the sum of its members' digests, so that adding and taking out are O(1). */
static inline struct digest digest_add(struct digest a, struct digest b) {
    struct digest s = {a.lo + b.lo, a.hi + b.hi};
    s.hi += s.lo < a.lo;
    return s;
}
static inline struct digest digest_sub(struct digest a, struct digest b) {
    struct digest s = {a.lo - b.lo, a.hi - b.hi};
    s.hi -= a.lo < b.lo;
    return s;
}
static inline bool digest_equal(struct digest a, struct digest b) {
    return a.lo == b.lo && a.hi == b.hi;
}

#define DIGEST_HEX_BYTES 33
/* 32 lower-case hex digits, hi first, and a NUL; returns out. */
const char *digest_hex(struct digest d, char out[DIGEST_HEX_BYTES]);

#endif
