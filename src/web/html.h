/* Text from outside in a page: shown, never interpreted. */
#ifndef WEB_HTML_H
#define WEB_HTML_H

#include "base/bytes.h"
#include <stdio.h>

/* For content and for quoted attributes. Markup and quotes come as entities, bytes that are no UTF-8 as U+FFFD, characters that show nothing or steer
 * the text around them (controls, bidirectional overrides, zero width; not the joiner of emoji) by their numbers, as "[U+202E]". Put it into <bdi>, so that
 * its direction stays its own. */
void html_text(struct bytes text, FILE *out);

/* "0.7819"; "-" for NaN and infinities. */
void html_number(double x, int digits, FILE *out);
/* "1,234,567" */
void html_count(uint64_t n, FILE *out);
/* A <time> element, "2009-12-01 07:45" in UTC; "-" before 1970. */
void html_time(int64_t time_ms, FILE *out);

#endif
