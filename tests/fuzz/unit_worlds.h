/* Lets a fuzz target use the worlds of the unit tests (rules_world.h, picture.h): their assertions
 * as fuzz_must(), since Check's want a runner around them. To be included before them. */
#ifndef FUZZ_UNIT_WORLDS_H
#define FUZZ_UNIT_WORLDS_H

#include "fuzz.h"

#define UNIT_UNIT_H /* in place of unit.h */
#define CHECK_H     /* and of <check.h> */

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ck_assert(holds) fuzz_must(holds, #holds)
#define ck_assert_msg(holds, ...) fuzz_must(holds, #holds)
#define ck_abort_msg(...) fuzz_must(false, "the fixture has what it is asked for")
#define ck_assert_ptr_nonnull(pointer) fuzz_must((pointer) != NULL, #pointer)
#define ck_assert_int_ge(a, b) fuzz_must((a) >= (b), #a " >= " #b)
#define ck_assert_uint_lt(a, b) fuzz_must((a) < (b), #a " < " #b)
#define ck_assert_uint_gt(a, b) fuzz_must((a) > (b), #a " > " #b)

#endif
