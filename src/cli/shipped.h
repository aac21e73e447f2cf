/* The schemas that ship with the program, as recording.yaml lists them. */
#ifndef CLI_SHIPPED_H
#define CLI_SHIPPED_H

#include "transport/recording.h"

/* Those of the input topics, or those of the outputs; `out` has RECORDED_SCHEMAS_MAX places. Returns how many. */
uint32_t shipped_schemas(bool inputs, struct recorded_schema *out);

#endif
