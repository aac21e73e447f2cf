/* A JSON answer for people: so that text and --json never say different things. */
#ifndef CLI_JSON_TEXT_H
#define CLI_JSON_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* Scalars as lines of name and value; lists of objects as tables with a column for each of the first one's names; objects indented. Control
 * characters of texts come out as `?': they could steer a terminal. */
void json_text(json_t *object, FILE *out);

#endif
