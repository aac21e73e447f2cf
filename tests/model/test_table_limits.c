/* Memory that the kernel refuses: each reservation of address space fails once, and each time the
 * set stays usable and gives back what it took. mmap and munmap are wrapped by the linker (see
 * CMakeLists.txt). */
#include "model/table.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static int calls_left = -1; /* until one fails; -1: none does */
static int mapped;

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (calls_left == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (calls_left > 0)
        calls_left--;
    mapped++;
    return __real_mmap(at, bytes, protection, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t bytes) {
    mapped--;
    return __real_munmap(at, bytes);
}

static struct error err;

static const struct table_spec items_spec = {"items", KEY_STRING, TO_DELTAS, NULL, 20, 16, 1000};

START_TEST(every_refused_reservation_is_reported_and_undone) {
    for (int n = 0;; n++) {
        struct tables *set;
        struct table *items, *other;
        ck_assert_int_eq(mapped, 0);
        calls_left = n;
        enum status status = tables_create(&set, &err);
        if (status == OK)
            status = tables_add(set, &items_spec, &items, &err);
        else
            set = NULL;
        calls_left = -1;
        if (status == OK) {
            ck_assert_int_gt(n, 2); /* it did fail a few times before */
            tables_destroy(set);
            break;
        }
        ck_assert_int_eq(status, FATAL);
        ck_assert_int_eq(err.exit_code, EX_OSERR);
        ck_assert_ptr_nonnull(strstr(err.text, set == NULL ? "set of tables" : "items"));
        if (set != NULL) { /* as if it had not been tried */
            uint32_t row;
            ck_assert_uint_eq(tables_count(set), 0);
            ck_assert_int_eq(tables_add(set, &items_spec, &other, &err), OK);
            ck_assert_int_eq(table_insert(other, bytes_text("a"), &row, &err), OK);
            tables_destroy(set);
        }
    }
    ck_assert_int_eq(mapped, 0);
}
END_TEST

START_TEST(more_than_the_address_space_is_refused) {
    struct tables *set;
    struct table *table;
    ck_assert_int_eq(tables_create(&set, &err), OK);
    struct table_spec spec = items_spec;
    spec.rows_max = 4000000000u;
    spec.value_bytes = 1u << 20;
    ck_assert_int_eq(tables_add(set, &spec, &table, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_OSERR);
    spec.value_bytes = 1u << 25;
    ck_assert_int_eq(tables_add(set, &spec, &table, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    spec = items_spec;
    spec.key_bytes_max = 1025;
    ck_assert_int_eq(tables_add(set, &spec, &table, &err), FATAL);
    ck_assert_int_eq(err.exit_code, EX_CONFIG);
    ck_assert_uint_eq(tables_count(set), 0);
    tables_destroy(set);
    tables_destroy(NULL);
}
END_TEST

START_TEST(an_epoch_reserves_nothing) {
    struct tables *set;
    struct table *items;
    ck_assert_int_eq(tables_create(&set, &err), OK);
    ck_assert_int_eq(tables_add(set, &items_spec, &items, &err), OK);
    size_t before = arena_count();
    int mapped_before = mapped;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t row;
        ck_assert_int_eq(table_insert(items, bytes_of(&i, sizeof i), &row, &err), OK);
    }
    tables_seal(set);
    tables_commit(set);
    ck_assert_uint_eq(arena_count(), before);
    ck_assert_int_eq(mapped, mapped_before);
    tables_destroy(set);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("table limits");
    TCase *all = tcase_create("all");
    tcase_add_test(all, every_refused_reservation_is_reported_and_undone);
    tcase_add_test(all, more_than_the_address_space_is_refused);
    tcase_add_test(all, an_epoch_reserves_nothing);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
