/* Texts from outside in JSON. */
#ifndef OPS_OUTSIDE_H
#define OPS_OUTSIDE_H

#include "base/bytes.h"
#include <jansson.h>

/* Ids and titles come from outside; what is no UTF-8 is shown as Latin-1, at most its first KiB, so that something is. The caller owns what is returned. */
json_t *outside_text(struct bytes text);

#endif
