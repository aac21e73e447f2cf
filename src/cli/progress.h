/* Progress of long work on stderr: one line that is rewritten on a terminal, one log line per interval otherwise. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    double interval_s, started_s, shown_s;
};
void progress_start(struct progress *progress, double interval_s);
/* True when a line is due; then show it. */
bool progress_due(struct progress *progress);
double progress_seconds(const struct progress *progress);
struct progress_line {
    uint64_t events, total;
    int64_t stream_ms;
    uint64_t epoch;
    double auc; /* NaN: none yet */
};
void progress_show(struct progress *progress, const struct progress_line *line);
void progress_end(struct progress *progress);

#endif
