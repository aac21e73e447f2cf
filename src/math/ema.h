/* Exponential moving averages with lazy decay: a row is brought up to date when it is touched, so an event costs O(dims)
 * however many rows there are (Streaming VQ, arXiv 2501.08695; PAPERS 3.12). Fixed order of operations. */
#ifndef MATH_EMA_H
#define MATH_EMA_H

#include <stddef.h>
#include <stdint.h>

/* g ^ events, given log(g) <= 0. */
float ema_decay(float log_g, uint64_t events);

/* n = f n + (1 - g) w;  m [dims] = f m + (1 - g) w x, where f = ema_decay(since the row's last touch) and
 * kept = 1 - g. */
void ema_update(size_t dims, float f, float kept, float w, const float *x, float *n, float *m);

/* centroid [dims] = m / (n + 1e-6) */
void ema_centroid(size_t dims, float n, const float *m, float *centroid);

#endif
