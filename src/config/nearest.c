#include "config/nearest.h"
#include <stddef.h>
#include <string.h>

#define WORD_MAX 63

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

uint32_t edit_distance(const char *a, const char *b) {
    uint32_t rows[3][WORD_MAX + 1];
    uint32_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t length_a = strnlen(a, WORD_MAX), length_b = strnlen(b, WORD_MAX);
    for (size_t j = 0; j <= length_b; j++)
        above[j] = (uint32_t)j;
    for (size_t i = 1; i <= length_a; i++) {
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= length_b; j++) {
            uint32_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replace, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        uint32_t *spare = before;
        before = above, above = row, row = spare;
    }
    return above[length_b];
}

const char *nearest_name(const char *word, const char *(*name_at)(void *self, uint32_t index),
                         void *self, uint32_t count) {
    const char *nearest = NULL;
    /* a third of the word may be wrong, and always one or two letters */
    uint32_t allowed = 2 + (uint32_t)strnlen(word, WORD_MAX) / 4;
    uint32_t best = allowed + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t distance = edit_distance(word, name_at(self, i));
        if (distance < best && distance < strlen(name_at(self, i)))
            best = distance, nearest = name_at(self, i);
    }
    return nearest;
}
