/* `follow`: SID changes as JSON lines, epoch by epoch. */
#ifndef CLI_FOLLOW_CHANGES_H
#define CLI_FOLLOW_CHANGES_H

#include "base/error.h"
#include "coldstream/coldstream.h"
#include <stdio.h>

struct follow_changes {
    cs_follower *follower;
    uint32_t sid;    /* the table */
    cs_view *before; /* NULL: nothing has been written yet */
    FILE *out;
};

/* What the newest epoch changed since the one written before, a line for each item: whoever folds the lines by item has the table of SIDs. The first time: every
 * item that has one. When what was before is not in memory any more, a line {"resync":true} says that all items follow again. */
enum status follow_changes_write(struct follow_changes *changes, struct error *err);
void follow_changes_end(struct follow_changes *changes);

#endif
