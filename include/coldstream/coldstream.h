/* libcoldstream: what a coldstream stage publishes, folded into memory and kept current, for programs that serve from it.
 *
 * A *follower* reads the public output topics (semantic-ids, ranker-deltas, codebooks, epochs) from Kafka or from a recording, folds their rows
 * and holds every table against the digest that the stage published with the epoch. A *view* is the state after one epoch, whole: all
 * partitions, all tables, or nothing of it. Views are cheap; open one for each request, or keep one for a batch.
 *
 *     cs_follower *follower;
 *     cs_view *view;
 *     cs_item item;
 *     if (cs_open_recording(&follower, "out", NULL, &error) != CS_OK || cs_wait(follower, CS_LATEST, -1, &error) != CS_OK)
 *         ...                                        error.text says what, where and the remedy
 *     cs_view_open(follower, &view, &error);
 *     cs_view_item(view, "85123A", 6, &item, sizeof item, &error);
 *     printf("%u-%u-%u\n", item.codes[0], item.codes[1], item.codes[2]);
 *     cs_view_close(view);
 *     cs_close(follower);
 *
 * Threads
 *   - One thread at a time *drives* a follower: calls cs_step() or cs_wait(), or cs_start() makes a thread of the library's own for that until cs_stop().
 *     While that one runs, cs_wait() may be called by any thread, and only waits.
 *   - Everything with a cs_view * and cs_view_open() may be called by any number of threads at the same time, while the follower is driven. No look-up
 *     takes a lock or waits for the driver; opening is a few atomic operations. One view may be shared; close it once, when nobody uses it any more.
 *   - A cs_encoder or cs_scorer belongs to one thread at a time; each thread makes its own.
 *   - cs_close() is for when all views, encoders and scorers are closed and no thread is inside a call.
 *
 * How long a view lasts. There is one copy of the rows; what newer epochs overwrite is kept for older views in a memory of fixed size (`undo_bytes` of
 * cs_options). A view whose epoch has left it answers CS_STALE from then on, never with a wrong row: open a new one.
 *
 * Errors. Functions return an enum cs_status; where one takes a cs_error *, it may be NULL. Sizes of structs are passed (`sizeof item`), so that
 * a newer library can add members at the end; the library writes no more than that. Pointers that are handed out last as long as the handle they
 * come from, unless it says otherwise. Ids are bytes with a length; they need no NUL. Floats are IEEE float32, integers the machine's. */
#ifndef COLDSTREAM_H
#define COLDSTREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CS_API __attribute__((visibility("default")))
#define CS_VERSION_MAJOR 0
#define CS_VERSION_MINOR 1

/* "0.1.0": of the library that is linked, which may be newer than this header. */
CS_API const char *cs_version(void);

enum cs_status {
    CS_OK = 0,
    CS_ABSENT = 1,      /* no such item, row or table in this view */
    CS_AGAIN = 2,       /* not now: the time is up, or nothing is whole yet; call again */
    CS_STALE = 3,       /* the view's epoch has left memory; open a new one */
    CS_END = 4,         /* the recording has no more epochs */
    CS_INVALID = 5,     /* an argument cannot be right: the error says which */
    CS_CONFIG = 6,      /* configuration, rights; or the stage's own sizes have changed: open a new follower */
    CS_DATA = 7,        /* the log does not fold to what its manifests say, also when folded anew */
    CS_UNAVAILABLE = 8, /* no input, the broker cannot be reached */
    CS_NO_MEMORY = 9,
    CS_INTERNAL = 10,
    CS_TOO_SMALL = 11 /* the buffer; *rows or the like says what it takes */
};
/* "ok", "absent", ... */
CS_API const char *cs_status_name(int status);

typedef struct cs_error {
    int status;    /* enum cs_status */
    int exit_code; /* of sysexits.h, for a program that ends with it */
    char text[512];
} cs_error;

typedef struct cs_options cs_options;
typedef struct cs_follower cs_follower;
typedef struct cs_view cs_view;
typedef struct cs_encoder cs_encoder;
typedef struct cs_scorer cs_scorer;

/* ---- options ---- */

/* NULL when there is no memory. */
CS_API cs_options *cs_options_new(void);
CS_API void cs_options_free(cs_options *options);
/* A configuration file of the stage (conf/run.yaml): brokers, topics' names, limits. */
CS_API int cs_options_read(cs_options *options, const char *path, cs_error *error);
/* A setting of docs/CONFIGURATION.md by its name ("kafka.brokers", "kafka.prefix", "kafka.properties.sasl.password", "limits.items"), or of the follower:
 *   undo_bytes    [16777216]  for older views and for the changes of an epoch
 *   staged_bytes  [268435456] address space for rows of epochs that are not whole yet; whoever falls behind that catches up again
 * Sizes of the model come from the manifests; what is set here counts only where retention has dropped the one that has them. */
CS_API int cs_options_set(cs_options *options, const char *name, const char *value,
                          cs_error *error);

/* ---- a follower ---- */

/* `options` NULL: all at their defaults. It is copied. The follower has nothing yet: cs_step(), cs_wait() or cs_start(). */
CS_API int cs_open_recording(cs_follower **out, const char *folder, const cs_options *options,
                             cs_error *error);
/* kafka.brokers must be set. Joins no group, commits nothing, reads what is committed. The stage must have run
 * once: CS_CONFIG while its topics are missing, CS_UNAVAILABLE while they have no epoch. */
CS_API int cs_open_kafka(cs_follower **out, const cs_options *options, cs_error *error);
CS_API void cs_close(cs_follower *follower);

/* Reads and folds what is there, up to the next epoch that becomes visible; waits timeout_ms at most for records. CS_OK: a new epoch is visible; CS_AGAIN: none
 * yet; CS_END: a recording is at its end; others: it cannot go on. */
CS_API int cs_step(cs_follower *follower, int timeout_ms, cs_error *error);
/* A thread that calls cs_step() until cs_stop(); what stopped it comes back from cs_stop() and cs_wait(). */
CS_API int cs_start(cs_follower *follower, cs_error *error);
CS_API int cs_stop(cs_follower *follower, cs_error *error);
/* Until this epoch, or a newer one, is visible; CS_LATEST: the newest that the log has when this is called. Drives the follower itself if no thread of the
 * library's does. timeout_ms < 0: no limit; CS_AGAIN when it is over, or when cs_stop() has stopped the thread that it waited for. CS_END: the recording ends before that
 * epoch. */
#define CS_LATEST UINT64_MAX
CS_API int cs_wait(cs_follower *follower, uint64_t epoch, int timeout_ms, cs_error *error);

typedef struct cs_stats {
    uint64_t epoch;        /* visible; 0: none yet */
    uint64_t newest_epoch; /* of the newest manifest read */
    uint64_t oldest_epoch; /* that a view may still be opened at */
    double progress;       /* 0 .. 1 of the way to the newest epoch, while it catches up; 1 when it keeps up */
    uint64_t rows;         /* folded so far */
    uint64_t epochs;       /* made visible so far */
    uint64_t resyncs;      /* times that it had to catch up again, for any of the reasons below */
    uint64_t gaps;         /* epochs whose manifest never came, or positions that the log does not have any more */
    uint64_t repeats;      /* records that came again, and were passed over */
    uint64_t bad_rows;     /* records that did not decode or fit their table */
    uint64_t bad_digests;  /* epochs whose rows did not fold to their manifest's digests */
    uint64_t memory_bytes; /* of rows, keys, indexes and what is kept for older views; touched, not reserved */
    uint64_t row_bytes;    /* of the live rows themselves: keys and values */
} cs_stats;
/* Any thread. */
CS_API void cs_follower_stats(const cs_follower *follower, cs_stats *out, size_t size);

/* ---- tables ---- */

#define CS_CODES 5 /* of a SID */
enum cs_key { CS_KEY_ITEM, CS_KEY_NUMBER, CS_KEY_POSITION };
typedef struct cs_table {
    const char *name;  /* "sid", "z", "embedding", "counts", "codebooks", "E1", "dense.w1", ... */
    const char *topic; /* "semantic-ids", "ranker-deltas", "codebooks" */
    uint32_t key;      /* enum cs_key: item id; a 64-bit number; the position itself */
    uint32_t row_bytes;
    uint32_t columns;  /* float32 numbers in a row; 0: rows are no plain numbers (sid: cs_sid) */
    uint32_t rows_max; /* positions are below */
} cs_table;
/* All tables, the same ones as long as the follower lives. Tables with the key CS_KEY_ITEM share positions: an item's rows are all at one position. */
CS_API uint32_t cs_table_count(const cs_follower *follower);
CS_API int cs_table_at(const cs_follower *follower, uint32_t table, cs_table *out, size_t size);
/* The number of the table of that name; UINT32_MAX: there is none. */
CS_API uint32_t cs_table_named(const cs_follower *follower, const char *name);

/* What a ranker of one's own over these tables needs and no table tells, as the stage's manifest has it. Any thread; the same as long as the follower lives. */
typedef struct cs_model {
    const char *variant; /* model.variant: "full", ... */
    uint32_t content_dims, z_dims;
    uint32_t books[CS_CODES]; /* codes of each level */
    uint32_t width;           /* of embeddings and code rows */
    uint32_t history;         /* recent items that count */
    uint32_t hidden[2];       /* of the DNN */
    uint32_t gate_hidden;     /* 0: no learned gate, T is one half */
    float opq_share;          /* of I_OPQ in I_f; 0: none */
    uint32_t cross;           /* 1: attentions across the two views */
    uint32_t reserved;
} cs_model;
CS_API void cs_follower_model(const cs_follower *follower, cs_model *out, size_t size);

/* ---- views ---- */

/* The state after the newest visible epoch. CS_AGAIN: there is none yet (or, while it folds the log anew, none any more), or CS_VIEWS_MAX are open. */
#define CS_VIEWS_MAX 1024
CS_API int cs_view_open(cs_follower *follower, cs_view **out, cs_error *error);
/* The state after this epoch. CS_STALE: not in memory any more; CS_AGAIN: not visible yet; CS_ABSENT: it was passed over while catching up. */
CS_API int cs_view_open_at(cs_follower *follower, uint64_t epoch, cs_view **out, cs_error *error);
CS_API void cs_view_close(cs_view *view);
CS_API uint64_t cs_view_epoch(const cs_view *view);
/* CS_OK or CS_STALE. */
CS_API int cs_view_check(const cs_view *view);

typedef struct cs_epoch {
    uint64_t epoch;
    int64_t timestamp_ms; /* event time: the largest timestamp of the inputs so far */
    int64_t watermark_ms;
    uint32_t generation;
    uint32_t codebook_version; /* 0: there are no codebooks yet */
    uint64_t items;            /* with a SID */
} cs_epoch;
CS_API int cs_view_facts(const cs_view *view, cs_epoch *out, size_t size);

enum cs_reason { CS_NEW, CS_CONTENT, CS_DRIFT, CS_GENERATION };
typedef struct cs_item {
    uint32_t position; /* of its rows */
    uint32_t has_sid;
    uint16_t codes[CS_CODES];
    uint16_t previous[CS_CODES]; /* equal to codes when there was none */
    uint32_t has_previous;
    uint32_t reason; /* enum cs_reason: of the last change */
    uint32_t generation;
    uint32_t codebook_version;
    float quantisation_error; /* when it was assigned */
    float exposures, clicks;  /* as far as the ranker reads them */
    uint64_t epoch;           /* of the last change */
    int64_t event_time_ms;
    int64_t first_exposed_ms; /* -1: never */
} cs_item;
/* A row of the table "sid", as cs_view_row(), cs_view_rows() and cs_view_dense() give it. A row that is not there, of a dense array, is all zero. */
typedef struct cs_sid {
    uint16_t codes[CS_CODES];
    uint16_t previous[CS_CODES]; /* equal to codes when there was none */
    uint16_t reason;             /* enum cs_reason: of the last change */
    uint16_t has_previous;
    uint32_t generation;
    uint32_t codebook_version;
    float quantisation_error; /* when it was assigned */
    uint32_t reserved;
    uint64_t epoch; /* of the last change */
    int64_t event_time_ms;
} cs_sid;

/* CS_ABSENT: the item is not there; *out is zero then. */
CS_API int cs_view_item(const cs_view *view, const void *id, size_t id_bytes, cs_item *out,
                        size_t size, cs_error *error);
/* n of them, with memory fetched ahead: several times as fast as one by one where the catalogue does not fit the caches. out [n, item_size bytes];
 * found [n]: 1 or 0. CS_OK also when some are absent. */
CS_API int cs_view_items(const cs_view *view, uint32_t n, const void *const *ids,
                         const size_t *id_bytes, void *out, size_t item_size, uint8_t *found,
                         cs_error *error);

/* Position of the row with this key: an item id, or 8 bytes, big end first. CS_ABSENT. */
CS_API int cs_view_find(const cs_view *view, uint32_t table, const void *key, size_t key_bytes,
                        uint32_t *position);
/* A row by position: row_bytes of the table into `out`. CS_ABSENT. */
CS_API int cs_view_row(const cs_view *view, uint32_t table, uint32_t position, void *out,
                       size_t bytes);
/* n rows; those that are absent are zero, and found [n] says which are there. */
CS_API int cs_view_rows(const cs_view *view, uint32_t table, uint32_t n, const uint32_t *positions,
                        void *out, size_t bytes, uint8_t *found);
/* Key of the row at a position into `out`. *key_bytes: its length, also with CS_TOO_SMALL. */
CS_API int cs_view_key(const cs_view *view, uint32_t table, uint32_t position, void *out,
                       size_t bytes, size_t *key_bytes);
/* The first live row at or past *position, whose position it becomes; CS_END: there is none. For loops over a table. */
CS_API int cs_view_next(const cs_view *view, uint32_t table, uint32_t *position);

/* The item's code row of a level: table "E1" "E2" "E3" "O1" "O2" "A1" "A2" "A3" -> its position there, for cs_view_row(). CS_ABSENT: no SID, or the variant has
 * no such table. Rows of levels 2 and 3 are keyed by the whole prefix. */
CS_API int cs_view_code_row(const cs_view *view, const cs_item *item, const char *table,
                            uint32_t *position);

/* Items whose SID begins with the first `depth` (1 .. 5) of `codes`, by position, at most `max`; *found counts all of them. Of the view's generation. */
CS_API int cs_view_prefix(const cs_view *view, const uint16_t codes[CS_CODES], uint32_t depth,
                          uint32_t *positions, uint32_t max, uint32_t *found);
/* The items that share the most leading codes with this one, those nearest by z first among equals; not itself. *found: how many, max (256) at most. */
CS_API int cs_view_neighbours(const cs_view *view, uint32_t position, uint32_t *positions,
                              uint32_t max, uint32_t *found);

/* The whole table as a dense array [rows, row_bytes], row i that of position i; rows that are not there are zero. A copy that belongs to the view: made by the
 * first call, borrowed until the view is closed, the same for every thread. `live` [rows]: 1 where there is a row; may be NULL. The view is all that keeps it
 * alive, so hold it as long as the array. */
CS_API int cs_view_dense(cs_view *view, uint32_t table, const void **data, const uint8_t **live,
                         uint32_t *rows, cs_error *error);

/* Positions of a table's rows that the view's epoch changed (new, other value, gone), in no order, at most max; *found counts all of them. CS_ABSENT: not known,
 * because the epoch is the first after catching up: anything may have changed. CS_STALE: not any more. */
CS_API int cs_view_changes(const cs_view *view, uint32_t table, uint32_t *positions, uint32_t max,
                           uint32_t *found);

/* ---- encoding and scoring ---- */

/* The codebooks of the view, taken into memory of the encoder's own: it outlives the view. CS_ABSENT: there are none yet. */
CS_API int cs_encoder_open(const cs_view *view, cs_encoder **out, cs_error *error);
CS_API void cs_encoder_close(cs_encoder *encoder);
CS_API uint32_t cs_encoder_content_dims(const cs_encoder *encoder);
CS_API uint32_t cs_encoder_z_dims(const cs_encoder *encoder);
/* vectors [n, content_dims], as in item-content (modalities in the order of content.modalities; NaN for one that is missing) -> codes [n, 5], and where
 * not NULL z [n, z_dims] and error [n] (what the codes leave over, squared). The stage's own code, so its bits. The stage does two things beside that where it
 * is told to, from state of its own: an item keeps its code in a near tie (tokenizer.codebooks), and takes the next last code when its SID is another item's
 * (tokenizer.collision_tries). */
CS_API int cs_encode(cs_encoder *encoder, uint32_t n, const float *vectors, uint16_t *codes,
                     float *z, float *error_out, cs_error *error);

/* The published ranker as of the view. Rows of items are taken from the view as they are asked for, and kept; so close it before, or with, the view. */
CS_API int cs_scorer_open(const cs_view *view, cs_scorer **out, cs_error *error);
CS_API void cs_scorer_close(cs_scorer *scorer);
/* Who is scored for: recent items, newest first (as many as model.history count; those that are not there do not), and how often the user has clicked in all. */
typedef struct cs_user {
    const uint32_t *history; /* [history_length] positions */
    uint32_t history_length;
    uint32_t reserved;
    uint64_t clicks;
} cs_user;
/* Candidates [n] by position -> logits [n]; a click's probability is 1 / (1 + exp(-logit)). now_ms: event time, for the items' ages. The stage's own forward pass, so its
 * bits for the same state and features. NaN for a position without an item. */
CS_API int cs_score(cs_scorer *scorer, const cs_user *user, size_t user_size, int64_t now_ms,
                    uint32_t n, const uint32_t *candidates, float *logits, cs_error *error);

#ifdef __cplusplus
}
#endif
#endif
