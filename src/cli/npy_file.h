/* A matrix of float32 in NumPy's .npy format (versions 1 to 3), read row by row. */
#ifndef CLI_NPY_FILE_H
#define CLI_NPY_FILE_H

#include "base/file.h"

struct npy_file {
    struct file_input input;
    uint64_t data_offset;
    uint64_t rows;
    uint32_t columns;
};

/* `path` is borrowed until npy_file_close. EX_NOINPUT when it is absent; EX_DATAERR when it is
 * anything but a C-ordered little-endian float32 matrix of 1 .. columns_max columns, or ends too
 * soon. */
enum status npy_file_open(struct npy_file *file, const char *path, uint32_t columns_max,
                          struct error *err);
/* out [columns] */
enum status npy_file_row(const struct npy_file *file, uint64_t row, float *out, struct error *err);
void npy_file_close(struct npy_file *file);

#endif
