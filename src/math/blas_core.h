/* Which of OpenBLAS's kernels run. Debian 12's OpenBLAS (0.3.21) takes CPUs newer than itself for a
 * "Prescott" and then runs at a fifth of their speed. It reads OPENBLAS_CORETYPE before main(), so
 * a program that wants another core type has to set the variable and execute itself again. */
#ifndef MATH_BLAS_CORE_H
#define MATH_BLAS_CORE_H

#include "base/error.h"

/* OpenBLAS's name of the core type that suits this CPU's own flags: "Cooperlake", "SkylakeX" or
 * "Haswell"; NULL when none of these fits and OpenBLAS should choose. */
const char *blas_core_choose(void);

/* The core type in use (in linalg.c, where the BLAS is). */
const char *blas_core_running(void);

/* First in main(). Does nothing when OPENBLAS_CORETYPE is set (by the user, or by this function
 * before), or when the right kernels run already; otherwise sets it to blas_core_choose() and
 * executes /proc/self/exe with argv. Returns only if it did nothing, or failed: FATAL. */
enum status blas_core_reexec(char **argv, struct error *err);

#endif
