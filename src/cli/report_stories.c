/* The report's stories of cold items. */
#include "cli/answer.h"
#include "cli/report.h"
#include "web/html.h"
#include <math.h>

#define NEAREST 5

static const char *const reasons[] = {"new", "content", "drift", "generation"};

static void sid(const uint16_t codes[SID_CODES], FILE *out) {
    char text[SID_TEXT_BYTES];
    fprintf(out, "<span class=\"sid\">%s</span>", sid_text(codes, text));
}

static void item_title(const struct item_facts *facts, FILE *out) {
    fputs("<bdi>", out);
    html_text(facts->title.len > 0 ? facts->title : facts->id, out);
    fputs("</bdi>", out);
}

static void arrival(const struct story *story, const struct item_facts *facts, FILE *out) {
    const struct story_point *last = &story->points[story->point_count - 1];
    fputs("<p>Item <code><bdi>", out);
    html_text(facts->id, out);
    fputs("</bdi></code>, listed ", out);
    html_time(facts->listed_ms, out);
    fputs("; first shown ", out);
    html_time(facts->first_shown_ms, out);
    fputs("; first clicked by ", out);
    html_time(story->first_click_ms, out);
    fputs(". Shown <span class=\"shown\">", out);
    html_count(facts->exposures, out);
    fputs("</span> times, <span class=\"clicks\">", out);
    html_count(facts->clicks, out);
    fputs("</span> clicks. ", out);
    if (isfinite(story->points[0].score) && isfinite(last->score))
        fprintf(out, "Its score went from %.4f to %.4f.", story->points[0].score, last->score);
    fputs("</p>\n", out);
}

/* The first few steps; the rest only by number. */
static void history(const struct report *r, uint32_t side, const struct story *story, FILE *out) {
    uint32_t kept = story->step_count < STORY_STEPS_MAX ? story->step_count : STORY_STEPS_MAX;
    fprintf(out, "<p>Its SIDs%s%s:</p>\n<ol class=\"history\">\n", r->sides == 2 ? " in" : "",
            report_side_name(r, side));
    for (uint32_t i = 0; i < kept; i++) {
        const struct sid_step *step = &story->steps[i];
        fputs("<li>", out);
        if (step->gone)
            fputs("delisted", out);
        else {
            sid(step->sid.codes, out);
            fprintf(out, " <span class=\"reason\">%s</span>", reasons[step->sid.reason & 3]);
        }
        fprintf(out, ", epoch %llu</li>\n", (unsigned long long)step->epoch);
    }
    fputs("</ol>\n", out);
    if (kept < story->step_count)
        fprintf(out, "<p class=\"note\">and %u more</p>\n", story->step_count - kept);
}

static void neighbours(const struct report *r, uint32_t side, uint32_t row, FILE *out) {
    const struct model *model = stage_model(r->side[side].session.stage);
    uint32_t near[NEAREST], count = model_nearest_by_sid(model, row, near, NEAREST);
    if (count == 0) {
        fputs("<p>No other item has its first code.</p>\n", out);
        return;
    }
    fprintf(out,
            "<div class=\"scroll\" tabindex=\"0\"><table class=\"neighbours\">\n<caption>Nearest "
            "by SID at the "
            "end%s%s</caption>\n<thead><tr><th scope=\"col\">SID</th><th scope=\"col\" "
            "class=\"text\">title</th><th scope=\"col\">shown</th><th "
            "scope=\"col\">clicks</th></tr></thead>\n"
            "<tbody>\n",
            r->sides == 2 ? ", in" : "", report_side_name(r, side));
    for (uint32_t i = 0; i < count; i++) {
        struct item_facts facts;
        model_item_facts(model, near[i], &facts);
        fputs("<tr><th scope=\"row\">", out);
        sid(facts.codes, out);
        fputs("</th><td class=\"text\">", out);
        item_title(&facts, out);
        fputs("</td><td>", out);
        html_count(facts.exposures, out);
        fputs("</td><td>", out);
        html_count(facts.clicks, out);
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void point_row(const struct report *r, const struct story *const stories[2], uint32_t i,
                      FILE *out) {
    const struct story_point *point = &stories[0]->points[i];
    fputs("<tr><th scope=\"row\">", out);
    html_count(point->exposures, out);
    fputs("</th>", out);
    for (uint32_t s = 0; s < r->sides; s++) {
        bool there = stories[s] != NULL && i < stories[s]->point_count;
        fputs("<td>", out);
        html_number(there ? stories[s]->points[i].score : (double)NAN, 4, out);
        fputs("</td>", out);
    }
    fputs("<td>", out);
    html_number(point->exposures > 0 ? (double)point->clicks / (double)point->exposures
                                     : (double)NAN,
                4, out);
    fputs("</td><td>", out);
    html_count(point->clicks, out);
    fputs("</td><td>", out);
    html_time(point->time_ms, out);
    fputs("</td></tr>\n", out);
}

static void points(const struct report *r, const struct story *const stories[2], FILE *out) {
    fprintf(out,
            "<figure class=\"chart\" data-chart=\"bars\" "
            "data-min=\"0\">\n<figcaption><strong>Score by times "
            "shown</strong></figcaption>\n<div class=\"plot\"><canvas role=\"img\" "
            "aria-label=\"Bars: the "
            "item's score and its click rate by how often it had been shown\"></canvas></div>\n"
            "<details><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\"><table>\n"
            "<caption class=\"hidden\">Score by times shown</caption>\n"
            "<thead><tr><th scope=\"col\">shown</th>");
    for (uint32_t s = 0; s < r->sides; s++)
        fprintf(out, "<th scope=\"col\" data-colour=\"%u\">score%s</th>", s + 1,
                report_side_name(r, s));
    fputs("<th scope=\"col\" data-colour=\"6\" data-faint>click rate so far</th><th scope=\"col\" "
          "data-plot=\"none\">clicks</th><th scope=\"col\" data-plot=\"none\">by "
          "(UTC)</th></tr></thead>\n<tbody>\n",
          out);
    for (uint32_t i = 0; i < stories[0]->point_count; i++)
        point_row(r, stories, i, out);
    fputs("</tbody></table></div></details>\n</figure>\n", out);
}

static void tell(struct report *r, const struct story *story, FILE *out) {
    const struct story *stories[2] = {story, NULL};
    uint32_t rows[2] = {NO_ROW, NO_ROW};
    struct item_facts facts;
    for (uint32_t s = 0; s < r->sides; s++) {
        stories[s] = stories_of(&r->side[s].timeline.stories, story->id);
        rows[s] = model_find_item(stage_model(r->side[s].session.stage), story->id);
    }
    fputs("<article class=\"story\">\n", out);
    if (rows[0] != NO_ROW) {
        model_item_facts(stage_model(r->side[0].session.stage), rows[0], &facts);
        fputs("<h3>", out);
        item_title(&facts, out);
        fputs("</h3>\n", out);
        arrival(story, &facts, out);
    } else {
        fputs("<h3><bdi>", out);
        html_text(story->id, out);
        fputs("</bdi> (delisted since)</h3>\n", out);
    }
    fputs("<div class=\"charts\">\n", out);
    points(r, stories, out);
    for (uint32_t s = 0; s < r->sides; s++) {
        fputs("<div>\n", out);
        if (stories[s] != NULL)
            history(r, s, stories[s], out);
        if (rows[s] != NO_ROW)
            model_item_facts(stage_model(r->side[s].session.stage), rows[s], &facts);
        if (rows[s] != NO_ROW && facts.has_sid)
            neighbours(r, s, rows[s], out);
        fputs("</div>\n", out);
    }
    fputs("</div>\n</article>\n", out);
}

void report_stories(struct report *r, FILE *out) {
    const struct stories *stories = &r->side[0].timeline.stories;
    uint32_t chosen[STORIES_SHOWN], count = stories_choose(stories, chosen);
    if (count == 0) {
        fputs("<p>No item of those drawn arrived, was shown and was clicked while the stage was "
              "learning.</p>\n",
              out);
        return;
    }
    fprintf(out,
            "<p>Of %u items drawn by a hash of their ids, these were clicked most among those that "
            "arrived about when "
            "they did. The <strong>score</strong> is what the stage would have predicted at that "
            "moment: the mean "
            "click probability over the same %u users, drawn by a hash of theirs, with their "
            "histories as they were "
            "then. Moments are the ends of epochs.</p>\n<div class=\"stories\">\n",
            stories->count, stories->panel_count);
    for (uint32_t i = 0; i < count; i++)
        tell(r, &stories->list[chosen[i]], out);
    fputs("</div>\n", out);
}
