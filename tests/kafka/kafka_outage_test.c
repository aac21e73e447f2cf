/* The broker is killed while epochs are produced, and started again: every epoch is there once. */
#include <sys/wait.h>

#include "base/rng.h"
#include "kafka_world.h"

#define KILLS 3
#define EPOCHS_AFTER 20
#define EPOCHS_MAX 20000
#define ROWS 40

static uint64_t seed(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t s = text != NULL ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr,
            "kafka_outage_test: seed %llu (again: COLDSTREAM_SEED=%llu ctest -R kafka_outage)\n",
            (unsigned long long)s, (unsigned long long)s);
    return s;
}

static void broker(const char *command) {
    char line[1200];
    snprintf(line, sizeof line, "../scripts/kafka-broker.sh %s '%s' > /dev/null 2>&1", command,
             world_broker_dir());
    if (system(line) != 0)
        _exit(1);
}

/* Kills and restarts the broker at moments that come from the seed. */
static pid_t trouble(uint64_t from) {
    fflush(NULL);
    pid_t child = fork();
    if (child != 0)
        return child;
    struct rng rng = rng_stream(from, RNG_TEST, 1, 1);
    for (int k = 0; k < KILLS; k++) {
        usleep(10000000 +
               rng_below(&rng, 1000000)); /* so that it has recovered from the one before */
        broker("kill");
        usleep(rng_below(&rng, 1000000));
        broker("restart");
    }
    _exit(0);
}

struct counted {
    uint8_t seen[EPOCHS_MAX];
    uint64_t last;
};

static void count(void *self, const struct record *record) {
    struct counted *counted = self;
    uint64_t epoch = strtoull((const char *)record->value.data, NULL, 10);
    ck_assert_uint_lt(epoch, EPOCHS_MAX);
    counted->seen[epoch]++;
    ck_assert_uint_eq(epoch, counted->last + 1);
    counted->last = epoch;
}

static enum status one_epoch(const struct sink_port *sink, uint64_t epoch, struct error *err) {
    struct output_end ends[16];
    uint32_t count_of_ends;
    char value[32];
    struct position at = {TOPIC_INTERACTIONS, 0, (int64_t)epoch, 0};
    snprintf(value, sizeof value, "%llu ", (unsigned long long)epoch);
    struct record row = world_record(TOPIC_DEAD_LETTER, value, value);
    struct record manifest = world_record(TOPIC_EPOCHS, value, value);
    TRY(sink->begin(sink->self, epoch, err));
    for (int i = 0; i < ROWS; i++)
        TRY(sink->put(sink->self, &row, err));
    TRY(sink->ends(sink->self, ends, 16, &count_of_ends, err));
    TRY(sink->put(sink->self, &manifest, err));
    return sink->commit(sink->self, &at, 1, err);
}

START_TEST(nothing_is_lost_or_twice) {
    static struct counted counted;
    struct world *w = world_with_topics("outage");
    struct kafka_leader *leader = world_join(w);
    struct error err = {0};
    world_lead(leader);
    struct kafka_sink *kafka = world_sink(w, leader);
    struct sink_port sink = kafka_sink_port(kafka);
    pid_t child = trouble(seed());
    uint64_t epoch = 1, after = 0, aborted = 0, retried = 0;
    int64_t limit = world_ms() + 240000, began = 0, longest_ms = 0;
    int ended = -1;
    while (after < EPOCHS_AFTER) {
        bool leads;
        ck_assert_msg(world_ms() < limit, "stuck at epoch %llu: %s", (unsigned long long)epoch,
                      err.text);
        ck_assert_msg(kafka_leader_poll(leader, 0, &leads, &err) == OK, "%s", err.text);
        if (ended < 0 && waitpid(child, &ended, WNOHANG) != child)
            ended = -1;
        began = began == 0 ? world_ms() : began;
        enum status status = one_epoch(&sink, epoch, &err);
        if (status == OK) {
            if (world_ms() - began > longest_ms)
                longest_ms = world_ms() - began;
            began = 0;
            epoch++;
            after += ended >= 0;
            continue;
        }
        ck_assert_msg(status == RETRY || status == ABORT_EPOCH, "epoch %llu: %s: %s",
                      (unsigned long long)epoch, status_name(status), err.text);
        log_info("test.failed", LOG_UINT("epoch", epoch), LOG_TEXT("status", status_name(status)),
                 LOG_TEXT("text", err.text));
        aborted += status == ABORT_EPOCH;
        retried += status == RETRY;
        ck_assert_int_eq(sink.abort(sink.self, &err), OK);
        usleep(50000);
    }
    ck_assert_int_eq(ended, 0);
    world_read(w, TOPIC_EPOCHS, count, &counted);
    ck_assert_uint_eq(counted.last, epoch - 1);
    ck_assert_uint_eq(world_read(w, TOPIC_DEAD_LETTER, NULL, NULL), ROWS * (epoch - 1));
    printf("outage: %llu epochs, %d kills, %llu aborted, %llu retried, longest %lld ms\n",
           (unsigned long long)(epoch - 1), KILLS, (unsigned long long)aborted,
           (unsigned long long)retried, (long long)longest_ms);
    kafka_sink_close(kafka);
    kafka_leader_leave(leader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka outage");
    TCase *cases = tcase_create("outage");
    tcase_set_timeout(cases, 280);
    tcase_add_test(cases, nothing_is_lost_or_twice);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
