/* Runs a fuzz target without a fuzzing engine: every file of the folders given, as it is, and then
 * N seeded mutations of each (--mutate N). So fuzz cases are ordinary tests with any compiler.
 *
 * usage: TARGET [--mutate N] [--seed S] (file | folder)... The seed is that of --seed, of
 * $COLDSTREAM_SEED, or 1. An input on which the target dies is saved as
 * $COLDSTREAM_BUILD/died-on-TARGET; give that file as the argument to run it again. */
#include "base/error.h"
#include "base/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define FILES_MAX 4096
#define PATH_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *path;
    uint8_t *data;
    size_t size;
};

static struct input inputs[FILES_MAX];
static uint32_t input_count;

/* ---- what runs now, for the signal handler ---- */
static const uint8_t *running;
static size_t running_size;
static char saved_path[PATH_BYTES];
static char where[PATH_BYTES + 128];

static void on_death(int signal_number) {
    int fd = open(saved_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ssize_t ignored = fd < 0 ? 0 : write(fd, running, running_size);
    ignored += write(STDERR_FILENO, where, strlen(where));
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void watch_for_death(const char *program) {
    const char *name = strrchr(program, '/');
    const char *folder = getenv("COLDSTREAM_BUILD");
    snprintf(saved_path, sizeof saved_path, "%s/died-on-%s", folder != NULL ? folder : ".",
             name != NULL ? name + 1 : program);
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], on_death);
}

/* ---- inputs ---- */

static void add_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || input_count == FILES_MAX) {
        fprintf(stderr, "%s: cannot be read, or one too many\n", path);
        exit(EX_NOINPUT);
    }
    struct input *input = &inputs[input_count++];
    input->path = strdup(path);
    input->data = malloc(INPUT_BYTES_MAX);
    input->size = fread(input->data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
}

static void add_path(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) {
        add_file(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inside[PATH_BYTES];
        snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (stat(inside, &about) == 0 && S_ISREG(about.st_mode))
            add_file(inside);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* ---- mutation ---- */

static uint32_t below(struct rng *rng, size_t bound) {
    return rng_below(rng, (uint32_t)bound);
}

/* Puts `insert_size` bytes in place of the `cut` bytes at `at`; returns the new size, or the old
 * one if it is too large. */
static size_t replace(uint8_t *data, size_t size, size_t at, size_t cut, const uint8_t *insert,
                      size_t insert_size) {
    if (size - cut + insert_size > INPUT_BYTES_MAX)
        return size;
    memmove(data + at + insert_size, data + at + cut, size - at - cut);
    memcpy(data + at, insert, insert_size);
    return size - cut + insert_size;
}

static size_t transplant(struct rng *rng, uint8_t *data, size_t size) {
    const struct input *other = &inputs[below(rng, input_count)];
    size_t from = below(rng, other->size + 1), length = below(rng, other->size - from + 1);
    size_t at = below(rng, size + 1), cut = below(rng, size - at + 1);
    return replace(data, size, at, rng_below(rng, 2) ? cut : 0, other->data + from, length);
}

/* Numbers at which lengths and counters go wrong. */
static void put_number(struct rng *rng, uint8_t *data, size_t size) {
    static const uint64_t numbers[] = {0,          1,          0x7F,       0x80,
                                       0xFF,       0x100,      0x7FFF,     0xFFFF,
                                       0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF,
                                       UINT64_MAX};
    uint64_t number = numbers[below(rng, sizeof numbers / sizeof numbers[0])];
    size_t width = (size_t)1 << rng_below(rng, 4);
    if (rng_below(rng, 2))
        number = __builtin_bswap64(number << (64 - 8 * width));
    if (size >= width)
        memcpy(data + below(rng, size - width + 1), &number, width);
}

static size_t mutate_once(struct rng *rng, uint8_t *data, size_t size) {
    switch (size == 0 ? 5 : rng_below(rng, 6)) {
    case 0:
        data[below(rng, size)] ^= (uint8_t)(1u << rng_below(rng, 8));
        return size;
    case 1:
        data[below(rng, size)] = (uint8_t)rng_u32(rng);
        return size;
    case 2:
        put_number(rng, data, size);
        return size;
    case 3: /* cut off, or cut out */
        if (rng_below(rng, 2))
            return below(rng, size);
        size_t at = below(rng, size);
        return replace(data, size, at, 1 + below(rng, size - at), data, 0);
    case 4: { /* a few random bytes */
        uint8_t few[8];
        for (size_t i = 0; i < sizeof few; i++)
            few[i] = (uint8_t)rng_u32(rng);
        return replace(data, size, below(rng, size + 1), 0, few, 1 + below(rng, sizeof few));
    }
    default:
        return transplant(rng, data, size);
    }
}

/* In a block of its exact size, so that a sanitizer sees the first byte read past the end. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    running = copy;
    running_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv) {
    const char *environment = getenv("COLDSTREAM_SEED");
    uint64_t seed = environment != NULL ? strtoull(environment, NULL, 0) : 1;
    uint32_t mutations = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc)
            mutations = (uint32_t)strtoul(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else
            add_path(argv[i]);
    }
    if (input_count == 0) {
        fprintf(stderr, "usage: %s [--mutate N] [--seed S] (file | folder)...\n", argv[0]);
        return EX_USAGE;
    }
    watch_for_death(argv[0]);
    printf("%u inputs, %u mutations of each, seed %llu (COLDSTREAM_SEED)\n", input_count, mutations,
           (unsigned long long)seed);
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    for (uint32_t i = 0; i < input_count; i++) {
        for (uint32_t n = 0; n <= mutations; n++) { /* 0: as it is */
            struct rng rng = rng_stream(seed, RNG_TEST, i, n);
            size_t size = inputs[i].size;
            memcpy(data, inputs[i].data, size);
            for (uint32_t times = n == 0 ? 0 : 1 + rng_below(&rng, 4); times > 0; times--)
                size = mutate_once(&rng, data, size);
            snprintf(where, sizeof where,
                     "died on mutation %u of %s, seed %llu; saved, run it again\n", n,
                     inputs[i].path, (unsigned long long)seed);
            run(data, size);
        }
    }
    free(data);
    for (uint32_t i = 0; i < input_count; i++) {
        free(inputs[i].path);
        free(inputs[i].data);
    }
    return EXIT_SUCCESS;
}
