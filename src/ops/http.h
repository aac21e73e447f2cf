/* The HTTP server of a running stage: health, metrics, status (docs/HTTP.md). One thread of its own, of low priority, renders from copies of the watch's
 * pictures; connections, requests and time are bounded, so what clients do costs the epoch nothing. */
#ifndef OPS_HTTP_H
#define OPS_HTTP_H

#include "ops/show.h"

struct http;
/* Listens at `listen` (ops/listen.h) and serves until it is closed. `watch` and the texts of `facts` are borrowed. FATAL EX_CONFIG: cannot listen there. */
enum status http_open(struct http **out, const char *listen, const struct show_facts *facts,
                      struct watch *watch, struct error *err);
const char *http_address(const struct http *http); /* with the port it got */
void http_close(struct http *http);                /* NULL: nothing */

#endif
