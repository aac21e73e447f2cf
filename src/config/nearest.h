/* "Did you mean": the known name nearest to what was typed. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stdint.h>

/* Edits (insert, delete, replace, swap of neighbours) between two words; words longer than 63
 * bytes are cut there. */
uint32_t edit_distance(const char *a, const char *b);

/* The name with the fewest edits, the first of equals; NULL when even that one is too far to be
 * a typing error. */
const char *nearest_name(const char *word, const char *(*name_at)(void *self, uint32_t index),
                         void *self, uint32_t count);

#endif
