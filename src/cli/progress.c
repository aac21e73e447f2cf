#include "cli/progress.h"
#include "base/log.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress_start(struct progress *progress, double interval_s) {
    progress->terminal = isatty(STDERR_FILENO) == 1;
    progress->interval_s = progress->terminal ? 0.2 : interval_s;
    progress->started_s = progress->shown_s = now_s();
}

bool progress_due(struct progress *progress) {
    return now_s() - progress->shown_s >= progress->interval_s;
}
double progress_seconds(const struct progress *progress) {
    return now_s() - progress->started_s;
}

void progress_show(struct progress *progress, const struct progress_line *line) {
    char day[32] = "-", auc[16] = "-";
    time_t seconds = (time_t)(line->stream_ms / 1000);
    struct tm utc;
    if (line->stream_ms > 0 && gmtime_r(&seconds, &utc))
        strftime(day, sizeof day, "%Y-%m-%dT%H:%MZ", &utc);
    if (!isnan(line->auc))
        snprintf(auc, sizeof auc, "%.4f", line->auc);
    double rate = (double)line->events / progress_seconds(progress);
    int percent = line->total ? (int)(100 * line->events / line->total) : 0;
    if (progress->terminal)
        fprintf(stderr,
                "\r%3d %%  %" PRIu64 " events  %.0f/s  stream %s  epoch %" PRIu64 "  AUC %s   ",
                percent, line->events, rate, day, line->epoch, auc);
    else
        log_info("replay.progress", LOG_INT("percent", percent), LOG_UINT("events", line->events),
                 LOG_REAL("events_per_s", rate, 0), LOG_TEXT("stream", day),
                 LOG_UINT("epoch", line->epoch), LOG_TEXT("auc", auc));
    fflush(stderr);
    progress->shown_s = now_s();
}

void progress_end(struct progress *progress) {
    if (progress->terminal)
        fputs("\r\033[K", stderr);
}
