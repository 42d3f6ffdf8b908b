/* Transactions that come before they are committed, as the source is told of them: what a batch
 * gets of it, what the slot may be told, and in which order nothing may come. No server. */
#include "base/buf.h"
#include "postgres/source_state.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define TABLE 77

struct world {
    struct progress progress;
    struct pg_source *source;
    struct batch *batch;
    struct buf bytes;
    lsn_t lsn; /* of the next message */
    struct err err;
};

static void open_world(struct world *world)
{
    *world = (struct world){.batch = batch_create(), .lsn = 1000};
    progress_init(&world->progress, 0);
    struct source *source = pg_source_create(&(struct pg_source_config){
        .slot = "s",
        .heartbeat_prefix = "none",
        .heartbeat_instance = "none",
        .temporary_directory = "/tmp",
        .limits = {.batch_bytes = 1 << 20, .batch_changes = 4},
        .progress = &world->progress,
    });
    world->source = (struct pg_source *)(void *)source;
    world->source->two_phase = true;
}

static void close_world(struct world *world)
{
    world->source->source.ops->destroy(&world->source->source);
    progress_free(&world->progress);
    batch_destroy(world->batch);
    buf_free(&world->bytes);
}

/* ---- messages ---- */

static struct buf *begin_message(struct world *world, char kind)
{
    buf_clear(&world->bytes);
    buf_append_char(&world->bytes, kind);
    return &world->bytes;
}

/* As source.c's on_wal_data() does. */
static bool give(struct world *world)
{
    struct pg_source *s = world->source;
    lsn_t lsn = world->lsn++;
    s->seen = lsn;
    if (s->filling != NULL && pgoutput_is_content(world->bytes.data[0]))
        return source_open_keep(s, world->bytes.data, world->bytes.size, lsn, &world->err);
    return pg_source_take(s, world->batch, world->bytes.data, world->bytes.size, lsn,
                          &world->err);
}

static bool start(struct world *world, xid_t xid, bool first)
{
    struct buf *b = begin_message(world, 'S');
    buf_append_u32(b, xid);
    buf_append_char(b, first);
    return give(world);
}

static bool stop(struct world *world)
{
    begin_message(world, 'E');
    return give(world);
}

static void append_name(struct buf *b, const char *name)
{
    buf_append(b, name, strlen(name) + 1);
}

/* xid 0: not in a block. */
static bool describe(struct world *world, xid_t xid, const char *schema)
{
    struct buf *b = begin_message(world, 'R');
    if (xid != 0)
        buf_append_u32(b, xid);
    buf_append_u32(b, TABLE);
    append_name(b, schema);
    append_name(b, "t");
    buf_append_char(b, 'd');
    buf_append_u16(b, 1);
    buf_append_char(b, 1);
    append_name(b, "id");
    buf_append_u32(b, 23);
    buf_append_u32(b, UINT32_MAX);
    return give(world);
}

static bool insert(struct world *world, xid_t xid, char value)
{
    struct buf *b = begin_message(world, 'I');
    if (xid != 0)
        buf_append_u32(b, xid);
    buf_append_u32(b, TABLE);
    buf_append_char(b, 'N');
    buf_append_u16(b, 1);
    buf_append_char(b, 't');
    buf_append_u32(b, 1);
    buf_append_char(b, value);
    return give(world);
}

static bool stream_commit(struct world *world, xid_t xid, lsn_t lsn)
{
    struct buf *b = begin_message(world, 'c');
    buf_append_u32(b, xid);
    buf_append_char(b, 0);
    buf_append_u64(b, lsn);
    buf_append_u64(b, lsn + 10);
    buf_append_u64(b, 0);
    return give(world);
}

static bool stream_abort(struct world *world, xid_t xid, xid_t subxid)
{
    struct buf *b = begin_message(world, 'A');
    buf_append_u32(b, xid);
    buf_append_u32(b, subxid);
    return give(world);
}

/* b, P, K, r and p. */
static bool prepared(struct world *world, char kind, xid_t xid, lsn_t lsn, const char *gid)
{
    struct buf *b = begin_message(world, kind);
    if (kind != 'b')
        buf_append_char(b, 0);
    buf_append_u64(b, lsn);
    buf_append_u64(b, lsn + 10);
    buf_append_u64(b, 0);
    if (kind == 'r')
        buf_append_u64(b, 0);
    buf_append_u32(b, xid);
    append_name(b, gid);
    return give(world);
}

static bool begin(struct world *world, xid_t xid, lsn_t lsn)
{
    struct buf *b = begin_message(world, 'B');
    buf_append_u64(b, lsn);
    buf_append_u64(b, 0);
    buf_append_u32(b, xid);
    return give(world);
}

static bool commit(struct world *world, lsn_t lsn)
{
    struct buf *b = begin_message(world, 'C');
    buf_append_char(b, 0);
    buf_append_u64(b, lsn);
    buf_append_u64(b, lsn + 10);
    buf_append_u64(b, 0);
    return give(world);
}

/* "xid:values " for each transaction in the batch, which is empty afterwards. */
static char *taken(struct world *world)
{
    struct buf text = {0};
    const struct batch *batch = world->batch;
    for (uint32_t i = 0; i < batch->transaction_count; i++) {
        buf_append_format(&text, "%u:", batch->transactions[i].xid);
        for (uint32_t j = 0; j < batch->change_count; j++)
            if (batch->changes[j].transaction == i)
                buf_append_char(&text, batch->changes[j].new.values[0].data[0]);
        buf_append_char(&text, ' ');
    }
    batch_reset(world->batch);
    return buf_steal(&text);
}

static void expect(struct world *world, const char *text)
{
    char *found = taken(world);
    ck_assert_msg(strcmp(found, text) == 0, "\"%s\" instead of \"%s\": %s", found, text,
                  world->err.message);
    free(found);
}

/* ---- stories ---- */

START_TEST(blocks_of_several_come_whole_at_their_commits)
{
    struct world w;
    open_world(&w);
    ck_assert(start(&w, 5, true) && describe(&w, 5, "a") && insert(&w, 5, '1') && stop(&w));
    ck_assert(start(&w, 6, true) && describe(&w, 6, "a") && insert(&w, 6, '2') && stop(&w));
    ck_assert(start(&w, 5, false) && insert(&w, 7, 'x') && insert(&w, 8, 'y') && stop(&w));
    ck_assert(start(&w, 9, true) && describe(&w, 9, "a") && insert(&w, 9, 'z') && stop(&w));
    expect(&w, "");
    ck_assert(stream_abort(&w, 5, 8) && stream_abort(&w, 5, 7) && stream_abort(&w, 9, 9));
    ck_assert(start(&w, 5, false) && insert(&w, 5, '3') && stop(&w));
    ck_assert(stream_commit(&w, 6, 2000));
    ck_assert_uint_eq(w.batch->end_lsn, 2010);
    expect(&w, "6:2 ");
    ck_assert(stream_commit(&w, 5, 2100));
    ck_assert_uint_eq(w.batch->transactions[0].commit_lsn, 2100);
    expect(&w, "5:13 ");
    ck_assert(begin(&w, 10, 2200) && insert(&w, 0, '4') && commit(&w, 2200));
    expect(&w, "10:4 ");
    ck_assert_uint_eq(counter_get(&w.progress.open.committed), 2);
    close_world(&w);
}
END_TEST

START_TEST(a_large_one_is_given_in_pieces)
{
    struct world w;
    open_world(&w);
    ck_assert(start(&w, 5, true) && describe(&w, 5, "a"));
    for (char value = 'a'; value < 'a' + 19; value++)
        ck_assert(insert(&w, 5, value));
    ck_assert(stop(&w) && stream_commit(&w, 5, 2000));
    ck_assert_ptr_nonnull(w.source->replaying);
    ck_assert(w.source->in_transaction);
    ck_assert_uint_eq(w.batch->end_lsn, LSN_NONE);
    expect(&w, "5:abcdefgh "); /* twice a batch: it might have been whole */
    ck_assert(source_open_replay(w.source, w.batch, &w.err));
    ck_assert(w.batch->begins_open);
    expect(&w, "5:ijkl ");
    ck_assert(source_open_replay(w.source, w.batch, &w.err));
    expect(&w, "5:mnop ");
    ck_assert(source_open_replay(w.source, w.batch, &w.err));
    ck_assert_ptr_null(w.source->replaying);
    ck_assert_uint_eq(w.batch->end_lsn, 2010);
    expect(&w, "5:qrs ");
    close_world(&w);
}
END_TEST

START_TEST(what_was_applied_before_is_skipped_but_describes_tables)
{
    struct world w;
    open_world(&w);
    w.source->from = 3000;
    ck_assert(start(&w, 5, true) && describe(&w, 5, "a") && insert(&w, 5, '1') && stop(&w));
    ck_assert(stream_commit(&w, 5, 2000));
    ck_assert(prepared(&w, 'b', 6, 2100, "g") && insert(&w, 0, '2') &&
              prepared(&w, 'P', 6, 2100, "g") && prepared(&w, 'K', 6, 2200, "g"));
    ck_assert(prepared(&w, 'K', 7, 2300, "sent and applied long ago"));
    expect(&w, "");
    ck_assert(begin(&w, 8, 3100) && insert(&w, 0, '3') && commit(&w, 3100));
    expect(&w, "8:3 ");
    ck_assert_uint_eq(counter_get(&w.progress.open.committed), 0);
    close_world(&w);
}
END_TEST

START_TEST(prepared_ones_come_at_their_commit_or_never)
{
    struct world w;
    open_world(&w);
    ck_assert(prepared(&w, 'b', 5, 2000, "one") && describe(&w, 0, "a") && insert(&w, 0, '1') &&
              prepared(&w, 'P', 5, 2000, "one"));
    ck_assert(prepared(&w, 'b', 6, 2100, "two") && insert(&w, 0, '2') &&
              prepared(&w, 'P', 6, 2100, "two"));
    ck_assert(start(&w, 7, true) && describe(&w, 7, "a") && insert(&w, 7, '3') && stop(&w) &&
              prepared(&w, 'p', 7, 2200, "three"));
    ck_assert(begin(&w, 8, 2300) && insert(&w, 0, '4') && commit(&w, 2300));
    source_open_publish(w.source);
    ck_assert_uint_eq(counter_get(&w.progress.open.prepared), 3);
    expect(&w, "8:4 ");
    ck_assert(prepared(&w, 'K', 7, 2400, "three") && prepared(&w, 'r', 6, 2100, "two"));
    ck_assert(prepared(&w, 'r', 99, 10, "from before the slot"));
    ck_assert(prepared(&w, 'K', 5, 2500, "one"));
    expect(&w, "7:3 5:1 ");
    ck_assert(!prepared(&w, 'K', 6, 2600, "two"));
    ck_assert_int_eq(w.err.class, ERR_SOURCE_LOST);
    close_world(&w);
}
END_TEST

START_TEST(the_slot_is_told_nothing_behind_a_prepared_one)
{
    struct world w;
    open_world(&w);
    ck_assert_uint_eq(source_open_ack(w.source, 9000), LSN_NONE); /* nothing was sent yet */
    w.lsn = 9000;
    ck_assert(prepared(&w, 'b', 5, 2000, "one") && prepared(&w, 'P', 5, 2000, "one"));
    ck_assert(prepared(&w, 'b', 6, 2100, "two") && prepared(&w, 'P', 6, 2100, "two"));
    ck_assert_uint_eq(source_open_ack(w.source, 1500), 1500);
    ck_assert_uint_eq(source_open_ack(w.source, 5000), 2000);
    ck_assert(prepared(&w, 'K', 5, 6000, "one"));
    ck_assert_uint_eq(source_open_ack(w.source, 6009), 2000); /* not durable yet */
    ck_assert_uint_eq(source_open_ack(w.source, 6010), 2100);
    ck_assert(prepared(&w, 'r', 6, 2100, "two"));
    ck_assert_uint_eq(source_open_ack(w.source, 6010), 6010);
    ck_assert_uint_eq(source_open_ack(w.source, 99999), 9005); /* what was sent */
    w.source->acknowledged = 7000; /* one from before the slot comes at its commit */
    ck_assert(prepared(&w, 'b', 8, 3000, "three") && prepared(&w, 'P', 8, 3000, "three"));
    ck_assert_uint_eq(source_open_ack(w.source, 8000), 8000);
    ck_assert(prepared(&w, 'K', 8, 9500, "three"));
    ck_assert_uint_eq(source_open_ack(w.source, 8000), 8000);
    w.source->two_phase = false;
    ck_assert_uint_eq(source_open_ack(w.source, 99999), 99999);
    close_world(&w);
}
END_TEST

static const char *schema_of(struct world *world)
{
    const char *schema = world->batch->changes[0].relation->schema;
    batch_reset(world->batch);
    return schema;
}

START_TEST(each_change_has_the_shape_that_it_was_sent_by)
{
    struct world w;
    open_world(&w);
    ck_assert(begin(&w, 4, 1900) && describe(&w, 0, "old") && insert(&w, 0, '0') &&
              commit(&w, 1900));
    batch_reset(w.batch);
    ck_assert(start(&w, 5, true) && describe(&w, 5, "old") && insert(&w, 5, '1') && stop(&w));
    ck_assert(prepared(&w, 'b', 6, 2000, "one") && insert(&w, 0, '2') &&
              prepared(&w, 'P', 6, 2000, "one"));
    ck_assert(begin(&w, 7, 2100) && describe(&w, 0, "new") && insert(&w, 0, '3') &&
              commit(&w, 2100));
    ck_assert_str_eq(schema_of(&w), "new");
    ck_assert(stream_commit(&w, 5, 2200));
    ck_assert_str_eq(schema_of(&w), "old");
    ck_assert(prepared(&w, 'K', 6, 2300, "one"));
    ck_assert_str_eq(schema_of(&w), "old");
    ck_assert(begin(&w, 8, 2400) && insert(&w, 0, '4') && commit(&w, 2400));
    ck_assert_str_eq(schema_of(&w), "new");
    close_world(&w);
}
END_TEST

START_TEST(a_shape_of_a_transaction_that_was_taken_back_is_forgotten)
{
    struct world w;
    open_world(&w);
    ck_assert(start(&w, 5, true) && describe(&w, 5, "a") && insert(&w, 5, '1') && stop(&w));
    ck_assert(stream_abort(&w, 5, 5));
    ck_assert(begin(&w, 6, 2000));
    ck_assert(!insert(&w, 0, '2'));
    ck_assert_int_eq(w.err.class, ERR_CORRUPT);
    close_world(&w);
}
END_TEST

/* Each is told from the beginning; its last step must be refused. */
static bool goes_on_unbegun(struct world *w)
{
    return start(w, 5, false);
}
static bool ends_unbegun(struct world *w)
{
    return stop(w);
}
static bool commits_unbegun(struct world *w)
{
    return stream_commit(w, 5, 2000);
}
static bool prepares_unbegun(struct world *w)
{
    return prepared(w, 'p', 5, 2000, "g");
}
static bool begins_twice(struct world *w)
{
    return !(start(w, 5, true) && stop(w)) || start(w, 5, true);
}
static bool begins_in_a_block(struct world *w)
{
    return !start(w, 5, true) || start(w, 6, true);
}
static bool block_in_a_transaction(struct world *w)
{
    return !begin(w, 5, 2000) || start(w, 6, true);
}
static bool transaction_in_a_block(struct world *w)
{
    return !start(w, 5, true) || begin(w, 6, 2000);
}
static bool commits_in_a_block(struct world *w)
{
    return !(start(w, 5, true) && stop(w) && start(w, 6, true)) || stream_commit(w, 5, 2000);
}
static bool aborts_in_a_block(struct world *w)
{
    return !start(w, 5, true) || stream_abort(w, 5, 5);
}
static bool prepare_ends_another(struct world *w)
{
    return !prepared(w, 'b', 5, 2000, "g") || prepared(w, 'P', 6, 2000, "g");
}
static bool prepare_begins_twice(struct world *w)
{
    return !(prepared(w, 'b', 5, 2000, "g") && prepared(w, 'P', 5, 2000, "g")) ||
           prepared(w, 'b', 5, 2000, "g");
}
static bool prepare_ends_as_a_block(struct world *w)
{
    return !prepared(w, 'b', 5, 2000, "g") || stop(w);
}
static bool prepared_commits_as_streamed(struct world *w)
{
    return !(prepared(w, 'b', 5, 2000, "g") && prepared(w, 'P', 5, 2000, "g")) ||
           stream_commit(w, 5, 2100);
}
static bool short_message(struct world *w)
{
    if (!start(w, 5, true))
        return true;
    buf_append_u16(begin_message(w, 'I'), 7);
    return give(w);
}
static bool broken_content(struct world *w)
{
    if (!start(w, 5, true) || !insert(w, 5, '1'))
        return true;
    buf_append_u64(begin_message(w, 'I'), 7);
    return !give(w) || !stop(w) || stream_commit(w, 5, 2000);
}

START_TEST(what_cannot_come_is_refused)
{
    bool (*const stories[])(struct world *) = {
        goes_on_unbegun,
        ends_unbegun,
        commits_unbegun,
        prepares_unbegun,
        begins_twice,
        begins_in_a_block,
        block_in_a_transaction,
        transaction_in_a_block,
        commits_in_a_block,
        aborts_in_a_block,
        prepare_ends_another,
        prepare_begins_twice,
        prepare_ends_as_a_block,
        prepared_commits_as_streamed,
        short_message,
        broken_content,
    };
    for (size_t i = 0; i < UNIT_COUNT(stories); i++) {
        struct world w;
        open_world(&w);
        ck_assert_msg(!stories[i](&w), "story %zu", i);
        ck_assert_msg(w.err.class == ERR_CORRUPT, "story %zu: %s", i, w.err.message);
        close_world(&w);
    }
}
END_TEST

START_TEST(without_room_they_are_left_to_the_server)
{
    struct world w;
    open_world(&w);
    open_transactions_destroy(w.source->open);
    w.source->open = open_transactions_create("/nowhere/at/all", 0);
    ck_assert(start(&w, 5, true));
    ck_assert(!insert(&w, 5, '1'));
    ck_assert_int_eq(w.err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(w.err.message, "left to the source"));
    ck_assert_int_gt(w.source->streaming_from, clock_monotonic());
    close_world(&w);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        blocks_of_several_come_whole_at_their_commits,
        a_large_one_is_given_in_pieces,
        what_was_applied_before_is_skipped_but_describes_tables,
        prepared_ones_come_at_their_commit_or_never,
        the_slot_is_told_nothing_behind_a_prepared_one,
        each_change_has_the_shape_that_it_was_sent_by,
        a_shape_of_a_transaction_that_was_taken_back_is_forgotten,
        what_cannot_come_is_refused,
        without_room_they_are_left_to_the_server,
    };
    return unit_run("source_open", tests, UNIT_COUNT(tests));
}
