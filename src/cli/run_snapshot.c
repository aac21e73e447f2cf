#include "cli/run_snapshot.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/restore.h"
#include "model/snapshot.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of the note: epoch, application and prefix (a byte of length before each), number of ends, and of each topic, partition, offset. */
#define END_BYTES 16u
#define NAME_BYTES_MAX 255u
#define NOTE_BYTES_MAX (8 + 2 * (1 + NAME_BYTES_MAX) + 4 + OUTPUT_PARTITIONS_MAX * END_BYTES)

static bool wanted(const struct session *session) {
    return session->settings.snapshot_folder[0] != '\0';
}

static void path_of(const struct session *session, const char *suffix, char path[FILE_PATH_BYTES]) {
    snprintf(path, FILE_PATH_BYTES, "%s/" SNAPSHOT_FILE "%s", session->settings.snapshot_folder,
             suffix);
}

/* ---- the note ---- */

static size_t put_name(uint8_t *out, const char *name) {
    size_t len = strlen(name);
    out[0] = (uint8_t)len;
    memcpy(out + 1, name, len);
    return 1 + len;
}

static size_t write_note(const struct session *session, const struct manifest *manifest,
                         uint8_t out[NOTE_BYTES_MAX]) {
    size_t len = 12;
    put_be64(out, manifest->epoch);
    put_be32(out + 8, manifest->end_count);
    len += put_name(out + len, session->settings.kafka_application);
    len += put_name(out + len, session->settings.kafka_prefix);
    for (uint32_t i = 0; i < manifest->end_count; i++, len += END_BYTES) {
        put_be32(out + len, (uint32_t)manifest->ends[i].topic);
        put_be32(out + len + 4, (uint32_t)manifest->ends[i].partition);
        put_be64(out + len + 8, (uint64_t)manifest->ends[i].end_offset);
    }
    return len;
}

/* What comes next in the note; NULL when it is shorter. */
static const uint8_t *take(struct bytes *note, size_t len) {
    if (note->len < len)
        return NULL;
    const uint8_t *at = note->data;
    *note = bytes_of(at + len, note->len - len);
    return at;
}

static bool take_name(struct bytes *note, struct bytes *name) {
    const uint8_t *len = take(note, 1), *text = len != NULL ? take(note, *len) : NULL;
    if (text != NULL)
        *name = bytes_of(text, *len);
    return text != NULL;
}

struct identity {
    struct bytes application, prefix;
};

static bool read_note(struct session *session, struct bytes bytes, struct identity *identity,
                      struct snapshot_note *out) {
    const uint8_t *head = take(&bytes, 12);
    if (head == NULL || !take_name(&bytes, &identity->application) ||
        !take_name(&bytes, &identity->prefix))
        return false;
    uint32_t count = get_be32(head + 8);
    if (count > OUTPUT_PARTITIONS_MAX || bytes.len != count * END_BYTES)
        return false;
    struct output_end *ends = arena_must(&session->arena, (count + 1) * sizeof *ends);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *end = take(&bytes, END_BYTES);
        ends[i] = (struct output_end){(enum topic)get_be32(end), (int32_t)get_be32(end + 4),
                                      (int64_t)get_be64(end + 8)};
    }
    *out = (struct snapshot_note){get_be64(head), ends, count};
    return true;
}

/* ---- reading ---- */

void run_snapshot_set_aside(const struct session *session, const char *why) {
    char path[FILE_PATH_BYTES], aside[FILE_PATH_BYTES];
    if (!wanted(session))
        return;
    path_of(session, "", path);
    path_of(session, ".aside", aside);
    if (rename(path, aside) != 0)
        snprintf(aside, sizeof aside, "%s", strerror(errno));
    log_warn("snapshot.set_aside", LOG_TEXT("path", path), LOG_TEXT("to", aside),
             LOG_TEXT("reason", why), LOG_TEXT("remedy", "none needed: the log has everything"));
}

static enum status check_identity(const struct session *session, const struct identity *identity,
                                  struct error *err) {
    const struct settings *s = &session->settings;
    if (bytes_equal(identity->application, bytes_text(s->kafka_application)) &&
        bytes_equal(identity->prefix, bytes_text(s->kafka_prefix)))
        return OK;
    return FAIL_SEE(
        err, FATAL, EX_CONFIG, "snapshot-folder",
        "%s has the snapshot of kafka.application \"%.*s\" with kafka.prefix \"%.*s\": give "
        "this stage another snapshot.folder, or delete " SNAPSHOT_FILE " there",
        s->snapshot_folder, (int)identity->application.len,
        (const char *)identity->application.data, (int)identity->prefix.len,
        (const char *)identity->prefix.data);
}

enum status run_snapshot_read(struct session *session, struct snapshot_note *note,
                              struct error *err) {
    char path[FILE_PATH_BYTES];
    struct bytes bytes;
    struct identity identity = {{0}, {0}};
    int64_t begun_ms = clock_ms();
    *note = (struct snapshot_note){0};
    if (!wanted(session))
        return OK;
    path_of(session, "", path);
    struct tables *tables = stage_tables(session->stage);
    enum status status = snapshot_read(path, tables, &session->arena, &bytes, err);
    if (status == RETRY)
        return OK;
    if (status == OK && !read_note(session, bytes, &identity, note)) {
        tables_clear(tables);
        status = FAIL(err, BAD_RECORD, EX_DATAERR, "it does not say where in the log it stands");
    }
    if (status == BAD_RECORD) {
        run_snapshot_set_aside(session, err->text);
        return OK;
    }
    TRY(status);
    TRY(check_identity(session, &identity, err));
    log_info("snapshot.read", LOG_TEXT("path", path), LOG_UINT("epoch", note->epoch),
             LOG_INT("ms", clock_ms() - begun_ms));
    return OK;
}

/* ---- writing ---- */

static enum status write_file(const struct session *session, const struct manifest *manifest,
                              struct error *err) {
    char path[FILE_PATH_BYTES];
    uint8_t note[NOTE_BYTES_MAX];
    size_t len = write_note(session, manifest, note);
    path_of(session, "", path);
    return snapshot_write(path, stage_tables(session->stage), bytes_of(note, len), err);
}

/* The child has this one thread, and whatever locks the others held stay locked: no log, no heap, no exit handlers. */
static _Noreturn void child(const struct session *session, const struct manifest *manifest,
                            pid_t parent, int says) {
    static const int left_to_parent[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
    struct error err = {0};
    for (size_t i = 0; i < sizeof left_to_parent / sizeof *left_to_parent; i++)
        signal(left_to_parent[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and its lock on the folder goes with it */
    if (getppid() != parent)
        _exit(EX_TEMPFAIL);
    enum status status = write_file(session, manifest, &err);
    if (status != OK && write(says, err.text, strlen(err.text)) < 0)
        _exit(EX_IOERR);
    _exit(status == OK ? EX_OK : EX_IOERR);
}

static void begin(struct run_snapshot *s, const struct session *session,
                  const struct manifest *manifest) {
    int ends[2];
    int64_t begun_ms = clock_ms();
    s->last_epoch = manifest->epoch; /* also when it fails: the next try is snapshot.epochs on */
    if (pipe2(ends, O_CLOEXEC) != 0) {
        log_warn("snapshot.failed", LOG_UINT("epoch", manifest->epoch), LOG_TEXT("call", "pipe"),
                 LOG_TEXT("text", strerror(errno)));
        return;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(session, manifest, parent, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        log_warn("snapshot.failed", LOG_UINT("epoch", manifest->epoch), LOG_TEXT("call", "fork"),
                 LOG_TEXT("text", strerror(errno)));
        close(ends[0]);
        return;
    }
    s->child = pid;
    s->child_says = ends[0];
    s->child_epoch = manifest->epoch;
    s->begun_ms = begun_ms;
    log_info("snapshot.begun", LOG_UINT("epoch", manifest->epoch),
             LOG_INT("held_up_ms", clock_ms() - begun_ms));
}

/* Whether no child is at work (any more). */
static bool idle(struct run_snapshot *s, bool wait) {
    int result = 0;
    char text[sizeof((struct error *)0)->text] = "killed";
    if (s->child == 0)
        return true;
    pid_t pid = waitpid(s->child, &result, wait ? 0 : WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    if (pid > 0 && WIFEXITED(result) && WEXITSTATUS(result) == EX_OK) {
        log_info("snapshot.written", LOG_UINT("epoch", s->child_epoch),
                 LOG_INT("ms", clock_ms() - s->begun_ms));
    } else {
        ssize_t len = read(s->child_says, text, sizeof text - 1);
        if (len > 0)
            text[len] = '\0';
        log_warn("snapshot.failed", LOG_UINT("epoch", s->child_epoch), LOG_TEXT("text", text),
                 LOG_TEXT("remedy", "none needed to run on: a restart folds more of the log"));
    }
    close(s->child_says);
    s->child = 0;
    return true;
}

void run_snapshot_serve(struct run_snapshot *s, const struct session *session,
                        const struct manifest *manifest) {
    uint64_t every = session->settings.snapshot_epochs;
    struct stage_totals totals;
    if (s->folder_fd < 0 || !idle(s, false) || every == 0)
        return;
    stage_totals(session->stage, &totals);
    if (manifest->epoch == 0 || manifest->epoch != totals.epochs) /* none, or rolled back */
        return;
    if (s->last_epoch == 0)
        s->last_epoch = manifest->epoch - 1; /* counting from where this instance began */
    if (manifest->epoch - s->last_epoch >= every)
        begin(s, session, manifest);
}

/* ---- the folder ---- */

static bool is_leftover(const char *name) {
    size_t len = strlen(name);
    return strncmp(name, SNAPSHOT_FILE ".", strlen(SNAPSHOT_FILE) + 1) == 0 && len > 4 &&
           strcmp(name + len - 4, ".tmp") == 0;
}

static void remove_leftovers(const struct run_snapshot *s) {
    int fd = openat(s->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (is_leftover(entry->d_name) && unlinkat(s->folder_fd, entry->d_name, 0) == 0)
            log_info("snapshot.leftover_removed", LOG_TEXT("file", entry->d_name));
    closedir(folder);
}

enum status run_snapshot_open(struct run_snapshot *s, const struct session *session,
                              struct error *err) {
    const char *folder = session->settings.snapshot_folder;
    *s = (struct run_snapshot){.folder_fd = -1};
    if (!wanted(session))
        return OK;
    TRY(file_make_folders(folder, err));
    s->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->folder_fd < 0)
        return FAIL_SEE(err, FATAL, EX_CANTCREAT, "snapshot-folder", "snapshot.folder %s: %s",
                        folder, strerror(errno));
    if (flock(s->folder_fd, LOCK_EX | LOCK_NB) != 0)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "snapshot-folder",
                        "snapshot.folder %s: another instance has it: give each instance its own",
                        folder);
    remove_leftovers(s);
    return OK;
}

void run_snapshot_close(struct run_snapshot *s, const struct session *session,
                        const struct manifest *manifest) {
    struct stage_totals totals = {0};
    if (s->folder_fd < 0)
        return;
    if (manifest != NULL && session->stage != NULL)
        stage_totals(session->stage, &totals);
    while (!idle(s, true)) {
    }
    if (totals.epochs > 0 && manifest->epoch == totals.epochs && manifest->epoch != s->last_epoch &&
        session->settings.snapshot_epochs > 0) {
        begin(s, session, manifest);
        while (!idle(s, true)) {
        }
    }
    close(s->folder_fd);
    s->folder_fd = -1;
}
