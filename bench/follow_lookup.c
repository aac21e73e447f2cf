/* Look-ups beside a writer: readers in threads of their own ask for random items of the newest view while a recording is applied, the whole time. Two passes: how
 * many, one by one and in batches; and how long each takes, in a histogram of the clock's ticks less its own cost. One JSON object.
 * follow_lookup FOLDER [READERS] */
#include "coldstream/coldstream.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READERS_MAX 16
#define BATCH 64
#define IDS_MAX 1000000u
#define NS_MAX 1000000u /* of the histogram */

enum way { ONE_BY_ONE, IN_BATCHES, TIMED, WAYS };

static char (*ids)[32];
static size_t *id_bytes;
static uint32_t id_count;

struct reader {
    pthread_t thread;
    cs_follower *follower;
    _Atomic bool *done;
    enum way way;
    uint64_t lookups, found, stale, random;
    double cpu_s;
    uint32_t *histogram; /* [NS_MAX] */
};

static double thread_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t pick(struct reader *r) {
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((r->random >> 33) * id_count >> 31);
}

static void ask_one(struct reader *r, const cs_view *view, cs_item *item) {
    uint32_t id = pick(r);
    uint64_t start = r->way == TIMED ? clock_ns() : 0;
    int outcome = cs_view_item(view, ids[id], id_bytes[id], item, sizeof *item, NULL);
    if (r->way == TIMED) {
        uint64_t ns = clock_ns() - start;
        r->histogram[ns < NS_MAX ? ns : NS_MAX - 1]++;
    }
    r->found += outcome == CS_OK;
    r->stale += outcome == CS_STALE;
    r->lookups++;
}

static void ask_batch(struct reader *r, const cs_view *view, cs_item items[BATCH]) {
    const void *names[BATCH];
    size_t lengths[BATCH];
    uint8_t found[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) {
        uint32_t id = pick(r);
        names[i] = ids[id];
        lengths[i] = id_bytes[id];
    }
    r->stale +=
        cs_view_items(view, BATCH, names, lengths, items, sizeof *items, found, NULL) == CS_STALE;
    for (int i = 0; i < BATCH; i++)
        r->found += found[i];
    r->lookups += BATCH;
}

static void *read_on(void *self) {
    struct reader *r = self;
    cs_item items[BATCH];
    cs_view *view;
    while (cs_view_open(r->follower, &view, NULL) != CS_OK && !*r->done)
        ;
    double start = thread_s();
    while (!*r->done) {
        for (int i = 0; i < BATCH && r->way != IN_BATCHES; i++)
            ask_one(r, view, &items[i]);
        if (r->way == IN_BATCHES)
            ask_batch(r, view, items);
        cs_view_close(view);
        if (cs_view_open(r->follower, &view, NULL) != CS_OK)
            return NULL;
    }
    r->cpu_s = thread_s() - start;
    cs_view_close(view);
    return NULL;
}

/* Every id of the recording's last epoch. */
static int load_ids(const char *folder) {
    cs_follower *f;
    cs_view *view;
    cs_error error = {0};
    if (cs_open_recording(&f, folder, NULL, &error) != CS_OK ||
        cs_wait(f, CS_LATEST, -1, &error) != CS_OK || cs_view_open(f, &view, &error) != CS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return error.exit_code;
    }
    ids = calloc(IDS_MAX, sizeof *ids);
    id_bytes = calloc(IDS_MAX, sizeof *id_bytes);
    uint32_t sid = cs_table_named(f, "sid");
    for (uint32_t at = 0; cs_view_next(view, sid, &at) == CS_OK && id_count < IDS_MAX; at++)
        if (cs_view_key(view, sid, at, ids[id_count], sizeof *ids, &id_bytes[id_count]) == CS_OK)
            id_count++;
    cs_view_close(view);
    cs_close(f);
    return 0;
}

/* Of all readers together. */
static double percentile(const struct reader *readers, int count, double share) {
    uint64_t all = 0, sum = 0;
    for (int r = 0; r < count; r++)
        all += readers[r].lookups;
    for (uint32_t ns = 0; ns < NS_MAX; ns++) {
        for (int r = 0; r < count; r++)
            sum += readers[r].histogram[ns];
        if ((double)sum >= share * (double)all)
            return ns;
    }
    return NS_MAX;
}

/* The follower is driven by this thread, epoch by epoch, while the readers read. */
static int pass(const char *folder, enum way way, struct reader *readers, int count,
                cs_stats *stats) {
    cs_follower *f;
    cs_error error = {0};
    _Atomic bool done = false;
    if (cs_open_recording(&f, folder, NULL, &error) != CS_OK)
        return error.exit_code;
    /* the first fifth is read alone, so that there are items to ask for */
    cs_step(f, -1, &error);
    while (cs_step(f, -1, &error) == CS_OK) {
        cs_follower_stats(f, stats, sizeof *stats);
        if (stats->progress > 0.2)
            break;
    }
    for (int r = 0; r < count; r++) {
        uint32_t *histogram = readers[r].histogram;
        readers[r] = (struct reader){.follower = f,
                                     .done = &done,
                                     .way = way,
                                     .random = (uint64_t)r,
                                     .histogram = histogram};
        pthread_create(&readers[r].thread, NULL, read_on, &readers[r]);
    }
    while (cs_step(f, -1, &error) == CS_OK)
        ;
    done = true;
    for (int r = 0; r < count; r++)
        pthread_join(readers[r].thread, NULL);
    cs_follower_stats(f, stats, sizeof *stats);
    cs_close(f);
    return 0;
}

int main(int argc, char **argv) {
    static struct reader readers[READERS_MAX];
    int count = argc > 2 ? atoi(argv[2]) : 1;
    double per_s[WAYS];
    cs_stats stats;
    if (argc < 2 || count < 1 || count > READERS_MAX) {
        fprintf(stderr, "follow_lookup FOLDER [READERS]\n");
        return 64;
    }
    int failed = load_ids(argv[1]);
    uint64_t overhead = UINT64_MAX;
    for (int i = 0; i < 10000; i++) {
        uint64_t start = clock_ns(), ns = clock_ns() - start;
        overhead = ns < overhead ? ns : overhead;
    }
    for (int r = 0; r < count; r++)
        readers[r].histogram = calloc(NS_MAX, sizeof(uint32_t));
    uint64_t found = 0, lookups = 0, stale = 0;
    for (int way = 0; way < WAYS && failed == 0; way++) {
        double cpu_s = 0;
        failed = pass(argv[1], (enum way)way, readers, count, &stats);
        for (int r = 0; r < count; r++) {
            cpu_s += readers[r].cpu_s;
            lookups += readers[r].lookups;
            found += readers[r].found;
            stale += readers[r].stale;
        }
        per_s[way] = 0;
        for (int r = 0; r < count; r++)
            per_s[way] += (double)readers[r].lookups / cpu_s;
    }
    if (failed != 0)
        return failed;
    printf("{\"bench\": \"follow_lookup\", \"items\": %u, \"readers\": %d, \"rows\": %" PRIu64
           ", \"lookups_per_s\": %.0f, \"batched_per_s\": %.0f, \"ns_p50\": %.0f, "
           "\"ns_p99\": %.0f, \"ns_p99.9\": %.0f, \"clock_ns\": %" PRIu64
           ", \"found\": %.3f, \"stale\": %" PRIu64 "}\n",
           id_count, count, stats.rows, per_s[ONE_BY_ONE], per_s[IN_BATCHES],
           percentile(readers, count, 0.5), percentile(readers, count, 0.99),
           percentile(readers, count, 0.999), overhead, (double)found / (double)lookups, stale);
    return 0;
}
