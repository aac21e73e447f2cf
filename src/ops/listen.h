/* Where the HTTP server listens. */
#ifndef OPS_LISTEN_H
#define OPS_LISTEN_H

#include "base/error.h"
#include <stddef.h>

/* "127.0.0.1:9464", "[::1]:9464", ":9464" (all addresses), "localhost:0" (a free port): a listening socket, closed on exec. `address` is what it got, with
 * its port. FATAL EX_CONFIG: the text is no such thing, or the address is taken or not this machine's. */
enum status listen_open(const char *text, int *fd, char *address, size_t size, struct error *err);

#endif
