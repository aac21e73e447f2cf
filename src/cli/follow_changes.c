#include "cli/follow_changes.h"

#include "cli/answer.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#define ID_BYTES 1024
#define CHANGES_MAX (1u << 16) /* of an epoch; where there are more, all positions are looked at */

static const char *const reasons[] = {"NEW", "CONTENT", "DRIFT", "GENERATION"};

/* What a position has in a view. */
struct place {
    bool there, stale;
    char id[ID_BYTES];
    size_t id_bytes;
    cs_item item;
};

static void look(const struct follow_changes *c, const cs_view *view, uint32_t position,
                 struct place *out) {
    *out = (struct place){0};
    int status = cs_view_key(view, c->sid, position, out->id, sizeof out->id, &out->id_bytes);
    if (status == CS_OK)
        status = cs_view_item(view, out->id, out->id_bytes, &out->item, sizeof out->item, NULL);
    out->there = status == CS_OK && out->item.has_sid;
    out->stale = status == CS_STALE;
}

static json_t *codes_of(const uint16_t codes[CS_CODES]) {
    json_t *list = json_array();
    for (int i = 0; i < CS_CODES; i++)
        json_array_append_new(list, json_integer(codes[i]));
    return list;
}

static enum status write_line(struct follow_changes *c, json_t *line, struct error *err) {
    int failed = json_dumpf(line, c->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    if (failed != 0 || fputc('\n', c->out) == EOF)
        return FAIL(err, FATAL, EX_IOERR, "standard output: it cannot be written to");
    return OK;
}

static enum status write_gone(struct follow_changes *c, uint64_t epoch, const struct place *was,
                              struct error *err) {
    return write_line(c,
                      json_pack("{s:s%, s:n, s:o, s:s, s:I}", "item", was->id, was->id_bytes, "sid",
                                "previous", codes_of(was->item.codes), "reason", "DELISTED",
                                "epoch", (json_int_t)epoch),
                      err);
}

static enum status write_item(struct follow_changes *c, uint64_t epoch, const struct place *now,
                              struct error *err) {
    const cs_item *item = &now->item;
    return write_line(c,
                      json_pack("{s:s%, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:f}", "item", now->id,
                                now->id_bytes, "sid", codes_of(item->codes), "previous",
                                item->has_previous ? codes_of(item->previous) : json_null(),
                                "reason", reasons[item->reason & 3], "epoch", (json_int_t)epoch,
                                "event_time", (json_int_t)item->event_time_ms, "generation",
                                (json_int_t)item->generation, "codebook_version",
                                (json_int_t)item->codebook_version, "quantisation_error",
                                (double)item->quantisation_error),
                      err);
}

static bool same(const struct place *a, const struct place *b) {
    return a->id_bytes == b->id_bytes && memcmp(a->id, b->id, a->id_bytes) == 0;
}

/* An item that stood here may live elsewhere now: then that position has its line. */
static bool lives(const cs_view *view, const struct place *place) {
    cs_item item;
    return cs_view_item(view, place->id, place->id_bytes, &item, sizeof item, NULL) == CS_OK &&
           item.has_sid;
}

static enum status compare(struct follow_changes *c, const cs_view *view, uint32_t position,
                           bool *stale, struct error *err) {
    struct place was = {0}, now;
    uint64_t epoch = cs_view_epoch(view);
    look(c, view, position, &now);
    if (c->before != NULL)
        look(c, c->before, position, &was);
    *stale = was.stale || now.stale;
    if (*stale)
        return OK;
    if (was.there && !(now.there && same(&was, &now)) && !lives(view, &was))
        TRY(write_gone(c, epoch, &was, err));
    bool changed =
        now.there && !(was.there && same(&was, &now) &&
                       memcmp(&was.item.codes, &now.item.codes, sizeof was.item.codes) == 0 &&
                       was.item.epoch == now.item.epoch);
    return changed ? write_item(c, epoch, &now, err) : OK;
}

static enum status compare_all(struct follow_changes *c, const cs_view *view, bool *stale,
                               struct error *err) {
    cs_table table;
    cs_table_at(c->follower, c->sid, &table, sizeof table);
    for (uint32_t row = 0; row < table.rows_max && !*stale; row++)
        TRY(compare(c, view, row, stale, err));
    return OK;
}

/* Of a view whose epoch follows the one before: what is known to have changed. */
static enum status compare_changes(struct follow_changes *c, const cs_view *view, bool *stale,
                                   struct error *err) {
    static uint32_t positions[CHANGES_MAX];
    uint32_t found = 0;
    bool next = c->before != NULL && cs_view_epoch(c->before) + 1 == cs_view_epoch(view);
    int status = next ? cs_view_changes(view, c->sid, positions, CHANGES_MAX, &found) : CS_ABSENT;
    if (status != CS_OK || found > CHANGES_MAX)
        return compare_all(c, view, stale, err);
    for (uint32_t i = 0; i < found && !*stale; i++)
        TRY(compare(c, view, positions[i], stale, err));
    return OK;
}

/* Everything again, from a view that lasts. */
static enum status begin_again(struct follow_changes *c, const cs_view *view, struct error *err) {
    bool stale = false;
    cs_view_close(c->before);
    c->before = NULL;
    TRY(write_line(
        c, json_pack("{s:b, s:I}", "resync", 1, "epoch", (json_int_t)cs_view_epoch(view)), err));
    TRY(compare_all(c, view, &stale, err));
    return stale ? FAIL(err, FATAL, EX_TEMPFAIL,
                        "the epoch left memory while it was written: give it more with "
                        "--set undo_bytes=N")
                 : OK;
}

enum status follow_changes_write(struct follow_changes *c, struct error *err) {
    cs_error error = {0};
    cs_view *view;
    bool stale = false;
    int status = cs_view_open(c->follower, &view, &error);
    if (status != CS_OK)
        return status == CS_AGAIN ? OK : FAIL(err, FATAL, EX_SOFTWARE, "%s", error.text);
    enum status written = compare_changes(c, view, &stale, err);
    if (written == OK && stale)
        written = begin_again(c, view, err);
    if (written == OK && fflush(c->out) != 0)
        written = FAIL(err, FATAL, EX_IOERR, "standard output: it cannot be written to");
    cs_view_close(c->before);
    c->before = view;
    return written;
}

void follow_changes_end(struct follow_changes *c) {
    cs_view_close(c->before);
    c->before = NULL;
}
