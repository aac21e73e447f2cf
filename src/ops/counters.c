#include "ops/counters.h"
#include <math.h>

#define FIRST_BOUND_S 0.0005

const char *const phase_names[PHASES] = {"collect", "apply", "publish", "commit"};

double histogram_bound_s(uint32_t bin) {
    return bin + 1 < HISTOGRAM_BINS ? FIRST_BOUND_S * exp2(bin / 4.0) : (double)INFINITY;
}

void histogram_add(struct histogram *histogram, double seconds) {
    double place = seconds > FIRST_BOUND_S ? ceil(4 * log2(seconds / FIRST_BOUND_S)) : 0;
    uint32_t bin = place < HISTOGRAM_BINS - 1 ? (uint32_t)place : HISTOGRAM_BINS - 1;
    histogram->counts[bin]++;
    histogram->sum_s += seconds > 0 ? seconds : 0;
}

uint64_t histogram_count(const struct histogram *histogram) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
        count += histogram->counts[i];
    return count;
}

double histogram_quantile(const struct histogram *now, const struct histogram *then, double share) {
    uint64_t count = histogram_count(now) - histogram_count(then);
    double wanted = share * (double)count, seen = 0;
    if (count == 0)
        return (double)NAN;
    for (uint32_t i = 0; i < HISTOGRAM_BINS; i++) {
        double here = (double)(now->counts[i] - then->counts[i]);
        double low = i > 0 ? histogram_bound_s(i - 1) : 0, high = histogram_bound_s(i);
        if (here > 0 && seen + here >= wanted)
            return isfinite(high) ? low + (high - low) * (wanted - seen) / here : high;
        seen += here;
    }
    return (double)INFINITY;
}

double histogram_mean(const struct histogram *now, const struct histogram *then) {
    uint64_t count = histogram_count(now) - histogram_count(then);
    return count > 0 ? (now->sum_s - then->sum_s) / (double)count : (double)NAN;
}
