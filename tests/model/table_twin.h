/* A set of tables and its twin: the same content in plain arrays, with copies where the engine has
 * an undo log. Every step is made on both, every epoch compares all that the engine says, and a
 * follower folds what was published, in shuffled order. A difference prints itself and aborts. Used
 * by the random test and the fuzz target. */
#ifndef TESTS_TABLE_TWIN_H
#define TESTS_TABLE_TWIN_H

#include "model/table.h"

/* Where choices come from: uniform in [0, bound). */
struct chooser {
    uint32_t (*below)(void *context, uint32_t bound);
    void *context;
};

struct twin;

/* The tables of a twin, for tests that need a second set of the same specs. */
struct tables *twin_tables_new(uint32_t rows_max);

struct twin *twin_create(uint32_t rows_max, struct chooser chooser);
/* One insert, edit, remove, failed insert or look-up. */
void twin_step(struct twin *twin);
/* Ends the epoch by commit or by rollback, before or after the seal, and compares. */
void twin_end_epoch(struct twin *twin);
const struct tables *twin_tables(const struct twin *twin);
/* Compares another set with the twin's last epoch: all rows, digests, validation. */
void twin_compare(const struct twin *twin, const struct tables *other, const char *who);
void twin_destroy(struct twin *twin);

#endif
