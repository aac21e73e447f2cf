#include "cli/utc.h"
#include <stdio.h>
#include <time.h>

const char *utc_text(int64_t time_ms, char out[UTC_BYTES]) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm when;
    if (gmtime_r(&seconds, &when) == NULL ||
        strftime(out, UTC_BYTES, "%Y-%m-%d %H:%M UTC", &when) == 0)
        snprintf(out, UTC_BYTES, "%lld ms", (long long)time_ms);
    return out;
}
