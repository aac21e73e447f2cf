/* The kafka.* settings as the transport takes them: for every command that talks to a broker. */
#ifndef CLI_KAFKA_SETTINGS_H
#define CLI_KAFKA_SETTINGS_H

#include "cli/settings.h"
#include "transport/kafka.h"

/* `settings` is borrowed for as long as `out` is used. FATAL EX_CONFIG when no broker is named. */
enum status kafka_settings(const struct settings *settings, struct kafka_config *out,
                           struct error *err);

#endif
