/* Follows a stage and tells of the items named on the command line, epoch by epoch, until interrupted or a recording ends.
 *
 *     cc follow.c -o follow $(pkg-config --cflags --libs coldstream)
 *     ./follow out 85123A                           a recording, or a replay's outputs
 *     ./follow kafka:broker:9092 85123A             live */
#include <coldstream/coldstream.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t interrupted;
static void interrupt(int number) {
    (void)number;
    interrupted = 1;
}

static int failed(const cs_error *error) {
    fprintf(stderr, "follow: %s\n", error->text);
    return error->exit_code;
}

/* A view for each round of look-ups: all of one epoch. */
static int tell(cs_follower *follower, int count, char **ids, cs_error *error) {
    cs_view *view;
    cs_item item;
    int status = cs_view_open(follower, &view, error);
    if (status != CS_OK)
        return status == CS_AGAIN ? CS_OK : status; /* none yet, or it is catching up */
    for (int i = 0; i < count; i++) {
        status = cs_view_item(view, ids[i], strlen(ids[i]), &item, sizeof item, error);
        if (status == CS_STALE)
            break; /* its epoch has left memory: the next view has a newer one */
        if (status == CS_OK && item.has_sid)
            printf("epoch %llu  %s  %u-%u-%u.%u-%u  shown %.0f  clicks %.0f\n",
                   (unsigned long long)cs_view_epoch(view), ids[i], item.codes[0], item.codes[1],
                   item.codes[2], item.codes[3], item.codes[4], (double)item.exposures,
                   (double)item.clicks);
        else
            printf("epoch %llu  %s  %s\n", (unsigned long long)cs_view_epoch(view), ids[i],
                   status == CS_OK ? "no SID yet" : "absent");
    }
    cs_view_close(view);
    return status == CS_ABSENT || status == CS_STALE ? CS_OK : status;
}

static int open_follower(cs_follower **follower, const char *where, cs_error *error) {
    if (strncmp(where, "kafka:", 6) != 0)
        return cs_open_recording(follower, where, NULL, error);
    cs_options *options = cs_options_new();
    int status = cs_options_set(options, "kafka.brokers", where + 6, error);
    if (status == CS_OK)
        status = cs_open_kafka(follower, options, error);
    cs_options_free(options);
    return status;
}

int main(int argc, char **argv) {
    cs_error error = {0};
    cs_follower *follower;
    if (argc < 3) {
        fprintf(stderr, "Usage: follow DIR|kafka:BROKERS ITEM...\n");
        return 64;
    }
    signal(SIGINT, interrupt);
    if (open_follower(&follower, argv[1], &error) != CS_OK)
        return failed(&error);
    int status = CS_OK;
    while (!interrupted && (status == CS_OK || status == CS_AGAIN)) {
        status = cs_step(follower, 250, &error);
        if (status == CS_OK)
            status = tell(follower, argc - 2, argv + 2, &error);
    }
    cs_close(follower);
    return status == CS_OK || status == CS_AGAIN || status == CS_END ? 0 : failed(&error);
}
