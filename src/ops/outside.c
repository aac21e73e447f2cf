#include "ops/outside.h"

json_t *outside_text(struct bytes text) {
    json_t *json = json_stringn((const char *)text.data, text.len);
    if (json != NULL)
        return json;
    char latin[2 * 1024 + 1];
    size_t used = 0;
    for (size_t i = 0; i < text.len && used + 2 < sizeof latin; i++)
        if (text.data[i] < 0x80)
            latin[used++] = (char)text.data[i];
        else {
            latin[used++] = (char)(0xC0 | text.data[i] >> 6);
            latin[used++] = (char)(0x80 | (text.data[i] & 0x3F));
        }
    return json_stringn(latin, used);
}
