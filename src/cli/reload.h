/* The configuration read again while the stage runs. */
#ifndef CLI_RELOAD_H
#define CLI_RELOAD_H

#include "cli/commands.h"

/* Reads `from` again and compares it with `read`, what was read before. Settings that may change while the stage runs (REACH_LIVE) are taken
 * over into `read` and `effective`; every other difference is refused until a restart. Each difference is one line of the log. A file
 * with errors changes nothing: each error is a line of the log too. */
void reload(const struct command_settings *from, struct settings *read, struct settings *effective);

#endif
