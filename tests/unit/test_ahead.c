/* What is made of the next batch while the target is at the one before: when it is, what it is
 * worth when its turn comes, and that nothing else depends on it. */
#include "pipeline/apply.h"
#include "pipeline/quarantine.h"
#include "stream_world.h"

/* Two batches: the second is there while the first is applied. */
struct bench {
    struct world world;
    struct applier applier;
    struct batch *first, *second;
    struct batch *next; /* behind the one that is applied */
    int asked;          /* for it */
    struct err err;
};

static struct batch *give_next(void *context)
{
    struct bench *bench = context;
    bench->asked++;
    return bench->next;
}

static void begin_applier(struct bench *bench)
{
    applier_init(&bench->applier, &bench->world.stream, give_next, bench);
}

static void open_bench(struct bench *bench, const struct world_config *config)
{
    struct err err;
    world_open(&bench->world, config);
    bench->err = (struct err){0};
    bench->asked = 0;
    bench->first = batch_create();
    bench->second = batch_create();
    ck_assert(bench->world.stream.sink->ops->connect(bench->world.stream.sink, &err));
    begin_applier(bench);
}

static void close_bench(struct bench *bench)
{
    applier_free(&bench->applier);
    batch_destroy(bench->first);
    batch_destroy(bench->second);
    world_close(&bench->world);
}

/* A transaction that inserts these keys, a letter each, behind what the batch has. */
static void add(struct bench *bench, struct batch *batch, lsn_t end_lsn, const char *keys)
{
    *batch_add_transaction(batch) = (struct transaction){.xid = ++bench->world.xid,
                                                         .commit_lsn = end_lsn - 10,
                                                         .end_lsn = end_lsn,
                                                         .first_change = batch->change_count};
    for (const char *key = keys; *key != '\0'; key++) {
        struct change *change = batch_add_change(batch);
        *change = (struct change){.kind = CHANGE_INSERT,
                                  .relation = bench->world.relations[0],
                                  .new = batch_row(batch, 1),
                                  .lsn = end_lsn - 50,
                                  .transaction = batch->transaction_count - 1};
        change->new.values[0] = (struct value){.kind = VALUE_TEXT, .data = key, .size = 1};
    }
    batch->end_lsn = end_lsn;
}

static bool apply(struct bench *bench, struct batch *batch)
{
    bench->next = batch == bench->first ? bench->second : NULL;
    bool ok = applier_apply(&bench->applier, batch, &bench->err);
    applier_forget(&bench->applier, batch);
    return ok;
}

static void expect_applied(struct bench *bench, struct batch *batch)
{
    ck_assert_msg(apply(bench, batch), "%s", bench->err.message);
}

static void expect_written(struct bench *bench, const char *keys)
{
    char text[64] = "";
    size_t count;
    const struct memory_write *writes = memory_sink_writes(bench->world.sink, &count);
    for (size_t i = 0; i < count; i++)
        strcat(text, writes[i].key);
    ck_assert_str_eq(text, keys);
}

/* How many batches were made ahead and taken, and so prepared by the sink. */
static void expect_ahead(struct bench *bench, unsigned count)
{
    ck_assert_uint_eq(counter_get(&bench->world.progress.apply.batches_ahead), count);
    ck_assert_uint_eq(memory_sink_tally(bench->world.sink).prepared, count);
}

/* Both batches, of which the second is not made ahead. */
static void expect_in_turn(struct bench *bench, const char *keys)
{
    expect_applied(bench, bench->first);
    expect_applied(bench, bench->second);
    expect_written(bench, keys);
    expect_ahead(bench, 0);
}

/* ---- it is made, and taken ---- */

START_TEST(the_next_batch_is_made_and_taken_as_it_would_be_in_its_turn)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.first, 6000, "ab");
    add(&bench, bench.second, 7000, "c-2");
    add(&bench, bench.second, 8000, "d");
    expect_applied(&bench, bench.first);
    expect_written(&bench, "ab");
    ck_assert_uint_eq(counter_get(&bench.world.progress.tables[0].received), 2);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "abc22d");
    expect_ahead(&bench, 1);
    const struct table_counters *table = &bench.world.progress.tables[0];
    ck_assert_uint_eq(counter_get(&table->received), 6);
    ck_assert_uint_eq(counter_get(&table->applied), 5);
    ck_assert_uint_eq(counter_get(&table->filtered), 1);
    ck_assert_uint_eq(counter_get(&table->inserts), 5);
    ck_assert_uint_eq(counter_get(&bench.world.progress.transactions), 3);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 8000);
    close_bench(&bench);
}
END_TEST

START_TEST(nothing_comes_and_nothing_is_made)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.second, 6000, "a");
    expect_applied(&bench, bench.second);
    ck_assert_int_eq(bench.asked, 1);
    expect_written(&bench, "a");
    expect_ahead(&bench, 0);
    close_bench(&bench);
}
END_TEST

/* ---- it is left to its turn ---- */

START_TEST(what_the_rules_refuse_is_refused_in_its_turn)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b!");
    expect_applied(&bench, bench.first);
    expect_written(&bench, "a");
    ck_assert(!apply(&bench, bench.second));
    ck_assert_msg(strstr(bench.err.message, "refuse") != NULL, "%s", bench.err.message);
    expect_written(&bench, "a");
    expect_ahead(&bench, 0);
    close_bench(&bench);
}
END_TEST

START_TEST(a_truncation_is_left_to_its_turn)
{
    struct bench bench;
    const struct relation *both[2];
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    both[0] = bench.world.relations[0];
    *batch_add_change(bench.second) = (struct change){
        .kind = CHANGE_TRUNCATE, .relation = both[0], .relations = both, .relation_count = 1};
    expect_in_turn(&bench, "ab");
    close_bench(&bench);
}
END_TEST

START_TEST(pieces_of_a_transaction_are_left_to_their_turn)
{
    struct bench bench;
    for (int open = 0; open < 2; open++) { /* the first of two pieces is the one or the other */
        open_bench(&bench, &(struct world_config){0});
        add(&bench, bench.first, 6000, "a");
        add(&bench, bench.second, 7000, "b");
        (open ? bench.second : bench.first)->ends_open = true;
        bench.second->begins_open = bench.first->ends_open;
        expect_applied(&bench, bench.first);
        expect_applied(&bench, bench.second);
        ck_assert_int_eq(bench.asked, open ? 1 : 0);
        expect_ahead(&bench, 0);
        close_bench(&bench);
    }
}
END_TEST

START_TEST(rules_that_ask_a_database_run_in_their_turn)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    bench.world.transform.asks = true;
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    expect_in_turn(&bench, "ab");
    close_bench(&bench);
}
END_TEST

/* Of a row that has to be read again. */
static enum transform_result read_again(struct transform *transform, const struct change *in,
                                        xid_t xid, struct batch *out, struct err *err)
{
    (void)xid;
    if (transform->row_reader == NULL) {
        err_set(err, ERR_DATA, "nobody can be asked");
        return TRANSFORM_REFUSED;
    }
    *batch_add_change(out) = *in;
    return TRANSFORM_WRITTEN;
}

START_TEST(no_row_is_read_again_ahead)
{
    struct bench bench;
    struct row_reader reader = {0};
    open_bench(&bench, &(struct world_config){0});
    struct transform_ops ops = *bench.world.transform.ops;
    ops.change = read_again;
    bench.world.transform.ops = &ops;
    bench.world.transform.row_reader = &reader;
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    expect_in_turn(&bench, "ab");
    close_bench(&bench);
}
END_TEST

/* ---- the copy ---- */

struct judge {
    struct handoff handoff;
    bool complete, passed;
    int judged;
};

static struct judge *judge_of(const struct handoff *handoff)
{
    return (struct judge *)(uintptr_t)handoff;
}

static bool is_complete(const struct handoff *handoff)
{
    return judge_of(handoff)->complete;
}

static bool is_passed(const struct handoff *handoff, uint32_t table)
{
    (void)table;
    return judge_of(handoff)->passed;
}

static bool judge_row(struct handoff *handoff, uint32_t table, xid_t xid,
                      const struct relation *relation, const struct row *image,
                      enum handoff_verdict *verdict, struct err *err)
{
    (void)table, (void)xid, (void)relation, (void)image, (void)err;
    judge_of(handoff)->judged++;
    *verdict = HANDOFF_APPLY;
    return true;
}

static void foresee(struct handoff *handoff, uint32_t table, const struct relation *relation,
                    const struct row *image)
{
    (void)handoff, (void)table, (void)relation, (void)image;
}

static bool foresees_more(struct handoff *handoff)
{
    (void)handoff;
    return false;
}

static void reached(struct handoff *handoff, lsn_t applied, const struct batch *coming)
{
    (void)handoff, (void)applied, (void)coming;
}

static const char *note(const struct handoff *handoff, struct arena *arena)
{
    (void)handoff, (void)arena;
    return "noted";
}

static void appoint(struct bench *bench, struct judge *judge)
{
    static const struct handoff_ops OPS = {.complete = is_complete,
                                           .passed_by = is_passed,
                                           .judge = judge_row,
                                           .foresee = foresee,
                                           .foresees_more = foresees_more,
                                           .reached = reached,
                                           .note = note};
    judge->handoff.ops = &OPS;
    bench->world.stream.handoff = &judge->handoff;
    add(bench, bench->first, 6000, "a");
    add(bench, bench->second, 7000, "b");
}

START_TEST(what_is_judged_is_judged_in_its_turn)
{
    struct bench bench;
    for (int complete = 0; complete < 2; complete++) {
        struct judge judge = {.complete = complete};
        open_bench(&bench, &(struct world_config){0});
        appoint(&bench, &judge);
        expect_applied(&bench, bench.first);
        ck_assert_int_eq(judge.judged, 1);
        expect_applied(&bench, bench.second);
        ck_assert_int_eq(judge.judged, 2);
        expect_ahead(&bench, 0);
        close_bench(&bench);
    }
}
END_TEST

START_TEST(behind_the_copy_it_is_made_and_noted)
{
    struct bench bench;
    struct judge judge = {.complete = true, .passed = true};
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    expect_applied(&bench, bench.first);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "ab");
    expect_ahead(&bench, 1);
    ck_assert_int_eq(judge.judged, 0);
    ck_assert_str_eq(bench.applier.making.writes->note, "noted");
    close_bench(&bench);
}
END_TEST

/* ---- the batch before fails ---- */

static bool fails_once(struct world *world, enum memory_sink_call call,
                       const struct batch *batch, struct err *err)
{
    (void)batch;
    return call != MEMORY_SINK_APPLY || atomic_fetch_add(&world->counted, 1) != 0 ||
           err_set(err, ERR_RETRY, "away");
}

START_TEST(it_outlasts_a_target_that_was_away)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = fails_once});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    expect_applied(&bench, bench.first);
    ck_assert_int_eq(bench.asked, 1);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "ab");
    expect_ahead(&bench, 1);
    close_bench(&bench);
}
END_TEST

static bool refuses_many(struct world *world, enum memory_sink_call call,
                         const struct batch *batch, struct err *err)
{
    (void)world;
    return call != MEMORY_SINK_APPLY || batch->transaction_count < 2 ||
           err_set(err, ERR_DATA, "too many at once");
}

/* And none of the parts is taken for it. */
START_TEST(it_outlasts_a_batch_that_goes_one_by_one)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_many});
    add(&bench, bench.first, 5500, "a");
    add(&bench, bench.first, 6000, "b");
    add(&bench, bench.second, 7000, "c");
    expect_applied(&bench, bench.first);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "abc");
    expect_ahead(&bench, 1);
    close_bench(&bench);
}
END_TEST

START_TEST(a_batch_made_ahead_goes_one_by_one_itself)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_many});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "bc");
    add(&bench, bench.second, 8000, "d");
    expect_applied(&bench, bench.first);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "abcd");
    expect_ahead(&bench, 1);
    close_bench(&bench);
}
END_TEST

/* ---- it is not what it was ---- */

START_TEST(what_was_left_out_of_it_since_is_not_written)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    expect_applied(&bench, bench.first);
    ck_assert(batch_skip(bench.second, 6000));
    expect_applied(&bench, bench.second);
    expect_written(&bench, "ab");
    expect_ahead(&bench, 0);
    close_bench(&bench);
}
END_TEST

/* The memory of a batch that went is that of another. */
START_TEST(a_batch_that_went_is_not_taken_for_another)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "b");
    expect_applied(&bench, bench.first);
    applier_forget(&bench.applier, bench.second);
    batch_reset(bench.second);
    add(&bench, bench.second, 7000, "c");
    expect_applied(&bench, bench.second);
    expect_written(&bench, "ac");
    expect_ahead(&bench, 0);
    close_bench(&bench);
}
END_TEST

/* ---- parked keys ---- */

/* The target refuses the first change of the first batch, after the second was made. */
static bool has_one_parked(struct world *world, enum memory_sink_call call,
                           const struct batch *batch, struct err *err)
{
    const struct refusals *refusals = world->stream.sink->refusals;
    struct err why = {0};
    (void)batch;
    err_set(&why, ERR_DATA, "no such row here");
    return call != MEMORY_SINK_APPLY || atomic_fetch_add(&world->counted, 1) != 0 ||
           refusals->refused(refusals->context, 0, &why, err);
}

START_TEST(a_key_that_the_batch_before_parks_waits_for_it)
{
    struct bench bench;
    static const char *const KEY[] = {"id"};
    static const struct parked_identity IDENTITY = {.count = 1, .columns = KEY};
    static const char *const SOURCE = "ours";
    open_bench(&bench, &(struct world_config){.on_sink = has_one_parked});
    applier_free(&bench.applier);
    bench.world.stream.quarantine = quarantine_create(
        &(struct quarantine_config){.table_count = 1,
                                    .identities = &IDENTITY,
                                    .sources = &SOURCE,
                                    .counters = bench.world.progress.tables,
                                    .limits = {.max_bad_share = 1, .min_rows = 10}});
    begin_applier(&bench);
    add(&bench, bench.first, 6000, "a");
    add(&bench, bench.second, 7000, "bac");
    expect_applied(&bench, bench.first);
    ck_assert_int_eq(bench.asked, 1);
    expect_applied(&bench, bench.second);
    expect_written(&bench, "abc"); /* the first "a": this sink cannot leave it out */
    expect_ahead(&bench, 0);
    ck_assert_uint_eq(counter_get(&bench.world.progress.tables[0].quarantined), 2);
    quarantine_free(bench.world.stream.quarantine);
    close_bench(&bench);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_next_batch_is_made_and_taken_as_it_would_be_in_its_turn,
        nothing_comes_and_nothing_is_made,
        what_the_rules_refuse_is_refused_in_its_turn,
        a_truncation_is_left_to_its_turn,
        pieces_of_a_transaction_are_left_to_their_turn,
        rules_that_ask_a_database_run_in_their_turn,
        no_row_is_read_again_ahead,
        what_is_judged_is_judged_in_its_turn,
        behind_the_copy_it_is_made_and_noted,
        it_outlasts_a_target_that_was_away,
        it_outlasts_a_batch_that_goes_one_by_one,
        a_batch_made_ahead_goes_one_by_one_itself,
        what_was_left_out_of_it_since_is_not_written,
        a_batch_that_went_is_not_taken_for_another,
        a_key_that_the_batch_before_parks_waits_for_it,
    };
    return unit_run("ahead", tests, UNIT_COUNT(tests));
}
