/* Prometheus text format 0.0.4, into a buffer of fixed size. */
#ifndef OPS_METRICS_TEXT_H
#define OPS_METRICS_TEXT_H

#include "ops/counters.h"
#include "ops/show.h"

struct metrics {
    char *data;
    size_t used, max;
};

#define LABEL_BYTES 600
/* `text` as a label's value: quotes, backslashes and line ends escaped, what is no printable ASCII as `?'. Returns out. */
const char *metrics_label(const char *text, char out[LABEL_BYTES]);

/* HELP and TYPE of the metrics that follow. */
void metrics_family(struct metrics *m, const char *name, const char *type, const char *help);
/* labels: "" or as in `topic="x",partition="0"`. A value that is not finite is left out. */
void metrics_value(struct metrics *m, const char *name, const char *labels, double value);
void metrics_count(struct metrics *m, const char *name, const char *labels, uint64_t value);
/* A family of one value. */
void metrics_gauge(struct metrics *m, const char *name, const char *help, double value);
void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t value);
/* Buckets, sum and count under a family of type histogram. */
void metrics_histogram(struct metrics *m, const char *name, const char *labels,
                       const struct histogram *histogram);

/* metrics_model.c, metrics_kafka.c: their families. */
void metrics_model(struct metrics *m, const struct show *show);
void metrics_kafka(struct metrics *m, struct kafka_statistics *statistics);

#endif
