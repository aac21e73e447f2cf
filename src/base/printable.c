#include "base/printable.h"
#include "base/error.h"
#include <stdio.h>
#include <string.h>

#define ESCAPE_BYTES 8

uint32_t printable_next(struct bytes text, size_t at, size_t *used) {
    static const uint8_t mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const uint8_t *p = text.data + at;
    size_t length = utf8_length(p, text.len - at);
    *used = length > 0 ? length : 1;
    if (length == 0)
        return p[0] == 0 ? 0 : NO_CHARACTER;
    uint32_t point = p[0] & mask[length];
    for (size_t i = 1; i < length; i++)
        point = point << 6 | (p[i] & 0x3F);
    return point;
}

static const char short_escapes[] = "\n\t\r\"\\", short_letters[] = "ntr\"\\";

bool printable_hides(uint32_t point) {
    return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0xAD || point == 0x61C ||
           (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
           (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF;
}

/* One character of the text as it is shown; *used: bytes of the text. */
static size_t show(struct bytes text, size_t at, size_t *used, char out[ESCAPE_BYTES]) {
    uint32_t point = printable_next(text, at, used);
    if (point == NO_CHARACTER)
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\ufffd");
    const char *brief = point > 0 && point < 0x80 ? strchr(short_escapes, (int)point) : NULL;
    if (brief != NULL)
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\%c", short_letters[brief - short_escapes]);
    if (printable_hides(point))
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\u%04x", (unsigned)point);
    memcpy(out, text.data + at, *used);
    return *used;
}

size_t printable(char *out, size_t room, struct bytes text) {
    ASSERT(room > 3);
    size_t put = 0, fits = 0; /* fits: where "..." would still have room behind it */
    for (size_t at = 0, used; at < text.len; at += used) {
        char shown[ESCAPE_BYTES];
        size_t length = show(text, at, &used, shown);
        if (put + length >= room) {
            memcpy(out + fits, "...", 3);
            put = fits + 3;
            break;
        }
        memcpy(out + put, shown, length);
        put += length;
        if (put + 3 < room)
            fits = put;
    }
    out[put] = '\0';
    return put;
}
