/* What every unit test program needs: one suite, run, an exit status.
 *
 *   START_TEST(reader_past_the_end_returns_zero_for_ever) { ... } END_TEST
 *   int main(void)
 *   {
 *       const TTest *tests[] = {reader_past_the_end_returns_zero_for_ever};
 *       return unit_run("reader", tests, UNIT_COUNT(tests));
 *   }
 *
 * Each test runs in a process of its own (CK_FORK=no turns that off, for a debugger), with a
 * time limit that a sanitizer does not reach and a hang does. */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNIT_TIMEOUT_SECONDS 60

static inline int unit_run(const char *noun, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(noun);
    TCase *stories = tcase_create(noun);
    tcase_set_timeout(stories, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(stories, tests[i]);
    suite_add_tcase(suite, stories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int ran = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
