/* The apply half of the stream, batch by batch and without threads: the ledger, the handoff,
 * and what becomes of a batch that fails. */
#include "pipeline/apply.h"
#include "stream_world.h"

/* A world with a connected sink, an applier, and a batch in the making. */
struct bench {
    struct world world;
    struct applier applier;
    struct batch *batch;
    struct err err;
};

static void open_bench(struct bench *bench, const struct world_config *config)
{
    struct err err;
    world_open(&bench->world, config);
    bench->err = (struct err){0};
    bench->batch = batch_create();
    ck_assert(bench->world.stream.sink->ops->connect(bench->world.stream.sink, &err));
    applier_init(&bench->applier, &bench->world.stream, NULL, NULL);
}

static void close_bench(struct bench *bench)
{
    applier_free(&bench->applier);
    batch_destroy(bench->batch);
    world_close(&bench->world);
}

/* Begins a transaction in the batch. */
static struct transaction *begin(struct bench *bench, xid_t xid)
{
    struct transaction *transaction = batch_add_transaction(bench->batch);
    *transaction = (struct transaction){.xid = xid, .first_change = bench->batch->change_count};
    return transaction;
}

/* Ends it: the batch is whole up to here. */
static void end(struct bench *bench, lsn_t end_lsn)
{
    bench->batch->transactions[bench->batch->transaction_count - 1].end_lsn = end_lsn;
    bench->batch->end_lsn = end_lsn;
}

static struct change *add(struct bench *bench, enum change_kind kind, int table,
                          const char *key)
{
    struct change *change = batch_add_change(bench->batch);
    struct row row = batch_row(bench->batch, 1);
    row.values[0] = world_text(key);
    *change = (struct change){.kind = kind,
                              .relation = bench->world.relations[table],
                              .lsn = 7000 + bench->batch->change_count,
                              .transaction = bench->batch->transaction_count - 1};
    if (kind == CHANGE_DELETE)
        change->old = row;
    else
        change->new = row;
    return change;
}

static void make_batch(struct bench *bench, lsn_t end_lsn, const char *key)
{
    batch_reset(bench->batch);
    begin(bench, 700);
    add(bench, CHANGE_INSERT, 0, key);
    end(bench, end_lsn);
}

static bool apply(struct bench *bench)
{
    return applier_apply(&bench->applier, bench->batch, &bench->err);
}

static void expect_applied(struct bench *bench)
{
    ck_assert_msg(apply(bench), "%s", bench->err.message);
}

static void expect_failure(struct bench *bench, enum err_class class)
{
    ck_assert(!apply(bench));
    ck_assert_msg(bench->err.class == class, "%s: %s", err_class_name(bench->err.class),
                  bench->err.message);
}

static void expect_message(const struct bench *bench, const char *part)
{
    ck_assert_msg(strstr(bench->err.message, part) != NULL, "\"%s\" is not in \"%s\"", part,
                  bench->err.message);
}

/* The committed keys, in order, with a blank behind each. */
static void expect_written(struct bench *bench, const char *keys)
{
    char text[256] = "";
    size_t count;
    const struct memory_write *writes = memory_sink_writes(bench->world.sink, &count);
    for (size_t i = 0; i < count; i++) {
        strcat(text, writes[i].key);
        strcat(text, " ");
    }
    ck_assert_str_eq(text, keys);
}

static uint64_t count_of(const counter_t *counter)
{
    return counter_get(counter);
}

/* ---- the ledger ---- */

START_TEST(a_batch_is_written_with_its_position_and_counted)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    add(&bench, CHANGE_UPDATE, 0, "b");
    end(&bench, 5000);
    begin(&bench, 701);
    add(&bench, CHANGE_DELETE, 0, "c");
    add(&bench, CHANGE_INSERT, 0, "d");
    end(&bench, 6000);
    expect_applied(&bench);
    expect_written(&bench, "a b c d ");
    const struct progress *progress = &bench.world.progress;
    const struct table_counters *table = &progress->tables[0];
    ck_assert_uint_eq(count_of(&progress->applied), 6000);
    ck_assert_uint_eq(count_of(&progress->transactions), 2);
    ck_assert_uint_eq(count_of(&progress->changes), 4);
    ck_assert_uint_eq(count_of(&progress->batches), 1);
    ck_assert_uint_eq(count_of(&table->received), 4);
    ck_assert_uint_eq(count_of(&table->applied), 4);
    ck_assert_uint_eq(count_of(&table->inserts), 2);
    ck_assert_uint_eq(count_of(&table->updates), 1);
    ck_assert_uint_eq(count_of(&table->deletes), 1);
    ck_assert_int_eq(progress->heartbeat_emitted, 0);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 6000);
    close_bench(&bench);
}
END_TEST

START_TEST(writes_keep_the_place_of_the_change_they_come_from)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    add(&bench, CHANGE_INSERT, 0, "2b");
    end(&bench, 8000);
    expect_applied(&bench);
    size_t count;
    const struct memory_write *writes = memory_sink_writes(bench.world.sink, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert(writes[0].lsn == 7001 && writes[1].lsn == 7002 && writes[2].lsn == 7002);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 2);
    close_bench(&bench);
}
END_TEST

START_TEST(what_is_filtered_or_not_ours_is_accounted_for)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    add(&bench, CHANGE_INSERT, 0, "-b");
    add(&bench, CHANGE_INSERT, 1, "c");
    end(&bench, 5000);
    expect_applied(&bench);
    expect_written(&bench, "a ");
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].received), 2);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].filtered), 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.changes), 3);
    close_bench(&bench);
}
END_TEST

START_TEST(a_sink_that_carries_out_another_number_is_a_bug)
{
    for (int miscount = -1; miscount <= 1; miscount += 2) {
        struct bench bench;
        open_bench(&bench, &(struct world_config){.miscount = miscount});
        make_batch(&bench, 5000, "a");
        expect_failure(&bench, ERR_BUG);
        expect_message(&bench, "ledger mismatch in the batch up to LSN 0/1388");
        ck_assert_uint_eq(count_of(&bench.world.progress.applied), 0);
        ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].received), 0);
        close_bench(&bench);
    }
}
END_TEST

static enum transform_result forget(struct transform *transform, const struct change *in,
                                    xid_t xid, struct batch *out, struct err *err)
{
    (void)transform, (void)in, (void)xid, (void)out, (void)err;
    return TRANSFORM_WRITTEN;
}

START_TEST(rules_that_claim_a_write_and_make_none_are_a_bug)
{
    static const struct transform_ops FORGETFUL = {.source = world_source_of, .change = forget};
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    bench.world.transform.ops = &FORGETFUL;
    make_batch(&bench, 5000, "a");
    expect_failure(&bench, ERR_BUG);
    expect_message(&bench, "change at LSN 0/1B59");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 0);
    close_bench(&bench);
}
END_TEST

START_TEST(a_change_that_the_rules_refuse_is_named_and_nothing_is_written)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    add(&bench, CHANGE_INSERT, 0, "!b");
    end(&bench, 5000);
    expect_failure(&bench, ERR_DATA);
    expect_message(&bench, "change at LSN 0/1B5A: a value the rules refuse");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 0);
    close_bench(&bench);
}
END_TEST

START_TEST(a_position_without_transactions_moves_the_checkpoint)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    bench.batch->end_lsn = 9000;
    expect_applied(&bench);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 9000);
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), 9000);
    ck_assert_uint_eq(count_of(&bench.world.progress.transactions), 0);
    ck_assert_int_eq(bench.world.progress.last_commit_at, 0);
    close_bench(&bench);
}
END_TEST

START_TEST(commit_times_and_heartbeats_reach_the_progress)
{
    struct bench bench;
    usec_t emitted = clock_monotonic(), committed = clock_wall();
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700)->commit_time = committed - USEC_PER_SEC;
    end(&bench, 5000);
    struct transaction *beat = begin(&bench, 701);
    beat->commit_time = committed;
    beat->heartbeat = emitted;
    end(&bench, 6000);
    expect_applied(&bench);
    ck_assert_int_eq(bench.world.progress.last_commit_at, committed);
    ck_assert_int_eq(bench.world.progress.heartbeat_emitted, emitted);
    ck_assert_int_ge(bench.world.progress.heartbeat_delay, 0);
    ck_assert_int_le(bench.world.progress.heartbeat_delay, clock_monotonic() - emitted);
    close_bench(&bench);
}
END_TEST

/* ---- the handoff ---- */

/* The copy of each table holds what transactions below `sees` did. */
struct judge {
    struct handoff handoff;
    xid_t sees[2];
    lsn_t passed;
    bool fails;
    bool lost;        /* chunks, by the target */
    bool mixed;       /* a duplicate key may come of chunks of different times */
    uint32_t refused; /* tables asked for, as bits */
    const struct batch *coming;
    lsn_t applied;
    xid_t alone[2]; /* transactions that want all before them to be committed */
    bool is_complete;
    char foreseen[64]; /* first letters of images */
    int cut_at;        /* before which change, from 1, there is more to foresee */
    int changes;
};

static bool is_for_later(const struct judge *judge, xid_t xid)
{
    return (xid == judge->alone[0] || xid == judge->alone[1]) &&
           judge->coming->transactions[0].xid != xid;
}

static bool judge_complete(const struct handoff *handoff)
{
    return ((const struct judge *)(const void *)handoff)->is_complete;
}

/* All of a batch are foreseen before the first is judged. */
static void judge_foresee(struct handoff *handoff, uint32_t table,
                          const struct relation *relation, const struct row *image)
{
    struct judge *judge = (struct judge *)(void *)handoff;
    size_t used = strlen(judge->foreseen);
    (void)table, (void)relation;
    if (image->values[0].kind == VALUE_TEXT && used + 2 < sizeof judge->foreseen) {
        judge->foreseen[used] = image->values[0].data[0];
        judge->foreseen[used + 1] = '\0';
    }
}

static bool judge_foresees_more(struct handoff *handoff)
{
    struct judge *judge = (struct judge *)(void *)handoff;
    return ++judge->changes == judge->cut_at;
}

static bool judge_truncated(struct handoff *handoff, uint32_t table, xid_t xid,
                            enum handoff_verdict *verdict, struct err *err)
{
    (void)err;
    const struct judge *judge = (struct judge *)(void *)handoff;
    *verdict = is_for_later(judge, xid)   ? HANDOFF_LATER
               : xid < judge->sees[table] ? HANDOFF_DROP
                                          : HANDOFF_APPLY;
    return true;
}

/* A row whose value begins with "~" lies in a chunk that is to come. */
static bool judge_image(struct handoff *handoff, uint32_t table, xid_t xid,
                        const struct relation *relation, const struct row *image,
                        enum handoff_verdict *verdict, struct err *err)
{
    (void)relation;
    if (image->values[0].data[0] != '~')
        return judge_truncated(handoff, table, xid, verdict, err);
    *verdict = HANDOFF_DROP;
    return !((struct judge *)(void *)handoff)->fails || err_set(err, ERR_RETRY, "anew");
}

static bool judge_nothing_passed(const struct handoff *handoff, uint32_t table)
{
    (void)handoff, (void)table;
    return false;
}

static bool judge_still_kept(struct handoff *handoff, struct err *err)
{
    return !((struct judge *)(void *)handoff)->lost ||
           err_set(err, ERR_RETRY, "chunks are lost");
}

static bool judge_refused(struct handoff *handoff, uint32_t table)
{
    struct judge *judge = (struct judge *)(void *)handoff;
    judge->refused |= 1U << table;
    return judge->mixed;
}

static const char *judge_note(const struct handoff *handoff, struct arena *arena)
{
    (void)handoff, (void)arena;
    return "noted";
}

static void judge_passed(struct handoff *handoff, lsn_t durable, lsn_t applied)
{
    ck_assert_uint_ge(applied, durable);
    ((struct judge *)(void *)handoff)->passed = durable;
}

static void judge_reached(struct handoff *handoff, lsn_t applied, const struct batch *coming)
{
    struct judge *judge = (struct judge *)(void *)handoff;
    judge->coming = coming;
    judge->applied = applied == LSN_NONE ? judge->applied : applied;
}

static void judge_ended(struct handoff *handoff)
{
    ((struct judge *)(void *)handoff)->applied = LSN_NONE;
}

static void appoint(struct bench *bench, struct judge *judge)
{
    static const struct handoff_ops OPS = {.reached = judge_reached,
                                           .ended = judge_ended,
                                           .passed_by = judge_nothing_passed,
                                           .still_kept = judge_still_kept,
                                           .complete = judge_complete,
                                           .foresee = judge_foresee,
                                           .foresees_more = judge_foresees_more,
                                           .judge = judge_image,
                                           .judge_truncate = judge_truncated,
                                           .refused = judge_refused,
                                           .note = judge_note,
                                           .passed = judge_passed};
    judge->handoff.ops = &OPS;
    bench->world.stream.handoff = &judge->handoff;
}

START_TEST(what_the_copy_holds_is_skipped_and_counted)
{
    struct bench bench;
    struct judge judge = {.sees = {701, 0}};
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    add(&bench, CHANGE_INSERT, 0, "!b"); /* whatever the rules say of it */
    add(&bench, CHANGE_INSERT, 1, "c");
    end(&bench, 5000);
    begin(&bench, 701);
    add(&bench, CHANGE_INSERT, 0, "d");
    end(&bench, 6000);
    expect_applied(&bench);
    expect_written(&bench, "d ");
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].skipped_by_handoff), 2);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 1);
    close_bench(&bench);
}
END_TEST

/* Five transactions, two of them of the kind, one by a truncate. */
START_TEST(what_is_before_a_change_that_waits_is_committed_first)
{
    static const enum change_kind kinds[] = {CHANGE_INSERT, CHANGE_INSERT, CHANGE_INSERT,
                                             CHANGE_TRUNCATE, CHANGE_INSERT};
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    static const lsn_t commits[] = {5000, 5200, 5200, 5400, 5400};
    struct bench bench;
    struct judge judge = {.alone = {701, 703}};
    size_t count;
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    for (xid_t i = 0; i < 5; i++) {
        begin(&bench, 700 + i);
        struct change *change = add(&bench, kinds[i], 0, keys[i]);
        if (kinds[i] == CHANGE_TRUNCATE) {
            change->relations = (const struct relation **)&bench.world.relations[0];
            change->relation_count = 1;
        }
        end(&bench, 5000 + 100 * i);
    }
    expect_applied(&bench);
    const struct memory_write *writes = memory_sink_writes(bench.world.sink, &count);
    ck_assert_uint_eq(count, 5);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(writes[i].commit, commits[i]);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).commits, 3);
    ck_assert_uint_eq(judge.applied, 5400);
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), 5400);
    close_bench(&bench);
}
END_TEST

START_TEST(an_open_transaction_is_ended_before_a_change_that_waits)
{
    struct bench bench;
    struct judge judge = {.alone = {701, 700}};
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    bench.batch->ends_open = true;
    expect_applied(&bench);
    ck_assert(bench.applier.open);
    ck_assert_uint_eq(judge.applied, LSN_NONE);
    batch_reset(bench.batch);
    bench.batch->begins_open = true;
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "b");
    end(&bench, 5000);
    begin(&bench, 701);
    add(&bench, CHANGE_INSERT, 0, "c");
    end(&bench, 5100);
    expect_applied(&bench);
    expect_written(&bench, "a b c ");
    ck_assert(!bench.applier.open);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).commits, 2);
    close_bench(&bench);
}
END_TEST

START_TEST(the_images_of_a_batch_are_foreseen)
{
    struct bench bench;
    struct judge judge = {.sees = {0, 0}};
    open_bench(&bench, &(struct world_config){0});
    bench.world.theirs_is_ours = true;
    appoint(&bench, &judge);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    struct change *moved = add(&bench, CHANGE_UPDATE, 0, "b");
    moved->old_image = OLD_KEY;
    moved->old = batch_row(bench.batch, 1);
    moved->old.values[0] = world_text("c");
    add(&bench, CHANGE_DELETE, 1, "d")->old_image = OLD_KEY;
    end(&bench, 5000);
    expect_applied(&bench);
    ck_assert_str_eq(judge.foreseen, "acbd");
    judge = (struct judge){.handoff = judge.handoff, .cut_at = 2};
    batch_reset(bench.batch);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "e");
    add(&bench, CHANGE_INSERT, 0, "f");
    add(&bench, CHANGE_INSERT, 0, "g");
    end(&bench, 5500);
    expect_applied(&bench);
    ck_assert_str_eq(judge.foreseen, "efgfg");
    judge = (struct judge){.handoff = judge.handoff, .is_complete = true};
    make_batch(&bench, 6000, "e");
    expect_applied(&bench);
    ck_assert_str_eq(judge.foreseen, "");
    close_bench(&bench);
}
END_TEST

START_TEST(a_truncate_spares_the_tables_whose_copy_is_newer)
{
    static const struct {
        xid_t sees[2];
        uint32_t written_table;
        size_t written;
    } rows[] = {{{0, 0}, 0, 1}, {{701, 0}, 1, 1}, {{0, 701}, 0, 1}, {{701, 701}, 0, 0}};
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct bench bench;
        struct judge judge = {.sees = {rows[i].sees[0], rows[i].sees[1]}};
        open_bench(&bench, &(struct world_config){0});
        bench.world.theirs_is_ours = true;
        appoint(&bench, &judge);
        const struct relation *both[] = {bench.world.relations[0], bench.world.relations[1]};
        begin(&bench, 700);
        struct change *truncate = add(&bench, CHANGE_TRUNCATE, 0, "x");
        truncate->relations = both;
        truncate->relation_count = 2;
        end(&bench, 5000);
        expect_applied(&bench);
        size_t count;
        const struct memory_write *writes = memory_sink_writes(bench.world.sink, &count);
        ck_assert_uint_eq(count, rows[i].written);
        if (count > 0)
            ck_assert_uint_eq(writes[0].table, rows[i].written_table);
        ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].skipped_by_handoff),
                          1 - rows[i].written);
        close_bench(&bench);
    }
}
END_TEST

START_TEST(a_truncate_that_the_rules_filter_is_judged_like_any_change)
{
    for (int held = 0; held < 2; held++) {
        struct bench bench;
        struct judge judge = {.sees = {held ? 701 : 0, 0}};
        open_bench(&bench, &(struct world_config){0});
        appoint(&bench, &judge);
        const struct relation *ours[] = {bench.world.relations[0]};
        begin(&bench, 700);
        struct change *truncate = add(&bench, CHANGE_TRUNCATE, 0, "-x");
        truncate->relations = ours;
        truncate->relation_count = 1;
        end(&bench, 5000);
        expect_applied(&bench);
        const struct table_counters *table = &bench.world.progress.tables[0];
        ck_assert_uint_eq(count_of(&table->filtered), !held);
        ck_assert_uint_eq(count_of(&table->skipped_by_handoff), held);
        close_bench(&bench);
    }
}
END_TEST

/* From the old row's place to the new one's: what the target must get when one of the two chunks
 * holds the change already, or will. */
START_TEST(an_update_is_judged_where_the_row_was_and_where_it_is)
{
    static const struct {
        const char *from, *to, *written;
        enum change_kind kind;
    } rows[] = {{"a", "b", "b ", CHANGE_UPDATE},
                {"~a", "b", "b ", CHANGE_INSERT},
                {"a", "~b", "a ", CHANGE_DELETE},
                {"~a", "~b", "", CHANGE_UPDATE}};
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct bench bench;
        struct judge judge = {.sees = {0, 0}};
        open_bench(&bench, &(struct world_config){0});
        appoint(&bench, &judge);
        begin(&bench, 700);
        struct change *update = add(&bench, CHANGE_UPDATE, 0, rows[i].to);
        update->old_image = OLD_KEY;
        update->old = batch_row(bench.batch, 1);
        update->old.values[0] =
            (struct value){rows[i].from, (uint32_t)strlen(rows[i].from), VALUE_TEXT};
        end(&bench, 5000);
        expect_applied(&bench);
        size_t count;
        const struct memory_write *writes = memory_sink_writes(bench.world.sink, &count);
        ck_assert_uint_eq(count, rows[i].written[0] != '\0');
        if (count > 0) {
            ck_assert_int_eq(writes[0].kind, rows[i].kind);
            ck_assert(strncmp(writes[0].key, rows[i].written, strlen(writes[0].key)) == 0);
        }
        ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].skipped_by_handoff),
                          count == 0);
        close_bench(&bench);
    }
}
END_TEST

START_TEST(an_unsent_key_is_taken_from_the_old_row)
{
    struct bench bench;
    struct judge judge = {.sees = {0, 0}};
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    begin(&bench, 700);
    struct change *update = add(&bench, CHANGE_UPDATE, 0, "");
    update->new.values[0].kind = VALUE_UNCHANGED;
    update->old_image = OLD_FULL;
    update->old = batch_row(bench.batch, 1);
    update->old.values[0] = (struct value){"a", 1, VALUE_TEXT};
    end(&bench, 5000);
    expect_applied(&bench);
    expect_written(&bench, "a ");
    close_bench(&bench);
}
END_TEST

START_TEST(a_copy_that_must_begin_anew_ends_the_stream_for_now)
{
    struct bench bench;
    struct judge judge = {.sees = {0, 0}, .fails = true};
    open_bench(&bench, &(struct world_config){0});
    appoint(&bench, &judge);
    make_batch(&bench, 5000, "~a");
    ck_assert(!applier_apply(&bench.applier, bench.batch, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_RETRY);
    close_bench(&bench);
}
END_TEST

/* A crash of the target takes the stream back to what was durable: until then the copies judge.
 */
START_TEST(the_handoff_is_passed_by_what_is_durable)
{
    struct bench bench;
    struct judge judge = {.sees = {0, 0}};
    open_bench(&bench, &(struct world_config){.flush_by_hand = true});
    appoint(&bench, &judge);
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    ck_assert(applier_flushed(&bench.applier, &bench.err));
    ck_assert_uint_eq(judge.passed, LSN_NONE);
    memory_sink_flush(bench.world.sink);
    ck_assert_uint_eq(judge.passed, LSN_NONE);
    ck_assert(applier_flushed(&bench.applier, &bench.err));
    ck_assert_uint_eq(judge.passed, 5000);
    close_bench(&bench);
}
END_TEST

START_TEST(a_transaction_over_two_batches_counts_when_it_is_committed)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){0});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    bench.batch->ends_open = true;
    expect_applied(&bench);
    ck_assert(bench.applier.open);
    expect_written(&bench, "");
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), 0);
    make_batch(&bench, 5000, "b");
    bench.batch->begins_open = true;
    expect_applied(&bench);
    ck_assert(!bench.applier.open);
    expect_written(&bench, "a b ");
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), 5000);
    ck_assert_uint_eq(count_of(&bench.world.progress.transactions), 1);
    close_bench(&bench);
}
END_TEST

/* ---- failures ---- */

static bool once(struct world *world, bool here, enum err_class class, struct err *err)
{
    return !here || world->counted++ > 0 || err_set(err, class, "trouble");
}

static bool fails_now(struct world *world, enum memory_sink_call call,
                      const struct batch *batch, struct err *err)
{
    (void)batch;
    return once(world, call == MEMORY_SINK_APPLY, ERR_RETRY, err);
}

START_TEST(a_batch_is_written_again_after_a_failure_that_passes)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = fails_now});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    expect_written(&bench, "a ");
    struct memory_sink_tally tally = memory_sink_tally(bench.world.sink);
    ck_assert_uint_eq(tally.applies, 2);
    ck_assert_uint_eq(tally.connects, 2);
    ck_assert_uint_eq(tally.checkpoints, 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.retries), 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.errors), 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 1);
    ck_assert_str_eq(bench.world.progress.last_error, "trouble");
    ck_assert_int_eq(bench.world.progress.target_circuit, BREAKER_CLOSED);
    close_bench(&bench);
}
END_TEST

/* It may be another that is behind, and this batch was judged by chunks it does not have. */
START_TEST(a_target_that_has_lost_chunks_is_not_written_to_again)
{
    struct bench bench;
    struct judge judge = {.lost = true};
    open_bench(&bench, &(struct world_config){.on_sink = fails_now});
    appoint(&bench, &judge);
    make_batch(&bench, 5000, "a");
    expect_failure(&bench, ERR_RETRY);
    expect_message(&bench, "chunks are lost");
    expect_written(&bench, "");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 1);
    close_bench(&bench);
}
END_TEST

static bool reply_is_lost(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    (void)batch;
    return once(world, call == MEMORY_SINK_COMMITTED, ERR_RETRY, err);
}

START_TEST(a_batch_whose_commit_came_through_is_not_written_again)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = reply_is_lost});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    expect_written(&bench, "a ");
    struct memory_sink_tally tally = memory_sink_tally(bench.world.sink);
    ck_assert_uint_eq(tally.applies, 1);
    ck_assert_uint_eq(tally.checkpoints, 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), 5000);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 1);
    close_bench(&bench);
}
END_TEST

/* The target is away for three attempts, each time at another place. */
static bool is_away(struct world *world, enum memory_sink_call call, const struct batch *batch,
                    struct err *err)
{
    static const enum memory_sink_call PLACES[] = {MEMORY_SINK_APPLY, MEMORY_SINK_CONNECT,
                                                   MEMORY_SINK_CHECKPOINT};
    (void)batch;
    if (world->counted == 3 || memory_sink_tally(world->sink).applies == 0 ||
        call != PLACES[world->counted])
        return true;
    world->counted++;
    return err_set(err, ERR_RETRY, "away");
}

START_TEST(a_target_that_is_away_is_tried_until_it_is_back)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = is_away});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    expect_written(&bench, "a ");
    ck_assert_int_eq(bench.world.counted, 3);
    ck_assert_uint_eq(count_of(&bench.world.progress.retries), 3);
    close_bench(&bench);
}
END_TEST

/* As with synchronous_commit = off: what was committed and not yet flushed is gone. */
static bool crashes(struct world *world, enum memory_sink_call call, const struct batch *batch,
                    struct err *err)
{
    if (call != MEMORY_SINK_APPLY || batch->end_lsn != 7000)
        return true;
    memory_sink_crash(world->sink);
    return once(world, true, ERR_RETRY, err);
}

START_TEST(a_target_that_has_forgotten_a_commit_is_not_written_on)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.flush_by_hand = true, .on_sink = crashes});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    memory_sink_flush(bench.world.sink);
    make_batch(&bench, 6000, "b");
    expect_applied(&bench);
    make_batch(&bench, 7000, "c");
    expect_failure(&bench, ERR_RETRY); /* for the supervisor, who streams from 5000 again */
    expect_message(&bench, "0/1388");
    expect_message(&bench, "0/1770");
    expect_written(&bench, "a ");
    close_bench(&bench);
}
END_TEST

static bool refuses_to_reconnect(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call == MEMORY_SINK_CONNECT && memory_sink_tally(world->sink).applies > 0)
        return err_set(err, ERR_CONFIG, "another instance runs");
    return call != MEMORY_SINK_APPLY || err_set(err, ERR_RETRY, "trouble");
}

START_TEST(a_refusal_while_reconnecting_ends_it)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_to_reconnect});
    make_batch(&bench, 5000, "a");
    expect_failure(&bench, ERR_CONFIG);
    expect_message(&bench, "another instance runs");
    ck_assert_int_eq(bench.world.progress.target_circuit, BREAKER_CLOSED);
    close_bench(&bench);
}
END_TEST

static bool bad_row(struct world *world, enum memory_sink_call call, const struct batch *batch,
                    struct err *err)
{
    (void)batch;
    return once(world, call == MEMORY_SINK_APPLY, ERR_DATA, err);
}

START_TEST(a_failure_of_the_data_is_not_tried_again)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = bad_row});
    make_batch(&bench, 5000, "a");
    expect_failure(&bench, ERR_DATA);
    expect_written(&bench, "");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 1);
    ck_assert_uint_eq(count_of(&bench.world.progress.retries), 0);
    close_bench(&bench);
}
END_TEST

/* Refuses any batch that holds this key. */
static bool refuses_bad(struct world *world, enum memory_sink_call call,
                        const struct batch *batch, struct err *err)
{
    (void)world;
    for (uint32_t i = 0; call == MEMORY_SINK_APPLY && i < batch->change_count; i++)
        if (strncmp(batch->changes[i].new.values[0].data, "bad", 3) == 0)
            return err_set(err, ERR_DATA, "a value the target refuses");
    return true;
}

/* Transactions of two changes each, the third with the key at fault. */
static void make_refused_batch(struct bench *bench, const char *at_fault)
{
    static const char *const KEYS[] = {"a", "b", "c", "d", "e", NULL, "g", "h"};
    batch_reset(bench->batch);
    for (int i = 0; i < 8; i++) {
        if (i % 2 == 0)
            begin(bench, 700 + (xid_t)i);
        add(bench, CHANGE_INSERT, 0, KEYS[i] ? KEYS[i] : at_fault);
        if (i % 2 == 1)
            end(bench, 5000 + (lsn_t)i * 100);
    }
}

/* Refuses the batch, and cannot be connected to again. */
static bool refuses_and_leaves(struct world *world, enum memory_sink_call call,
                               const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call == MEMORY_SINK_APPLY)
        return err_set(err, ERR_DATA, "refused");
    bool again = call == MEMORY_SINK_CONNECT && memory_sink_tally(world->sink).applies > 0;
    return !again || err_set(err, ERR_RETRY, "away");
}

START_TEST(a_target_that_refuses_and_leaves_is_for_the_supervisor)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_and_leaves});
    make_refused_batch(&bench, "f");
    expect_failure(&bench, ERR_RETRY);
    expect_written(&bench, "");
    ck_assert_uint_eq(count_of(&bench.world.progress.applied), LSN_NONE);
    close_bench(&bench);
}
END_TEST

START_TEST(what_precedes_a_refused_transaction_is_applied)
{
    static const char *const FAULTS[] = {"bad", "!by the rules"};
    for (size_t i = 0; i < UNIT_COUNT(FAULTS); i++) {
        struct bench bench;
        open_bench(&bench, &(struct world_config){.on_sink = refuses_bad});
        make_refused_batch(&bench, FAULTS[i]);
        expect_failure(&bench, ERR_DATA);
        expect_written(&bench, "a b c d ");
        ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 5300);
        ck_assert_uint_eq(count_of(&bench.world.progress.applied), 5300);
        ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 4);
        ck_assert_uint_eq(count_of(&bench.world.progress.transactions), 2);
        close_bench(&bench);
    }
}
END_TEST

/* The batch is refused once as a whole; one by one, its transactions pass. */
static bool refuses_many(struct world *world, enum memory_sink_call call,
                         const struct batch *batch, struct err *err)
{
    (void)world;
    return call != MEMORY_SINK_APPLY || batch->transaction_count == 1 ||
           err_set(err, ERR_DATA, "too many");
}

START_TEST(a_batch_that_passes_one_by_one_goes_on_to_its_end)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_many});
    make_refused_batch(&bench, "f");
    bench.batch->end_lsn = 9000; /* a keepalive behind the last transaction */
    expect_applied(&bench);
    expect_written(&bench, "a b c d e f g h ");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).commits, 4);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 9000);
    ck_assert_uint_eq(count_of(&bench.world.progress.tables[0].applied), 8);
    close_bench(&bench);
}
END_TEST

START_TEST(a_batch_that_passes_one_by_one_may_end_open)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = refuses_many});
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "a");
    end(&bench, 5000);
    begin(&bench, 701);
    add(&bench, CHANGE_INSERT, 0, "b");
    bench.batch->ends_open = true;
    expect_applied(&bench);
    ck_assert(bench.applier.open);
    expect_written(&bench, "a ");
    make_batch(&bench, 6000, "c");
    bench.batch->begins_open = true;
    expect_applied(&bench);
    expect_written(&bench, "a b c ");
    close_bench(&bench);
}
END_TEST

/* Refuses the batch, and has lost what was not flushed when it is connected to again. */
static bool refuses_and_forgets(struct world *world, enum memory_sink_call call,
                                const struct batch *batch, struct err *err)
{
    if (call == MEMORY_SINK_CONNECT && world->counted > 0)
        memory_sink_crash(world->sink);
    return call != MEMORY_SINK_APPLY || batch->transaction_count == 1 ||
           once(world, true, ERR_DATA, err);
}

START_TEST(a_target_that_has_forgotten_a_commit_is_not_written_on_one_by_one)
{
    struct bench bench;
    open_bench(&bench,
               &(struct world_config){.flush_by_hand = true, .on_sink = refuses_and_forgets});
    make_batch(&bench, 4000, "z");
    expect_applied(&bench);
    make_refused_batch(&bench, "f");
    expect_failure(&bench, ERR_RETRY);
    expect_written(&bench, "");
    close_bench(&bench);
}
END_TEST

START_TEST(a_part_of_a_transaction_is_not_tried_again_from_memory)
{
    for (int part = 0; part < 2; part++) {
        struct bench bench;
        open_bench(&bench, &(struct world_config){.on_sink = fails_now});
        bench.world.counted = part; /* with 1, the hook lets everything pass */
        begin(&bench, 700);
        add(&bench, CHANGE_INSERT, 0, "a");
        bench.batch->ends_open = true;
        if (part == 1) {
            expect_applied(&bench);
            make_batch(&bench, 5000, "b");
            bench.batch->begins_open = true;
            bench.world.counted = 0;
        }
        expect_failure(&bench, ERR_RETRY);
        expect_written(&bench, "");
        ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, part + 1);
        ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoints, 0);
        close_bench(&bench);
    }
}
END_TEST

static bool fails_and_stops(struct world *world, enum memory_sink_call call,
                            const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call != MEMORY_SINK_APPLY)
        return true;
    stop_request(&world->stop);
    return err_set(err, ERR_RETRY, "trouble");
}

START_TEST(a_stop_ends_the_trying)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = fails_and_stops});
    make_batch(&bench, 5000, "a");
    expect_failure(&bench, ERR_STOPPED);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 1);
    close_bench(&bench);
}
END_TEST

static bool cannot_tell(struct world *world, enum memory_sink_call call,
                        const struct batch *batch, struct err *err)
{
    (void)world, (void)batch;
    return call != MEMORY_SINK_FLUSHED || err_set(err, ERR_RETRY, "connection lost");
}

START_TEST(a_sink_that_cannot_tell_what_is_durable_fails)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.on_sink = cannot_tell});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    ck_assert(!applier_flushed(&bench.applier, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_RETRY);
    ck_assert_uint_eq(count_of(&bench.world.progress.durable), LSN_NONE);
    close_bench(&bench);
}
END_TEST

START_TEST(what_is_durable_is_what_the_sink_says)
{
    struct bench bench;
    open_bench(&bench, &(struct world_config){.flush_by_hand = true});
    make_batch(&bench, 5000, "a");
    expect_applied(&bench);
    ck_assert(applier_flushed(&bench.applier, &bench.err));
    ck_assert_uint_eq(count_of(&bench.world.progress.durable), 0);
    memory_sink_flush(bench.world.sink);
    ck_assert(applier_flushed(&bench.applier, &bench.err));
    ck_assert_uint_eq(count_of(&bench.world.progress.durable), 5000);
    close_bench(&bench);
}
END_TEST

/* ---- the quarantine ---- */

static const char *const KEY_COLUMNS[] = {"id"};

/* Of the one table, with a breaker at this share. */
static struct quarantine *open_quarantine(struct bench *bench, double max_bad_share)
{
    static const struct parked_identity IDENTITY = {.count = 1, .columns = KEY_COLUMNS};
    static const char *const SOURCE = "ours";
    open_bench(bench, &(struct world_config){0});
    applier_free(&bench->applier);
    bench->world.stream.quarantine = quarantine_create(&(struct quarantine_config){
        .table_count = 1,
        .identities = &IDENTITY,
        .sources = &SOURCE,
        .counters = bench->world.progress.tables,
        .limits = {.max_bad_share = max_bad_share, .min_rows = 10}});
    applier_init(&bench->applier, &bench->world.stream, NULL, NULL);
    return bench->world.stream.quarantine;
}

START_TEST(what_is_parked_of_any_part_of_a_transaction_is_counted)
{
    struct bench bench;
    struct quarantine *quarantine = open_quarantine(&bench, 1);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "!a");
    add(&bench, CHANGE_INSERT, 0, "b");
    bench.batch->ends_open = true;
    expect_applied(&bench);
    batch_reset(bench.batch);
    bench.batch->begins_open = true;
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "c");
    end(&bench, 5000);
    expect_applied(&bench);
    const struct table_counters *table = &bench.world.progress.tables[0];
    ck_assert_uint_eq(count_of(&table->parked_keys), 1);
    ck_assert_uint_eq(count_of(&table->dead_letters), 1);
    close_bench(&bench);
    quarantine_free(quarantine);
}
END_TEST

START_TEST(a_breaker_that_opens_on_a_batch_at_the_target_has_none_of_it_made_again)
{
    struct bench bench;
    struct quarantine *quarantine = open_quarantine(&bench, 0.05);
    begin(&bench, 700);
    add(&bench, CHANGE_INSERT, 0, "!a");
    end(&bench, 5000);
    begin(&bench, 701);
    for (int i = 0; i < 10; i++)
        add(&bench, CHANGE_INSERT, 0,
            (const char *[]){"b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}[i]);
    end(&bench, 6000);
    expect_failure(&bench, ERR_DATA);
    expect_message(&bench, "circuit breaker");
    expect_written(&bench, "b c d e f g h i j k ");
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).checkpoint, 6000);
    ck_assert_uint_eq(memory_sink_tally(bench.world.sink).applies, 1);
    close_bench(&bench);
    quarantine_free(quarantine);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_batch_is_written_with_its_position_and_counted,
        writes_keep_the_place_of_the_change_they_come_from,
        what_is_filtered_or_not_ours_is_accounted_for,
        a_sink_that_carries_out_another_number_is_a_bug,
        rules_that_claim_a_write_and_make_none_are_a_bug,
        a_change_that_the_rules_refuse_is_named_and_nothing_is_written,
        a_position_without_transactions_moves_the_checkpoint,
        commit_times_and_heartbeats_reach_the_progress,
        what_the_copy_holds_is_skipped_and_counted,
        what_is_before_a_change_that_waits_is_committed_first,
        an_open_transaction_is_ended_before_a_change_that_waits,
        the_images_of_a_batch_are_foreseen,
        a_truncate_spares_the_tables_whose_copy_is_newer,
        a_truncate_that_the_rules_filter_is_judged_like_any_change,
        an_update_is_judged_where_the_row_was_and_where_it_is,
        an_unsent_key_is_taken_from_the_old_row,
        a_copy_that_must_begin_anew_ends_the_stream_for_now,
        the_handoff_is_passed_by_what_is_durable,
        a_transaction_over_two_batches_counts_when_it_is_committed,
        a_batch_is_written_again_after_a_failure_that_passes,
        a_target_that_has_lost_chunks_is_not_written_to_again,
        a_batch_whose_commit_came_through_is_not_written_again,
        a_target_that_is_away_is_tried_until_it_is_back,
        a_target_that_has_forgotten_a_commit_is_not_written_on,
        a_refusal_while_reconnecting_ends_it,
        a_failure_of_the_data_is_not_tried_again,
        a_target_that_refuses_and_leaves_is_for_the_supervisor,
        what_precedes_a_refused_transaction_is_applied,
        a_batch_that_passes_one_by_one_goes_on_to_its_end,
        a_batch_that_passes_one_by_one_may_end_open,
        a_target_that_has_forgotten_a_commit_is_not_written_on_one_by_one,
        a_part_of_a_transaction_is_not_tried_again_from_memory,
        a_stop_ends_the_trying,
        a_sink_that_cannot_tell_what_is_durable_fails,
        what_is_durable_is_what_the_sink_says,
        what_is_parked_of_any_part_of_a_transaction_is_counted,
        a_breaker_that_opens_on_a_batch_at_the_target_has_none_of_it_made_again,
    };
    return unit_run("apply", tests, UNIT_COUNT(tests));
}
