/* coldstream check: every error of a configuration file, or what it comes to. */
#include "cli/commands.h"
#include "cli/properties.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *config;
    bool show, json, manual;
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case 'c':
        arguments->config = argument;
        return 0;
    case 's':
        arguments->show = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case 'm':
        arguments->manual = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration to check", 0},
    {"show", 's', NULL, 0, "Print the effective configuration: every setting, as YAML", 0},
    {"json", 'j', NULL, 0, "Answer in one JSON object", 0},
    {"manual", 'm', NULL, 0, "Print docs/CONFIGURATION.md: every setting there is", 0},
    COMMAND_HELP_OPTION,
    {0},
};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "-c FILE",
    .doc = "Reports every error in a configuration file, one per line, as FILE:LINE:COLUMN: text."
           "\vExit code 0: no errors; 78: there are some; 66: no such file.\n\n"
           "Example:\n  coldstream check -c conf/replay.yaml --show",
};

static void print_text(void *self, const char *text) {
    (void)self;
    fputs(text, stdout);
}

static void print_line(void *self, const char *text) {
    (void)self;
    puts(text);
}

static void add_error(void *self, const char *text) {
    json_array_append_new(self, json_string(text));
}

/* The settings as {"section": {"key": value}}; their YAML form is JSON too, names apart. */
static json_t *settings_json(const struct settings *settings) {
    json_t *root = json_object();
    for (uint32_t i = 0; i < property_count; i++) {
        const struct property *property = &properties[i];
        char text[PROPERTY_TEXT_BYTES], section[PROPERTY_TEXT_BYTES];
        size_t length = property_format(property, settings, text);
        json_t *value = property->type == PROPERTY_NAME
                            ? json_string(text)
                            : json_loadb(text, length, JSON_DECODE_ANY, NULL);
        const char *dot = strchr(property->path, '.');
        json_t *at = root;
        if (dot != NULL) {
            snprintf(section, sizeof section, "%.*s", (int)(dot - property->path), property->path);
            if (json_object_get(root, section) == NULL)
                json_object_set_new(root, section, json_object());
            at = json_object_get(root, section);
        }
        json_object_set_new(at, dot ? dot + 1 : property->path, value);
    }
    return root;
}

static int check_json(const struct arguments *arguments) {
    struct settings settings;
    struct error err;
    json_t *errors = json_array();
    enum status status = settings_read(&settings, arguments->config, add_error, errors, &err);
    if (status != OK && json_array_size(errors) == 0)
        add_error(errors, err.text);
    json_t *answer = json_pack("{s:s, s:b, s:o}", "file", arguments->config, "ok", status == OK,
                               "errors", errors);
    if (status == OK && arguments->show)
        json_object_set_new(answer, "settings", settings_json(&settings));
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(answer);
    return status == OK ? EX_OK : err.exit_code;
}

static int check_text(const struct arguments *arguments) {
    struct settings settings;
    struct error err;
    if (settings_read(&settings, arguments->config, print_line, NULL, &err) != OK)
        return err.exit_code == EX_CONFIG ? EX_CONFIG : command_fail(&err);
    if (arguments->show) {
        char text[PROPERTY_MAX * PROPERTY_TEXT_BYTES];
        settings_text(&settings, text, sizeof text);
        fputs(text, stdout);
    } else {
        printf("%s: no errors\n", arguments->config);
    }
    return EX_OK;
}

int cmd_check(int argc, char **argv) {
    struct arguments arguments = {0};
    int exit_code;
    if (!command_parse(&argp, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (arguments.manual) {
        settings_manual(print_text, NULL);
        return EX_OK;
    }
    if (arguments.config == NULL)
        return command_usage(argv, "-c FILE is needed: the configuration to check");
    return arguments.json ? check_json(&arguments) : check_text(&arguments);
}
