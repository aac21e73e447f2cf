/* What goes to the dead letters is told in the log, too. */
#include "base/log.h"
#include "transport/kafka_client.h"
#include <stdio.h>

#define WORD_BYTES 64
#define TEXT_BYTES 400

static const char *header(const struct record *record, const char *name, char *out, size_t size) {
    struct bytes value = record_header(record, name);
    snprintf(out, size, "%.*s", (int)value.len, (const char *)value.data);
    return out;
}

void kafka_tell_dead(const struct record *record) {
    char topic[WORD_BYTES], partition[WORD_BYTES], offset[WORD_BYTES], reason[WORD_BYTES],
        text[TEXT_BYTES];
    log_warn("dead_letter", LOG_TEXT("topic", header(record, "topic", topic, sizeof topic)),
             LOG_TEXT("partition", header(record, "partition", partition, sizeof partition)),
             LOG_TEXT("offset", header(record, "offset", offset, sizeof offset)),
             LOG_TEXT("reason", header(record, "reason", reason, sizeof reason)),
             LOG_TEXT("text", header(record, "error", text, sizeof text)),
             LOG_TEXT("see", "docs/RUNBOOK.md#coldstreamdeadletters"));
}
