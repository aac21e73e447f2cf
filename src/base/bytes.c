#include "base/bytes.h"

/* Unicode table 3-7 */
size_t utf8_length(const uint8_t *p, size_t left) {
    if (p[0] < 0x80)
        return p[0] != 0;
    size_t length;
    uint8_t low = 0x80, high = 0xBF; /* what the second byte may be */
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        length = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        length = 3;
        if (p[0] == 0xE0)
            low = 0xA0; /* below: an overlong form */
        else if (p[0] == 0xED)
            high = 0x9F; /* above: a surrogate */
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        length = 4;
        if (p[0] == 0xF0)
            low = 0x90;
        else if (p[0] == 0xF4)
            high = 0x8F; /* above: past U+10FFFF */
    } else {
        return 0;
    }
    if (left < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool bytes_is_utf8(struct bytes b) {
    if (b.data == NULL)
        return false;
    size_t at = 0;
    while (at < b.len) {
        size_t length = utf8_length(b.data + at, b.len - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
