/* sealed.log: one line for each epoch whose records are in the files, with how far each file
 * reached:
 *
 *   epoch=12 semantic-ids-0=4096:17:17:1700000000000:1700000360000 ... sum=0123456789abcdef
 *            <file>=<bytes>:<next offset>:<records>:<smallest timestamp>:<largest timestamp>
 *
 * The line is written after the blocks, so it never promises what is not there when only the
 * process dies. When the machine dies the kernel may have kept the line and lost a block: so
 * lengths and the last sync marker are looked at, too, and the line before is taken when they do
 * not fit. The file is there from the first moment: it tells our folder. */
#include "transport/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/poison.h"

#define LOG_FILE "sealed.log"
#define LOG_BYTES_MAX ((size_t)4 << 30)

static void log_path(const struct recording_writer *w, char out[FILE_PATH_BYTES]) {
    snprintf(out, FILE_PATH_BYTES, "%s/" LOG_FILE, w->dir);
}

/* ---- opening ---- */

static enum status look(const char *dir, bool *empty, bool *log, bool *finished,
                        struct error *err) {
    *empty = true;
    *log = *finished = false;
    DIR *folder = opendir(dir);
    if (folder == NULL && errno == ENOENT)
        return OK;
    if (folder == NULL)
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: %s", dir, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *empty = false;
        *log |= strcmp(entry->d_name, LOG_FILE) == 0;
        *finished |= strcmp(entry->d_name, "recording.yaml") == 0;
    }
    closedir(folder);
    return OK;
}

enum status sealed_open(struct recording_writer *w, bool resume, struct error *err) {
    bool empty, log, finished;
    TRY(look(w->dir, &empty, &log, &finished, err));
    if (!empty && !resume)
        return FAIL(err, FATAL, EX_CANTCREAT,
                    "%s is not empty; choose another folder, or resume the recording in it",
                    w->dir);
    if (!empty && !log)
        return FAIL(err, FATAL, EX_CANTCREAT,
                    "%s is not empty, and has no " LOG_FILE ": no recording that can be resumed",
                    w->dir);
    TRY(file_make_folders(w->dir, err));
    char path[FILE_PATH_BYTES];
    log_path(w, path);
    w->log_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->log_fd < 0)
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: cannot create: %s", path, strerror(errno));
    if (flock(w->log_fd, LOCK_EX | LOCK_NB) != 0)
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: another process is writing this recording",
                    w->dir);
    return OK;
}

/* ---- one line ---- */

enum status sealed_append(struct recording_writer *w, struct error *err) {
    int len = snprintf(w->line, w->line_max, "epoch=%" PRIu64, w->epoch);
    for (uint32_t i = 0; i < w->slot_count; i++) {
        const struct slot *slot = &w->slots[i];
        len +=
            snprintf(w->line + len, w->line_max - (size_t)len,
                     " %s-%d=%" PRIu64 ":%" PRId64 ":%" PRId64 ":%" PRId64 ":%" PRId64,
                     topic_name(slot->topic), slot->partition, slot->bytes, slot->now.next_offset,
                     slot->now.count, slot->now.first_timestamp_ms, slot->now.last_timestamp_ms);
    }
    uint64_t sum = hash64(w->line, (size_t)len, 0);
    len += snprintf(w->line + len, w->line_max - (size_t)len, " sum=%016" PRIx64 "\n", sum);
    ASSERT((size_t)len < w->line_max);
    char path[FILE_PATH_BYTES];
    log_path(w, path);
    TRY(write_at(w->log_fd, path, w->log_bytes, w->line, (size_t)len, err));
    w->log_bytes += (uint64_t)len;
    for (uint32_t i = 0; i < w->slot_count; i++)
        w->slots[i].sealed = w->slots[i].now;
    return OK;
}

/* True when the line (NUL-terminated, without its newline) is whole: its sum fits. Cuts the sum
 * off. */
static bool whole(char *line, size_t len) {
    const size_t tail = strlen(" sum=0123456789abcdef");
    uint64_t sum;
    int used = 0;
    if (len <= tail || sscanf(line + len - tail, " sum=%16" SCNx64 "%n", &sum, &used) != 1 ||
        (size_t)used != tail || hash64(line, len - tail, 0) != sum)
        return false;
    line[len - tail] = '\0';
    return true;
}

/* A whole line's numbers into the slots. FATAL when it is of other topics or partitions: the
 * folder is another run's. */
static enum status parse(struct recording_writer *w, const char *line, uint64_t *epoch,
                         struct error *err) {
    int used = 0;
    bool fits = sscanf(line, "epoch=%" SCNu64 "%n", epoch, &used) == 1;
    for (uint32_t i = 0; fits && i < w->slot_count; i++) {
        struct slot *slot = &w->slots[i];
        char name[96];
        line += used;
        int name_bytes =
            snprintf(name, sizeof name, " %s-%d=", topic_name(slot->topic), slot->partition);
        fits = strncmp(line, name, (size_t)name_bytes) == 0;
        line += fits ? name_bytes : 0;
        fits = fits && sscanf(line, "%" SCNu64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64 "%n",
                              &slot->bytes, &slot->sealed.next_offset, &slot->sealed.count,
                              &slot->sealed.first_timestamp_ms, &slot->sealed.last_timestamp_ms,
                              &used) == 5;
        slot->now = slot->sealed;
    }
    if (!fits || line[used] != '\0')
        return FAIL(
            err, FATAL, EX_CONFIG,
            "%s was written with other topics or partitions than are configured now; resume "
            "it with the configuration that it was begun with",
            w->dir);
    return OK;
}

/* ---- resuming ---- */

/* The file is as long as the line says and a block ends there. */
static bool reaches(const struct slot *slot) {
    uint8_t sync[CONTAINER_SYNC_BYTES];
    struct stat about;
    return slot->fd >= 0 && fstat(slot->fd, &about) == 0 &&
           (uint64_t)about.st_size >= slot->bytes && slot->bytes >= sizeof sync &&
           pread(slot->fd, sync, sizeof sync, (off_t)(slot->bytes - sizeof sync)) == sizeof sync &&
           memcmp(sync, slot->sync, sizeof sync) == 0;
}

/* The files as they are; one that is absent reaches nowhere. */
static enum status open_files(struct recording_writer *w, struct error *err) {
    for (uint32_t i = 0; i < w->slot_count; i++) {
        char path[FILE_PATH_BYTES];
        slot_path(w, &w->slots[i], path);
        w->slots[i].fd = open(path, O_RDWR | O_CLOEXEC);
        if (w->slots[i].fd < 0 && errno != ENOENT)
            return FAIL(err, FATAL, EX_CANTCREAT, "%s: cannot open for writing: %s", path,
                        strerror(errno));
    }
    return OK;
}

/* What follows in the files must be of the same form: same compression, same schema. */
static enum status check_headers(struct recording_writer *w, struct error *err) {
    for (uint32_t i = 0; i < w->slot_count; i++) {
        const struct slot *slot = &w->slots[i];
        size_t len = container_header(w->deflater != NULL, slot->sync, w->header);
        if (pread(slot->fd, w->payload, len, 0) != (ssize_t)len ||
            memcmp(w->payload, w->header, len) != 0)
            return FAIL(err, FATAL, EX_CONFIG,
                        "%s/%s-%d.avro was begun with another compression or by another version; "
                        "resume it with what it was begun with, or start anew",
                        w->dir, topic_name(slot->topic), slot->partition);
    }
    return OK;
}

static enum status cut_file(int fd, const char *path, uint64_t bytes, struct error *err) {
    if (ftruncate(fd, (off_t)bytes) != 0)
        return FAIL(err, FATAL, EX_IOERR, "%s: cannot cut: %s", path, strerror(errno));
    return OK;
}

static enum status cut(struct recording_writer *w, struct error *err) {
    char path[FILE_PATH_BYTES];
    for (uint32_t i = 0; i < w->slot_count && w->slots[i].fd >= 0; i++) {
        slot_path(w, &w->slots[i], path);
        TRY(cut_file(w->slots[i].fd, path, w->slots[i].bytes, err));
    }
    log_path(w, path);
    return cut_file(w->log_fd, path, w->log_bytes, err);
}

/* The last line of `text` that is whole and that the files reach; its end is w->log_bytes. */
static enum status last_good_line(struct recording_writer *w, char *text, size_t len,
                                  uint64_t *epoch, struct error *err) {
    while (len > 0) {
        const char *newline = memrchr(text, '\n', len);
        size_t end = newline != NULL ? (size_t)(newline - text) : 0;
        const char *before = end > 0 ? memrchr(text, '\n', end) : NULL;
        size_t start = before != NULL ? (size_t)(before + 1 - text) : 0;
        if (newline == NULL)
            return OK;
        text[end] = '\0';
        len = start;
        if (!whole(text + start, end - start))
            continue;
        TRY(parse(w, text + start, epoch, err));
        bool all = true;
        for (uint32_t i = 0; i < w->slot_count; i++)
            all = all && reaches(&w->slots[i]);
        w->log_bytes = end + 1;
        if (all)
            return OK;
        *epoch = 0;
    }
    return OK;
}

static void forget(struct recording_writer *w) {
    w->log_bytes = 0;
    for (uint32_t i = 0; i < w->slot_count; i++) {
        struct slot *slot = &w->slots[i];
        if (slot->fd >= 0)
            close(slot->fd);
        slot->fd = -1;
        slot->bytes = 0;
        slot->now = slot->sealed = (struct reached){0};
    }
}

enum status sealed_restore(struct recording_writer *w, uint64_t *epoch, struct error *err) {
    char path[FILE_PATH_BYTES];
    struct arena arena;
    struct bytes text;
    *epoch = 0;
    log_path(w, path);
    TRY(open_files(w, err));
    TRY(arena_reserve(&arena, LOG_FILE, LOG_BYTES_MAX, err));
    enum status status = file_load(path, &arena, LOG_BYTES_MAX - 1, &text, err);
    if (status == OK && w->slot_count > 0)
        status = last_good_line(w, (char *)(uintptr_t)text.data, text.len, epoch, err);
    arena_release(&arena);
    TRY(status);
    snprintf(path, sizeof path, "%s/recording.yaml", w->dir);
    bool finished = access(path, F_OK) == 0;
    if (*epoch == 0 && finished)
        return FAIL(err, FATAL, EX_CANTCREAT,
                    "%s is a finished recording without epochs: nothing to resume", w->dir);
    if (finished && unlink(path) != 0) /* until it is finished again */
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: cannot take it away: %s", path, strerror(errno));
    if (*epoch > 0)
        TRY(check_headers(w, err));
    else
        forget(w); /* the files are made anew */
    return cut(w, err);
}
