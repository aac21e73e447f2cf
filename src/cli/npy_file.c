#include "cli/npy_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES_MAX 4096
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "float32 is read as it lies in the file");

static enum status wrong(const struct npy_file *file, struct error *err, const char *what) {
    return FAIL(err, FATAL, EX_DATAERR,
                "%s: %s; write it with numpy.save(path, array.astype('<f4')), one row per item",
                file->input.path, what);
}

/* The text behind 'key': in the header's Python dictionary, or NULL. */
static const char *value_of(const char *header, const char *key) {
    const char *at = strstr(header, key);
    at = at ? strchr(at, ':') : NULL;
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

static enum status parse_header(struct npy_file *file, const char *header, uint32_t columns_max,
                                struct error *err) {
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    unsigned long long rows, columns;
    int used = 0;
    if (type == NULL || strncmp(type, "'<f4'", 5) != 0)
        return wrong(file, err, "its numbers are not float32");
    if (order == NULL || strncmp(order, "False", 5) != 0)
        return wrong(file, err, "it lies in Fortran order");
    if (shape == NULL || sscanf(shape, "(%llu, %llu%n", &rows, &columns, &used) != 2 ||
        shape[used] != ')')
        return wrong(file, err, "it is no matrix");
    if (columns == 0 || columns > columns_max)
        return FAIL(err, FATAL, EX_DATAERR, "%s: has %llu columns; possible is 1 to %u",
                    file->input.path, columns, columns_max);
    file->rows = rows;
    file->columns = (uint32_t)columns;
    uint64_t row_bytes = (uint64_t)file->columns * sizeof(float);
    if (rows > (file->input.bytes - file->data_offset) / row_bytes)
        return FAIL(err, FATAL, EX_DATAERR,
                    "%s: ends before the %llu rows that its header promises", file->input.path,
                    rows);
    return OK;
}

static enum status read_header(struct npy_file *file, uint32_t columns_max, struct error *err) {
    uint8_t start[12] = {0};
    char header[HEADER_BYTES_MAX + 1];
    if (file->input.bytes < sizeof start)
        return wrong(file, err, "it is no .npy file");
    TRY(file_read_at(&file->input, 0, start, sizeof start, err));
    if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3)
        return wrong(file, err, "it is no .npy file");
    size_t length = (size_t)start[8] | (size_t)start[9] << 8, at = 10;
    if (start[6] > 1) {
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
        at = 12;
    }
    if (length > HEADER_BYTES_MAX || at + length > file->input.bytes)
        return wrong(file, err, "its header is too long");
    TRY(file_read_at(&file->input, at, header, length, err));
    header[length] = '\0';
    file->data_offset = at + length;
    return parse_header(file, header, columns_max, err);
}

enum status npy_file_open(struct npy_file *file, const char *path, uint32_t columns_max,
                          struct error *err) {
    *file = (struct npy_file){0};
    TRY(file_open(&file->input, path, err));
    enum status status = read_header(file, columns_max, err);
    if (status != OK)
        npy_file_close(file);
    return status;
}

enum status npy_file_row(const struct npy_file *file, uint64_t row, float *out, struct error *err) {
    ASSERT(row < file->rows);
    size_t row_bytes = (size_t)file->columns * sizeof(float);
    return file_read_at(&file->input, file->data_offset + row * row_bytes, out, row_bytes, err);
}

void npy_file_close(struct npy_file *file) {
    file_close(&file->input);
}
