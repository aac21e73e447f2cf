/* The lists of `top`, each with a heading, in a given number of rows; and reading a status that may lack anything. */
#ifndef CLI_TOP_LISTS_H
#define CLI_TOP_LISTS_H

#include "cli/picture.h"
#include "ops/human.h"
#include <jansson.h>

/* NaN, "" and "-" for what is not there or of another kind. Those with out return it. */
double status_number(const json_t *object, const char *name);
const char *status_text(const json_t *object, const char *name);
const char *status_size(const json_t *object, const char *name, char out[HUMAN_BYTES]);
const char *status_millis(const json_t *object, const char *name, char out[HUMAN_BYTES]);
const char *status_clock(double time_ms, char out[16]); /* "12:03:44" */

/* Rows that each list would like, heading included; 0: it has nothing. */
int inputs_rows(const json_t *status);
int outputs_rows(const json_t *status);
int ranking_rows(const json_t *status);
int listings_rows(const json_t *status);
int dead_rows(const json_t *status);
int codes_rows(const json_t *status);
int memory_rows(const json_t *status);

/* Each list in at most `rows` (> 0) rows. */
void inputs_show(struct picture *picture, const json_t *status, int rows);
void outputs_show(struct picture *picture, const json_t *status, int rows);
void ranking_show(struct picture *picture, const json_t *status, int rows);
void listings_show(struct picture *picture, const json_t *status, int rows);
void dead_show(struct picture *picture, const json_t *status, int rows);
void codes_show(struct picture *picture, const json_t *status, int rows);
void memory_show(struct picture *picture, const json_t *status, int rows);

#endif
