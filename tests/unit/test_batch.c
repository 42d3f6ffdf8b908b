/* Batches: filling, emptying, and what they weigh. */
#include "model/batch.h"
#include "unit.h"

START_TEST(elements_come_zeroed_also_after_a_reset)
{
    struct batch *batch = batch_create();
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            struct change *change = batch_add_change(batch);
            struct transaction *transaction = batch_add_transaction(batch);
            ck_assert(change->lsn == 0 && !change->relation && !change->new.values);
            ck_assert(transaction->xid == 0 && transaction->end_lsn == LSN_NONE);
            change->lsn = transaction->end_lsn = i + 1;
            change->new = batch_row(batch, 3);
            change->relation = (const struct relation *)batch;
            transaction->xid = 7;
        }
        ck_assert_uint_eq(batch->change_count, 1000);
        for (uint32_t i = 0; i < 1000; i++)
            ck_assert(batch->changes[i].lsn == i + 1 &&
                      batch->transactions[i].end_lsn == i + 1);
        batch_reset(batch);
    }
    batch_destroy(batch);
    batch_destroy(NULL);
}
END_TEST

START_TEST(a_row_of_the_batch_is_absent_everywhere_and_there_even_when_empty)
{
    struct batch *batch = batch_create();
    struct row row = batch_row(batch, 5), empty = batch_row(batch, 0);
    ck_assert_uint_eq(row.count, 5);
    for (uint16_t i = 0; i < row.count; i++)
        ck_assert(row.values[i].kind == VALUE_ABSENT && !row.values[i].data);
    ck_assert_ptr_nonnull(empty.values); /* NULL would say that there is no such image */
    ck_assert_uint_eq(empty.count, 0);
    batch_destroy(batch);
}
END_TEST

START_TEST(a_batch_is_empty_until_it_holds_a_change_a_transaction_or_a_position)
{
    struct batch *batch = batch_create();
    ck_assert(batch_is_empty(batch));
    batch_add_change(batch);
    ck_assert(!batch_is_empty(batch));
    batch_reset(batch);
    batch_add_transaction(batch);
    ck_assert(!batch_is_empty(batch));
    batch_reset(batch);
    batch->end_lsn = 1;
    ck_assert(!batch_is_empty(batch));
    batch->begins_open = batch->ends_open = true;
    batch_reset(batch);
    ck_assert(batch_is_empty(batch));
    ck_assert(!batch->begins_open && !batch->ends_open);
    batch_destroy(batch);
}
END_TEST

START_TEST(a_batch_weighs_its_bytes_and_its_elements)
{
    struct batch *batch = batch_create();
    size_t empty = batch_bytes(batch);
    arena_alloc(&batch->arena, 1000);
    ck_assert_uint_eq(batch_bytes(batch), empty + 1000);
    batch_add_change(batch);
    batch_add_transaction(batch);
    ck_assert_uint_eq(batch_bytes(batch),
                      empty + 1000 + sizeof(struct change) + sizeof(struct transaction));
    batch_reset(batch);
    ck_assert_uint_eq(batch_bytes(batch), empty);
    batch_destroy(batch);
}
END_TEST

START_TEST(a_huge_transaction_does_not_leave_the_pool_holding_its_memory)
{
    struct batch *batch = batch_create();
    batch_add_change(batch);
    batch_reset(batch);
    ck_assert_uint_gt(batch->change_capacity, 0); /* an ordinary one is kept */
    for (int i = 0; i < 100000; i++)
        batch_add_change(batch);
    batch_reset(batch);
    ck_assert_uint_eq(batch->change_capacity, 0);
    batch_add_change(batch)->lsn = 1;
    ck_assert_uint_eq(batch->change_count, 1);
    batch_destroy(batch);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        elements_come_zeroed_also_after_a_reset,
        a_row_of_the_batch_is_absent_everywhere_and_there_even_when_empty,
        a_batch_is_empty_until_it_holds_a_change_a_transaction_or_a_position,
        a_batch_weighs_its_bytes_and_its_elements,
        a_huge_transaction_does_not_leave_the_pool_holding_its_memory,
    };
    return unit_run("batch", tests, UNIT_COUNT(tests));
}
