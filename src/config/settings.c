#include "base/file.h"
#include "config/properties.h"
#include <stdio.h>
#include <string.h>

static const char *const section_docs[][2] = {
    {"", "Top level"},
    {"content", "What a listing brings"},
    {"tokenizer", "From content to semantic IDs"},
    {"model", "The ranker and how it learns"},
    {"encoder", "The encoder that learns from behaviour"},
    {"generation", "How a new encoder and new codebooks take over"},
    {"epoch", "Transactions: when an epoch closes"},
    {"labels", "From interactions to labelled samples"},
    {"parking", "Interactions that come before their item's listing"},
    {"evaluation", "Every labelled event is scored before it is learned from"},
    {"limits", "Sizes known at start"},
    {"output", "The topics written"},
    {"kafka", "Where `run` finds and leaves its topics"},
    {"topics", "Their names, and how they are created; one that is there is never altered"},
    {"schema_registry", "Schemas of the inputs' records"},
    {"http", "Status page, metrics and health of `run` (docs/HTTP.md)."},
    {"snapshot", "Restart"},
    {"progress", "What is shown while it runs"},
    {"log", "The log"},
};

/* The section of a path, "" for the top level; returns the key's own name. */
static const char *split_path(const char *path, char section[PROPERTY_TEXT_BYTES]) {
    const char *dot = strchr(path, '.');
    size_t length = dot ? (size_t)(dot - path) : 0;
    ASSERT(length < PROPERTY_TEXT_BYTES);
    memcpy(section, path, length);
    section[length] = '\0';
    return dot ? dot + 1 : path;
}

static enum status set_preset(const struct property *property, struct settings *out,
                              struct error *err) {
    char text[PROPERTY_TEXT_BYTES + 256];
    snprintf(text, sizeof text, "%s=%s", property->path, property->preset);
    return settings_set(out, text, err);
}

void settings_default(struct settings *out) {
    struct error err;
    *out = (struct settings){0};
    for (uint32_t i = 0; i < property_count; i++)
        ASSERT(set_preset(&properties[i], out, &err) == OK);
}

/* "64,64" or "[64, 64]" */
static enum status set_list(const struct property *property, char *values, struct settings *out,
                            struct error *err) {
    uint32_t count = 0;
    char *end = values + strlen(values);
    if (*values == '[' && end[-1] == ']') {
        end[-1] = '\0';
        values++;
    }
    for (char *rest = values, *value; (value = strsep(&rest, ",")) != NULL; count++) {
        value += strspn(value, " ");
        value[strcspn(value, " ")] = '\0';
        if (count < property->count)
            TRY(property_parse(property, count, value, out, err));
    }
    if (count != property->count)
        return FAIL(err, FATAL, EX_CONFIG, "%s: has %u values; it needs %u, such as %s",
                    property->path, count, property->count, property->preset);
    return OK;
}

/* "kafka.properties.sasl.username": the property and where the entry's name begins. */
static const struct property *map_of_entry(const char *path, const char **key) {
    for (uint32_t i = 0; i < property_count; i++) {
        size_t length = strlen(properties[i].path);
        *key = path + length + 1;
        if (properties[i].type == PROPERTY_MAP && path[length] == '.' &&
            strncmp(path, properties[i].path, length) == 0)
            return &properties[i];
    }
    return NULL;
}

enum status settings_set(struct settings *out, const char *assignment, struct error *err) {
    char text[PROPERTY_TEXT_BYTES + sizeof((struct text_map *)0)->at[0]];
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment || strlen(assignment) >= sizeof text)
        return FAIL(err, FATAL, EX_CONFIG,
                    "`%.100s' is not a setting; write key=value, such as model.variant=id",
                    assignment);
    strcpy(text, assignment);
    text[equals - assignment] = '\0';
    char *value = text + (equals - assignment) + 1;
    const struct property *property = property_named(text);
    const char *key;
    if (property == NULL && (property = map_of_entry(text, &key)) != NULL)
        return property_put(property, key, value, out, err);
    if (property == NULL) {
        const char *nearest = property_nearest(text);
        return FAIL(err, FATAL, EX_CONFIG, "%s: there is no such setting%s%s%s", text,
                    nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    }
    struct settings changed = *out;
    if (property->count > 1)
        TRY(set_list(property, value, &changed, err));
    else
        TRY(property_parse(property, 0, value, &changed, err));
    TRY(property_check(property, &changed, err));
    *out = changed;
    return OK;
}

#define SETTINGS_FILE_BYTES_MAX (1 << 20)

enum status settings_read(struct settings *out, const char *path, settings_report report,
                          void *self, struct error *err) {
    struct arena arena;
    struct bytes yaml;
    TRY(arena_reserve(&arena, "configuration file", SETTINGS_FILE_BYTES_MAX + 4096, err));
    enum status status = file_load(path, &arena, SETTINGS_FILE_BYTES_MAX, &yaml, err);
    if (status == OK)
        status = settings_decode(out, yaml, path, report, self, err);
    arena_release(&arena);
    return status;
}

enum status settings_from(struct settings *out, const char *path, const char *const *assignments,
                          int count, settings_report report, void *self, struct error *err) {
    settings_default(out);
    TRY(settings_read(out, path, report, self, err));
    for (int i = 0; i < count; i++)
        TRY(settings_set(out, assignments[i], err));
    return OK;
}

/* A text as YAML has it between double quotes. */
static void quote(const char *text, char *out) {
    for (*out++ = '"'; *text != '\0'; *out++ = *text++)
        if (*text == '"' || *text == '\\')
            *out++ = '\\';
    strcpy(out, "\"");
}

/* The entries below a map's key. */
static int map_text(const struct text_map *map, char *out, size_t size) {
    char value[2 * sizeof map->at[0].value + 3];
    size_t used = 0;
    for (uint32_t i = 0; i < map->count && used < size; i++) {
        quote(property_shown(map->at[i].key, map->at[i].value), value);
        used += (size_t)snprintf(out + used, size - used, "\n    %s: %s", map->at[i].key, value);
    }
    return (int)used;
}

size_t settings_text(const struct settings *settings, char *out, size_t size) {
    char section[PROPERTY_TEXT_BYTES], last[PROPERTY_TEXT_BYTES] = "";
    char value[TEXT_MAP_MAX * 2 * sizeof((struct text_map *)0)->at[0]];
    size_t used = 0;
    for (uint32_t i = 0; i < property_count; i++) {
        const char *key = split_path(properties[i].path, section);
        const struct text_map *map = property_map(&properties[i], settings);
        bool opens = strcmp(section, last) != 0, entries = map != NULL && map->count > 0;
        if (entries)
            map_text(map, value, sizeof value);
        else
            property_format(&properties[i], settings, value);
        int length =
            snprintf(out + used, size - used, "%s%s%s%s:%s%s\n", opens ? section : "",
                     opens ? ":\n" : "", *section ? "  " : "", key, entries ? "" : " ", value);
        used += (size_t)length;
        if (used >= size)
            return size ? size - 1 : 0;
        strcpy(last, section);
    }
    return used;
}

static void describe_values(const struct property *property, char *out, size_t size) {
    size_t used = 0;
    if (property->type == PROPERTY_NAME) {
        for (uint32_t i = 0; property->names[i] != NULL; i++)
            used += (size_t)snprintf(out + used, size - used, "%s`%s`", i ? ", " : "",
                                     property->names[i]);
        return;
    }
    if (property->type == PROPERTY_MAP) {
        snprintf(out, size, "at most %.0f names and texts", property->max);
        return;
    }
    if (property->type == PROPERTY_WORDS) {
        snprintf(out, size, "a text of %.0f to %.0f characters", property->min, property->max);
        return;
    }
    if (property->count > 1)
        used += (size_t)snprintf(out, size, "%u times ", property->count);
    used +=
        (size_t)snprintf(out + used, size - used, "%.16g to %.16g", property->min, property->max);
    if (property->step != 0)
        used += (size_t)snprintf(out + used, size - used, ", a multiple of %u", property->step);
    if (*property->unit != '\0')
        snprintf(out + used, size - used, " %s", property->unit);
}

static const char *section_doc(const char *section) {
    for (size_t i = 0; i < sizeof section_docs / sizeof section_docs[0]; i++)
        if (strcmp(section_docs[i][0], section) == 0)
            return section_docs[i][1];
    ASSERT(false && "a section without a heading");
    return "";
}

static const char manual_head[] =
    "# Configuration\n"
    "\n"
    "One YAML file, sections of `key: value`; `conf/replay.yaml` and `conf/run.yaml` ship. "
    "Whatever "
    "it does not name has\n"
    "its default. `--set section.key=value` on the command line comes last.\n"
    "\n"
    "- `coldstream check -c FILE` reports every error in it with line and column, and the nearest "
    "key to an unknown one.\n"
    "- `coldstream check -c FILE --show` prints the effective configuration.\n"
    "- *(run)*: no byte of the outputs depends on it, so each run may have its own. *(live)*: the "
    "same, and SIGHUP makes `run` take a\n"
    "  new value from the file. All others belong to the outputs: a replay is resumed with those "
    "that it was begun with.\n"
    "- Whole numbers are digits, an optional sign, and nothing else; lists are `[64, 32]`.\n"
    "\n"
    "This page is written by `coldstream check --manual` from the table that also parses and "
    "checks the file; a test\n"
    "holds the two equal.\n";

void settings_manual(void (*write)(void *self, const char *text), void *self) {
    static const char *const reaches[] = {
        [REACH_STATE] = "", [REACH_RUN] = " *(run)*", [REACH_LIVE] = " *(live)*"};
    char section[PROPERTY_TEXT_BYTES], last[PROPERTY_TEXT_BYTES] = "", values[256], row[2048];
    write(self, manual_head);
    for (uint32_t i = 0; i < property_count; i++) {
        split_path(properties[i].path, section);
        if (i == 0 || strcmp(section, last) != 0) {
            snprintf(row, sizeof row,
                     "\n## %s%s%s%s\n| setting | default | values | meaning |\n|---|---|---|---|\n",
                     *section ? "`" : "", section, *section ? "`: " : "", section_doc(section));
            write(self, row);
        }
        describe_values(&properties[i], values, sizeof values);
        snprintf(row, sizeof row, "| `%s` | `%s` | %s | %s%s |\n", properties[i].path,
                 properties[i].preset, values, properties[i].doc, reaches[properties[i].reach]);
        write(self, row);
        strcpy(last, section);
    }
}
