/* A survey of all items and users, taken in small steps beside the stream: what model_evaluate() finds in one scan, for a stage that cannot stop for
 * one. The state goes on meanwhile, so a round is of items as they were when their turn came.
 *
 * Two sides, never at the same time: step() reads the model and belongs to the thread that owns it; count() reads the survey's memory alone, and may
 * be another thread's. Memory: 28 bytes for each item that there may be, as they come. */
#ifndef MODEL_SURVEY_H
#define MODEL_SURVEY_H

#include "model/model.h"

#define SURVEY_SAMPLE                                                                              \
    16384u /* items at most whose z is held against their codes; beyond, one of every few */

struct survey_level {
    uint32_t used; /* codes that some item has */
    double
        perplexity; /* exp of the entropy of the items' codes: how many are in even use; NaN without items */
    double
        collisions; /* share of the items that share their codes up to this level with another; NaN without items */
    uint64_t changed; /* items whose code was another one in the round before */
};
struct survey_figures {
    uint64_t items; /* with a SID */
    struct survey_level levels[SID_CODES];
    double unique;             /* share of the items that have a SID of their own */
    double quantisation_error; /* as in struct evaluation, of the sample */
    double cosine;             /* mean cosine of z and what its codes make of it, of the sample */
    double gauc;               /* as in struct evaluation */
    const uint32_t *occupancy[SID_CODES]; /* items per code [books[l]]; until the next count */
};

struct survey;

/* Memory from `arena`, for models of this configuration. */
enum status survey_create(struct survey **out, const struct model_config *config,
                          struct arena *arena, struct error *err);
/* A round from its beginning. */
void survey_begin(struct survey *survey);
/* Visits at most `rows` more positions; true when the round is complete. */
bool survey_step(struct survey *survey, struct model *model, uint32_t rows);
/* Of a complete round. */
void survey_count(struct survey *survey, struct survey_figures *out);

#endif
