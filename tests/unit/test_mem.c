/* Allocation: what it gives, and that it dies loudly instead of giving too little. */
#include "base/mem.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs it in a child with a quiet standard error; the signal that ended it, or 0. */
static int signal_of(void (*deed)(void))
{
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        deed();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static volatile size_t huge = SIZE_MAX; /* volatile: the compiler must not see the mistake */

static void zero_wraps(void)
{
    mem_zero(huge / 2, 3);
}

static void grow_wraps(void)
{
    mem_grow(NULL, huge / 8 + 1, 8);
}

static void alloc_too_much(void)
{
    mem_alloc(huge);
}

static void string_too_long(void)
{
    mem_string_sized("", huge);
}

START_TEST(a_size_that_cannot_be_is_an_abort_and_no_small_block)
{
    ck_assert_int_eq(signal_of(zero_wraps), SIGABRT);
    ck_assert_int_eq(signal_of(grow_wraps), SIGABRT);
    ck_assert_int_eq(signal_of(alloc_too_much), SIGABRT);
    ck_assert_int_eq(signal_of(string_too_long), SIGABRT);
}
END_TEST

START_TEST(nothing_still_gives_memory)
{
    void *none = mem_alloc(0), *zero = mem_zero(0, 8), *grown = mem_grow(NULL, 0, 8);
    ck_assert(none && zero && grown);
    grown = mem_grow(grown, 0, 8); /* realloc() would free it and say NULL */
    ck_assert_ptr_nonnull(grown);
    free(none);
    free(zero);
    free(grown);
}
END_TEST

START_TEST(zeroed_memory_is_zero_and_grown_memory_keeps_its_content)
{
    unsigned char *bytes = mem_zero(100, 1);
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(bytes[i], 0);
    memset(bytes, 7, 100);
    bytes = mem_grow(bytes, 1000, 1);
    for (size_t i = 0; i < 100; i++)
        ck_assert_uint_eq(bytes[i], 7);
    free(bytes);
}
END_TEST

START_TEST(strings_are_copied_and_null_stays_null)
{
    char text[] = "abc";
    char *copy = mem_string(text), *part = mem_string_sized(text, 2);
    text[0] = 'x';
    ck_assert_str_eq(copy, "abc");
    ck_assert_str_eq(part, "ab");
    ck_assert_ptr_null(mem_string(NULL));
    char *empty = mem_string_sized(NULL, 0);
    ck_assert_str_eq(empty, "");
    free(empty);
    free(copy);
    free(part);
}
END_TEST

START_TEST(a_formatted_string_is_as_long_as_it_needs)
{
    char *text = mem_format("%0*d", 5000, 7);
    ck_assert_uint_eq(strlen(text), 5000);
    ck_assert_int_eq(text[4999], '7');
    free(text);
}
END_TEST

START_TEST(memory_that_is_in_use_is_told)
{
    size_t before = mem_resident();
    char *more = mem_alloc(64 << 20);
    memset(more, 7, 64 << 20);
    ck_assert_uint_gt(before, 0);
    ck_assert_uint_gt(mem_resident(), before + (32 << 20));
    free(more);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_size_that_cannot_be_is_an_abort_and_no_small_block,
        nothing_still_gives_memory,
        zeroed_memory_is_zero_and_grown_memory_keeps_its_content,
        strings_are_copied_and_null_stays_null,
        memory_that_is_in_use_is_told,
        a_formatted_string_is_as_long_as_it_needs,
    };
    return unit_run("mem", tests, UNIT_COUNT(tests));
}
