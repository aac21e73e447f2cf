/* The stories of some cold items: when they arrived, the SIDs they had, and how the model's opinion of them moved as they were shown. Candidates are
 * the items with the smallest hashes of their ids, so two replays of one recording have the same ones; which of them are told is decided at the end. */
#ifndef CLI_STORIES_H
#define CLI_STORIES_H

#include "base/arena.h"
#include "config/settings.h"
#include "model/model.h"
#include "stage/event.h"

#define STORIES_MAX 128 /* candidates */
#define STORIES_SHOWN 6
#define STORY_STEPS_MAX 12  /* of the SID's history: the first ones */
#define STORY_POINTS_MAX 12 /* exposures 0, 1, 2, 5, ... 2000 */
#define STORY_PANEL 32      /* users */

struct sid_step {
    uint64_t epoch;
    bool gone; /* delisted: no SID */
    struct sid_row sid;
};
/* The item at the end of the first epoch in which it had at least so many exposures. */
struct story_point {
    uint64_t exposures, clicks;
    int64_t time_ms;
    double score; /* mean click probability over the panel; NaN: there was no panel yet */
};
struct story {
    struct bytes id;
    uint64_t hash;
    uint32_t step_count; /* may be more than were kept */
    struct sid_step steps[STORY_STEPS_MAX];
    uint32_t point_count;
    struct story_point points[STORY_POINTS_MAX];
    int64_t first_click_ms; /* end of the epoch of its first click; -1: none */
};
struct stories {
    uint64_t keep_below; /* candidates: hash of the id below this; halved when there are too many */
    uint32_t count, panel_count;
    uint32_t panel[STORY_PANEL];
    uint32_t batch;     /* samples that the model takes at once */
    uint64_t panel_due; /* labelled events after which the panel is drawn even if it is not full */
    struct story *list; /* [STORIES_MAX] */
};

/* Memory from `arena`. */
void stories_start(struct stories *stories, const struct settings *settings, struct arena *arena);
/* A row of the outputs, of whatever table; ids are copied into `arena`. */
enum status stories_row(struct stories *stories, const struct row_output *row, struct arena *arena,
                        struct error *err);
/* After an epoch; labelled: samples scored so far. */
void stories_epoch(struct stories *stories, struct model *model, int64_t time_ms,
                   uint64_t labelled);
/* Indices of those that are worth telling, in order of arrival; returns how many. */
uint32_t stories_choose(const struct stories *stories, uint32_t chosen[STORIES_SHOWN]);
/* The story of this item; NULL when there is none. */
const struct story *stories_of(const struct stories *stories, struct bytes id);

#endif
