/* kafka_feed: puts a recording's inputs into Kafka at a chosen rate, with the current time as timestamps, and, if asked, tells for each
 * listing how long it took until a read_committed consumer had its semantic ID. For `make demo-kafka` and the benchmarks.
 *
 * The delay runs from the call that hands the listing to librdkafka to the return of the call that hands its SID to the consumer:
 * one clock, one process. */
#include <argp.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "codec/codec.h"
#include "model/ranker.h"
#include "transport/recording.h"

#define TITLE_BYTES 48
#define LISTINGS_MAX (1u << 20) /* a power of two, for at most half as many listings */
#define PATIENCE_US 60000000    /* for what is on its way when all has been fed */
#define SHOW_EVERY_US 200000    /* lines that a person can read */

struct listing_entry {
    uint64_t id_hash; /* 0: free */
    int64_t fed_us, seen_us;
    char title[TITLE_BYTES];
};

static struct options {
    const char *brokers, *prefix, *from;
    double rate;         /* records per second; 0: as fast as it goes */
    double quiet_s;      /* listings fed before this are not counted */
    int64_t skip, limit; /* records; limit 0: all */
    bool watch, show;
} options = {.brokers = "127.0.0.1:9092", .prefix = ""};

static struct codec *codec;
/* The table, and Avro's allocator, which one thread at a time may use. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct listing_entry *entries; /* [LISTINGS_MAX] */
static uint32_t fed_count, seen_count;
static volatile sig_atomic_t stop_asked, all_fed;
static char topic_names[TOPIC_COUNT][256];

static void ask_stop(int number) {
    (void)number;
    stop_asked = 1;
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

_Noreturn static void stop(const char *what, const char *why) {
    fprintf(stderr, "kafka_feed: %s: %s\n", what, why);
    exit(EX_UNAVAILABLE);
}

static void must(enum status status, const struct error *err) {
    if (status != OK)
        stop("failed", err->text);
}

/* The entry of an id, or the free one for it. */
static struct listing_entry *entry_of(struct bytes id) {
    uint64_t hash = hash64(id.data, id.len, 0) | 1;
    struct listing_entry *entry = &entries[hash & (LISTINGS_MAX - 1)];
    while (entry->id_hash != 0 && entry->id_hash != hash)
        entry = entry + 1 < entries + LISTINGS_MAX ? entry + 1 : entries;
    return entry;
}

/* ---- clients ---- */

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char text[256];
    if (rd_kafka_conf_set(conf, key, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        stop(key, text);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char text[256];
    set(conf, "bootstrap.servers", options.brokers);
    set(conf, "socket.nagle.disable", "true");
    rd_kafka_t *made = rd_kafka_new(type, conf, text, sizeof text);
    if (made == NULL)
        stop("client", text);
    return made;
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        stop("a record was not taken", rd_kafka_err2str(message->err));
}

static rd_kafka_t *producer_new(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "enable.idempotence", "true"); /* keeps the order */
    set(conf, "linger.ms", options.rate > 0 ? "1" : "20");
    set(conf, "queue.buffering.max.messages", "200000");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    return client(RD_KAFKA_PRODUCER, conf);
}

/* ---- watching the semantic IDs ---- */

static rd_kafka_t *watcher_new(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "kafka_feed");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.auto.commit", "false");
    rd_kafka_t *watcher = client(RD_KAFKA_CONSUMER, conf);
    const struct rd_kafka_metadata *metadata;
    const char *name = topic_names[TOPIC_SEMANTIC_IDS];
    rd_kafka_topic_t *topic = rd_kafka_topic_new(watcher, name, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(watcher, 0, topic, &metadata, 10000);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topics[0].partition_cnt == 0)
        stop(name, "is not there: start the stage first");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t p = 0; p < metadata->topics[0].partition_cnt; p++)
        rd_kafka_topic_partition_list_add(list, name, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(watcher, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    return watcher;
}

static void show(const struct listing_entry *entry, const struct sid_row *sid) {
    static int64_t last_us;
    char codes[40];
    if (entry->seen_us - last_us < SHOW_EVERY_US)
        return;
    last_us = entry->seen_us;
    snprintf(codes, sizeof codes, "%u-%u-%u.%u-%u", sid->codes[0], sid->codes[1], sid->codes[2],
             sid->codes[3], sid->codes[4]);
    printf("  %-18s %5.0f ms   %s\n", codes, (double)(entry->seen_us - entry->fed_us) * 1e-3,
           entry->title);
    fflush(stdout);
}

static void note_sid(const rd_kafka_message_t *message, int64_t at_us, int64_t count_from_us) {
    struct error err = {0};
    struct row_output row;
    struct record record = {.topic = TOPIC_SEMANTIC_IDS,
                            .partition = message->partition,
                            .offset = message->offset,
                            .key = bytes_of(message->key, message->key_len),
                            .value = bytes_of(message->payload, message->len)};
    pthread_mutex_lock(&lock);
    struct listing_entry *entry = entry_of(record.key);
    if (entry->id_hash != 0 && entry->seen_us == 0 && record.value.data != NULL) {
        entry->seen_us = at_us;
        seen_count++;
        if (options.show && entry->fed_us >= count_from_us) {
            must(codec_decode_row(codec, &record, &row, &err), &err);
            show(entry, (const struct sid_row *)(const void *)row.value.data);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void *watch(void *self) {
    int64_t start_us = *(const int64_t *)self, quiet_us = (int64_t)(options.quiet_s * 1e6);
    rd_kafka_t *watcher = watcher_new();
    int64_t end_us = INT64_MAX;
    while (!stop_asked && now_us() < end_us && !(all_fed && seen_count == fed_count)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(watcher, 100);
        int64_t at_us = now_us();
        if (all_fed && end_us == INT64_MAX)
            end_us = at_us + PATIENCE_US;
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            note_sid(message, at_us, start_us + quiet_us);
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy(watcher);
    return NULL;
}

/* ---- feeding ---- */

static void note_listing(const struct record *record) {
    struct error err = {0};
    struct event event;
    enum dead_reason reason;
    struct codec_port port = codec_port(codec);
    struct listing_entry *entry = entry_of(record->key);
    if (entry->id_hash != 0 || fed_count >= LISTINGS_MAX / 2 ||
        port.decode(port.self, record, &event, &reason, &err) != OK || event.kind != EVENT_LISTING)
        return;
    entry->id_hash = hash64(record->key.data, record->key.len, 0) | 1;
    entry->fed_us = now_us();
    struct bytes text = event.as.listing.text;
    for (size_t i = 0; i < text.len && i < TITLE_BYTES - 1; i++)
        entry->title[i] = (char)(text.data[i] < 0x20 || text.data[i] == 0x7F ? '?' : text.data[i]);
    fed_count++;
}

static void feed_one(rd_kafka_t *producer, const struct record *record) {
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            producer, RD_KAFKA_V_TOPIC(topic_names[record->topic]),
            RD_KAFKA_V_PARTITION(record->partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(record->key.data, record->key.len),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.len),
            RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            stop(topic_names[record->topic], rd_kafka_err2str(code));
        rd_kafka_poll(producer, 10);
    }
}

static bool next(struct source_port *source, bool skipped, struct record *record) {
    struct error err = {0};
    bool got = false, end = false;
    pthread_mutex_lock(&lock);
    must(source->next(source->self, record, &got, &end, &err), &err);
    if (got && !skipped && options.watch && record->topic == TOPIC_ITEM_CONTENT)
        note_listing(record);
    pthread_mutex_unlock(&lock);
    return got;
}

static void skip(struct source_port *source) {
    struct record record;
    for (int64_t i = 0; i < options.skip && next(source, true, &record); i++)
        ;
}

static int64_t feed(struct source_port *source, rd_kafka_t *producer, int64_t start_us) {
    struct record record;
    int64_t fed = 0;
    while (!stop_asked && (options.limit == 0 || fed < options.limit)) {
        int64_t due_us =
            options.rate > 0 ? start_us + (int64_t)((double)fed * 1e6 / options.rate) : INT64_MIN;
        int64_t early_us = due_us - now_us();
        if (options.rate > 0 && early_us > 0) {
            rd_kafka_poll(producer, 0);
            usleep(early_us > 1000 ? 1000 : (useconds_t)early_us);
            continue;
        }
        if (!next(source, false, &record))
            break;
        feed_one(producer, &record);
        if (++fed % 1000 == 0)
            rd_kafka_poll(producer, 0);
    }
    rd_kafka_flush(producer, 60000);
    return fed;
}

/* ---- results ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const double shares[] = {0, .01, .05, .1, .25, .5, .75, .9, .95, .99, .999, 1};

static double percentile(const double *sorted, uint32_t count, double share) {
    return sorted[(uint32_t)(share * (count - 1) + .5)];
}

static void tell_json(const double *delays, uint32_t count, uint32_t missing, int64_t fed,
                      double seconds) {
    double sum = 0;
    printf("{\"records\": %" PRId64 ", \"seconds\": %.2f, \"records_per_s\": %.0f, "
           "\"listings\": %u, \"missing\": %u",
           fed, seconds, (double)fed / seconds, count, missing);
    for (uint32_t i = 0; i < count; i++)
        sum += delays[i];
    if (count > 0)
        printf(", \"mean_ms\": %.1f", sum / count);
    for (size_t s = 0; s < sizeof shares / sizeof shares[0] && count > 0; s++)
        printf(", \"p%g_ms\": %.1f", shares[s] * 100, percentile(delays, count, shares[s]));
    printf("}\n");
}

static void tell_text(const double *delays, uint32_t count, uint32_t missing, int64_t fed,
                      double seconds) {
    printf("  %" PRId64 " records in %.0f s; %u listings whose semantic ID a read_committed "
           "consumer has read",
           fed, seconds, count);
    if (missing > 0)
        printf(", and %u without", missing);
    if (count > 0)
        printf("\n  from listing to SID: half within %.0f ms, 95 %% within %.0f ms, 99 %% within "
               "%.0f ms, all within %.0f ms",
               percentile(delays, count, .5), percentile(delays, count, .95),
               percentile(delays, count, .99), delays[count - 1]);
    printf("\n");
}

static void tell(int64_t fed, double seconds, int64_t count_from_us) {
    double *delays = malloc(sizeof(double) * (fed_count + 1));
    uint32_t count = 0, missing = 0;
    for (uint32_t i = 0; i < LISTINGS_MAX; i++) {
        if (entries[i].id_hash == 0 || entries[i].fed_us < count_from_us)
            continue;
        missing += entries[i].seen_us == 0;
        if (entries[i].seen_us != 0)
            delays[count++] = (double)(entries[i].seen_us - entries[i].fed_us) * 1e-3;
    }
    qsort(delays, count, sizeof *delays, ascending);
    if (options.show)
        tell_text(delays, count, missing, fed, seconds);
    else
        tell_json(delays, count, missing, fed, seconds);
    free(delays);
}

/* ---- the program ---- */

static const struct argp_option argp_options[] = {
    {"brokers", 'b', "LIST", 0, "Bootstrap servers (127.0.0.1:9092)", 0},
    {"prefix", 'p', "TEXT", 0, "Of all topics", 0},
    {"from", 'f', "DIR", 0, "The recording", 0},
    {"rate", 'r', "N", 0, "Records per second (as fast as it goes)", 0},
    {"limit", 'n', "N", 0, "So many records (all)", 0},
    {"skip", 'k', "N", 0, "Leave out so many records at the start", 0},
    {"watch", 'w', 0, 0, "Tell how long listings took to their semantic IDs, as JSON", 0},
    {"show", 's', 0, 0, "... in words, with a line for some of them as they appear", 0},
    {"quiet", 'q', "S", 0, "Leave out listings of the first S seconds", 0},
    {0}};

static error_t parse(int key, char *value, struct argp_state *state) {
    switch (key) {
    case 'b':
        options.brokers = value;
        return 0;
    case 'p':
        options.prefix = value;
        return 0;
    case 'f':
        options.from = value;
        return 0;
    case 'r':
        options.rate = strtod(value, NULL);
        return 0;
    case 'n':
        options.limit = strtoll(value, NULL, 10);
        return 0;
    case 'k':
        options.skip = strtoll(value, NULL, 10);
        return 0;
    case 's':
        options.show = options.watch = true;
        return 0;
    case 'w':
        options.watch = true;
        return 0;
    case 'q':
        options.quiet_s = strtod(value, NULL);
        return 0;
    case ARGP_KEY_END:
        if (options.from == NULL)
            argp_error(state, "--from DIR is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    static const struct argp argp = {
        argp_options, parse, "--from DIR", "Puts a recording's inputs into Kafka.",
        NULL,         NULL,  NULL};
    struct error err = {0};
    struct arena arena;
    struct recording_info info;
    struct recording_source *recording;
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    signal(SIGINT, ask_stop);
    signal(SIGTERM, ask_stop);
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        snprintf(topic_names[topic], sizeof topic_names[topic], "%s%s", options.prefix,
                 topic_name((enum topic)topic));
    must(arena_reserve(&arena, "recording", 64 << 20, &err), &err);
    must(recording_info_read(options.from, &arena, &info, &err), &err);
    must(recording_source_open(&recording, options.from, &info, &err), &err);
    must(codec_create(&codec, NULL, 0, 64 << 20, &err), &err);
    entries = calloc(LISTINGS_MAX, sizeof *entries);

    struct source_port source = recording_source_port(recording);
    rd_kafka_t *producer = producer_new();
    skip(&source);
    int64_t start_us = now_us();
    pthread_t watcher;
    if (options.watch && pthread_create(&watcher, NULL, watch, &start_us) != 0)
        stop("thread", "cannot be started");
    int64_t fed = feed(&source, producer, start_us);
    double seconds = (double)(now_us() - start_us) * 1e-6;
    all_fed = 1;
    if (options.watch)
        pthread_join(watcher, NULL);
    tell(fed, seconds, start_us + (int64_t)(options.quiet_s * 1e6));
    rd_kafka_destroy(producer);
    recording_source_close(recording);
    codec_destroy(codec);
    arena_release(&arena);
    free(entries);
    return EX_OK;
}
