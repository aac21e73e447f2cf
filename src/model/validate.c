/* What must hold between the tables after every epoch. For tests, and whoever debugs. */
#include "model/model_private.h"

static enum status broken(const struct model *m, uint32_t row, const char *what,
                          struct error *err) {
    uint8_t scratch[8];
    struct bytes id = table_key(m->items, row, scratch);
    return FAIL(err, FATAL, EX_SOFTWARE, "item %.*s: %s", (int)id.len, (const char *)id.data, what);
}

static enum status check_item(const struct model *m, uint32_t row, struct error *err) {
    if (table_live(m->z, row) != table_live(m->sid, row))
        return broken(m, row, "z without SID, or SID without z", err);
    if (!table_live(m->sid, row)) {
        bool waits = table_live(m->content, row) && model_codebook_version(m) > 0;
        return waits ? broken(m, row, "listed, there are codebooks, and it has no SID", err) : OK;
    }
    const struct sid_row *sid = table_value(m->sid, row);
    if (sid->codebook_version > model_codebook_version(m))
        return broken(m, row, "its SID names codebooks that are not published", err);
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (!codebooks_have(m, sid->generation, l, sid->codes[l]))
            return broken(m, row, "a code of its SID has no centroid", err);
    if (!ranker_covers(m->ranker, row))
        return broken(m, row, "its SID points at a row that is not there", err);
    return OK;
}

enum status model_validate(const struct model *m, struct error *err) {
    uint32_t held = 0;
    for (uint32_t row = 0; row < table_end(m->items); row++)
        if (table_live(m->items, row))
            TRY(check_item(m, row, err));
    for (uint32_t row = 0; m->holders != NULL && row < table_end(m->holders); row++)
        if (table_live(m->holders, row))
            held += *(const uint32_t *)table_value(m->holders, row);
    if (m->holders != NULL && held != table_rows(m->sid))
        return FAIL(err, FATAL, EX_SOFTWARE, "%u SIDs, and %u are counted as held",
                    table_rows(m->sid), held);
    return OK;
}
