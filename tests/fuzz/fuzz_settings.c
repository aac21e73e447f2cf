/* Any bytes as a configuration file: no crash, every error counted, and what is accepted reads
 * back to the same. */
#include "config/settings.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_error(void *self, const char *text) {
    ASSERT(text[0] != '\0' && strchr(text, '\n') == NULL);
    ++*(uint32_t *)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct settings settings, back;
    struct error err;
    char text[16384], again[16384];
    uint32_t errors = 0;
    enum status status =
        settings_decode(&settings, bytes_of(data, size), "fuzz", count_error, &errors, &err);
    ASSERT((status == OK) == (errors == 0));
    if (status != OK)
        return 0;
    ASSERT(settings_text(&settings, text, sizeof text) < sizeof text - 1);
    ASSERT(settings_decode(&back, bytes_text(text), "text", count_error, &errors, &err) == OK);
    settings_text(&back, again, sizeof again);
    ASSERT(strcmp(text, again) == 0);
    return 0;
}
