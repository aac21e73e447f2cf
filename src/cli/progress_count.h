/* Progress of work that counts one kind of thing: "listings 4,000, 52000/s, 80 %". */
#ifndef CLI_PROGRESS_COUNT_H
#define CLI_PROGRESS_COUNT_H

#include "cli/progress.h"

/* what: "listings"; share: how much of the work is done, 0 to 1. */
void progress_show_count(struct progress *progress, const char *what, uint64_t done, double share);

#endif
