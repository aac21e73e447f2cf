#include "cli/verify_live.h"
#include "cli/verify.h"
#include <string.h>

/* Address space for keys whose last record has not been found (16 bytes each; a power of two of them). */
#define OWED_MAX ((size_t)1 << 24)

struct owed {
    uint64_t key;  /* hash of topic and key; 0: never used */
    uint64_t open; /* 1: no later record has been found yet */
};

struct head {
    bool loaded, ended;
    struct record record;
};

struct live_rows {
    struct output_log *log;
    const struct manifest *manifest;
    struct recording_writer_config written;
    uint32_t first[TOPIC_COUNT]; /* of the topic's heads */
    struct head *heads;
    uint64_t compared, compacted;
    struct arena owed_arena;
    struct owed *owed; /* open addressing; entries stay when they are paid */
    size_t owed_used;
};

enum status live_rows_create(struct live_rows **out, struct output_log *log,
                             const struct recording_writer_config *written, struct arena *arena,
                             struct error *err) {
    struct live_rows *rows = arena_must(arena, sizeof *rows);
    *rows = (struct live_rows){.log = log, .written = *written};
    uint32_t count = 0;
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT; topic++) {
        rows->first[topic] = count;
        count += (uint32_t)written->partitions[topic];
    }
    rows->heads = arena_must(arena, (count + 1) * sizeof *rows->heads);
    memset(rows->heads, 0, (count + 1) * sizeof *rows->heads);
    TRY(arena_reserve(&rows->owed_arena, "rows not found", OWED_MAX * sizeof *rows->owed, err));
    rows->owed = arena_must(&rows->owed_arena, OWED_MAX * sizeof *rows->owed);
    *out = rows;
    return OK;
}

void live_rows_close(struct live_rows *rows) {
    arena_release(&rows->owed_arena);
}

void live_rows_begin(struct live_rows *rows, const struct manifest *manifest) {
    rows->manifest = manifest;
}

static enum status peek(struct live_rows *rows, enum topic topic, int32_t partition,
                        struct head **out, struct error *err) {
    struct head *head = &rows->heads[rows->first[topic] + (uint32_t)partition];
    *out = head;
    if (head->loaded || head->ended)
        return OK;
    TRY(output_log_next(rows->log, topic, partition, &head->record, &head->loaded, err));
    head->ended = !head->loaded;
    return OK;
}

/* One past the epoch's last record of the partition. */
static int64_t end_of(const struct live_rows *rows, enum topic topic, int32_t partition) {
    const struct manifest *m = rows->manifest;
    for (uint32_t i = 0; i < m->end_count; i++)
        if (m->ends[i].topic == topic && m->ends[i].partition == partition)
            return m->ends[i].end_offset;
    return 0;
}

/* The entry of a key, or the free one where it would be. */
static struct owed *owed_at(const struct live_rows *rows, const struct record *made) {
    uint64_t key = hash64(made->key.data, made->key.len, made->topic) | 1;
    size_t at = (size_t)(key >> 8) & (OWED_MAX - 1);
    while (rows->owed[at].key != 0 && rows->owed[at].key != key)
        at = (at + 1) & (OWED_MAX - 1);
    return &rows->owed[at];
}

static enum status owe(struct live_rows *rows, const struct record *made, struct error *err) {
    struct owed *entry = owed_at(rows, made);
    rows->compacted++;
    rows->owed_used += entry->key == 0;
    if (rows->owed_used > OWED_MAX / 4 * 3)
        return FAIL(err, FATAL, EX_UNAVAILABLE,
                    "more than %zu keys have been compacted away: record a shorter stretch",
                    OWED_MAX / 4 * 3);
    entry->key = hash64(made->key.data, made->key.len, made->topic) | 1;
    entry->open = made->value.data != NULL; /* tombstones go, too, in time */
    return OK;
}

static void pay(struct live_rows *rows, const struct record *made) {
    if (rows->owed_used > 0)
        owed_at(rows, made)->open = 0;
}

enum status live_rows_match(struct live_rows *rows, const struct record *made,
                            enum live_match *match, struct error *err) {
    int32_t partition = recording_partition(made, rows->written.partitions[made->topic]);
    struct head *head;
    TRY(peek(rows, made->topic, partition, &head, err));
    bool here = head->loaded && head->record.offset < end_of(rows, made->topic, partition) &&
                bytes_equal(head->record.key, made->key);
    if (!here) {
        *match = made->topic == TOPIC_DEAD_LETTER ? LIVE_MISSING : LIVE_COMPACTED;
        return *match == LIVE_COMPACTED ? owe(rows, made, err) : OK;
    }
    bool equal = bytes_equal(head->record.value, made->value) &&
                 (head->record.value.data == NULL) == (made->value.data == NULL) &&
                 head->record.timestamp_ms == made->timestamp_ms &&
                 record_headers_equal(&head->record, made);
    *match = equal ? LIVE_EQUAL : LIVE_OTHER_VALUE;
    head->loaded = false;
    rows->compared++;
    pay(rows, made);
    return OK;
}

enum status live_rows_left(struct live_rows *rows, bool after_last, struct record *out, bool *got,
                           struct error *err) {
    *got = false;
    for (enum topic topic = TOPIC_INPUTS; topic < TOPIC_COUNT && !*got; topic++)
        for (int32_t p = 0; p < rows->written.partitions[topic] && !*got; p++) {
            struct head *head;
            if (topic == TOPIC_EPOCHS)
                continue; /* whoever verifies reads it */
            TRY(peek(rows, topic, p, &head, err));
            *got = head->loaded && (after_last || head->record.offset < end_of(rows, topic, p));
            if (*got)
                *out = head->record;
        }
    return OK;
}

uint64_t live_rows_compared(const struct live_rows *rows) {
    return rows->compared;
}
uint64_t live_rows_compacted(const struct live_rows *rows) {
    return rows->compacted;
}

uint64_t live_rows_unseen(const struct live_rows *rows) {
    uint64_t count = 0;
    for (size_t i = 0; rows->compacted > 0 && i < OWED_MAX; i++)
        count += rows->owed[i].open;
    return count;
}
