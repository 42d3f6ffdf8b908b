/* The handoff: what the copy holds is dropped, until the stream has passed the copy. */
#include "backfill/handoff.h"
#include "unit.h"

#include <string.h>

/* Text literals for owned texts: handoff_create() copies. */
static struct copy_record record(const char *snapshot, lsn_t lsn)
{
    return (struct copy_record){
        .done = true, .snapshot = (char *)(uintptr_t)snapshot, .lsn = lsn};
}

static struct table_handoff *create(const struct copy_record *records, size_t count)
{
    struct table_handoff *handoff = NULL;
    struct err err;
    ck_assert(handoff_create(records, count, &handoff, &err));
    return handoff;
}

static bool copied(struct table_handoff *handoff, uint32_t table, xid_t xid)
{
    struct handoff *contract = handoff_contract(handoff);
    return contract->ops->copied(contract, table, xid);
}

static void pass(struct table_handoff *handoff, lsn_t applied)
{
    struct handoff *contract = handoff_contract(handoff);
    contract->ops->passed(contract, applied);
}

START_TEST(each_table_is_judged_by_its_own_snapshot)
{
    const struct copy_record records[] = {record("748:752:748", 100), record("760:760:", 200)};
    struct table_handoff *handoff = create(records, 2);
    ck_assert(copied(handoff, 0, 747) && copied(handoff, 0, 751));
    ck_assert(!copied(handoff, 0, 748) && !copied(handoff, 0, 752));
    ck_assert(copied(handoff, 1, 748) && copied(handoff, 1, 752));
    ck_assert(!copied(handoff, 1, 760));
    handoff_destroy(handoff);
}
END_TEST

START_TEST(a_table_is_judged_until_the_stream_has_passed_it)
{
    const struct copy_record records[] = {record("748:752:", 100), record("760:760:", 200)};
    struct table_handoff *handoff = create(records, 2);
    pass(handoff, 99);
    ck_assert(copied(handoff, 0, 750) && copied(handoff, 1, 750));
    pass(handoff, 100);
    ck_assert(!copied(handoff, 0, 750) && copied(handoff, 1, 750));
    ck_assert(!handoff_is_complete(handoff));
    pass(handoff, 200);
    ck_assert(!copied(handoff, 1, 750));
    ck_assert(handoff_is_complete(handoff));
    pass(handoff, 300);
    ck_assert(handoff_is_complete(handoff));
    handoff_destroy(handoff);
}
END_TEST

START_TEST(a_table_that_was_not_copied_drops_nothing)
{
    const struct copy_record records[] = {record(NULL, LSN_NONE), record("760:760:", 200)};
    struct table_handoff *handoff = create(records, 2);
    ck_assert(!copied(handoff, 0, 3) && copied(handoff, 1, 3));
    ck_assert(!handoff_is_complete(handoff));
    handoff_destroy(handoff);
}
END_TEST

START_TEST(without_any_copy_it_is_complete_at_once)
{
    const struct copy_record records[] = {record(NULL, LSN_NONE)};
    struct table_handoff *handoff = create(records, 1);
    ck_assert(handoff_is_complete(handoff));
    handoff_destroy(handoff);
    handoff = create(NULL, 0);
    ck_assert(handoff_is_complete(handoff));
    handoff_destroy(handoff);
    handoff_destroy(NULL);
}
END_TEST

START_TEST(a_change_of_no_table_of_ours_is_not_copied)
{
    const struct copy_record records[] = {record("760:760:", 200)};
    struct table_handoff *handoff = create(records, 1);
    ck_assert(!copied(handoff, 1, 3) && !copied(handoff, UINT32_MAX, 3));
    handoff_destroy(handoff);
}
END_TEST

START_TEST(a_record_that_cannot_be_read_is_refused)
{
    const struct copy_record records[] = {record("748:752:", 100), record("garbage", 200)};
    struct table_handoff *handoff = NULL;
    struct err err = {0};
    ck_assert(!handoff_create(records, 2, &handoff, &err));
    ck_assert_int_eq(err.class, ERR_CORRUPT);
    ck_assert_ptr_null(handoff);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        each_table_is_judged_by_its_own_snapshot,
        a_table_is_judged_until_the_stream_has_passed_it,
        a_table_that_was_not_copied_drops_nothing,
        without_any_copy_it_is_complete_at_once,
        a_change_of_no_table_of_ours_is_not_copied,
        a_record_that_cannot_be_read_is_refused,
    };
    return unit_run("handoff", tests, UNIT_COUNT(tests));
}
