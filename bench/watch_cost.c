/* watch_cost [ITEMS]: what looking at the model of a running stage costs its thread, with a million items and as many users; against model_evaluate(), which does
 * it at once; and what the watch adds to each call of the ports. Prints JSON lines. */
#include "base/clock.h"
#include "base/rng.h"
#include "math/vector.h"
#include "model/model.h"
#include "model/score_window.h"
#include "model/survey.h"
#include "ops/watch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIMS = 64, BATCH = 256 };

static struct error err;
#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != OK) {                                                                        \
            fprintf(stderr, "%s\n", err.text);                                                     \
            exit(70);                                                                              \
        }                                                                                          \
    } while (0)

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct bytes name_of(char kind, uint32_t i, char text[16]) {
    return bytes_of(text, (size_t)snprintf(text, 16, "%c%u", kind, i));
}

static void list(struct model *model, struct tables *set, uint32_t items) {
    for (uint32_t i = 0; i < items; i++) {
        float x[DIMS];
        char text[16];
        enum list_result result;
        struct rng centre = rng_stream(1, RNG_TEST, 0, i % 5000),
                   own = rng_stream(1, RNG_TEST, 1, i);
        for (uint32_t d = 0; d < DIMS; d++)
            x[d] = rng_normal(&centre) + 0.5f * rng_normal(&own);
        MUST(model_list(model, name_of('i', i, text), 1, x, (struct bytes){0}, 1, &result, &err));
        if (i % 4096 == 0 || i + 1 == items) {
            tables_seal(set);
            tables_commit(set);
        }
    }
}

/* Every user clicks or not, once, on an item. */
static void learn(struct model *model, struct tables *set, uint32_t users, uint32_t items) {
    for (uint32_t at = 0; at < users; at += BATCH) {
        struct sample samples[BATCH];
        for (uint32_t i = 0; i < BATCH; i++) {
            char text[16];
            struct rng rng = rng_stream(2, RNG_TEST, 0, at + i);
            samples[i] = (struct sample){.item_row = rng_below(&rng, items),
                                         .time_ms = at + i,
                                         .label = rng_below(&rng, 4) == 0};
            MUST(model_user(model, name_of('u', (at + i) % users, text), &samples[i].user_row,
                            &err));
        }
        MUST(model_learn(model, samples, BATCH, &err));
        tables_seal(set);
        tables_commit(set);
    }
}

static void survey(struct model *model, const struct model_config *config, struct arena *arena,
                   uint32_t step) {
    struct survey *s;
    struct survey_figures figures;
    double worst = 0, begin = now_ms();
    uint32_t steps = 0;
    MUST(survey_create(&s, config, arena, &err));
    survey_begin(s);
    for (bool done = false; !done; steps++) {
        double before = now_ms();
        done = survey_step(s, model, step);
        double took = now_ms() - before;
        worst = took > worst ? took : worst;
    }
    double stepped = now_ms();
    survey_count(s, &figures);
    printf("{\"what\": \"survey\", \"steps\": %u, \"worst_step_ms\": %.3f, \"all_steps_ms\": %.1f, "
           "\"count_ms\": %.1f, \"unique\": %.4f}\n",
           steps, worst, stepped - begin, now_ms() - stepped, figures.unique);
}

/* ---- ports ---- */

struct ends {
    struct record record;
    uint64_t puts;
};

static enum status give(void *self, struct record *out, bool *got, bool *end, struct error *e) {
    struct ends *ends = self;
    (void)e;
    ends->record.offset++;
    *out = ends->record;
    *got = true;
    *end = false;
    return OK;
}
static enum status begin_epoch(void *self, uint64_t epoch, struct error *e) {
    (void)self, (void)epoch, (void)e;
    return OK;
}
static enum status take(void *self, const struct record *record, struct error *e) {
    (void)record, (void)e;
    ((struct ends *)self)->puts++;
    return OK;
}

/* Nanoseconds of so many calls each. */
static void time_ports(const char *what, struct source_port source, struct sink_port sink) {
    enum { CALLS = 5000000 };
    struct record record = {.topic = TOPIC_CHANGELOG};
    bool got, end;
    double begin = now_ms();
    for (int i = 0; i < CALLS; i++)
        MUST(source.next(source.self, &record, &got, &end, &err));
    double middle = now_ms();
    record.topic = TOPIC_CHANGELOG;
    MUST(sink.begin(sink.self, 1, &err));
    for (int i = 0; i < CALLS; i++)
        MUST(sink.put(sink.self, &record, &err));
    printf("{\"what\": \"ports %s\", \"next_ns\": %.1f, \"put_ns\": %.1f}\n", what,
           (middle - begin) * 1e6 / CALLS, (now_ms() - middle) * 1e6 / CALLS);
}

static void ports(const struct model_config *config) {
    struct watch *watch;
    struct ends ends = {.record = {.topic = TOPIC_INTERACTIONS}};
    struct source_port source = {.self = &ends, .next = give};
    struct sink_port sink = {.self = &ends, .begin = begin_epoch, .put = take};
    MUST(watch_create(&watch, config, 256, &err));
    time_ports("bare", source, sink);
    time_ports("watched", watch_source(watch, source), watch_sink(watch, sink));
    watch_destroy(watch);
}

int main(int argc, char **argv) {
    uint32_t items = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct model_config config = {.tokenizer = {.content_dims = DIMS,
                                                .z_dims = DIMS,
                                                .books = {64, 64, 64, 64, 64},
                                                .seed = 1},
                                  .ranker = {.variant = VARIANT_ID,
                                             .width = 32,
                                             .history = 20,
                                             .batch = BATCH,
                                             .z_dims = DIMS,
                                             .books = {64, 64, 64, 64, 64},
                                             .prefix_rows = 16384,
                                             .hidden = {64, 32},
                                             .rate_rows = 0.1f,
                                             .rate_dense = 0.05f,
                                             .accumulator_rows = 0.01f,
                                             .accumulator_dense = 1e-5f,
                                             .init_rows = 0.05f,
                                             .sharpness = 4,
                                             .banks = 1,
                                             .gate_hidden = 16,
                                             .seed = 1},
                                  .train_listings = 2048,
                                  .items_max = items,
                                  .users_max = items,
                                  .id_bytes_max = 16,
                                  .title_bytes = 4,
                                  .seed = 1};
    struct tables *set;
    struct model *model;
    struct arena arena;
    ports(&config);
    struct score_window *window;
    struct score_figures figures;
    struct evaluation evaluation;
    uint32_t rows[5];
    MUST(arena_reserve(&arena, "bench", (size_t)16 << 30, &err));
    MUST(tables_create(&set, &err));
    MUST(model_create(&model, &config, set, &arena, &err));
    MUST(model_start(model, &err));
    list(model, set, items);
    learn(model, set, items, items);
    double begin = now_ms();
    model_evaluate(model, &evaluation);
    printf("{\"what\": \"model_evaluate\", \"items\": %u, \"ms\": %.1f}\n", items,
           now_ms() - begin);
    survey(model, &config, &arena, 512);
    MUST(score_window_create(&window, &arena, &err));
    begin = now_ms();
    score_window_look(window, model, &figures);
    printf("{\"what\": \"score_window_look\", \"ms\": %.2f}\n", now_ms() - begin);
    begin = now_ms();
    model_overview(model, &evaluation);
    printf("{\"what\": \"model_overview\", \"ms\": %.4f}\n", now_ms() - begin);
    begin = now_ms();
    (void)model_nearest_by_sid(model, 5, rows, 5);
    (void)model_nearest(model, 5, rows, 5);
    printf("{\"what\": \"item look-up\", \"ms\": %.1f}\n", now_ms() - begin);
    return 0;
}
