/* Include last: from here on a call to the heap does not compile. Memory comes from arenas
 * (base/arena.h), which are reserved at start; start-up code and libraries that demand the heap do
 * without this header and say why. */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#pragma GCC poison malloc calloc realloc free

#endif
