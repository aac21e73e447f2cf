/* One instance leads; the next one takes over. */
#include <signal.h>
#include <sys/wait.h>

#include "kafka_world.h"

static bool poll_once(struct kafka_leader *leader, uint32_t ms) {
    bool leads;
    struct error err = {0};
    ck_assert_msg(kafka_leader_poll(leader, ms, &leads, &err) == OK, "%s", err.text);
    return leads;
}

START_TEST(the_second_waits_and_takes_over_when_the_first_leaves) {
    struct world *w = world_with_topics("leave");
    struct kafka_leader *first = world_join(w), *second;
    world_lead(first);
    second = world_join(w);
    for (int64_t end = world_ms() + 5000; world_ms() < end;) {
        ck_assert_msg(poll_once(first, 50), "the first lost the lead to one that joined");
        ck_assert(!poll_once(second, 50));
    }
    kafka_leader_leave(first);
    int64_t left = world_ms();
    world_lead(second);
    printf("leader: took over %lld ms after the first left\n", (long long)(world_ms() - left));
    ck_assert_int_lt(world_ms() - left, 4000);
    kafka_leader_leave(second);
}
END_TEST

START_TEST(one_that_never_led_can_leave) {
    struct world *w = world_with_topics("standby");
    struct kafka_leader *first = world_join(w);
    world_lead(first);
    kafka_leader_leave(world_join(w)); /* before it is in the group */
    struct kafka_leader *second = world_join(w);
    for (int64_t end = world_ms() + 3000; world_ms() < end;) {
        poll_once(first, 50);
        ck_assert(!poll_once(second, 50));
    }
    kafka_leader_leave(second);
    ck_assert(poll_once(first, 50));
    kafka_leader_leave(first);
}
END_TEST

/* The child leads, then is killed; it says when it leads by a byte. */
static pid_t lead_in_child(const struct world *w, int *ready) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct kafka_leader *leader = NULL;
        struct error err;
        bool leads = false;
        if (kafka_leader_join(&leader, &w->config, &err) != OK)
            _exit(1);
        while (!leads)
            if (kafka_leader_poll(leader, 100, &leads, &err) != OK)
                _exit(1);
        if (write(ends[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            kafka_leader_poll(leader, 100, &leads, &err);
    }
    close(ends[1]);
    *ready = ends[0];
    return child;
}

START_TEST(the_second_takes_over_from_one_that_was_killed) {
    struct world *w = world_with_topics("killed");
    int ready;
    char byte;
    pid_t child = lead_in_child(w, &ready);
    ck_assert_int_eq(read(ready, &byte, 1), 1);
    close(ready);
    struct kafka_leader *second = world_join(w);
    for (int64_t end = world_ms() + 4000; world_ms() < end;)
        ck_assert(!poll_once(second, 100));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int64_t killed = world_ms();
    world_lead(second);
    int64_t took = world_ms() - killed;
    printf("leader: took over %lld ms after the first was killed (session timeout %u ms)\n",
           (long long)took, w->config.session_timeout_ms);
    kafka_leader_leave(second);
}
END_TEST

START_TEST(the_leader_topic_must_be_there) {
    struct world *w = world_new("noleader");
    struct kafka_leader *leader;
    struct error err = {0};
    ck_assert_int_eq(kafka_leader_join(&leader, &w->config, &err), FATAL);
    ck_assert_msg(err.exit_code == EX_CONFIG && strstr(err.text, "leader"), "%s", err.text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka leader");
    TCase *cases = tcase_create("leader");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, the_second_waits_and_takes_over_when_the_first_leaves);
    tcase_add_test(cases, one_that_never_led_can_leave);
    tcase_add_test(cases, the_second_takes_over_from_one_that_was_killed);
    tcase_add_test(cases, the_leader_topic_must_be_there);
    suite_add_tcase(suite, cases);
    return world_run(suite);
}
