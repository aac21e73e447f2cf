/* Reads NumPy's .npy files (format 1.0 and 2.0, little-endian float32 or int32, C order, at most 4
 * dimensions) and finds the golden arrays. For tests: whatever is wrong ends the program with a
 * message. */
#ifndef TESTS_NPY_H
#define TESTS_NPY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Tests run in tests/, so this is ../shared of the project's root. */
#define GOLDEN_FOLDER "../../shared/reference/golden"

struct npy {
    int dims;
    size_t shape[4];    /* 1 beyond dims */
    size_t count;       /* product of shape */
    const float *f32;   /* NULL when the file holds int32 */
    const int32_t *i32; /* NULL when the file holds float32 */
    void *memory;
};

static inline _Noreturn void npy_die(const char *path, const char *what) {
    fprintf(stderr, "%s: %s\n", path, what);
    exit(1);
}

/* The text after 'key': in the header's Python dictionary. */
static inline const char *npy_field(const char *path, const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (!at || !(at = strchr(at, ':')))
        npy_die(path, "not an .npy header");
    for (at++; *at == ' ';)
        at++;
    return at;
}

static inline void npy_shape(struct npy *a, const char *path, const char *header) {
    char *at = (char *)npy_field(path, header, "'shape'") + 1; /* after '(' */
    a->count = 1;
    for (int i = 0; i < 4; i++)
        a->shape[i] = 1;
    while (*at >= '0' && *at <= '9') {
        if (a->dims == 4)
            npy_die(path, "more than 4 dimensions");
        a->shape[a->dims] = (size_t)strtoull(at, &at, 10);
        a->count *= a->shape[a->dims++];
        at += strspn(at, ", ");
    }
}

static inline void npy_type(struct npy *a, const char *path, const char *header) {
    const char *type = npy_field(path, header, "'descr'");
    if (strncmp(npy_field(path, header, "'fortran_order'"), "False", 5) != 0)
        npy_die(path, "not in C order");
    if (strncmp(type, "'<f4'", 5) == 0)
        a->f32 = a->memory;
    else if (strncmp(type, "'<i4'", 5) == 0)
        a->i32 = a->memory;
    else
        npy_die(path, "neither float32 nor int32, little-endian");
}

static inline struct npy npy_load(const char *path) {
    struct npy a = {0};
    unsigned char start[12] = {0};
    char header[4096];
    FILE *file = fopen(path, "rb");
    if (!file)
        npy_die(path, "cannot be opened");
    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0)
        npy_die(path, "not an .npy file");
    size_t length = start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) { /* 2.0: four bytes of length */
        if (fread(start + 10, 1, 2, file) != 2)
            npy_die(path, "truncated header");
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (length >= sizeof header || fread(header, 1, length, file) != length)
        npy_die(path, "header truncated or too long");
    header[length] = '\0';
    npy_shape(&a, path, header);
    a.memory = malloc(a.count * 4 + 4); /* never 0 bytes; valid for an empty array too */
    if (!a.memory || fread(a.memory, 4, a.count, file) != a.count)
        npy_die(path, "truncated data");
    npy_type(&a, path, header);
    fclose(file);
    return a;
}

static inline void npy_free(struct npy *a) {
    free(a->memory);
    memset(a, 0, sizeof *a);
}

/* Golden array NAME ("rq.in.x"). */
static inline struct npy npy_golden(const char *name) {
    char path[256];
    snprintf(path, sizeof path, GOLDEN_FOLDER "/%s.npy", name);
    return npy_load(path);
}

/* First in main() of a test that cannot do without the golden arrays: exits 77 (skipped) where they
 * are absent. */
static inline void npy_golden_or_skip(void) {
    if (access(GOLDEN_FOLDER, R_OK) == 0)
        return;
    printf("skipped: no golden arrays at %s (relative to tests/)\n", GOLDEN_FOLDER);
    exit(77);
}

#endif
