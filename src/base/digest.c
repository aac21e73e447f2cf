#include "base/digest.h"

#include <xxhash.h>

struct digest digest_of(const void *data, size_t len, uint64_t seed) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, len, seed);
    return (struct digest){.lo = hash.low64, .hi = hash.high64};
}

uint64_t hash64(const void *data, size_t len, uint64_t seed) {
    return XXH3_64bits_withSeed(data, len, seed);
}

const char *digest_hex(struct digest d, char out[DIGEST_HEX_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        out[i] = digits[d.hi >> (60 - 4 * i) & 15];
        out[16 + i] = digits[d.lo >> (60 - 4 * i) & 15];
    }
    out[32] = '\0';
    return out;
}
