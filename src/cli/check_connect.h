/* `check --connect`: what a broker has of the stage's topics, and what it lets this principal do. */
#ifndef CLI_CHECK_CONNECT_H
#define CLI_CHECK_CONNECT_H

#include "config/settings.h"
#include "transport/kafka.h"

struct connection_check {
    struct topic_check topics[KAFKA_TOPICS];
    struct right_check rights[KAFKA_RIGHTS_MAX];
    uint32_t right_count;
    uint32_t wrong; /* topics and rights without which the stage cannot run */
};

/* Changes nothing on the broker. RETRY (EX_TEMPFAIL) when it does not answer. */
enum status check_connect(const struct settings *settings, struct connection_check *out,
                          struct error *err);
void check_connect_text(const struct connection_check *check);
/* {"topics": [...], "rights": [...]}, for jansson's owner: a json_t *. */
void *check_connect_json(const struct connection_check *check);

#endif
