/* The status page, one HTML document, as src/web/status.html and scripts/page.py make it at build time. */
#ifndef OPS_STATUS_PAGE_H
#define OPS_STATUS_PAGE_H

extern const char status_page[]; /* UTF-8, NUL-terminated */

#endif
