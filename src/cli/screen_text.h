/* Text from outside on a terminal: shown, never obeyed. */
#ifndef CLI_SCREEN_TEXT_H
#define CLI_SCREEN_TEXT_H

#include "base/bytes.h"
#include <stdio.h>

/* Once, before the others: characters and their widths are those of UTF-8, whatever the environment says. */
void screen_text_start(void);

/* Writes the UTF-8 text in at most `width` columns, with "…" where it was cut, and returns the columns it took. Control characters, what
 * shows nothing and steers the text around it, and what the terminal has no width for come out by number: "[U+001B]".
 * out NULL: only counts. */
int screen_text(const char *text, int width, FILE *out);
int screen_bytes(struct bytes text, int width, FILE *out);

#endif
