/* Which items are near each other in OPQ space: the positives of the contrast (SMILE 1.5: the ten nearest items).
 *
 * A decoded OPQ vector is one of K_1 K_2, a *cell*; the squared distance of two cells is the sum of one table entry per
 * code. Each cell has a *reach*: the smallest distance within which NEIGHBOURS other items lie. Items are neighbours
 * of an item when they are within the reach of its cell, those at equal distance included. All of it is a function of the rows of `sid` and of the
 * codebooks, so it is derived, not stored; reaches are computed when they are asked for. */
#ifndef MODEL_NEIGHBOURS_H
#define MODEL_NEIGHBOURS_H

#include "base/arena.h"
#include "model/ranker.h"

#define NEIGHBOURS 10
#define NEIGHBOUR_CODES_MAX                                                                        \
    1024u /* of an OPQ book: there is a table of distances with its square entries */

struct neighbours;

enum status neighbours_create(struct neighbours **out, const uint32_t books[OPQ_CODES],
                              struct arena *arena, struct error *err);
/* New codebooks (`width` numbers a code), or rows that were restored or rolled back: forgets all items. */
void neighbours_start(struct neighbours *n, const float *const books[OPQ_CODES], uint32_t width);
/* An item with these codes comes (+1) or goes (-1). */
void neighbours_count(struct neighbours *n, const uint16_t codes[SID_CODES], int change);
/* positive [count, count]: row i has 1 for the neighbours of item i among those given, i itself left out. */
void neighbours_among(struct neighbours *n, const uint16_t (*codes)[SID_CODES], uint32_t count,
                      uint8_t *positive);

#endif
