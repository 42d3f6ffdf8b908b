/* Members of a document by path: what is not there, or is of another type, reads as nothing. */
#include "observe/member.h"
#include "unit.h"

#include <math.h>

static json_t *document(void)
{
    return json_loads("{\"lag\": {\"seconds\": 1.5, \"known\": true, \"note\": \"late\"},"
                      " \"share\": 0.25, \"more\": 7, \"none\": null}",
                      0, NULL);
}

START_TEST(members_are_found_by_their_path)
{
    json_t *d = document();
    ck_assert_double_eq(member_number(d, "lag.seconds"), 1.5);
    ck_assert(member_true(d, "lag.known"));
    ck_assert_str_eq(member_text(d, "lag.note"), "late");
    ck_assert_double_eq(member_share(d, "share"), 0.25);
    ck_assert_ptr_eq(member_at(d, "lag"), json_object_get(d, "lag"));
    json_decref(d);
}
END_TEST

START_TEST(what_is_missing_or_of_another_type_is_not_there)
{
    static const char *const paths[] = {
        "nothing", "none", "lag", "lag.nothing", "none.seconds", "lag.seconds.more", ""};
    json_t *d = document();
    for (size_t i = 0; i < UNIT_COUNT(paths); i++) {
        ck_assert(isnan(member_number(d, paths[i])));
        ck_assert(!member_true(d, paths[i]));
        ck_assert_str_eq(member_text(d, paths[i]), "");
        ck_assert_double_eq(member_share(d, paths[i]), 0);
    }
    ck_assert(isnan(member_number(NULL, "lag")));
    json_decref(d);
}
END_TEST

START_TEST(a_share_that_is_none_is_no_share)
{
    json_t *d = document();
    ck_assert_double_eq(member_number(d, "more"), 7);
    ck_assert_double_eq(member_share(d, "more"), 0);
    json_decref(d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        members_are_found_by_their_path,
        what_is_missing_or_of_another_type_is_not_there,
        a_share_that_is_none_is_no_share,
    };
    return unit_run("member", tests, UNIT_COUNT(tests));
}
