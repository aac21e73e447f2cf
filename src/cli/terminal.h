/* A terminal that a command draws on and reads keys from, and that is as it was afterwards. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "base/error.h"
#include <stdbool.h>
#include <termios.h>

struct terminal {
    struct termios before;
    int signals; /* a signalfd */
    int columns, rows;
};

enum terminal_event { TERMINAL_NOTHING, TERMINAL_KEY, TERMINAL_REDRAW, TERMINAL_END };

/* Whether standard input and output are one that can be drawn on. */
bool terminal_is_there(void);
/* Columns of standard output; 80 where it is no terminal and COLUMNS says nothing. */
int terminal_columns(void);

/* From here on keys come one at a time, unseen, and SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGWINCH come through `signals`. */
enum status terminal_open(struct terminal *terminal, struct error *err);
void terminal_close(struct terminal *terminal);

/* What there is to read on standard input (a key: *key), and on `signals`. Neither waits. Ctrl-Z stops the process here, with the terminal as it was. */
enum terminal_event terminal_key(char *key);
enum terminal_event terminal_signal(struct terminal *terminal);

#endif
