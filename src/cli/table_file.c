#include "cli/table_file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static enum status fill(struct table_file *file, struct error *err) {
    int got = gzread(file->stream, file->input, TABLE_FILE_INPUT_BYTES);
    int code = Z_OK;
    const char *reason = gzerror(file->stream, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        return FAIL(err, FATAL, code == Z_ERRNO ? EX_IOERR : EX_DATAERR,
                    "%s:%llu: cannot be read on: %s", file->path,
                    (unsigned long long)file->lines_read + 1,
                    code == Z_ERRNO ? strerror(errno) : reason);
    file->input_at = 0;
    file->input_end = (size_t)got;
    return OK;
}

/* Appends the next line, without its end, to the record. *too_long: it did not fit and is cut. */
static enum status read_line(struct table_file *file, bool *got, bool *too_long,
                             struct error *err) {
    *got = false;
    for (;;) {
        if (file->input_at == file->input_end)
            TRY(fill(file, err));
        if (file->input_at == file->input_end)
            break;
        *got = true;
        const char *from = file->input + file->input_at;
        size_t available = file->input_end - file->input_at;
        const char *end = memchr(from, '\n', available);
        size_t length = end ? (size_t)(end - from) : available;
        size_t room = TABLE_FILE_RECORD_BYTES_MAX - file->record_bytes;
        size_t copied = length < room ? length : room;
        *too_long = *too_long || copied < length;
        memcpy(file->record + file->record_bytes, from, copied);
        file->record_bytes += copied;
        file->input_at += length + (end != NULL);
        if (end != NULL)
            break;
    }
    file->lines_read += *got;
    if (file->record_bytes > 0 && file->record[file->record_bytes - 1] == '\r')
        file->record_bytes--;
    return OK;
}

/* Whether the record ends inside a quoted field. */
static bool quote_is_open(const struct table_file *file) {
    if (memchr(file->record, '"', file->record_bytes) == NULL)
        return false;
    bool quoted = false, begins = true;
    for (size_t i = 0; i < file->record_bytes; i++) {
        char c = file->record[i];
        if (quoted) {
            bool doubled = c == '"' && i + 1 < file->record_bytes && file->record[i + 1] == '"';
            i += doubled;
            quoted = c != '"' || doubled;
        } else {
            quoted = begins && c == '"';
        }
        begins = !quoted && c == file->delimiter;
    }
    return quoted;
}

static enum status malformed(const struct table_file *file, struct error *err, uint32_t column,
                             const char *what) {
    struct bytes name = column < file->column_count ? file->names[column] : bytes_text("");
    return FAIL(err, BAD_RECORD, EX_DATAERR, "%s:%llu: column %u%s%.*s%s: %s", file->path,
                (unsigned long long)file->line, column + 1, name.len ? " (" : "", (int)name.len,
                name.len ? (const char *)name.data : "", name.len ? ")" : "", what);
}

/* Takes a quoted field apart in place; *at goes from its opening quote to behind its closing
 * one. False: it does not close. */
static bool unquote(struct table_file *file, size_t *at, struct bytes *out) {
    char *text = file->record;
    size_t from = *at + 1, to = from;
    for (size_t i = from; i < file->record_bytes; i++) {
        if (text[i] == '"') {
            if (i + 1 == file->record_bytes || text[i + 1] != '"') {
                *out = bytes_of(text + from, to - from);
                *at = i + 1;
                return true;
            }
            i++;
        }
        text[to++] = text[i];
    }
    return false;
}

/* The record -> fields; returns how many through *count. */
static enum status split(struct table_file *file, uint32_t *count, struct error *err) {
    size_t at = 0;
    for (*count = 0;; at++) {
        if (*count == TABLE_FILE_COLUMNS_MAX)
            return FAIL(err, BAD_RECORD, EX_DATAERR, "%s:%llu: has more columns than %d",
                        file->path, (unsigned long long)file->line, TABLE_FILE_COLUMNS_MAX);
        struct bytes *field = &file->fields[*count];
        if (at < file->record_bytes && file->record[at] == '"') {
            if (!unquote(file, &at, field))
                return malformed(
                    file, err, *count,
                    "a quote opens and does not close; quotes inside a quoted field are doubled");
            if (at < file->record_bytes && file->record[at] != file->delimiter)
                return malformed(
                    file, err, *count,
                    "text follows the closing quote; quotes inside a quoted field are doubled");
        } else {
            const char *from = file->record + at;
            const char *end = memchr(from, file->delimiter, file->record_bytes - at);
            size_t length = end ? (size_t)(end - from) : file->record_bytes - at;
            *field = bytes_of(from, length);
            at += length;
        }
        ++*count;
        if (at >= file->record_bytes)
            return OK;
        /* file->record[at] is a delimiter: another field follows, even if it is empty */
        if (at + 1 == file->record_bytes) {
            if (*count < TABLE_FILE_COLUMNS_MAX)
                file->fields[*count] = bytes_of(file->record + file->record_bytes, 0);
            ++*count;
            return OK;
        }
    }
}

static enum status read_record(struct table_file *file, bool *got, struct error *err) {
    bool too_long = false;
    do {
        file->record_bytes = 0;
        file->line = file->lines_read + 1;
        TRY(read_line(file, got, &too_long, err));
    } while (*got && file->record_bytes == 0);
    while (*got && !too_long && file->delimiter == ',' && quote_is_open(file)) {
        bool more;
        if (file->record_bytes < TABLE_FILE_RECORD_BYTES_MAX)
            file->record[file->record_bytes++] = '\n';
        TRY(read_line(file, &more, &too_long, err));
        if (!more)
            break;
    }
    if (too_long)
        return FAIL(err, BAD_RECORD, EX_DATAERR,
                    "%s:%llu: is longer than %u bytes; does a quote not close?", file->path,
                    (unsigned long long)file->line, TABLE_FILE_RECORD_BYTES_MAX);
    return OK;
}

enum status table_file_next(struct table_file *file, bool *got, struct error *err) {
    uint32_t count = 0;
    TRY(read_record(file, got, err));
    if (!*got)
        return OK;
    TRY(split(file, &count, err));
    if (count != file->column_count)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "%s:%llu: has %u columns; the header has %u",
                    file->path, (unsigned long long)file->line, count, file->column_count);
    return OK;
}

static enum status read_header(struct table_file *file, struct arena *arena, struct error *err) {
    bool got;
    TRY(read_record(file, &got, err));
    if (!got)
        return FAIL(err, FATAL, EX_DATAERR, "%s: is empty; its first line must name the columns",
                    file->path);
    if (file->record_bytes >= 3 && memcmp(file->record, "\xef\xbb\xbf", 3) == 0) {
        file->record_bytes -= 3;
        memmove(file->record, file->record + 3, file->record_bytes);
    }
    file->delimiter = memchr(file->record, '\t', file->record_bytes) != NULL ? '\t' : ',';
    uint32_t count = 0;
    TRY(split(file, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        char *name = arena_text(arena, (const char *)file->fields[i].data, file->fields[i].len);
        if (name == NULL)
            return FAIL(err, FATAL, EX_OSERR, "%s: no memory for the header", file->path);
        file->names[i] = bytes_of(name, file->fields[i].len);
    }
    file->column_count = count;
    return OK;
}

enum status table_file_open(struct table_file *file, const char *path, struct arena *arena,
                            struct error *err) {
    struct stat info;
    *file = (struct table_file){.path = path, .delimiter = '\t'};
    file->record = arena_alloc(arena, TABLE_FILE_RECORD_BYTES_MAX);
    file->input = arena_alloc(arena, TABLE_FILE_INPUT_BYTES);
    if (file->record == NULL || file->input == NULL)
        return FAIL(err, FATAL, EX_OSERR, "%s: no memory to read it", path);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return FAIL(err, FATAL, EX_NOINPUT, "%s: is a folder", path);
    file->stream = gzopen(path, "rb");
    if (file->stream == NULL)
        return FAIL(err, FATAL, EX_NOINPUT, "%s: cannot open for reading: %s", path,
                    strerror(errno));
    file->bytes = stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
    enum status status = read_header(file, arena, err);
    if (status != OK) {
        table_file_close(file);
        if (err != NULL)
            err->status = FATAL;
        return FATAL;
    }
    return OK;
}

int table_file_column(const struct table_file *file, const char *name) {
    for (uint32_t i = 0; i < file->column_count; i++)
        if (bytes_equal(file->names[i], bytes_text(name)))
            return (int)i;
    return -1;
}

double table_file_share(const struct table_file *file) {
    z_off_t at = gzoffset(file->stream);
    return file->bytes > 0 && at > 0 ? (double)at / (double)file->bytes : 0;
}

void table_file_close(struct table_file *file) {
    if (file->stream != NULL)
        gzclose_r(file->stream);
    file->stream = NULL;
}
