#include "cli/json_text.h"
#include "cli/screen_text.h"
#include <string.h>

#define COLUMNS_MAX 16
#define TEXT_COLUMNS 200 /* longer texts are cut */

/* Writes it, or with out NULL only counts; returns the columns. Texts may be from outside. */
static int print_scalar(const json_t *value, FILE *out) {
    char number[64];
    const char *text = json_string_value(value);
    if (text != NULL)
        return screen_text(text, TEXT_COLUMNS, out);
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.4f", json_real_value(value));
    else
        snprintf(number, sizeof number, "%s",
                 json_is_true(value)    ? "yes"
                 : json_is_false(value) ? "no"
                                        : "-");
    return screen_text(number, TEXT_COLUMNS, out);
}

static void pad(int columns, int width, FILE *out) {
    if (columns < width)
        fprintf(out, "%*s", width - columns, "");
}

static void print_table(const json_t *rows, FILE *out) {
    int widths[COLUMNS_MAX], columns = 0;
    const char *names[COLUMNS_MAX], *name;
    const json_t *value, *row;
    size_t index;
    json_object_foreach(json_array_get(rows, 0), name, value) {
        if (columns == COLUMNS_MAX)
            break;
        names[columns] = name;
        widths[columns++] = (int)strlen(name);
    }
    json_array_foreach(rows, index, row) for (int c = 0; c < columns; c++) {
        int width = print_scalar(json_object_get(row, names[c]), NULL);
        widths[c] = width > widths[c] ? width : widths[c];
    }
    for (int c = 0; c < columns; c++) {
        fprintf(out, "  %s", names[c]);
        pad((int)strlen(names[c]), c + 1 < columns ? widths[c] : 0, out);
    }
    fputc('\n', out);
    json_array_foreach(rows, index, row) {
        for (int c = 0; c < columns; c++) {
            fputs("  ", out);
            int width = print_scalar(json_object_get(row, names[c]), out);
            pad(width, c + 1 < columns ? widths[c] : 0, out);
        }
        fputc('\n', out);
    }
}

static void print_list(const json_t *list, FILE *out) {
    size_t index;
    const json_t *value;
    json_array_foreach(list, index, value) {
        fputs(index ? " " : "", out);
        print_scalar(value, out);
    }
    fputc('\n', out);
}

static void print_object(json_t *object, const char *indent, FILE *out) {
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (json_is_object(json_array_get(value, 0))) {
            fprintf(out, "\n%s\n", name);
            print_table(value, out);
            continue;
        }
        fprintf(out, "%s%-20s ", indent, name);
        if (json_is_object(value)) {
            fputc('\n', out);
            print_object(value, "  ", out);
        } else if (json_is_array(value)) {
            print_list(value, out);
        } else {
            print_scalar(value, out);
            fputc('\n', out);
        }
    }
}

void json_text(json_t *object, FILE *out) {
    screen_text_start();
    print_object(object, "", out);
}
