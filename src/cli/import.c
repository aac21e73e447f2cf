#include "cli/import.h"
#include "base/file.h"
#include "cli/id_index.h"
#include "cli/input_writer.h"
#include "cli/npy_file.h"
#include "cli/progress_count.h"
#include "cli/request_counter.h"
#include "cli/table_file.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ARENA_BYTES (16ull << 30) /* address space; touched as it is needed */
#define PROGRESS_LINES 1024       /* between looks at the clock */
#define DIMS_MAX 16384
#define ID_FILE_BYTES_MAX (4ull << 30)

struct field {
    const char *name;
    bool required;
    const char *column; /* its name in the file */
    int index;          /* -1: not there */
};
enum item_field { ITEM_ID, ITEM_TIME, ITEM_TITLE, ITEM_FIELDS };
enum event_field {
    EVENT_TIME,
    EVENT_USER,
    EVENT_ITEM,
    EVENT_LABEL,
    EVENT_TYPE,
    EVENT_REQUEST,
    EVENT_FIELDS
};

static const struct field item_fields[ITEM_FIELDS] = {{"item", true, "item", -1},
                                                      {"listed_ms", true, "listed_ms", -1},
                                                      {"title", false, "title", -1}};
static const struct field event_fields[EVENT_FIELDS] = {
    {"ts_ms", true, "ts_ms", -1},  {"user", true, "user", -1},  {"item", true, "item", -1},
    {"label", false, "label", -1}, {"type", false, "type", -1}, {"req", false, "req", -1}};

struct import {
    const struct import_config *config;
    struct import_totals *totals;
    struct arena arena;
    struct input_writer writer;
    struct table_file file; /* the one being read */
    struct field items[ITEM_FIELDS], events[EVENT_FIELDS];
    bool label_mapped;
    int64_t before_ms; /* time of the line before */
};

/* ---- columns ---- */

static bool map_field(struct field *fields, uint32_t count, const char *name, size_t length,
                      const char *column) {
    for (uint32_t i = 0; i < count; i++)
        if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0) {
            fields[i].column = column;
            return true;
        }
    return false;
}

static enum status apply_map(struct import *import, const char *map, struct error *err) {
    const char *equals = strchr(map, '=');
    const char *name = map;
    bool items = true, events = true, known = false;
    if (strncmp(map, "items.", 6) == 0)
        events = false, name += 6;
    else if (strncmp(map, "events.", 7) == 0)
        items = false, name += 7;
    if (equals != NULL && equals > name) {
        size_t length = (size_t)(equals - name);
        known = items && map_field(import->items, ITEM_FIELDS, name, length, equals + 1);
        known |= events && map_field(import->events, EVENT_FIELDS, name, length, equals + 1);
        import->label_mapped |= events && length == 5 && memcmp(name, "label", 5) == 0;
    }
    if (!known)
        return FAIL(
            err, FATAL, EX_USAGE,
            "--map %s: write field=column; fields are item, listed_ms, title of items and ts_ms, "
            "user, item, label, type, req of events",
            map);
    return OK;
}

static enum status find_columns(const struct table_file *file, const char *kind,
                                struct field *fields, uint32_t count, struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        fields[i].index = *fields[i].column ? table_file_column(file, fields[i].column) : -1;
        if (fields[i].index >= 0)
            continue;
        bool asked_for = *fields[i].column != '\0' && strcmp(fields[i].column, fields[i].name) != 0;
        if (fields[i].required || asked_for) {
            char names[256] = "";
            for (uint32_t c = 0; c < file->column_count; c++) {
                size_t used = strlen(names);
                snprintf(names + used, sizeof names - used, "%s%.*s", c ? ", " : "",
                         (int)file->names[c].len, file->names[c].data);
            }
            return FAIL(err, FATAL, EX_DATAERR,
                        "%s:1: has no column `%s' (its columns: %s); say which it is with --map "
                        "%s.%s=COLUMN",
                        file->path, fields[i].column, names, kind, fields[i].name);
        }
    }
    return OK;
}

/* ---- values ---- */

static struct bytes value_of(const struct import *import, const struct field *field) {
    return field->index >= 0 ? import->file.fields[field->index] : bytes_of(NULL, 0);
}

/* "FILE:LINE: column `user': what" */
static enum status bad_value(const struct import *import, const struct field *field,
                             struct error *err, const char *what) {
    struct bytes value = value_of(import, field);
    return FAIL(err, BAD_RECORD, EX_DATAERR, "%s:%llu: column `%s': `%.*s' %s", import->file.path,
                (unsigned long long)import->file.line, field->column,
                value.len < 60 ? (int)value.len : 60,
                bytes_is_utf8(value) ? (const char *)value.data : "?", what);
}

static enum status read_text(const struct import *import, const struct field *field,
                             struct bytes *out, struct error *err) {
    *out = value_of(import, field);
    if (field->required && out->len == 0)
        return bad_value(import, field, err, "is empty");
    if (out->data != NULL && !bytes_is_utf8(*out))
        return bad_value(import, field, err, "is not UTF-8; convert the file with iconv");
    return OK;
}

static enum status read_time(struct import *import, const struct field *field, int64_t *out,
                             struct error *err) {
    struct bytes text = value_of(import, field);
    int64_t value = 0;
    bool good =
        text.len > 0 && text.len <= 15; /* with 15 digits nothing overflows, times 1000 included */
    for (size_t i = 0; i < text.len && good; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        value = value * 10 + (text.data[i] - '0');
    }
    if (!good)
        return bad_value(
            import, field, err,
            "is not a time: whole milliseconds since 1970, or seconds with --time-unit s");
    value *= import->config->time_unit_ms;
    if (value < import->before_ms)
        return bad_value(import, field, err,
                         "goes back in time; sort the lines below the header by this column first");
    *out = value;
    return OK;
}

static enum status read_action(const struct import *import, const struct field *field,
                               enum action *out, struct error *err) {
    static const char *const names[] = {[ACTION_IMPRESSION] = "impression",
                                        [ACTION_CLICK] = "click",
                                        [ACTION_CART] = "cart",
                                        [ACTION_PURCHASE] = "purchase"};
    struct bytes text = value_of(import, field);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text.len == strlen(names[i]) &&
            strncasecmp((const char *)text.data, names[i], text.len) == 0) {
            *out = (enum action)i;
            return OK;
        }
    return bad_value(
        import, field, err,
        "is not one of impression, click, cart, purchase; --map type= leaves the column out");
}

static enum status read_label(const struct import *import, const struct field *field, float *out,
                              struct error *err) {
    struct bytes text = value_of(import, field);
    if (text.len != 1 || (text.data[0] != '0' && text.data[0] != '1'))
        return bad_value(import, field, err,
                         "is not a label: 0 or 1; --map label= leaves the column out");
    *out = (float)(text.data[0] - '0');
    return OK;
}

/* ---- lines ---- */

struct vectors {
    struct npy_file file;
    struct id_index ids;
    float *row; /* [file.columns] */
};

static enum status import_listing(struct import *import, struct vectors *vectors,
                                  struct error *err) {
    struct event event = {.kind = EVENT_LISTING};
    struct listing *listing = &event.as.listing;
    uint64_t row;
    TRY(read_text(import, &import->items[ITEM_ID], &listing->item_id, err));
    TRY(read_text(import, &import->items[ITEM_TITLE], &listing->text, err));
    TRY(read_time(import, &import->items[ITEM_TIME], &listing->event_time_ms, err));
    if (!id_index_find(&vectors->ids, listing->item_id, &row))
        return bad_value(import, &import->items[ITEM_ID], err,
                         "has no vector: no line of --vector-ids names it");
    TRY(npy_file_row(&vectors->file, row, vectors->row, err));
    listing->vector = vectors->row;
    listing->dims = vectors->file.columns;
    TRY(input_writer_put(&import->writer, &event, listing->event_time_ms, err));
    import->before_ms = listing->event_time_ms;
    import->totals->listings++;
    return OK;
}

static enum status import_interaction(struct import *import, struct request_counter *requests,
                                      struct error *err) {
    struct event event = {.kind = EVENT_INTERACTION};
    struct interaction *interaction = &event.as.interaction;
    const struct field *fields = import->events;
    bool typed = fields[EVENT_TYPE].index >= 0;
    TRY(read_text(import, &fields[EVENT_USER], &interaction->user_id, err));
    TRY(read_text(import, &fields[EVENT_ITEM], &interaction->item_id, err));
    TRY(read_text(import, &fields[EVENT_REQUEST], &interaction->request_id, err));
    TRY(read_time(import, &fields[EVENT_TIME], &interaction->event_time_ms, err));
    interaction->action = ACTION_CLICK;
    /* where a column tells the action, a label beside it is often a constant: it counts only
     * when it is asked for */
    interaction->has_label = fields[EVENT_LABEL].index >= 0 && (!typed || import->label_mapped);
    if (interaction->has_label) {
        TRY(read_label(import, &fields[EVENT_LABEL], &interaction->label, err));
        interaction->action = interaction->label > 0 ? ACTION_CLICK : ACTION_IMPRESSION;
    }
    if (typed)
        TRY(read_action(import, &fields[EVENT_TYPE], &interaction->action, err));
    if (interaction->request_id.len == 0) {
        interaction->request_id = bytes_of(NULL, 0);
    } else {
        /* two equal lines of one request are two events: the place within it tells them apart */
        interaction->has_position = true;
        TRY(request_counter_next(requests, interaction->request_id, &interaction->position, err));
    }
    TRY(input_writer_put(&import->writer, &event, interaction->event_time_ms, err));
    import->before_ms = interaction->event_time_ms;
    if (import->totals->interactions++ == 0)
        import->totals->first_ms = interaction->event_time_ms;
    import->totals->last_ms = interaction->event_time_ms;
    import->totals->labelled += interaction->has_label;
    return OK;
}

/* A malformed line ends the import, or is counted. */
static enum status judge(struct import *import, enum status status, struct error *err) {
    if (status != BAD_RECORD)
        return status;
    if (!import->config->skip_bad) {
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, "; --skip-bad leaves such lines out");
        err->status = FATAL;
        return FATAL;
    }
    if (import->totals->skipped++ == 0)
        strcpy(import->totals->first_skipped, err->text);
    return OK;
}

typedef enum status line_reader(struct import *import, void *self, struct error *err);
static enum status read_item(struct import *import, void *self, struct error *err) {
    return import_listing(import, self, err);
}
static enum status read_event(struct import *import, void *self, struct error *err) {
    return import_interaction(import, self, err);
}

static enum status read_lines(struct import *import, const char *what, line_reader *read,
                              void *self, struct error *err) {
    struct progress progress;
    progress_start(&progress, import->config->progress_s);
    import->before_ms = 0;
    enum status status = OK;
    for (bool got = true; status == OK;) {
        status = table_file_next(&import->file, &got, err);
        if (status == OK && !got)
            break;
        if (status == OK)
            status = read(import, self, err);
        status = judge(import, status, err);
        if (import->file.lines_read % PROGRESS_LINES == 0 && progress_due(&progress))
            progress_show_count(&progress, what, import->file.lines_read,
                                table_file_share(&import->file));
    }
    progress_end(&progress);
    import->totals->seconds += progress_seconds(&progress);
    return status;
}

/* ---- files ---- */

static enum status read_vectors(struct import *import, struct vectors *vectors, struct error *err) {
    TRY(npy_file_open(&vectors->file, import->config->vectors, DIMS_MAX, err));
    enum status status = id_index_load(&vectors->ids, import->config->vector_ids, &import->arena,
                                       ID_FILE_BYTES_MAX, err);
    if (status == OK && vectors->ids.count != vectors->file.rows)
        status = FAIL(err, FATAL, EX_DATAERR,
                      "%s: names %llu items, but %s has %llu rows; one line per row is needed",
                      import->config->vector_ids, (unsigned long long)vectors->ids.count,
                      import->config->vectors, (unsigned long long)vectors->file.rows);
    if (status == OK)
        vectors->row = arena_must(&import->arena, vectors->file.columns * sizeof(float));
    else
        npy_file_close(&vectors->file);
    return status;
}

static enum status import_items(struct import *import, struct error *err) {
    struct vectors vectors;
    TRY(table_file_open(&import->file, import->config->items, &import->arena, err));
    enum status status = find_columns(&import->file, "items", import->items, ITEM_FIELDS, err);
    if (status == OK)
        status = read_vectors(import, &vectors, err);
    if (status == OK) {
        status = read_lines(import, "listings", read_item, &vectors, err);
        npy_file_close(&vectors.file);
    }
    table_file_close(&import->file);
    return status;
}

static enum status import_events(struct import *import, struct error *err) {
    struct request_counter requests;
    TRY(request_counter_create(&requests, &import->arena, err));
    TRY(table_file_open(&import->file, import->config->events, &import->arena, err));
    enum status status = find_columns(&import->file, "events", import->events, EVENT_FIELDS, err);
    if (status == OK)
        status = read_lines(import, "interactions", read_event, &requests, err);
    table_file_close(&import->file);
    return status;
}

static enum status import_all(struct import *import, struct error *err) {
    TRY(import_items(import, err));
    TRY(import_events(import, err));
    return input_writer_finish(&import->writer, err);
}

enum status import_run(const struct import_config *config, struct import_totals *totals,
                       struct error *err) {
    struct import import = {.config = config, .totals = totals};
    memcpy(import.items, item_fields, sizeof item_fields);
    memcpy(import.events, event_fields, sizeof event_fields);
    *totals = (struct import_totals){0};
    for (uint32_t i = 0; i < config->map_count; i++)
        TRY(apply_map(&import, config->maps[i], err));
    TRY(arena_reserve(&import.arena, "import", ARENA_BYTES, err));
    enum status status = input_writer_create(&import.writer, config->to, config->partitions,
                                             config->modality, false, err);
    if (status == OK) {
        status = import_all(&import, err);
        input_writer_close(&import.writer);
    }
    arena_release(&import.arena);
    return status;
}
