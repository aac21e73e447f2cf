#include "cli/progress_count.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>

void progress_show_count(struct progress *progress, const char *what, uint64_t done, double share) {
    double seconds = progress_seconds(progress);
    double rate = seconds > 0 ? (double)done / seconds : 0;
    int percent = (int)(100 * share);
    if (progress->terminal)
        fprintf(stderr, "\r%3d %%  %" PRIu64 " %s  %.0f/s   ", percent, done, what, rate);
    else
        log_info("progress", LOG_INT("percent", percent), LOG_UINT(what, done),
                 LOG_REAL("per_s", rate, 0));
    fflush(stderr);
    progress->shown_s = progress->started_s + seconds;
}
