/* What the files of labels share: the tables, and what is derived from them. */
#ifndef STAGE_LABELS_PRIVATE_H
#define STAGE_LABELS_PRIVATE_H

#include "stage/deadlines.h"
#include "stage/labels.h"
#include "stage/watermark.h"

/* The one row of table `labels`. */
struct labels_row {
    int64_t watermark_ms; /* WATERMARK_NONE: none yet */
    uint64_t arrivals;    /* numbers given to rows so far */
    struct labels_totals totals;
};

/* Interactions of a user, an item and a request, by digests of the three: of fixed size, so that
 * ("ab", "c") and ("a", "bc") differ. An empty request id is none. */
struct identity {
    struct digest user, item, request;
    uint64_t has_request;
};

/* Rows of table `impressions`, told apart by enum join_kind in the key. */
enum join_kind { JOIN_IMPRESSION, JOIN_CLICKS };
enum join_state {
    JOIN_WAITS,  /* an impression without a click; clicks without an impression */
    JOIN_MATCHED /* an impression that gave its sample; clicks of which one gave a sample */
};
struct join_row {
    int64_t first_ms; /* event time of the impression, or of the earliest of the clicks */
    int64_t last_ms;  /* the same, or of the latest of the clicks */
    uint64_t arrival;
    struct item_handle item; /* impressions only */
    uint32_t user_row;       /* impressions only */
    uint16_t kind;           /* enum join_kind */
    uint16_t state;          /* enum join_state */
};

/* Value of a row of `seen`. */
struct repeat_row {
    int64_t deadline_ms;
    uint64_t arrival;
};

#define RECENT_PER_ROW 64u /* item_handles of a row of `recent` */

struct labels {
    struct stage_config config;
    uint64_t seed;
    struct model *model;
    struct table *state, *impressions, *recent, *seen;
    struct watermark watermark;
    struct deadlines windows; /* rows of impressions, by the end of their window */
    struct deadlines memory;  /* rows of seen, by when they are forgotten */
};

/* What an interaction means as things stand. */
enum verdict_kind {
    VERDICT_GIVEN,      /* one sample, by its own label */
    VERDICT_SAMPLED,    /* a positive sample with negatives */
    VERDICT_IMPRESSION, /* waits */
    VERDICT_SERVED,     /* an impression whose click came before it: a positive sample */
    VERDICT_JOINED,     /* a click whose impression waits: a positive sample */
    VERDICT_AFTER,      /* a further click on an impression: nothing */
    VERDICT_HELD,       /* a click before its impression: waits */
    VERDICT_REPEATED,   /* the same event, or the impression again, at `row` */
    VERDICT_LATE
};
struct verdict {
    enum verdict_kind kind;
    uint32_t row; /* SERVED: the clicks; JOINED, AFTER, REPEATED: the impression; else NO_ROW */
};

/* labels.c */
const struct labels_row *labels_state(const struct labels *labels);
/* For writing; makes the row when it is absent. */
enum status labels_edit(struct labels *labels, struct labels_row **row, struct error *err);
struct identity labels_identity(const struct labels *labels, const struct interaction *interaction);

/* labels_join.c */
enum status join_create(struct labels *labels, struct tables *set, struct arena *arena,
                        struct error *err);
void join_refresh(struct labels *labels);
/* released: an impression behind the watermark is not late. */
struct verdict join_judge(const struct labels *labels, const struct identity *identity,
                          const struct interaction *interaction, bool released);
/* What joining it with this verdict emits. */
uint32_t join_expected(const struct labels *labels, struct verdict verdict,
                       const struct identity *identity, const struct interaction *interaction);
enum status join_apply(struct labels *labels, struct verdict verdict,
                       const struct identity *identity, const struct interaction *interaction,
                       uint32_t item_row, struct sample_port samples, struct error *err);
/* Closes the windows that the watermark has passed. */
enum status join_close(struct labels *labels, struct sample_port samples, struct error *err);

/* labels_sample.c */
enum status sample_create(struct labels *labels, struct tables *set, struct error *err);
/* Emits `positive`, then its negatives; then the click counts as a recent one. */
enum status sample_apply(struct labels *labels, const struct record *record,
                         const struct sample *positive, struct sample_port samples,
                         struct error *err);

/* labels_duplicates.c */
enum status repeats_create(struct labels *labels, struct tables *set, struct arena *arena,
                           struct error *err);
void repeats_refresh(struct labels *labels);
bool repeats_has(const struct labels *labels, const struct identity *identity,
                 const struct interaction *interaction);
enum status repeats_remember(struct labels *labels, const struct identity *identity,
                             const struct interaction *interaction, struct error *err);
/* Forgets what the watermark has passed. */
void repeats_forget(struct labels *labels);

#endif
