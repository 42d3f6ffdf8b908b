/* The handoff: which streamed changes the chunks hold, or will. */
#include "backfill/handoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LONG (30 * USEC_PER_SEC)
#define INITIAL "700:700:"

/* One table by an integer key, with two lanes: below 1000, and from 1000 on. */
struct world {
    struct table_handoff *handoff;
    struct handoff *contract;
    struct copy_key_column column;
    struct copy_key key;
    struct table_copy copy;
    struct snapshot initial;
    bool waits;
    struct stop stop;
    lsn_t started_at;
    struct relation *relation;
    int resets;
    bool reset_whole;
    bool reset_fails;
    size_t kept;         /* chunks at the target */
    uint32_t first_kept; /* the number of the first */
    bool kept_finished;
    bool reset_is_lost; /* by the target */
    bool load_fails;
    lsn_t stands_on;             /* of the chunk that was let in */
    struct copy_parents parents; /* none, and yet they are minded */
    struct batch coming;
    struct key_places places;
    int asked;
    int forgotten;
    bool source_away;
    int reloads;
    size_t chunks_reloaded;
    struct err err;
};

/* A source that orders keys by their size: those of four digits lie behind the bound. */
static bool find_places(struct key_places *places, const struct key_division *division,
                        size_t count, const struct value *const *keys, uint32_t *found,
                        struct err *err)
{
    struct world *world =
        (struct world *)(void *)((char *)places - offsetof(struct world, places));
    ck_assert_uint_eq(division->bound_count, 1);
    ck_assert_str_eq(division->bounds[0][0], "1000");
    world->asked++;
    (void)handoff_last(world->handoff, 0); /* takes the lock */
    for (size_t i = 0; i < count; i++)
        found[i] = keys[i]->size >= 4;
    return !world->source_away || err_set(err, ERR_RETRY, "the source is away");
}

static void forget_places(struct key_places *places, uint32_t table)
{
    struct world *world =
        (struct world *)(void *)((char *)places - offsetof(struct world, places));
    ck_assert_uint_eq(table, 0);
    (void)handoff_last(world->handoff, 0); /* takes the lock */
    world->forgotten++;
}

static bool reset(void *context, uint32_t table, bool whole, struct err *err)
{
    struct world *world = context;
    ck_assert_uint_eq(table, 0);
    world->resets++;
    world->reset_whole = whole;
    return !world->reset_fails || err_set(err, ERR_DATA, "not ours to empty");
}

static struct copy_plan plan_of(bool whole, bool staged)
{
    struct copy_plan plan = {.made = true, .whole = whole, .staged = staged};
    if (!whole) {
        plan.bound_count = 1;
        plan.bounds = mem_zero(1, sizeof *plan.bounds);
        plan.bounds[0] = mem_zero(2, sizeof **plan.bounds);
        plan.bounds[0][0] = mem_string("1000");
    }
    return plan;
}

/* As many chunks as there were at most are kept, all of lane 0. */
static bool load_kept(void *context, struct table_copy *copies, struct err *err)
{
    struct world *world = context;
    if (world->load_fails)
        return err_set(err, ERR_RETRY, "the target is away");
    copies[0] = (struct table_copy){.needed = true, .plan = plan_of(false, false)};
    copies[0].finished = world->kept_finished;
    copies[0].begun = world->reset_is_lost ? 0 : (uint32_t)world->resets;
    copies[0].chunk_count = world->kept;
    copies[0].key_count = 1;
    copies[0].chunks = mem_zero(world->kept + 1, sizeof *copies[0].chunks);
    for (uint32_t i = 0; i < world->kept; i++) {
        copies[0].chunks[i] = (struct chunk_record){.number = world->first_kept + i,
                                                    .upto = mem_zero(1, sizeof(char *)),
                                                    .snapshot = mem_string("750:750:"),
                                                    .lsn = 500};
        copies[0].chunks[i].upto[0] = mem_format("%u", 100 * (i + 1));
    }
    return true;
}

static void reloaded(void *context, uint32_t table, const struct table_copy *copy)
{
    struct world *world = context;
    ck_assert_uint_eq(table, 0);
    world->reloads++;
    world->chunks_reloaded = copy->chunk_count;
}

static bool create(struct world *world, const char *note)
{
    const struct handoff_config config = {
        .table_count = 1,
        .keys = &world->key,
        .copies = &world->copy,
        .note = note,
        .initial = &world->initial,
        .started_at = world->started_at,
        .waits = &world->waits,
        .parents = &world->parents,
        .places = &world->places,
        .stop = &world->stop,
        .reset = reset,
        .load = load_kept,
        .reloaded = reloaded,
        .context = world,
    };
    if (!handoff_create(&config, &world->handoff, &world->err))
        return false;
    world->contract = handoff_contract(world->handoff);
    return true;
}

/* Not planned yet. */
static void open_world(struct world *world)
{
    *world = (struct world){.copy.needed = true};
    log_setup(LOG_ERROR, LOG_TEXT);
    world->column =
        (struct copy_key_column){.name = "id", .type = "pg_catalog.int4", .order = KEY_SIGNED};
    world->key = (struct copy_key){1, &world->column};
    ck_assert(snapshot_parse(INITIAL, &world->initial, &world->err));
    stop_init(&world->stop);
    char v[] = "v", id[] = "id";
    const struct column columns[] = {{.name = v}, {.name = id, .key = true}};
    world->relation = relation_create("public", "t", 2, columns);
}

static void close_world(struct world *world)
{
    handoff_destroy(world->handoff);
    table_copy_free(&world->copy);
    snapshot_free(&world->initial);
    stop_free(&world->stop);
    relation_free(world->relation);
}

static void plan(struct world *world, bool whole, bool staged)
{
    struct copy_plan made = plan_of(whole, staged);
    uint32_t lane;
    ck_assert_int_eq(handoff_claim(world->handoff, 0, &lane), CLAIM_PLAN);
    ck_assert(handoff_planned(world->handoff, 0, &made, &world->err));
}

static void open_planned(struct world *world, bool whole, bool staged)
{
    open_world(world);
    ck_assert(create(world, ""));
    plan(world, whole, staged);
}

/* A verdict's first letter: a(pply), d(rop), l(ater); s(topped), r(etry) for an error of that class. */
static char judge(struct world *world, xid_t xid, const char *id)
{
    struct value values[] = {{"x", 1, VALUE_TEXT}, {id, (uint32_t)strlen(id), VALUE_TEXT}};
    const struct row row = {values, 2};
    enum handoff_verdict verdict;
    world->err = (struct err){0};
    if (world->contract->ops->judge(world->contract, 0, xid, world->relation, &row, &verdict,
                                    &world->err))
        return "adl"[verdict];
    return err_class_name(world->err.class)[0];
}

static char judge_truncate(struct world *world, xid_t xid)
{
    enum handoff_verdict verdict;
    world->err = (struct err){0};
    if (world->contract->ops->judge_truncate(world->contract, 0, xid, &verdict, &world->err))
        return "adl"[verdict];
    return err_class_name(world->err.class)[0];
}

static void claim(struct world *world, uint32_t expected)
{
    uint32_t lane;
    ck_assert_int_eq(handoff_claim(world->handoff, 0, &lane), CLAIM_LANE);
    ck_assert_uint_eq(lane, expected);
}

static struct chunk_place start_reading(struct world *world, uint32_t lane,
                                        const char *snapshot)
{
    struct chunk_place place;
    ck_assert(handoff_open(world->handoff, 0, lane, &place));
    ck_assert_int_eq(handoff_read(world->handoff, 0, lane, snapshot, &world->err),
                     SNAPSHOT_TAKEN);
    return place;
}

static void loaded(struct world *world, uint32_t lane, uint32_t number, const char *upto,
                   const char *snapshot, lsn_t lsn)
{
    char *texts[] = {(char *)(uintptr_t)upto};
    const struct chunk_record record = {.lane = lane,
                                        .number = number,
                                        .upto = upto == NULL ? NULL : texts,
                                        .snapshot = (char *)(uintptr_t)snapshot,
                                        .lsn = lsn};
    ck_assert_msg(handoff_loaded(world->handoff, 0, &record, &world->err) == CHUNK_IS_LOADED,
                  "%s", world->err.message);
}

/* The lane's next chunk, read and loaded. */
static void load(struct world *world, uint32_t lane, const char *upto, const char *snapshot,
                 lsn_t lsn)
{
    struct chunk_place place = start_reading(world, lane, snapshot);
    loaded(world, lane, place.number, upto, snapshot, lsn);
}

static const char *note(struct world *world, struct arena *arena)
{
    return world->contract->ops->note(world->contract, arena);
}

static void expect_note(struct world *world, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 0);
    ck_assert_str_eq(note(world, &arena), expected);
    arena_free(&arena);
}

/* ---- judging ---- */

START_TEST(before_a_plan_everything_is_to_come)
{
    struct world world;
    open_world(&world);
    ck_assert(create(&world, ""));
    ck_assert_int_eq(judge(&world, 750, "5"), 'd');
    expect_note(&world, "750");
    ck_assert(!handoff_is_complete(world.handoff));
    close_world(&world);
}
END_TEST

START_TEST(a_loaded_chunk_holds_what_its_snapshot_sees)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:760:755", 500);
    ck_assert_int_eq(judge(&world, 749, "100"), 'd');
    ck_assert_int_eq(judge(&world, 752, "-5"), 'd');
    ck_assert_int_eq(judge(&world, 755, "100"), 'a');
    ck_assert_int_eq(judge(&world, 760, "7"), 'a');
    expect_note(&world, "755,760");
    /* Right behind it, and in the other lane, nothing is loaded. */
    ck_assert_int_eq(judge(&world, 761, "101"), 'd');
    ck_assert_int_eq(judge(&world, 762, "1000"), 'd');
    close_world(&world);
}
END_TEST

START_TEST(chunks_of_a_lane_are_told_apart_by_their_last_keys)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    load(&world, 0, "200", "760:760:", 510);
    load(&world, 0, NULL, "770:770:", 520);
    ck_assert_int_eq(judge(&world, 755, "100"), 'a');
    ck_assert_int_eq(judge(&world, 755, "101"), 'd');
    ck_assert_int_eq(judge(&world, 765, "200"), 'a');
    ck_assert_int_eq(judge(&world, 765, "201"), 'd');
    ck_assert_int_eq(judge(&world, 765, "999"), 'd');
    ck_assert_int_eq(judge(&world, 775, "999"), 'a');
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_must_see_what_was_dropped_for_it)
{
    struct world world;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    ck_assert_int_eq(judge(&world, 755, "5"), 'd');
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "755:760:755", &world.err),
                     SNAPSHOT_TOO_OLD);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "756:760:", &world.err), SNAPSHOT_TAKEN);
    expect_note(&world, "755"); /* the source may still lose what it sees */
    loaded(&world, 0, 0, "100", "756:760:", 500);
    expect_note(&world, "");
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_must_see_what_was_kept_with_the_position)
{
    struct world world;
    struct chunk_place place;
    open_world(&world);
    ck_assert(create(&world, "755,758-759"));
    plan(&world, false, false);
    claim(&world, 0);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "756:759:", &world.err),
                     SNAPSHOT_TOO_OLD);
    expect_note(&world, "755,758-759");
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_must_see_what_the_slot_starts_after)
{
    struct world world;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "690:700:695", &world.err),
                     SNAPSHOT_TOO_OLD);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "nonsense", &world.err), SNAPSHOT_BAD);
    close_world(&world);
}
END_TEST

START_TEST(a_copy_made_again_must_see_all_that_had_begun_before_it)
{
    struct world world;
    struct chunk_place place;
    open_world(&world);
    world.copy.covers = mem_string("760:760:");
    ck_assert(create(&world, ""));
    plan(&world, false, false);
    claim(&world, 0);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "755:760:755", &world.err),
                     SNAPSHOT_HAS_OPEN); /* committed, and waiting to be seen */
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "758:758:", &world.err),
                     SNAPSHOT_HAS_OPEN); /* the newest ones, still running */
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "760:765:761", &world.err),
                     SNAPSHOT_TAKEN);
    close_world(&world);
}
END_TEST

/* Lane 0's worker saw nothing of 755; lane 1's has, and its chunk takes it out of the unseen set. */
START_TEST(one_workers_snapshot_does_not_speak_for_anothers)
{
    struct world world;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    claim(&world, 1);
    ck_assert_int_eq(judge(&world, 755, "5"), 'd');
    ck_assert(handoff_open(world.handoff, 0, 0, &place)); /* and takes "755:755:" */
    load(&world, 1, NULL, "760:760:", 500);
    expect_note(&world, "");
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "755:755:", &world.err),
                     SNAPSHOT_TOO_OLD);
    close_world(&world);
}
END_TEST

/* Worker 1 holds a snapshot that saw another 755, which the source lost in a crash. */
START_TEST(what_a_lost_snapshot_saw_is_not_taken_for_seen)
{
    struct world world;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    claim(&world, 1);
    ck_assert(handoff_open(world.handoff, 0, 1, &place)); /* and takes "760:760:" */
    ck_assert_int_eq(judge(&world, 755, "5"), 'd');
    ck_assert_int_eq(handoff_read(world.handoff, 0, 1, "760:760:", &world.err), SNAPSHOT_TAKEN);
    handoff_failed(world.handoff, 0, 1);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "755:755:", &world.err),
                     SNAPSHOT_TOO_OLD);
    close_world(&world);
}
END_TEST

/* ---- waiting ---- */

struct waiter {
    struct world *world;
    pthread_t thread;
    xid_t xid;
    atomic_char verdict;
};

static void *wait_for_verdict(void *argument)
{
    struct waiter *waiter = argument;
    atomic_store(&waiter->verdict, judge(waiter->world, waiter->xid, "5"));
    return NULL;
}

static void begin_waiting(struct waiter *waiter, struct world *world, xid_t xid)
{
    waiter->world = world;
    waiter->xid = xid;
    atomic_init(&waiter->verdict, 0);
    ck_assert_int_eq(pthread_create(&waiter->thread, NULL, wait_for_verdict, waiter), 0);
    (void)stop_wait(&world->stop, clock_monotonic() + 50 * USEC_PER_MS);
    ck_assert_int_eq(atomic_load(&waiter->verdict), 0);
}

static char end_waiting(struct waiter *waiter)
{
    pthread_join(waiter->thread, NULL);
    return atomic_load(&waiter->verdict);
}

START_TEST(a_change_in_flight_waits_and_is_applied_behind_its_chunk)
{
    struct world world;
    struct waiter waiter;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    ck_assert_int_eq(judge(&world, 749, "5"), 'd');
    begin_waiting(&waiter, &world, 750);
    loaded(&world, 0, 0, "100", "750:750:", 500);
    ck_assert_int_eq(end_waiting(&waiter), 'a');
    close_world(&world);
}
END_TEST

START_TEST(a_change_behind_the_end_of_a_chunk_in_flight_is_to_come)
{
    struct world world;
    struct waiter waiter;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    begin_waiting(&waiter, &world, 750);
    loaded(&world, 0, 0, "4", "750:750:", 500);
    ck_assert_int_eq(end_waiting(&waiter), 'd');
    expect_note(&world, "750");
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_that_failed_is_to_come_again)
{
    struct world world;
    struct waiter waiter;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    begin_waiting(&waiter, &world, 750);
    handoff_failed(world.handoff, 0, 0);
    ck_assert_int_eq(end_waiting(&waiter), 'd');
    expect_note(&world, "750");
    close_world(&world);
}
END_TEST

START_TEST(while_a_snapshot_is_being_taken_a_change_waits)
{
    struct world world;
    struct waiter waiter;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    begin_waiting(&waiter, &world, 750);
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "751:751:", &world.err), SNAPSHOT_TAKEN);
    ck_assert_int_eq(end_waiting(&waiter), 'd');
    expect_note(&world, "750"); /* the chunk may still fail */
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_that_is_there_and_cannot_be_taken_stays_in_flight)
{
    struct world world;
    struct waiter waiter;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    const struct chunk_record record = {.number = 7,
                                        .snapshot = (char *)(uintptr_t) "750:750:"};
    ck_assert_int_eq(handoff_loaded(world.handoff, 0, &record, &world.err), CHUNK_BAD);
    ck_assert_int_eq(world.err.class, ERR_CORRUPT);
    begin_waiting(&waiter, &world, 750);
    handoff_give_up(world.handoff);
    ck_assert_int_eq(end_waiting(&waiter), 'r');
    close_world(&world);
}
END_TEST

START_TEST(waiting_ends_with_the_stop_and_with_the_copy)
{
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct waiter waiter;
        open_planned(&world, false, false);
        claim(&world, 0);
        start_reading(&world, 0, "750:750:");
        begin_waiting(&waiter, &world, 750);
        if (i == 0)
            stop_request(&world.stop);
        else
            handoff_give_up(world.handoff);
        ck_assert_int_eq(end_waiting(&waiter), i == 0 ? 's' : 'r');
        close_world(&world);
    }
}
END_TEST

/* ---- truncates ---- */

START_TEST(a_truncate_is_dropped_where_no_loaded_chunk_lacks_it)
{
    struct world world;
    open_planned(&world, false, false);
    ck_assert_int_eq(judge_truncate(&world, 740), 'd');
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    ck_assert_int_eq(judge_truncate(&world, 745), 'd');
    ck_assert_int_eq(world.resets, 0);
    close_world(&world);
}
END_TEST

START_TEST(a_truncate_is_applied_where_no_chunk_holds_what_came_after)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    claim(&world, 1);
    load(&world, 1, NULL, "751:751:", 510);
    ck_assert_int_eq(judge_truncate(&world, 760), 'a');
    ck_assert_int_eq(judge(&world, 761, "5"), 'a');
    close_world(&world);
}
END_TEST

START_TEST(a_truncate_amid_the_copy_makes_it_begin_anew)
{
    struct world world;
    uint32_t lane;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    world.kept = 1;
    ck_assert_int_eq(judge_truncate(&world, 760), 'r');
    ck_assert_int_eq(judge(&world, 761, "5"), 'r');
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_BUSY);
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(world.resets, 1);
    ck_assert(!world.reset_whole);
    ck_assert_int_eq(judge_truncate(&world, 760), 'd');
    expect_note(&world, "760");
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_PLAN);
    close_world(&world);
}
END_TEST

/* ---- clashes ---- */

START_TEST(chunks_that_clash_make_the_copy_begin_anew_as_one)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    ck_assert(world.contract->ops->refused(world.contract, 0));
    struct chunk_place place;
    ck_assert(!handoff_open(world.handoff, 0, 0, &place));
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    world.kept = 1;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert(world.reset_whole);
    ck_assert(handoff_must_be_whole(world.handoff, 0));
    plan(&world, true, false);
    ck_assert(!world.contract->ops->refused(world.contract, 0));
    close_world(&world);
}
END_TEST

START_TEST(a_table_with_rows_of_others_is_not_emptied_for_a_clash)
{
    struct world world;
    struct chunk_place place;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    char *upto[] = {(char[]){"100"}};
    const struct chunk_record record = {
        .upto = upto, .snapshot = (char[]){"750:750:"}, .lsn = 5, .met = 1};
    ck_assert_int_eq(handoff_loaded(world.handoff, 0, &record, &world.err), CHUNK_IS_LOADED);
    ck_assert(!world.contract->ops->refused(world.contract, 0));
    ck_assert(!handoff_begin_anew(world.handoff, 0));
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert(place.staged);
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_that_failed_at_rows_of_others_tells_as_well)
{
    struct world world;
    open_planned(&world, false, false);
    handoff_met_rows(world.handoff, 0);
    ck_assert(!handoff_begin_anew(world.handoff, 0));
    close_world(&world);
}
END_TEST

START_TEST(a_stream_without_changes_hears_that_a_copy_must_begin_anew)
{
    struct world world;
    open_planned(&world, false, false);
    ck_assert(world.contract->ops->goes_on(world.contract, &world.err));
    ck_assert(!handoff_is_barred(world.handoff, 0));
    ck_assert(handoff_begin_anew(world.handoff, 0));
    ck_assert(handoff_is_barred(world.handoff, 0));
    ck_assert(!world.contract->ops->goes_on(world.contract, &world.err));
    ck_assert_int_eq(world.err.class, ERR_RETRY);
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert(world.contract->ops->goes_on(world.contract, &world.err));
    ck_assert(!handoff_is_barred(world.handoff, 0));
    close_world(&world);
}
END_TEST

START_TEST(rows_of_the_application_are_not_emptied_for_a_clash)
{
    struct world world;
    open_planned(&world, false, true);
    ck_assert(!world.contract->ops->refused(world.contract, 0));
    close_world(&world);
}
END_TEST

START_TEST(a_table_that_cannot_be_emptied_ends_the_resuming)
{
    struct world world;
    open_planned(&world, false, false);
    world.reset_fails = true;
    ck_assert(handoff_begin_anew(world.handoff, 0));
    ck_assert(!world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(world.err.class, ERR_DATA);
    close_world(&world);
}
END_TEST

/* ---- a target that came back ---- */

START_TEST(chunks_that_the_target_has_lost_are_to_come_again)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    load(&world, 0, "200", "750:750:", 510);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    world.kept = 2;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(judge(&world, 760, "150"), 'a');
    ck_assert_int_eq(world.reloads, 0);
    world.kept = 1;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(world.reloads, 1);
    ck_assert_uint_eq(world.chunks_reloaded, 1);
    ck_assert_int_eq(judge(&world, 760, "50"), 'a');
    ck_assert_int_eq(judge(&world, 760, "150"), 'd');
    claim(&world, 0);
    ck_assert_uint_eq(start_reading(&world, 0, "770:770:").number, 1);
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_behind_a_lost_one_does_not_stand_for_it)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    world.kept = 1;
    ck_assert(world.contract->ops->still_kept(world.contract, &world.err));
    world.first_kept = 1;
    ck_assert(!world.contract->ops->still_kept(world.contract, &world.err));
    ck_assert_int_eq(world.err.class, ERR_RETRY);
    close_world(&world);
}
END_TEST

START_TEST(what_was_emptied_and_is_back_is_taken_up_again)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    world.kept = 1;
    ck_assert_int_eq(judge_truncate(&world, 760), 'r');
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    world.kept = 0;
    ck_assert(world.contract->ops->still_kept(world.contract, &world.err));
    world.kept = 1;
    world.reset_is_lost = true;
    ck_assert(!world.contract->ops->still_kept(world.contract, &world.err));
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(judge(&world, 761, "50"), 'a');
    claim(&world, 0);
    struct chunk_place place = start_reading(&world, 0, "770:770:");
    ck_assert_uint_eq(place.number, 1);
    ck_assert_uint_eq(place.begun, 0);
    close_world(&world);
}
END_TEST

START_TEST(a_copy_that_has_lost_chunks_is_not_finished)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    world.kept_finished = true;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert(!handoff_all_copied(world.handoff));
    claim(&world, 0);
    close_world(&world);
}
END_TEST

START_TEST(chunks_that_came_meanwhile_are_no_loss)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    world.kept = 2;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(judge(&world, 760, "150"), 'd'); /* not known here yet */
    close_world(&world);
}
END_TEST

/* Its commit may have been one of a target that is gone. */
START_TEST(a_chunk_that_a_comparison_did_not_know_of_is_to_be_asked_for)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "750:750:");
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    char *upto[] = {(char[]){"100"}};
    const struct chunk_record record = {
        .upto = upto, .snapshot = (char[]){"750:750:"}, .lsn = 5};
    ck_assert_int_eq(handoff_loaded(world.handoff, 0, &record, &world.err), CHUNK_TO_ASK);
    ck_assert_int_eq(handoff_loaded(world.handoff, 0, &record, &world.err), CHUNK_IS_LOADED);
    close_world(&world);
}
END_TEST

START_TEST(a_target_that_does_not_answer_ends_the_resuming)
{
    struct world world;
    open_planned(&world, false, false);
    world.load_fails = true;
    ck_assert(!world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_eq(world.err.class, ERR_RETRY);
    close_world(&world);
}
END_TEST

/* ---- the end ---- */

START_TEST(complete_when_all_is_loaded_kept_and_passed)
{
    struct world world;
    uint32_t lane;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 600);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    claim(&world, 1);
    load(&world, 1, NULL, "751:751:", 500);
    handoff_release(world.handoff, 0, CLAIM_LANE, 1);
    world.contract->ops->passed(world.contract, 700, 700);
    ck_assert(!handoff_is_complete(world.handoff)); /* not kept yet */
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_LAST);
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_BUSY);
    handoff_finished(world.handoff, 0);
    ck_assert(handoff_all_copied(world.handoff));
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_DONE);
    world.contract->ops->passed(world.contract, 700, 720);
    world.contract->ops->passed(world.contract, 720, 730);
    ck_assert(!handoff_is_complete(world.handoff)); /* the commit came before the last chunk */
    world.contract->ops->passed(world.contract, 730, 730);
    ck_assert(handoff_is_complete(world.handoff));
    ck_assert_int_eq(judge(&world, 740, "5"), 'a');
    expect_note(&world, "");
    close_world(&world);
}
END_TEST

/* A row that the last run read again may be as new as the source was then. */
START_TEST(the_stream_must_pass_where_the_source_was_at_the_start)
{
    struct world world;
    uint32_t lane;
    open_world(&world);
    world.started_at = 900;
    ck_assert(create(&world, ""));
    plan(&world, true, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 600);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_LAST);
    handoff_finished(world.handoff, 0);
    world.contract->ops->passed(world.contract, 898, 898);
    world.contract->ops->passed(world.contract, 899, 899);
    ck_assert(!handoff_is_complete(world.handoff));
    world.contract->ops->passed(world.contract, 900, 900);
    ck_assert(handoff_is_complete(world.handoff));
    close_world(&world);
}
END_TEST

START_TEST(a_passed_chunk_judges_no_more)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    load(&world, 0, "100", "750:750:", 500);
    load(&world, 0, "200", "750:750:", 600);
    world.contract->ops->passed(world.contract, 550, 550);
    ck_assert_int_eq(judge(&world, 740, "5"), 'a');
    ck_assert_int_eq(judge(&world, 740, "150"), 'd');
    close_world(&world);
}
END_TEST

START_TEST(a_whole_table_needs_no_key)
{
    struct world world;
    struct value value = {"x", 1, VALUE_TEXT};
    const struct row row = {&value, 1};
    enum handoff_verdict verdict;
    open_planned(&world, true, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    ck_assert(world.contract->ops->judge(world.contract, 0, 749, world.relation, &row, &verdict,
                                         &world.err));
    ck_assert_int_eq(verdict, HANDOFF_DROP);
    close_world(&world);
}
END_TEST

START_TEST(a_change_without_its_key_is_refused)
{
    struct world world;
    struct value values[] = {{"x", 1, VALUE_TEXT}, {NULL, 0, VALUE_UNCHANGED}};
    const struct row row = {values, 2};
    enum handoff_verdict verdict;
    open_planned(&world, false, false);
    ck_assert(!world.contract->ops->judge(world.contract, 0, 750, world.relation, &row,
                                          &verdict, &world.err));
    ck_assert_int_eq(world.err.class, ERR_DATA);
    close_world(&world);
}
END_TEST

/* ---- keys that the source is asked about ---- */

static void open_asked(struct world *world)
{
    static const struct key_places_ops OPS = {.find = find_places, .forget = forget_places};
    open_world(world);
    world->column.order = KEY_ASKED;
    world->places.ops = &OPS;
    ck_assert(create(world, ""));
}

static void foresee(struct world *world, const char *id)
{
    struct value values[] = {{"x", 1, VALUE_TEXT}, {id, (uint32_t)strlen(id), VALUE_TEXT}};
    const struct row row = {values, 2};
    world->contract->ops->foresee(world->contract, 0, world->relation, &row);
}

START_TEST(the_source_tells_the_lane_of_a_key)
{
    struct world world;
    open_asked(&world);
    foresee(&world, "1");
    ck_assert_int_eq(judge(&world, 740, "0001"), 'd');
    ck_assert_int_eq(world.asked, 0); /* there are no lanes yet */
    plan(&world, false, false);
    claim(&world, 0);
    struct chunk_place place = start_reading(&world, 0, "750:750:");
    ck_assert(place.to_end);
    loaded(&world, 0, 0, NULL, "750:750:", 500);
    ck_assert_int_eq(judge(&world, 760, "999"), 'a');
    ck_assert_int_eq(judge(&world, 740, "999"), 'd');
    ck_assert_int_eq(judge(&world, 760, "0001"), 'd'); /* its chunk is to come */
    claim(&world, 1);
    load(&world, 1, NULL, "765:765:", 600);
    ck_assert_int_eq(judge(&world, 770, "0001"), 'a');
    ck_assert_int_eq(world.asked, 2);
    close_world(&world);
}
END_TEST

START_TEST(a_batch_of_keys_is_asked_about_at_once)
{
    struct world world;
    char id[16];
    open_asked(&world);
    plan(&world, false, false);
    claim(&world, 0);
    claim(&world, 1);
    load(&world, 1, NULL, "750:750:", 500);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof id, "%d", i);
        foresee(&world, id);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof id, "%d", i);
        ck_assert_int_eq(judge(&world, 760, id), i >= 1000 ? 'a' : 'd');
    }
    ck_assert_int_eq(world.asked, 1);
    close_world(&world);
}
END_TEST

/* Of what was foreseen before there were bounds nobody could be asked. */
START_TEST(a_table_that_is_cut_in_mid_batch_is_foreseen_again)
{
    struct world world;
    open_asked(&world);
    ck_assert(!world.contract->ops->foresees_more(world.contract));
    plan(&world, false, false);
    ck_assert(world.contract->ops->foresees_more(world.contract));
    ck_assert(!world.contract->ops->foresees_more(world.contract));
    close_world(&world);
    open_asked(&world);
    plan(&world, true, false); /* whole */
    ck_assert(!world.contract->ops->foresees_more(world.contract));
    close_world(&world);
}
END_TEST

START_TEST(without_the_sources_answer_nothing_is_judged)
{
    struct world world;
    open_asked(&world);
    plan(&world, false, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    world.source_away = true;
    ck_assert_int_eq(judge(&world, 760, "5"), 'r');
    world.source_away = false;
    ck_assert_int_eq(judge(&world, 760, "5"), 'a');
    struct value values[] = {{"x", 1, VALUE_TEXT}, {NULL, 0, VALUE_UNCHANGED}};
    const struct row row = {values, 2};
    enum handoff_verdict verdict;
    ck_assert(!world.contract->ops->judge(world.contract, 0, 760, world.relation, &row,
                                          &verdict, &world.err));
    ck_assert_int_eq(world.err.class, ERR_DATA);
    close_world(&world);
}
END_TEST

START_TEST(a_change_is_told_by_the_column_that_it_lacks)
{
    struct world world;
    struct value values[] = {{NULL, 0, VALUE_UNCHANGED}, {"5", 1, VALUE_TEXT}};
    const struct row row = {values, 2};
    enum handoff_verdict verdict;
    open_asked(&world);
    const struct copy_key_column columns[] = {
        world.column, {.name = "v", .type = "pg_catalog.text", .order = KEY_ASKED}};
    handoff_destroy(world.handoff);
    world.key = (struct copy_key){2, columns};
    ck_assert(create(&world, ""));
    struct copy_plan made = plan_of(false, false);
    made.bounds[0] = mem_grow(made.bounds[0], 3, sizeof **made.bounds);
    made.bounds[0][1] = mem_string("a");
    made.bounds[0][2] = NULL;
    uint32_t lane;
    ck_assert_int_eq(handoff_claim(world.handoff, 0, &lane), CLAIM_PLAN);
    ck_assert(handoff_planned(world.handoff, 0, &made, &world.err));
    ck_assert(!world.contract->ops->judge(world.contract, 0, 750, world.relation, &row,
                                          &verdict, &world.err));
    ck_assert_int_eq(world.err.class, ERR_DATA);
    ck_assert_msg(strstr(world.err.message, "that v does") != NULL, "%s", world.err.message);
    ck_assert_int_eq(world.asked, 0);
    close_world(&world);
}
END_TEST

START_TEST(what_was_told_is_forgotten_with_the_bounds)
{
    struct world world;
    open_asked(&world);
    plan(&world, false, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    handoff_release(world.handoff, 0, CLAIM_LANE, 0);
    ck_assert_int_eq(judge(&world, 760, "5"), 'a');
    ck_assert_int_eq(judge_truncate(&world, 770), 'r');
    world.kept = 1;
    ck_assert(world.contract->ops->resume(world.contract, &world.err));
    ck_assert_int_gt(world.forgotten, 0);
    plan(&world, false, false);
    ck_assert_int_eq(judge(&world, 760, "5"), 'd');
    ck_assert_int_eq(world.asked, 2);
    close_world(&world);
}
END_TEST

START_TEST(the_table_that_the_stream_has_passed_is_forgotten)
{
    struct world world;
    open_asked(&world);
    plan(&world, false, false);
    for (uint32_t lane = 0; lane < 2; lane++) {
        claim(&world, lane);
        load(&world, lane, NULL, "750:750:", 500);
        handoff_release(world.handoff, 0, CLAIM_LANE, lane);
    }
    ck_assert_int_eq(judge(&world, 760, "5"), 'a');
    handoff_finished(world.handoff, 0);
    world.contract->ops->passed(world.contract, 600, 600);
    ck_assert_int_eq(world.forgotten, 0);
    world.contract->ops->passed(world.contract, 601, 601);
    ck_assert_int_eq(world.forgotten, 1);
    world.contract->ops->passed(world.contract, 602, 602);
    ck_assert_int_eq(world.forgotten, 1);
    close_world(&world);
}
END_TEST

START_TEST(a_whole_copy_asks_nobody)
{
    struct world world;
    open_asked(&world);
    plan(&world, true, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    foresee(&world, "5");
    ck_assert_int_eq(judge(&world, 760, "5"), 'a');
    ck_assert_int_eq(world.asked, 0);
    close_world(&world);
}
END_TEST

/* What orders the keys is part of what they are: another library may order otherwise. */
START_TEST(a_copy_by_another_version_of_the_collation_is_refused)
{
    struct world world;
    open_asked(&world);
    handoff_destroy(world.handoff);
    world.handoff = NULL;
    world.column.collation = "pg_catalog.\"en_US\"";
    world.column.version = "2.36";
    world.copy = (struct table_copy){.needed = true, .plan = plan_of(false, false)};
    world.copy.plan.key = copy_key_text(&world.key);
    ck_assert_str_eq(world.copy.plan.key,
                     "id pg_catalog.int4 COLLATE pg_catalog.\"en_US\" 2.36");
    world.column.version = "2.39";
    ck_assert(!create(&world, ""));
    ck_assert_int_eq(world.err.class, ERR_CONFIG);
    ck_assert(strstr(world.err.message, "2.36") != NULL);
    close_world(&world);
}
END_TEST

START_TEST(a_table_that_waits_is_neither_copied_nor_waited_for)
{
    struct world world;
    struct arena arena;
    open_world(&world);
    world.waits = true;
    arena_init(&arena, 1 << 16);
    ck_assert(create(&world, ""));
    ck_assert(handoff_is_settled(world.handoff));
    ck_assert(handoff_all_copied(world.handoff));
    ck_assert(!handoff_is_complete(world.handoff));
    ck_assert_int_eq(judge(&world, 740, "5"), 'd');
    ck_assert_int_eq(judge(&world, 750, "5"), 'd');
    ck_assert_str_eq(world.contract->ops->note(world.contract, &arena), "740,750");
    ck_assert(handoff_seen(world.handoff, "745:745:", &world.err)); /* some session's */
    ck_assert_str_eq(world.contract->ops->note(world.contract, &arena), "750");
    ck_assert(!handoff_seen(world.handoff, "nothing", &world.err));
    arena_free(&arena);
    close_world(&world);
}
END_TEST

START_TEST(what_is_kept_is_taken_up_again)
{
    struct world world;
    char *upto[] = {mem_string("100")};
    open_world(&world);
    world.copy.plan = plan_of(false, true);
    world.copy.key_count = 1;
    world.copy.chunk_count = 1;
    world.copy.chunks = mem_zero(1, sizeof *world.copy.chunks);
    world.copy.chunks[0] = (struct chunk_record){
        .upto = mem_zero(1, sizeof(char *)), .snapshot = mem_string("750:750:"), .lsn = 500};
    world.copy.chunks[0].upto[0] = upto[0];
    ck_assert(create(&world, ""));
    ck_assert_int_eq(judge(&world, 740, "100"), 'd');
    ck_assert_int_eq(judge(&world, 750, "100"), 'a');
    claim(&world, 0);
    struct chunk_place place = start_reading(&world, 0, "760:760:");
    ck_assert_uint_eq(place.number, 1);
    ck_assert(place.staged);
    ck_assert_str_eq(place.range.after[0], "100");
    ck_assert_str_eq(place.range.below[0], "1000");
    ck_assert_ptr_null(place.range.from);
    claim(&world, 1);
    place = start_reading(&world, 1, "760:760:");
    ck_assert_str_eq(place.range.from[0], "1000");
    ck_assert_ptr_null(place.range.below);
    close_world(&world);
}
END_TEST

/* ---- where foreign keys are enforced ---- */

/* The apply thread is at the first of two transactions. */
static void stand_at(struct world *world, xid_t first, lsn_t end, xid_t second,
                     lsn_t second_end)
{
    static struct transaction transactions[2];
    transactions[0] = (struct transaction){.xid = first, .end_lsn = end};
    transactions[1] = (struct transaction){.xid = second, .end_lsn = second_end};
    world->coming = (struct batch){
        .transactions = transactions, .transaction_count = 2, .end_lsn = second_end};
    world->contract->ops->reached(world->contract, end - 1, &world->coming);
}

static enum stream_verdict await(struct world *world, lsn_t lsn)
{
    return handoff_await(world->handoff, 0, 0, lsn, clock_monotonic(), &world->stands_on,
                         &world->err);
}

/* Sees 701 and 708, neither 705 nor what is from 710 on. */
static void open_awaiting(struct world *world)
{
    open_planned(world, false, false);
    claim(world, 0);
    start_reading(world, 0, "705:710:705");
    ck_assert_int_eq(await(world, 500), STREAM_BEHIND);
    stop_request(&world->stop); /* who waits does not wait for long */
}

START_TEST(a_chunk_waits_until_the_stream_is_where_its_snapshot_is)
{
    struct world world;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "705:710:705");
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    world.contract->ops->reached(world.contract, 499, NULL);
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    world.contract->ops->reached(world.contract, LSN_NONE, NULL);
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    world.contract->ops->reached(world.contract, 500, NULL);
    ck_assert_int_eq(await(&world, 500), STREAM_THERE);
    ck_assert_uint_eq(world.stands_on, 500);
    world.contract->ops->ended(world.contract); /* and may go back */
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    close_world(&world);
}
END_TEST

/* Table 0 has a parent, which is loaded. */
START_TEST(the_stream_is_asked_for_more_while_a_chunk_is_to_be_let_in)
{
    struct world world;
    open_world(&world);
    struct copy_key keys[] = {world.key, world.key};
    struct table_copy copies[] = {{.needed = true}, {.needed = false}};
    uint32_t parent = 1;
    const struct copy_parents parents[] = {{1, &parent}, {0, NULL}};
    const struct handoff_config config = {.table_count = 2,
                                          .keys = keys,
                                          .copies = copies,
                                          .note = "",
                                          .initial = &world.initial,
                                          .parents = parents,
                                          .stop = &world.stop};
    struct chunk_place place;
    ck_assert(handoff_create(&config, &world.handoff, &world.err));
    world.contract = handoff_contract(world.handoff);
    plan(&world, false, false);
    claim(&world, 0);
    ck_assert(!world.contract->ops->gathers(world.contract, 100));
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert(world.contract->ops->gathers(world.contract, 900)); /* how far is not known yet */
    ck_assert_int_eq(handoff_read(world.handoff, 0, 0, "760:760:", &world.err), SNAPSHOT_TAKEN);
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    ck_assert(world.contract->ops->gathers(world.contract, 499));
    ck_assert(!world.contract->ops->gathers(world.contract, 500));
    world.contract->ops->reached(world.contract, 500, NULL);
    ck_assert_int_eq(await(&world, 500), STREAM_THERE);
    ck_assert(!world.contract->ops->gathers(world.contract, 100));
    handoff_failed(world.handoff, 0, 0);
    ck_assert(handoff_open(world.handoff, 0, 0, &place));
    ck_assert(world.contract->ops->gathers(world.contract, 900));
    handoff_failed(world.handoff, 0, 0);
    ck_assert(!world.contract->ops->gathers(world.contract, 100));
    close_world(&world);
}
END_TEST

START_TEST(what_is_before_a_change_for_a_waiting_chunk_goes_first)
{
    struct world world;
    open_awaiting(&world);
    stand_at(&world, 701, 100, 705, 200);
    ck_assert_int_eq(judge(&world, 705, "5"), 'l');
    ck_assert_int_eq(judge_truncate(&world, 705), 'l');
    ck_assert_int_eq(judge(&world, 701, "5"), 'd');
    ck_assert_int_eq(await(&world, 500), STREAM_BEHIND);
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_gives_way_to_a_change_that_what_it_sees_comes_behind)
{
    struct world world;
    open_awaiting(&world);
    stand_at(&world, 705, 200, 708, 300);
    ck_assert_int_eq(judge(&world, 705, "5"), 's');
    ck_assert_int_eq(await(&world, 500), STREAM_STUCK);
    handoff_failed(world.handoff, 0, 0);
    ck_assert_int_eq(judge(&world, 705, "5"), 'd'); /* the next snapshot must see it */
    close_world(&world);
}
END_TEST

START_TEST(a_chunk_gives_way_where_what_comes_is_not_known)
{
    struct world world;
    open_awaiting(&world);
    stand_at(&world, 705, 200, 712, 300); /* something may end between 300 and 500 */
    ck_assert_int_eq(judge(&world, 705, "5"), 's');
    ck_assert_int_eq(await(&world, 500), STREAM_STUCK);
    close_world(&world);
}
END_TEST

struct awaiter {
    struct world *world;
    enum stream_verdict verdict;
};

static void *wait_and_let_go(void *argument)
{
    struct awaiter *waiter = argument;
    struct err err = {0};
    waiter->verdict = handoff_await(waiter->world->handoff, 0, 0, 500, clock_monotonic() + LONG,
                                    &waiter->world->stands_on, &err);
    handoff_failed(waiter->world->handoff, 0, 0);
    return NULL;
}

START_TEST(a_chunk_waits_no_more_when_nothing_that_it_sees_is_to_come)
{
    struct world world;
    struct awaiter waiter = {.world = &world};
    pthread_t thread;
    open_planned(&world, false, false);
    claim(&world, 0);
    start_reading(&world, 0, "705:710:705");
    world.contract->ops->reached(world.contract, 150, NULL);
    stand_at(&world, 705, 200, 712, 600);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_let_go, &waiter), 0);
    ck_assert_int_eq(judge(&world, 705, "5"), 'd');
    pthread_join(thread, NULL);
    ck_assert_int_eq(waiter.verdict, STREAM_THERE);
    ck_assert_uint_eq(world.stands_on, 150); /* nothing was committed between that and 200 */
    close_world(&world);
}
END_TEST

START_TEST(an_open_transaction_may_hide_what_the_chunk_sees)
{
    struct world world;
    open_awaiting(&world);
    stand_at(&world, 705, 200, 712, 600);
    world.coming.begins_open = true;
    ck_assert_int_eq(judge(&world, 705, "5"), 's');
    ck_assert_int_eq(await(&world, 500), STREAM_STUCK);
    close_world(&world);
}
END_TEST

/* Table 1 refers to table 0. */
START_TEST(children_begin_when_all_of_their_parents_is_loaded)
{
    struct world world;
    open_world(&world);
    struct copy_key keys[] = {world.key, world.key};
    struct table_copy copies[] = {{.needed = true}, {.needed = true}};
    uint32_t parent = 0;
    const struct copy_parents parents[] = {{0, NULL}, {1, &parent}};
    const struct handoff_config config = {.table_count = 2,
                                          .keys = keys,
                                          .copies = copies,
                                          .note = "",
                                          .initial = &world.initial,
                                          .parents = parents,
                                          .stop = &world.stop};
    struct copy_plan made = plan_of(false, false);
    struct chunk_place place;
    uint32_t lane;
    ck_assert(handoff_create(&config, &world.handoff, &world.err));
    world.contract = handoff_contract(world.handoff);
    ck_assert_int_eq(handoff_claim(world.handoff, 1, &lane), CLAIM_BUSY);
    plan(&world, true, false);
    claim(&world, 0);
    load(&world, 0, NULL, "750:750:", 500);
    ck_assert_int_eq(handoff_claim(world.handoff, 1, &lane), CLAIM_PLAN);
    ck_assert(handoff_planned(world.handoff, 1, &made, &world.err));
    ck_assert_int_eq(handoff_claim(world.handoff, 1, &lane), CLAIM_LANE);
    ck_assert(handoff_open(world.handoff, 1, lane, &place));
    ck_assert_int_eq(handoff_read(world.handoff, 1, lane, "760:760:", &world.err),
                     SNAPSHOT_TAKEN);
    world.contract->ops->reached(world.contract, 500, NULL);
    ck_assert_int_eq(
        handoff_await(world.handoff, 1, lane, 500, LSN_NONE, &world.stands_on, &world.err),
        STREAM_THERE);
    ck_assert(!world.contract->ops->refused(world.contract, 0)); /* its rows are referred to */
    close_world(&world);
}
END_TEST

START_TEST(what_does_not_fit_together_is_refused)
{
    struct world world;
    open_world(&world);
    ck_assert(!create(&world, "nonsense"));
    ck_assert_int_eq(world.err.class, ERR_CORRUPT);
    world.copy.plan = plan_of(false, false);
    strcpy(world.copy.plan.bounds[0][0], "x");
    ck_assert(!create(&world, ""));
    ck_assert_int_eq(world.err.class, ERR_CORRUPT);
    close_world(&world);
}
END_TEST

START_TEST(without_a_copy_nothing_is_judged)
{
    struct world world;
    open_world(&world);
    world.copy.needed = false;
    ck_assert(create(&world, ""));
    ck_assert(handoff_is_complete(world.handoff));
    ck_assert(world.contract->ops->passed_by(world.contract, 0));
    ck_assert_int_eq(judge(&world, 5, "5"), 'a');
    ck_assert_int_eq(judge_truncate(&world, 5), 'a');
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        before_a_plan_everything_is_to_come,
        a_loaded_chunk_holds_what_its_snapshot_sees,
        chunks_of_a_lane_are_told_apart_by_their_last_keys,
        a_chunk_must_see_what_was_dropped_for_it,
        a_chunk_must_see_what_was_kept_with_the_position,
        a_chunk_must_see_what_the_slot_starts_after,
        a_copy_made_again_must_see_all_that_had_begun_before_it,
        one_workers_snapshot_does_not_speak_for_anothers,
        what_a_lost_snapshot_saw_is_not_taken_for_seen,
        a_change_in_flight_waits_and_is_applied_behind_its_chunk,
        a_change_behind_the_end_of_a_chunk_in_flight_is_to_come,
        a_chunk_that_failed_is_to_come_again,
        while_a_snapshot_is_being_taken_a_change_waits,
        a_chunk_that_is_there_and_cannot_be_taken_stays_in_flight,
        waiting_ends_with_the_stop_and_with_the_copy,
        a_truncate_is_dropped_where_no_loaded_chunk_lacks_it,
        a_truncate_is_applied_where_no_chunk_holds_what_came_after,
        a_truncate_amid_the_copy_makes_it_begin_anew,
        chunks_that_clash_make_the_copy_begin_anew_as_one,
        a_table_with_rows_of_others_is_not_emptied_for_a_clash,
        a_chunk_that_failed_at_rows_of_others_tells_as_well,
        a_stream_without_changes_hears_that_a_copy_must_begin_anew,
        rows_of_the_application_are_not_emptied_for_a_clash,
        a_table_that_cannot_be_emptied_ends_the_resuming,
        chunks_that_the_target_has_lost_are_to_come_again,
        a_chunk_behind_a_lost_one_does_not_stand_for_it,
        what_was_emptied_and_is_back_is_taken_up_again,
        a_copy_that_has_lost_chunks_is_not_finished,
        chunks_that_came_meanwhile_are_no_loss,
        a_chunk_that_a_comparison_did_not_know_of_is_to_be_asked_for,
        a_target_that_does_not_answer_ends_the_resuming,
        complete_when_all_is_loaded_kept_and_passed,
        the_stream_must_pass_where_the_source_was_at_the_start,
        a_passed_chunk_judges_no_more,
        a_whole_table_needs_no_key,
        a_change_without_its_key_is_refused,
        the_source_tells_the_lane_of_a_key,
        a_batch_of_keys_is_asked_about_at_once,
        a_table_that_is_cut_in_mid_batch_is_foreseen_again,
        without_the_sources_answer_nothing_is_judged,
        a_change_is_told_by_the_column_that_it_lacks,
        what_was_told_is_forgotten_with_the_bounds,
        the_table_that_the_stream_has_passed_is_forgotten,
        a_whole_copy_asks_nobody,
        a_copy_by_another_version_of_the_collation_is_refused,
        a_table_that_waits_is_neither_copied_nor_waited_for,
        what_is_kept_is_taken_up_again,
        a_chunk_waits_until_the_stream_is_where_its_snapshot_is,
        what_is_before_a_change_for_a_waiting_chunk_goes_first,
        a_chunk_gives_way_to_a_change_that_what_it_sees_comes_behind,
        a_chunk_gives_way_where_what_comes_is_not_known,
        a_chunk_waits_no_more_when_nothing_that_it_sees_is_to_come,
        an_open_transaction_may_hide_what_the_chunk_sees,
        children_begin_when_all_of_their_parents_is_loaded,
        the_stream_is_asked_for_more_while_a_chunk_is_to_be_let_in,
        what_does_not_fit_together_is_refused,
        without_a_copy_nothing_is_judged,
    };
    return unit_run("handoff", tests, UNIT_COUNT(tests));
}
