#include "cli/paired.h"
#include "base/digest.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_A, SIDE_B, SIDES };
enum { SET_ALL, SET_COLD, SETS };
enum { NEGATIVE, POSITIVE, CLASSES };

/* Counts that add up over users: of one group, or of a resample. */
struct sums {
    double bins[SIDES][SETS][CLASSES][USER_BINS];
    double gauc[SIDES], gauc_weight[SIDES];
};
#define SUMS (sizeof(struct sums) / sizeof(double))

/* P(Poisson(1) <= k): how often a group is drawn, as its share of a resample of infinitely many. */
static const double poisson[] = {0.36787944117144233, 0.7357588823428847, 0.9196986029286058,
                                 0.9810118431238462,  0.9963401531726563, 0.9994058151824183,
                                 0.9999167588507119};

static double draw(uint64_t seed, uint64_t resample, uint64_t group) {
    struct rng rng = rng_stream(seed, RNG_BOOTSTRAP, resample, group);
    double u = (double)rng_unit(&rng), times = 0;
    for (size_t k = 0; k < sizeof poisson / sizeof *poisson && u >= poisson[k]; k++)
        times++;
    return times;
}

/* Pairs in which the positive scored higher, ties one half, over all pairs. */
static double auc(const double negatives[USER_BINS], const double positives[USER_BINS]) {
    double below = 0, all = 0, won = 0;
    for (uint32_t bin = 0; bin < USER_BINS; bin++) {
        won += positives[bin] * (below + 0.5 * negatives[bin]);
        below += negatives[bin];
        all += positives[bin];
    }
    return below > 0 && all > 0 ? won / (below * all) : (double)NAN;
}

static void add_scores(const struct user_scores *scores, double out[CLASSES][USER_BINS]) {
    for (uint32_t bin = 0; bin < USER_BINS; bin++) {
        out[NEGATIVE][bin] += scores->negatives[bin];
        out[POSITIVE][bin] += scores->positives[bin];
    }
}

/* GAUC is the mean of the users' AUC, weighted by their events: it has to be summed user by user. */
static void add_user(const struct user_score_row *row, int side, struct sums *sums) {
    double own[CLASSES][USER_BINS] = {{0}}, events = 0;
    add_scores(&row->all, own);
    add_scores(&row->all, sums->bins[side][SET_ALL]);
    add_scores(&row->cold, sums->bins[side][SET_COLD]);
    for (uint32_t bin = 0; bin < USER_BINS; bin++)
        events += own[NEGATIVE][bin] + own[POSITIVE][bin];
    double of_user = auc(own[NEGATIVE], own[POSITIVE]);
    if (isnan(of_user))
        return;
    sums->gauc[side] += events * of_user;
    sums->gauc_weight[side] += events;
}

/* Returns how many users have a score. */
static uint64_t add_side(const struct model *model, int side, struct sums *groups) {
    uint64_t users = 0;
    for (uint32_t row = 0; row < model_users_end(model); row++) {
        struct bytes id;
        const struct user_score_row *scores = model_user_scores(model, row, &id);
        if (scores == NULL)
            continue;
        static const struct user_score_row none;
        users += memcmp(scores, &none, sizeof none) != 0;
        add_user(scores, side, &groups[hash64(id.data, id.len, 0) % PAIRED_GROUPS]);
    }
    return users;
}

static double total(const double bins[USER_BINS]) {
    double sum = 0;
    for (uint32_t bin = 0; bin < USER_BINS; bin++)
        sum += bins[bin];
    return sum;
}

/* Whether an event is cold can depend on the mini-batches: counts are those at their start. */
static enum status check_pairs(const struct sums *groups, struct error *err) {
    for (uint32_t g = 0; g < PAIRED_GROUPS; g++)
        for (int class = 0; class < CLASSES; class ++)
            if (total(groups[g].bins[SIDE_A][SET_ALL][class]) !=
                total(groups[g].bins[SIDE_B][SET_ALL][class]))
                return FAIL(err, FATAL, EX_DATAERR,
                            "the two replays have not scored the same events of the same users: "
                            "they are of two recordings, or their settings of labels.*, parking.* "
                            "or evaluation.* differ");
    return OK;
}

static double metric(const struct sums *sums, int side, enum paired_metric which) {
    if (which == PAIRED_GAUC)
        return sums->gauc_weight[side] > 0 ? sums->gauc[side] / sums->gauc_weight[side]
                                           : (double)NAN;
    int set = which == PAIRED_AUC ? SET_ALL : SET_COLD;
    return auc(sums->bins[side][set][NEGATIVE], sums->bins[side][set][POSITIVE]);
}

static void add_times(const struct sums *group, double times, struct sums *out) {
    const double *from = (const double *)group;
    double *to = (double *)out;
    for (size_t i = 0; i < SUMS; i++)
        to[i] += times * from[i];
}

/* Groups with a score, moved to the front; returns how many there are. */
static uint32_t drop_empty(struct sums *groups) {
    uint32_t count = 0;
    for (uint32_t g = 0; g < PAIRED_GROUPS; g++)
        if (total(groups[g].bins[SIDE_A][SET_ALL][NEGATIVE]) +
                total(groups[g].bins[SIDE_A][SET_ALL][POSITIVE]) >
            0)
            groups[count++] = groups[g];
    return count;
}

static void resample(const struct sums *groups, uint32_t count, uint64_t seed, uint64_t number,
                     struct sums *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t g = 0; g < count; g++) {
        double times = draw(seed, number, g);
        if (times > 0)
            add_times(&groups[g], times, out);
    }
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A resample without both classes says nothing and is left out. */
static void interval_of(double *differences, uint32_t count, struct paired_interval *out) {
    qsort(differences, count, sizeof *differences, compare_doubles);
    out->low = out->high = out->better = (double)NAN;
    if (count == 0)
        return;
    uint32_t better = 0;
    for (uint32_t i = 0; i < count; i++)
        better += differences[i] > 0;
    out->low = differences[(uint32_t)(0.025 * (count - 1))];
    out->high = differences[(uint32_t)ceil(0.975 * (count - 1))];
    out->better = (double)better / count;
}

enum status paired_compare(const struct model *a, const struct model *b, uint64_t seed,
                           struct arena *arena, struct paired_result *out, struct error *err) {
    struct sums *groups = arena_must(arena, PAIRED_GROUPS * sizeof *groups), sums = {0};
    double differences[PAIRED_METRICS][PAIRED_RESAMPLES];
    uint32_t counts[PAIRED_METRICS] = {0};
    memset(groups, 0, PAIRED_GROUPS * sizeof *groups);
    out->users = add_side(a, SIDE_A, groups);
    add_side(b, SIDE_B, groups);
    TRY(check_pairs(groups, err));
    uint32_t count = drop_empty(groups);
    for (uint32_t r = 0; r < PAIRED_RESAMPLES; r++) {
        resample(groups, count, seed, r, &sums);
        for (int m = 0; m < PAIRED_METRICS; m++) {
            double difference = metric(&sums, SIDE_B, m) - metric(&sums, SIDE_A, m);
            if (!isnan(difference))
                differences[m][counts[m]++] = difference;
        }
    }
    memset(&sums, 0, sizeof sums);
    for (uint32_t g = 0; g < count; g++)
        add_times(&groups[g], 1, &sums);
    for (int m = 0; m < PAIRED_METRICS; m++) {
        out->metrics[m].a = metric(&sums, SIDE_A, m);
        out->metrics[m].b = metric(&sums, SIDE_B, m);
        interval_of(differences[m], counts[m], &out->metrics[m]);
    }
    return OK;
}
