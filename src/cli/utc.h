/* Milliseconds since 1970 for people. */
#ifndef CLI_UTC_H
#define CLI_UTC_H

#include <stdint.h>

#define UTC_BYTES 32
/* "2009-12-01 07:45 UTC"; returns out. */
const char *utc_text(int64_t time_ms, char out[UTC_BYTES]);

#endif
