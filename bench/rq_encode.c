/* Times residual quantisation: our half of rq_encode.py, which drives it.
 *
 *   rq_encode FOLDER DIMS CODES
 *
 * Reads raw float32 from FOLDER: x [n, DIMS], book1 book2 book3 [CODES, DIMS]. For every line on
 * stdin encodes all of x once, writes codes (uint16 [n, 3]) to FOLDER and the seconds of CPU time
 * that encoding took to stdout. */
#include "math/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEVELS = 3, BLOCK = 1020 /* vectors at a time, so that their residuals stay in cache */ };

static struct arena arena;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static FILE *open_or_die(const char *folder, const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static float *read_floats(const char *folder, const char *name, size_t *count) {
    FILE *file = open_or_die(folder, name, "rb");
    fseek(file, 0, SEEK_END);
    *count = (size_t)ftell(file) / sizeof(float);
    rewind(file);
    float *values = arena_must(&arena, *count * sizeof *values);
    if (fread(values, sizeof *values, *count, file) != *count)
        exit(1);
    fclose(file);
    return values;
}

static double encode(struct nearest *levels, const float *x, size_t n, float *r, uint16_t *codes) {
    size_t dims = levels[0].dims;
    double start = seconds();
    for (size_t i = 0; i < n; i += BLOCK) {
        uint32_t rows = (uint32_t)(n - i < BLOCK ? n - i : BLOCK);
        memcpy(r, x + i * dims, rows * dims * sizeof *r);
        residual_quantise(levels, LEVELS, r, rows, codes + i * LEVELS, LEVELS, NULL);
    }
    return seconds() - start;
}

int main(int argc, char **argv) {
    struct error err;
    struct nearest levels[LEVELS];
    if (argc != 4 || arena_reserve(&arena, "rq_encode", (size_t)4 << 30, &err) != OK) {
        fprintf(stderr, "usage: rq_encode FOLDER DIMS CODES\n");
        return EX_USAGE;
    }
    uint32_t dims = (uint32_t)atoi(argv[2]), count = (uint32_t)atoi(argv[3]);
    size_t floats;
    for (int l = 0; l < LEVELS; l++) {
        const float *book =
            read_floats(argv[1], (const char *[]){"book1", "book2", "book3"}[l], &floats);
        if (floats != (size_t)count * dims ||
            nearest_create(&levels[l], book, count, dims, &arena, &err) != OK)
            return EX_DATAERR;
        nearest_refresh(&levels[l]);
    }
    const float *x = read_floats(argv[1], "x", &floats);
    size_t n = floats / dims;
    float *r = arena_must(&arena, BLOCK * dims * sizeof *r);
    uint16_t *codes = arena_must(&arena, n * LEVELS * sizeof *codes);
    for (int c; (c = getchar()) != EOF;) {
        if (c != '\n')
            continue;
        double took = encode(levels, x, n, r, codes);
        FILE *file = open_or_die(argv[1], "codes", "wb");
        if (fwrite(codes, LEVELS * sizeof *codes, n, file) != n || fclose(file) != 0)
            return EX_IOERR;
        printf("%.9f\n", took);
        fflush(stdout);
    }
    return 0;
}
