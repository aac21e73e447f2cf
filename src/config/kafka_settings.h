/* The kafka.* settings as the transport takes them: for every command that talks to a broker. */
#ifndef CONFIG_KAFKA_SETTINGS_H
#define CONFIG_KAFKA_SETTINGS_H

#include "config/settings.h"
#include "transport/kafka.h"

/* `settings` and what is put into `arena` are borrowed for as long as `out` is used. References to secrets in kafka.properties are resolved
 * here, and are nowhere else than in `out`. FATAL EX_CONFIG when no broker is named, or a secret is not there. */
enum status kafka_settings(const struct settings *settings, struct arena *arena,
                           struct kafka_config *out, struct error *err);
/* One entry of kafka.properties: its name, the form of its references `${env:NAME}` and `${file:/path}`, its value if it has none. */
enum status kafka_check_entry(const char *key, const char *value, struct error *err);
/* A text with its references to secrets resolved, in `arena`. */
enum status settings_expand(const char *value, struct arena *arena, const char **out,
                            struct error *err);

#endif
