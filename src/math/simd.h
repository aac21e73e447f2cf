/* SIMD_CLONES before a function compiles it for AVX-512, for AVX2 and for any CPU; the loader picks
 * one at start.
 *
 * All clones must give the same bits. They do if the source spells out the order of every reduction
 * (say, 16 lanes added in a fixed tree), which also is what lets the compiler vectorise it; the
 * build forbids fused multiply-adds. */
#ifndef MATH_SIMD_H
#define MATH_SIMD_H

/* The sanitizers' run-time is not up yet when the loader picks; clang 14 has no target_clones. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(COLDSTREAM_SANITIZED)
#define SIMD_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SIMD_CLONES
#endif

#endif
