/* Text from outside, made fit for a log line or a terminal: no control characters, no escape sequences, no characters that turn the
 * direction of writing or hide, whatever it holds. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include "base/bytes.h"

/* Writes `text` with escapes as in JSON strings: " and \ behind a backslash, \n, \t, \r, all other characters that do not print as \u00XX, bytes that are
 * no UTF-8 as \ufffd. What does not fit `room` (> 3) is cut between characters, with "..." in its place. Ends with NUL; returns the length. */
size_t printable(char *out, size_t room, struct bytes text);

#endif
