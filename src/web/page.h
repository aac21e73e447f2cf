/* Templates of pages. `{{name}}` stands for a part: the shared ones (style, charts: Chart.js and what draws with it) are put in here, so that a
 * page is one document that asks nobody for anything; others are the caller's. */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include <stdio.h>

/* Writes the part of that name; a name that is not the caller's is a programmer's error. */
typedef void page_part(void *self, const char *name, FILE *out);

/* Writes the whole page; the caller looks at ferror(out). `part` may be NULL where the template has shared parts only. */
void page_write(const char *template, page_part *part, void *self, FILE *out);

#endif
