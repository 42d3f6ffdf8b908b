/* A stream with a spool: the target is away, stands still or forgets, and the source is told of
 * what is on the disk; each change arrives once, in order. */
#include "dice.h"
#include "spool/spool.h"
#include "stream_world.h"

#include <errno.h>
#include <unistd.h>

struct bench {
    struct world world;
    char folder[64];
    struct spool *spool;
};

static void open_spool(struct bench *bench)
{
    uint64_t cut;
    struct err err = {0};
    const struct spool_config config = {
        .folder = bench->folder,
        .identity = {"shop", "slackwater_shop", "7000", "db", 1},
        .max_bytes = 64 << 20,
        .applied = memory_sink_tally(bench->world.sink).checkpoint,
    };
    ck_assert_msg(spool_open(&config, &bench->spool, &cut, &err), "%s", err.message);
    bench->world.stream.backlog = spool_backlog(bench->spool);
    bench->world.stream.backlog_limits =
        (struct source_limits){.batch_bytes = 1 << 20, .batch_changes = 10};
}

static void bench_open(struct bench *bench, const struct world_config *config)
{
    world_open(&bench->world, config);
    snprintf(bench->folder, sizeof(bench->folder), "%s/spooling-unit-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(bench->folder));
    memory_sink_fail_over(bench->world.sink, 5000); /* where the migration begins */
    open_spool(bench);
    /* As run_spool_ready() learns it from the slot. */
    progress_ack(&bench->world.progress, 5000);
    counter_set(&bench->world.progress.durable, 5000);
}

static void bench_close(struct bench *bench)
{
    const struct spool_identity ours = {.migration = "shop", .slot = "slackwater_shop"};
    struct err err = {0};
    spool_close(bench->spool);
    ck_assert(spool_remove(bench->folder, &ours, &err));
    ck_assert_int_eq(rmdir(bench->folder), 0);
    world_close(&bench->world);
}

/* The source was told of the newest: by the spool, for the target has nothing of it. */
static bool is_told(struct world *world)
{
    return memory_source_tally(world->source).told >= world->end;
}

static bool away_until_told(struct world *world, enum memory_sink_call call,
                            const struct batch *batch, struct err *err)
{
    (void)batch;
    bool back = call != MEMORY_SINK_CONNECT || is_told(world);
    return back || err_set(err, ERR_RETRY, "the target is away");
}

START_TEST(while_the_target_is_away_the_source_is_told_of_what_is_on_the_disk)
{
    struct bench bench;
    bench_open(&bench, &(struct world_config){.batch_changes = 10, .on_sink = away_until_told});
    for (int i = 0; i < 100; i++)
        world_append(&bench.world, 3);
    world_stream_to_end(&bench.world);
    world_expect_all(&bench.world);
    bench_close(&bench);
}
END_TEST

/* The first batch takes until the source was told of the last. */
static bool stands_until_told(struct world *world, enum memory_sink_call call,
                              const struct batch *batch, struct err *err)
{
    (void)batch, (void)err;
    usec_t deadline = clock_monotonic() + WORLD_LONG;
    while (call == MEMORY_SINK_APPLY && !is_told(world)) {
        ck_assert_msg(clock_monotonic() < deadline, "the source was never told");
        usleep(1000);
    }
    return true;
}

START_TEST(while_the_target_stands_still_the_spool_has_what_is_in_memory_too)
{
    struct bench bench;
    bench_open(&bench, &(struct world_config){.batch_changes = 5,
                                              .queue_bytes = 2000,
                                              .on_sink = stands_until_told});
    for (int i = 0; i < 100; i++)
        world_append(&bench.world, 3);
    world_stream_to_end(&bench.world);
    world_expect_all(&bench.world);
    ck_assert_uint_eq(memory_source_tally(bench.world.source).starts, 2); /* turned once */
    bench_close(&bench);
}
END_TEST

static bool stops_when_told(struct world *world, enum memory_sink_call call,
                            const struct batch *batch, struct err *err)
{
    (void)batch;
    if (call != MEMORY_SINK_CONNECT)
        return true;
    if (is_told(world))
        stop_request(&world->stop);
    return err_set(err, ERR_RETRY, "the target is away");
}

START_TEST(a_later_run_reads_what_the_source_was_told_of)
{
    struct bench bench;
    bench_open(&bench, &(struct world_config){.batch_changes = 10, .on_sink = stops_when_told});
    for (int i = 0; i < 50; i++)
        world_append(&bench.world, 3);
    bench.world.stream.until = bench.world.end;
    ck_assert(stream_supervise(&bench.world.stream, &bench.world.err));
    spool_close(bench.spool);
    stop_free(&bench.world.stop);
    stop_init(&bench.world.stop);
    bench.world.config.on_sink = NULL;
    open_spool(&bench);
    lsn_t told = bench.world.end;
    world_append(&bench.world, 1);
    world_stream_to_end(&bench.world);
    world_expect_all(&bench.world);
    ck_assert_uint_eq(memory_source_tally(bench.world.source).started_from, told);
    bench_close(&bench);
}
END_TEST

static bool loses_the_disk(struct world *world, enum memory_sink_call call,
                           const struct batch *batch, struct err *err)
{
    const struct bench *bench = (const struct bench *)(const void *)world;
    char path[128];
    (void)batch;
    snprintf(path, sizeof(path), "%s/0000000000000001.spool", bench->folder);
    (void)unlink(path);
    return call != MEMORY_SINK_CONNECT || err_set(err, ERR_RETRY, "the target is away");
}

START_TEST(a_disk_that_fails_ends_it)
{
    struct bench bench;
    bench_open(&bench, &(struct world_config){.batch_changes = 10, .on_sink = loses_the_disk});
    for (int i = 0; i < 50; i++)
        world_append(&bench.world, 3);
    ck_assert(!world_supervise(&bench.world));
    ck_assert_msg(bench.world.err.class == ERR_DISK, "%s", bench.world.err.message);
    ck_assert_uint_lt(memory_source_tally(bench.world.source).told, bench.world.end);
    bench_close(&bench);
}
END_TEST

static atomic_bool unreadable;

ssize_t __real_pread(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at)
{
    if (!atomic_load(&unreadable))
        return __real_pread(fd, to, size, at);
    errno = EIO;
    return -1;
}

static bool cannot_be_read_when_told(struct world *world, enum memory_sink_call call,
                                     const struct batch *batch, struct err *err)
{
    bool back = away_until_told(world, call, batch, err);
    if (back && call == MEMORY_SINK_CONNECT)
        atomic_store(&unreadable, true);
    return back;
}

/* The source has thrown away what it was told of: only the spool has it. */
START_TEST(a_disk_that_cannot_be_read_ends_it_and_keeps_what_is_there)
{
    struct bench bench;
    bench_open(&bench, &(struct world_config){.batch_changes = 10,
                                              .on_sink = cannot_be_read_when_told});
    for (int i = 0; i < 50; i++)
        world_append(&bench.world, 3);
    lsn_t told = bench.world.end;
    ck_assert(!world_supervise(&bench.world));
    ck_assert_int_eq(bench.world.err.class, ERR_DISK);
    ck_assert_ptr_nonnull(strstr(bench.world.err.message, "cannot read a segment"));
    spool_close(bench.spool);
    atomic_store(&unreadable, false);
    bench.world.config.on_sink = NULL;
    open_spool(&bench);
    world_stream_to_end(&bench.world);
    world_expect_all(&bench.world);
    ck_assert_uint_eq(memory_source_tally(bench.world.source).started_from, told);
    bench_close(&bench);
}
END_TEST

/* Away, slow, forgetful and failing by the dice; huge transactions among small ones. */
static bool misbehaves(struct world *world, enum memory_sink_call call,
                       const struct batch *batch, struct err *err)
{
    (void)batch;
    if (atomic_fetch_add(&world->counted, 1) > 150)
        return true;
    uint32_t dice = dice_below(&world->dice, 80);
    if (call == MEMORY_SINK_APPLY && dice == 0)
        usleep(1200000);
    if (call == MEMORY_SINK_APPLY && dice == 1)
        memory_sink_crash(world->sink);
    if (call == MEMORY_SINK_CONNECT && dice < 20)
        return err_set(err, ERR_RETRY, "the target is away");
    return dice > 3 || call == MEMORY_SINK_CHECKPOINT ||
           err_set(err, ERR_RETRY, "connection lost");
}

static void *write_some(void *argument)
{
    struct world *world = argument;
    uint64_t dice = 5;
    for (int i = 0; i < 400; i++) {
        world_append(world, dice_one_in(&dice, 20) ? 60 : dice_below(&dice, 6));
        usleep(2000);
    }
    return NULL;
}

START_TEST(whatever_the_target_does_each_change_arrives_once)
{
    struct bench bench;
    pthread_t writer;
    bench_open(&bench, &(struct world_config){
                           .batch_changes = 8, .queue_bytes = 3000, .on_sink = misbehaves});
    bench.world.dice = dice_seed();
    ck_assert_int_eq(pthread_create(&writer, NULL, write_some, &bench.world), 0);
    usleep(100000);
    for (bool done = false; !done;) {
        lsn_t end = counter_get(&bench.world.progress.received);
        done = pthread_tryjoin_np(writer, NULL) == 0;
        bench.world.stream.until = done ? bench.world.end : end + 1;
        ck_assert_msg(stream_supervise(&bench.world.stream, &bench.world.err), "%s",
                      bench.world.err.message);
    }
    world_expect_all(&bench.world);
    bench_close(&bench);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        while_the_target_is_away_the_source_is_told_of_what_is_on_the_disk,
        while_the_target_stands_still_the_spool_has_what_is_in_memory_too,
        a_later_run_reads_what_the_source_was_told_of,
        a_disk_that_fails_ends_it,
        a_disk_that_cannot_be_read_ends_it_and_keeps_what_is_there,
        whatever_the_target_does_each_change_arrives_once,
    };
    return unit_run("spooling", tests, UNIT_COUNT(tests));
}
