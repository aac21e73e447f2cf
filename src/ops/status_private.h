/* What the two files of /status.json share. */
#ifndef OPS_STATUS_PRIVATE_H
#define OPS_STATUS_PRIVATE_H

#include "ops/show.h"

/* NaN and infinities: null. */
json_t *show_number(double x);
json_t *show_count(uint64_t n);
json_t *show_time(int64_t ms); /* below 0: null */
/* A minute's mean per second. */
json_t *show_rate(const struct picture *p, uint64_t now, uint64_t then);

/* status_lists.c */
json_t *show_inputs(const struct show *show);
json_t *show_outputs(const struct show *show);
json_t *show_quality(const struct show *show);
json_t *show_codebooks(const struct show *show);
json_t *show_listings(const struct show *show);
json_t *show_dead_letters(const struct show *show);
json_t *show_memory(const struct show *show);

#endif
