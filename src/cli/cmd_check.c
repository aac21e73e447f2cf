/* coldstream check: every error of a configuration file, or what it comes to. */
#include "cli/check_connect.h"
#include "cli/commands.h"
#include "config/properties.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    struct command_settings settings;
    bool show, json, manual, connect;
};

enum { OPTION_CONNECT = 256 };

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case 's':
        arguments->show = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case 'm':
        arguments->manual = true;
        return 0;
    case OPTION_CONNECT:
        arguments->connect = true;
        return 0;
    default:
        return command_settings_parse(key, argument, state, &arguments->settings);
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration to check", 0},
    {"show", 's', NULL, 0, "Print the effective configuration: every setting, as YAML", 0},
    {"json", 'j', NULL, 0, "Answer in one JSON object", 0},
    {"connect", OPTION_CONNECT, NULL, 0,
     "Connect to the brokers, too: which topics are there, are missing (and will be created) or "
     "differ, and which rights are lacking. Changes nothing",
     0},
    {"set", COMMAND_OPTION_SET, "KEY=VALUE", 0,
     "Override one setting, e.g. --set kafka.brokers=broker:9092 (may be repeated)", 0},
    {"manual", 'm', NULL, 0, "Print docs/CONFIGURATION.md: every setting there is", 0},
    COMMAND_HELP_OPTION,
    {0},
};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "-c FILE",
    .doc = "Reports every error in a configuration file, one per line, as FILE:LINE:COLUMN: text."
           "\vExit code 0: no errors; 78: there are some, or --connect has found what has to be "
           "corrected; 66: no such file; 75: no broker answers.\n\n"
           "Example:\n  coldstream check -c conf/replay.yaml --show\n"
           "  coldstream check -c conf/run.yaml --connect\n\n"
           "Rights on the group and on the "
           "transactional id are tried only while no instance is at work.",
};

static void print_text(void *self, const char *text) {
    (void)self;
    fputs(text, stdout);
}

static void print_line(void *self, const char *text) {
    *(bool *)self = true;
    puts(text);
}

static void add_error(void *self, const char *text) {
    json_array_append_new(self, json_string(text));
}

static json_t *map_json(const struct text_map *map) {
    json_t *json = json_object();
    for (uint32_t i = 0; i < map->count; i++)
        json_object_set_new(json, map->at[i].key,
                            json_string(property_shown(map->at[i].key, map->at[i].value)));
    return json;
}

/* Its YAML form is JSON too, names and maps apart. */
static json_t *value_json(const struct property *property, const struct settings *settings) {
    char text[PROPERTY_TEXT_BYTES];
    if (property->type == PROPERTY_MAP)
        return map_json(property_map(property, settings));
    size_t length = property_format(property, settings, text);
    return property->type == PROPERTY_NAME ? json_string(text)
                                           : json_loadb(text, length, JSON_DECODE_ANY, NULL);
}

/* The settings as {"section": {"key": value}}. */
static json_t *settings_json(const struct settings *settings) {
    json_t *root = json_object();
    for (uint32_t i = 0; i < property_count; i++) {
        const struct property *property = &properties[i];
        char section[PROPERTY_TEXT_BYTES];
        const char *dot = strchr(property->path, '.');
        json_t *at = root;
        if (dot != NULL) {
            snprintf(section, sizeof section, "%.*s", (int)(dot - property->path), property->path);
            if (json_object_get(root, section) == NULL)
                json_object_set_new(root, section, json_object());
            at = json_object_get(root, section);
        }
        json_object_set_new(at, dot ? dot + 1 : property->path, value_json(property, settings));
    }
    return root;
}

static enum status read_settings(const struct arguments *arguments, settings_report report,
                                 void *self, struct settings *out, struct error *err) {
    const struct command_settings *from = &arguments->settings;
    return settings_from(out, from->config, from->assignments, from->assignment_count, report, self,
                         err);
}

static int check_json(const struct arguments *arguments) {
    static struct settings settings;
    static struct connection_check found;
    struct error err;
    json_t *errors = json_array(), *connection = NULL;
    enum status status = read_settings(arguments, add_error, errors, &settings, &err);
    if (status == OK && arguments->connect)
        status = check_connect(&settings, &found, &err);
    if (status != OK && json_array_size(errors) == 0)
        add_error(errors, err.text);
    else if (arguments->connect && status == OK)
        connection = check_connect_json(&found);
    json_t *answer = json_pack("{s:s, s:b, s:o}", "file", arguments->settings.config, "ok",
                               status == OK && found.wrong == 0, "errors", errors);
    if (status == OK && arguments->show)
        json_object_set_new(answer, "settings", settings_json(&settings));
    if (connection != NULL)
        json_object_set_new(answer, "connection", connection);
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(answer);
    return status != OK ? err.exit_code : found.wrong > 0 ? EX_CONFIG : EX_OK;
}

static int connect_text(const struct arguments *arguments, const struct settings *settings) {
    static struct connection_check found;
    struct error err;
    if (check_connect(settings, &found, &err) != OK)
        return command_fail(&err);
    check_connect_text(&found);
    if (found.wrong == 0)
        printf("%s: no errors\n", arguments->settings.config);
    else
        printf("%s: %u things have to be corrected before `run' can work\n",
               arguments->settings.config, found.wrong);
    return found.wrong == 0 ? EX_OK : EX_CONFIG;
}

static int check_text(const struct arguments *arguments) {
    static struct settings settings;
    struct error err;
    bool told = false;
    if (read_settings(arguments, print_line, &told, &settings, &err) != OK)
        return told ? err.exit_code : command_fail(&err);
    if (arguments->show) {
        char text[PROPERTY_MAX * PROPERTY_TEXT_BYTES];
        settings_text(&settings, text, sizeof text);
        fputs(text, stdout);
    } else if (!arguments->connect) {
        printf("%s: no errors\n", arguments->settings.config);
    }
    return arguments->connect ? connect_text(arguments, &settings) : EX_OK;
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
    if (arguments.settings.config == NULL)
        return command_usage(argv, "-c FILE is needed: the configuration to check");
    return arguments.json ? check_json(&arguments) : check_text(&arguments);
}
