/* CSV and TSV files with a header line, gzip or not. A header with a tab makes it TSV.
 *
 * Quotes as in RFC 4180, in both kinds: a field that begins with " ends at the next " that is
 * not doubled. A quoted field of a CSV file may hold line breaks; in a TSV file a quote that
 * does not close in its line is an error. Lines end with LF or CRLF; empty lines are skipped. */
#ifndef CLI_TABLE_FILE_H
#define CLI_TABLE_FILE_H

#include "base/arena.h"
#include "base/bytes.h"

#define TABLE_FILE_COLUMNS_MAX 256
#define TABLE_FILE_RECORD_BYTES_MAX (1u << 20)
#define TABLE_FILE_INPUT_BYTES (1u << 18)

struct table_file {
    const char *path;
    void *stream;   /* zlib's */
    uint64_t bytes; /* of the file, as it lies on disk */
    char delimiter;
    uint64_t line; /* of the current record's first line; the header is in line 1 */
    uint64_t lines_read;
    uint32_t column_count;
    struct bytes names[TABLE_FILE_COLUMNS_MAX];
    struct bytes fields[TABLE_FILE_COLUMNS_MAX]; /* of the current record, until the next */
    char *record;
    size_t record_bytes;
    char *input;
    size_t input_at, input_end;
};

/* Opens and reads the header; `path` is borrowed until table_file_close. EX_NOINPUT when it is
 * absent, EX_DATAERR when it has no header or no gzip data where it begins like that. */
enum status table_file_open(struct table_file *file, const char *path, struct arena *arena,
                            struct error *err);
/* The next record; OK and *got = false at the end. BAD_RECORD: this record is malformed
 * (err->text begins with "path:line: "), the next call goes on behind it. FATAL: the file cannot
 * be read. */
enum status table_file_next(struct table_file *file, bool *got, struct error *err);
/* The column of this name, -1 when there is none. */
int table_file_column(const struct table_file *file, const char *name);
/* How far it is read, 0 to 1. */
double table_file_share(const struct table_file *file);
void table_file_close(struct table_file *file);

#endif
