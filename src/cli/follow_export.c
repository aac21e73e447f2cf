#include "cli/follow_export.h"

#include "base/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h> /* jansson's texts are the heap's */
#include <string.h>

#define ITEM_ID_BYTES 1024

/* A function of the library that has failed. */
static enum status failed(int status, const char *what, const cs_error *error, struct error *err) {
    return FAIL(err, FATAL, status == CS_STALE ? EX_TEMPFAIL : EX_SOFTWARE, "%s: %s", what,
                error != NULL && error->text[0] != '\0' ? error->text : cs_status_name(status));
}

/* ---- safetensors: eight bytes of length, a JSON header, the data ---- */

/* One tensor of the file. */
struct tensor {
    char name[64];
    const char *type; /* "F32", "I32", "I64" */
    uint32_t rows, columns;
    const void *data;
    size_t bytes;
};
#define TENSORS_MAX 256
struct tensors {
    uint32_t count;
    struct tensor at[TENSORS_MAX];
    struct arena arena; /* of data that is made here */
};

static void add(struct tensors *t, const char *name, const char *type, uint32_t rows,
                uint32_t columns, const void *data) {
    struct tensor *tensor = &t->at[t->count++];
    ASSERT(t->count < TENSORS_MAX);
    *tensor = (struct tensor){.type = type, .rows = rows, .columns = columns, .data = data};
    tensor->bytes = (size_t)rows * columns * (strcmp(type, "I64") == 0 ? 8 : 4);
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
}

/* Codes and generation of every position. */
static enum status add_sids(struct tensors *t, cs_view *view, cs_follower *follower, uint32_t table,
                            uint32_t rows, struct error *err) {
    int32_t *codes = arena_must(&t->arena, (size_t)rows * CS_CODES * sizeof *codes);
    int32_t *generation = arena_must(&t->arena, rows * sizeof *generation);
    char id[ITEM_ID_BYTES];
    cs_item item;
    size_t bytes;
    (void)follower;
    memset(codes, 0xff, (size_t)rows * CS_CODES * sizeof *codes);
    for (uint32_t row = 0; cs_view_next(view, table, &row) == CS_OK && row < rows; row++) {
        int status = cs_view_key(view, table, row, id, sizeof id, &bytes);
        if (status == CS_OK)
            status = cs_view_item(view, id, bytes, &item, sizeof item, NULL);
        if (status != CS_OK)
            return failed(status, "semantic IDs", NULL, err);
        for (int i = 0; i < CS_CODES; i++)
            codes[(size_t)row * CS_CODES + (size_t)i] = item.codes[i];
        generation[row] = (int32_t)item.generation;
    }
    add(t, "sid.codes", "I32", rows, CS_CODES, codes);
    add(t, "sid.generation", "I32", rows, 1, generation);
    return OK;
}

/* Numbered rows also have their numbers. */
static enum status add_numbers(struct tensors *t, cs_view *view, const char *name, uint32_t table,
                               uint32_t rows, struct error *err) {
    int64_t *numbers = arena_must(&t->arena, rows * sizeof *numbers);
    char text[64];
    memset(numbers, 0xff, rows * sizeof *numbers);
    for (uint32_t row = 0; cs_view_next(view, table, &row) == CS_OK && row < rows; row++) {
        uint8_t key[8];
        size_t bytes;
        int status = cs_view_key(view, table, row, key, sizeof key, &bytes);
        if (status != CS_OK)
            return failed(status, name, NULL, err);
        numbers[row] = (int64_t)get_be64(key);
    }
    snprintf(text, sizeof text, "%s.keys", name);
    add(t, text, "I64", rows, 1, numbers);
    return OK;
}

static enum status add_table(struct tensors *t, cs_follower *follower, cs_view *view,
                             uint32_t number, struct error *err) {
    cs_error error = {0};
    cs_table table;
    const void *data;
    uint32_t rows;
    cs_table_at(follower, number, &table, sizeof table);
    int status = cs_view_dense(view, number, &data, NULL, &rows, &error);
    if (status != CS_OK)
        return failed(status, table.name, &error, err);
    if (table.columns == 0)
        return add_sids(t, view, follower, number, rows, err);
    if (table.key == CS_KEY_NUMBER)
        TRY(add_numbers(t, view, table.name, number, rows, err));
    add(t, table.name, "F32", rows, table.columns, data);
    return OK;
}

static char *header_of(const struct tensors *t, const cs_epoch *epoch) {
    json_t *header = json_object();
    char number[32], generation[32];
    size_t at = 0;
    snprintf(number, sizeof number, "%" PRIu64, epoch->epoch);
    snprintf(generation, sizeof generation, "%u", epoch->generation);
    json_object_set_new(header, "__metadata__",
                        json_pack("{s:s, s:s, s:s}", "format", "coldstream", "epoch", number,
                                  "generation", generation));
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tensor *tensor = &t->at[i];
        json_t *entry = json_pack("{s:s, s:[i,i], s:[I,I]}", "dtype", tensor->type, "shape",
                                  (int)tensor->rows, (int)tensor->columns, "data_offsets",
                                  (json_int_t)at, (json_int_t)(at + tensor->bytes));
        json_object_set_new(header, tensor->name, entry);
        at += tensor->bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

static enum status write_tensors(const struct tensors *t, const cs_epoch *epoch, const char *path,
                                 struct error *err) {
    struct file_output file;
    uint8_t length[8];
    static const char blanks[8] = "        ";
    char *header = header_of(t, epoch);
    if (header == NULL)
        return FAIL(err, FATAL, EX_OSERR, "%s: no memory for its header", path);
    size_t bytes = strlen(header), padded = (bytes + 7) / 8 * 8; /* so the data is aligned */
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(padded >> (8 * i));
    enum status status = file_create(&file, path, err);
    if (status == OK)
        status = file_append(&file, length, sizeof length, err);
    if (status == OK)
        status = file_append(&file, header, bytes, err);
    if (status == OK)
        status = file_append(&file, blanks, padded - bytes, err);
    for (uint32_t i = 0; i < t->count && status == OK; i++)
        status = file_append(&file, t->at[i].data, t->at[i].bytes, err);
    free(header);
    return status == OK ? file_commit(&file, err) : status;
}

/* Address space for what is made here beside the view's own arrays: SIDs and keys. */
static enum status reserve(struct tensors *t, cs_follower *follower, struct error *err) {
    size_t bytes = 1 << 20;
    for (uint32_t i = 0; i < cs_table_count(follower); i++) {
        cs_table table;
        cs_table_at(follower, i, &table, sizeof table);
        if (table.columns == 0 || table.key == CS_KEY_NUMBER)
            bytes += (size_t)table.rows_max * 8 * (CS_CODES + 1);
    }
    return arena_reserve(&t->arena, "export", bytes, err);
}

static enum status export_tensors(cs_follower *follower, cs_view *view, const char *path,
                                  struct error *err) {
    static struct tensors tensors;
    cs_epoch epoch;
    tensors.count = 0;
    cs_view_facts(view, &epoch, sizeof epoch);
    TRY(reserve(&tensors, follower, err));
    enum status status = OK;
    for (uint32_t i = 0; i < cs_table_count(follower) && status == OK; i++)
        status = add_table(&tensors, follower, view, i, err);
    if (status == OK)
        status = write_tensors(&tensors, &epoch, path, err);
    arena_release(&tensors.arena);
    return status;
}

/* ---- CSV ---- */

/* Quoted where it must be, quotes doubled. */
static size_t quote(const char *id, size_t bytes, char *out) {
    bool plain = true;
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++)
        plain = plain && strchr(",\"\r\n", id[i]) == NULL;
    if (plain) {
        memcpy(out, id, bytes);
        return bytes;
    }
    out[used++] = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (id[i] == '"')
            out[used++] = '"';
        out[used++] = id[i];
    }
    out[used++] = '"';
    return used;
}

static enum status write_items(cs_view *view, uint32_t table, struct file_output *file,
                               struct error *err) {
    static const char *const reasons[] = {"NEW", "CONTENT", "DRIFT", "GENERATION"};
    static const char head[] = "item,position,c1,c2,c3,o1,o2,generation,codebook_version,reason,"
                               "epoch,event_time_ms,exposures,clicks\n";
    TRY(file_append(file, head, sizeof head - 1, err));
    for (uint32_t row = 0; cs_view_next(view, table, &row) == CS_OK; row++) {
        char id[ITEM_ID_BYTES], line[2 * ITEM_ID_BYTES + 512];
        cs_item item;
        size_t bytes;
        int status = cs_view_key(view, table, row, id, sizeof id, &bytes);
        if (status == CS_OK)
            status = cs_view_item(view, id, bytes, &item, sizeof item, NULL);
        if (status != CS_OK)
            return failed(status, "items", NULL, err);
        size_t used = quote(id, bytes, line);
        used += (size_t)snprintf(line + used, sizeof line - used,
                                 ",%u,%u,%u,%u,%u,%u,%u,%u,%s,%" PRIu64 ",%" PRId64 ",%.9g,%.9g\n",
                                 item.position, item.codes[0], item.codes[1], item.codes[2],
                                 item.codes[3], item.codes[4], item.generation,
                                 item.codebook_version, reasons[item.reason & 3], item.epoch,
                                 item.event_time_ms, (double)item.exposures, (double)item.clicks);
        TRY(file_append(file, line, used, err));
    }
    int status = cs_view_check(view);
    return status == CS_OK ? OK : failed(status, "items", NULL, err);
}

static enum status export_items(cs_follower *follower, cs_view *view, const char *path,
                                struct error *err) {
    static struct file_output file;
    TRY(file_create(&file, path, err));
    enum status status = write_items(view, cs_table_named(follower, "sid"), &file, err);
    if (status == OK)
        return file_commit(&file, err);
    file_abandon(&file);
    return status;
}

enum status follow_export(cs_follower *follower, cs_view *view, const char *folder,
                          struct error *err) {
    char path[FILE_PATH_BYTES];
    TRY(file_make_folders(folder, err));
    if (snprintf(path, sizeof path, "%s/tables.safetensors", folder) >= (int)sizeof path)
        return FAIL(err, FATAL, EX_USAGE, "%s: the path is too long", folder);
    TRY(export_tensors(follower, view, path, err));
    snprintf(path, sizeof path, "%s/items.csv", folder);
    return export_items(follower, view, path, err);
}
