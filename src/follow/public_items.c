/* Items: by id, by SID, by nearness. */
#include "follow/public.h"

#include "math/nearest.h"
#include "math/vector.h"

#include "base/poison.h"

#define AHEAD 32 /* items whose memory is fetched together */
#define NEIGHBOURS_MAX 256

/* ---- by id ---- */

/* What stands at an item's position, into *out. */
static bool fill_item(const cs_view *view, uint32_t position, cs_item *out) {
    const cs_follower *f = view->follower;
    struct sid_row sid;
    float counts[4];
    struct item_row shown = {.first_exposed_ms = -1};
    bool stale = false;
    *out = (cs_item){.position = position, .first_exposed_ms = -1};
    if (view_value(view, f->sid, position, &sid, &stale)) {
        out->has_sid = 1;
        memcpy(out->codes, sid.codes, sizeof out->codes);
        memcpy(out->previous, sid.previous, sizeof out->previous);
        out->has_previous = sid.has_previous;
        out->reason = sid.reason;
        out->generation = sid.generation;
        out->codebook_version = sid.codebook_version;
        out->quantisation_error = sid.quantisation_error;
        out->epoch = sid.epoch;
        out->event_time_ms = sid.event_time_ms;
    }
    if (view_value(view, f->counts, position, counts, &stale)) {
        item_counts(counts, &shown);
        out->exposures = counts[0];
        out->clicks = counts[1];
        out->first_exposed_ms = shown.first_exposed_ms;
    }
    return !stale;
}

static int find_item(const cs_view *view, struct bytes id, uint64_t hash, void *out, size_t size) {
    uint32_t position;
    cs_item item = {0};
    enum seen seen = versions_find(view->follower->versions, view->facts.step, view->follower->sid,
                                   id, hash, &position);
    if (seen == SEEN_LIVE && !fill_item(view, position, &item))
        seen = SEEN_STALE;
    public_copy(out, size, &item, sizeof item);
    return public_seen(seen);
}

static int stale_error(cs_error *error) {
    return public_fail(error, CS_STALE, EX_UNAVAILABLE,
                       "the view's epoch has left memory; open a new one");
}

int cs_view_item(const cs_view *view, const void *id, size_t id_bytes, cs_item *out, size_t size,
                 cs_error *error) {
    struct bytes bytes = bytes_of(id, id_bytes);
    if (id == NULL)
        return public_fail(error, CS_INVALID, EX_USAGE, "no id");
    int outcome = find_item(view, bytes, versions_hash(bytes), out, size);
    if (outcome == CS_ABSENT && error != NULL)
        public_fail(error, CS_ABSENT, EX_UNAVAILABLE, "no item %.*s in epoch %llu",
                    id_bytes < 200 ? (int)id_bytes : 200, (const char *)id,
                    (unsigned long long)view->facts.epoch);
    return outcome == CS_STALE ? stale_error(error) : outcome;
}

/* Three passes over the hashes, so that each step's memory is on its way while the others' are asked for. */
static void fetch_ahead(const cs_view *view, uint32_t n, const uint64_t *hashes) {
    const cs_follower *f = view->follower;
    uint32_t rows[AHEAD];
    for (uint32_t i = 0; i < n; i++)
        versions_near_index(f->versions, f->sid, hashes[i]);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = versions_near_rows(f->versions, f->sid, hashes[i]);
    for (uint32_t i = 0; i < n; i++) {
        versions_near_value(f->versions, f->sid, rows[i]);
        versions_near_value(f->versions, f->counts, rows[i]);
    }
}

int cs_view_items(const cs_view *view, uint32_t n, const void *const *ids, const size_t *id_bytes,
                  void *out, size_t item_size, uint8_t *found, cs_error *error) {
    uint64_t hashes[AHEAD];
    for (uint32_t first = 0; first < n; first += AHEAD) {
        uint32_t count = n - first < AHEAD ? n - first : AHEAD;
        for (uint32_t i = 0; i < count; i++)
            hashes[i] = versions_hash(bytes_of(ids[first + i], id_bytes[first + i]));
        fetch_ahead(view, count, hashes);
        for (uint32_t i = 0; i < count; i++) {
            int outcome = find_item(view, bytes_of(ids[first + i], id_bytes[first + i]), hashes[i],
                                    (unsigned char *)out + (first + i) * item_size, item_size);
            if (outcome == CS_STALE)
                return stale_error(error);
            found[first + i] = outcome == CS_OK;
        }
    }
    return CS_OK;
}

/* ---- by SID ---- */

int cs_view_code_row(const cs_view *view, const cs_item *item, const char *table,
                     uint32_t *position) {
    const struct model_config *model = view->follower->model;
    struct sid_row sid = {.generation = item->generation};
    memcpy(sid.codes, item->codes, sizeof sid.codes);
    if (!item->has_sid || tables_named(view->follower->set, bytes_text(table)) == NULL)
        return CS_ABSENT;
    for (int use = 0; use < CODE_USES; use++)
        for (uint32_t level = 0; level < SID_CODES; level++)
            if (code_table_names[use][level] != NULL &&
                strcmp(code_table_names[use][level], table) == 0) {
                *position = code_row(&model->ranker, &sid, level);
                return CS_OK;
            }
    return CS_ABSENT;
}

static uint32_t shared_codes(const uint16_t *a, const uint16_t *b) {
    uint32_t depth = 0;
    while (depth < SID_CODES && a[depth] == b[depth])
        depth++;
    return depth;
}

int cs_view_prefix(const cs_view *view, const uint16_t codes[CS_CODES], uint32_t depth,
                   uint32_t *positions, uint32_t max, uint32_t *found) {
    const cs_follower *f = view->follower;
    struct sid_row sid;
    bool stale = false;
    *found = 0;
    if (depth < 1 || depth > CS_CODES)
        return CS_INVALID;
    for (uint32_t row = 0, end = versions_end(f->versions, f->sid); row < end && !stale; row++) {
        if (!view_value(view, f->sid, row, &sid, &stale) ||
            sid.generation != view->facts.generation || shared_codes(sid.codes, codes) < depth)
            continue;
        if (*found < max)
            positions[*found] = row;
        ++*found;
    }
    return stale ? CS_STALE : CS_OK;
}

/* The best so far, best first. */
struct near_item {
    uint32_t shared, position;
    float distance;
};

static bool nearer(const struct near_item *a, const struct near_item *b) {
    return a->shared != b->shared       ? a->shared > b->shared
           : a->distance != b->distance ? a->distance < b->distance
                                        : a->position < b->position;
}

static void insert_near(struct near_item *best, uint32_t *count, uint32_t max,
                        struct near_item item) {
    uint32_t at = *count;
    if (at == max && !nearer(&item, &best[max - 1]))
        return;
    at = at == max ? max - 1 : (*count)++;
    for (; at > 0 && nearer(&item, &best[at - 1]); at--)
        best[at] = best[at - 1];
    best[at] = item;
}

int cs_view_neighbours(const cs_view *view, uint32_t position, uint32_t *positions, uint32_t max,
                       uint32_t *found) {
    const cs_follower *f = view->follower;
    uint32_t dims = f->model->tokenizer.z_dims, count = 0;
    struct near_item best[NEIGHBOURS_MAX];
    struct sid_row own, sid;
    _Alignas(64) float own_z[Z_DIMS_MAX], z[Z_DIMS_MAX];
    bool stale = false;
    *found = 0;
    max = max < NEIGHBOURS_MAX ? max : NEIGHBOURS_MAX;
    if (!view_value(view, f->sid, position, &own, &stale) ||
        !view_value(view, f->z, position, own_z, &stale))
        return stale ? CS_STALE : CS_ABSENT;
    for (uint32_t row = 0, end = versions_end(f->versions, f->sid); row < end && !stale && max > 0;
         row++) {
        if (row == position || !view_value(view, f->sid, row, &sid, &stale) ||
            sid.generation != own.generation)
            continue;
        struct near_item item = {.shared = shared_codes(sid.codes, own.codes), .position = row};
        if (item.shared == 0 || (count == max && item.shared < best[max - 1].shared) ||
            !view_value(view, f->z, row, z, &stale))
            continue;
        item.distance = squared_distance(z, own_z, dims);
        insert_near(best, &count, max, item);
    }
    for (uint32_t i = 0; i < count; i++)
        positions[i] = best[i].position;
    *found = count;
    return stale ? CS_STALE : CS_OK;
}
