/* Avro C's heap with a cap. Avro C has one allocator for the whole process, so the cap is the
 * process's: the sum of what the codecs and container readers that are alive have asked for.
 * Several threads may use Avro C, each with codecs and readers of its own.
 *
 * The cap is a second line: Avro C 1.11 loses or follows pointers when an allocation fails in the
 * middle of a value, so codec/wire.h looks at the bytes first and refuses what would come near it.
 */
#ifndef CODEC_HEAP_H
#define CODEC_HEAP_H

#include <stddef.h>

void heap_grow(size_t bytes_max);
void heap_shrink(size_t bytes_max);
size_t heap_used(void);

#endif
