/* Bytes -> operations on the table engine beside its plain twin. Each choice takes one byte, or two
 * where more than 256 things can be chosen from; byte 0 of a step ends the epoch when it is below
 * 16. */
#include "../model/table_twin.h"

#define ROWS_MAX 70u /* a little more than one word of positions */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t choose(void *context, uint32_t bound) {
    struct bytes *left = context;
    uint32_t number = 0;
    for (uint32_t reach = 1; reach < bound && left->len > 0; reach <<= 8) {
        number = number << 8 | *left->data++;
        left->len--;
    }
    return number % bound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes left = bytes_of(data, size < 1024 ? size : 1024);
    struct twin *twin = twin_create(ROWS_MAX, (struct chooser){choose, &left});
    while (left.len > 0) {
        if (choose(&left, 256) < 16)
            twin_end_epoch(twin);
        else
            twin_step(twin);
    }
    twin_end_epoch(twin);
    twin_destroy(twin);
    return 0;
}
