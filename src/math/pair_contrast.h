/* In-batch InfoNCE on pairs (SaviorRec's L_con, PAPERS 2.2), both ways: each trigger must find its target among all targets of
 * the batch, and each target its trigger. */
#ifndef MATH_PAIR_CONTRAST_H
#define MATH_PAIR_CONTRAST_H

#include <stddef.h>
#include <stdint.h>

/* trigger, target [n, d]: unit vectors (or 0); pair i matches i. s_ij = trigger_i . target_j / tau. Where target_id says that
 * target j is the same item as target i, or trigger_id that trigger j is trigger i's, j is no negative of i.
 * Returns the mean loss of a pair, times `weight`; dtrigger, dtarget [n, d] are added to.
 * scratch: [n + max(d, 1), n rounded up to 16] floats. */
float pair_contrast(size_t n, size_t d, float tau, float weight, const float *trigger,
                    const float *target, const uint32_t *trigger_id, const uint32_t *target_id,
                    float *scratch, float *dtrigger, float *dtarget);

#endif
