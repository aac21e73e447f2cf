/* The binary interface of libcoldstream 0.x, as programs that were built against it have it: sizes and places of the public structs, values of the
 * enumerations. Within a SOVERSION a line here may be added, and a struct whose size is passed may grow at its end (its LAYOUT is then raised, with the minor
 * version); nothing else may change. docs/HACKING.md has the rule; abi.txt beside this has the functions. */
#include "coldstream/coldstream.h"

#include <stdio.h>
#include <string.h>

#define LAYOUT(type, size) _Static_assert(sizeof(type) == (size), #type)
#define AT(type, member, offset)                                                                   \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define VALUE(name, value) _Static_assert(name == (value), #name)

VALUE(CS_OK, 0);
VALUE(CS_ABSENT, 1);
VALUE(CS_AGAIN, 2);
VALUE(CS_STALE, 3);
VALUE(CS_END, 4);
VALUE(CS_INVALID, 5);
VALUE(CS_CONFIG, 6);
VALUE(CS_DATA, 7);
VALUE(CS_UNAVAILABLE, 8);
VALUE(CS_NO_MEMORY, 9);
VALUE(CS_INTERNAL, 10);
VALUE(CS_TOO_SMALL, 11);
VALUE(CS_KEY_ITEM, 0);
VALUE(CS_KEY_NUMBER, 1);
VALUE(CS_KEY_POSITION, 2);
VALUE(CS_NEW, 0);
VALUE(CS_CONTENT, 1);
VALUE(CS_DRIFT, 2);
VALUE(CS_GENERATION, 3);
VALUE(CS_CODES, 5);
VALUE(CS_VIEWS_MAX, 1024);
_Static_assert(CS_LATEST == 18446744073709551615u, "CS_LATEST");

#if __SIZEOF_POINTER__ == 8
LAYOUT(cs_error, 520);
AT(cs_error, status, 0);
AT(cs_error, exit_code, 4);
AT(cs_error, text, 8);
LAYOUT(cs_stats, 104);
AT(cs_stats, epoch, 0);
AT(cs_stats, newest_epoch, 8);
AT(cs_stats, oldest_epoch, 16);
AT(cs_stats, progress, 24);
AT(cs_stats, rows, 32);
AT(cs_stats, epochs, 40);
AT(cs_stats, resyncs, 48);
AT(cs_stats, gaps, 56);
AT(cs_stats, repeats, 64);
AT(cs_stats, bad_rows, 72);
AT(cs_stats, bad_digests, 80);
AT(cs_stats, memory_bytes, 88);
AT(cs_stats, row_bytes, 96);
LAYOUT(cs_table, 32);
AT(cs_table, name, 0);
AT(cs_table, topic, 8);
AT(cs_table, key, 16);
AT(cs_table, row_bytes, 20);
AT(cs_table, columns, 24);
AT(cs_table, rows_max, 28);
LAYOUT(cs_model, 72);
AT(cs_model, variant, 0);
AT(cs_model, content_dims, 8);
AT(cs_model, z_dims, 12);
AT(cs_model, books, 16);
AT(cs_model, width, 36);
AT(cs_model, history, 40);
AT(cs_model, hidden, 44);
AT(cs_model, gate_hidden, 52);
AT(cs_model, opq_share, 56);
AT(cs_model, cross, 60);
AT(cs_model, reserved, 64);
LAYOUT(cs_epoch, 40);
AT(cs_epoch, epoch, 0);
AT(cs_epoch, timestamp_ms, 8);
AT(cs_epoch, watermark_ms, 16);
AT(cs_epoch, generation, 24);
AT(cs_epoch, codebook_version, 28);
AT(cs_epoch, items, 32);
LAYOUT(cs_item, 80);
AT(cs_item, position, 0);
AT(cs_item, has_sid, 4);
AT(cs_item, codes, 8);
AT(cs_item, previous, 18);
AT(cs_item, has_previous, 28);
AT(cs_item, reason, 32);
AT(cs_item, generation, 36);
AT(cs_item, codebook_version, 40);
AT(cs_item, quantisation_error, 44);
AT(cs_item, exposures, 48);
AT(cs_item, clicks, 52);
AT(cs_item, epoch, 56);
AT(cs_item, event_time_ms, 64);
AT(cs_item, first_exposed_ms, 72);
LAYOUT(cs_sid, 56);
AT(cs_sid, codes, 0);
AT(cs_sid, previous, 10);
AT(cs_sid, reason, 20);
AT(cs_sid, has_previous, 22);
AT(cs_sid, generation, 24);
AT(cs_sid, codebook_version, 28);
AT(cs_sid, quantisation_error, 32);
AT(cs_sid, reserved, 36);
AT(cs_sid, epoch, 40);
AT(cs_sid, event_time_ms, 48);
LAYOUT(cs_user, 24);
AT(cs_user, history, 0);
AT(cs_user, history_length, 8);
AT(cs_user, reserved, 12);
AT(cs_user, clicks, 16);
#endif

/* The header and the library of one tree are of one version. */
int main(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.", CS_VERSION_MAJOR, CS_VERSION_MINOR);
    if (strncmp(cs_version(), version, strlen(version)) == 0)
        return 0;
    fprintf(stderr, "coldstream.h is of version %s, the library of %s\n", version, cs_version());
    return 1;
}
