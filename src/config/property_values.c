/* One property's value: from text, to text, checked. */
#include "config/kafka_settings.h"
#include "config/nearest.h"
#include "config/properties.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct property *property_named(const char *path) {
    for (uint32_t i = 0; i < property_count; i++)
        if (strcmp(properties[i].path, path) == 0)
            return &properties[i];
    return NULL;
}

static const char *path_at(void *self, uint32_t index) {
    (void)self;
    return properties[index].path;
}

static const char *last_word(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const char *property_nearest(const char *path) {
    /* the right word in the wrong section, or in none */
    for (uint32_t i = 0; i < property_count; i++)
        if (strcmp(last_word(properties[i].path), last_word(path)) == 0)
            return properties[i].path;
    return nearest_name(path, path_at, NULL, property_count);
}

/* A text lies in char [max + 1]. */
static size_t value_bytes(const struct property *property) {
    static const size_t sizes[] = {[PROPERTY_U64] = 8, [PROPERTY_I64] = 8, [PROPERTY_U32] = 4,
                                   [PROPERTY_F32] = 4, [PROPERTY_F64] = 8, [PROPERTY_NAME] = 4};
    if (property->type == PROPERTY_MAP)
        return sizeof(struct text_map);
    return property->type == PROPERTY_WORDS ? (size_t)property->max + 1 : sizes[property->type];
}

static void *value_at(const struct property *property, uint32_t index,
                      const struct settings *settings) {
    ASSERT(index < property->count);
    return (char *)(uintptr_t)settings + property->offset + index * value_bytes(property);
}

static enum status parse_whole(const struct property *property, const char *text, int64_t *out,
                               struct error *err) {
    const char *digits = text + (*text == '-');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: `%s' is not a whole number; possible is %.16g to %.16g", property->path,
                    text, property->min, property->max);
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0 || (double)value < property->min || (double)value > property->max)
        return FAIL(err, FATAL, EX_CONFIG, "%s: %s is out of range; possible is %.16g to %.16g",
                    property->path, text, property->min, property->max);
    if (property->step != 0 && value % property->step != 0)
        return FAIL(err, FATAL, EX_CONFIG, "%s: %s is not a multiple of %u", property->path, text,
                    property->step);
    *out = value;
    return OK;
}

static enum status parse_decimal(const struct property *property, const char *text, double *out,
                                 struct error *err) {
    char *end;
    /* strtod takes infinities, hexadecimal and leading blanks as well: these are not for us */
    bool plain = *text != '\0' && text[strspn(text, "0123456789.eE+-")] == '\0';
    double value = plain ? strtod(text, &end) : 0;
    if (!plain || *end != '\0')
        return FAIL(err, FATAL, EX_CONFIG, "%s: `%s' is not a number; possible is %.10g to %.10g",
                    property->path, text, property->min, property->max);
    if (!(value >= property->min && value <= property->max))
        return FAIL(err, FATAL, EX_CONFIG, "%s: %s is out of range; possible is %.10g to %.10g",
                    property->path, text, property->min, property->max);
    *out = value;
    return OK;
}

static const char *name_at(void *self, uint32_t index) {
    return ((const struct property *)self)->names[index];
}

static enum status parse_name(const struct property *property, const char *text, uint32_t *out,
                              struct error *err) {
    char known[256] = "";
    uint32_t count = 0;
    for (; property->names[count] != NULL; count++) {
        if (strcmp(property->names[count], text) == 0) {
            *out = count;
            return OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", count ? ", " : "",
                 property->names[count]);
    }
    const char *nearest = nearest_name(text, name_at, (void *)(uintptr_t)property, count);
    return FAIL(err, FATAL, EX_CONFIG, "%s: `%s' is not one of %s%s%s%s", property->path, text,
                known, nearest ? "; did you mean " : "", nearest ? nearest : "",
                nearest ? "?" : "");
}

/* Printable ASCII without quotes and backslashes: it can stand between double quotes in YAML and JSON as it is. Quotes around
 * it, as settings_text() writes them, are taken off. */
static enum status parse_words(const struct property *property, const char *text, char *out,
                               struct error *err) {
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (len > (size_t)property->max || len < (size_t)property->min)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: a text of %.0f to %.0f characters is possible, this has %zu",
                    property->path, property->min, property->max, len);
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7E || text[i] == '"' || text[i] == '\\')
            return FAIL(err, FATAL, EX_CONFIG,
                        "%s: character %zu is not possible here; printable ASCII without quotes "
                        "and backslashes is",
                        property->path, i + 1);
    memcpy(out, text, len);
    out[len] = '\0';
    return OK;
}

/* As of topics and of librdkafka's properties. */
static bool is_name(const char *text) {
    static const char possible[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return text[strspn(text, possible)] == '\0';
}

/* Entries come one by one, with property_put(). */
static enum status parse_map(const struct property *property, const char *text,
                             struct text_map *out, struct error *err) {
    if (strcmp(text, "{}") != 0)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: is a mapping: its entries stand indented below it, or after --set "
                    "%s.NAME=VALUE",
                    property->path, property->path);
    out->count = 0;
    return OK;
}

const struct text_map *property_map(const struct property *property,
                                    const struct settings *settings) {
    return property->type == PROPERTY_MAP ? value_at(property, 0, settings) : NULL;
}

static enum status check_entry(const struct property *property, const char *key, const char *value,
                               struct error *err) {
    size_t value_len = strlen(value);
    if (*key == '\0' || strlen(key) >= sizeof((struct text_map *)0)->at[0].key)
        return FAIL(err, FATAL, EX_CONFIG, "%s: a name of 1 to %zu characters is possible",
                    property->path, sizeof((struct text_map *)0)->at[0].key - 1);
    if (value_len >= sizeof((struct text_map *)0)->at[0].value)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s.%s: a text of at most %zu characters is possible; a longer one can be in "
                    "a file: ${file:/path}",
                    property->path, key, sizeof((struct text_map *)0)->at[0].value - 1);
    if (!is_name(key))
        return FAIL(err, FATAL, EX_CONFIG, "%s: `%s' is no name of a property", property->path,
                    key);
    for (size_t i = 0; i < value_len; i++)
        if (value[i] < 0x20 || value[i] > 0x7E)
            return FAIL(err, FATAL, EX_CONFIG,
                        "%s.%s: character %zu is not possible here; printable ASCII is, and "
                        "anything in a file: ${file:/path}",
                        property->path, key, i + 1);
    if (kafka_check_entry(key, value, err) != OK)
        return error_context(err, "%s.%s", property->path, key);
    return OK;
}

enum status property_put(const struct property *property, const char *key, const char *value,
                         struct settings *settings, struct error *err) {
    struct text_map *map = value_at(property, 0, settings);
    uint32_t at = 0;
    TRY(check_entry(property, key, value, err));
    while (at < map->count && strcmp(map->at[at].key, key) != 0)
        at++;
    if (at == TEXT_MAP_MAX)
        return FAIL(err, FATAL, EX_CONFIG, "%s: more than %d entries", property->path,
                    TEXT_MAP_MAX);
    map->count += at == map->count;
    strcpy(map->at[at].key, key);
    strcpy(map->at[at].value, value);
    return OK;
}

const char *property_shown(const char *key, const char *value) {
    return kafka_property_secret(key) && strstr(value, "${") == NULL ? "(not shown)" : value;
}

enum status property_parse(const struct property *property, uint32_t index, const char *text,
                           struct settings *settings, struct error *err) {
    void *at = value_at(property, index, settings);
    int64_t whole = 0;
    double decimal = 0;
    switch (property->type) {
    case PROPERTY_U64:
        TRY(parse_whole(property, text, &whole, err));
        *(uint64_t *)at = (uint64_t)whole;
        return OK;
    case PROPERTY_I64:
        return parse_whole(property, text, at, err);
    case PROPERTY_U32:
        TRY(parse_whole(property, text, &whole, err));
        *(uint32_t *)at = (uint32_t)whole;
        return OK;
    case PROPERTY_F32:
        TRY(parse_decimal(property, text, &decimal, err));
        *(float *)at = (float)decimal;
        return OK;
    case PROPERTY_F64:
        return parse_decimal(property, text, at, err);
    case PROPERTY_NAME:
        return parse_name(property, text, at, err);
    case PROPERTY_WORDS:
        return parse_words(property, text, at, err);
    case PROPERTY_MAP:
        return parse_map(property, text, at, err);
    }
    ASSERT(false && "property type");
    return FATAL;
}

static const size_t first_topic = offsetof(struct settings, topic_names);
static const size_t topics_end =
    offsetof(struct settings, topic_names) + sizeof((struct settings *)0)->topic_names;

static enum status check_topic_name(const struct property *property,
                                    const struct settings *settings, struct error *err) {
    if (property->offset < first_topic || property->offset >= topics_end)
        return OK;
    size_t own = (property->offset - first_topic) / TOPIC_NAME_BYTES;
    const char *name = settings->topic_names[own];
    if (!is_name(name))
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: `%s' is no name of a topic: letters, digits, `.', `_' and `-' are "
                    "possible",
                    property->path, name);
    for (size_t other = 0; other <= TOPIC_COUNT; other++)
        if (other != own && strcmp(settings->topic_names[other], name) == 0)
            return FAIL(err, FATAL, EX_CONFIG, "%s: another topic is called `%s', too",
                        property->path, name);
    return OK;
}

enum status property_check(const struct property *property, const struct settings *settings,
                           struct error *err) {
    TRY(check_topic_name(property, settings, err));
    if (property->offset == offsetof(struct settings, registry_auth) &&
        settings->registry_auth[0] != '\0' && strstr(settings->registry_auth, "${") == NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: a secret is no part of a configuration: write ${env:NAME} or "
                    "${file:/path}",
                    property->path);
    if (property->offset == offsetof(struct settings, registry_url) &&
        strchr(settings->registry_url, '@') != NULL)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: a secret is no part of a configuration: write user and password into "
                    "schema_registry.auth",
                    property->path);
    uint64_t rows = (uint64_t)settings->books[0] * settings->books[1];
    if (property->offset == offsetof(struct settings, books) && rows > 1u << 24)
        return FAIL(err, FATAL, EX_CONFIG,
                    "%s: the first two multiplied are the rows of a table: %llu of them; possible "
                    "is 16777216",
                    property->path, (unsigned long long)rows);
    return OK;
}

/* The fewest digits that read back to the same value. */
static int format_decimal(double value, bool single, char *out, size_t size) {
    int length = 0;
    for (int digits = 1; digits <= 17; digits++) {
        length = snprintf(out, size, "%.*g", digits, value);
        double back = strtod(out, NULL);
        if (single ? (float)back == (float)value : back == value)
            break;
    }
    return length;
}

static int format_one(const struct property *property, uint32_t index,
                      const struct settings *settings, char *out, size_t size) {
    const void *at = value_at(property, index, settings);
    switch (property->type) {
    case PROPERTY_U64:
        return snprintf(out, size, "%llu", (unsigned long long)*(const uint64_t *)at);
    case PROPERTY_I64:
        return snprintf(out, size, "%lld", (long long)*(const int64_t *)at);
    case PROPERTY_U32:
        return snprintf(out, size, "%u", *(const uint32_t *)at);
    case PROPERTY_F32:
        return format_decimal((double)*(const float *)at, true, out, size);
    case PROPERTY_F64:
        return format_decimal(*(const double *)at, false, out, size);
    case PROPERTY_NAME:
        return snprintf(out, size, "%s", property->names[*(const uint32_t *)at]);
    case PROPERTY_WORDS:
        return snprintf(out, size, "\"%s\"", (const char *)at);
    case PROPERTY_MAP:
        return snprintf(out, size, "{%.0u}", ((const struct text_map *)at)->count);
    }
    ASSERT(false && "property type");
    return 0;
}

size_t property_format(const struct property *property, const struct settings *settings,
                       char out[PROPERTY_TEXT_BYTES]) {
    size_t used = 0;
    const char *before = property->count > 1 ? "[" : "";
    for (uint32_t i = 0; i < property->count; i++) {
        used += (size_t)snprintf(out + used, PROPERTY_TEXT_BYTES - used, "%s", i ? ", " : before);
        used += (size_t)format_one(property, i, settings, out + used, PROPERTY_TEXT_BYTES - used);
    }
    used += (size_t)snprintf(out + used, PROPERTY_TEXT_BYTES - used, "%s",
                             property->count > 1 ? "]" : "");
    ASSERT(used < PROPERTY_TEXT_BYTES);
    return used;
}

void property_copy(const struct property *property, const struct settings *from,
                   struct settings *to) {
    memcpy(value_at(property, 0, to), value_at(property, 0, from),
           property->count * value_bytes(property));
}
