#include "cli/reload.h"
#include "base/log.h"
#include "config/properties.h"
#include <string.h>

static void tell_problem(void *self, const char *text) {
    (void)self;
    log_warn("reload.problem", LOG_TEXT("text", text));
}

/* Values of a map may be secrets: they are compared, not shown. */
static bool same_entries(const struct text_map *a, const struct text_map *b) {
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same =
            strcmp(a->at[i].key, b->at[i].key) == 0 && strcmp(a->at[i].value, b->at[i].value) == 0;
    return same;
}

static bool is_same(const struct property *property, const struct settings *a, const char *a_text,
                    const struct settings *b, const char *b_text) {
    const struct text_map *map = property_map(property, a);
    return map != NULL ? same_entries(map, property_map(property, b)) : strcmp(a_text, b_text) == 0;
}

static void take_over(const struct property *property, const struct settings *now,
                      struct settings *read, struct settings *effective) {
    char before[PROPERTY_TEXT_BYTES], after[PROPERTY_TEXT_BYTES];
    property_format(property, read, before);
    property_format(property, now, after);
    if (is_same(property, read, before, now, after))
        return;
    if (property->reach != REACH_LIVE) {
        log_warn(
            "reload.refused", LOG_TEXT("setting", property->path), LOG_TEXT("running", before),
            LOG_TEXT("file", after),
            LOG_TEXT(
                "remedy",
                property->reach == REACH_RUN
                    ? "restart to use it"
                    : "it decides what is learned and published: restart to use it from there on"));
        return;
    }
    property_copy(property, now, read);
    property_copy(property, now, effective);
    log_info("reload.changed", LOG_TEXT("setting", property->path), LOG_TEXT("before", before),
             LOG_TEXT("now", after));
}

void reload(const struct command_settings *from, struct settings *read,
            struct settings *effective) {
    struct settings now;
    struct error err;
    if (settings_from(&now, from->config, from->assignments, from->assignment_count, tell_problem,
                      NULL, &err) != OK) {
        log_warn("reload.failed", LOG_TEXT("file", from->config), LOG_TEXT("text", err.text),
                 LOG_TEXT("remedy", "mend it and send SIGHUP again; nothing has changed"));
        return;
    }
    for (uint32_t i = 0; i < property_count; i++)
        take_over(&properties[i], &now, read, effective);
    command_log(read);
    log_info("reload.done", LOG_TEXT("file", from->config));
}
