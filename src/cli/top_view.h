/* What `top` shows: the status of a running stage as a picture. */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include "cli/picture.h"
#include <jansson.h>

/* status: the object of /status.json, which may lack anything, with a "verdict" (ops/verdict.h). What does not fit into the picture's rows is left
 * out from the bottom of its lists, worst and newest first. away: NULL, or why the stage has not been reached for away_s seconds, in place of the verdict. */
void top_view(struct picture *picture, const json_t *status, const char *away, double away_s);

#endif
