#include "ops/show.h"
#include "ops/watch_private.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A broker that does not answer for so long is worth a word. */
#define PATIENCE_S 5.0

const char *const http_path_names[HTTP_PATHS] = {
    "/", "/healthz", "/readyz", "/metrics", "/status.json", "/item.json", "/favicon.ico", "other"};

void show_refresh(struct show *show, struct watch *watch) {
    (void)watch_picture(watch, &show->picture);
    watch_status(watch, &show->status);
    show->survey = watch_survey(watch);
    for (uint32_t l = 0; l < SID_CODES; l++)
        show->changed[l] = watch_changed(watch, l);
}

static void restoring_text(const struct watch_status *status, char reason[REASON_BYTES]) {
    double share =
        status->restore_total > 0 ? (double)status->restored / (double)status->restore_total : 0;
    snprintf(reason, REASON_BYTES, "restoring %.0f %%", floor(100 * (share < 1 ? share : 1)));
}

bool show_ready(const struct show *show, char reason[REASON_BYTES]) {
    const struct watch_status *s = &show->status;
    if (s->state == WATCH_RESTORING) {
        restoring_text(s, reason);
        return false;
    }
    if (s->state != WATCH_LEADING) {
        bool more = s->reason[0] != '\0';
        snprintf(reason, REASON_BYTES, "%s%s%.200s", watch_state_names[s->state], more ? ": " : "",
                 s->reason);
        return false;
    }
    if (s->trouble_s > PATIENCE_S || (s->trouble[0] != '\0' && s->call_s > PATIENCE_S)) {
        snprintf(reason, REASON_BYTES, "waiting: %.200s", s->trouble);
        return false;
    }
    if (s->call_s > PATIENCE_S) {
        snprintf(reason, REASON_BYTES, "waiting: the broker has not answered for %.0f s",
                 s->call_s);
        return false;
    }
    snprintf(reason, REASON_BYTES, "%s", watch_state_names[s->state]);
    return true;
}

int64_t show_lag(const struct show *show, const struct shown_input *input) {
    bool reads = show->status.state == WATCH_LEADING || show->status.state == WATCH_DRAINING;
    if (!reads || input->end < 0 || input->position < 0)
        return -1; /* the picture of an instance that led before stands still */
    return input->end > input->position ? input->end - input->position : 0;
}

double show_lag_s(const struct show *show, const struct shown_input *input) {
    int64_t lag = show_lag(show, input);
    if (lag < 0)
        return (double)NAN;
    if (lag == 0)
        return 0;
    if (input->timestamp_ms < 0)
        return (double)NAN;
    double age_s = (double)(watch_wall_ms() - input->timestamp_ms) / 1e3;
    return age_s > 0 ? age_s : 0;
}

uint64_t show_memory_bytes(void) {
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
