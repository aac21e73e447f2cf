/* Watching a running stage, off the epoch's way.
 *
 * The stage's thread owns a struct watch and feeds it: the ports are wrapped so that time and records are seen as they pass (watch_ports.c), and between two
 * epochs watch_serve() takes a picture, at most every PICTURE_MS, and looks at the model a slice at a time. Whoever shows it (http.c, a thread of its own)
 * copies the last picture under a mutex that is held for a copy and no longer, and touches nothing of the stage. */
#ifndef OPS_WATCH_H
#define OPS_WATCH_H

#include "model/score_window.h"
#include "model/survey.h"
#include "ops/counters.h"
#include "transport/kafka.h"

#define PICTURE_MS 250
#define RATES_MS 60000      /* "of the last minute" */
#define TABLES_SHOWN_MAX 64 /* all that there are, so far */
#define RECENT_MAX 20       /* listings and dead letters */
#define HISTORY_MAX 360
#define QUALITY_MS 10000      /* between two points of the history, at least */
#define RECENT_TEXT_BYTES 256 /* of an id or title that is shown; longer ones are cut */
#define REASON_BYTES 256
#define WATCH_ID_BYTES 1025 /* of an item that is looked up, with its end */

enum watch_state {
    WATCH_STARTING,
    WATCH_WAITING,
    WATCH_STANDBY,
    WATCH_RESTORING,
    WATCH_LEADING,
    WATCH_DRAINING,
    WATCH_STATES
};
extern const char *const watch_state_names[WATCH_STATES];

/* ---- the picture ---- */

struct shown_text {
    uint32_t len;
    char data[RECENT_TEXT_BYTES]; /* as it came: any bytes */
};
struct shown_input {
    enum topic topic;
    int32_t partition;
    int64_t position, end; /* committed, and the log's end; -1: not known */
    int64_t timestamp_ms;  /* of the record taken last; -1: none yet */
};
struct shown_table {
    char name[32];
    uint64_t rows, rows_max, bytes;
};
struct shown_listing {
    struct shown_text item, title;
    uint16_t codes[SID_CODES];
    int64_t arrived_ms;
    double latency_s;
    uint64_t epoch;
};
struct shown_dead {
    char reason[32];
    enum topic topic; /* of the input */
    int32_t partition;
    int64_t offset, time_ms;
    struct shown_text text;
};
struct quality_point {
    int64_t t_ms;
    struct score_slice all, cold, warm;
};

struct picture {
    uint64_t number;      /* 1, 2, ...; 0: none yet */
    int64_t taken_ms;     /* since 1970, as all times below */
    int64_t committed_ms; /* -1: no epoch yet */
    uint64_t epoch;
    enum epoch_kind kind;
    struct counters now, then; /* then: a minute ago, or when counting began */
    double latency_max_s;      /* of the listings between; NaN: none */
    uint32_t producers;        /* that the sink has replaced */
    struct stage_totals totals;
    uint32_t input_count, table_count, listing_count, dead_count, history_count;
    struct shown_input inputs[STAGE_PARTITIONS_MAX];
    struct shown_table tables[TABLES_SHOWN_MAX];
    struct shown_listing listings[RECENT_MAX]; /* newest first, as the next */
    struct shown_dead dead[RECENT_MAX];
    struct evaluation model; /* what model_overview() fills in */
    bool judged;             /* the next two are there */
    struct score_figures whole, window;
    struct quality_point history[HISTORY_MAX]; /* oldest first */
};

/* What the stage's thread says of itself at once, not only between epochs. */
struct watch_status {
    enum watch_state state;
    char reason[REASON_BYTES]; /* why it is not ready; "": no more to say */
    bool restoring;            /* the next two are of a restore under way */
    uint64_t restored, restore_total;
    double call_s; /* the stage's thread has been in one call of the broker for so long */
    char trouble[REASON_BYTES]; /* of the input or output; "": none */
    double trouble_s;           /* how long */
};

int64_t watch_wall_ms(void); /* since 1970 */

/* ---- the stage's side ---- */

struct watch;
/* For stages of this configuration, whose content epochs hold at most so many listings. */
enum status watch_create(struct watch **out, const struct model_config *model,
                         uint32_t listings_max, struct error *err);
/* After whoever shows it has ended. */
void watch_destroy(struct watch *watch);

/* Ports that see what passes. The watch must outlive them. */
struct source_port watch_source(struct watch *watch, struct source_port inner);
struct sink_port watch_sink(struct watch *watch, struct sink_port inner);

/* reason: NULL for none. */
void watch_state(struct watch *watch, enum watch_state state, const char *reason);
/* Records of the outputs folded so far, of so many. */
void watch_restore(struct watch *watch, uint64_t restored, uint64_t total);

/* What of an item look-up the caller answers: JSON text from the heap, which the receiver frees; NULL: there is no such item. */
typedef char *(*watch_look_up)(void *self, const char *item_id);

/* Between two epochs, as often as one likes; the stage's ports are the watch's. */
struct watch_stage {
    struct stage *stage;
    const struct kafka_source *source;
    struct kafka_sink *sink;
    watch_look_up look_up;
    void *self;
};
void watch_serve(struct watch *watch, const struct watch_stage *stage);
/* The stage is another one now, with a state of its own. */
void watch_renew(struct watch *watch);

/* ---- the other side: one other thread ---- */

/* False: it is the one that *out has already. */
bool watch_picture(struct watch *watch, struct picture *out);
void watch_status(struct watch *watch, struct watch_status *out);
/* The last complete round of the survey; NULL: none yet. Counts one that has become complete, which may take a while. Until the next call. */
const struct survey_figures *watch_survey(struct watch *watch);
/* Sums of survey_level.changed over all rounds. */
uint64_t watch_changed(const struct watch *watch, uint32_t level);

/* One look-up at a time, of an id shorter than WATCH_ID_BYTES. ask: false when another one is under way, or none can be served now. answer: whether it has come; *json is the caller's (NULL: no such
 * item). Give up to make room. */
bool watch_ask(struct watch *watch, const char *item_id);
bool watch_answer(struct watch *watch, char **json);
void watch_give_up(struct watch *watch);

#endif
