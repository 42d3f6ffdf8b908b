/* Batches as bytes and back: random ones, cut ones, damaged ones. */
#include "base/mem.h"
#include "dice.h"
#include "model/codec.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- random batches ---- */

static struct relation *draw_relation(uint64_t *dice, uint32_t oid)
{
    uint16_t count = (uint16_t)dice_below(dice, 6);
    struct column columns[6] = {0};
    char names[6][8];
    for (uint16_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "c%u", i);
        columns[i] = (struct column){.name = names[i],
                                     .type_oid = dice_below(dice, 4000),
                                     .type_modifier = (int32_t)dice_below(dice, 100) - 50,
                                     .key = dice_one_in(dice, 2)};
    }
    struct relation *relation = relation_create("public", "tab\"le", count, columns);
    relation->oid = oid;
    relation->replica_identity = "dfni"[dice_below(dice, 4)];
    relation->match = (enum match)dice_below(dice, 3);
    return relation;
}

static struct row draw_row(uint64_t *dice, struct batch *batch, const struct relation *relation)
{
    struct row row = batch_row(batch, relation->column_count);
    for (uint16_t i = 0; i < row.count; i++) {
        struct value *value = &row.values[i];
        value->kind = (enum value_kind)dice_below(dice, VALUE_BINARY + 1);
        if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
            continue;
        uint32_t size = dice_below(dice, 50);
        char *data = arena_alloc(&batch->arena, size + 1);
        for (uint32_t j = 0; j < size; j++)
            data[j] = (char)dice_below(dice, 256);
        value->data = data;
        value->size = size;
    }
    return row;
}

static void draw_change(uint64_t *dice, struct batch *batch, struct interner *relations)
{
    struct change change = {.kind = (enum change_kind)dice_below(dice, 4),
                            .relation = relations->relations[dice_below(dice, 3)],
                            .lsn = dice_roll(dice),
                            .transaction = batch->transaction_count - 1};
    if (change.kind == CHANGE_TRUNCATE) {
        change.relation_count = (uint16_t)(1 + dice_below(dice, 3));
        change.relations =
            arena_alloc(&batch->arena, change.relation_count * sizeof(*change.relations));
        for (uint16_t i = 0; i < change.relation_count; i++)
            change.relations[i] = relations->relations[dice_below(dice, 3)];
        change.relation = change.relations[0];
        change.truncate_restart_identity = dice_one_in(dice, 2);
    } else {
        if (change.kind == CHANGE_DELETE ||
            (change.kind == CHANGE_UPDATE && dice_one_in(dice, 2)))
            change.old_image = dice_one_in(dice, 2) ? OLD_KEY : OLD_FULL;
        if (change.old_image != OLD_NONE)
            change.old = draw_row(dice, batch, change.relation);
        if (change.kind != CHANGE_DELETE)
            change.new = draw_row(dice, batch, change.relation);
    }
    *batch_add_change(batch) = change;
}

/* Whole, or the middle of a transaction that is left open. */
static void draw_batch(uint64_t *dice, struct batch *batch, struct interner *relations,
                       bool begins_open, bool ends_open)
{
    uint32_t transactions = 1 + dice_below(dice, 4);
    batch->begins_open = begins_open;
    for (uint32_t i = 0; i < transactions; i++) {
        struct transaction *transaction = batch_add_transaction(batch);
        *transaction = (struct transaction){.xid = 700 + i,
                                            .commit_lsn = 1000 + i * 100,
                                            .commit_time = (usec_t)dice_roll(dice),
                                            .heartbeat = (usec_t)dice_below(dice, 3),
                                            .first_change = batch->change_count};
        bool open = ends_open && i + 1 == transactions;
        if (!open)
            transaction->end_lsn = batch->end_lsn = 1050 + i * 100;
        for (uint32_t j = dice_below(dice, 12); j > 0; j--)
            draw_change(dice, batch, relations);
    }
    batch->ends_open = ends_open;
}

static void draw_relations(uint64_t *dice, struct interner *relations)
{
    for (uint32_t i = 0; i < 3; i++)
        (void)interner_keep(relations, draw_relation(dice, 100 + i));
}

/* ---- comparing ---- */

static void expect_same_row(const struct row *a, const struct row *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (uint16_t i = 0; i < a->count; i++)
        ck_assert(value_equal(&a->values[i], &b->values[i]));
}

static void expect_same_change(const struct change *a, const struct change *b)
{
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_int_eq(a->old_image, b->old_image);
    ck_assert_uint_eq(a->lsn, b->lsn);
    ck_assert_uint_eq(a->transaction, b->transaction);
    ck_assert(relation_equal(a->relation, b->relation));
    ck_assert_uint_eq(a->relation_count, b->relation_count);
    for (uint16_t i = 0; i < a->relation_count; i++)
        ck_assert(relation_equal(a->relations[i], b->relations[i]));
    ck_assert(a->truncate_restart_identity == b->truncate_restart_identity);
    expect_same_row(&a->old, &b->old);
    expect_same_row(&a->new, &b->new);
}

static void expect_same(const struct batch *a, const struct batch *b)
{
    ck_assert_uint_eq(a->transaction_count, b->transaction_count);
    ck_assert_uint_eq(a->change_count, b->change_count);
    ck_assert_uint_eq(a->end_lsn, b->end_lsn);
    ck_assert(a->begins_open == b->begins_open && a->ends_open == b->ends_open);
    for (uint32_t i = 0; i < a->transaction_count; i++) {
        const struct transaction *left = &a->transactions[i];
        const struct transaction *right = &b->transactions[i];
        ck_assert(left->xid == right->xid && left->commit_lsn == right->commit_lsn &&
                  left->end_lsn == right->end_lsn && left->commit_time == right->commit_time &&
                  left->heartbeat == right->heartbeat &&
                  left->first_change == right->first_change);
    }
    for (uint32_t i = 0; i < a->change_count; i++)
        expect_same_change(&a->changes[i], &b->changes[i]);
}

struct bench {
    uint64_t dice;
    struct interner relations;
    struct interner interner;
    struct codec_reading reading;
    struct batch *in;
    struct batch *out;
    struct buf bytes;
    struct err err;
};

static void bench_open(struct bench *bench)
{
    *bench = (struct bench){.dice = dice_seed(), .in = batch_create(), .out = batch_create()};
    bench->reading =
        (struct codec_reading){.keep_heartbeats = true, .interner = &bench->interner};
    draw_relations(&bench->dice, &bench->relations);
}

static void bench_close(struct bench *bench)
{
    batch_destroy(bench->in);
    batch_destroy(bench->out);
    buf_free(&bench->bytes);
    interner_free(&bench->relations);
    interner_free(&bench->interner);
}

static void encode_another(struct bench *bench, bool begins_open, bool ends_open)
{
    batch_reset(bench->in);
    batch_reset(bench->out);
    buf_clear(&bench->bytes);
    draw_batch(&bench->dice, bench->in, &bench->relations, begins_open, ends_open);
    codec_encode(bench->in, &bench->bytes);
}

static bool decode(struct bench *bench, size_t size)
{
    return codec_decode(bench->bytes.data, size, &bench->reading, bench->out, &bench->err);
}

/* ---- stories ---- */

START_TEST(random_batches_come_back_as_they_were)
{
    struct bench bench;
    bench_open(&bench);
    for (int i = 0; i < 2000; i++) {
        encode_another(&bench, dice_one_in(&bench.dice, 3), dice_one_in(&bench.dice, 3));
        ck_assert_msg(decode(&bench, bench.bytes.size), "%s", bench.err.message);
        expect_same(bench.in, bench.out);
    }
    ck_assert_uint_eq(bench.interner.count, 3);
    bench_close(&bench);
}
END_TEST

START_TEST(a_batch_that_is_cut_anywhere_is_refused)
{
    struct bench bench;
    bench_open(&bench);
    for (int i = 0; i < 40; i++) {
        encode_another(&bench, false, false);
        for (size_t size = 0; size < bench.bytes.size; size++) {
            batch_reset(bench.out);
            ck_assert(!decode(&bench, size));
            ck_assert_int_eq(bench.err.class, ERR_CORRUPT);
        }
    }
    bench_close(&bench);
}
END_TEST

/* Whatever comes of it holds together: its own encoding is whole. */
START_TEST(a_batch_with_damaged_bytes_is_refused_or_holds_together)
{
    struct bench bench;
    bench_open(&bench);
    for (int i = 0; i < 8; i++) {
        encode_another(&bench, false, false);
        for (size_t bit = 0; bit < bench.bytes.size * 8; bit++) {
            struct buf again = {0};
            bench.bytes.data[bit / 8] ^= (char)(1 << bit % 8);
            batch_reset(bench.out);
            if (decode(&bench, bench.bytes.size))
                codec_encode(bench.out, &again);
            else
                ck_assert_int_eq(bench.err.class, ERR_CORRUPT);
            buf_free(&again);
            bench.bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        interner_free(&bench.interner);
    }
    bench_close(&bench);
}
END_TEST

/* A transaction in three pieces is one, whose changes are all there. */
START_TEST(pieces_of_a_transaction_are_put_together)
{
    struct bench bench;
    bench_open(&bench);
    uint32_t changes = 0;
    for (int piece = 0; piece < 3; piece++) {
        batch_reset(bench.in);
        buf_clear(&bench.bytes);
        *batch_add_transaction(bench.in) = (struct transaction){
            .xid = 9, .commit_lsn = 500, .end_lsn = piece == 2 ? 550 : LSN_NONE};
        for (int i = 0; i < 5; i++, changes++)
            draw_change(&bench.dice, bench.in, &bench.relations);
        bench.in->begins_open = piece > 0;
        bench.in->ends_open = piece < 2;
        bench.in->end_lsn = piece == 2 ? 550 : LSN_NONE;
        codec_encode(bench.in, &bench.bytes);
        char *bytes = arena_copy(&bench.out->arena, bench.bytes.data, bench.bytes.size);
        ck_assert_msg(
            codec_decode(bytes, bench.bytes.size, &bench.reading, bench.out, &bench.err), "%s",
            bench.err.message);
    }
    ck_assert_uint_eq(bench.out->transaction_count, 1);
    ck_assert_uint_eq(bench.out->transactions[0].end_lsn, 550);
    ck_assert_uint_eq(bench.out->change_count, changes);
    ck_assert(!bench.out->begins_open && !bench.out->ends_open);
    bench_close(&bench);
}
END_TEST

START_TEST(a_piece_that_does_not_go_on_is_refused)
{
    struct bench bench;
    bench_open(&bench);
    encode_another(&bench, false, true);
    ck_assert(decode(&bench, bench.bytes.size));
    ck_assert(!decode(&bench, bench.bytes.size)); /* it begins a transaction, and one is open */
    encode_another(&bench, false, false);
    ck_assert(decode(&bench, bench.bytes.size));
    struct batch *kept = bench.out;
    bench.out = batch_create();
    encode_another(&bench, true, false);
    batch_destroy(bench.out);
    bench.out = kept;
    ck_assert(!decode(&bench, bench.bytes.size)); /* it goes on, and none is open */
    bench_close(&bench);
}
END_TEST

START_TEST(heartbeats_of_others_are_forgotten)
{
    struct bench bench;
    bench_open(&bench);
    *batch_add_transaction(bench.in) =
        (struct transaction){.xid = 1, .end_lsn = 5, .heartbeat = 77};
    codec_encode(bench.in, &bench.bytes);
    bench.reading.keep_heartbeats = false;
    ck_assert(decode(&bench, bench.bytes.size));
    ck_assert_int_eq(bench.out->transactions[0].heartbeat, 0);
    bench_close(&bench);
}
END_TEST

static void rename_by_commit(void *context, lsn_t commit, struct relation *relation)
{
    (void)context;
    free(relation->columns[0].name);
    relation->columns[0].name = mem_string(commit < 500 ? "older" : "newer");
}

/* Not as it was read by who stored it. */
START_TEST(a_relation_is_read_anew_as_it_came)
{
    struct bench bench;
    char sent_name[] = "sent";
    char read_name[] = "read";
    bench_open(&bench);
    bench.reading.read = rename_by_commit;
    struct relation *relation =
        relation_create("public", "t", 1, &(struct column){.name = read_name, .gone = true});
    relation->strange = true;
    relation->sent = relation_create("public", "t", 1, &(struct column){.name = sent_name});
    for (lsn_t commit = 400; commit <= 600; commit += 200) {
        batch_reset(bench.in);
        batch_reset(bench.out);
        buf_clear(&bench.bytes);
        *batch_add_transaction(bench.in) =
            (struct transaction){.commit_lsn = commit, .end_lsn = commit + 10};
        *batch_add_change(bench.in) =
            (struct change){.relation = relation, .new = batch_row(bench.in, 1)};
        codec_encode(bench.in, &bench.bytes);
        ck_assert_msg(decode(&bench, bench.bytes.size), "%s", bench.err.message);
        const struct relation *got = bench.out->changes[0].relation;
        ck_assert_str_eq(got->columns[0].name, commit < 500 ? "older" : "newer");
        ck_assert(!got->strange && !got->columns[0].gone);
    }
    bench.reading.read = NULL;
    batch_reset(bench.out);
    ck_assert(decode(&bench, bench.bytes.size));
    ck_assert(relation_equal(bench.out->changes[0].relation, relation->sent));
    relation_free(relation);
    bench_close(&bench);
}
END_TEST

/* ---- leaving out what is applied ---- */

START_TEST(what_is_applied_is_left_out)
{
    struct bench bench;
    bench_open(&bench);
    for (int i = 0; i < 500; i++) {
        encode_another(&bench, dice_one_in(&bench.dice, 3), dice_one_in(&bench.dice, 3));
        const struct batch *whole = bench.out;
        ck_assert(decode(&bench, bench.bytes.size));
        uint32_t skipped = dice_below(&bench.dice, bench.in->transaction_count + 1);
        uint32_t from = skipped == whole->transaction_count
                            ? whole->change_count
                            : whole->transactions[skipped].first_change;
        lsn_t applied = skipped == 0 ? 900 : 1050 + (skipped - 1) * 100;
        bool left = batch_skip(bench.in, applied);
        ck_assert_uint_eq(bench.in->transaction_count, whole->transaction_count - skipped);
        ck_assert_uint_eq(bench.in->change_count, whole->change_count - from);
        ck_assert(left == !batch_is_empty(bench.in));
        for (uint32_t j = 0; j < bench.in->change_count; j++) {
            struct change change = whole->changes[from + j];
            change.transaction -= skipped;
            expect_same_change(&bench.in->changes[j], &change);
        }
        if (skipped > 0)
            ck_assert(!bench.in->begins_open);
        if (!left)
            ck_assert(!bench.in->ends_open);
    }
    bench_close(&bench);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        random_batches_come_back_as_they_were,
        a_batch_that_is_cut_anywhere_is_refused,
        a_batch_with_damaged_bytes_is_refused_or_holds_together,
        pieces_of_a_transaction_are_put_together,
        a_piece_that_does_not_go_on_is_refused,
        heartbeats_of_others_are_forgotten,
        a_relation_is_read_anew_as_it_came,
        what_is_applied_is_left_out,
    };
    return unit_run("codec", tests, UNIT_COUNT(tests));
}
