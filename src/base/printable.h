/* Text from outside, made fit for a log line or a terminal: no control characters, no escape sequences, no characters that turn the
 * direction of writing or hide, whatever it holds. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include "base/bytes.h"

/* The character at byte `at` (< text.len), which takes *used bytes; NO_CHARACTER and 1 where there is no UTF-8. */
#define NO_CHARACTER UINT32_MAX
uint32_t printable_next(struct bytes text, size_t at, size_t *used);
/* Controls, zero width, direction marks and overrides, line and paragraph separators. */
bool printable_hides(uint32_t point);

/* Writes `text` with escapes as in JSON strings: " and \ behind a backslash, \n, \t, \r, all other characters that do not print as \u00XX, bytes that are
 * no UTF-8 as \ufffd. What does not fit `room` (> 3) is cut between characters, with "..." in its place. Ends with NUL; returns the length. */
size_t printable(char *out, size_t room, struct bytes text);

#endif
