/* Bytes -> a file of a recording (they begin with "Obj"), or its recording.yaml. Reading ends,
 * offsets go up, and seeking gives what reading on gives. */
#include "transport/reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[512];

/* The folder goes when the process ends in order. */
static void remove_folder(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/interactions-0.avro", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/recording.yaml", folder);
    unlink(path);
    rmdir(folder);
}

static void make_folder(void) {
    const char *build = getenv("COLDSTREAM_BUILD");
    snprintf(folder, sizeof folder, "%s/fuzz-recording-XXXXXX", build != NULL ? build : "/tmp");
    ASSERT(mkdtemp(folder) != NULL);
    atexit(remove_folder);
}

static void put_file(const char *name, const uint8_t *data, size_t size) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* Reads to the end; returns a sum over what came at or past `from`. */
static uint64_t read_on(struct recording_reader *reader, int64_t from, size_t size) {
    uint64_t sum = 0, count = 0;
    int64_t last = INT64_MIN;
    for (;;) {
        struct error err;
        struct record record;
        bool got;
        ASSERT(recording_reader_next(reader, &record, &got, &err) == OK);
        if (!got)
            return sum;
        ASSERT(record.offset >= last);     /* damage has the offset that is expected next */
        ASSERT(++count <= 64 * size + 64); /* every record takes bytes; a deflated one some fewer */
        last = record.offset;
        if (record.offset < from)
            continue;
        sum = hash64(&record.offset, sizeof record.offset, sum + (record.damage != NULL));
        if (record.damage == NULL)
            sum = hash64(record.value.data, record.value.len, sum);
    }
}

static void check_file(const uint8_t *data, size_t size) {
    struct recorded_partition partition = {.topic = TOPIC_INTERACTIONS,
                                           .file = "interactions-0.avro"};
    struct recording_reader *reader;
    struct error err;
    put_file(partition.file, data, size);
    if (recording_reader_open(&reader, folder, &partition, &err) != OK) {
        ASSERT(err.status == FATAL && err.text[0] != '\0');
        return;
    }
    int64_t middle = (int64_t)(size % 50);
    uint64_t sum = read_on(reader, middle, size);
    recording_reader_seek(reader, middle);
    ASSERT(read_on(reader, middle, size) == sum);
    recording_reader_close(reader);
}

static void check_info(const uint8_t *data, size_t size) {
    struct recording_info info;
    struct arena arena;
    struct error err;
    put_file("recording.yaml", data, size);
    ASSERT(arena_reserve(&arena, "fuzz", (size_t)64 << 20, &err) == OK);
    enum status status = recording_info_read(folder, &arena, &info, &err);
    ASSERT(status == OK || (status == FATAL && err.text[0] != '\0'));
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0')
        make_folder();
    if (size >= 3 && memcmp(data, "Obj", 3) == 0)
        check_file(data, size);
    else
        check_info(data, size);
    return 0;
}
