/* The copier, between tables in memory: each table once and whole, whatever fails on the way.
 */
#include "backfill/copier.h"
#include "base/log.h"
#include "base/mem.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TABLES 6
#define ROWS 50
#define LONG (30 * USEC_PER_SEC)
#define INITIAL "700:700:"
#define COVERS "750:760:751"
#define TOO_OLD "690:700:695" /* lacks 695, which INITIAL sees */

enum call {
    READER_OPEN,
    READER_BEGIN,
    READER_NEXT,
    WRITER_OPEN,
    WRITER_RECORD,
    WRITER_BEGIN,
    WRITER_WRITE,
    WRITER_COMMIT, /* about to */
    WRITER_COMMITTED,
};

/* A table at both sides. */
struct side {
    uint64_t committed; /* rows */
    struct copy_record record;
    int reads; /* times that reading it began */
};

struct world {
    struct copier copier;
    struct stop stop;
    struct progress progress;
    struct snapshot initial;
    struct relation *relations[TABLES];
    struct copy_task tasks[TABLES];
    struct copy_part parts[TABLES][2];
    struct copy_record records[TABLES];
    _Atomic int states[TABLES];
    atomic_int makers;
    atomic_bool broken; /* a call came where the contract has none */

    /* Asked before each call: false makes it fail. Several threads ask. */
    bool (*allow)(struct world *world, enum call call, uint32_t table, struct err *err);

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct side sides[TABLES];
    const char *snapshots[8]; /* one a read, the last again and again */
    size_t snapshots_given;
    int counted; /* by allow() */
};

static bool allow(struct world *world, enum call call, uint32_t table, struct err *err)
{
    return world->allow == NULL || world->allow(world, call, table, err);
}

/* For allow(): counts, and waits until there are that many. False after LONG. */
static bool count_and_await(struct world *world, int more, int wanted)
{
    struct timespec until = clock_timespec(clock_monotonic() + LONG);
    bool in_time = true;
    pthread_mutex_lock(&world->lock);
    world->counted += more;
    pthread_cond_broadcast(&world->changed);
    while (in_time && world->counted < wanted)
        in_time = pthread_cond_timedwait(&world->changed, &world->lock, &until) == 0;
    pthread_mutex_unlock(&world->lock);
    return in_time;
}

static int reads_of(struct world *world, uint32_t table)
{
    pthread_mutex_lock(&world->lock);
    int reads = world->sides[table].reads;
    pthread_mutex_unlock(&world->lock);
    return reads;
}

static void require(struct world *world, bool held)
{
    if (!held)
        atomic_store(&world->broken, true);
}

/* ---- reader ---- */

struct reader {
    struct table_reader contract;
    struct world *world;
    bool is_open, reading;
    uint32_t table;
    int row;
    char text[32];
    struct value value;
};

static bool reader_open(struct table_reader *contract, struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    require(reader->world, !reader->is_open);
    reader->is_open = allow(reader->world, READER_OPEN, 0, err);
    return reader->is_open;
}

static bool reader_begin(struct table_reader *contract, const struct relation *relation,
                         const char **snapshot, lsn_t *lsn, struct err *err)
{
    uint32_t table = relation->table;
    struct reader *reader = (struct reader *)(void *)contract;
    struct world *world = reader->world;
    require(world, reader->is_open && !reader->reading);
    if (!allow(world, READER_BEGIN, table, err))
        return false;
    reader->reading = true;
    reader->table = table;
    reader->row = 0;
    pthread_mutex_lock(&world->lock);
    world->sides[table].reads++;
    *snapshot = world->snapshots[world->snapshots_given];
    world->snapshots_given += world->snapshots[world->snapshots_given + 1] != NULL;
    pthread_mutex_unlock(&world->lock);
    *lsn = 1000 + table;
    return true;
}

static bool reader_read(struct table_reader *contract, const struct relation *relation,
                        bool binary, struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    (void)err;
    require(reader->world, reader->reading && !binary && (reader->row == 0 || reader->row == ROWS));
    require(reader->world, relation->table == reader->table);
    reader->row = 0;
    return true;
}

static enum table_read reader_next(struct table_reader *contract, struct row *row,
                                   size_t *bytes, struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    require(reader->world, reader->reading);
    if (!allow(reader->world, READER_NEXT, reader->table, err))
        return TABLE_FAILED;
    if (reader->row == ROWS)
        return TABLE_END;
    snprintf(reader->text, sizeof(reader->text), "%u.%d", reader->table, reader->row++);
    reader->value = (struct value){
        .kind = VALUE_TEXT, .data = reader->text, .size = (uint32_t)strlen(reader->text)};
    *row = (struct row){&reader->value, 1};
    *bytes = 10;
    return TABLE_ROW;
}

static void reader_end(struct table_reader *contract)
{
    ((struct reader *)(void *)contract)->reading = false;
}

static void reader_close(struct table_reader *contract)
{
    struct reader *reader = (struct reader *)(void *)contract;
    require(reader->world, !reader->reading);
    reader->is_open = false;
}

static void reader_destroy(struct table_reader *contract)
{
    require(((struct reader *)(void *)contract)->world,
            !((struct reader *)(void *)contract)->is_open);
    free(contract);
}

static struct table_reader *make_reader(void *context)
{
    static const struct table_reader_ops OPS = {
        .open = reader_open,
        .begin = reader_begin,
        .read = reader_read,
        .next = reader_next,
        .end = reader_end,
        .close = reader_close,
        .destroy = reader_destroy,
    };
    struct reader *reader = mem_zero(1, sizeof(*reader));
    reader->contract.ops = &OPS;
    reader->world = context;
    atomic_fetch_add(&reader->world->makers, 1);
    return &reader->contract;
}

/* ---- writer ---- */

struct writer {
    struct table_writer contract;
    struct world *world;
    bool is_open, writing, loading;
    uint32_t table;
    int rows, loaded; /* of this part, of those before */
};

static bool writer_open(struct table_writer *contract, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, !writer->is_open);
    writer->is_open = allow(writer->world, WRITER_OPEN, 0, err);
    return writer->is_open;
}

static bool writer_record(struct table_writer *contract, uint32_t table,
                          struct copy_record *record, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    struct world *world = writer->world;
    require(world, writer->is_open && !writer->writing);
    if (!allow(world, WRITER_RECORD, table, err))
        return false;
    pthread_mutex_lock(&world->lock);
    *record = world->sides[table].record;
    record->snapshot = mem_string(record->snapshot);
    pthread_mutex_unlock(&world->lock);
    return true;
}

static bool writer_begin(struct table_writer *contract, uint32_t table, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, writer->is_open && !writer->writing);
    if (!allow(writer->world, WRITER_BEGIN, table, err))
        return false;
    writer->writing = true;
    writer->table = table;
    writer->rows = writer->loaded = 0;
    return true;
}

static bool writer_load(struct table_writer *contract, const struct relation *relation,
                        bool binary, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    (void)err;
    require(writer->world, writer->writing && !writer->loading && !binary);
    require(writer->world, relation->table == writer->table);
    writer->loading = true;
    writer->loaded += writer->rows;
    writer->rows = 0;
    return true;
}

static bool writer_loaded(struct table_writer *contract, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    (void)err;
    require(writer->world, writer->loading);
    writer->loading = false;
    return true;
}

/* Rows must come in order, each once. */
static bool writer_write(struct table_writer *contract, const struct row *row, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    char expected[32];
    require(writer->world, writer->loading && row->count == 1);
    if (!allow(writer->world, WRITER_WRITE, writer->table, err))
        return false;
    snprintf(expected, sizeof(expected), "%u.%d", writer->table, writer->rows++);
    require(writer->world, row->values[0].size == strlen(expected) &&
                               memcmp(row->values[0].data, expected, strlen(expected)) == 0);
    return true;
}

static bool writer_commit(struct table_writer *contract, const struct copy_record *record,
                          struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    struct world *world = writer->world;
    require(world, writer->writing && !writer->loading && record->done);
    if (!allow(world, WRITER_COMMIT, writer->table, err))
        return false;
    pthread_mutex_lock(&world->lock);
    struct side *side = &world->sides[writer->table];
    free(side->record.snapshot);
    side->record = *record;
    side->record.snapshot = mem_string(record->snapshot);
    side->committed += (uint64_t)(writer->rows + writer->loaded);
    pthread_mutex_unlock(&world->lock);
    writer->writing = false;
    return allow(world, WRITER_COMMITTED, writer->table, err);
}

static void writer_rollback(struct table_writer *contract)
{
    struct writer *writer = (struct writer *)(void *)contract;
    writer->writing = writer->loading = false;
}

static void writer_close(struct table_writer *contract)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, !writer->writing);
    writer->is_open = false;
}

static void writer_destroy(struct table_writer *contract)
{
    require(((struct writer *)(void *)contract)->world,
            !((struct writer *)(void *)contract)->is_open);
    free(contract);
}

static struct table_writer *make_writer(void *context)
{
    static const struct table_writer_ops OPS = {
        .open = writer_open,
        .record = writer_record,
        .begin = writer_begin,
        .load = writer_load,
        .loaded = writer_loaded,
        .write = writer_write,
        .commit = writer_commit,
        .rollback = writer_rollback,
        .close = writer_close,
        .destroy = writer_destroy,
    };
    struct writer *writer = mem_zero(1, sizeof(*writer));
    writer->contract.ops = &OPS;
    writer->world = context;
    return &writer->contract;
}

/* ---- rules ---- */

/* Passes rows on; those of one table it may filter, or refuse. */
struct rule {
    struct transform contract;
    uint32_t filtered, refused; /* table, or UINT32_MAX */
};

static enum transform_result rule_row(struct transform *contract, const struct relation *target,
                                      const struct row *in, struct arena *arena,
                                      struct row *out, struct err *err)
{
    struct rule *rule = (struct rule *)(void *)contract;
    if (target->table == rule->filtered)
        return TRANSFORM_FILTERED;
    if (target->table == rule->refused) {
        err_set(err, ERR_DATA, "a value the rules refuse");
        return TRANSFORM_FAILED;
    }
    *out = (struct row){arena_copy(arena, in->values, sizeof(*in->values)), 1};
    return TRANSFORM_WRITTEN;
}

static struct transform *rule_clone(const struct transform *contract)
{
    struct rule *clone = mem_zero(1, sizeof(*clone));
    *clone = *(const struct rule *)(const void *)contract;
    return &clone->contract;
}

static void rule_destroy(struct transform *contract)
{
    free(contract);
}

static struct rule pass_all(void)
{
    static const struct transform_ops OPS = {
        .row = rule_row, .clone = rule_clone, .destroy = rule_destroy};
    return (struct rule){{&OPS, NULL}, UINT32_MAX, UINT32_MAX};
}

/* ---- the world ---- */

static void open_world(struct world *world, int workers, size_t tables, struct rule *rule)
{
    pthread_condattr_t attributes;
    struct err err;
    *world = (struct world){.snapshots = {COVERS}};
    log_setup(LOG_ERROR, LOG_TEXT);
    stop_init(&world->stop);
    progress_init(&world->progress, TABLES);
    pthread_mutex_init(&world->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&world->changed, &attributes);
    ck_assert(snapshot_parse(INITIAL, &world->initial, &err));
    for (uint32_t i = 0; i < TABLES; i++) {
        char name[8];
        snprintf(name, sizeof(name), "t%u", i);
        world->relations[i] =
            relation_create("public", name, 1, &(struct column){.name = name});
        world->relations[i]->table = i;
        for (int part = 0; part < 2; part++)
            world->parts[i][part] =
                (struct copy_part){world->relations[i], world->relations[i], false};
        world->tasks[i] = (struct copy_task){i, 1, world->parts[i]};
    }
    world->copier = (struct copier){
        .task_count = tables,
        .tasks = world->tasks,
        .records = world->records,
        .workers = workers,
        .initial = &world->initial,
        .transform = &rule->contract,
        .progress = &world->progress,
        .states = world->states,
        .stop = &world->stop,
        .make_reader = make_reader,
        .make_writer = make_writer,
        .context = world,
    };
}

static void close_world(struct world *world)
{
    ck_assert_msg(!world->broken, "a call came against the contract");
    for (int i = 0; i < TABLES; i++) {
        relation_free(world->relations[i]);
        free(world->records[i].snapshot);
        free(world->sides[i].record.snapshot);
    }
    snapshot_free(&world->initial);
    pthread_cond_destroy(&world->changed);
    pthread_mutex_destroy(&world->lock);
    progress_free(&world->progress);
    stop_free(&world->stop);
}

static void run(struct world *world)
{
    struct err err = {0};
    ck_assert_msg(copier_run(&world->copier, &err), "%s", err.message);
}

static struct err run_and_fail(struct world *world, enum err_class class)
{
    struct err err = {0};
    ck_assert(!copier_run(&world->copier, &err));
    ck_assert_msg(err.class == class, "%s: %s", err_class_name(err.class), err.message);
    return err;
}

static void expect_done(const struct world *world, uint32_t table, const char *snapshot)
{
    const struct copy_record *record = &world->records[table];
    const struct table_counters *counters = &world->progress.tables[table];
    ck_assert_uint_eq(world->sides[table].committed, ROWS);
    ck_assert(record->done);
    ck_assert_str_eq(record->snapshot, snapshot);
    ck_assert_str_eq(world->sides[table].record.snapshot, snapshot);
    ck_assert_uint_eq(record->lsn, 1000 + table);
    ck_assert_uint_eq(record->rows, ROWS);
    ck_assert_uint_eq(record->bytes, 10 * ROWS);
    ck_assert_int_eq(world->states[table], COPIER_DONE);
    ck_assert_uint_eq(counter_get(&counters->copied_rows), ROWS);
    ck_assert_uint_eq(counter_get(&counters->copied_bytes), 10 * ROWS);
}

static void expect_untouched(const struct world *world, uint32_t table)
{
    ck_assert_uint_eq(world->sides[table].committed, 0);
    ck_assert(!world->records[table].done && !world->sides[table].record.done);
    ck_assert_int_eq(world->states[table], COPIER_WAITING);
}

/* ---- the stories ---- */

/* Nobody reads before four tables are being read. */
static bool four_at_once(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)table;
    return call != READER_BEGIN || count_and_await(world, 1, 4) ||
           err_set(err, ERR_BUG, "the others did not come");
}

START_TEST(several_workers_copy_every_table_once)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 4, TABLES, &rule);
    world.allow = four_at_once;
    run(&world);
    for (uint32_t i = 0; i < TABLES; i++) {
        expect_done(&world, i, COVERS);
        ck_assert_int_eq(world.sides[i].reads, 1);
    }
    ck_assert_int_eq(world.makers, 4);
    close_world(&world);
}
END_TEST

START_TEST(there_are_no_more_workers_than_tables)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 8, 2, &rule);
    run(&world);
    ck_assert_int_eq(world.makers, 2);
    expect_done(&world, 1, COVERS);
    expect_untouched(&world, 2);
    close_world(&world);
}
END_TEST

START_TEST(nothing_to_copy_is_done_at_once)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 2, 0, &rule);
    run(&world);
    ck_assert_int_eq(world.makers, 0);
    close_world(&world);
}
END_TEST

START_TEST(a_table_with_two_targets_is_read_for_each_under_one_snapshot)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 1, &rule);
    world.tasks[0].part_count = 2;
    run(&world);
    ck_assert_int_eq(world.sides[0].reads, 1);
    ck_assert_uint_eq(world.sides[0].committed, 2 * ROWS);
    ck_assert_uint_eq(world.records[0].rows, 2 * ROWS);
    close_world(&world);
}
END_TEST

/* The tables must begin in the order of their numbers; counted is the next one. */
static bool in_order(struct world *world, enum call call, uint32_t table, struct err *err)
{
    if (call != READER_BEGIN)
        return true;
    return world->counted++ == (int)table || err_set(err, ERR_BUG, "out of order");
}

START_TEST(tables_begin_in_the_order_of_the_tasks)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, TABLES, &rule);
    world.allow = in_order;
    run(&world);
    ck_assert_int_eq(world.counted, TABLES);
    close_world(&world);
}
END_TEST

static bool once(struct world *world, bool here, enum err_class class, struct err *err)
{
    if (!here)
        return true;
    pthread_mutex_lock(&world->lock);
    bool first = world->counted++ == 0;
    pthread_mutex_unlock(&world->lock);
    return !first || err_set(err, class, "passing trouble");
}

static bool trouble_while_reading(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    bool late = counter_get(&world->progress.tables[1].copied_rows) == 30;
    return once(world, call == READER_NEXT && table == 1 && late, ERR_RETRY, err);
}

static bool trouble_while_opening(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    (void)table;
    return once(world, call == WRITER_OPEN, ERR_RETRY, err);
}

static bool trouble_while_writing(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    bool late = counter_get(&world->progress.tables[1].copied_rows) == 30;
    return once(world, call == WRITER_WRITE && table == 1 && late, ERR_RETRY, err);
}

static bool trouble_before_commit(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    return once(world, call == WRITER_COMMIT && table == 1, ERR_RETRY, err);
}

START_TEST(a_table_begins_again_after_a_failure_that_passes)
{
    static bool (*const TROUBLES[])(struct world *, enum call, uint32_t, struct err *) = {
        trouble_while_opening, trouble_while_reading, trouble_while_writing,
        trouble_before_commit};
    for (size_t i = 0; i < UNIT_COUNT(TROUBLES); i++) {
        struct world world;
        struct rule rule = pass_all();
        open_world(&world, 1, 3, &rule);
        world.allow = TROUBLES[i];
        run(&world);
        for (uint32_t table = 0; table < 3; table++)
            expect_done(&world, table, COVERS);
        ck_assert_uint_eq(counter_get(&world.progress.retries), 1);
        ck_assert_uint_eq(counter_get(&world.progress.errors), 1);
        ck_assert_str_eq(world.progress.last_error, "passing trouble");
        close_world(&world);
    }
}
END_TEST

static bool reply_lost(struct world *world, enum call call, uint32_t table, struct err *err)
{
    return once(world, call == WRITER_COMMITTED && table == 1, ERR_RETRY, err);
}

START_TEST(a_lost_commit_is_found_done_and_not_copied_again)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 3, &rule);
    world.allow = reply_lost;
    run(&world);
    for (uint32_t i = 0; i < 3; i++) {
        expect_done(&world, i, COVERS);
        ck_assert_int_eq(world.sides[i].reads, 1);
    }
    close_world(&world);
}
END_TEST

static bool bad_row(struct world *world, enum call call, uint32_t table, struct err *err)
{
    bool late = counter_get(&world->progress.tables[1].copied_rows) == 30;
    return once(world, call == WRITER_WRITE && table == 1 && late, ERR_DATA, err);
}

START_TEST(a_failure_that_does_not_pass_ends_the_copy)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 3, &rule);
    world.allow = bad_row;
    struct err err = run_and_fail(&world, ERR_DATA);
    ck_assert_str_eq(err.message, "passing trouble");
    expect_done(&world, 0, COVERS);
    expect_untouched(&world, 1);
    expect_untouched(&world, 2);
    ck_assert_uint_eq(counter_get(&world.progress.tables[1].copied_rows), 0);
    ck_assert_uint_eq(counter_get(&world.progress.retries), 0);
    close_world(&world);
}
END_TEST

/* Table 0 fails for good once table 1 has begun to fail for now. */
static bool one_for_good_one_for_now(struct world *world, enum call call, uint32_t table,
                                     struct err *err)
{
    if (call == READER_NEXT && table == 0)
        return count_and_await(world, 0, 1) && err_set(err, ERR_DATA, "for good");
    if (call != WRITER_BEGIN || table != 1)
        return true;
    count_and_await(world, 1, 0);
    return err_set(err, ERR_RETRY, "for now");
}

START_TEST(a_failure_ends_the_copy_while_another_worker_keeps_trying)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 2, 2, &rule);
    world.allow = one_for_good_one_for_now;
    usec_t until = clock_monotonic() + LONG;
    struct err err = run_and_fail(&world, ERR_DATA);
    ck_assert_str_eq(err.message, "for good");
    ck_assert_int_lt(clock_monotonic(), until);
    close_world(&world);
}
END_TEST

/* Table 0 fails for good once table 1 has got a snapshot that is too old. */
static bool one_for_good_one_too_old(struct world *world, enum call call, uint32_t table,
                                     struct err *err)
{
    if (call == READER_BEGIN)
        return table != 0 || (count_and_await(world, 0, 1) && err_set(err, ERR_DATA, "bad"));
    if (call == READER_OPEN)
        count_and_await(world, reads_of(world, 1), 0);
    return true;
}

START_TEST(a_failure_ends_the_copy_while_another_worker_waits_for_a_snapshot)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 2, 2, &rule);
    world.allow = one_for_good_one_too_old;
    world.snapshots[0] = TOO_OLD;
    run_and_fail(&world, ERR_DATA);
    expect_untouched(&world, 1);
    close_world(&world);
}
END_TEST

START_TEST(a_snapshot_that_lacks_what_the_slot_skips_is_waited_for)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 1, &rule);
    memcpy(world.snapshots, (const char *[]){TOO_OLD, TOO_OLD, COVERS}, 3 * sizeof(char *));
    run(&world);
    ck_assert_int_eq(world.sides[0].reads, 3);
    expect_done(&world, 0, COVERS);
    ck_assert_uint_eq(counter_get(&world.progress.retries), 0);
    close_world(&world);
}
END_TEST

START_TEST(a_snapshot_that_cannot_be_read_ends_the_copy)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 1, &rule);
    world.snapshots[0] = "nonsense";
    run_and_fail(&world, ERR_CORRUPT);
    expect_untouched(&world, 0);
    close_world(&world);
}
END_TEST

static bool stop_amid(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)err;
    if (call == WRITER_WRITE && table == 1)
        stop_request(&world->stop);
    return true;
}

START_TEST(a_stop_leaves_tables_done_or_untouched)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 3, &rule);
    world.allow = stop_amid;
    run_and_fail(&world, ERR_STOPPED);
    expect_done(&world, 0, COVERS);
    expect_untouched(&world, 1);
    expect_untouched(&world, 2);
    close_world(&world);
}
END_TEST

static bool stop_and_trouble(struct world *world, enum call call, uint32_t table,
                             struct err *err)
{
    (void)table;
    if (call != READER_OPEN)
        return true;
    stop_request(&world->stop);
    return err_set(err, ERR_RETRY, "away");
}

START_TEST(a_stop_ends_the_trying)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 2, 2, &rule);
    world.allow = stop_and_trouble;
    run_and_fail(&world, ERR_STOPPED);
    close_world(&world);
}
END_TEST

START_TEST(filtered_rows_are_neither_written_nor_counted)
{
    struct world world;
    struct rule rule = pass_all();
    rule.filtered = 1;
    open_world(&world, 1, 2, &rule);
    run(&world);
    expect_done(&world, 0, COVERS);
    ck_assert(world.records[1].done);
    ck_assert_uint_eq(world.records[1].rows, 0);
    ck_assert_uint_eq(world.sides[1].committed, 0);
    close_world(&world);
}
END_TEST

START_TEST(a_row_that_the_rules_refuse_names_its_table)
{
    struct world world;
    struct rule rule = pass_all();
    rule.refused = 1;
    open_world(&world, 1, 2, &rule);
    struct err err = run_and_fail(&world, ERR_DATA);
    ck_assert_str_eq(err.message, "copying table public.t1: a value the rules refuse");
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        several_workers_copy_every_table_once,
        there_are_no_more_workers_than_tables,
        nothing_to_copy_is_done_at_once,
        tables_begin_in_the_order_of_the_tasks,
        a_table_with_two_targets_is_read_for_each_under_one_snapshot,
        a_table_begins_again_after_a_failure_that_passes,
        a_lost_commit_is_found_done_and_not_copied_again,
        a_failure_that_does_not_pass_ends_the_copy,
        a_failure_ends_the_copy_while_another_worker_keeps_trying,
        a_failure_ends_the_copy_while_another_worker_waits_for_a_snapshot,
        a_snapshot_that_lacks_what_the_slot_skips_is_waited_for,
        a_snapshot_that_cannot_be_read_ends_the_copy,
        a_stop_leaves_tables_done_or_untouched,
        a_stop_ends_the_trying,
        filtered_rows_are_neither_written_nor_counted,
        a_row_that_the_rules_refuse_names_its_table,
    };
    return unit_run("copier", tests, UNIT_COUNT(tests));
}
