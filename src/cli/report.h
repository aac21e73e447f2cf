/* One or two finished replays as one self-contained HTML page. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/comparison.h"
#include "cli/timeline.h"
#include <jansson.h>
#include <stdio.h>

#define DEAD_TEXT_BYTES 256

/* The first dead letter of a reason. */
struct dead_example {
    bool there;
    char topic[24], partition[12], offset[24], text[DEAD_TEXT_BYTES];
};

struct report_side {
    const char *dir;
    struct session session;
    struct timeline timeline;
    struct dead_example dead[DEAD_REASON_COUNT];
    json_t *summary; /* what replay said at its end; NULL: it did not leave it */
};

struct report {
    uint32_t sides; /* 1 or 2 */
    struct report_side side[2];
    struct paired_result paired; /* of two */
    uint32_t figure_count;
    struct figure figures[FIGURES_MAX];
};

/* Reads the replays in dirs[0 .. sides-1]. report_close() ends it, also after a failure. FATAL EX_DATAERR when two have not scored the same
 * events. */
enum status report_read(struct report *report, const char *const dirs[2], uint32_t sides,
                        struct error *err);
void report_close(struct report *report);
void report_write(struct report *report, FILE *out);

/* " A", " B"; "" where there is one side. */
const char *report_side_name(const struct report *report, uint32_t side);
/* The state at the end. */
const struct moment *report_end(const struct report *report, uint32_t side);

/* Parts of the page. */
void report_head(struct report *report, FILE *out);
void report_cards(struct report *report, FILE *out);
void report_comparison(struct report *report, FILE *out);
void report_replayed(struct report *report, FILE *out);
void report_exposures(struct report *report, FILE *out);
void report_ranking(struct report *report, FILE *out);
void report_gate(struct report *report, FILE *out);
void report_sids(struct report *report, FILE *out);
void report_stream(struct report *report, FILE *out);
void report_stories(struct report *report, FILE *out);

#endif
