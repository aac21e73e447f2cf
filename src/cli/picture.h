/* A picture of text for a terminal: lines that are cut at its edge, cells of a given width, colours where they are wanted. */
#ifndef CLI_PICTURE_H
#define CLI_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

enum ink { PLAIN, STRONG, SOFT, GOOD, WARNING, WRONG };

struct picture {
    FILE *out;
    int columns, rows; /* lines past the last row are not written */
    bool colour, bold;
    bool live; /* every line wipes what was there */
    int column, row, spaces;
};

/* Text from outside is shown as text. At most `width` columns and to the edge. */
void picture_put(struct picture *picture, enum ink ink, int width, const char *text);
/* printf of our own words, to the edge. */
void picture_say(struct picture *picture, enum ink ink, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Exactly `width` columns, and one of space after it. */
void picture_left(struct picture *picture, enum ink ink, int width, const char *text);
void picture_right(struct picture *picture, enum ink ink, int width, const char *text);
void picture_line(struct picture *picture);

#endif
