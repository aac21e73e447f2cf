#include "ops/human.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX 1e18 /* more digits than this are no number for people */

const char *human_count(uint64_t n, char out[HUMAN_BYTES]) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *to = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

const char *human_number(double x, char out[HUMAN_BYTES]) {
    if (!isfinite(x) || fabs(x) > COUNT_MAX)
        return strcpy(out, "-");
    if (x >= 9.95 || (x >= 0 && x == floor(x)))
        return human_count((uint64_t)llround(x), out);
    snprintf(out, HUMAN_BYTES, "%.1f", x);
    return out;
}

const char *human_place(double x, char out[HUMAN_BYTES]) {
    if (!isfinite(x) || fabs(x) > COUNT_MAX)
        return strcpy(out, "-");
    snprintf(out, HUMAN_BYTES, "%.0f", x);
    return out;
}

const char *human_span(double seconds, char out[HUMAN_BYTES]) {
    if (!isfinite(seconds) || seconds > COUNT_MAX)
        return strcpy(out, "-");
    double rounded = seconds < 9.95 ? seconds : round(seconds);
    uint64_t s = rounded > 0 ? (uint64_t)rounded : 0;
    if (rounded < 9.95)
        snprintf(out, HUMAN_BYTES, "%.1f s", rounded > 0 ? rounded : 0.0);
    else if (s < 120)
        snprintf(out, HUMAN_BYTES, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(out, HUMAN_BYTES, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, HUMAN_BYTES, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        snprintf(out, HUMAN_BYTES, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
    return out;
}

const char *human_size(uint64_t bytes, char out[HUMAN_BYTES]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    int unit = 0;
    while (size >= 1024 && unit < 4) {
        size /= 1024;
        unit++;
    }
    snprintf(out, HUMAN_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return out;
}
