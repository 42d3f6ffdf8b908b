/* The stream between a source and a sink in memory: both threads, the supervisor, and all that
 * may fail around them. */
#include "dice.h"
#include "no_threads.h"
#include "pipeline/handover.h"
#include "stream_world.h"

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void append_many(struct world *world, uint64_t *dice, int transactions, uint32_t most)
{
    for (int i = 0; i < transactions; i++)
        world_append(world, dice_below(dice, most + 1));
}

static void expect_end(struct world *world, enum err_class class)
{
    ck_assert(!world_supervise(world));
    ck_assert_msg(world->err.class == class, "%s: %s", err_class_name(world->err.class),
                  world->err.message);
}

/* A handoff whose copy must begin anew once. */
struct restarter {
    struct handoff handoff;
    int resumed;
    int ended;
    atomic_uint asked;
    _Atomic lsn_t gathers_to;
};

static bool restarter_resume(struct handoff *handoff, struct err *err)
{
    (void)err;
    ((struct restarter *)(void *)handoff)->resumed++;
    return true;
}

static bool restarter_goes_on(struct handoff *handoff, struct err *err)
{
    return ((struct restarter *)(void *)handoff)->resumed > 1 ||
           err_set(err, ERR_RETRY, "the copy must begin anew");
}

static bool restarter_has_passed(const struct handoff *handoff, uint32_t table)
{
    (void)handoff, (void)table;
    return true;
}

static const char *restarter_note(const struct handoff *handoff, struct arena *arena)
{
    (void)handoff, (void)arena;
    return "";
}

static void restarter_passed(struct handoff *handoff, lsn_t durable, lsn_t applied)
{
    (void)handoff, (void)durable, (void)applied;
}

static void restarter_reached(struct handoff *handoff, lsn_t applied,
                              const struct batch *coming)
{
    (void)handoff, (void)applied, (void)coming;
}

/* As long as a chunk waits for what is past the batch. */
static bool restarter_gathers(struct handoff *handoff, lsn_t upto)
{
    struct restarter *restarter = (struct restarter *)(void *)handoff;
    atomic_fetch_add(&restarter->asked, 1);
    return upto < atomic_load(&restarter->gathers_to);
}

static void restarter_ended(struct handoff *handoff)
{
    ((struct restarter *)(void *)handoff)->ended++;
}

static bool restarter_is_complete(const struct handoff *handoff)
{
    return ((const struct restarter *)(const void *)handoff)->resumed > 1;
}

static const struct handoff_ops RESTARTER = {.resume = restarter_resume,
                                             .reached = restarter_reached,
                                             .gathers = restarter_gathers,
                                             .ended = restarter_ended,
                                             .goes_on = restarter_goes_on,
                                             .passed_by = restarter_has_passed,
                                             .note = restarter_note,
                                             .passed = restarter_passed,
                                             .complete = restarter_is_complete};

static bool is_first(struct world *world)
{
    return atomic_fetch_add(&world->counted, 1) == 0;
}

/* ---- in order ---- */

START_TEST(a_copy_that_must_begin_anew_restarts_a_stream_without_changes)
{
    struct restarter restarter = {.handoff.ops = &RESTARTER};
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 4});
    world.stream.handoff = &restarter.handoff;
    world_append(&world, 0);
    world_stream_to_end(&world);
    ck_assert_int_eq(restarter.resumed, 2);
    ck_assert_int_eq(restarter.ended, 2);
    ck_assert_uint_eq(counter_get(&world.progress.reconnects), 1);
    world_close(&world);
}
END_TEST

START_TEST(every_change_arrives_once_and_in_order)
{
    uint64_t dice = dice_seed();
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 7});
    append_many(&world, &dice, 300, 20); /* many of them over several batches */
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_le(memory_sink_tally(world.sink).most_changes, 7 + 7);
    ck_assert_uint_eq(counter_get(&world.progress.tables[0].applied), world.next_key - 1000);
    ck_assert_uint_eq(counter_get(&world.progress.transactions), 300);
    ck_assert(!world.progress.streaming);
    world_close(&world);
}
END_TEST

START_TEST(commits_come_at_the_ends_of_transactions)
{
    struct world world;
    size_t count;
    world_open(&world, &(struct world_config){.batch_changes = 4});
    for (uint32_t changes = 0; changes < 12; changes++)
        world_append(&world, changes);
    world_stream_to_end(&world);
    const struct memory_write *writes = memory_sink_writes(world.sink, &count);
    for (size_t i = 0; i < count; i++) {
        lsn_t end = writes[i].lsn - writes[i].lsn % WORLD_LSN_STEP + WORLD_LSN_STEP;
        ck_assert_uint_eq(writes[i].commit % WORLD_LSN_STEP, 0);
        ck_assert_uint_ge(writes[i].commit, end);
    }
    world_close(&world);
}
END_TEST

START_TEST(a_second_run_goes_on_from_the_checkpoint)
{
    struct world world;
    world_open(&world, &(struct world_config){0});
    lsn_t first_end = world_append(&world, 3);
    world_stream_to_end(&world);
    world_append(&world, 2);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_source_tally(world.source).started_from, first_end);
    world_stream_to_end(&world); /* nothing is left: it ends at once */
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

START_TEST(an_idle_source_moves_the_checkpoint_by_its_positions)
{
    struct world world;
    world_open(&world, &(struct world_config){0});
    world_append(&world, 1);
    world.end += 5000;
    memory_source_append_position(world.source, world.end);
    world_stream_to_end(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).checkpoint, world.end);
    world_close(&world);
}
END_TEST

/* While the first batch is being written, ten transactions come. */
static bool ten_come_meanwhile(struct world *world, enum memory_sink_call call,
                               const struct batch *batch, struct err *err)
{
    if (call != MEMORY_SINK_APPLY)
        return true;
    if (!atomic_load(&world->progress.streaming))
        return err_set(err, ERR_BUG, "nobody is told that it streams");
    if (!is_first(world))
        return batch->transaction_count == 10 ||
               err_set(err, ERR_BUG, "%u transactions", batch->transaction_count);
    for (int i = 0; i < 10; i++)
        world_append(world, 2);
    return memory_source_await_given(world->source, world->end,
                                     clock_monotonic() + WORLD_LONG) ||
           err_set(err, ERR_BUG, "the source was not read on");
}

START_TEST(what_comes_while_the_target_is_busy_becomes_one_batch)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_sink = ten_come_meanwhile});
    world_append(&world, 2);
    world.stream.until = world.end + 10 * WORLD_LSN_STEP;
    ck_assert_msg(stream_supervise(&world.stream, &world.err), "%s", world.err.message);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, 2);
    world_close(&world);
}
END_TEST

/* Each time the source is asked, one more transaction is at hand. */
static bool one_more_comes(struct world *world, enum memory_source_call call, lsn_t lsn,
                           struct err *err)
{
    (void)lsn, (void)err;
    if (call == MEMORY_SOURCE_RECEIVE)
        memory_source_show(world->source, (uint64_t)atomic_fetch_add(&world->counted, 1) + 1);
    return true;
}

START_TEST(behind_what_comes_bit_by_bit_becomes_large_batches)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_source = one_more_comes});
    for (int i = 0; i < 50; i++)
        world_append(&world, 1);
    memory_source_show(world.source, 0);
    memory_source_set_lag(world.source, 10 * USEC_PER_SEC);
    world_stream_to_end(&world);
    world_expect_all(&world);
    /* One, if this thread is never held up for HANDOVER_QUIET. */
    ck_assert_uint_le(memory_sink_tally(world.sink).applies, 10);
    world_close(&world);
}
END_TEST

/* Each write has one more come, and now and then lasts until that was read: whoever writes cannot
 * have done it. */
static bool some_writes_wait_for_the_next(struct world *world, enum memory_sink_call call,
                                          const struct batch *batch, struct err *err)
{
    if (call != MEMORY_SINK_APPLY)
        return true;
    memory_source_show(world->source, (uint64_t)atomic_fetch_add(&world->counted, 1) + 2);
    if (batch->end_lsn >= world->end || !dice_one_in(&world->dice, 5))
        return true;
    return memory_source_await_given(world->source, batch->end_lsn + WORLD_LSN_STEP,
                                     clock_monotonic() + WORLD_LONG) ||
           err_set(err, ERR_BUG, "the source was not read on");
}

START_TEST(whoever_receives_all_stays_in_order)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_sink = some_writes_wait_for_the_next});
    world.dice = dice_seed();
    for (int i = 0; i < 100; i++)
        world_append(&world, 1);
    memory_source_show(world.source, 1);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, 100);
    world_close(&world);
}
END_TEST

/* The C library's, for the stream too: the thread `held_up` loses the processor once, behind its
 * setting of a timer, until that was seen to fire. */
static pthread_t held_up;
static atomic_int hold_ups; /* that are to come */

int timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *old)
{
    int result = (int)syscall(SYS_timerfd_settime, fd, flags, timer, old);
    usec_t until = clock_monotonic() + WORLD_LONG;
    struct itimerspec left = *timer;
    struct pollfd unseen = {.fd = fd, .events = POLLIN};
    if (timer->it_value.tv_nsec == 0 || atomic_load(&hold_ups) == 0 ||
        !pthread_equal(pthread_self(), held_up))
        return result;
    while ((left.it_value.tv_nsec > 0 || poll(&unseen, 1, 0) == 1) &&
           clock_monotonic() < until) {
        (void)timerfd_gettime(fd, &left);
        sched_yield();
    }
    atomic_store(&hold_ups, 0);
    return result;
}

/* Each write has one more come, until the applier, which received that, was held up when it lent
 * the turn: then the write lasts until somebody else has it. */
static bool writes_until_held_up(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call != MEMORY_SINK_APPLY)
        return true;
    if (atomic_load(&hold_ups) > 0) {
        world_append(world, 1);
        world->stream.until = world->end;
        return true;
    }
    uint64_t before = memory_source_tally(world->source).feedbacks;
    return memory_source_await_feedback(world->source, before + 2,
                                        clock_monotonic() + WORLD_LONG) ||
           err_set(err, ERR_BUG, "nobody has taken the turn back");
}

START_TEST(a_lent_turn_is_taken_back_however_late_its_lender_is)
{
    struct world world;
    held_up = pthread_self();
    atomic_store(&hold_ups, 1);
    world_open(&world, &(struct world_config){.on_sink = writes_until_held_up});
    world_append(&world, 1);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_int_eq(atomic_load(&hold_ups), 0);
    world_close(&world);
}
END_TEST

/* Ours comes late, for what was before it belongs to others, and nothing follows. */
START_TEST(behind_a_transaction_that_nothing_follows_is_applied)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 1000});
    memory_source_set_lag(world.source, 10 * USEC_PER_SEC);
    for (int i = 0; i < 5; i++) {
        world_append(&world, 1);
        world_stream_to_end(&world);
    }
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

/* A source whose long waits, with something in the batch, end by a wake-up or far too late. */
struct patient {
    struct source source;
    struct source *inner;
    int holds_fd; /* eventfd: it is asked for more while something is in the batch */
    atomic_bool lapsed;
};

static struct patient *patient_of(struct source *source)
{
    return (struct patient *)(void *)source;
}

static bool patient_start(struct source *source, lsn_t from, struct err *err)
{
    struct source *inner = patient_of(source)->inner;
    return inner->ops->start(inner, from, err);
}

static enum source_result patient_receive(struct source *source, struct batch *batch,
                                          int wake_fd, usec_t until, struct err *err)
{
    struct patient *patient = patient_of(source);
    struct source *inner = patient->inner;
    uint64_t before = batch_size(batch);
    bool is_long = before > 0 && until - clock_monotonic() > 500 * USEC_PER_MS;
    if (before > 0)
        (void)eventfd_write(patient->holds_fd, 1);
    if (is_long)
        until = clock_monotonic() + WORLD_LONG;
    enum source_result result = inner->ops->receive(inner, batch, wake_fd, until, err);
    source->lag = inner->lag;
    if (is_long && batch_size(batch) == before && clock_monotonic() >= until)
        atomic_store(&patient->lapsed, true);
    return result;
}

static bool patient_feedback(struct source *source, lsn_t flushed, struct err *err)
{
    struct source *inner = patient_of(source)->inner;
    return inner->ops->feedback(inner, flushed, err);
}

static void patient_stop(struct source *source)
{
    struct source *inner = patient_of(source)->inner;
    inner->ops->stop(inner);
}

/* The first write lasts until the second transaction waits for it, for not longer. */
static bool lasts_until_more_waits(struct world *world, enum memory_sink_call call,
                                   const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call != MEMORY_SINK_APPLY || !is_first(world))
        return true;
    struct pollfd holds = {.fd = patient_of(world->stream.source)->holds_fd, .events = POLLIN};
    eventfd_t seen;
    (void)eventfd_read(holds.fd, &seen); /* of the first itself */
    memory_source_show(world->source, UINT64_MAX);
    return poll(&holds, 1, (int)(WORLD_LONG / USEC_PER_MS)) == 1 ||
           err_set(err, ERR_BUG, "the source was not asked for more");
}

START_TEST(behind_the_last_batch_goes_when_the_applier_turns_idle)
{
    static const struct source_ops OPS = {.start = patient_start,
                                          .receive = patient_receive,
                                          .feedback = patient_feedback,
                                          .stop = patient_stop};
    struct world world;
    world_open(&world, &(struct world_config){.on_sink = lasts_until_more_waits});
    struct patient patient = {.source.ops = &OPS,
                              .inner = world.stream.source,
                              .holds_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    world.stream.source = &patient.source;
    world_append(&world, 1);
    world_append(&world, 1);
    memory_source_show(world.source, 1);
    memory_source_set_lag(world.source, 10 * USEC_PER_SEC);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, 2);
    ck_assert(!patient.lapsed);
    world.stream.source = patient.inner;
    close(patient.holds_fd);
    world_close(&world);
}
END_TEST

/* Half a transaction is at hand; the other half comes when the source has been asked again. */
static bool second_half_comes(struct world *world, enum memory_source_call call, lsn_t lsn,
                              struct err *err)
{
    (void)lsn, (void)err;
    if (call == MEMORY_SOURCE_RECEIVE && atomic_fetch_add(&world->counted, 1) == 2)
        memory_source_show(world->source, UINT64_MAX);
    return true;
}

static bool must_be_whole(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    (void)world;
    return call != MEMORY_SINK_APPLY || (!batch->ends_open && !batch->begins_open) ||
           err_set(err, ERR_BUG, "a part of a transaction");
}

START_TEST(half_a_transaction_is_not_handed_over)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_source = second_half_comes,
                                              .on_sink = must_be_whole});
    world_append(&world, 4);
    memory_source_show(world.source, 2);
    world_stream_to_end(&world);
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

/* What is left of the transaction comes when its second piece is at the target. */
static bool last_piece_comes(struct world *world, enum memory_sink_call call,
                             const struct batch *batch, struct err *err)
{
    (void)err;
    if (call == MEMORY_SINK_APPLY && batch->begins_open)
        memory_source_show(world->source, UINT64_MAX);
    return true;
}

START_TEST(an_ample_piece_of_a_transaction_that_was_cut_goes)
{
    const uint32_t full = HANDOVER_AMPLE + 1;
    struct world world;
    world_open(&world,
               &(struct world_config){.batch_changes = full, .on_sink = last_piece_comes});
    world_append(&world, full + HANDOVER_AMPLE + 1);
    memory_source_show(world.source, full + HANDOVER_AMPLE);
    memory_source_set_lag(world.source, 10 * USEC_PER_SEC);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, 3);
    world_close(&world);
}
END_TEST

/* The second transaction comes when the first could be handed over. */
static bool second_comes(struct world *world, enum memory_source_call call, lsn_t lsn,
                         struct err *err)
{
    struct restarter *restarter = (struct restarter *)(void *)world->stream.handoff;
    (void)lsn, (void)err;
    if (call == MEMORY_SOURCE_RECEIVE && atomic_load(&restarter->asked) > 0)
        memory_source_show(world->source, UINT64_MAX);
    return true;
}

START_TEST(what_a_chunk_waits_for_is_handed_over_in_one)
{
    struct restarter restarter = {.handoff.ops = &RESTARTER, .resumed = 1};
    struct world world;
    world_open(&world, &(struct world_config){.on_source = second_comes});
    world.stream.handoff = &restarter.handoff;
    world_append(&world, 1);
    world_append(&world, 1);
    memory_source_show(world.source, 1);
    atomic_store(&restarter.gathers_to, world.end);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, 1);
    world_close(&world);
}
END_TEST

START_TEST(what_a_chunk_waits_for_is_not_waited_for_long)
{
    struct restarter restarter = {.handoff.ops = &RESTARTER, .resumed = 1};
    struct world world;
    world_open(&world, &(struct world_config){0});
    world.stream.handoff = &restarter.handoff;
    world_append(&world, 1);
    atomic_store(&restarter.gathers_to, world.end + 1);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_gt(atomic_load(&restarter.asked), 1);
    world_close(&world);
}
END_TEST

/* ---- what is durable ---- */

static bool flushes_at_the_fifth_question(struct world *world, enum memory_sink_call call,
                                          const struct batch *batch, struct err *err)
{
    (void)batch, (void)err;
    if (call == MEMORY_SINK_FLUSHED && atomic_fetch_add(&world->counted, 1) == 4)
        memory_sink_flush(world->sink);
    return true;
}

START_TEST(the_end_is_waited_for_until_it_is_durable)
{
    struct world world;
    world_open(&world, &(struct world_config){.flush_by_hand = true,
                                              .on_sink = flushes_at_the_fifth_question});
    world_append(&world, 3);
    world_stream_to_end(&world);
    ck_assert_uint_ge(memory_sink_tally(world.sink).flush_questions, 5);
    world_close(&world);
}
END_TEST

static bool flushes_now_and_then(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    (void)batch, (void)err;
    if (call == MEMORY_SINK_FLUSHED && dice_one_in(&world->dice, 4))
        memory_sink_flush(world->sink);
    return true;
}

static bool must_be_told_durable(struct world *world, enum memory_source_call call, lsn_t lsn,
                                 struct err *err)
{
    if (call != MEMORY_SOURCE_FEEDBACK)
        return true;
    return lsn <= memory_sink_tally(world->sink).told ||
           err_set(err, ERR_BUG, "told %llu, which nobody said is durable",
                   (unsigned long long)lsn);
}

START_TEST(the_source_is_told_no_more_than_the_sink_says)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 3,
                                              .flush_by_hand = true,
                                              .on_sink = flushes_now_and_then,
                                              .on_source = must_be_told_durable});
    world.dice = dice_seed();
    append_many(&world, &world.dice, 200, 4);
    world_stream_to_end(&world);
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

START_TEST(feedback_is_sent_ten_times_a_second_at_most)
{
    struct world world;
    usec_t before = clock_monotonic();
    world_open(&world, &(struct world_config){.batch_changes = 1});
    for (int i = 0; i < 2000; i++)
        world_append(&world, 1);
    world_stream_to_end(&world);
    uint64_t most = (uint64_t)((clock_monotonic() - before) / (100 * USEC_PER_MS)) + 2;
    ck_assert_uint_le(memory_source_tally(world.source).feedbacks, most);
    world_close(&world);
}
END_TEST

/* The first write lasts until feedback was sent twice, which is a second apart. */
static bool blocks_for_two_feedbacks(struct world *world, enum memory_sink_call call,
                                     const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call != MEMORY_SINK_APPLY || !is_first(world))
        return true;
    uint64_t before = memory_source_tally(world->source).feedbacks;
    return memory_source_await_feedback(world->source, before + 2,
                                        clock_monotonic() + WORLD_LONG) ||
           err_set(err, ERR_BUG, "no feedback while the target is busy");
}

START_TEST(feedback_goes_on_while_the_target_blocks)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_sink = blocks_for_two_feedbacks});
    world_append(&world, 1);
    world_stream_to_end(&world);
    world_close(&world);
}
END_TEST

/* Of the questions after the first write one lasts until feedback was sent twice. */
static bool answers_late(struct world *world, enum memory_sink_call call, int question,
                         struct err *err)
{
    if (memory_sink_tally(world->sink).commits == 0 || call != MEMORY_SINK_FLUSHED ||
        atomic_fetch_add(&world->counted, 1) != question)
        return true;
    uint64_t before = memory_source_tally(world->source).feedbacks;
    bool fed_back =
        memory_source_await_feedback(world->source, before + 2, clock_monotonic() + WORLD_LONG);
    memory_sink_flush(world->sink);
    return fed_back || err_set(err, ERR_BUG, "no feedback while the target does not answer");
}

static bool answers_late_at_once(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    (void)batch;
    return answers_late(world, call, 0, err);
}

static bool answers_late_when_asked_again(struct world *world, enum memory_sink_call call,
                                          const struct batch *batch, struct err *err)
{
    (void)batch;
    return answers_late(world, call, 2, err);
}

START_TEST(feedback_goes_on_while_the_target_does_not_say_what_is_durable)
{
    static bool (*const HOOKS[])(struct world *, enum memory_sink_call, const struct batch *,
                                 struct err *) = {answers_late_at_once,
                                                  answers_late_when_asked_again};
    for (size_t i = 0; i < UNIT_COUNT(HOOKS); i++) {
        struct world world;
        world_open(&world, &(struct world_config){.flush_by_hand = true, .on_sink = HOOKS[i]});
        world_append(&world, 1);
        world_stream_to_end(&world);
        world_close(&world);
    }
}
END_TEST

static bool blocks_and_looks_at_the_source(struct world *world, enum memory_sink_call call,
                                           const struct batch *batch, struct err *err)
{
    bool blocks = call == MEMORY_SINK_APPLY && atomic_load(&world->counted) == 0;
    if (!blocks_for_two_feedbacks(world, call, batch, err))
        return false;
    /* One batch here, one in the queue, one that waits for room: two are too large to be made ahead
     * one beside the other. */
    lsn_t given = memory_source_tally(world->source).given;
    return !blocks || given == 5000 + 3 * WORLD_LSN_STEP ||
           err_set(err, ERR_BUG, "given up to %llu", (unsigned long long)given);
}

START_TEST(feedback_goes_on_while_the_queue_is_full_and_no_more_is_read)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 1,
                                              .queue_bytes = 1,
                                              .on_sink = blocks_and_looks_at_the_source});
    for (int i = 0; i < 10; i++)
        world_append(&world, 1);
    world_stream_to_end(&world);
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

/* ---- memory ---- */

#define LARGE_VALUE (1U << 20)
#define LARGE_COUNT 20

/* The first write lasts until all was received. At the last, what was allocated since the start is
 * the batch that it writes, one kept for the next, and perhaps the one that the receiver took
 * before that. */
static bool measures_at_the_last(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    if (call != MEMORY_SINK_APPLY)
        return true;
    if (is_first(world) &&
        !memory_source_await_given(world->source, world->end, clock_monotonic() + WORLD_LONG))
        return err_set(err, ERR_BUG, "not all was received");
    struct mallinfo2 memory = mallinfo2();
    size_t held = memory.uordblks + memory.hblkhd - world->memory;
    return batch->end_lsn != world->end || held < (size_t)7 * LARGE_VALUE / 2 ||
           err_set(err, ERR_BUG, "%zu bytes are held behind a backlog", held);
}

START_TEST(behind_a_backlog_few_empty_batches_are_kept)
{
    struct world world;
    char *text = mem_zero(1, LARGE_VALUE);
    world_open(&world, &(struct world_config){.batch_changes = 1,
                                              .queue_bytes = 2 * LARGE_COUNT * LARGE_VALUE,
                                              .on_sink = measures_at_the_last});
    struct value value = {.kind = VALUE_TEXT, .data = text, .size = LARGE_VALUE};
    for (int i = 0; i < LARGE_COUNT; i++)
        world_append_changes(&world,
                             &(struct change){.kind = CHANGE_INSERT,
                                              .relation = world.relations[0],
                                              .new = {&value, 1},
                                              .lsn = world.end + 1},
                             1);
    struct mallinfo2 memory = mallinfo2();
    world.memory = memory.uordblks + memory.hblkhd;
    world_stream_to_end(&world);
    ck_assert_uint_eq(memory_sink_tally(world.sink).applies, LARGE_COUNT);
    world_close(&world);
    free(text);
}
END_TEST

/* ---- the target fails ---- */

static bool fails_in_mid_stream(struct world *world, enum memory_sink_call call,
                                const struct batch *batch, struct err *err)
{
    (void)batch;
    bool late = memory_sink_tally(world->sink).commits >= 3;
    return call != MEMORY_SINK_APPLY || !late || !is_first(world) ||
           err_set(err, ERR_RETRY, "deadlock");
}

START_TEST(a_passing_failure_of_the_target_does_not_reach_the_source)
{
    uint64_t dice = dice_seed();
    struct world world;
    world_open(&world,
               &(struct world_config){.batch_changes = 5, .on_sink = fails_in_mid_stream});
    append_many(&world, &dice, 30, 5);
    world_stream_to_end(&world);
    world_expect_all(&world);
    ck_assert_uint_eq(memory_source_tally(world.source).starts, 1);
    ck_assert_uint_eq(counter_get(&world.progress.retries), 1);
    ck_assert_uint_eq(counter_get(&world.progress.reconnects), 0);
    world_close(&world);
}
END_TEST

static bool refuses_the_data(struct world *world, enum memory_sink_call call,
                             const struct batch *batch, struct err *err)
{
    (void)world;
    return call != MEMORY_SINK_APPLY || batch->end_lsn <= 5300 ||
           err_set(err, ERR_DATA, "a value the target refuses");
}

START_TEST(data_that_is_refused_ends_the_stream_behind_what_was_right)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 1, .on_sink = refuses_the_data});
    for (int i = 0; i < 10; i++)
        world_append(&world, 1);
    expect_end(&world, ERR_DATA);
    ck_assert_str_eq(world.err.message, "a value the target refuses");
    ck_assert_uint_eq(memory_sink_tally(world.sink).checkpoint, 5300);
    ck_assert_uint_eq(memory_source_tally(world.source).starts, 1);
    ck_assert(!world.progress.streaming);
    world_close(&world);
}
END_TEST

START_TEST(a_ledger_that_does_not_add_up_ends_the_stream)
{
    struct world world;
    world_open(&world, &(struct world_config){.miscount = -1});
    world_append(&world, 2);
    expect_end(&world, ERR_BUG);
    ck_assert_uint_eq(memory_source_tally(world.source).starts, 1);
    world_close(&world);
}
END_TEST

/* Where in a transaction of several batches it fails: first, middle, last. */
static bool fails_in_part(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    bool is_part = batch && (batch->begins_open || batch->ends_open);
    if (call != MEMORY_SINK_APPLY || !is_part || atomic_fetch_sub(&world->counted, 1) != 1)
        return true;
    return err_set(err, ERR_RETRY, "deadlock");
}

START_TEST(a_transaction_over_several_batches_begins_again_as_a_whole)
{
    for (int part = 1; part <= 4; part++) {
        struct world world;
        world_open(&world,
                   &(struct world_config){.batch_changes = 3, .on_sink = fails_in_part});
        world.counted = part;
        lsn_t before = world_append(&world, 2);
        world_append(&world, 11); /* 3 + 3 + 3 + 2 */
        world_append(&world, 2);
        world_stream_to_end(&world);
        world_expect_all(&world);
        struct memory_source_tally source = memory_source_tally(world.source);
        ck_assert_uint_eq(source.starts, 2);
        ck_assert_uint_eq(source.started_from, before);
        ck_assert_uint_eq(counter_get(&world.progress.retries), 0);
        ck_assert_uint_eq(counter_get(&world.progress.reconnects), 1);
        world_close(&world);
    }
}
END_TEST

START_TEST(every_piece_of_a_transaction_counts)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 3});
    world_append(&world, 2);
    world_append(&world, 11);
    world_append(&world, 2);
    world_stream_to_end(&world);
    ck_assert_uint_eq(counter_get(&world.progress.changes), 15);
    ck_assert_uint_eq(counter_get(&world.progress.transactions), 3);
    ck_assert_uint_eq(counter_get(&world.progress.tables[0].applied), 15);
    world_close(&world);
}
END_TEST

/* As with synchronous_commit = off: the third write finds a target that has forgotten the
 * second. */
static bool crashes_at_the_third(struct world *world, enum memory_sink_call call,
                                 const struct batch *batch, struct err *err)
{
    struct memory_sink_tally tally = memory_sink_tally(world->sink);
    if (call == MEMORY_SINK_FLUSHED && (tally.commits == 1 || world->counted > 0))
        memory_sink_flush(world->sink);
    if (call != MEMORY_SINK_APPLY || batch->end_lsn != 5300 || !is_first(world))
        return true;
    memory_sink_crash(world->sink);
    return err_set(err, ERR_RETRY, "connection lost");
}

START_TEST(commits_that_a_crash_has_undone_are_made_again)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 1,
                                              .flush_by_hand = true,
                                              .on_sink = crashes_at_the_third});
    for (int i = 0; i < 6; i++)
        world_append(&world, 1);
    world_stream_to_end(&world);
    world_expect_all(&world);
    struct memory_source_tally source = memory_source_tally(world.source);
    ck_assert_uint_eq(source.starts, 2);
    ck_assert_uint_eq(source.started_from, 5100);
    world_close(&world);
}
END_TEST

static bool fails_over(struct world *world, enum memory_sink_call call,
                       const struct batch *batch, struct err *err)
{
    if (call != MEMORY_SINK_APPLY || batch->end_lsn != 5300)
        return true;
    memory_sink_fail_over(world->sink, 5100); /* and 5200 was durable */
    return err_set(err, ERR_RETRY, "connection lost");
}

START_TEST(a_target_behind_what_the_source_was_told_is_a_gap)
{
    struct world world;
    world_open(&world, &(struct world_config){.batch_changes = 1, .on_sink = fails_over});
    for (int i = 0; i < 6; i++)
        world_append(&world, 1);
    expect_end(&world, ERR_SOURCE_LOST);
    ck_assert_msg(strstr(world.err.message, "gap") != NULL, "%s", world.err.message);
    ck_assert(world.err.remedy[0] != '\0');
    ck_assert_uint_eq(memory_sink_tally(world.sink).checkpoint, 5100); /* nothing more */
    world_close(&world);
}
END_TEST

static bool another_instance(struct world *world, enum memory_sink_call call,
                             const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call == MEMORY_SINK_CONNECT && !is_first(world))
        return err_set(err, ERR_CONFIG, "another instance runs");
    return call != MEMORY_SINK_APPLY || err_set(err, ERR_RETRY, "connection lost");
}

START_TEST(a_migration_that_another_instance_took_is_left_to_it)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_sink = another_instance});
    world_append(&world, 1);
    expect_end(&world, ERR_CONFIG);
    world_close(&world);
}
END_TEST

/* ---- the source fails ---- */

static bool breaks_in_mid_stream(struct world *world, enum memory_source_call call, lsn_t lsn,
                                 struct err *err)
{
    bool late = call == MEMORY_SOURCE_RECEIVE && lsn >= 5500;
    return !late || !is_first(world) || err_set(err, ERR_RETRY, "connection lost");
}

static bool breaks_at_start(struct world *world, enum memory_source_call call, lsn_t lsn,
                            struct err *err)
{
    (void)lsn;
    return call != MEMORY_SOURCE_START || !is_first(world) ||
           err_set(err, ERR_RETRY, "not there yet");
}

static bool breaks_at_feedback(struct world *world, enum memory_source_call call, lsn_t lsn,
                               struct err *err)
{
    (void)lsn;
    return call != MEMORY_SOURCE_FEEDBACK || !is_first(world) ||
           err_set(err, ERR_RETRY, "connection lost");
}

START_TEST(a_source_that_fails_is_started_again_from_the_checkpoint)
{
    static bool (*const BREAKS[])(struct world *, enum memory_source_call, lsn_t,
                                  struct err *) = {breaks_in_mid_stream, breaks_at_start,
                                                   breaks_at_feedback};
    for (size_t i = 0; i < UNIT_COUNT(BREAKS); i++) {
        uint64_t dice = dice_seed();
        struct world world;
        world_open(&world, &(struct world_config){.batch_changes = 4, .on_source = BREAKS[i]});
        append_many(&world, &dice, 20, 10);
        world_stream_to_end(&world);
        world_expect_all(&world);
        ck_assert_int_ge(world.counted, 2);
        ck_assert_uint_eq(counter_get(&world.progress.reconnects), 1);
        ck_assert_uint_eq(counter_get(&world.progress.errors), 1);
        world_close(&world);
    }
}
END_TEST

static int timers_refused;

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
    if (timers_refused == 0)
        return __real_timerfd_create(clock, flags);
    timers_refused--;
    errno = EMFILE;
    return -1;
}

static void refuse_receiver(void)
{
    refuse_thread(1);
}

static void refuse_timer(void)
{
    timers_refused = 1;
}

START_TEST(a_stream_that_the_system_refuses_starts_again)
{
    static void (*const REFUSALS[])(void) = {refuse_receiver, refuse_timer};
    for (size_t i = 0; i < UNIT_COUNT(REFUSALS); i++) {
        uint64_t dice = dice_seed();
        struct world world;
        world_open(&world, &(struct world_config){.batch_changes = 4});
        append_many(&world, &dice, 20, 10);
        REFUSALS[i]();
        world_stream_to_end(&world);
        world_expect_all(&world);
        ck_assert_uint_eq(counter_get(&world.progress.reconnects), 1);
        ck_assert_uint_eq(counter_get(&world.progress.errors), 1);
        world_close(&world);
    }
}
END_TEST

static bool is_lost(struct world *world, enum memory_source_call call, lsn_t lsn,
                    struct err *err)
{
    (void)world, (void)lsn;
    return call != MEMORY_SOURCE_RECEIVE || err_set(err, ERR_SOURCE_LOST, "the slot is gone");
}

START_TEST(a_source_that_is_lost_ends_the_stream)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_source = is_lost});
    world_append(&world, 1);
    expect_end(&world, ERR_SOURCE_LOST);
    ck_assert_str_eq(world.err.message, "the slot is gone");
    ck_assert_uint_eq(memory_source_tally(world.source).starts, 1);
    world_close(&world);
}
END_TEST

/* ---- stopping ---- */

static bool stops_when_idle(struct world *world, enum memory_source_call call, lsn_t lsn,
                            struct err *err)
{
    (void)err;
    if (call == MEMORY_SOURCE_FEEDBACK && lsn == world->end)
        stop_request(&world->stop);
    return true;
}

START_TEST(a_stop_ends_an_idle_stream)
{
    struct world world;
    world_open(&world, &(struct world_config){.on_source = stops_when_idle});
    world_append(&world, 3);
    world.stream.until = LSN_NONE;
    ck_assert(stream_supervise(&world.stream, &world.err));
    world_expect_all(&world);
    world_close(&world);
}
END_TEST

/* The target never answers at this call; the stop comes at the third attempt. */
static bool never_answers_at(struct world *world, enum memory_sink_call here,
                             enum memory_sink_call call, struct err *err)
{
    if (call != here)
        return true;
    if (atomic_fetch_add(&world->counted, 1) == 2)
        stop_request(&world->stop);
    return err_set(err, ERR_RETRY, "away");
}

static bool never_connects(struct world *world, enum memory_sink_call call,
                           const struct batch *batch, struct err *err)
{
    (void)batch;
    return never_answers_at(world, MEMORY_SINK_CONNECT, call, err);
}

static bool never_applies(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    (void)batch;
    return never_answers_at(world, MEMORY_SINK_APPLY, call, err);
}

static bool never_flushes(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    (void)batch;
    return never_answers_at(world, MEMORY_SINK_FLUSHED, call, err);
}

START_TEST(a_stop_ends_cleanly_while_the_target_fails)
{
    static bool (*const HOOKS[])(struct world *, enum memory_sink_call, const struct batch *,
                                 struct err *) = {never_connects, never_applies, never_flushes};
    for (size_t i = 0; i < UNIT_COUNT(HOOKS); i++) {
        struct world world;
        world_open(&world, &(struct world_config){.on_sink = HOOKS[i]});
        world_append(&world, 3);
        ck_assert_msg(world_supervise(&world), "%s", world.err.message);
        ck_assert_int_eq(world.counted, 3);
        ck_assert_uint_eq(memory_source_tally(world.source).told, LSN_NONE);
        ck_assert(!world.progress.streaming && world.progress.target_circuit == BREAKER_CLOSED);
        world_close(&world);
    }
}
END_TEST

static bool stops_in_part(struct world *world, enum memory_sink_call call,
                          const struct batch *batch, struct err *err)
{
    (void)err;
    if (call == MEMORY_SINK_APPLY && batch->ends_open && batch->begins_open)
        stop_request(&world->stop);
    return true;
}

START_TEST(a_stop_leaves_no_part_of_a_transaction)
{
    struct world world;
    size_t count;
    world_open(&world, &(struct world_config){.batch_changes = 2, .on_sink = stops_in_part});
    lsn_t before = world_append(&world, 2);
    world_append(&world, 20);
    ck_assert_msg(world_supervise(&world), "%s", world.err.message);
    memory_sink_writes(world.sink, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(memory_sink_tally(world.sink).checkpoint, before);
    world_close(&world);
}
END_TEST

/* ---- everything at once ---- */

static bool storms_at_sink(struct world *world, enum memory_sink_call call,
                           const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call == MEMORY_SINK_FLUSHED && (dice_one_in(&world->dice, 3) || world->counted <= 0))
        memory_sink_flush(world->sink);
    if (!dice_one_in(&world->dice, 12) || atomic_fetch_sub(&world->counted, 1) <= 0)
        return true;
    if (dice_one_in(&world->dice, 2))
        memory_sink_crash(world->sink);
    return err_set(err, ERR_RETRY, "a storm at the target, call %d", call);
}

/* What it is told depends on nothing but the position, so that the threads share no dice. */
static bool storms_at_source(struct world *world, enum memory_source_call call, lsn_t lsn,
                             struct err *err)
{
    uint64_t dice = lsn + (uint64_t)call * 77;
    if (!must_be_told_durable(world, call, lsn, err))
        return false;
    if (!dice_one_in(&dice, 12) || atomic_fetch_sub(&world->counted, 1) <= 0)
        return true;
    return err_set(err, ERR_RETRY, "a storm at the source, call %d", call);
}

START_TEST(nothing_is_lost_or_doubled_in_any_storm)
{
    uint64_t seed = dice_seed();
    for (int round = 0; round < 2; round++) {
        struct world world;
        world_open(&world, &(struct world_config){.batch_changes = 5,
                                                  .queue_bytes = 4000,
                                                  .flush_by_hand = true,
                                                  .on_sink = storms_at_sink,
                                                  .on_source = storms_at_source});
        world.dice = seed + (uint64_t)round;
        world.counted = 5; /* failures */
        append_many(&world, &world.dice, 120, 12);
        world_stream_to_end(&world);
        world_expect_all(&world);
        ck_assert_int_le(world.counted, 0);
        world_close(&world);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_change_arrives_once_and_in_order,
        commits_come_at_the_ends_of_transactions,
        a_second_run_goes_on_from_the_checkpoint,
        an_idle_source_moves_the_checkpoint_by_its_positions,
        what_comes_while_the_target_is_busy_becomes_one_batch,
        behind_what_comes_bit_by_bit_becomes_large_batches,
        whoever_receives_all_stays_in_order,
        a_lent_turn_is_taken_back_however_late_its_lender_is,
        behind_a_transaction_that_nothing_follows_is_applied,
        behind_the_last_batch_goes_when_the_applier_turns_idle,
        half_a_transaction_is_not_handed_over,
        an_ample_piece_of_a_transaction_that_was_cut_goes,
        what_a_chunk_waits_for_is_handed_over_in_one,
        what_a_chunk_waits_for_is_not_waited_for_long,
        the_end_is_waited_for_until_it_is_durable,
        the_source_is_told_no_more_than_the_sink_says,
        feedback_is_sent_ten_times_a_second_at_most,
        feedback_goes_on_while_the_target_blocks,
        feedback_goes_on_while_the_target_does_not_say_what_is_durable,
        feedback_goes_on_while_the_queue_is_full_and_no_more_is_read,
        behind_a_backlog_few_empty_batches_are_kept,
        a_passing_failure_of_the_target_does_not_reach_the_source,
        a_copy_that_must_begin_anew_restarts_a_stream_without_changes,
        data_that_is_refused_ends_the_stream_behind_what_was_right,
        a_ledger_that_does_not_add_up_ends_the_stream,
        a_transaction_over_several_batches_begins_again_as_a_whole,
        every_piece_of_a_transaction_counts,
        commits_that_a_crash_has_undone_are_made_again,
        a_target_behind_what_the_source_was_told_is_a_gap,
        a_migration_that_another_instance_took_is_left_to_it,
        a_source_that_fails_is_started_again_from_the_checkpoint,
        a_stream_that_the_system_refuses_starts_again,
        a_source_that_is_lost_ends_the_stream,
        a_stop_ends_an_idle_stream,
        a_stop_ends_cleanly_while_the_target_fails,
        a_stop_leaves_no_part_of_a_transaction,
        nothing_is_lost_or_doubled_in_any_storm,
    };
    return unit_run("stream", tests, UNIT_COUNT(tests));
}
