/* The tables that a stage of this configuration publishes to its public topics. */
#ifndef FOLLOW_PUBLIC_TABLES_H
#define FOLLOW_PUBLIC_TABLES_H

#include "model/model.h"

/* An empty set of them, and of `items`, whose rows follow from their children's (apply/fold.h). What is public is decided where the model adds its tables. */
enum status public_tables_create(struct tables **out, const struct model_config *config,
                                 struct error *err);

#endif
