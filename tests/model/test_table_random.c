/* Random walks of the table engine beside plain arrays (table_twin.h). COLDSTREAM_SEED=n repeats a
 * walk. */
#include "table_twin.h"

#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint32_t draw(void *context, uint32_t bound) {
    return rng_below(context, bound);
}

static void walk(uint64_t seed, uint32_t rows_max, uint32_t epochs, uint32_t steps_max) {
    struct rng rng = rng_stream(seed, RNG_TEST, rows_max, epochs);
    struct twin *twin = twin_create(rows_max, (struct chooser){draw, &rng});
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        for (uint32_t steps = rng_below(&rng, steps_max + 1); steps > 0; steps--)
            twin_step(twin);
        twin_end_epoch(twin);
    }
    twin_destroy(twin);
}

int main(void) {
    const char *text = getenv("COLDSTREAM_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu; again: COLDSTREAM_SEED=%llu test_table_random\n", (unsigned long long)seed,
           (unsigned long long)seed);
    fflush(stdout);
    walk(seed, 1, 200, 6); /* one position that changes hands all the time */
    walk(seed, 5, 1000, 20);
    walk(seed, 70, 300, 200);    /* more than one word of positions, often full */
    walk(seed, 5000, 15, 20000); /* more than one word of full words; the index grows */
    return EXIT_SUCCESS;
}
