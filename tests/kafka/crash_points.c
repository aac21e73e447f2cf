/* Preloaded into `coldstream run` by the tests (LD_PRELOAD): dies, or has a call fail, at a chosen call of librdkafka. The program that is
 * tested stays the one that is shipped.
 *
 * COLDSTREAM_CRASH is a plan, steps "call:count[:action]" with commas between: when `call` has been made `count` times since the step
 * before, the action is taken and the next step begins. Actions: before, after (SIGKILL before or after that call), stop (SIGSTOP before it), fail (the call is not made
 * and answers that it timed out: rd_kafka_flush only); without one the step only counts. So
 *
 *     begin_transaction:2,producev:17:after        in the second epoch, after its 17th record
 *     flush:1:fail,abort_transaction:1:before      an epoch that is given up, and death before it is aborted
 *
 * COLDSTREAM_CRASH_REACHED names a file that is made when the plan is at its end. */
#include <dlfcn.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum action { NOTHING, BEFORE, AFTER, STOP, FAIL };
static const char *const action_names[] = {"", "before", "after", "stop", "fail"};

struct step {
    char call[40];
    unsigned long count;
    enum action action;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *rest; /* of the plan, past the step */
static struct step step;

static void die(const char *why) {
    fprintf(stderr, "crash_points: %s\n", why);
    _exit(99);
}

static void next_step(void) {
    char action[16] = "";
    int read = 0;
    step = (struct step){0};
    if (rest == NULL || *rest == '\0')
        return;
    if (sscanf(rest, "%39[a-z_]:%lu%n", step.call, &step.count, &read) < 2 || step.count == 0)
        die("COLDSTREAM_CRASH: a step is call:count[:action]");
    rest += read;
    if (*rest == ':') {
        if (sscanf(rest, ":%15[a-z]%n", action, &read) != 1)
            die("COLDSTREAM_CRASH: an action is before, after, stop or fail");
        rest += read;
        while (step.action < FAIL && strcmp(action, action_names[step.action]) != 0)
            step.action++;
    }
    if (*rest == ',')
        rest++;
}

static void __attribute__((constructor)) begin(void) {
    rest = getenv("COLDSTREAM_CRASH");
    next_step();
}

static void reached(void) {
    const char *path = getenv("COLDSTREAM_CRASH_REACHED");
    int file = path != NULL ? open(path, O_CREAT | O_WRONLY, 0644) : -1;
    if (file >= 0)
        close(file);
}

static void end_here(void) {
    reached();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Before a call: what is to be done at it. */
static enum action enter(const char *call) {
    enum action action = NOTHING;
    pthread_mutex_lock(&lock);
    if (strcmp(step.call, call) == 0 && --step.count == 0) {
        action = step.action;
        next_step();
    }
    pthread_mutex_unlock(&lock);
    if (action == BEFORE)
        end_here();
    if (action == STOP)
        kill(getpid(), SIGSTOP);
    return action;
}

static void leave(enum action action) {
    if (action == AFTER)
        end_here();
}

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        die("librdkafka does not have a call");
    return found;
}

/* A call with these parameters and arguments, passed on. */
#define WRAP(type, name, parameters, arguments)                                                    \
    type rd_kafka_##name parameters {                                                              \
        static type(*call) parameters;                                                             \
        if (call == NULL)                                                                          \
            *(void **)&call = real("rd_kafka_" #name);                                             \
        enum action action = enter(#name);                                                         \
        type result = call arguments;                                                              \
        leave(action);                                                                             \
        return result;                                                                             \
    }

WRAP(rd_kafka_error_t *, init_transactions, (rd_kafka_t * rk, int ms), (rk, ms))
WRAP(rd_kafka_error_t *, begin_transaction, (rd_kafka_t * rk), (rk))
WRAP(rd_kafka_error_t *, commit_transaction, (rd_kafka_t * rk, int ms), (rk, ms))
WRAP(rd_kafka_error_t *, abort_transaction, (rd_kafka_t * rk, int ms), (rk, ms))
WRAP(rd_kafka_error_t *, send_offsets_to_transaction,
     (rd_kafka_t * rk, const rd_kafka_topic_partition_list_t *offsets,
      const rd_kafka_consumer_group_metadata_t *metadata, int ms),
     (rk, offsets, metadata, ms))
WRAP(rd_kafka_resp_err_t, query_watermark_offsets,
     (rd_kafka_t * rk, const char *topic, int32_t partition, int64_t *low, int64_t *high, int ms),
     (rk, topic, partition, low, high, ms))
WRAP(rd_kafka_resp_err_t, assign,
     (rd_kafka_t * rk, const rd_kafka_topic_partition_list_t *partitions), (rk, partitions))
WRAP(rd_kafka_message_t *, consumer_poll, (rd_kafka_t * rk, int ms), (rk, ms))

rd_kafka_resp_err_t rd_kafka_flush(rd_kafka_t *rk, int ms) {
    static rd_kafka_resp_err_t (*call)(rd_kafka_t *, int);
    if (call == NULL)
        *(void **)&call = real("rd_kafka_flush");
    enum action action = enter("flush");
    if (action == FAIL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t result = call(rk, ms);
    leave(action);
    return result;
}

/* Its arguments cannot be named, only handed on as they are. */
rd_kafka_resp_err_t rd_kafka_producev(rd_kafka_t *rk, ...) {
    static void *call;
    (void)rk;
    if (call == NULL)
        call = real("rd_kafka_producev");
    enum action action = enter("producev");
    void *arguments = __builtin_apply_args();
    void *result = __builtin_apply((void (*)(rd_kafka_t *))call, arguments, 512);
    leave(action);
    __builtin_return(result);
}
