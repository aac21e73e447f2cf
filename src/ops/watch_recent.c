/* What an epoch that has just been committed brought: listings with their SIDs, dead letters. The newest are kept to be shown. */
#include "ops/watch_private.h"
#include <string.h>

void watch_cut(struct shown_text *out, struct bytes text) {
    out->len = text.len < sizeof out->data ? (uint32_t)text.len : (uint32_t)sizeof out->data;
    if (out->len > 0)
        memcpy(out->data, text.data, out->len);
    while (out->len < text.len && out->len > 0 && (text.data[out->len] & 0xC0) == 0x80)
        out->len--; /* not in the middle of a character of UTF-8 */
}

static void show_listing(struct watch *w, const struct expected_listing *listing,
                         const struct item_facts *facts, double latency_s, uint64_t epoch) {
    struct picture *p = w->next;
    memmove(p->listings + 1, p->listings, (RECENT_MAX - 1) * sizeof *p->listings);
    p->listing_count += p->listing_count < RECENT_MAX;
    struct shown_listing *shown = &p->listings[0];
    watch_cut(&shown->item, facts->id);
    watch_cut(&shown->title, facts->title);
    memcpy(shown->codes, facts->codes, sizeof shown->codes);
    shown->arrived_ms = listing->arrived_ms;
    shown->latency_s = latency_s;
    shown->epoch = epoch;
}

/* One that is a dead letter, waits for the first codebooks or was delisted meanwhile has no SID of this epoch. */
static void settle_listing(struct watch *w, const struct model *model, uint32_t at,
                           uint64_t epoch) {
    const struct expected_listing *listing = &w->expected[at];
    const unsigned char *id = w->ids + (size_t)at * w->model.id_bytes_max;
    struct item_facts facts;
    uint32_t row =
        listing->id_len > 0 ? model_find_item(model, bytes_of(id, listing->id_len)) : NO_ROW;
    if (row == NO_ROW)
        return;
    model_item_facts(model, row, &facts);
    if (!facts.has_sid || facts.sid_epoch != epoch)
        return;
    double latency_s = (double)(w->next->committed_ms - listing->timestamp_ms) / 1e3;
    latency_s = latency_s > 0 ? latency_s : 0; /* a producer's clock may be ahead */
    histogram_add(&w->next->now.listing_latency, latency_s);
    histogram_add(&w->next->now.listing_stay,
                  (double)(w->committed_us - listing->arrived_us) / 1e6);
    if (latency_s > w->latency_max_s)
        w->latency_max_s = latency_s;
    show_listing(w, listing, &facts, latency_s, epoch);
}

/* Listings are committed in the order in which they came; those of several partitions wait for the first of them. */
static void settle_listings(struct watch *w, const struct model *model, uint64_t epoch) {
    while (w->expected_count > 0) {
        const struct expected_listing *listing = &w->expected[w->expected_first];
        if (listing->offset >= w->next->inputs[listing->input].position)
            return;
        settle_listing(w, model, w->expected_first, epoch);
        w->expected_first = (w->expected_first + 1) % w->expected_max;
        w->expected_count--;
    }
}

static void show_dead(struct watch *w) {
    struct picture *p = w->next;
    uint32_t count = w->dead_count < RECENT_MAX ? w->dead_count : RECENT_MAX;
    for (uint32_t i = 0; i < count; i++) {
        memmove(p->dead + 1, p->dead, (RECENT_MAX - 1) * sizeof *p->dead);
        p->dead[0] = w->dead[(w->dead_count - count + i) % RECENT_MAX];
        p->dead_count += p->dead_count < RECENT_MAX;
    }
    w->dead_count = 0;
}

void watch_settle(struct watch *w, struct stage *stage, uint64_t epoch) {
    settle_listings(w, stage_model(stage), epoch);
    show_dead(w);
}
