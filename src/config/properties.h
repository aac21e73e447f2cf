/* The property table: one row for each setting. It is the parser, the validator and the manual;
 * yaml.c finds the values in a file and hands them over as text. */
#ifndef CONFIG_PROPERTIES_H
#define CONFIG_PROPERTIES_H

#include "config/settings.h"

enum property_type {
    PROPERTY_U64, /* whole numbers ... */
    PROPERTY_I64,
    PROPERTY_U32,
    PROPERTY_F32, /* decimal numbers ... */
    PROPERTY_F64,
    PROPERTY_NAME, /* one of `names`, kept as its index in an enum or uint32_t */
    PROPERTY_WORDS, /* a text of at most `max` bytes, printable ASCII without quotes; char [max + 1] */
    PROPERTY_MAP    /* names to texts, struct text_map: a mapping in the file */
};

/* How far a change of the setting reaches. */
enum property_reach {
    REACH_STATE, /* what is learned and published: it lasts as long as the outputs do */
    REACH_RUN,   /* no byte of the outputs, so another run may have another value */
    REACH_LIVE   /* ... and `run` takes a new value while it runs (SIGHUP) */
};

struct property {
    const char *path; /* "tokenizer.z_dims"; at most one dot */
    enum property_type type;
    size_t offset;   /* in struct settings */
    uint32_t count;  /* values: more than 1 makes it a list of so many */
    double min, max; /* of numbers, both allowed */
    uint32_t step;   /* whole numbers are multiples of it; 0: any */
    const char *preset;
    const char *unit;         /* "" when it has none */
    const char *const *names; /* PROPERTY_NAME: NULL-terminated */
    const char *doc;
    enum property_reach reach;
};

#define PROPERTY_MAX 160
#define PROPERTY_VALUES_MAX 8
#define PROPERTY_TEXT_BYTES 640 /* holds any value as text */
extern const struct property properties[];
extern const uint32_t property_count;

/* NULL when there is none of this path. */
const struct property *property_named(const char *path);
/* The path most like this one, or NULL. */
const char *property_nearest(const char *path);
/* Sets value `index` (0 .. count-1) from text. FATAL EX_CONFIG: err->text is "path: what is
 * wrong and what is possible". */
enum status property_parse(const struct property *property, uint32_t index, const char *text,
                           struct settings *settings, struct error *err);
/* One entry of a PROPERTY_MAP; a name that is there gets another value. The entry is checked as far as it can be without the
 * secrets that it refers to (kafka_settings.h). */
enum status property_put(const struct property *property, const char *key, const char *value,
                         struct settings *settings, struct error *err);
/* The map; NULL when the property is none. */
const struct text_map *property_map(const struct property *property,
                                    const struct settings *settings);
/* What of an entry may be shown: the value, or a note that it is not. */
const char *property_shown(const char *key, const char *value);
/* What one value's range does not say: FATAL EX_CONFIG as above. */
enum status property_check(const struct property *property, const struct settings *settings,
                           struct error *err);
/* The value as YAML: "64", "[64, 32]", "id+sid"; returns its length. Parsing it gives the same
 * value. Of a map only how many entries it has. */
size_t property_format(const struct property *property, const struct settings *settings,
                       char out[PROPERTY_TEXT_BYTES]);
/* Takes the property's value, all of its values if it is a list, over from other settings. */
void property_copy(const struct property *property, const struct settings *from,
                   struct settings *to);

#endif
