/* The copier, between tables in memory: each row once, chunk by chunk, whatever fails on the way.
 *
 * A table's rows have the keys 0 to ROWS - 1; a row is its table and its key. */
#include "backfill/copier.h"
#include "backfill/handoff.h"
#include "backfill/snapshot.h"
#include "base/log.h"
#include "base/mem.h"
#include "no_threads.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TABLES 6
#define ROWS 1200
#define CHUNK_ROWS 500
#define LONG (30 * USEC_PER_SEC)
#define INITIAL "700:700:"
#define COVERS "750:760:751"
#define TOO_OLD "690:700:695" /* lacks 695, which INITIAL sees */

enum call {
    READER_OPEN,
    READER_BEGIN,
    READER_NEXT,
    WRITER_OPEN,
    WRITER_PLAN,
    WRITER_OUTCOME,
    WRITER_BUILD,
    WRITER_FINISH,
    WRITER_BEGIN,
    WRITER_WRITE,
    WRITER_COMMIT, /* about to */
    WRITER_COMMITTED,
};

/* A table at both sides. */
struct side {
    uint64_t committed; /* rows */
    uint64_t bytes;
    size_t chunks;
    char snapshot[32]; /* of the newest chunk */
    bool staged;       /* as the newest chunk was */
    bool finished;
    int indexes;  /* to build before it is */
    int reads;    /* times that reading a chunk began */
    int next_key; /* that the next chunk must begin with */
};

struct world {
    struct copier_config config;
    struct table_handoff *handoff;
    struct copy_key keys[TABLES];
    struct copy_parents parents[TABLES];
    struct table_copy copies[TABLES];
    struct stop stop;
    struct progress progress;
    struct snapshot initial;
    bool chunked;
    struct copy_key_column columns[TABLES];
    struct relation *relations[TABLES];
    struct copy_task tasks[TABLES];
    struct copy_part parts[TABLES][2];
    _Atomic int states[TABLES];
    atomic_int makers;
    atomic_bool broken; /* a call came where the contract has none */

    /* Asked before each call: false makes it fail. Several threads ask. */
    bool (*allow)(struct world *world, enum call call, uint32_t table, struct err *err);

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct side sides[TABLES];
    uint32_t resets;
    uint64_t rows_of_others;  /* in each chunk */
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
    int row, end; /* keys */
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
    reader->row = reader->end = 0;
    pthread_mutex_lock(&world->lock);
    world->sides[table].reads++;
    *snapshot = world->snapshots[world->snapshots_given];
    world->snapshots_given += world->snapshots[world->snapshots_given + 1] != NULL;
    pthread_mutex_unlock(&world->lock);
    *lsn = 1000 + table;
    return true;
}

static bool reader_plan(struct table_reader *contract, const struct relation *relation,
                        const struct copy_key *key, size_t lanes, struct copy_plan *plan,
                        struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    (void)relation, (void)err;
    require(reader->world, reader->is_open && !reader->reading && key->count == 1 && lanes > 1);
    plan->whole = false;
    if (!copy_key_is_asked(key))
        return true;
    plan->bound_count = lanes - 1;
    plan->bounds = mem_zero(lanes, sizeof *plan->bounds);
    for (size_t i = 0; i + 1 < lanes; i++) {
        plan->bounds[i] = mem_zero(2, sizeof **plan->bounds);
        plan->bounds[i][0] = mem_format("%zu", (i + 1) * ROWS / lanes);
    }
    return true;
}

static bool reader_read(struct table_reader *contract, const struct relation *relation,
                        bool binary, const struct copy_key *key, const struct copy_range *range,
                        struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    (void)err, (void)key;
    require(reader->world, reader->reading && !binary && reader->row == reader->end);
    require(reader->world, relation->table == reader->table);
    reader->row = range->after == NULL ? 0 : atoi(range->after[0]) + 1;
    reader->end = range->upto == NULL ? ROWS : atoi(range->upto[0]) + 1;
    if (range->from != NULL)
        reader->row = atoi(range->from[0]);
    if (range->below != NULL)
        reader->end = atoi(range->below[0]);
    if (range->most_rows > 0 && reader->end - reader->row > (int)range->most_rows)
        reader->end = reader->row + (int)range->most_rows;
    return true;
}

static bool reader_settle(struct table_reader *contract, struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    (void)err;
    require(reader->world, reader->reading && reader->row == reader->end);
    return true;
}

static enum table_read reader_next(struct table_reader *contract, struct row *row,
                                   size_t *bytes, struct err *err)
{
    struct reader *reader = (struct reader *)(void *)contract;
    require(reader->world, reader->reading);
    if (!allow(reader->world, READER_NEXT, reader->table, err))
        return TABLE_FAILED;
    if (reader->row == reader->end)
        return TABLE_END;
    snprintf(reader->text, sizeof(reader->text), "%d", reader->row++);
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
        .plan = reader_plan,
        .begin = reader_begin,
        .read = reader_read,
        .next = reader_next,
        .settle = reader_settle,
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
    bool is_open, writing, loading, staged;
    uint32_t table;
    int rows, loaded; /* of this part, of those before */
    int key;          /* of the next row */
};

static bool writer_open(struct table_writer *contract, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, !writer->is_open);
    writer->is_open = allow(writer->world, WRITER_OPEN, 0, err);
    return writer->is_open;
}

static bool writer_plan(struct table_writer *contract, uint32_t table, struct copy_plan *plan,
                        struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, writer->is_open && !writer->writing && plan->made);
    return allow(writer->world, WRITER_PLAN, table, err);
}

static bool writer_begin(struct table_writer *contract, uint32_t table, bool staged,
                         struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, writer->is_open && !writer->writing);
    if (!allow(writer->world, WRITER_BEGIN, table, err))
        return false;
    writer->writing = true;
    writer->staged = staged;
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
    pthread_mutex_lock(&writer->world->lock);
    writer->key = writer->world->sides[writer->table].next_key;
    pthread_mutex_unlock(&writer->world->lock);
    if (copy_key_is_asked(&writer->world->keys[writer->table]))
        writer->key = -1; /* lanes come in any order */
    return true;
}

static bool writer_loaded(struct table_writer *contract, uint64_t *met, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    (void)err;
    *met += writer->staged ? writer->world->rows_of_others : 0;
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
    if (writer->key < 0)
        writer->key = atoi(row->values[0].data);
    snprintf(expected, sizeof(expected), "%d", writer->key++);
    writer->rows++;
    require(writer->world, row->values[0].size == strlen(expected) &&
                               memcmp(row->values[0].data, expected, strlen(expected)) == 0);
    return true;
}

static bool writer_commit(struct table_writer *contract, const struct chunk_record *record,
                          uint16_t key_count, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    struct world *world = writer->world;
    require(world, writer->writing && !writer->loading && key_count == 1);
    if (!allow(world, WRITER_COMMIT, writer->table, err))
        return false;
    pthread_mutex_lock(&world->lock);
    struct side *side = &world->sides[writer->table];
    require(world, copy_key_is_asked(&world->keys[writer->table])
                       ? record->number == 0 && record->upto == NULL
                       : record->number == side->chunks);
    snprintf(side->snapshot, sizeof(side->snapshot), "%s", record->snapshot);
    side->committed += (uint64_t)(writer->rows + writer->loaded);
    side->bytes += record->bytes;
    side->staged = writer->staged;
    side->chunks++;
    if (record->upto != NULL)
        side->next_key = atoi(record->upto[0]) + 1;
    pthread_mutex_unlock(&world->lock);
    writer->writing = false;
    return allow(world, WRITER_COMMITTED, writer->table, err);
}

static bool writer_outcome(struct table_writer *contract, uint32_t table,
                           const struct chunk_record *record, bool *committed, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    struct world *world = writer->world;
    require(world, writer->is_open && !writer->writing && record->lane == 0);
    if (!allow(world, WRITER_OUTCOME, table, err))
        return false;
    pthread_mutex_lock(&world->lock);
    *committed = world->sides[table].chunks == record->number + 1U;
    pthread_mutex_unlock(&world->lock);
    return true;
}

static bool writer_next_index(struct table_writer *contract, uint32_t table, const char **name,
                              struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    (void)err;
    require(writer->world, writer->is_open && !writer->writing);
    pthread_mutex_lock(&writer->world->lock);
    *name = writer->world->sides[table].indexes > 0 ? "an index" : NULL;
    pthread_mutex_unlock(&writer->world->lock);
    writer->table = table;
    return true;
}

static bool writer_build_index(struct table_writer *contract, bool beside, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, beside == writer->world->config.beside_stream);
    if (!allow(writer->world, WRITER_BUILD, writer->table, err))
        return false;
    pthread_mutex_lock(&writer->world->lock);
    writer->world->sides[writer->table].indexes--;
    pthread_mutex_unlock(&writer->world->lock);
    return true;
}

static bool writer_finish(struct table_writer *contract, uint32_t table, struct err *err)
{
    struct writer *writer = (struct writer *)(void *)contract;
    require(writer->world, writer->is_open && !writer->writing);
    if (!allow(writer->world, WRITER_FINISH, table, err))
        return false;
    pthread_mutex_lock(&writer->world->lock);
    require(writer->world, !writer->world->sides[table].finished);
    require(writer->world, writer->world->sides[table].indexes == 0);
    writer->world->sides[table].finished = true;
    pthread_mutex_unlock(&writer->world->lock);
    return true;
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
        .plan = writer_plan,
        .outcome = writer_outcome,
        .next_index = writer_next_index,
        .build_index = writer_build_index,
        .finish = writer_finish,
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
    return (struct rule){{.ops = &OPS}, UINT32_MAX, UINT32_MAX};
}

/* ---- the world ---- */

static bool reset_table(void *context, uint32_t table, bool whole, struct err *err)
{
    struct world *world = context;
    (void)err;
    require(world, table == 0 && whole);
    world->resets++;
    return true;
}

/* Planned as one lane, without chunks. */
static bool load_tables(void *context, struct table_copy *copies, struct err *err)
{
    const struct world *world = context;
    (void)err;
    for (size_t i = 0; i < TABLES; i++)
        copies[i] =
            (struct table_copy){.needed = world->tasks[i].table < world->config.task_count,
                                .begun = world->resets,
                                .plan = {.made = true}};
    return true;
}

static void open_world_of(struct world *world, int workers, size_t tables, struct rule *rule,
                          bool chunked)
{
    pthread_condattr_t attributes;
    struct err err;
    *world = (struct world){.snapshots = {COVERS}, .chunked = chunked};
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
        world->tasks[i] = (struct copy_task){.table = i,
                                             .key = &world->keys[i],
                                             .chunked = world->chunked,
                                             .part_count = 1,
                                             .parts = world->parts[i]};
        world->keys[i] = (struct copy_key){1, &world->columns[i]};
        world->columns[i] =
            (struct copy_key_column){.name = world->relations[i]->columns[0].name,
                                     .type = "pg_catalog.int4",
                                     .order = KEY_SIGNED};
        world->copies[i].needed = i < tables;
    }
    world->config = (struct copier_config){
        .task_count = tables,
        .tasks = world->tasks,
        .workers = workers,
        .chunk_rows = CHUNK_ROWS,
        .chunk_time = USEC_PER_SEC,
        .transform = &rule->contract,
        .progress = &world->progress,
        .states = world->states,
        .stop = &world->stop,
        .make_reader = make_reader,
        .make_writer = make_writer,
        .context = world,
    };
    const struct handoff_config handoff = {
        .table_count = TABLES,
        .keys = world->keys,
        .copies = world->copies,
        .note = "",
        .initial = &world->initial,
        .parents = world->parents,
        .stop = &world->stop,
        .reset = reset_table,
        .load = load_tables,
        .context = world,
    };
    ck_assert_msg(handoff_create(&handoff, &world->handoff, &err), "%s", err.message);
    world->config.handoff = world->handoff;
}

static void open_world(struct world *world, int workers, size_t tables, struct rule *rule)
{
    open_world_of(world, workers, tables, rule, false);
}

static void close_world(struct world *world)
{
    handoff_destroy(world->handoff);
    ck_assert_msg(!world->broken, "a call came against the contract");
    for (int i = 0; i < TABLES; i++)
        relation_free(world->relations[i]);
    snapshot_free(&world->initial);
    pthread_cond_destroy(&world->changed);
    pthread_mutex_destroy(&world->lock);
    progress_free(&world->progress);
    stop_free(&world->stop);
}

/* Until the workers are done. The first failure in *err. */
static bool copy_all(struct world *world, struct err *err)
{
    struct copier *copier;
    *err = (struct err){0};
    ck_assert(copier_start(&world->config, &copier, err));
    usec_t until = clock_monotonic() + LONG;
    while (!copier_is_done(copier) && clock_monotonic() < until)
        (void)stop_wait(&world->stop, clock_monotonic() + USEC_PER_MS);
    ck_assert(copier_is_done(copier));
    bool failed = copier_has_failed(copier, err);
    copier_join(copier);
    return !failed;
}

static void run(struct world *world)
{
    struct err err;
    ck_assert_msg(copy_all(world, &err), "%s", err.message);
}

static struct err run_and_fail(struct world *world, enum err_class class)
{
    struct err err;
    ck_assert(!copy_all(world, &err));
    ck_assert_msg(err.class == class, "%s: %s", err_class_name(err.class), err.message);
    return err;
}

static void expect_done(const struct world *world, uint32_t table, const char *snapshot)
{
    const struct side *side = &world->sides[table];
    const struct table_counters *counters = &world->progress.tables[table];
    ck_assert_uint_eq(side->committed, ROWS);
    ck_assert_uint_eq(side->bytes, 10 * ROWS);
    ck_assert(side->finished);
    ck_assert_str_eq(side->snapshot, snapshot);
    ck_assert_int_eq(world->states[table], COPIER_DONE);
    ck_assert_uint_eq(counter_get(&counters->copied_rows), ROWS);
    ck_assert_uint_eq(counter_get(&counters->copied_bytes), 10 * ROWS);
    ck_assert_uint_eq(counter_get(&counters->chunks_copied), side->chunks);
}

static void expect_untouched(const struct world *world, uint32_t table)
{
    ck_assert_uint_eq(world->sides[table].committed, 0);
    ck_assert(!world->sides[table].finished);
    ck_assert_uint_eq(counter_get(&world->progress.tables[table].copied_rows), 0);
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

START_TEST(fewer_workers_copy_every_table_once)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 4, TABLES, &rule);
    refuse_thread(3);
    run(&world);
    for (uint32_t i = 0; i < TABLES; i++) {
        expect_done(&world, i, COVERS);
        ck_assert_int_eq(world.sides[i].reads, 1);
    }
    ck_assert_int_eq(world.makers, 3); /* the last was not kept */
    close_world(&world);
}
END_TEST

START_TEST(without_a_worker_there_is_no_copy)
{
    struct world world;
    struct rule rule = pass_all();
    struct copier *copier = NULL;
    struct err err = {0};
    open_world(&world, 2, 1, &rule);
    refuse_thread(1);
    ck_assert(!copier_start(&world.config, &copier, &err));
    ck_assert_ptr_null(copier);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_str_eq(err.message, "cannot start a copy worker");
    expect_untouched(&world, 0);
    run(&world); /* there is one again */
    expect_done(&world, 0, COVERS);
    close_world(&world);
}
END_TEST

START_TEST(nothing_to_copy_is_done_at_once)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 2, 0, &rule);
    run(&world);
    expect_untouched(&world, 0);
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
    ck_assert_uint_eq(world.sides[0].chunks, 1);
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
    bool late = counter_get(&world->progress.tables[1].copied_rows) >= 1000;
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
    bool late = counter_get(&world->progress.tables[1].copied_rows) >= 1000;
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

START_TEST(a_large_table_is_copied_in_chunks_each_once)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 3, 2, &rule, true);
    run(&world);
    for (uint32_t i = 0; i < 2; i++) {
        expect_done(&world, i, COVERS);
        ck_assert_uint_gt(world.sides[i].chunks, 1);
        ck_assert_int_eq(world.sides[i].reads, (int)world.sides[i].chunks);
    }
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_of_two_targets_ends_at_the_same_key_in_both)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 1, 1, &rule, true);
    world.tasks[0].part_count = 2;
    run(&world);
    ck_assert_uint_eq(world.sides[0].committed, 2 * ROWS);
    ck_assert_uint_gt(world.sides[0].chunks, 1);
    close_world(&world);
}
END_TEST

START_TEST(where_the_source_is_asked_each_lane_is_one_chunk_of_the_usual_size)
{
    static const struct {
        uint64_t rows, bytes;
        usec_t time;
        uint64_t most_rows; /* in a second; 0: no limit */
        uint32_t chunks;
    } CASES[] = {
        {0, 0, USEC_PER_SEC, 0, 8}, /* four a worker at least */
        {ROWS, 10 * ROWS, USEC_PER_SEC, 0, 8},
        {40 * CHUNK_ROWS, 10 * ROWS, USEC_PER_MS, 0, 40},
        {6000000, 10 * ROWS, USEC_PER_SEC / 2, 0, 59}, /* 100001 rows each */
        {ROWS, UINT64_C(25) << 26, USEC_PER_SEC, 0, 24},
        {500000, 10 * ROWS, USEC_PER_SEC, 20000, 1000},
        {UINT64_MAX, UINT64_MAX, USEC_PER_SEC, 0, 4096},
    };
    for (size_t i = 0; i < UNIT_COUNT(CASES); i++) {
        struct world world;
        struct rule rule = pass_all();
        struct throttle throttle;
        open_world_of(&world, 2, 1, &rule, true);
        throttle_init(&throttle, CASES[i].most_rows, 0);
        world.config.throttle = CASES[i].most_rows > 0 ? &throttle : NULL;
        world.columns[0].order = KEY_ASKED;
        world.tasks[0].rows = CASES[i].rows;
        world.tasks[0].bytes = CASES[i].bytes;
        world.config.chunk_time = CASES[i].time;
        run(&world);
        expect_done(&world, 0, COVERS);
        ck_assert_uint_eq(world.sides[0].chunks, CASES[i].chunks);
        close_world(&world);
        throttle_free(&throttle);
    }
}
END_TEST

/* A chunk in the middle fails once. */
static bool trouble_in_a_chunk(struct world *world, enum call call, uint32_t table,
                               struct err *err)
{
    (void)table;
    return once(world, call == WRITER_COMMIT && world->sides[0].chunks == 1, ERR_RETRY, err);
}

START_TEST(only_the_chunk_that_failed_is_copied_again)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 1, 1, &rule, true);
    world.allow = trouble_in_a_chunk;
    run(&world);
    expect_done(&world, 0, COVERS);
    ck_assert_int_eq(world.sides[0].reads, (int)world.sides[0].chunks + 1);
    ck_assert_uint_eq(counter_get(&world.progress.tables[0].chunks_retried), 1);
    close_world(&world);
}
END_TEST

static bool duplicate_key(struct world *world, enum call call, uint32_t table, struct err *err)
{
    if (once(world, call == WRITER_WRITE && table == 0, ERR_DATA, err))
        return true;
    memcpy(err->sqlstate, "23505", sizeof("23505"));
    return false;
}

START_TEST(a_chunk_that_meets_a_row_goes_by_the_stage)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 1, &rule);
    world.allow = duplicate_key;
    world.rows_of_others = 3;
    run(&world);
    expect_done(&world, 0, COVERS);
    ck_assert(world.sides[0].staged);
    ck_assert_uint_eq(counter_get(&world.progress.tables[0].copy_overwritten), 3);
    close_world(&world);
}
END_TEST

/* The child's rows are not read before the parent is loaded and the stream is there. */
static bool parents_first(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)err;
    pthread_mutex_lock(&world->lock);
    if (table == 0 && call == READER_BEGIN)
        require(world, world->sides[1].committed == ROWS);
    if (table == 0 && (call == READER_NEXT || call == WRITER_BEGIN))
        require(world, world->counted > 0);
    pthread_mutex_unlock(&world->lock);
    return true;
}

START_TEST(a_child_waits_for_its_parent_and_for_the_stream)
{
    struct world world;
    struct rule rule = pass_all();
    struct copier *copier;
    struct err err = {0};
    uint32_t parent = 1;
    open_world_of(&world, 2, 2, &rule, true);
    world.allow = parents_first;
    world.config.beside_stream = true;
    world.parents[0] = (struct copy_parents){1, &parent};
    world.tasks[0].has_parents = true;
    struct handoff *contract = handoff_contract(world.handoff);
    ck_assert(copier_start(&world.config, &copier, &err));
    usec_t until = clock_monotonic() + LONG;
    for (bool waits = false; !waits && clock_monotonic() < until;) {
        pthread_mutex_lock(&world.lock);
        waits = world.sides[0].reads > 0;
        pthread_mutex_unlock(&world.lock);
    }
    (void)count_and_await(&world, 1, 1);
    contract->ops->reached(contract, 1001, NULL);
    for (lsn_t at = 2000; !copier_is_done(copier) && clock_monotonic() < until; at++) {
        contract->ops->passed(contract, at, at);
        (void)stop_wait(&world.stop, clock_monotonic() + USEC_PER_MS);
    }
    copier_join(copier);
    expect_done(&world, 0, COVERS);
    expect_done(&world, 1, COVERS);
    close_world(&world);
}
END_TEST

static bool orphan(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)world;
    if (call != WRITER_COMMIT || table != 0)
        return true;
    err_set(err, ERR_DATA, "no parent");
    memcpy(err->sqlstate, "23503", sizeof("23503"));
    return false;
}

START_TEST(a_row_without_its_parent_is_read_again_and_then_ends_the_copy)
{
    struct world world;
    struct rule rule = pass_all();
    open_world(&world, 1, 1, &rule);
    world.allow = orphan;
    struct err err = run_and_fail(&world, ERR_DATA);
    ck_assert_str_eq(err.message, "no parent");
    ck_assert_ptr_nonnull(strstr(err.remedy, "orphan"));
    ck_assert_int_eq(world.sides[0].reads, 3);
    expect_untouched(&world, 0);
    close_world(&world);
}
END_TEST

/* Straight and by the stage. */
static bool clashes_twice(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)table;
    if (call != WRITER_WRITE)
        return true;
    pthread_mutex_lock(&world->lock);
    bool clashes = world->counted < 2;
    world->counted += clashes;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    if (!clashes)
        return true;
    err_set(err, ERR_DATA, "twice");
    memcpy(err->sqlstate, "23505", sizeof("23505"));
    return false;
}

/* The stream, for which the worker waits, waits for it in resume(). */
START_TEST(a_worker_that_waits_for_the_stream_lets_go_of_a_table_that_begins_anew)
{
    struct world world;
    struct rule rule = pass_all();
    struct copier *copier;
    struct err err = {0};
    open_world_of(&world, 1, 1, &rule, true);
    world.allow = clashes_twice;
    world.config.beside_stream = true;
    struct handoff *contract = handoff_contract(world.handoff);
    ck_assert(copier_start(&world.config, &copier, &err));
    ck_assert(count_and_await(&world, 0, 2));
    ck_assert(handoff_begin_anew(world.handoff, 0));
    ck_assert_msg(contract->ops->resume(contract, &err), "%s", err.message);
    ck_assert_uint_eq(world.resets, 1);
    usec_t until = clock_monotonic() + LONG;
    for (lsn_t at = 2000; !copier_is_done(copier) && clock_monotonic() < until; at++) {
        contract->ops->passed(contract, at, at);
        (void)stop_wait(&world.stop, clock_monotonic() + USEC_PER_MS);
    }
    copier_join(copier);
    ck_assert_uint_eq(world.sides[0].committed, ROWS);
    ck_assert_uint_eq(world.sides[0].chunks, 1); /* as one */
    close_world(&world);
}
END_TEST

static bool trouble_at_the_edges(struct world *world, enum call call, uint32_t table,
                                 struct err *err)
{
    (void)table;
    return once(world, call == WRITER_PLAN || call == WRITER_FINISH, ERR_RETRY, err);
}

START_TEST(planning_and_finishing_are_tried_again)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 1, 1, &rule, true);
    world.allow = trouble_at_the_edges;
    run(&world);
    expect_done(&world, 0, COVERS);
    close_world(&world);
}
END_TEST

static bool trouble_with_an_index(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    (void)table;
    return once(world, call == WRITER_BUILD, ERR_RETRY, err);
}

START_TEST(what_was_dropped_for_the_copy_is_built_before_a_table_is_finished)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 1, 1, &rule, true);
    world.config.builds_indexes = true;
    world.sides[0].indexes = 3;
    world.allow = trouble_with_an_index;
    run(&world);
    ck_assert_int_eq(world.sides[0].indexes, 0);
    expect_done(&world, 0, COVERS);
    close_world(&world);
}
END_TEST

static bool reply_and_outcome_lost(struct world *world, enum call call, uint32_t table,
                                   struct err *err)
{
    (void)world, (void)table;
    if (call == WRITER_COMMITTED)
        return err_set(err, ERR_RETRY, "away");
    if (call != WRITER_OUTCOME)
        return true;
    return err_set(err, ERR_DATA, "nobody knows");
}

START_TEST(a_chunk_of_unknown_outcome_stays_in_flight)
{
    struct world world;
    struct rule rule = pass_all();
    struct chunk_place place;
    open_world_of(&world, 1, 1, &rule, true);
    world.allow = reply_and_outcome_lost;
    run_and_fail(&world, ERR_DATA);
    ck_assert(!handoff_open(world.handoff, 0, 0, &place));
    close_world(&world);
}
END_TEST

/* The reply is read, and before it is believed the target is looked at again. */
static bool compared_meanwhile(struct world *world, enum call call, uint32_t table,
                               struct err *err)
{
    struct handoff *handoff = handoff_contract(world->handoff);
    struct err away = {0};
    (void)table;
    if (call == WRITER_COMMITTED && !once(world, true, ERR_RETRY, err))
        (void)handoff->ops->resume(handoff, &away);
    *err = (struct err){0};
    if (call == WRITER_OUTCOME)
        world->sides[1].reads++; /* the table that is not copied counts the questions */
    return true;
}

START_TEST(a_chunk_is_asked_for_when_the_target_was_compared_meanwhile)
{
    struct world world;
    struct rule rule = pass_all();
    open_world_of(&world, 1, 1, &rule, true);
    world.allow = compared_meanwhile;
    run(&world);
    expect_done(&world, 0, COVERS);
    ck_assert_int_eq(world.sides[1].reads, 1);
    close_world(&world);
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
    bool late = counter_get(&world->progress.tables[1].copied_rows) >= 1000;
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
    if (call != READER_BEGIN)
        return true;
    if (table == 0)
        return count_and_await(world, 0, 2) && err_set(err, ERR_DATA, "bad");
    return count_and_await(world, 1, 0);
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
    ck_assert_uint_eq(counter_get(&world.progress.waiting_for_commits), 0);
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
    run(&world);
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
    run(&world);
    expect_untouched(&world, 0);
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
    ck_assert(world.sides[1].finished);
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

static struct brake brake_of_the_test;

static bool brake_after_the_first(struct world *world, enum call call, uint32_t table,
                                  struct err *err)
{
    (void)world, (void)table, (void)err;
    if (call == WRITER_COMMITTED && world->sides[0].chunks == 1)
        (void)brake_set(&brake_of_the_test, BRAKE_PAUSED, true, "paused");
    return true;
}

/* The worker has let go of its lane; the caller has it. */
static void take_lane(struct world *world, uint32_t *lane)
{
    usec_t until = clock_monotonic() + LONG;
    while (handoff_claim(world->handoff, 0, lane) != CLAIM_LANE) {
        ck_assert_int_lt(clock_monotonic(), until);
        (void)stop_wait(&world->stop, clock_monotonic() + USEC_PER_MS);
    }
}

START_TEST(under_the_brake_no_chunk_is_begun_and_no_lane_is_held)
{
    struct world world;
    struct rule rule = pass_all();
    struct copier *copier;
    struct err err = {0};
    uint32_t lane = 0;
    brake_init(&brake_of_the_test);
    open_world_of(&world, 1, 1, &rule, true);
    world.config.brake = &brake_of_the_test;
    world.allow = brake_after_the_first;
    ck_assert(copier_start(&world.config, &copier, &err));
    usec_t until = clock_monotonic() + LONG;
    while (!brake_is_on(&brake_of_the_test)) {
        ck_assert_int_lt(clock_monotonic(), until);
        (void)stop_wait(&world.stop, clock_monotonic() + USEC_PER_MS);
    }
    take_lane(&world, &lane);
    ck_assert_int_eq(world.sides[0].reads, 1);
    handoff_release(world.handoff, 0, CLAIM_LANE, lane);
    (void)brake_set(&brake_of_the_test, BRAKE_PAUSED, false, "");
    copier_join(copier);
    expect_done(&world, 0, COVERS);
    close_world(&world);
    brake_free(&brake_of_the_test);
}
END_TEST

START_TEST(a_limit_slows_all_workers_together_and_makes_chunks_small)
{
    struct world world;
    struct rule rule = pass_all();
    struct throttle throttle;
    throttle_init(&throttle, 6000, 0);
    open_world_of(&world, 2, 2, &rule, true);
    world.config.throttle = &throttle;
    world.config.chunk_time = 50 * USEC_PER_MS;
    usec_t began = clock_monotonic();
    run(&world);
    ck_assert_int_ge(clock_monotonic() - began, 300 * USEC_PER_MS - 100 * USEC_PER_MS);
    for (uint32_t i = 0; i < 2; i++) {
        expect_done(&world, i, COVERS);
        ck_assert_uint_ge(world.sides[i].chunks, 4); /* the first has 150 rows */
    }
    close_world(&world);
    throttle_free(&throttle);
}
END_TEST

static bool stop_in_a_wait(struct world *world, enum call call, uint32_t table, struct err *err)
{
    (void)table, (void)err;
    if (call == READER_NEXT && count_and_await(world, 1, 0) && world->counted == 3)
        stop_request(&world->stop);
    return true;
}

START_TEST(a_stop_ends_the_wait_for_a_limit)
{
    struct world world;
    struct rule rule = pass_all();
    struct throttle throttle;
    throttle_init(&throttle, 1, 0);
    open_world_of(&world, 1, 1, &rule, true);
    world.config.throttle = &throttle;
    world.allow = stop_in_a_wait;
    run(&world); /* a stop is no failure */
    expect_untouched(&world, 0);
    close_world(&world);
    throttle_free(&throttle);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        several_workers_copy_every_table_once,
        fewer_workers_copy_every_table_once,
        without_a_worker_there_is_no_copy,
        nothing_to_copy_is_done_at_once,
        tables_begin_in_the_order_of_the_tasks,
        a_table_with_two_targets_is_read_for_each_under_one_snapshot,
        a_table_begins_again_after_a_failure_that_passes,
        a_large_table_is_copied_in_chunks_each_once,
        where_the_source_is_asked_each_lane_is_one_chunk_of_the_usual_size,
        a_chunk_of_two_targets_ends_at_the_same_key_in_both,
        only_the_chunk_that_failed_is_copied_again,
        a_chunk_that_meets_a_row_goes_by_the_stage,
        a_child_waits_for_its_parent_and_for_the_stream,
        a_row_without_its_parent_is_read_again_and_then_ends_the_copy,
        a_worker_that_waits_for_the_stream_lets_go_of_a_table_that_begins_anew,
        planning_and_finishing_are_tried_again,
        what_was_dropped_for_the_copy_is_built_before_a_table_is_finished,
        a_chunk_of_unknown_outcome_stays_in_flight,
        a_chunk_is_asked_for_when_the_target_was_compared_meanwhile,
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
        under_the_brake_no_chunk_is_begun_and_no_lane_is_held,
        a_limit_slows_all_workers_together_and_makes_chunks_small,
        a_stop_ends_the_wait_for_a_limit,
    };
    return unit_run("copier", tests, UNIT_COUNT(tests));
}
