#include "cli/stories.h"
#include "base/digest.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t exposures_at[STORY_POINTS_MAX] = {0,  1,   2,   5,   10,   20,
                                                        50, 100, 200, 500, 1000, 2000};

void stories_start(struct stories *stories, const struct settings *settings, struct arena *arena) {
    *stories = (struct stories){.keep_below = UINT64_MAX,
                                .batch = settings->ranker.batch,
                                .panel_due = settings->warmup_events};
    stories->list = arena_must(arena, STORIES_MAX * sizeof *stories->list);
}

static struct story *find(const struct stories *stories, struct bytes id, uint64_t hash) {
    for (uint32_t i = 0; i < stories->count; i++)
        if (stories->list[i].hash == hash && bytes_equal(stories->list[i].id, id))
            return &stories->list[i];
    return NULL;
}

const struct story *stories_of(const struct stories *stories, struct bytes id) {
    return find(stories, id, hash64(id.data, id.len, 0));
}

/* An item whose hash is below the last bound was below all of them: so of those that stay, the whole story is known. */
static void make_room(struct stories *stories) {
    while (stories->count == STORIES_MAX) {
        uint32_t kept = 0;
        stories->keep_below /= 2;
        for (uint32_t i = 0; i < stories->count; i++)
            if (stories->list[i].hash < stories->keep_below)
                stories->list[kept++] = stories->list[i];
        stories->count = kept;
    }
}

static enum status begin(struct stories *stories, struct bytes id, uint64_t hash,
                         struct arena *arena, struct story **out, struct error *err) {
    make_room(stories);
    *out = NULL;
    if (hash >= stories->keep_below)
        return OK;
    struct story *story = &stories->list[stories->count];
    *story = (struct story){.hash = hash, .first_click_ms = -1};
    story->id = bytes_of(arena_copy(arena, id.data, id.len), id.len);
    if (story->id.data == NULL)
        return FAIL(err, FATAL, EX_OSERR, "no memory for the stories of items");
    stories->count++;
    *out = story;
    return OK;
}

enum status stories_row(struct stories *stories, const struct row_output *row, struct arena *arena,
                        struct error *err) {
    if (strcmp(row->table, "sid") != 0)
        return OK;
    uint64_t hash = hash64(row->key.data, row->key.len, 0);
    if (hash >= stories->keep_below)
        return OK;
    struct story *story = find(stories, row->key, hash);
    if (story == NULL)
        TRY(begin(stories, row->key, hash, arena, &story, err));
    if (story == NULL || story->step_count++ >= STORY_STEPS_MAX)
        return OK;
    struct sid_step *step = &story->steps[story->step_count - 1];
    *step = (struct sid_step){.epoch = row->epoch, .gone = row->value.data == NULL};
    if (!step->gone)
        memcpy(&step->sid, row->value.data, sizeof step->sid);
    return OK;
}

/* The panel is drawn once, as soon as it is full or the warm-up is over: so scores of different moments are of the same users. */
static void draw_panel(struct stories *stories, const struct model *model, uint64_t labelled) {
    if (stories->panel_count > 0)
        return;
    uint32_t count = model_panel(model, stories->panel, STORY_PANEL);
    if (count == STORY_PANEL || labelled >= stories->panel_due)
        stories->panel_count = count;
}

static double score(const struct stories *stories, struct model *model, uint32_t item_row,
                    int64_t time_ms) {
    float probabilities[STORY_PANEL];
    double sum = 0;
    for (uint32_t at = 0; at < stories->panel_count; at += stories->batch) {
        struct sample samples[STORY_PANEL];
        uint32_t left = stories->panel_count - at,
                 count = left < stories->batch ? left : stories->batch;
        for (uint32_t i = 0; i < count; i++)
            samples[i] = (struct sample){stories->panel[at + i], item_row, time_ms, 0};
        model_score(model, samples, count, probabilities);
        for (uint32_t i = 0; i < count; i++)
            sum += (double)probabilities[i];
    }
    return stories->panel_count > 0 ? sum / stories->panel_count : (double)NAN;
}

static void look(struct stories *stories, struct story *story, struct model *model,
                 int64_t time_ms) {
    uint32_t row = model_find_item(model, story->id);
    if (row == NO_ROW)
        return;
    const struct item_row *item = table_value(model_items(model), row);
    if (item->clicks > 0 && story->first_click_ms < 0)
        story->first_click_ms = time_ms;
    uint32_t reached = 0; /* how many of the marks */
    while (reached < STORY_POINTS_MAX && exposures_at[reached] <= item->exposures)
        reached++;
    const struct story_point *last =
        story->point_count > 0 ? &story->points[story->point_count - 1] : NULL;
    if (last != NULL && last->exposures >= exposures_at[reached - 1])
        return;
    story->points[story->point_count++] = (struct story_point){
        item->exposures, item->clicks, time_ms, score(stories, model, row, time_ms)};
}

void stories_epoch(struct stories *stories, struct model *model, int64_t time_ms,
                   uint64_t labelled) {
    draw_panel(stories, model, labelled);
    for (uint32_t i = 0; i < stories->count; i++)
        look(stories, &stories->list[i], model, time_ms);
}

/* An item that was scored before it was shown much, shown for a while, and clicked. Where there are too few of those, of which more than the end is
 * known will do. */
static bool worth_telling(const struct story *story, bool from_the_start) {
    const struct story_point *first = &story->points[0];
    uint32_t points = story->point_count;
    return points >= 2 && story->points[points - 1].clicks > 0 &&
           (!from_the_start || (points >= 3 && first->exposures <= 2 && isfinite(first->score)));
}

static uint32_t list_worth(const struct stories *stories, bool from_the_start,
                           uint32_t worth[STORIES_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < stories->count; i++)
        if (worth_telling(&stories->list[i], from_the_start))
            worth[count++] = i;
    return count;
}

static uint64_t clicks_of(const struct story *story) {
    return story->points[story->point_count - 1].clicks;
}

/* Stories are in order of arrival. Of each of six equal runs the most clicked item. */
uint32_t stories_choose(const struct stories *stories, uint32_t chosen[STORIES_SHOWN]) {
    uint32_t worth[STORIES_MAX], count = list_worth(stories, true, worth), shown = 0;
    if (count < STORIES_SHOWN)
        count = list_worth(stories, false, worth);
    for (uint32_t s = 0; s < STORIES_SHOWN; s++) {
        uint32_t from = s * count / STORIES_SHOWN, to = (s + 1) * count / STORIES_SHOWN;
        if (from == to)
            continue;
        uint32_t best = worth[from];
        for (uint32_t i = from + 1; i < to; i++)
            if (clicks_of(&stories->list[worth[i]]) > clicks_of(&stories->list[best]))
                best = worth[i];
        chosen[shown++] = best;
    }
    return shown;
}
