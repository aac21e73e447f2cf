#include "math/blas_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VARIABLE "OPENBLAS_CORETYPE"

const char *blas_core_choose(void) {
#if defined(__x86_64__)
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (avx512)
        return __builtin_cpu_supports("avx512bf16") ? "Cooperlake" : "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}

enum status blas_core_reexec(char **argv, struct error *err) {
    const char *set = getenv(VARIABLE), *choice = blas_core_choose();
    if ((set && *set) || !choice || strcasecmp(choice, blas_core_running()) == 0)
        return OK;
    if (setenv(VARIABLE, choice, 1) != 0)
        return FAIL(err, FATAL, EX_OSERR, "cannot set %s: %s", VARIABLE, strerror(errno));
    execv("/proc/self/exe", argv);
    return FAIL(err, FATAL, EX_OSERR,
                "cannot execute /proc/self/exe again with %s=%s (%s): set it yourself", VARIABLE,
                choice, strerror(errno));
}
