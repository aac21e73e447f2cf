/* /metrics: names in base units, as Prometheus recommends; labels only from sets that are fixed by the configuration or the program. */
#include "ops/metrics_text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Input partitions with values of their own; the rest of a topic's are one, partition="other". */
#define PARTITIONS_SHOWN 64

/* ---- process and state ---- */

static double cpu_s(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void add_process(struct metrics *m, const struct show *show) {
    char labels[2 * LABEL_BYTES], version[LABEL_BYTES], application[LABEL_BYTES];
    snprintf(labels, sizeof labels, "version=\"%s\",application=\"%s\"",
             metrics_label(show->facts.version, version),
             metrics_label(show->facts.application, application));
    metrics_family(m, "coldstream_build_info", "gauge", "1, with the version that runs.");
    metrics_value(m, "coldstream_build_info", labels, 1);
    metrics_gauge(m, "process_start_time_seconds", "When the process started, since 1970.",
                  (double)show->facts.started_ms / 1e3);
    metrics_gauge(m, "process_resident_memory_bytes", "Memory in use by the process.",
                  (double)show_memory_bytes());
    metrics_family(m, "process_cpu_seconds_total", "counter", "Time of all its threads on CPUs.");
    metrics_value(m, "process_cpu_seconds_total", "", cpu_s());
}

static void add_state(struct metrics *m, const struct show *show) {
    const struct watch_status *status = &show->status;
    char labels[64], reason[REASON_BYTES];
    metrics_family(m, "coldstream_state", "gauge", "1 for the state that the instance is in.");
    for (int s = 0; s < WATCH_STATES; s++) {
        snprintf(labels, sizeof labels, "state=\"%s\"", watch_state_names[s]);
        metrics_value(m, "coldstream_state", labels, status->state == (enum watch_state)s);
    }
    metrics_gauge(m, "coldstream_ready", "Whether /readyz says so: leading, and the broker there.",
                  show_ready(show, reason));
    double all = (double)status->restore_total;
    metrics_gauge(m, "coldstream_restore_ratio",
                  "Of the outputs that are to be folded, those that have been; while restoring or "
                  "standing by.",
                  status->restoring && all > 0 ? (double)status->restored / all : (double)NAN);
    metrics_gauge(m, "coldstream_picture_timestamp_seconds",
                  "When the stage's thread last told what is shown here, since 1970.",
                  show->picture.number > 0 ? (double)show->picture.taken_ms / 1e3 : (double)NAN);
}

/* ---- epochs ---- */

static void add_epochs(struct metrics *m, const struct picture *p) {
    static const char *const kinds[] = {"content", "click"};
    const struct counters *now = &p->now;
    char labels[64];
    metrics_gauge(m, "coldstream_epoch", "Number of the epoch committed last.", (double)p->epoch);
    metrics_gauge(m, "coldstream_epoch_commit_timestamp_seconds", "When it was, since 1970.",
                  p->committed_ms >= 0 ? (double)p->committed_ms / 1e3 : (double)NAN);
    metrics_family(m, "coldstream_epochs_total", "counter", "Epochs committed, by kind.");
    for (int k = 0; k < 2; k++) {
        snprintf(labels, sizeof labels, "kind=\"%s\"", kinds[k]);
        metrics_count(m, "coldstream_epochs_total", labels, now->epochs[k]);
    }
    metrics_family(m, "coldstream_transactions_total", "counter",
                   "Transactions, by how they ended.");
    metrics_count(m, "coldstream_transactions_total", "outcome=\"committed\"",
                  now->epochs[0] + now->epochs[1]);
    metrics_count(m, "coldstream_transactions_total", "outcome=\"aborted\"", now->aborted);
    metrics_counter(m, "coldstream_producer_replacements_total",
                    "Producers given up for a new one, since this instance leads.", p->producers);
    metrics_family(m, "coldstream_epoch_phase_seconds", "histogram",
                   "Time of the phases of committed epochs: collect, apply, publish, commit.");
    for (int phase = 0; phase < PHASES; phase++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", phase_names[phase]);
        metrics_histogram(m, "coldstream_epoch_phase_seconds", labels, &now->phases[phase]);
    }
    metrics_family(m, "coldstream_source_wait_seconds_total", "counter",
                   "Time spent waiting for input records.");
    metrics_value(m, "coldstream_source_wait_seconds_total", "", now->waiting_s);
    metrics_family(m, "coldstream_watch_seconds_total", "counter",
                   "Time that the stage's thread has spent on what is shown here.");
    metrics_value(m, "coldstream_watch_seconds_total", "", now->watched_s);
}

/* ---- inputs and outputs ---- */

struct input_value {
    double records, bytes, position, end, lag, lag_s;
};

static struct input_value value_of(const struct show *show, uint32_t i) {
    const struct picture *p = &show->picture;
    const struct shown_input *input = &p->inputs[i];
    int64_t lag = show_lag(show, input);
    return (struct input_value){(double)p->now.read[i].records,
                                (double)p->now.read[i].bytes,
                                input->position >= 0 ? (double)input->position : (double)NAN,
                                input->end >= 0 ? (double)input->end : (double)NAN,
                                lag >= 0 ? (double)lag : (double)NAN,
                                show_lag_s(show, input)};
}

static double more(double a, double b) {
    return isnan(a) ? b : isnan(b) ? a : a + b;
}

/* The partitions past PARTITIONS_SHOWN of one topic; false when it has none. */
static bool others(const struct show *show, enum topic topic, struct input_value *out) {
    const struct picture *p = &show->picture;
    bool any = false;
    *out = (struct input_value){0, 0, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
    for (uint32_t i = PARTITIONS_SHOWN; i < p->input_count; i++) {
        if (p->inputs[i].topic != topic)
            continue;
        struct input_value v = value_of(show, i);
        any = true;
        out->records += v.records;
        out->bytes += v.bytes;
        out->lag = more(out->lag, v.lag);
        out->lag_s = fmax(out->lag_s, v.lag_s); /* NaN gives way */
    }
    return any;
}

static const struct {
    const char *name, *type, *help;
    size_t offset;
} input_metrics[] = {
    {"coldstream_input_records_total", "counter", "Records read, by input partition.",
     offsetof(struct input_value, records)},
    {"coldstream_input_bytes_total", "counter", "Bytes of their keys and values.",
     offsetof(struct input_value, bytes)},
    {"coldstream_input_position", "gauge", "Offset of the next record that no epoch has yet.",
     offsetof(struct input_value, position)},
    {"coldstream_input_end", "gauge", "Offset of the log's end, as the last fetch has told.",
     offsetof(struct input_value, end)},
    {"coldstream_input_lag_records", "gauge", "Records between the two.",
     offsetof(struct input_value, lag)},
    {"coldstream_input_lag_seconds", "gauge",
     "Age of the record read last while there are more; 0 when there are none.",
     offsetof(struct input_value, lag_s)},
};

static void add_input_value(struct metrics *m, const struct show *show, size_t metric,
                            enum topic topic, const char *partition,
                            const struct input_value *value) {
    char labels[LABEL_BYTES + 64], name[LABEL_BYTES];
    snprintf(labels, sizeof labels, "topic=\"%s\",partition=\"%s\"",
             metrics_label(show->facts.topics[topic], name), partition);
    double number;
    memcpy(&number, (const char *)value + input_metrics[metric].offset, sizeof number);
    metrics_value(m, input_metrics[metric].name, labels, number);
}

static void add_inputs(struct metrics *m, const struct show *show) {
    const struct picture *p = &show->picture;
    for (size_t k = 0; k < sizeof input_metrics / sizeof input_metrics[0]; k++) {
        metrics_family(m, input_metrics[k].name, input_metrics[k].type, input_metrics[k].help);
        for (uint32_t i = 0; i < p->input_count && i < PARTITIONS_SHOWN; i++) {
            char partition[16];
            struct input_value value = value_of(show, i);
            snprintf(partition, sizeof partition, "%d", p->inputs[i].partition);
            add_input_value(m, show, k, p->inputs[i].topic, partition, &value);
        }
        for (enum topic topic = 0; topic < TOPIC_INPUTS; topic++) {
            struct input_value value;
            if (others(show, topic, &value))
                add_input_value(m, show, k, topic, "other", &value);
        }
    }
}

static void add_outputs(struct metrics *m, const struct show *show) {
    char labels[LABEL_BYTES + 16], name[LABEL_BYTES];
    for (int bytes = 0; bytes < 2; bytes++) {
        const char *metric =
            bytes ? "coldstream_output_bytes_total" : "coldstream_output_records_total";
        metrics_family(m, metric, "counter",
                       bytes ? "Bytes of their keys and values."
                             : "Records committed, by output topic.");
        for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
            const struct traffic *traffic = &show->picture.now.written[topic];
            snprintf(labels, sizeof labels, "topic=\"%s\"",
                     metrics_label(show->facts.topics[topic], name));
            metrics_count(m, metric, labels, bytes ? traffic->bytes : traffic->records);
        }
    }
}

/* ---- events ---- */

static void add_events(struct metrics *m, const struct picture *p) {
    const struct stage_totals *t = &p->totals;
    char labels[64];
    metrics_counter(m, "coldstream_events_total",
                    "Records that epochs have taken, since the first epoch ever.", t->events);
    metrics_counter(m, "coldstream_events_applied_total", "Of these, those that were applied.",
                    t->applied);
    metrics_gauge(m, "coldstream_events_parked", "Of these, those that wait for their item.",
                  (double)t->parked);
    metrics_counter(m, "coldstream_events_labelled_total",
                    "Samples that were scored and learned from.", t->labelled);
    metrics_family(m, "coldstream_dead_letters_total", "counter",
                   "Of these, those set aside, by reason.");
    for (int r = 0; r < DEAD_REASON_COUNT; r++) {
        snprintf(labels, sizeof labels, "reason=\"%s\"", dead_reason_name((enum dead_reason)r));
        metrics_count(m, "coldstream_dead_letters_total", labels, t->dead_by_reason[r]);
    }
    metrics_family(m, "coldstream_listing_latency_seconds", "histogram",
                   "From a listing's record timestamp to the commit of its semantic ID.");
    metrics_histogram(m, "coldstream_listing_latency_seconds", "", &p->now.listing_latency);
    metrics_family(m, "coldstream_listing_stay_seconds", "histogram",
                   "From a listing's arrival in this process to the commit of its semantic ID.");
    metrics_histogram(m, "coldstream_listing_stay_seconds", "", &p->now.listing_stay);
}

/* ---- memory, requests ---- */

static void add_tables(struct metrics *m, const struct picture *p) {
    static const struct {
        const char *name, *help;
    } kinds[] = {{"coldstream_table_rows", "Rows of a table of the state."},
                 {"coldstream_table_rows_max", "Rows that it may have."},
                 {"coldstream_table_memory_bytes", "Memory that it uses."}};
    for (int k = 0; k < 3; k++) {
        metrics_family(m, kinds[k].name, "gauge", kinds[k].help);
        for (uint32_t t = 0; t < p->table_count; t++) {
            const struct shown_table *table = &p->tables[t];
            char labels[64];
            snprintf(labels, sizeof labels, "table=\"%s\"", table->name);
            metrics_count(m, kinds[k].name, labels,
                          k == 0   ? table->rows
                          : k == 1 ? table->rows_max
                                   : table->bytes);
        }
    }
}

static void add_requests(struct metrics *m, const struct show *show) {
    char labels[64];
    metrics_family(m, "coldstream_http_requests_total", "counter", "Requests answered, by path.");
    for (int p = 0; p < HTTP_PATHS; p++) {
        snprintf(labels, sizeof labels, "path=\"%s\"", http_path_names[p]);
        metrics_count(m, "coldstream_http_requests_total", labels, show->requests[p]);
    }
}

size_t show_metrics(const struct show *show, char *out, size_t max) {
    struct metrics m = {.data = out, .max = max};
    add_process(&m, show);
    add_state(&m, show);
    add_epochs(&m, &show->picture);
    add_inputs(&m, show);
    add_outputs(&m, show);
    add_events(&m, &show->picture);
    metrics_model(&m, show);
    add_tables(&m, &show->picture);
    metrics_kafka(&m, show->facts.statistics);
    add_requests(&m, show);
    return m.used;
}
