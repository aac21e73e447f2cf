#include "cli/picture.h"
#include "cli/screen_text.h"
#include <stdarg.h>

static bool full(const struct picture *picture) {
    return picture->row >= picture->rows;
}

static const char *code_of(const struct picture *picture, enum ink ink) {
    static const char *const colours[] = {"",         "\033[1m",  "\033[2m",
                                          "\033[32m", "\033[33m", "\033[1;31m"};
    static const char *const plain[] = {"", "\033[1m", "", "", "\033[1m", "\033[1m"};
    return picture->colour ? colours[ink] : picture->bold ? plain[ink] : "";
}

void picture_put(struct picture *picture, enum ink ink, int width, const char *text) {
    int room = picture->columns - picture->column;
    const char *code = code_of(picture, ink);
    if (full(picture) || room <= 0 || *text == '\0')
        return;
    fprintf(picture->out, "%*s", picture->spaces, "");
    picture->spaces = 0;
    fputs(code, picture->out);
    picture->column += screen_text(text, width < room ? width : room, picture->out);
    if (*code != '\0')
        fputs("\033[0m", picture->out);
}

void picture_say(struct picture *picture, enum ink ink, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    picture_put(picture, ink, picture->columns, text);
}

/* Spaces are written before the next text only: a line has none at its end. */
static void space(struct picture *picture, int columns) {
    picture->spaces += columns > 0 ? columns : 0;
    picture->column += columns > 0 ? columns : 0;
}

void picture_left(struct picture *picture, enum ink ink, int width, const char *text) {
    int before = picture->column;
    picture_put(picture, ink, width, text);
    space(picture, width + 1 - (picture->column - before));
}

void picture_right(struct picture *picture, enum ink ink, int width, const char *text) {
    space(picture, width - screen_text(text, width, NULL));
    picture_put(picture, ink, width, text);
    space(picture, 1);
}

/* The last line of a full screen has no line break: it would scroll. */
void picture_line(struct picture *picture) {
    if (!full(picture)) {
        if (picture->live)
            fputs("\033[K", picture->out);
        if (!picture->live || picture->row + 1 < picture->rows)
            fputc('\n', picture->out);
    }
    picture->row++;
    picture->column = picture->spaces = 0;
}
