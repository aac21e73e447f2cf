/* The assignment problem: rows to columns, one to one, at the greatest total. Shortest augmenting paths with potentials
 * (Kuhn 1955, Jonker and Volgenant 1987), O(n^3); deterministic. In integers, so exact. GLPK's solver, the one in the
 * distribution, allocates from the heap and would be a library for one call. */
#ifndef MATH_ASSIGNMENT_H
#define MATH_ASSIGNMENT_H

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

/* gain [n, n], each below 2^31: column [n] of each row. Scratch from `scratch`. FATAL when it is full. */
enum status assign_greatest(uint32_t n, const uint32_t *gain, uint32_t *column,
                            struct arena *scratch, struct error *err);

#endif
