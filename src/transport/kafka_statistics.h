/* What librdkafka says of its clients, every few seconds: JSON, as its STATISTICS.md describes. Kept by the clients' threads, looked at by another one. */
#ifndef TRANSPORT_KAFKA_STATISTICS_H
#define TRANSPORT_KAFKA_STATISTICS_H

#include <stddef.h>

enum kafka_client {
    KAFKA_CLIENT_LISTINGS,
    KAFKA_CLIENT_INTERACTIONS,
    KAFKA_CLIENT_PRODUCER,
    KAFKA_CLIENTS
};

struct kafka_statistics;
/* NULL: no memory. From the heap: librdkafka's texts are, too. */
struct kafka_statistics *kafka_statistics_create(void);
void kafka_statistics_destroy(struct kafka_statistics *statistics);

/* Takes `json` over, which librdkafka's heap has; never waits: while it is being looked at, the newer one is dropped. */
void kafka_statistics_put(struct kafka_statistics *statistics, enum kafka_client client, char *json,
                          size_t len);
/* Hands what was put last to `see`, if there is any. */
void kafka_statistics_look(struct kafka_statistics *statistics, enum kafka_client client,
                           void (*see)(void *self, const char *json, size_t len), void *self);

#endif
