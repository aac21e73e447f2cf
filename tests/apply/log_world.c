#include "log_world.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 40

struct tables *world_tables(bool implied) {
    struct tables *set;
    struct table *items, *child;
    struct error err;
    ck_assert_int_eq(tables_create(&set, &err), OK);
    struct table_spec item = {"items",  KEY_STRING, implied ? TO_NOTHING : TO_CHANGELOG,
                              NULL,     12,         implied ? 4 : 8,
                              ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &item, &items, &err), OK);
    struct table_spec first = {"first", KEY_CHILD, TO_DELTAS, items, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &first, &child, &err), OK);
    struct table_spec second = {"second", KEY_CHILD, TO_CHANGELOG, items, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &second, &child, &err), OK);
    struct table_spec numbered = {"numbered", KEY_U64, TO_CHANGELOG, NULL, 0, 8, ITEMS_MAX};
    ck_assert_int_eq(tables_add(set, &numbered, &child, &err), OK);
    return set;
}

static void touch(struct table *table, uint32_t row, struct rng *rng) {
    uint64_t value = rng_u64(rng);
    memcpy(table_edit(table, row), &value, sizeof value);
}

static void remove_item(struct tables *set, uint32_t row) {
    for (uint32_t t = 1; t <= 2; t++)
        if (table_live(tables_at(set, t), row))
            table_remove(tables_at(set, t), row);
    table_remove(tables_at(set, 0), row);
}

static void item_step(struct tables *set, struct rng *rng) {
    char key[16];
    struct error err;
    snprintf(key, sizeof key, "item%u", rng_below(rng, 60));
    struct table *items = tables_at(set, 0), *child = tables_at(set, 1 + rng_below(rng, 2));
    uint32_t row = table_find(items, bytes_text(key));
    if (row == NO_ROW) {
        if (table_rows(items) < ITEMS_MAX) {
            ck_assert_int_eq(table_insert(items, bytes_text(key), &row, &err), OK);
            touch(items, row, rng);
        }
        return;
    }
    if (rng_below(rng, 4) == 0) {
        remove_item(set, row);
        return;
    }
    if (!table_live(child, row))
        ck_assert_int_eq(table_insert_child(child, row, &err), OK);
    touch(rng_below(rng, 2) ? child : items, row, rng);
}

static void numbered_step(struct tables *set, struct rng *rng) {
    struct table *numbered = tables_at(set, 3);
    uint64_t key = rng_below(rng, 60);
    uint32_t row = table_find_u64(numbered, key);
    struct error err;
    if (row != NO_ROW && rng_below(rng, 2)) {
        table_remove(numbered, row);
    } else {
        if (row == NO_ROW && table_rows(numbered) < ITEMS_MAX)
            ck_assert_int_eq(table_insert_u64(numbered, key, &row, &err), OK);
        if (row != NO_ROW)
            touch(numbered, row, rng);
    }
}

static void append(struct log_world *log, const struct tables *set, uint32_t t, struct bytes key,
                   uint32_t position, uint64_t epoch) {
    const struct table *table = tables_at(set, t);
    uint64_t hash = hash64(key.data, key.len, t);
    uint32_t partition = (uint32_t)(hash % PARTITIONS);
    struct logged *out = &log->records[partition][log->count[partition]++];
    ck_assert_uint_lt(log->count[partition], RECORDS_MAX);
    *out = (struct logged){.table = t,
                           .key_len = (uint32_t)key.len,
                           .position = position,
                           .epoch = epoch,
                           .kept = true,
                           .tombstone = position == NO_ROW};
    memcpy(out->key, key.data, key.len);
    if (!out->tombstone) {
        out->version = table_version(table, position);
        memcpy(out->value, table_value(table, position), sizeof out->value);
    }
}

static void publish(struct log_world *log, struct tables *set, uint64_t epoch) {
    uint8_t scratch[8];
    tables_seal(set);
    for (uint32_t t = 4; t-- > 0;) {
        const struct table *table = tables_at(set, t);
        for (uint32_t i = 0; i < table_removed_count(table); i++)
            append(log, set, t, table_removed_key(table, i, scratch), NO_ROW, epoch);
        for (uint32_t i = 0; i < table_dirty_count(table); i++)
            if (!table_live(table, table_dirty_at(table, i)))
                append(log, set, t, table_key(table, table_dirty_at(table, i), scratch), NO_ROW,
                       epoch);
    }
    for (uint32_t t = 0; t < 4; t++) {
        const struct table *table = tables_at(set, t);
        for (uint32_t i = 0; i < table_dirty_count(table); i++)
            if (table_live(table, table_dirty_at(table, i)))
                append(log, set, t, table_key(table, table_dirty_at(table, i), scratch),
                       table_dirty_at(table, i), epoch);
    }
    tables_commit(set);
}

void world_epoch(struct log_world *world) {
    ck_assert_uint_lt(world->epoch, EPOCHS_MAX);
    for (uint32_t step = rng_below(&world->rng, 40); step > 0; step--)
        rng_below(&world->rng, 3) ? item_step(world->set, &world->rng)
                                  : numbered_step(world->set, &world->rng);
    publish(world, world->set, ++world->epoch);
    struct sealed_epoch *sealed = &world->epochs[world->epoch];
    for (uint32_t p = 0; p < PARTITIONS; p++)
        sealed->ends[p] = world->count[p];
    for (uint32_t t = 0; t < TABLES; t++)
        sealed->digests[t] = table_digest(tables_at(world->set, t));
}

static bool superseded(const struct logged *records, uint32_t at, uint32_t end) {
    for (uint32_t j = at + 1; j < end; j++)
        if (records[j].table == records[at].table && records[j].key_len == records[at].key_len &&
            memcmp(records[j].key, records[at].key, records[at].key_len) == 0)
            return true;
    return false;
}

void world_compact(struct log_world *world, bool tombstones) {
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        uint32_t cleaned = rng_below(&world->rng, world->count[p] + 1);
        for (uint32_t i = 0; i < cleaned; i++) {
            struct logged *record = &world->records[p][i];
            if (superseded(world->records[p], i, cleaned) ||
                (tombstones && record->tombstone && rng_below(&world->rng, 2)))
                record->kept = false;
        }
    }
}

bool world_row(const struct log_world *world, uint32_t partition, uint32_t offset,
               struct tables *set, struct folded_row *row) {
    const struct logged *record = &world->records[partition][offset];
    *row = (struct folded_row){.table = tables_at(set, record->table),
                               .key = bytes_of(record->key, record->key_len),
                               .position = record->tombstone ? 0 : record->position,
                               .version = record->version};
    if (!record->tombstone)
        row->value = bytes_of(record->value, sizeof record->value);
    return record->kept && table_spec(row->table)->output != TO_NOTHING;
}

bool world_digest(void *self, const char *table, struct digest *out) {
    static const char *const names[TABLES] = {"items", "first", "second", "numbered"};
    const struct sealed_epoch *sealed = self;
    for (uint32_t t = 0; t < TABLES; t++)
        if (strcmp(names[t], table) == 0) {
            *out = sealed->digests[t];
            return true;
        }
    return false;
}

uint64_t world_seed(int round) {
    const char *given = getenv("COLDSTREAM_SEED");
    return given ? strtoull(given, NULL, 10) : (uint64_t)round + 1;
}

struct log_world *world_create(uint64_t seed) {
    struct log_world *world = calloc(1, sizeof *world);
    world->rng = rng_stream(seed, RNG_TEST, 77, 0);
    world->set = world_tables(false);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        world->records[p] = calloc(RECORDS_MAX, sizeof *world->records[p]);
    return world;
}

void world_destroy(struct log_world *world) {
    for (uint32_t p = 0; p < PARTITIONS; p++)
        free(world->records[p]);
    tables_destroy(world->set);
    free(world);
}
