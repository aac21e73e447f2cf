#include "web/page.h"
#include "base/error.h"
#include "web/assets.h"
#include <string.h>

static void write_part(const char *name, page_part *part, void *self, FILE *out) {
    if (strcmp(name, "style") == 0)
        fputs(web_style, out);
    else if (strcmp(name, "charts") == 0) {
        fputs(web_chart_js, out);
        fputs(web_charts, out);
    } else {
        ASSERT(part != NULL);
        part(self, name, out);
    }
}

void page_write(const char *template, page_part *part, void *self, FILE *out) {
    const char *open;
    while ((open = strstr(template, "{{")) != NULL) {
        char name[32];
        const char *close = strstr(open, "}}");
        ASSERT(close != NULL && (size_t)(close - open - 2) < sizeof name);
        fwrite(template, 1, (size_t)(open - template), out);
        memcpy(name, open + 2, (size_t)(close - open - 2));
        name[close - open - 2] = '\0';
        write_part(name, part, self, out);
        template = close + 2;
    }
    fputs(template, out);
}
