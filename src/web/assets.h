/* The parts of the pages as they were at build time, NUL-terminated. */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

extern const char web_report[]; /* templates: see web/page.h */
extern const char web_style[], web_charts[], web_chart_js[];

#endif
