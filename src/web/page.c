#include "web/page.h"
#include "base/error.h"
#include <string.h>

void page_write(const char *template, page_part *part, void *self, FILE *out) {
    const char *open;
    while ((open = strstr(template, "{{")) != NULL) {
        char name[32];
        const char *close = strstr(open, "}}");
        ASSERT(close != NULL && (size_t)(close - open - 2) < sizeof name);
        size_t len = (size_t)(close - open - 2);
        fwrite(template, 1, (size_t)(open - template), out);
        memcpy(name, open + 2, len);
        name[len] = '\0';
        part(self, name, out);
        template = close + 2;
    }
    fputs(template, out);
}
