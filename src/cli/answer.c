#include "cli/answer.h"
#include <math.h>
#include <stdio.h>

const char *sid_text(const uint16_t codes[SID_CODES], char out[SID_TEXT_BYTES]) {
    snprintf(out, SID_TEXT_BYTES, "%u-%u-%u.%u-%u", codes[0], codes[1], codes[2], codes[3],
             codes[4]);
    return out;
}

json_t *json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *json_count(uint64_t n) {
    return json_integer((json_int_t)n);
}
