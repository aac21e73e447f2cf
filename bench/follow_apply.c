/* How fast a follower applies a recording's rows, and what memory it takes: one thread, every epoch folded, verified and made visible. CPU time of the process, because
 * the machine may have other work. One JSON object. follow_apply FOLDER */
#include "coldstream/coldstream.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t resident_bytes(void) {
    unsigned long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &ignored, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return (uint64_t)pages * 4096;
}

int main(int argc, char **argv) {
    cs_follower *follower;
    cs_error error = {0};
    cs_stats stats;
    if (argc != 2) {
        fprintf(stderr, "follow_apply FOLDER\n");
        return 64;
    }
    double start = cpu_s();
    uint64_t before = resident_bytes();
    if (cs_open_recording(&follower, argv[1], NULL, &error) != CS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return error.exit_code;
    }
    double opened = cpu_s();
    if (cs_wait(follower, CS_LATEST, -1, &error) != CS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return error.exit_code;
    }
    double s = cpu_s() - opened;
    cs_follower_stats(follower, &stats, sizeof stats);
    printf("{\"bench\": \"follow_apply\", \"rows\": %" PRIu64 ", \"epochs\": %" PRIu64
           ", \"cpu_s\": %.3f, \"rows_per_s\": %.0f, \"open_s\": %.3f, \"row_bytes\": %" PRIu64
           ", \"memory_bytes\": %" PRIu64 ", \"resident_bytes\": %" PRIu64 "}\n",
           stats.rows, stats.epochs, s, (double)stats.rows / s, opened - start, stats.row_bytes,
           stats.memory_bytes, resident_bytes() - before);
    cs_close(follower);
    return 0;
}
