#include "cli/json_text.h"
#include <string.h>

#define COLUMNS_MAX 16

static void print_scalar(const json_t *value, char *out, size_t size) {
    const char *text = json_string_value(value);
    if (text != NULL)
        snprintf(out, size, "%s", text);
    else if (json_is_integer(value))
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, size, "%.4f", json_real_value(value));
    else
        snprintf(out, size, "%s", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
}

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static int width_of(const char *text) {
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_padded(const char *text, int width, FILE *out) {
    int missing = width - width_of(text);
    fprintf(out, "%s%*s", text, missing > 0 ? missing : 0, "");
}

static void print_table(const json_t *rows, FILE *out) {
    int widths[COLUMNS_MAX], columns = 0;
    const char *names[COLUMNS_MAX], *name;
    const json_t *value, *row;
    char text[1200];
    size_t index;
    json_object_foreach(json_array_get(rows, 0), name, value) {
        if (columns == COLUMNS_MAX)
            break;
        names[columns] = name;
        widths[columns++] = width_of(name);
    }
    json_array_foreach(rows, index, row) for (int c = 0; c < columns; c++) {
        print_scalar(json_object_get(row, names[c]), text, sizeof text);
        widths[c] = width_of(text) > widths[c] ? width_of(text) : widths[c];
    }
    for (int c = 0; c < columns; c++) {
        fputs("  ", out);
        print_padded(names[c], c + 1 < columns ? widths[c] : 0, out);
    }
    fputc('\n', out);
    json_array_foreach(rows, index, row) {
        for (int c = 0; c < columns; c++) {
            print_scalar(json_object_get(row, names[c]), text, sizeof text);
            fputs("  ", out);
            print_padded(text, c + 1 < columns ? widths[c] : 0, out);
        }
        fputc('\n', out);
    }
}

static void print_list(const json_t *list, FILE *out) {
    char text[1200];
    size_t index;
    const json_t *value;
    json_array_foreach(list, index, value) {
        print_scalar(value, text, sizeof text);
        fprintf(out, "%s%s", index ? " " : "", text);
    }
    fputc('\n', out);
}

static void print_object(json_t *object, const char *indent, FILE *out) {
    char text[1200];
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
            print_scalar(value, text, sizeof text);
            fprintf(out, "%s\n", text);
        }
    }
}

void json_text(json_t *object, FILE *out) {
    print_object(object, "", out);
}
