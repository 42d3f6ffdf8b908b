/* Failpoints: what their list says, which passages are hit, and what a hit does. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err err;

static void set(const char *text)
{
    ck_assert_msg(failpoint_parse(text, &err), "%s: %s", text, err.message);
}

/* Which of `count` passages were hit, as a word of x and dots. */
static const char *hits(int count)
{
    static char word[128];
    for (int i = 0; i < count; i++)
        word[i] = failpoint(APPLY_POPPED, &err) ? '.' : 'x';
    word[count] = '\0';
    return word;
}

START_TEST(without_a_list_every_passage_is_free)
{
    set("");
    ck_assert_str_eq(hits(5), ".....");
}
END_TEST

START_TEST(an_error_has_the_points_class_and_the_lists_sqlstate)
{
    set("apply.popped=error(40001),set.staged=error");
    ck_assert(!failpoint(APPLY_POPPED, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_str_eq(err.sqlstate, "40001");
    ck_assert(strstr(err.message, "apply.popped") != NULL);
    ck_assert(!failpoint(SET_STAGED, &err));
    ck_assert_int_eq(err.class, ERR_DATA);
    ck_assert_str_eq(err.sqlstate, "");
    ck_assert(failpoint(APPLY_WRITTEN, &err));
}
END_TEST

START_TEST(passages_are_hit_always_once_or_every_so_often)
{
    set("apply.popped=error");
    ck_assert_str_eq(hits(4), "xxxx");
    set("apply.popped=error@3");
    ck_assert_str_eq(hits(8), "..x.....");
    set("apply.popped=error@every3");
    ck_assert_str_eq(hits(8), "..x..x..");
}
END_TEST

START_TEST(a_share_is_drawn_by_the_seed)
{
    char first[101];
    int count = 0;
    set("seed=7,apply.popped=error@25%");
    memcpy(first, hits(100), sizeof first);
    for (int i = 0; i < 100; i++)
        count += first[i] == 'x';
    ck_assert_int_ge(count, 10);
    ck_assert_int_le(count, 40);
    set("apply.popped=error@25%,seed=7");
    ck_assert_str_eq(hits(100), first);
    set("apply.popped=error@25%,seed=8");
    ck_assert_str_ne(hits(100), first);
}
END_TEST

START_TEST(a_delay_takes_its_time)
{
    set("stream.pushed=delay(50ms)");
    usec_t began = clock_monotonic();
    ck_assert(failpoint(STREAM_PUSHED, NULL));
    ck_assert_int_ge(clock_monotonic() - began, 50 * USEC_PER_MS);
}
END_TEST

START_TEST(a_kill_leaves_no_time_to_clean_up)
{
    int status = 0;
    set("apply.popped=kill@2");
    pid_t child = fork();
    if (child == 0) {
        (void)hits(2);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}
END_TEST

START_TEST(a_list_that_makes_no_sense_is_refused)
{
    static const char *const BAD[] = {
        "apply.popped",
        "nowhere=kill",
        "apply.popped=sleep",
        "apply.popped=kill(9)",
        "apply.popped=delay",
        "apply.popped=delay(5)",
        "apply.popped=error(1)",
        "apply.popped=kill@0",
        "apply.popped=kill@x",
        "apply.popped=kill@3x",
        "apply.popped=kill@every",
        "apply.popped=kill@-1",
        "seed=x",
        "stream.pushed=error", /* nobody would be told */
        "apply.popped=kill,apply.popped=error",
    };
    for (size_t i = 0; i < UNIT_COUNT(BAD); i++) {
        ck_assert_msg(!failpoint_parse(BAD[i], &err), "%s", BAD[i]);
        ck_assert_int_eq(err.class, ERR_CONFIG);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        without_a_list_every_passage_is_free,
        an_error_has_the_points_class_and_the_lists_sqlstate,
        passages_are_hit_always_once_or_every_so_often,
        a_share_is_drawn_by_the_seed,
        a_delay_takes_its_time,
        a_kill_leaves_no_time_to_clean_up,
        a_list_that_makes_no_sense_is_refused,
    };
    return unit_run("failpoint", tests, UNIT_COUNT(tests));
}
