#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/poison.h"

/* One write() at most: the kernel takes less than 2 GiB at a time. */
#define CHUNK_BYTES ((size_t)1 << 30)

static int read_exit_code(int reason) {
    bool absent = reason == ENOENT || reason == ENOTDIR || reason == EACCES || reason == EISDIR;
    return absent ? EX_NOINPUT : EX_IOERR;
}

static int create_exit_code(int reason) {
    switch (reason) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
    case EEXIST:
    case EISDIR:
        return EX_CANTCREAT;
    default:
        return EX_IOERR;
    }
}

bool file_exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum status file_open(struct file_input *input, const char *path, struct error *err) {
    *input = (struct file_input){.path = path, .fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    int reason = 0;
    if (fd < 0 || fstat(fd, &about) != 0)
        reason = errno;
    else if (S_ISDIR(about.st_mode))
        reason = EISDIR;
    if (reason != 0) {
        if (fd >= 0)
            close(fd);
        return FAIL(err, FATAL, read_exit_code(reason), "%s: cannot open for reading: %s", path,
                    strerror(reason));
    }
    input->fd = fd;
    input->bytes = (uint64_t)about.st_size;
    return OK;
}

enum status file_read_at(const struct file_input *input, uint64_t offset, void *out, size_t len,
                         struct error *err) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(input->fd, (char *)out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FAIL(err, FATAL, EX_IOERR, "%s: cannot read at byte %llu: %s", input->path,
                        (unsigned long long)(offset + done), strerror(errno));
        if (n == 0)
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s: ends at byte %llu, %zu bytes before what was expected", input->path,
                        (unsigned long long)(offset + done), len - done);
        done += (size_t)n;
    }
    return OK;
}

void file_close(struct file_input *input) {
    if (input->fd >= 0)
        close(input->fd);
    input->fd = -1;
}

static enum status load_open(const struct file_input *input, struct arena *arena, size_t bytes_max,
                             struct bytes *out, struct error *err) {
    if (input->bytes > bytes_max)
        return FAIL(err, FATAL, EX_DATAERR, "%s: has %llu bytes, more than the limit of %zu",
                    input->path, (unsigned long long)input->bytes, bytes_max);
    size_t len = (size_t)input->bytes;
    char *content = arena_alloc(arena, len + 1);
    if (content == NULL)
        return FAIL(err, FATAL, EX_DATAERR, "%s: its %zu bytes do not fit into the memory for %s",
                    input->path, len, arena->name);
    TRY(file_read_at(input, 0, content, len, err));
    content[len] = '\0';
    *out = bytes_of(content, len);
    return OK;
}

enum status file_load(const char *path, struct arena *arena, size_t bytes_max, struct bytes *out,
                      struct error *err) {
    struct file_input input;
    TRY(file_open(&input, path, err));
    size_t mark = arena_mark(arena);
    enum status status = load_open(&input, arena, bytes_max, out, err);
    if (status != OK)
        arena_rewind(arena, mark);
    file_close(&input);
    return status;
}

/* Writes the path of the folder that holds `path`. */
static void parent_folder(const char *path, char folder[FILE_PATH_BYTES]) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        strcpy(folder, ".");
    else if (slash == path)
        strcpy(folder, "/");
    else
        snprintf(folder, FILE_PATH_BYTES, "%.*s", (int)(slash - path), path);
}

enum status file_create(struct file_output *output, const char *path, struct error *err) {
    output->fd = -1;
    /* The process id keeps two stages that share a folder by mistake from writing into one file. */
    int length =
        snprintf(output->temporary, sizeof output->temporary, "%s.%ld.tmp", path, (long)getpid());
    if (length >= (int)sizeof output->temporary)
        return FAIL(err, FATAL, EX_CANTCREAT, "%.200s...: the path is longer than %d bytes", path,
                    FILE_PATH_BYTES - 32);
    strcpy(output->path, path);
    output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (output->fd < 0)
        return FAIL(err, FATAL, create_exit_code(errno), "%s: cannot create: %s", output->temporary,
                    strerror(errno));
    return OK;
}

static enum status fail_output(struct file_output *output, int reason, const char *what,
                               struct error *err) {
    file_abandon(output);
    return FAIL(err, FATAL, EX_IOERR, "%s: cannot %s: %s", output->path, what, strerror(reason));
}

enum status file_append(struct file_output *output, const void *data, size_t len,
                        struct error *err) {
    ASSERT(output->fd >= 0);
    size_t done = 0;
    while (done < len) {
        size_t chunk = len - done < CHUNK_BYTES ? len - done : CHUNK_BYTES;
        ssize_t n = write(output->fd, (const char *)data + done, chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_output(output, errno, "write", err);
        done += (size_t)n;
    }
    return OK;
}

/* A name in a folder is durable only when the folder is. */
static int sync_folder_of(const char *path) {
    char folder[FILE_PATH_BYTES];
    parent_folder(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int reason = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return reason;
}

enum status file_commit(struct file_output *output, struct error *err) {
    ASSERT(output->fd >= 0);
    if (fsync(output->fd) != 0)
        return fail_output(output, errno, "fsync", err);
    int fd = output->fd;
    output->fd = -1;
    const char *what = "close";
    int reason = close(fd) == 0 ? 0 : errno;
    if (reason == 0 && rename(output->temporary, output->path) != 0) {
        reason = errno;
        what = "rename the temporary file to it";
    }
    if (reason != 0) {
        unlink(output->temporary);
        return FAIL(err, FATAL, create_exit_code(reason), "%s: cannot %s: %s", output->path, what,
                    strerror(reason));
    }
    reason = sync_folder_of(output->path);
    if (reason != 0)
        return FAIL(err, FATAL, EX_IOERR, "%s: cannot fsync its folder: %s", output->path,
                    strerror(reason));
    return OK;
}

void file_abandon(struct file_output *output) {
    if (output->fd < 0)
        return;
    close(output->fd);
    output->fd = -1;
    unlink(output->temporary);
}

enum status file_save(const char *path, struct bytes content, struct error *err) {
    struct file_output output;
    TRY(file_create(&output, path, err));
    TRY(file_append(&output, content.data, content.len, err));
    return file_commit(&output, err);
}

static enum status make_folder(const char *path, struct error *err) {
    if (mkdir(path, 0777) == 0)
        return OK;
    int reason = errno;
    struct stat about;
    if (stat(path, &about) == 0) {
        if (S_ISDIR(about.st_mode))
            return OK;
        reason = ENOTDIR;
    }
    return FAIL(err, FATAL, create_exit_code(reason), "%s: cannot make this folder: %s", path,
                strerror(reason));
}

enum status file_make_folders(const char *path, struct error *err) {
    char part[FILE_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return FAIL(err, FATAL, EX_CANTCREAT, "%.200s: not a path of 1 to %d bytes", path,
                    FILE_PATH_BYTES - 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        TRY(make_folder(part, err));
    }
    return OK;
}
