/* Time of one mini-batch of 512 events, scored and learned, each in an epoch of its own (so that
 * every row is edited for the first time). One JSON object a line. */
#include "../tests/model/ranker_world.h"
#include <time.h>

#define BATCHES 16
#define ROUNDS 12

/* Of this process: the machine may have other work. */
static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(enum variant variant, uint32_t users, uint32_t items) {
    struct ranker_config config = world_config(variant);
    struct rng rng = rng_stream(1, RNG_TEST, users, items);
    struct world w;
    struct batch batches[BATCHES];
    double score[BATCHES * ROUNDS], learn[BATCHES * ROUNDS], seal[BATCHES * ROUNDS], distinct = 0.0;
    float logits[512], loss = 0.0f;
    world_open(&w, &config, items);
    for (uint32_t i = 0; i < items; i++)
        world_random_item(&w, &rng);
    world_commit(&w);
    for (int i = 0; i < BATCHES; i++) {
        batches[i] = batch_new(&w);
        batch_random(&w, &batches[i], config.batch, users, false, &rng);
        distinct += (double)batches[i].items / BATCHES;
    }
    for (int i = 0; i < BATCHES * ROUNDS; i++) {
        double start = now_ms();
        ranker_score(w.ranker, &batches[i % BATCHES], logits);
        double scored = now_ms();
        loss = ranker_learn(w.ranker, &batches[i % BATCHES]).bce;
        double learned = now_ms();
        world_commit(&w);
        score[i] = scored - start;
        learn[i] = learned - scored;
        seal[i] = now_ms() - learned;
    }
    qsort(score, BATCHES * ROUNDS, sizeof *score, ascending);
    qsort(learn, BATCHES * ROUNDS, sizeof *learn, ascending);
    qsort(seal, BATCHES * ROUNDS, sizeof *seal, ascending);
    int half = BATCHES * ROUNDS / 2;
    printf("{\"bench\": \"ranker_step\", \"variant\": \"%s\", \"events\": %u, \"users\": %u, "
           "\"distinct_items\": %.0f, "
           "\"score_ms_p50\": %.3f, \"learn_ms_p50\": %.3f, \"seal_ms_p50\": %.3f, "
           "\"events_per_s\": %.0f, \"loss\": %.4f}\n",
           ranker_variant_names[variant], config.batch, users, distinct, score[half], learn[half],
           seal[half], config.batch / (score[half] + learn[half]) * 1e3, (double)loss);
    for (int i = 0; i < BATCHES; i++)
        batch_free(&batches[i]);
    world_close(&w);
}

int main(void) {
    static const enum variant variants[] = {VARIANT_ID,    VARIANT_ID_CONTENT, VARIANT_ID_SID,
                                            VARIANT_SMILE, VARIANT_SAVIOR,     VARIANT_FULL};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        measure(variants[i], 12, 5000);  /* like invoices: few users, about 800 distinct items */
        measure(variants[i], 512, 5000); /* every event has its own user */
        measure(variants[i], 512, 200000);
    }
    return 0;
}
