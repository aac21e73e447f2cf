/* A look at Avro bytes before Avro C sees them: are they exactly one value of the writer's schema?
 *
 * Avro C 1.11 trusts what it reads: a union's branch indexes an array unchecked, an enum's symbol
 * is taken as it is, a length is allocated before it is compared with what is left (and leaked when
 * it was wrong), an array of nulls may have 2^62 of them. So all lengths, branches, symbols and
 * counts are checked here, and what the value would cost in memory. */
#ifndef CODEC_WIRE_H
#define CODEC_WIRE_H

#include "base/arena.h"
#include "base/bytes.h"

#include <avro.h>

struct wire;

/* The schema as a tree of steps, in memory of `arena`. FATAL EX_DATAERR when it is too large. */
enum status wire_create(struct wire **out, avro_schema_t schema, struct arena *arena,
                        struct error *err);

/* NULL when `data` begins with one value of the schema whose decoded form needs at most about
 * memory_max bytes; *used is its length. Otherwise a few words on what is wrong; *used is how far
 * it was right. */
const char *wire_check(const struct wire *wire, struct bytes data, size_t memory_max, size_t *used);

#endif
