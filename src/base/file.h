/* Files: whole reads with a limit, reads by piece, and writes that a crash cannot leave half done.
 * Every error is FATAL and names the path and the system's reason; the exit code tells the kind:
 *   EX_NOINPUT     absent, or not readable
 *   EX_CANTCREAT   the folder is absent, read-only or not ours to write in
 *   EX_DATAERR     larger than the caller's limit
 *   EX_IOERR       any other failure of reading or writing, a full disk included */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/arena.h"
#include "base/bytes.h"

#define FILE_PATH_BYTES 4096

/* The whole file, copied into `arena` with a NUL after its last byte (not counted in out->len). */
enum status file_load(const char *path, struct arena *arena, size_t bytes_max, struct bytes *out,
                      struct error *err);

/* Replaces the file in one step: readers, and a crash at any moment, see the old content or the
 * new. */
enum status file_save(const char *path, struct bytes content, struct error *err);

/* False only when there is nothing of this name. */
bool file_exists(const char *path);

/* The folder and the ones above it, as far as they are absent; mode 0777 less the umask. */
enum status file_make_folders(const char *path, struct error *err);

/* Reading by piece. `path` is borrowed until file_close. */
struct file_input {
    const char *path;
    int fd;
    uint64_t bytes; /* size at opening */
};
enum status file_open(struct file_input *input, const char *path, struct error *err);
/* Exactly `len` bytes from `offset`; EX_DATAERR when the file ends before. */
enum status file_read_at(const struct file_input *input, uint64_t offset, void *out, size_t len,
                         struct error *err);
void file_close(struct file_input *input);

/* Writing by piece under a temporary name beside `path`; file_commit makes it durable and gives it
 * its name. After a failed call the temporary file is gone and the output is closed; file_abandon
 * does the same by choice, and nothing on an output that is closed. */
struct file_output {
    char path[FILE_PATH_BYTES];
    char temporary[FILE_PATH_BYTES];
    int fd;
};
enum status file_create(struct file_output *output, const char *path, struct error *err);
enum status file_append(struct file_output *output, const void *data, size_t len,
                        struct error *err);
enum status file_commit(struct file_output *output, struct error *err);
void file_abandon(struct file_output *output);

#endif
