/* What is kept of open transactions: against a plain model, in memory and in files, and without
 * room. */
#include "base/mem.h"
#include "dice.h"
#include "postgres/open_transactions.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define LARGEST 600
#define DEPTH 6
#define MESSAGES 4000
#define SESSIONS 4

static struct err err;

static void append(struct open_transactions *all, struct open_transaction *t, xid_t xid,
                   uint64_t tag, const void *data, size_t size)
{
    const struct open_message message = {.data = data, .size = size, .tag = tag};
    ck_assert_msg(open_transactions_append(all, t, xid, &message, &err), "%s", err.message);
}

/* The tags of what is left, as text. */
static char *tags_of(struct open_transaction *t)
{
    struct buf text = {0};
    struct open_message message;
    open_transaction_rewind(t);
    for (;;) {
        ck_assert_msg(open_transaction_read(t, &message, &err), "%s", err.message);
        if (message.data == NULL)
            return buf_steal(&text);
        buf_append_format(&text, "%llu ", (unsigned long long)message.tag);
    }
}

static void expect(struct open_transaction *t, const char *tags)
{
    char *found = tags_of(t);
    ck_assert_str_eq(found, tags);
    free(found);
}

static void take_back(struct open_transactions *all, struct open_transaction *t, xid_t xid)
{
    ck_assert_msg(open_transactions_take_back(all, t, xid, &err), "%s", err.message);
}

START_TEST(a_subtransaction_takes_its_children_along_and_nothing_before_it)
{
    static const size_t bounds[] = {1 << 20, 0}; /* in memory; each message in the file */
    for (size_t i = 0; i < UNIT_COUNT(bounds); i++) {
        struct open_transactions *all = open_transactions_create("/tmp", bounds[i]);
        struct open_transaction *t = open_transactions_begin(all, UINT32_MAX - 1);
        append(all, t, UINT32_MAX - 1, 1, "a", 1);
        append(all, t, UINT32_MAX, 2, "b", 1);
        append(all, t, 4, 3, "c", 1); /* xids wrap around */
        append(all, t, 3, 4, "d", 1); /* its parent, which writes later */
        append(all, t, 5, 5, "", 0);
        take_back(all, t, 6); /* wrote nothing */
        expect(t, "1 2 3 4 5 ");
        take_back(all, t, 4);
        expect(t, "1 2 ");
        take_back(all, t, 3);
        expect(t, "1 2 ");
        append(all, t, 7, 6, "e", 1);
        take_back(all, t, 5); /* is gone already */
        expect(t, "1 2 6 ");
        take_back(all, t, UINT32_MAX);
        expect(t, "1 ");
        open_transactions_end(all, t);
        ck_assert_ptr_null(open_transactions_find(all, UINT32_MAX - 1));
        open_transactions_destroy(all);
    }
}
END_TEST

/* ---- random sessions against a plain model ---- */

struct model_message {
    uint64_t tag;
    uint32_t size;
};

struct session {
    struct open_transaction *t;
    struct model_message *messages;
    size_t count;
    struct {
        xid_t xid;
        size_t since; /* messages there were before it */
    } stack[DEPTH];
    size_t depth;
    xid_t *subxids; /* that have not rolled back, released ones among them */
    size_t subxid_count;
};

struct game {
    uint64_t dice;
    struct open_transactions *all;
    struct session sessions[SESSIONS];
    xid_t next_xid;
    uint64_t next_tag;
};

static void fill(char *data, uint64_t tag, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(tag * 31 + i);
}

static void write_one(struct game *game, struct session *session)
{
    char data[LARGEST];
    uint64_t tag = game->next_tag++;
    uint32_t size = dice_below(&game->dice, LARGEST);
    xid_t xid = session->depth > 0 ? session->stack[session->depth - 1].xid : session->t->xid;
    fill(data, tag, size);
    append(game->all, session->t, xid, tag, data, size);
    session->messages[session->count++] = (struct model_message){tag, size};
}

/* As the server does: its children roll back too, also released ones, and are told first. */
static void roll_back(struct game *game, struct session *session)
{
    size_t to = dice_below(&game->dice, (uint32_t)session->depth);
    xid_t subxid;
    do {
        subxid = session->subxids[--session->subxid_count];
        take_back(game->all, session->t, subxid);
    } while (subxid != session->stack[to].xid);
    session->depth = to;
    session->count = session->stack[to].since;
}

static void check(struct session *session)
{
    char expected[LARGEST];
    struct open_message message;
    open_transaction_rewind(session->t);
    for (size_t i = 0; i < session->count; i++) {
        ck_assert_msg(open_transaction_read(session->t, &message, &err), "%s", err.message);
        ck_assert_ptr_nonnull(message.data);
        ck_assert_uint_eq(message.tag, session->messages[i].tag);
        ck_assert_uint_eq(message.size, session->messages[i].size);
        fill(expected, message.tag, message.size);
        ck_assert_int_eq(memcmp(message.data, expected, message.size), 0);
    }
    ck_assert(open_transaction_read(session->t, &message, &err));
    ck_assert_ptr_null(message.data);
}

static void begin_session(struct game *game, struct session *session)
{
    session->t = open_transactions_begin(game->all, game->next_xid++);
    session->count = session->depth = session->subxid_count = 0;
}

static void end_session(struct game *game, struct session *session)
{
    check(session);
    open_transactions_end(game->all, session->t);
    begin_session(game, session);
}

static void take_a_step(struct game *game)
{
    struct session *session = &game->sessions[dice_below(&game->dice, SESSIONS)];
    uint32_t kind = dice_below(&game->dice, 40);
    if (kind < 28 && session->count < MESSAGES)
        write_one(game, session);
    else if (kind < 33 && session->depth < DEPTH && session->subxid_count < MESSAGES) {
        session->subxids[session->subxid_count++] = game->next_xid;
        session->stack[session->depth].xid = game->next_xid++;
        session->stack[session->depth++].since = session->count;
    } else if (kind < 36 && session->depth > 0)
        session->depth--; /* released: its parent's from now on */
    else if (kind < 38 && session->depth > 0)
        roll_back(game, session);
    else if (kind == 39 && dice_one_in(&game->dice, 10))
        end_session(game, session);
}

static void play(uint64_t *dice, size_t max_memory)
{
    struct game game = {.dice = dice_roll(dice),
                        .all = open_transactions_create("/tmp", max_memory),
                        .next_xid = (xid_t)dice_roll(dice)};
    for (size_t i = 0; i < SESSIONS; i++) {
        game.sessions[i].messages = mem_zero(MESSAGES, sizeof(struct model_message));
        game.sessions[i].subxids = mem_zero(MESSAGES, sizeof(xid_t));
        begin_session(&game, &game.sessions[i]);
    }
    for (int i = 0; i < 8000; i++) {
        take_a_step(&game);
        ck_assert_uint_le(open_transactions_totals(game.all).in_memory, max_memory);
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        end_session(&game, &game.sessions[i]);
        free(game.sessions[i].messages);
        free(game.sessions[i].subxids);
    }
    open_transactions_destroy(game.all);
}

START_TEST(random_sessions_leave_what_a_plain_model_has)
{
    uint64_t dice = dice_seed();
    play(&dice, 64 << 20);
    play(&dice, 100 << 10);
    play(&dice, 8 << 10);
    play(&dice, 0);
}
END_TEST

START_TEST(memory_is_bounded_over_all_and_files_go_with_their_transactions)
{
    static char large[100000];
    struct open_transactions *all = open_transactions_create("/tmp", 32 << 10);
    struct open_transaction *some[20];
    for (xid_t i = 0; i < UNIT_COUNT(some); i++) {
        some[i] = open_transactions_begin(all, 100 + i);
        for (uint64_t j = 0; j < 5; j++)
            append(all, some[i], 100 + i, j, large, 900);
        ck_assert_uint_le(open_transactions_totals(all).in_memory, 32 << 10);
    }
    append(all, some[3], 103, 5, large, sizeof large);
    append(all, some[3], 103, 6, large, 1);
    expect(some[3], "0 1 2 3 4 5 6 ");
    expect(some[19], "0 1 2 3 4 ");
    struct open_totals totals = open_transactions_totals(all);
    ck_assert_uint_eq(totals.transactions, 20);
    ck_assert_uint_gt(totals.in_files, 2 * 32 << 10);
    for (size_t i = 0; i < UNIT_COUNT(some); i++)
        open_transactions_end(all, some[i]);
    totals = open_transactions_totals(all);
    ck_assert_uint_eq(totals.in_files + totals.in_memory + totals.transactions, 0);
    open_transactions_destroy(all);
}
END_TEST

START_TEST(no_room_is_an_error_that_passes)
{
    static char large[50000];
    struct open_message message = {.data = large, .size = sizeof large};
    struct open_transactions *all = open_transactions_create("/tmp", 1000);
    struct open_transaction *t = open_transactions_begin(all, 7);
    append(all, t, 7, 1, large, 30000);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){40000, 40000});
    ck_assert(!open_transactions_append(all, t, 7, &message, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot write"));
    open_transactions_destroy(all);

    all = open_transactions_create("/nowhere/at/all", 1000);
    t = open_transactions_begin(all, 7);
    ck_assert(!open_transactions_append(all, t, 7, &message, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/at/all"));
    open_transactions_destroy(all);
    ck_assert(!open_transactions_usable("/nowhere/at/all", &err));
    ck_assert_int_eq(err.class, ERR_CONFIG);
    ck_assert(open_transactions_usable("/tmp", &err));
}
END_TEST

START_TEST(subtransactions_are_bounded_over_all)
{
    struct open_message message = {.data = "x", .size = 1};
    struct open_transactions *all = open_transactions_create("/tmp", 1 << 20);
    struct open_transaction *one = open_transactions_begin(all, 7);
    struct open_transaction *two = open_transactions_begin(all, 8);
    append(all, two, 9, 0, "x", 1);
    for (xid_t xid = 10; xid < 9 + OPEN_PARTS_MOST; xid++)
        append(all, one, xid, 0, "x", 1);
    ck_assert(!open_transactions_append(all, two, UINT32_MAX, &message, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    append(all, two, 9, 0, "x", 1); /* one that is known */
    ck_assert(open_transactions_take_back(all, one, 8 + OPEN_PARTS_MOST, &err));
    append(all, two, UINT32_MAX - 1, 0, "x", 1);
    open_transactions_end(all, one);
    append(all, two, UINT32_MAX, 0, "x", 1);
    open_transactions_destroy(all);
}
END_TEST

START_TEST(of_two_shapes_the_one_that_came_later_holds)
{
    struct relation *old = relation_create("a", "t", 0, NULL);
    struct relation *new = relation_create("b", "t", 0, NULL);
    struct shape_map all = {0};
    struct shape_map own = {0};
    shape_map_put(&own, (struct shape){.oid = 5, .relation = old, .arrival = 1});
    shape_map_put(&all, (struct shape){.oid = 5, .relation = new, .arrival = 2});
    shape_map_put(&own, (struct shape){.oid = 9, .relation = new, .arrival = 4});
    shape_map_put(&all, (struct shape){.oid = 9, .relation = old, .arrival = 3});
    shape_map_put(&own, (struct shape){.oid = 7, .relation = old, .arrival = 5});
    shape_map_merge(&all, &own);
    ck_assert_ptr_eq(shape_map_find(&all, 5)->relation, new);
    ck_assert_ptr_eq(shape_map_find(&all, 9)->relation, new);
    ck_assert_ptr_eq(shape_map_find(&all, 7)->relation, old);
    ck_assert_ptr_null(shape_map_find(&all, 8));
    shape_map_clear(&all);
    ck_assert_ptr_null(shape_map_find(&all, 5));
    shape_map_free(&all);
    shape_map_free(&own);
    relation_free(old);
    relation_free(new);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_subtransaction_takes_its_children_along_and_nothing_before_it,
        random_sessions_leave_what_a_plain_model_has,
        memory_is_bounded_over_all_and_files_go_with_their_transactions,
        no_room_is_an_error_that_passes,
        subtransactions_are_bounded_over_all,
        of_two_shapes_the_one_that_came_later_holds,
    };
    return unit_run("open_transactions", tests, UNIT_COUNT(tests));
}
