#include "ops/metrics_text.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void add(struct metrics *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(m->data + m->used, m->max - m->used, format, args);
    va_end(args);
    ASSERT(length >= 0 && (size_t)length < m->max - m->used); /* all sets of labels are bounded */
    m->used += (size_t)length;
}

const char *metrics_label(const char *text, char out[LABEL_BYTES]) {
    size_t used = 0;
    for (size_t i = 0; text[i] != '\0' && used + 3 < LABEL_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\' || c == '\n')
            out[used++] = '\\';
        if (c == '\n')
            out[used++] = 'n';
        else if (c >= 0x20 && c < 0x7F)
            out[used++] = (char)c;
        else
            out[used++] = '?'; /* names of topics, tables, brokers are ASCII */
    }
    out[used] = '\0';
    return out;
}

void metrics_family(struct metrics *m, const char *name, const char *type, const char *help) {
    add(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put(struct metrics *m, const char *name, const char *suffix, const char *labels) {
    bool has = labels[0] != '\0';
    add(m, "%s%s%s%s%s ", name, suffix, has ? "{" : "", labels, has ? "}" : "");
}

void metrics_value(struct metrics *m, const char *name, const char *labels, double value) {
    if (!isfinite(value))
        return;
    put(m, name, "", labels);
    add(m, "%.15g\n", value);
}

void metrics_count(struct metrics *m, const char *name, const char *labels, uint64_t value) {
    put(m, name, "", labels);
    add(m, "%" PRIu64 "\n", value);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help, double value) {
    metrics_family(m, name, "gauge", help);
    metrics_value(m, name, "", value);
}

void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t value) {
    metrics_family(m, name, "counter", help);
    metrics_count(m, name, "", value);
}

void metrics_histogram(struct metrics *m, const char *name, const char *labels,
                       const struct histogram *histogram) {
    const char *comma = labels[0] != '\0' ? "," : "";
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BINS; i++) {
        count += histogram->counts[i];
        if (i + 1 < HISTOGRAM_BINS && i % HISTOGRAM_SHOWN_EVERY == 0)
            add(m, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
                histogram_bound_s(i), count);
    }
    add(m, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, count);
    put(m, name, "_sum", labels);
    add(m, "%.9g\n", histogram->sum_s);
    put(m, name, "_count", labels);
    add(m, "%" PRIu64 "\n", count);
}
