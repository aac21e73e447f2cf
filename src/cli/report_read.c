#include "cli/output_log.h"
#include "cli/report.h"
#include "cli/summary.h"
#include <string.h>

static void copy_header(const struct record *record, const char *name, char *out, size_t size) {
    for (uint32_t h = 0; h < record->header_count; h++)
        if (bytes_equal(record->headers[h].key, bytes_text(name)))
            snprintf(out, size, "%.*s", (int)record->headers[h].value.len,
                     (const char *)record->headers[h].value.data);
}

/* The reason, DEAD_REASON_COUNT when this build does not know it. */
static uint32_t reason_of(const struct record *record) {
    char name[32] = "";
    copy_header(record, "reason", name, sizeof name);
    uint32_t reason = 0;
    while (reason < DEAD_REASON_COUNT &&
           strcmp(dead_reason_name((enum dead_reason)reason), name) != 0)
        reason++;
    return reason;
}

/* Notes the record where its reason has no example yet; true when it was the first. */
static bool note_dead(struct report_side *side, const struct record *record) {
    uint32_t reason = reason_of(record);
    if (reason == DEAD_REASON_COUNT || side->dead[reason].there)
        return false;
    struct dead_example *dead = &side->dead[reason];
    dead->there = true;
    copy_header(record, "topic", dead->topic, sizeof dead->topic);
    copy_header(record, "partition", dead->partition, sizeof dead->partition);
    copy_header(record, "offset", dead->offset, sizeof dead->offset);
    copy_header(record, "error", dead->text, sizeof dead->text);
    return true;
}

/* One example of each reason that there is. */
static enum status read_dead(struct report_side *side, struct error *err) {
    const struct stage_totals *totals = &side->timeline.moments[MOMENTS - 1].totals;
    struct recording_writer_config written;
    struct output_log *log;
    uint32_t missing = 0;
    for (uint32_t r = 0; r < DEAD_REASON_COUNT; r++)
        missing += totals->dead_by_reason[r] > 0;
    session_writer_config(&side->session, &written);
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
        if (topic != TOPIC_DEAD_LETTER)
            written.partitions[topic] = 0;
    enum status status =
        output_log_open(&log, side->dir, &written, side->session.codec, &side->session.arena, err);
    for (int32_t p = 0; status == OK && p < written.partitions[TOPIC_DEAD_LETTER]; p++)
        for (bool got = true; status == OK && got && missing > 0;) {
            struct record record;
            status = output_log_next(log, TOPIC_DEAD_LETTER, p, &record, &got, err);
            if (status == OK && got)
                missing -= note_dead(side, &record);
        }
    output_log_close(log);
    return status;
}

static enum status read_side(struct report_side *side, const char *dir, struct error *err) {
    side->dir = dir;
    TRY(timeline_read(&side->session, dir, &side->timeline, err));
    side->summary = summary_kept(dir);
    return read_dead(side, err);
}

enum status report_read(struct report *report, const char *const dirs[2], uint32_t sides,
                        struct error *err) {
    report->sides = sides;
    for (uint32_t s = 0; s < sides; s++)
        TRY(read_side(&report->side[s], dirs[s], err));
    const struct evaluation *ends[2] = {&report_end(report, 0)->state, NULL};
    if (sides == 2) {
        ends[1] = &report_end(report, 1)->state;
        TRY(paired_compare(stage_model(report->side[0].session.stage),
                           stage_model(report->side[1].session.stage), 0,
                           &report->side[0].session.arena, &report->paired, err));
    }
    report->figure_count =
        comparison_figures(ends[0], ends[1], sides == 2 ? &report->paired : NULL, report->figures);
    return OK;
}

void report_close(struct report *report) {
    for (uint32_t s = 0; s < report->sides; s++) {
        json_decref(report->side[s].summary);
        session_close(&report->side[s].session);
    }
}

const char *report_side_name(const struct report *report, uint32_t side) {
    return report->sides == 1 ? "" : side == 0 ? " A" : " B";
}

const struct moment *report_end(const struct report *report, uint32_t side) {
    return &report->side[side].timeline.moments[MOMENTS - 1];
}
