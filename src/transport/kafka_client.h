/* What the kafka_*.c files share: clients from the configuration, what an error of librdkafka demands, records from messages. */
#ifndef TRANSPORT_KAFKA_CLIENT_H
#define TRANSPORT_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "transport/kafka.h"

/* A request that takes longer has failed; the caller may try again. */
#define KAFKA_REQUEST_MS 10000
/* Of one message, where neither the topic nor the configuration says otherwise. */
#define KAFKA_MESSAGE_BYTES_MAX (4 << 20)
/* Of a CLIENT_PROBE's records. */
#define PROBE_BYTES_MAX (16 << 20)

enum client_role {
    CLIENT_ADMIN,    /* topics: metadata and administration */
    CLIENT_LEADER,   /* a member of the group */
    CLIENT_READER,   /* reads committed records by assign(); stops nowhere by itself */
    CLIENT_LOG,      /* ... and tells when it is at a partition's end */
    CLIENT_PRODUCER, /* transactional */
    CLIENT_PROBE,    /* a producer without transactions that may send what no topic takes */
};
struct client_options {
    enum client_role role;
    void *opaque; /* of the callbacks */
    void (*rebalanced)(rd_kafka_t *client, rd_kafka_resp_err_t code,
                       rd_kafka_topic_partition_list_t *partitions, void *opaque);
    void (*delivered)(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque);
    void (*failed)(rd_kafka_t *client, int code, const char *text, void *opaque); /* no broker */
    /* librdkafka's statistics, which it takes over: returns 1. Only with config->statistics */
    int (*statistics)(rd_kafka_t *client, char *json, size_t len, void *opaque);
    int batch_bytes_max; /* of a producer */
    /* Counts a producer's EndTxn requests as they go out; librdkafka's threads write it as long as the client lives. */
    atomic_uint *end_txn_sent;
};

/* FATAL EX_CONFIG: a property that librdkafka does not know or take, or that exactly-once owns. Does not wait for a broker. */
enum status kafka_client_create(rd_kafka_t **out, const struct kafka_config *config,
                                const struct client_options *options, struct error *err);

/* What a failed call demands: RETRY, ABORT_EPOCH or FATAL with its exit code. */
struct verdict {
    enum status status;
    int exit_code;
    bool
        fenced; /* another producer, or the broker's transaction timeout, has put an end to this one */
};
struct verdict kafka_verdict(rd_kafka_resp_err_t code);
struct verdict kafka_verdict_of(const rd_kafka_error_t *error); /* also by its flags */

/* Its name after the prefix. `topic` may be KAFKA_TOPIC_LEADER, here and below. */
const char *kafka_own_name(const struct kafka_config *config, int topic);
void kafka_topic_name(const struct kafka_config *config, int topic, char out[KAFKA_NAME_BYTES]);
/* False: a topic that is none of ours. */
bool kafka_topic_of(const struct kafka_config *config, const char *name, enum topic *out);
/* Partitions that the topic has on the broker; 0: there is no such topic. */
enum status kafka_partitions(rd_kafka_t *client, const char *name, int32_t *count,
                             struct error *err);
/* Where a partition's committed records begin and end. */
enum status kafka_range(rd_kafka_t *client, const char *name, int32_t partition, int64_t *low,
                        int64_t *high, struct error *err);
/* Borrows the message's bytes. Of more than HEADERS_MAX headers the first are taken. False: a topic that is none of ours. */
bool kafka_record(const struct kafka_config *config, const rd_kafka_message_t *message,
                  struct record *out);

/* A topic as it is on the broker. */
#define TOPIC_SETTINGS 8
#define TOPIC_SETTING_BYTES 32
struct topic_facts {
    int32_t partitions; /* 0: not there */
    int64_t message_bytes_max;
    char value[TOPIC_SETTINGS][TOPIC_SETTING_BYTES]; /* of settings, as kafka_topics.c knows them */
    bool denied;                                     /* this client may not see the topic */
    bool settings_denied;                            /* ... or its settings */
};
/* What the broker would say to the creation of the topics that are missing; nothing is created. */
enum status kafka_try_creating(rd_kafka_t *client, const struct kafka_config *config,
                               const struct topic_check checks[KAFKA_TOPICS],
                               rd_kafka_resp_err_t codes[KAFKA_TOPICS], struct error *err);
/* FATAL EX_CONFIG where a right is lacking. */
enum status kafka_describe(const struct kafka_config *config,
                           struct topic_facts facts[KAFKA_TOPICS], struct error *err);

/* A record that goes to the dead letters, as an event of the log. */
void kafka_tell_dead(const struct record *record);

/* leader.c for sink.c: whether it leads, as known now. */
bool kafka_leader_leads(struct kafka_leader *leader);
/* Fresh for each commit; NULL when this instance does not lead. The caller destroys it. */
rd_kafka_consumer_group_metadata_t *kafka_leader_metadata(struct kafka_leader *leader);

#endif
