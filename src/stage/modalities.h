/* A listing's modalities in the layout that the model takes: one after the other as configured, the hashed n-grams of its text
 * last. What a listing lacks is NaN there, which the encoder takes for the mean. */
#ifndef STAGE_MODALITIES_H
#define STAGE_MODALITIES_H

#include "stage/stage.h"

/* "name:dims" with spaces between; empty: none. FATAL EX_CONFIG. */
enum status modalities_parse(const char *text, struct content_layout *out, struct error *err);

/* Sets *reason and returns BAD_RECORD when the listing's vectors do not fit the layout, or are not finite, or when there is nothing
 * to go by. */
enum status modalities_check(const struct content_layout *layout, uint32_t content_dims,
                             const struct listing *listing, enum dead_reason *reason,
                             struct error *err);
/* Writes out [content_dims] of a listing that passed. */
void modalities_arrange(const struct content_layout *layout, uint32_t content_dims,
                        const struct listing *listing, float *out);

#endif
