/* The choice of BLAS kernels. The test runs itself as a child with a given OPENBLAS_CORETYPE and
 * reads which kernels the child ended up with. */
#include "math/blas_core.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What a child prints that was started with the variable set to `value`. A forgetful child unsets
 * it before it begins: it is then in the place of a program for which OpenBLAS chose `value`. */
static void child_core(const char *value, const char *word, char out[64]) {
    char self[4096], command[4400];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt((int)length, 0);
    self[length] = '\0';
    snprintf(command, sizeof command, "OPENBLAS_CORETYPE=%s '%s' child %s", value, self, word);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(out, 64, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
}

START_TEST(the_cpus_own_core_type_runs) {
    char core[64];
    const char *choice = blas_core_choose();
    if (!choice)
        return; /* OpenBLAS chooses: nothing to expect */
    child_core("Prescott", "forgetful", core);
    ck_assert_msg(strcasecmp(core, choice) == 0, "runs %s, chose %s", core, choice);
}
END_TEST

START_TEST(a_users_value_is_respected) {
    char core[64];
    child_core("Prescott", "mindful", core);
    ck_assert_str_eq(core, "Prescott");
}
END_TEST

static int child(int argc, char **argv) {
    struct error err;
    ASSERT(argc == 3); /* arguments survive */
    if (strcmp(argv[2], "forgetful") == 0)
        unsetenv("OPENBLAS_CORETYPE");
    if (blas_core_reexec(argv, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s", blas_core_running());
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "child") == 0)
        return child(argc, argv);
    Suite *suite = suite_create("blas_core");
    TCase *tests = tcase_create("blas_core");
    tcase_add_test(tests, the_cpus_own_core_type_runs);
    tcase_add_test(tests, a_users_value_is_respected);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
