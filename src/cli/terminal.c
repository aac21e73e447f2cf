#include "cli/terminal.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A screen of its own, no cursor, and lines that are too long do not go on in the next; and back. */
#define TAKE_SCREEN "\033[?1049h\033[?25l\033[?7l\033[2J"
#define GIVE_SCREEN "\033[?7h\033[?25h\033[?1049l"

bool terminal_is_there(void) {
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind != NULL && *kind != '\0' &&
           strcmp(kind, "dumb") != 0;
}

static bool size_of(int *columns, int *rows) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return false;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}

int terminal_columns(void) {
    int columns, rows;
    const char *said = getenv("COLUMNS");
    if (size_of(&columns, &rows))
        return columns;
    columns = said != NULL ? atoi(said) : 0;
    return columns >= 20 && columns <= 1000 ? columns : 80;
}

static void measure(struct terminal *terminal) {
    if (!size_of(&terminal->columns, &terminal->rows)) {
        terminal->columns = 80;
        terminal->rows = 24;
    }
}

static void take(struct terminal *terminal) {
    struct termios raw = terminal->before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    fputs(TAKE_SCREEN, stdout);
    fflush(stdout);
    measure(terminal);
}

static void give(struct terminal *terminal) {
    fputs(GIVE_SCREEN, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before);
}

enum status terminal_open(struct terminal *terminal, struct error *err) {
    sigset_t set;
    const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    if (tcgetattr(STDIN_FILENO, &terminal->before) != 0 ||
        sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (terminal->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return FAIL(err, FATAL, EX_OSERR, "the terminal cannot be set up; try --once");
    take(terminal);
    return OK;
}

void terminal_close(struct terminal *terminal) {
    give(terminal);
    close(terminal->signals);
}

enum terminal_event terminal_key(char *key) {
    /* at its end the terminal is gone */
    return read(STDIN_FILENO, key, 1) == 1 ? TERMINAL_KEY : TERMINAL_END;
}

enum terminal_event terminal_signal(struct terminal *terminal) {
    struct signalfd_siginfo got;
    if (read(terminal->signals, &got, sizeof got) != (ssize_t)sizeof got)
        return TERMINAL_NOTHING;
    if (got.ssi_signo == SIGTSTP) {
        give(terminal);
        raise(SIGSTOP); /* goes on here after `fg' */
        take(terminal);
        return TERMINAL_REDRAW;
    }
    if (got.ssi_signo != SIGWINCH)
        return TERMINAL_END;
    measure(terminal);
    return TERMINAL_REDRAW;
}
