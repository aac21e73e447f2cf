/* Pages whose figures the program fills in: in a template `{{name}}` stands for a part that the caller writes. Styles and scripts are in the
 * template already (scripts/page.py), so that a page is one document that asks nobody for anything. */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include <stdio.h>

extern const char report_page[]; /* the report's template: src/web/report.html */

/* Writes the part of that name. */
typedef void page_part(void *self, const char *name, FILE *out);

/* Writes the whole page; the caller looks at ferror(out). Names are at most 31 characters. */
void page_write(const char *template, page_part *part, void *self, FILE *out);

#endif
