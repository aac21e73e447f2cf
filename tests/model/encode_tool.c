/* Encodes vectors with given codebooks, for judges written in other languages (faiss_check.py).
 *
 *   encode_tool FOLDER DIMS K1 K2 K3 K4 K5
 *
 * Reads raw float32 from FOLDER: z [n, DIMS], rq1 rq2 rq3 [K, DIMS], rotation [DIMS, DIMS], opq1
 * opq2 [K, DIMS / 2]; writes codes (uint16 [n, 5]) and error (float32 [n]) there. */
#include "model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *folder;

static FILE *open_or_die(const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void read_floats(const char *name, float *to, size_t count) {
    FILE *file = open_or_die(name, "rb");
    if (fread(to, sizeof *to, count, file) != count || fgetc(file) != EOF) {
        fprintf(stderr, "%s/%s: not %zu floats\n", folder, name, count);
        exit(1);
    }
    fclose(file);
}

static void write_out(const char *name, const void *data, size_t size, size_t count) {
    FILE *file = open_or_die(name, "wb");
    if (fwrite(data, size, count, file) != count || fclose(file) != 0) {
        perror(name);
        exit(1);
    }
}

static size_t floats_in(const char *name) {
    struct stat status;
    FILE *file = open_or_die(name, "rb");
    if (fstat(fileno(file), &status) != 0)
        exit(1);
    fclose(file);
    return (size_t)status.st_size / sizeof(float);
}

static void check(enum status status, const struct error *err) {
    if (status == OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

int main(int argc, char **argv) {
    struct tokenizer_config config = {0};
    struct tokenizer *tokenizer;
    struct arena arena;
    struct error err;
    if (argc != 3 + SID_CODES) {
        fprintf(stderr, "usage: encode_tool FOLDER DIMS K1 K2 K3 K4 K5\n");
        return EX_USAGE;
    }
    folder = argv[1];
    config.content_dims = config.z_dims = (uint32_t)atoi(argv[2]);
    for (int level = 0; level < SID_CODES; level++)
        config.books[level] = (uint32_t)atoi(argv[3 + level]);
    size_t dims = config.z_dims, n = floats_in("z") / dims;
    check(arena_reserve(&arena, "encode_tool", (size_t)4 << 30, &err), &err);
    check(tokenizer_create(&tokenizer, &config, (uint32_t)n, &arena, &err), &err);
    struct codebooks *books = tokenizer_codebooks(tokenizer);
    float *z = arena_must(&arena, n * dims * sizeof *z),
          *error = arena_must(&arena, n * sizeof *error);
    uint16_t *codes = arena_must(&arena, n * SID_CODES * sizeof *codes);
    read_floats("z", z, n * dims);
    for (int l = 0; l < RQ_LEVELS; l++)
        read_floats((const char *[]){"rq1", "rq2", "rq3"}[l], books->rq[l], config.books[l] * dims);
    for (int m = 0; m < OPQ_CODES; m++)
        read_floats((const char *[]){"opq1", "opq2"}[m], books->opq[m],
                    config.books[RQ_LEVELS + m] * dims / 2);
    read_floats("rotation", books->rotation, dims * dims);
    tokenizer_refresh(tokenizer);
    tokenizer_encode(tokenizer, z, (uint32_t)n, codes, error, NULL);
    write_out("codes", codes, sizeof *codes, n * SID_CODES);
    write_out("error", error, sizeof *error, n);
    return 0;
}
