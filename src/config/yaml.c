/* A configuration file -> settings, through libyaml's events, which know line and column. Every
 * error is reported and reading goes on behind it; only where the text stops being YAML does it
 * end. */
#include "config/properties.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    bool broken; /* not YAML from here on */
    const char *name;
    struct settings *out;
    settings_report report;
    void *self;
    uint32_t errors;
    yaml_mark_t marks[PROPERTY_MAX]; /* where each setting's key stands */
    bool seen[PROPERTY_MAX];
    char first[ERROR_TEXT_BYTES];
};

#define KEY_BYTES 128

static void complain(struct reader *reader, yaml_mark_t mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void complain(struct reader *reader, yaml_mark_t mark, const char *format, ...) {
    char text[ERROR_TEXT_BYTES];
    int used =
        snprintf(text, sizeof text, "%s:%zu:%zu: ", reader->name, mark.line + 1, mark.column + 1);
    size_t at = used < (int)sizeof text ? (size_t)used : sizeof text - 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + at, sizeof text - at, format, arguments);
    va_end(arguments);
    if (reader->errors++ == 0)
        memcpy(reader->first, text, sizeof text);
    if (reader->report != NULL)
        reader->report(reader->self, text);
}

/* The next event becomes the current one; false when there is none because the text is broken. */
static bool next_event(struct reader *reader) {
    if (reader->has_event)
        yaml_event_delete(&reader->event);
    reader->has_event = false;
    if (reader->broken)
        return false;
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        yaml_mark_t mark = reader->parser.problem_mark;
        reader->broken = true;
        if (reader->parser.error == YAML_READER_ERROR)
            complain(reader, (yaml_mark_t){0}, "not a text file: %s at byte %zu",
                     reader->parser.problem, reader->parser.problem_offset);
        else
            complain(reader, mark, "not YAML: %s%s%s",
                     reader->parser.context ? reader->parser.context : "",
                     reader->parser.context ? ", " : "",
                     reader->parser.problem ? reader->parser.problem : "out of memory");
        return false;
    }
    reader->has_event = true;
    return true;
}

/* From the current event, a node's first, to its last. */
static void skip_node(struct reader *reader) {
    int depth = 0;
    do {
        yaml_event_type_t type = reader->event.type;
        depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
        depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
    } while (depth > 0 && next_event(reader));
}

/* A scalar's text for look-up and messages: cut at KEY_BYTES, control characters (NUL too) as
 * '?'. */
static void scalar_text(const yaml_event_t *event, char out[KEY_BYTES]) {
    size_t length = event->data.scalar.length;
    if (length >= KEY_BYTES)
        length = KEY_BYTES - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = event->data.scalar.value[i] < 0x20 ? '?' : (char)event->data.scalar.value[i];
    out[length] = '\0';
}

static void read_scalar(struct reader *reader, const struct property *property, uint32_t index) {
    const yaml_event_t *event = &reader->event;
    char text[KEY_BYTES];
    struct error err;
    if (event->type != YAML_SCALAR_EVENT) {
        complain(reader, event->start_mark, "%s: has %s where a single value is needed, such as %s",
                 property->path,
                 event->type == YAML_SEQUENCE_START_EVENT  ? "a list"
                 : event->type == YAML_MAPPING_START_EVENT ? "settings below it"
                                                           : "an alias",
                 property->preset);
        skip_node(reader);
        return;
    }
    scalar_text(event, text);
    bool quoted = !event->data.scalar.plain_implicit;
    if (event->data.scalar.length == 0 && !(quoted && property->type == PROPERTY_WORDS))
        complain(reader, event->start_mark,
                 "%s: has no value; give it one, such as %s, or take the line out", property->path,
                 property->preset);
    else if (quoted && property->type != PROPERTY_NAME && property->type != PROPERTY_WORDS)
        complain(reader, event->start_mark,
                 "%s: `%s' is a text; write the number without quotes and tags", property->path,
                 text);
    else if (property_parse(property, index, text, reader->out, &err) != OK)
        complain(reader, event->start_mark, "%s", err.text);
}

static void read_list(struct reader *reader, const struct property *property) {
    yaml_mark_t mark = reader->event.start_mark;
    uint32_t count = 0;
    if (reader->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(reader, mark, "%s: needs a list of %u values, such as %s", property->path,
                 property->count, property->preset);
        skip_node(reader);
        return;
    }
    for (; next_event(reader) && reader->event.type != YAML_SEQUENCE_END_EVENT; count++) {
        if (count < property->count)
            read_scalar(reader, property, count);
        else
            skip_node(reader);
    }
    if (!reader->broken && count != property->count)
        complain(reader, mark, "%s: has %u values; it needs %u, such as %s", property->path, count,
                 property->count, property->preset);
}

/* Reads the key (the current event) and moves to its value. False: the key was no use, the value
 * is skipped. */
static bool read_key(struct reader *reader, char key[KEY_BYTES], yaml_mark_t *mark) {
    *mark = reader->event.start_mark;
    bool usable = reader->event.type == YAML_SCALAR_EVENT;
    if (usable) {
        scalar_text(&reader->event, key);
    } else {
        complain(reader, *mark, "a key must be a plain word");
        skip_node(reader);
    }
    if (!next_event(reader))
        return false;
    if (!usable)
        skip_node(reader);
    return usable;
}

/* The current event is the entry's value. */
static void read_entry(struct reader *reader, yaml_mark_t mark, const struct property *property,
                       const char *key) {
    const yaml_event_t *event = &reader->event;
    const struct text_map *map = property_map(property, reader->out);
    char value[sizeof map->at[0].value + 1]; /* one more, so that a text that is too long is seen */
    struct error err;
    if (event->type != YAML_SCALAR_EVENT) {
        complain(reader, event->start_mark, "%s.%s: needs a single value", property->path, key);
        skip_node(reader);
        return;
    }
    size_t length = event->data.scalar.length;
    if (length >= sizeof value)
        length = sizeof value - 1;
    for (size_t i = 0; i < length; i++) /* a NUL would hide what follows */
        value[i] = event->data.scalar.value[i] ? (char)event->data.scalar.value[i] : '\x01';
    value[length] = '\0';
    for (uint32_t i = 0; i < map->count; i++)
        if (strcmp(map->at[i].key, key) == 0) {
            complain(reader, mark, "%s.%s: stands here a second time", property->path, key);
            return;
        }
    if (property_put(property, key, value, reader->out, &err) != OK)
        complain(reader, mark, "%s", err.text);
}

static void read_map(struct reader *reader, const struct property *property) {
    char key[KEY_BYTES];
    yaml_mark_t mark;
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        bool empty =
            reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0;
        if (!empty)
            complain(reader, reader->event.start_mark,
                     "%s: is a mapping; its entries stand indented below it", property->path);
        skip_node(reader);
        return;
    }
    while (next_event(reader) && reader->event.type != YAML_MAPPING_END_EVENT)
        if (read_key(reader, key, &mark))
            read_entry(reader, mark, property, key);
}

static void read_value(struct reader *reader, const struct property *property) {
    if (property->type == PROPERTY_MAP)
        read_map(reader, property);
    else if (property->count > 1)
        read_list(reader, property);
    else
        read_scalar(reader, property, 0);
}

static bool is_section(const char *name) {
    size_t length = strlen(name);
    for (uint32_t i = 0; i < property_count; i++)
        if (length > 0 && strncmp(properties[i].path, name, length) == 0 &&
            properties[i].path[length] == '.')
            return true;
    return false;
}

static void unknown_key(struct reader *reader, yaml_mark_t mark, const char *path) {
    const char *nearest = property_nearest(path);
    complain(reader, mark, "%s: there is no such setting%s%s%s", path,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    skip_node(reader);
}

static void read_setting(struct reader *reader, yaml_mark_t mark, const char *path) {
    const struct property *property = property_named(path);
    if (property == NULL) {
        unknown_key(reader, mark, path);
        return;
    }
    size_t index = (size_t)(property - properties);
    if (reader->seen[index]) {
        complain(reader, mark, "%s: stands here a second time; the first is in line %zu", path,
                 reader->marks[index].line + 1);
        skip_node(reader);
        return;
    }
    reader->seen[index] = true;
    reader->marks[index] = mark;
    read_value(reader, property);
}

static void read_section(struct reader *reader, yaml_mark_t mark, const char *section) {
    char key[KEY_BYTES], path[2 * KEY_BYTES];
    yaml_mark_t key_mark;
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        /* `model:` with all of its lines commented out */
        bool empty =
            reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0;
        if (!empty)
            complain(reader, mark, "%s: is a section; its settings stand indented below it",
                     section);
        skip_node(reader);
        return;
    }
    while (next_event(reader) && reader->event.type != YAML_MAPPING_END_EVENT) {
        if (!read_key(reader, key, &key_mark))
            continue;
        snprintf(path, sizeof path, "%s.%s", section, key);
        read_setting(reader, key_mark, path);
    }
}

/* The section's name when it was opened before. */
static void note_section(struct reader *reader, yaml_mark_t mark, const char *section,
                         yaml_mark_t opened[PROPERTY_MAX]) {
    for (uint32_t i = 0; i < property_count; i++) {
        size_t length = strlen(section);
        if (strncmp(properties[i].path, section, length) != 0 || properties[i].path[length] != '.')
            continue;
        if (opened[i].line != SIZE_MAX)
            complain(reader, mark, "%s: stands here a second time; the first is in line %zu",
                     section, opened[i].line + 1);
        opened[i] = mark; /* the section's first property stands for it */
        return;
    }
}

static void read_root(struct reader *reader) {
    char key[KEY_BYTES];
    yaml_mark_t mark, opened[PROPERTY_MAX];
    for (uint32_t i = 0; i < PROPERTY_MAX; i++)
        opened[i].line = SIZE_MAX;
    while (next_event(reader) && reader->event.type != YAML_MAPPING_END_EVENT) {
        if (!read_key(reader, key, &mark))
            continue;
        if (is_section(key)) {
            note_section(reader, mark, key, opened);
            read_section(reader, mark, key);
        } else if (strchr(key, '.') != NULL && property_named(key) != NULL) {
            complain(reader, mark,
                     "%s: write the part before the dot as a section, the rest indented below it",
                     key);
            skip_node(reader);
        } else {
            read_setting(reader, mark, key);
        }
    }
}

/* One document, one mapping; a file of comments alone has neither and is all defaults. */
static void read_stream(struct reader *reader) {
    if (!next_event(reader) || !next_event(reader) || reader->event.type == YAML_STREAM_END_EVENT)
        return;
    ASSERT(reader->event.type == YAML_DOCUMENT_START_EVENT);
    if (!next_event(reader))
        return;
    if (reader->event.type == YAML_MAPPING_START_EVENT) {
        read_root(reader);
    } else {
        complain(reader, reader->event.start_mark, "the file must be sections of `key: value'");
        skip_node(reader);
    }
    if (next_event(reader) && next_event(reader) && reader->event.type != YAML_STREAM_END_EVENT)
        complain(reader, reader->event.start_mark,
                 "a second document begins here; the file must have one");
}

enum status settings_decode(struct settings *out, struct bytes yaml, const char *name,
                            settings_report report, void *self, struct error *err) {
    struct settings decoded;
    struct reader reader = {.name = name, .out = &decoded, .report = report, .self = self};
    settings_default(&decoded);
    if (!yaml_parser_initialize(&reader.parser))
        return FAIL(err, FATAL, EX_OSERR, "%s: libyaml has no memory", name);
    yaml_parser_set_input_string(&reader.parser, yaml.data, yaml.len);
    read_stream(&reader);
    if (reader.has_event)
        yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    for (uint32_t i = 0; i < property_count; i++) {
        struct error wrong;
        if (reader.seen[i] && property_check(&properties[i], &decoded, &wrong) != OK)
            complain(&reader, reader.marks[i], "%s", wrong.text);
    }
    if (reader.errors == 1)
        return FAIL(err, FATAL, EX_CONFIG, "%s", reader.first);
    if (reader.errors > 1)
        return FAIL(err, FATAL, EX_CONFIG, "%s (and %u more)", reader.first, reader.errors - 1);
    *out = decoded;
    return OK;
}
