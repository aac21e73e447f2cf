/* Eight floats at once, in the compilers' own vector types: one AVX register, or two SSE ones. For
 * the kernels of math only. Each lane is computed like a single float (no fused multiply-add), so
 * results do not depend on the CPU. */
#ifndef MATH_LANES_H
#define MATH_LANES_H

#include <stddef.h>

#define LANES 8

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float lanes_unaligned
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* Macros: a function that takes a vector has another calling convention on each CPU. */
#define LANES_LOAD(from) (*(const lanes_unaligned *)(from))
#define LANES_STORE(to, value) (*(lanes_unaligned *)(to) = (value))
/* x - 0 is x for every x (-0 + 0 is not -0), so that the compiler may drop the subtraction. */
#define LANES_OF(x) ((x) - (lanes){0})

#endif
