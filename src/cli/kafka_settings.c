#include "cli/kafka_settings.h"

enum status kafka_settings(const struct settings *settings, struct kafka_config *out,
                           struct error *err) {
    if (settings->kafka_brokers[0] == '\0')
        return FAIL(err, FATAL, EX_CONFIG,
                    "kafka.brokers is empty: name the bootstrap servers, as in kafka.brokers: "
                    "\"127.0.0.1:9092\"");
    *out = (struct kafka_config){.brokers = settings->kafka_brokers,
                                 .prefix = settings->kafka_prefix,
                                 .application = settings->kafka_application,
                                 .input_partitions_max = STAGE_PARTITIONS_MAX / TOPIC_INPUTS,
                                 .transaction_timeout_ms = settings->transaction_timeout_ms,
                                 .session_timeout_ms = settings->session_timeout_ms,
                                 .fetch_bytes_max = settings->fetch_bytes,
                                 .produce_bytes_max = settings->produce_bytes,
                                 .poll_ms = 20,
                                 .linger_ms = settings->linger_ms};
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
        out->partitions[topic] = topic < TOPIC_INPUTS || topic == TOPIC_EPOCHS
                                     ? 1
                                     : (int32_t)settings->output_partitions;
    return OK;
}
