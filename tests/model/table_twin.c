#include "table_twin.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLES 7u
#define VALUE_BYTES_MAX 264u
#define KEY_BYTES 24u

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Parents by number; -1: none. Value sizes on both sides of XXH3's borders (16, 128, 240 bytes). */
static const struct {
    const char *name;
    enum key_kind kind;
    int parent;
    uint32_t value_bytes;
} shapes[TABLES] = {{"items", KEY_STRING, -1, 40},      {"items.z", KEY_CHILD, 0, 264},
                    {"items.count", KEY_CHILD, 0, 4},   {"numbers", KEY_U64, -1, 16},
                    {"numbers.row", KEY_CHILD, 3, 132}, {"dense", KEY_DENSE, -1, 12},
                    {"dense.row", KEY_CHILD, 5, 8}};

struct row {
    bool live;
    uint32_t key; /* a number; key_text() makes the bytes of it. KEY_CHILD: the parent's */
    uint64_t version;
    uint8_t value[VALUE_BYTES_MAX];
};

struct twin {
    uint32_t rows_max, keys; /* keys are numbers below `keys` */
    struct chooser chooser;
    struct tables *set, *follower;
    struct table *tables[TABLES];
    struct row *now[TABLES], *begin[TABLES]; /* [rows_max] */
    bool *touched[TABLES];
    bool *here; /* [keys] scratch */
    struct record *records;
};

/* What is published of one table and epoch. */
struct record {
    uint8_t key[KEY_BYTES];
    size_t key_len;
    uint32_t row; /* NO_ROW: tombstone */
};

static uint32_t below(struct twin *twin, uint32_t bound) {
    return twin->chooser.below(twin->chooser.context, bound);
}

static size_t key_text(uint32_t table, uint32_t key, uint8_t out[KEY_BYTES]) {
    while (shapes[table].parent >= 0)
        table = (uint32_t)shapes[table].parent;
    switch (shapes[table].kind) {
    case KEY_STRING: /* of 5 to 20 bytes */
        return (size_t)snprintf((char *)out, KEY_BYTES, "%05u%.*s", key, (int)(key % 16),
                                "of many lengths");
    case KEY_U64:
        put_be64(out, key * UINT64_C(0x9E3779B97F4A7C15));
        return 8;
    default:
        put_be64(out, key);
        return 8;
    }
}

static void add_table(struct tables *set, uint32_t i, uint32_t rows_max, struct table **out) {
    struct error err;
    struct table_spec spec = {
        .name = shapes[i].name,
        .key_kind = shapes[i].kind,
        .output = TO_DELTAS,
        .parent = shapes[i].parent < 0 ? NULL : tables_at(set, (uint32_t)shapes[i].parent),
        .key_bytes_max = shapes[i].kind == KEY_STRING ? 20 : 0,
        .value_bytes = shapes[i].value_bytes,
        .rows_max = rows_max};
    CHECK(tables_add(set, &spec, out, &err) == OK, "%s", err.text);
}

struct tables *twin_tables_new(uint32_t rows_max) {
    struct error err;
    struct tables *set;
    struct table *table;
    CHECK(tables_create(&set, &err) == OK, "%s", err.text);
    for (uint32_t i = 0; i < TABLES; i++)
        add_table(set, i, rows_max, &table);
    return set;
}

struct twin *twin_create(uint32_t rows_max, struct chooser chooser) {
    struct twin *twin = calloc(1, sizeof *twin);
    twin->rows_max = rows_max;
    twin->keys = rows_max + rows_max / 2;
    twin->chooser = chooser;
    twin->set = twin_tables_new(rows_max);
    twin->follower = twin_tables_new(rows_max);
    twin->here = calloc(twin->keys, sizeof twin->here[0]);
    twin->records = calloc((size_t)rows_max * 2, sizeof twin->records[0]);
    for (uint32_t i = 0; i < TABLES; i++) {
        twin->tables[i] = tables_at(twin->set, i);
        twin->now[i] = calloc(rows_max, sizeof(struct row));
        twin->begin[i] = calloc(rows_max, sizeof(struct row));
        twin->touched[i] = calloc(rows_max, sizeof(bool));
    }
    return twin;
}

void twin_destroy(struct twin *twin) {
    tables_destroy(twin->set);
    tables_destroy(twin->follower);
    for (uint32_t i = 0; i < TABLES; i++) {
        free(twin->now[i]);
        free(twin->begin[i]);
        free(twin->touched[i]);
    }
    free(twin->here);
    free(twin->records);
    free(twin);
}

const struct tables *twin_tables(const struct twin *twin) {
    return twin->set;
}

/* ---- steps ---- */

static uint32_t plain_find(const struct twin *twin, uint32_t i, uint32_t key) {
    for (uint32_t row = 0; row < twin->rows_max; row++)
        if (twin->now[i][row].live && twin->now[i][row].key == key)
            return row;
    return NO_ROW;
}

static void edit(struct twin *twin, uint32_t i, uint32_t row) {
    uint32_t at = below(twin, shapes[i].value_bytes);
    uint8_t byte = (uint8_t)below(twin, 256);
    ((uint8_t *)table_edit(twin->tables[i], row))[at] = byte;
    twin->now[i][row].value[at] = byte;
    twin->touched[i][row] = true;
}

static void place(struct twin *twin, uint32_t i, uint32_t row, uint32_t key) {
    twin->now[i][row] = (struct row){.live = true, .key = key};
    twin->touched[i][row] = true;
    edit(twin, i, row);
}

static uint32_t lowest_free(const struct twin *twin, uint32_t i) {
    for (uint32_t row = 0; row < twin->rows_max; row++)
        if (!twin->now[i][row].live)
            return row;
    return NO_ROW;
}

static void insert(struct twin *twin, uint32_t i, uint32_t key) {
    struct error err;
    uint8_t text[KEY_BYTES];
    struct bytes bytes = bytes_of(text, key_text(i, key, text));
    uint32_t expected = plain_find(twin, i, key), row = NO_ROW;
    CHECK(table_find(twin->tables[i], bytes) == expected, "%s key %u", shapes[i].name, key);
    if (expected != NO_ROW) {
        edit(twin, i, expected);
        return;
    }
    bool dense = shapes[i].kind == KEY_DENSE;
    expected = dense ? (key < twin->rows_max ? key : NO_ROW) : lowest_free(twin, i);
    enum status status = table_insert(twin->tables[i], bytes, &row, &err);
    if (expected == NO_ROW) {
        CHECK(status == FATAL && err.exit_code == EX_CONFIG, "%s", shapes[i].name);
        return;
    }
    CHECK(status == OK && row == expected, "%s: row %u, not %u", shapes[i].name, row, expected);
    place(twin, i, row, key);
}

/* A live row at or after a random position; NO_ROW when there is none. */
static uint32_t some_row(struct twin *twin, uint32_t i) {
    uint32_t start = below(twin, twin->rows_max);
    for (uint32_t n = 0; n < twin->rows_max; n++) {
        uint32_t row = (start + n) % twin->rows_max;
        if (twin->now[i][row].live)
            return row;
    }
    return NO_ROW;
}

static void insert_child(struct twin *twin, uint32_t i) {
    struct error err;
    uint32_t parent = (uint32_t)shapes[i].parent, row = some_row(twin, parent);
    if (row == NO_ROW)
        return;
    if (twin->now[i][row].live) {
        edit(twin, i, row);
        return;
    }
    CHECK(table_insert_child(twin->tables[i], row, &err) == OK, "%s", err.text);
    place(twin, i, row, twin->now[parent][row].key);
}

static void take_out(struct twin *twin, uint32_t i, uint32_t row) {
    for (uint32_t child = i + 1; child < TABLES; child++)
        if (shapes[child].parent == (int)i && twin->now[child][row].live)
            take_out(twin, child, row);
    table_remove(twin->tables[i], row);
    twin->now[i][row].live = false;
    twin->touched[i][row] = true;
}

void twin_step(struct twin *twin) {
    uint32_t i = below(twin, TABLES);
    uint32_t choice = below(twin, 8);
    if (choice < 4) {
        if (shapes[i].kind == KEY_CHILD)
            insert_child(twin, i);
        else
            insert(twin, i, below(twin, twin->keys));
        return;
    }
    uint32_t row = some_row(twin, i);
    if (row == NO_ROW)
        return;
    if (choice < 6)
        edit(twin, i, row);
    else
        take_out(twin, i, row);
}

/* ---- comparison ---- */

static struct digest plain_digest(uint32_t i, uint32_t position, const struct row *row) {
    uint8_t text[32 + KEY_BYTES];
    struct digest value = digest_of(row->value, shapes[i].value_bytes, 0);
    uint32_t key_len = (uint32_t)key_text(i, row->key, text + 32);
    memcpy(text, &value, 16);
    memcpy(text + 16, &row->version, 8);
    memcpy(text + 24, &position, 4);
    memcpy(text + 28, &key_len, 4);
    return digest_of(text, 32 + key_len, 0);
}

static void compare_row(const struct table *table, uint32_t i, uint32_t position,
                        const struct row *row, const char *who) {
    CHECK(table_live(table, position) == row->live, "%s: %s row %u", who, shapes[i].name, position);
    if (!row->live)
        return;
    uint8_t text[KEY_BYTES], scratch[8];
    struct bytes key = bytes_of(text, key_text(i, row->key, text));
    CHECK(bytes_equal(table_key(table, position, scratch), key), "%s: %s row %u", who,
          shapes[i].name, position);
    CHECK(table_version(table, position) == row->version, "%s: %s row %u: version %llu, not %llu",
          who, shapes[i].name, position, (unsigned long long)table_version(table, position),
          (unsigned long long)row->version);
    CHECK(memcmp(table_value(table, position), row->value, shapes[i].value_bytes) == 0,
          "%s: %s row %u", who, shapes[i].name, position);
    if (shapes[i].kind != KEY_CHILD)
        CHECK(table_find(table, key) == position, "%s: %s row %u", who, shapes[i].name, position);
}

static void compare_table(const struct twin *twin, const struct table *table, uint32_t i,
                          const char *who) {
    struct error err;
    struct digest sum = {0, 0};
    uint32_t rows = 0, end = 0;
    for (uint32_t position = 0; position < twin->rows_max; position++) {
        const struct row *row = &twin->now[i][position];
        compare_row(table, i, position, row, who);
        if (!row->live)
            continue;
        rows++;
        end = position + 1;
        sum = digest_add(sum, plain_digest(i, position, row));
    }
    CHECK(table_rows(table) == rows, "%s: %s", who, shapes[i].name);
    CHECK(table_end(table) == end, "%s: %s", who, shapes[i].name);
    CHECK(digest_equal(table_digest(table), sum), "%s: %s", who, shapes[i].name);
    CHECK(table_validate(table, &err) == OK, "%s: %s", who, err.text);
}

void twin_compare(const struct twin *twin, const struct tables *other, const char *who) {
    for (uint32_t i = 0; i < TABLES; i++)
        compare_table(twin, tables_at(other, i), i, who);
}

/* Marks in twin->here the keys that live in `rows`. */
static void mark_keys(struct twin *twin, const struct row *rows) {
    memset(twin->here, 0, twin->keys * sizeof twin->here[0]);
    for (uint32_t row = 0; row < twin->rows_max; row++)
        if (rows[row].live)
            twin->here[rows[row].key] = true;
}

/* A changed row's version follows on its key's version at the epoch's beginning. */
static void plain_seal(struct twin *twin, uint32_t i) {
    uint64_t *versions = calloc(twin->keys, sizeof versions[0]);
    for (uint32_t row = 0; row < twin->rows_max; row++)
        if (twin->begin[i][row].live)
            versions[twin->begin[i][row].key] = twin->begin[i][row].version;
    for (uint32_t row = 0; row < twin->rows_max; row++)
        if (twin->now[i][row].live && twin->touched[i][row])
            twin->now[i][row].version = versions[twin->now[i][row].key] + 1;
    free(versions);
}

/* Whether the position has an owner now whose key is another one than at the beginning. */
static bool changed_hands(const struct twin *twin, uint32_t i, uint32_t row) {
    uint32_t root = shapes[i].parent < 0 ? i : (uint32_t)shapes[i].parent;
    return twin->now[root][row].live && twin->now[root][row].key != twin->begin[i][row].key;
}

static bool is_removed_key(const struct twin *twin, uint32_t i, struct bytes key) {
    for (uint32_t n = 0; n < table_removed_count(twin->tables[i]); n++) {
        uint8_t scratch[8];
        if (bytes_equal(table_removed_key(twin->tables[i], n, scratch), key))
            return true;
    }
    return false;
}

/* The published rows are exactly those that the two copies say. */
static void check_published(struct twin *twin, uint32_t i) {
    const struct table *table = twin->tables[i];
    uint32_t dirty = 0, removed = 0;
    mark_keys(twin, twin->now[i]);
    for (uint32_t row = 0; row < twin->rows_max; row++) {
        const struct row *now = &twin->now[i][row], *begin = &twin->begin[i][row];
        bool gone = begin->live && !twin->here[begin->key];
        uint8_t text[KEY_BYTES], scratch[8];
        struct bytes key = bytes_of(text, key_text(i, begin->key, text));
        if (gone && changed_hands(twin, i, row)) {
            CHECK(is_removed_key(twin, i, key), "%s row %u", shapes[i].name, row);
            removed++;
            gone = false;
        }
        if (!gone && !(now->live && twin->touched[i][row]))
            continue;
        CHECK(dirty < table_dirty_count(table) && table_dirty_at(table, dirty) == row,
              "%s row %u is dirty", shapes[i].name, row);
        if (gone)
            CHECK(bytes_equal(table_key(table, row, scratch), key), "%s row %u", shapes[i].name,
                  row);
        dirty++;
    }
    CHECK(table_dirty_count(table) == dirty, "%s: %u dirty rows, not %u", shapes[i].name,
          table_dirty_count(table), dirty);
    CHECK(table_removed_count(table) == removed, "%s", shapes[i].name);
}

/* ---- the follower ---- */

static void add_record(struct twin *twin, uint32_t *count, struct bytes key, uint32_t row) {
    struct record *record = &twin->records[(*count)++];
    memcpy(record->key, key.data, key.len);
    record->key_len = key.len;
    record->row = row;
}

static void follow(struct twin *twin, uint32_t i) {
    const struct table *table = twin->tables[i];
    uint32_t count = 0;
    uint8_t scratch[8];
    for (uint32_t n = 0; n < table_dirty_count(table); n++) {
        uint32_t row = table_dirty_at(table, n);
        add_record(twin, &count, table_key(table, row, scratch),
                   table_live(table, row) ? row : NO_ROW);
    }
    for (uint32_t n = 0; n < table_removed_count(table); n++)
        add_record(twin, &count, table_removed_key(table, n, scratch), NO_ROW);
    for (; count > 0; count--) { /* in any order */
        struct error err;
        uint32_t n = below(twin, count);
        const struct record *record = &twin->records[n];
        bool gone = record->row == NO_ROW;
        struct bytes value = {NULL, 0};
        if (!gone)
            value = bytes_of(table_value(table, record->row), shapes[i].value_bytes);
        CHECK(table_restore(tables_at(twin->follower, i), bytes_of(record->key, record->key_len),
                            record->row, gone ? 0 : table_version(table, record->row), value,
                            &err) == OK,
              "%s", err.text);
        twin->records[n] = twin->records[count - 1];
    }
}

/* ---- epochs ---- */

static void copy_rows(struct twin *twin, struct row **to, struct row **from) {
    for (uint32_t i = 0; i < TABLES; i++) {
        memcpy(to[i], from[i], twin->rows_max * sizeof(struct row));
        memset(twin->touched[i], 0, twin->rows_max * sizeof(bool));
    }
}

void twin_end_epoch(struct twin *twin) {
    uint32_t choice = below(twin, 8);
    if (choice > 0) {
        tables_seal(twin->set);
        for (uint32_t i = 0; i < TABLES; i++) {
            plain_seal(twin, i);
            check_published(twin, i);
        }
        twin_compare(twin, twin->set, "sealed");
    }
    if (choice <= 1) {
        tables_rollback(twin->set);
        copy_rows(twin, twin->now, twin->begin);
    } else {
        for (uint32_t i = 0; i < TABLES; i++)
            follow(twin, i);
        tables_commit(twin->set);
        copy_rows(twin, twin->begin, twin->now);
    }
    twin_compare(twin, twin->set, choice <= 1 ? "rolled back" : "committed");
    twin_compare(twin, twin->follower, "follower");
    CHECK(digest_equal(tables_digest(twin->set), tables_digest(twin->follower)), "all tables");
}
