#include "cli/run_watch.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/inspect.h"
#include "config/model_settings.h"
#include <stdio.h>
#include <stdlib.h>

static void fill_facts(const struct session *session, const struct kafka_config *kafka,
                       const struct model_config *model, struct show_facts *facts) {
    *facts = (struct show_facts){.version = program_version,
                                 .application = session->settings.kafka_application,
                                 .statistics = kafka->statistics,
                                 .started_ms = watch_wall_ms()};
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        snprintf(facts->topics[topic], KAFKA_NAME_BYTES, "%s%s", kafka->prefix,
                 kafka->names[topic] != NULL ? kafka->names[topic] : topic_name((enum topic)topic));
    for (int l = 0; l < SID_CODES; l++)
        facts->books[l] = model->tokenizer.books[l];
}

enum status run_watch_open(struct run_watch *run, struct session *session,
                           struct kafka_config *kafka, struct error *err) {
    const struct settings *settings = &session->settings;
    struct model_config model = settings_model(settings);
    struct show_facts facts;
    if (settings->http_listen[0] == '\0')
        return OK;
    run->session = session;
    run->statistics = kafka->statistics = kafka_statistics_create();
    TRY(watch_create(&run->watch, &model, settings->stage.content_listings, err));
    fill_facts(session, kafka, &model, &facts);
    TRY(http_open(&run->http, settings->http_listen, &facts, run->watch, err));
    log_info("http.ready", LOG_TEXT("address", http_address(run->http)),
             LOG_TEXT("text", "status page, /metrics, /readyz"));
    return OK;
}

void run_watch_close(struct run_watch *run) {
    http_close(run->http);
    watch_destroy(run->watch);
    kafka_statistics_destroy(run->statistics);
    *run = (struct run_watch){0};
}

struct source_port run_watch_source(struct run_watch *run, struct source_port source) {
    return run->watch != NULL ? watch_source(run->watch, source) : source;
}
struct sink_port run_watch_sink(struct run_watch *run, struct sink_port sink) {
    return run->watch != NULL ? watch_sink(run->watch, sink) : sink;
}

void run_watch_state(struct run_watch *run, enum watch_state state, const char *reason) {
    if (state == WATCH_LEADING)
        run->fenced = false;
    watch_state(run->watch, state, reason);
}

void run_watch_standby(struct run_watch *run) {
    watch_state(run->watch, WATCH_STANDBY,
                run->fenced ? "fenced, it lost the lead" : NULL);
}

void run_watch_fenced(struct run_watch *run) {
    run->fenced = true;
    watch_renew(run->watch);
    run_watch_standby(run);
}

static char *look_up(void *self, const char *item_id) {
    const struct run_watch *run = self;
    json_t *answer = inspect_live_item(stage_model(run->session->stage), item_id);
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(answer);
    return text;
}

void run_watch_serve(struct run_watch *run, const struct kafka_source *source,
                     struct kafka_sink *sink) {
    if (run->watch != NULL)
        watch_serve(run->watch,
                    &(struct watch_stage){run->session->stage, source, sink, look_up, run});
}
