/* Who is the stage: the member of the group that holds the one partition of the leader topic. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/log.h"
#include "transport/kafka_client.h"

#include "base/poison.h"

/* Leaving waits so long for the group's answer; then the session timeout has to do. */
#define LEAVE_MS 3000

struct kafka_leader {
    struct arena arena;
    struct kafka_config config;
    rd_kafka_t *client;
    bool leads;
};

/* Called within poll and close. The strategy is cooperative, so a partition that is kept is in neither list. */
static void rebalanced(rd_kafka_t *client, rd_kafka_resp_err_t code,
                       rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    struct kafka_leader *leader = opaque;
    rd_kafka_error_t *error = NULL;
    int count = partitions != NULL ? partitions->cnt : 0;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        error = rd_kafka_incremental_assign(client, partitions);
        if (error == NULL && count > 0) {
            leader->leads = true;
            log_info("kafka.leads", LOG_TEXT("application", leader->config.application));
        }
    } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        if (leader->leads && count > 0)
            log_info("kafka.leads_no_more", LOG_TEXT("application", leader->config.application),
                     LOG_INT("lost", rd_kafka_assignment_lost(client)));
        if (count > 0) {
            leader->leads = false;
            error = rd_kafka_incremental_unassign(client, partitions);
        }
    } else {
        leader->leads = false;
        rd_kafka_assign(client, NULL);
    }
    if (error != NULL) {
        log_warn("kafka.rebalance", LOG_TEXT("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

static enum status subscribe(struct kafka_leader *leader, struct error *err) {
    char name[KAFKA_NAME_BYTES];
    int32_t partitions;
    kafka_topic_name(&leader->config, KAFKA_TOPIC_LEADER, name);
    TRY(kafka_partitions(leader->client, name, &partitions, err));
    if (partitions != 1)
        return FAIL_SEE(
            err, FATAL, EX_CONFIG, "topics",
            "topic %s: %d partitions; it must have exactly one, which decides who leads: "
            "let the stage create it",
            name, partitions);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(leader->client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return OK;
    struct verdict v = kafka_verdict(code);
    return FAIL(err, v.status, v.exit_code, "group %s: cannot join: %s", leader->config.application,
                rd_kafka_err2str(code));
}

enum status kafka_leader_join(struct kafka_leader **out, const struct kafka_config *config,
                              struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "Kafka leader", sizeof(struct kafka_leader), err));
    struct kafka_leader *leader = arena_must(&arena, sizeof *leader);
    *leader = (struct kafka_leader){.arena = arena, .config = *config};
    struct client_options options = {
        .role = CLIENT_LEADER, .opaque = leader, .rebalanced = rebalanced};
    enum status status = kafka_client_create(&leader->client, config, &options, err);
    if (status == OK)
        status = subscribe(leader, err);
    if (status == OK)
        *out = leader;
    else
        kafka_leader_leave(leader);
    return status;
}

enum status kafka_leader_poll(struct kafka_leader *leader, uint32_t timeout_ms, bool *leads,
                              struct error *err) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(leader->client, (int)timeout_ms);
    *leads = leader->leads;
    if (message == NULL)
        return OK;
    struct verdict v = kafka_verdict(message->err);
    enum status status = OK;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && v.status == FATAL)
        status = FAIL(err, FATAL, v.exit_code, "group %s: %s", leader->config.application,
                      rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
    return status;
}

bool kafka_leader_leads(struct kafka_leader *leader) {
    bool leads;
    return kafka_leader_poll(leader, 0, &leads, NULL) == OK && leads &&
           !rd_kafka_assignment_lost(leader->client);
}

rd_kafka_consumer_group_metadata_t *kafka_leader_metadata(struct kafka_leader *leader) {
    /* metadata of a member that is in no generation would be accepted by the broker: fencing off */
    if (!kafka_leader_leads(leader))
        return NULL;
    return rd_kafka_consumer_group_metadata(leader->client);
}

static void *end_client(void *client) {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/* librdkafka 2.0.2 now and then never comes back from destroying a member that has left: then its threads are left to the process's end. */
static void end_client_in_time(rd_kafka_t *client) {
    pthread_t thread;
    struct timespec until;
    if (pthread_create(&thread, NULL, end_client, client) != 0)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LEAVE_MS / 1000;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return;
    pthread_detach(thread);
    log_warn("kafka.leave",
             LOG_TEXT("text", "the group's client does not end; it is left to itself"));
}

void kafka_leader_leave(struct kafka_leader *leader) {
    if (leader->client != NULL) {
        /* unsubscribe first, then close: closing a cooperative member that has no assignment yet has crashed librdkafka 2.0.2 */
        rd_kafka_unsubscribe(leader->client);
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(leader->client);
        rd_kafka_error_t *error = rd_kafka_consumer_close_queue(leader->client, queue);
        int64_t deadline_ms = clock_ms() + LEAVE_MS;
        while (error == NULL && !rd_kafka_consumer_closed(leader->client) &&
               clock_ms() < deadline_ms) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(leader->client, 50);
            if (message != NULL)
                rd_kafka_message_destroy(message);
        }
        if (error != NULL)
            rd_kafka_error_destroy(error);
        rd_kafka_queue_destroy(queue);
        end_client_in_time(leader->client);
    }
    struct arena arena = leader->arena; /* holds the leader itself */
    arena_release(&arena);
}
