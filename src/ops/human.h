/* Numbers for people. Each returns out. */
#ifndef OPS_HUMAN_H
#define OPS_HUMAN_H

#include <stdint.h>

#define HUMAN_BYTES 32

/* 1234567 -> "1,234,567" */
const char *human_count(uint64_t n, char out[HUMAN_BYTES]);
/* A fraction below ten with one digit after the point, others as a count: "0.4", "3", "1,203"; "-" for NaN and infinities. */
const char *human_number(double x, char out[HUMAN_BYTES]);
/* A partition or an offset, without commas: "99120"; "-" for what is none. */
const char *human_place(double x, char out[HUMAN_BYTES]);
/* "0.2 s", "74 s", "5 min 3 s", "3 h 12 min", "2 d 4 h"; negative as 0; "-" for NaN and infinities. */
const char *human_span(double seconds, char out[HUMAN_BYTES]);
/* Binary units: "0 B", "12.3 MiB" */
const char *human_size(uint64_t bytes, char out[HUMAN_BYTES]);

#endif
