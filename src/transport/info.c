/* recording.yaml. */
#include "base/file.h"
#include "transport/recording.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h> /* strtoll, qsort */
#include <yaml.h>

#include "base/poison.h"

#define INFO_FILE "recording.yaml"
#define INFO_VERSION 1
#define INFO_BYTES_MAX ((size_t)64 << 20)

/* ---- reading ---- */

struct reading {
    const char *path;
    yaml_document_t *document;
    struct arena *arena;
    struct error *err;
};

static enum status bad(const struct reading *r, const yaml_node_t *node, const char *what) {
    return FAIL(r->err, FATAL, EX_DATAERR, "%s:%zu:%zu: %s", r->path,
                node != NULL ? node->start_mark.line + 1 : 1,
                node != NULL ? node->start_mark.column + 1 : 1, what);
}

static struct bytes scalar(const yaml_node_t *node) {
    return bytes_of(node->data.scalar.value, node->data.scalar.length);
}

/* The value of a mapping's key; NULL when absent. Unknown keys are left alone: a later version
 * may add some. */
static yaml_node_t *get(const struct reading *r, const yaml_node_t *map, const char *key) {
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
         pair++) {
        yaml_node_t *name = yaml_document_get_node(r->document, pair->key);
        if (name->type == YAML_SCALAR_NODE && bytes_equal(scalar(name), bytes_text(key)))
            return yaml_document_get_node(r->document, pair->value);
    }
    return NULL;
}

static enum status get_text(const struct reading *r, const yaml_node_t *map, const char *key,
                            struct bytes *out) {
    yaml_node_t *node = get(r, map, key);
    if (node == NULL || node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0) {
        char what[96];
        snprintf(what, sizeof what, "`%s` is missing here, or is no text", key);
        return bad(r, node != NULL ? node : map, what);
    }
    *out = scalar(node);
    return OK;
}

/* An integer in [min, max]; absent: `otherwise` when that is in the range, else an error. */
static enum status get_number(const struct reading *r, const yaml_node_t *map, const char *key,
                              int64_t min, int64_t max, int64_t *out) {
    yaml_node_t *node = get(r, map, key);
    char *end = NULL;
    errno = 0;
    int64_t value = 0;
    if (node != NULL && node->type == YAML_SCALAR_NODE && node->data.scalar.length > 0)
        value = strtoll((const char *)node->data.scalar.value, &end, 10);
    if (end == NULL || *end != '\0' || errno != 0 || value < min || value > max) {
        char what[160];
        snprintf(what, sizeof what,
                 "`%s` is missing here, or is no number from %" PRId64 " to %" PRId64, key, min,
                 max);
        return bad(r, node != NULL ? node : map, what);
    }
    *out = value;
    return OK;
}

/* Counts and times only inform: absent ones are 0. */
static enum status get_optional_number(const struct reading *r, const yaml_node_t *map,
                                       const char *key, int64_t *out) {
    *out = 0;
    return get(r, map, key) == NULL ? OK : get_number(r, map, key, INT64_MIN, INT64_MAX, out);
}

static enum status read_partition(const struct reading *r, const yaml_node_t *node,
                                  struct recorded_partition *out) {
    if (node->type != YAML_MAPPING_NODE)
        return bad(r, node, "a partition must be a mapping with `topic`, `partition` and `file`");
    struct bytes topic, file;
    int64_t partition;
    *out = (struct recorded_partition){0};
    TRY(get_text(r, node, "topic", &topic));
    if (!topic_of_name(topic, &out->topic))
        return bad(r, get(r, node, "topic"), "this is none of the stage's topics");
    TRY(get_number(r, node, "partition", 0, INT32_MAX, &partition));
    TRY(get_text(r, node, "file", &file));
    if (file.len >= sizeof out->file || memchr(file.data, '/', file.len) != NULL ||
        memchr(file.data, 0, file.len) != NULL)
        return bad(r, get(r, node, "file"), "this is no plain name of a file in the folder");
    memcpy(out->file, file.data, file.len);
    out->partition = (int32_t)partition;
    TRY(get_optional_number(r, node, "records", &out->count));
    TRY(get_optional_number(r, node, "first_timestamp_ms", &out->first_timestamp_ms));
    return get_optional_number(r, node, "last_timestamp_ms", &out->last_timestamp_ms);
}

static enum status read_schema(const struct reading *r, const yaml_node_t *node,
                               struct recorded_schema *out) {
    if (node->type != YAML_MAPPING_NODE)
        return bad(r, node, "a schema must be a mapping with `id`, `subject` and `schema`");
    struct bytes subject, json;
    int64_t id;
    *out = (struct recorded_schema){0};
    TRY(get_number(r, node, "id", INT32_MIN, INT32_MAX, &id));
    TRY(get_text(r, node, "subject", &subject));
    if (subject.len >= sizeof out->subject || memchr(subject.data, 0, subject.len) != NULL)
        return bad(r, get(r, node, "subject"), "this subject is too long");
    TRY(get_text(r, node, "schema", &json));
    out->id = (int32_t)id;
    memcpy(out->subject, subject.data, subject.len);
    out->json = arena_text(r->arena, (const char *)json.data, json.len);
    return out->json != NULL ? OK : bad(r, node, "the schemas are too long");
}

/* The sequence under `key`, of at most `max` entries. */
static enum status get_sequence(const struct reading *r, const yaml_node_t *root, const char *key,
                                uint32_t max, yaml_node_t **out, uint32_t *count) {
    yaml_node_t *node = get(r, root, key);
    if (node == NULL || node->type != YAML_SEQUENCE_NODE)
        return bad(r, node != NULL ? node : root, "`partitions` and `schemas` must be sequences");
    *out = node;
    *count = (uint32_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    return *count <= max ? OK : bad(r, node, "too many entries here");
}

static enum status read_partitions(const struct reading *r, const yaml_node_t *root,
                                   struct recording_info *out) {
    yaml_node_t *list = NULL;
    TRY(get_sequence(r, root, "partitions", RECORDED_PARTITIONS_MAX, &list, &out->partition_count));
    out->partitions = arena_alloc(r->arena, sizeof *out->partitions * (out->partition_count + 1));
    if (out->partitions == NULL)
        return bad(r, list, "too many partitions for the memory given");
    for (uint32_t i = 0; i < out->partition_count; i++) {
        struct recorded_partition *partition = &out->partitions[i];
        yaml_node_t *node = yaml_document_get_node(r->document, list->data.sequence.items.start[i]);
        TRY(read_partition(r, node, partition));
        for (uint32_t j = 0; j < i; j++)
            if ((out->partitions[j].topic == partition->topic &&
                 out->partitions[j].partition == partition->partition) ||
                strcmp(out->partitions[j].file, partition->file) == 0)
                return bad(r, node, "this partition or file was there before");
    }
    return OK;
}

static bool is_true(const struct reading *r, const yaml_node_t *root, const char *key) {
    const yaml_node_t *node = get(r, root, key);
    return node != NULL && node->type == YAML_SCALAR_NODE &&
           bytes_equal(scalar(node), bytes_text("true"));
}

static enum status read_root(const struct reading *r, struct recording_info *out) {
    yaml_node_t *root = yaml_document_get_root_node(r->document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return bad(r, root,
                   "this is no recording: `recording`, `partitions` and `schemas` must be here");
    int64_t version;
    TRY(get_number(r, root, "recording", INFO_VERSION, INFO_VERSION, &version));
    out->synthetic = is_true(r, root, "synthetic");
    out->live = is_true(r, root, "live");
    TRY(read_partitions(r, root, out));
    yaml_node_t *list = NULL;
    TRY(get_sequence(r, root, "schemas", RECORDED_SCHEMAS_MAX, &list, &out->schema_count));
    out->schemas = arena_alloc(r->arena, sizeof *out->schemas * (out->schema_count + 1));
    if (out->schemas == NULL)
        return bad(r, list, "too many schemas for the memory given");
    for (uint32_t i = 0; i < out->schema_count; i++)
        TRY(read_schema(r, yaml_document_get_node(r->document, list->data.sequence.items.start[i]),
                        &out->schemas[i]));
    return OK;
}

static enum status parse(struct reading *r, struct bytes text, struct recording_info *out) {
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return FAIL(r->err, FATAL, EX_OSERR, "%s: no memory for a YAML parser", r->path);
    yaml_parser_set_input_string(&parser, text.data, text.len);
    enum status status;
    if (!yaml_parser_load(&parser, &document))
        status = FAIL(r->err, FATAL, EX_DATAERR, "%s:%zu:%zu: %s", r->path,
                      parser.problem_mark.line + 1, parser.problem_mark.column + 1,
                      parser.problem != NULL ? parser.problem : "this is no YAML");
    else {
        r->document = &document;
        status = read_root(r, out);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return status;
}

/* ---- the folder ---- */

static bool listed(const struct recording_info *info, const char *name) {
    for (uint32_t i = 0; i < info->partition_count; i++)
        if (strcmp(info->partitions[i].file, name) == 0)
            return true;
    return false;
}

/* Every .avro file has an entry. (That every entry has a file shows when it is opened; here it
 * is said at once.) */
static enum status check_folder(const char *dir, const struct recording_info *info,
                                struct error *err) {
    for (uint32_t i = 0; i < info->partition_count; i++) {
        char path[FILE_PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", dir, info->partitions[i].file);
        struct file_input input;
        if (file_open(&input, path, err) != OK)
            return error_context(err, "%s/" INFO_FILE " names a file that cannot be read", dir);
        file_close(&input);
    }
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return FAIL(err, FATAL, EX_NOINPUT, "%s: %s", dir, strerror(errno));
    enum status status = OK;
    for (struct dirent *entry; status == OK && (entry = readdir(folder)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len > 5 && strcmp(entry->d_name + len - 5, ".avro") == 0 &&
            !listed(info, entry->d_name))
            status = FAIL(err, FATAL, EX_DATAERR,
                          "%s/%s has no entry in " INFO_FILE "; add one, or take the file away",
                          dir, entry->d_name);
    }
    closedir(folder);
    return status;
}

enum status recording_info_read(const char *dir, struct arena *arena, struct recording_info *out,
                                struct error *err) {
    char path[FILE_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/" INFO_FILE, dir) >= (int)sizeof path)
        return FAIL(err, FATAL, EX_NOINPUT, "%s: the path is too long", dir);
    struct bytes text;
    enum status status = file_load(path, arena, INFO_BYTES_MAX, &text, err);
    if (status != OK)
        return error_context(err, "%s is no finished recording", dir);
    *out = (struct recording_info){0};
    struct reading reading = {.path = path, .arena = arena, .err = err};
    TRY(parse(&reading, text, out));
    return check_folder(dir, out, err);
}

/* ---- writing ---- */

struct writing {
    yaml_document_t document;
    uint8_t *text;
    size_t len, max;
    bool full; /* libyaml's memory or ours ran out */
};

static int collect(void *self, unsigned char *data, size_t size) {
    struct writing *w = self;
    if (size > w->max - w->len)
        return 0;
    memcpy(w->text + w->len, data, size);
    w->len += size;
    return 1;
}

static int add_scalar(struct writing *w, const char *text, yaml_scalar_style_t style) {
    int node = yaml_document_add_scalar(&w->document, NULL, (const yaml_char_t *)text,
                                        (int)strlen(text), style);
    w->full |= node == 0;
    return node;
}

static void add_text(struct writing *w, int map, const char *key, const char *text,
                     yaml_scalar_style_t style) {
    int name = add_scalar(w, key, YAML_PLAIN_SCALAR_STYLE), value = add_scalar(w, text, style);
    w->full |= w->full || !yaml_document_append_mapping_pair(&w->document, map, name, value);
}

static void add_number(struct writing *w, int map, const char *key, int64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    add_text(w, map, key, text, YAML_PLAIN_SCALAR_STYLE);
}

static int add_sequence(struct writing *w, int map, const char *key) {
    int name = add_scalar(w, key, YAML_PLAIN_SCALAR_STYLE);
    int list = yaml_document_add_sequence(&w->document, NULL, YAML_BLOCK_SEQUENCE_STYLE);
    w->full |=
        list == 0 || w->full || !yaml_document_append_mapping_pair(&w->document, map, name, list);
    return list;
}

static int add_entry(struct writing *w, int list) {
    int map = yaml_document_add_mapping(&w->document, NULL, YAML_BLOCK_MAPPING_STYLE);
    w->full |= map == 0 || w->full || !yaml_document_append_sequence_item(&w->document, list, map);
    return map;
}

static void fill(struct writing *w, const struct recording_info *info) {
    int root = yaml_document_add_mapping(&w->document, NULL, YAML_BLOCK_MAPPING_STYLE);
    w->full |= root == 0;
    add_number(w, root, "recording", INFO_VERSION);
    add_text(w, root, "synthetic", info->synthetic ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
    if (info->live)
        add_text(w, root, "live", "true", YAML_PLAIN_SCALAR_STYLE);
    int list = add_sequence(w, root, "partitions");
    for (uint32_t i = 0; i < info->partition_count && !w->full; i++) {
        const struct recorded_partition *partition = &info->partitions[i];
        int map = add_entry(w, list);
        add_text(w, map, "topic", topic_name(partition->topic), YAML_PLAIN_SCALAR_STYLE);
        add_number(w, map, "partition", partition->partition);
        add_text(w, map, "file", partition->file, YAML_ANY_SCALAR_STYLE);
        add_number(w, map, "records", partition->count);
        add_number(w, map, "first_timestamp_ms", partition->first_timestamp_ms);
        add_number(w, map, "last_timestamp_ms", partition->last_timestamp_ms);
    }
    list = add_sequence(w, root, "schemas");
    for (uint32_t i = 0; i < info->schema_count && !w->full; i++) {
        int map = add_entry(w, list);
        add_number(w, map, "id", info->schemas[i].id);
        add_text(w, map, "subject", info->schemas[i].subject, YAML_ANY_SCALAR_STYLE);
        add_text(w, map, "schema", info->schemas[i].json, YAML_LITERAL_SCALAR_STYLE);
    }
}

static bool dump(struct writing *w) {
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter)) {
        yaml_document_delete(&w->document);
        return false;
    }
    yaml_emitter_set_output(&emitter, collect, w);
    yaml_emitter_set_width(&emitter, -1);
    yaml_emitter_set_unicode(&emitter, 1);
    bool done = yaml_emitter_dump(&emitter, &w->document); /* deletes the document */
    yaml_emitter_delete(&emitter);
    return done;
}

enum status recording_info_write(const char *dir, const struct recording_info *info,
                                 struct error *err) {
    char path[FILE_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/" INFO_FILE, dir) >= (int)sizeof path)
        return FAIL(err, FATAL, EX_CANTCREAT, "%s: the path is too long", dir);
    struct arena arena;
    TRY(arena_reserve(&arena, INFO_FILE, INFO_BYTES_MAX, err));
    struct writing w = {.text = arena_must(&arena, INFO_BYTES_MAX), .max = INFO_BYTES_MAX};
    bool done = yaml_document_initialize(&w.document, NULL, NULL, NULL, 1, 1);
    if (done) {
        fill(&w, info);
        if (w.full)
            yaml_document_delete(&w.document);
        done = !w.full && dump(&w);
    }
    enum status status =
        done ? file_save(path, bytes_of(w.text, w.len), err)
             : FAIL(err, FATAL, EX_OSERR, "%s: its text does not fit into memory", path);
    arena_release(&arena);
    return status;
}
