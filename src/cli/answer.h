/* What the commands' answers are made of, in text and in JSON. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "model/model.h"
#include <jansson.h>

#define SID_TEXT_BYTES 40

/* "49-21-38.13-18"; returns out. */
const char *sid_text(const uint16_t codes[SID_CODES], char out[SID_TEXT_BYTES]);

/* NaN and infinities have no place in JSON: null. The caller owns what is returned. */
json_t *json_number(double x);
json_t *json_count(uint64_t n);

#endif
