/* The spool on a disk: what is put comes back in order, whatever is cut off, flipped, missing,
 * or in the way. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/reader.h"
#include "spool/spool.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MB ((uint64_t)1 << 20)

struct bench {
    char folder[64];
    struct relation *relation;
    struct spool *spool;
    struct backlog *backlog;
    struct spool_config config;
    uint64_t cut;
    struct err err;
};

static bool reopen(struct bench *bench, lsn_t applied)
{
    spool_close(bench->spool);
    bench->spool = NULL;
    bench->config.applied = applied;
    if (!spool_open(&bench->config, &bench->spool, &bench->cut, &bench->err))
        return false;
    bench->backlog = spool_backlog(bench->spool);
    return true;
}

static void must_reopen(struct bench *bench, lsn_t applied)
{
    ck_assert_msg(reopen(bench, applied), "%s", bench->err.message);
}

static void bench_open(struct bench *bench)
{
    char name[] = "id";
    *bench = (struct bench){
        .relation = relation_create("public", "t", 1, &(struct column){.name = name}),
        .config = {.identity = {"shop", "slackwater_shop", "7000", "db", 1},
                   .instance = 1,
                   .max_bytes = 16 * MB} /* in segments of 1 MB */,
    };
    /* In memory, where there is such a place: some stories open it thousands of times. */
    snprintf(bench->folder, sizeof(bench->folder), "%s/spool-unit-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(bench->folder));
    bench->config.folder = bench->folder;
    must_reopen(bench, LSN_NONE);
}

static void bench_close(struct bench *bench)
{
    spool_close(bench->spool);
    ck_assert(spool_remove(bench->folder, &bench->config.identity, &bench->err));
    ck_assert_int_eq(rmdir(bench->folder), 0);
    relation_free(bench->relation);
}

static void file_path(const struct bench *bench, uint64_t number, char *path, size_t size)
{
    snprintf(path, size, "%s/%016llx.spool", bench->folder, (unsigned long long)number);
}

static void remove_file(const struct bench *bench, uint64_t number)
{
    char path[128];
    file_path(bench, number, path, sizeof(path));
    ck_assert_int_eq(unlink(path), 0);
}

static off_t file_size(const struct bench *bench, uint64_t number)
{
    char path[128];
    struct stat file = {.st_size = -1};
    file_path(bench, number, path, sizeof(path));
    (void)stat(path, &file);
    return file.st_size;
}

/* ---- putting and taking ---- */

/* A transaction that ends at `end`, with one row of its number and so much to fill; `open`:
 * without its end. */
static struct batch *make_batch(const struct bench *bench, lsn_t end, size_t filling,
                                bool begins_open, bool ends_open)
{
    struct batch *batch = batch_create();
    char *text = arena_alloc(&batch->arena, filling + 32);
    int length = snprintf(text, 32, "%llu ", (unsigned long long)end);
    for (size_t i = 0; i < filling; i++) /* hard to compress */
        text[(size_t)length + i] = (char)((i * 2654435761U + end * 40503) >> (i % 13));
    *batch_add_transaction(batch) = (struct transaction){
        .xid = (xid_t)end, .commit_lsn = end - 50, .end_lsn = ends_open ? LSN_NONE : end};
    struct row row = batch_row(batch, 1);
    row.values[0] = (struct value){text, (uint32_t)((size_t)length + filling), VALUE_TEXT};
    *batch_add_change(batch) =
        (struct change){.kind = CHANGE_INSERT, .relation = bench->relation, .new = row};
    batch->begins_open = begins_open;
    batch->ends_open = ends_open;
    batch->end_lsn = ends_open ? LSN_NONE : end;
    return batch;
}

static enum backlog_result put_piece(struct bench *bench, lsn_t end, size_t filling,
                                     bool begins_open, bool ends_open)
{
    struct batch *batch = make_batch(bench, end, filling, begins_open, ends_open);
    enum backlog_result result = bench->backlog->ops->put(bench->backlog, batch, &bench->err);
    ck_assert_msg(result != BACKLOG_FAILED, "%s", bench->err.message);
    batch_destroy(batch);
    return result;
}

static void put(struct bench *bench, lsn_t end, size_t filling)
{
    ck_assert_int_eq(put_piece(bench, end, filling, false, false), BACKLOG_OK);
}

static void extend(struct bench *bench, lsn_t durable, lsn_t expected)
{
    lsn_t from = 0;
    ck_assert_msg(bench->backlog->ops->extend(bench->backlog, durable, &from, &bench->err),
                  "%s", bench->err.message);
    ck_assert_uint_eq(from, expected);
}

/* Transactions from..to, in steps of 100, are put. */
static void put_all(struct bench *bench, lsn_t from, lsn_t to, size_t filling)
{
    for (lsn_t end = from; end <= to; end += 100)
        put(bench, end, filling);
}

/* A new spool, with the transactions 1100..to in it. */
static void bench_filled(struct bench *bench, lsn_t to, size_t filling)
{
    bench_open(bench);
    extend(bench, 1000, 1000);
    put_all(bench, 1100, to, filling);
}

static lsn_t resume(const struct bench *bench, lsn_t applied)
{
    return bench->backlog->ops->resume(bench->backlog, applied);
}

static void begin(struct bench *bench, lsn_t applied)
{
    ck_assert_msg(bench->backlog->ops->begin(bench->backlog, applied, &bench->err), "%s",
                  bench->err.message);
}

static void trim(struct bench *bench, lsn_t durable)
{
    ck_assert_msg(bench->backlog->ops->trim(bench->backlog, durable, &bench->err), "%s",
                  bench->err.message);
}

static lsn_t sync_all(struct bench *bench)
{
    lsn_t synced = 0;
    ck_assert_msg(bench->backlog->ops->sync(bench->backlog, &synced, &bench->err), "%s",
                  bench->err.message);
    return synced;
}

static enum backlog_result take(struct bench *bench, struct batch *batch)
{
    batch_reset(batch);
    return bench->backlog->ops->take(bench->backlog, batch, &bench->err);
}

/* What is read after `applied` are the transactions from..to, and nothing else. */
static void expect_taken(struct bench *bench, lsn_t applied, lsn_t from, lsn_t to)
{
    struct batch *batch = batch_create();
    begin(bench, applied);
    for (lsn_t end = from; end <= to; end += 100) {
        ck_assert_msg(take(bench, batch) == BACKLOG_OK, "%llu: %s", (unsigned long long)end,
                      bench->err.message);
        ck_assert_uint_eq(batch->transactions[0].end_lsn, end);
        ck_assert_uint_eq(strtoull(batch->changes[0].new.values[0].data, NULL, 10), end);
    }
    ck_assert_int_eq(take(bench, batch), BACKLOG_NONE);
    ck_assert_uint_eq(bench->backlog->ops->unread(bench->backlog), 0);
    batch_destroy(batch);
}

/* ---- stories ---- */

START_TEST(what_is_put_is_taken_in_order)
{
    struct bench bench;
    bench_filled(&bench, 9000, 100000); /* several segments */
    ck_assert_uint_eq(sync_all(&bench), 9000);
    ck_assert_int_gt(file_size(&bench, 2), 0);
    expect_taken(&bench, 1000, 1100, 9000);
    expect_taken(&bench, 4000, 4100, 9000);
    ck_assert_uint_eq(resume(&bench, 1000), 9000);
    ck_assert_uint_eq(resume(&bench, 8999), 9000);
    ck_assert_uint_eq(resume(&bench, 9000), 9000);
    ck_assert_uint_eq(resume(&bench, 9500), 9500);
    ck_assert_uint_eq(resume(&bench, 999), 999); /* a gap before it */
    bench_close(&bench);
}
END_TEST

START_TEST(it_is_there_after_a_restart)
{
    struct bench bench;
    bench_filled(&bench, 6000, 100000);
    must_reopen(&bench, 2000);
    ck_assert_uint_eq(bench.cut, 0);
    ck_assert_uint_eq(resume(&bench, 2000), 6000);
    extend(&bench, 2000, 6000);
    put_all(&bench, 6100, 7000, 100000);
    expect_taken(&bench, 2000, 2100, 7000);
    bench_close(&bench);
}
END_TEST

START_TEST(segments_go_when_the_target_has_them)
{
    struct bench bench;
    struct spool_picture picture;
    bench_filled(&bench, 9000, 100000);
    trim(&bench, 8999);
    ck_assert_int_lt(file_size(&bench, 1), 0);
    spool_look(bench.spool, &picture);
    ck_assert_int_eq(picture.state, SPOOL_IN_USE);
    ck_assert_uint_ge(picture.floor, 1100);
    expect_taken(&bench, 8900, 9000, 9000);
    trim(&bench, 9000);
    spool_look(bench.spool, &picture);
    ck_assert_int_eq(picture.state, SPOOL_EMPTY);
    put_all(&bench, 9100, 9200, 10); /* it goes on behind */
    expect_taken(&bench, 9000, 9100, 9200);
    must_reopen(&bench, 9000);
    expect_taken(&bench, 9000, 9100, 9200);
    bench_close(&bench);
}
END_TEST

START_TEST(one_who_has_less_than_it_begins_with_gets_nothing_of_it)
{
    struct bench bench;
    bench_filled(&bench, 1500, 10);
    begin(&bench, 900);
    ck_assert_uint_eq(bench.backlog->ops->unread(bench.backlog), 0);
    ck_assert_int_lt(file_size(&bench, 1), 0);
    extend(&bench, 900, 900);
    put_all(&bench, 1000, 1200, 10);
    expect_taken(&bench, 900, 1000, 1200);
    bench_close(&bench);
}
END_TEST

/* The target may come back without what it had: until that is on its disk the spool has it. */
START_TEST(what_was_taken_can_be_taken_again)
{
    struct bench bench;
    bench_filled(&bench, 3000, 10);
    expect_taken(&bench, 1000, 1100, 3000);
    trim(&bench, 2000);
    extend(&bench, 2000, 3000);
    put_all(&bench, 3100, 3500, 10);
    expect_taken(&bench, 2000, 2100, 3500);
    bench_close(&bench);
}
END_TEST

START_TEST(a_transaction_without_an_end_is_cut_off)
{
    struct bench bench;
    struct spool_picture picture;
    bench_filled(&bench, 1500, 10);
    put_piece(&bench, 1600, 900000, false, true); /* over several segments */
    for (int i = 0; i < 6; i++)
        put_piece(&bench, 1600, 900000, true, true);
    ck_assert_uint_eq(sync_all(&bench), 1500);
    ck_assert_int_gt(file_size(&bench, 2), 0);
    must_reopen(&bench, 1000);
    ck_assert_uint_gt(bench.cut, MB);
    spool_look(bench.spool, &picture);
    ck_assert_uint_eq(picture.cut, bench.cut);
    ck_assert_int_lt(file_size(&bench, 2), 0);
    ck_assert_uint_eq(resume(&bench, 1000), 1500);
    extend(&bench, 1000, 1500);
    put_all(&bench, 1600, 2000, 10);
    expect_taken(&bench, 1000, 1100, 2000);
    bench_close(&bench);
}
END_TEST

START_TEST(pieces_over_segments_come_back_as_pieces)
{
    struct bench bench;
    struct batch *batch = batch_create();
    bench_open(&bench);
    extend(&bench, 1000, 1000);
    put_piece(&bench, 1600, 900000, false, true);
    put_piece(&bench, 1600, 900000, true, true);
    put_piece(&bench, 1600, 900000, true, false);
    must_reopen(&bench, 1000);
    begin(&bench, 1000);
    for (int i = 0; i < 3; i++) { /* into one batch, which they make whole */
        ck_assert_int_eq(bench.backlog->ops->take(bench.backlog, batch, &bench.err),
                         BACKLOG_OK);
        ck_assert(batch->ends_open == (i < 2));
    }
    ck_assert_uint_eq(batch->transaction_count, 1);
    ck_assert_uint_eq(batch->change_count, 3);
    batch_destroy(batch);
    bench_close(&bench);
}
END_TEST

/* How the spool of five transactions looks with `damage` done to its only file. Always a prefix
 * of it, cut at the end of a transaction, and it can be added to. */
static lsn_t expect_prefix(struct bench *bench)
{
    must_reopen(bench, 1000);
    lsn_t end = resume(bench, 1000);
    ck_assert(end % 100 == 0 && end >= 1000 && end <= 1500);
    expect_taken(bench, 1000, 1100, end);
    return end;
}

static char *read_file(const struct bench *bench, size_t *size)
{
    char path[128];
    file_path(bench, 1, path, sizeof(path));
    *size = (size_t)file_size(bench, 1);
    char *bytes = mem_alloc(*size);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(read(fd, bytes, *size), (ssize_t)*size);
    close(fd);
    return bytes;
}

static void write_file(const struct bench *bench, const char *bytes, size_t size)
{
    char path[128];
    file_path(bench, 1, path, sizeof(path));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

START_TEST(a_file_that_is_cut_anywhere_is_a_prefix)
{
    struct bench bench;
    size_t size;
    lsn_t before = 1500;
    bench_filled(&bench, 1500, 10);
    char *bytes = read_file(&bench, &size);
    for (size_t left = size; left > 0; left--) {
        write_file(&bench, bytes, left - 1);
        lsn_t end = expect_prefix(&bench);
        ck_assert(end <= before);
        before = end;
    }
    ck_assert_uint_eq(before, 1000);
    free(bytes);
    bench_close(&bench);
}
END_TEST

START_TEST(a_file_with_any_bit_flipped_is_a_prefix)
{
    struct bench bench;
    size_t size;
    bench_filled(&bench, 1500, 10);
    char *bytes = read_file(&bench, &size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        write_file(&bench, bytes, size);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        lsn_t end = expect_prefix(&bench); /* every bit is checked by something */
        ck_assert_uint_lt(end, 1500);
    }
    free(bytes);
    bench_close(&bench);
}
END_TEST

START_TEST(damage_in_what_is_applied_already_does_no_harm)
{
    struct bench bench;
    size_t size;
    bench_filled(&bench, 1100, 1000);
    char *first = read_file(&bench, &size);
    put_all(&bench, 1200, 1500, 1000);
    free(first);
    size_t where = size - 10; /* in the first frame's bytes */
    char *bytes = read_file(&bench, &size);
    bytes[where] ^= 1;
    write_file(&bench, bytes, size);
    must_reopen(&bench, 1100);
    expect_taken(&bench, 1100, 1200, 1500);
    ck_assert_uint_eq(bench.cut, 0);
    write_file(&bench, bytes, size);
    must_reopen(&bench, 1000);
    ck_assert_uint_eq(resume(&bench, 1000), 1000);
    free(bytes);
    bench_close(&bench);
}
END_TEST

START_TEST(damage_that_is_found_while_reading_is_cut_off)
{
    struct bench bench;
    size_t size;
    struct batch *batch = batch_create();
    bench_filled(&bench, 1500, 1000);
    char *bytes = read_file(&bench, &size);
    bytes[size - 10] ^= 1;
    write_file(&bench, bytes, size);
    begin(&bench, 1000);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(take(&bench, batch), BACKLOG_OK);
    ck_assert_int_eq(take(&bench, batch), BACKLOG_FAILED);
    ck_assert_int_eq(bench.err.class, ERR_RETRY);
    ck_assert(bench.backlog->ops->settle(bench.backlog, &bench.err));
    ck_assert_uint_eq(resume(&bench, 1000), 1400);
    extend(&bench, 1000, 1400);
    put_all(&bench, 1500, 1700, 10);
    expect_taken(&bench, 1000, 1100, 1700);
    free(bytes);
    batch_destroy(batch);
    bench_close(&bench);
}
END_TEST

START_TEST(a_segment_that_is_missing_ends_it)
{
    struct bench bench;
    bench_filled(&bench, 9000, 100000);
    ck_assert_int_gt(file_size(&bench, 4), 0);
    remove_file(&bench, 2);
    must_reopen(&bench, 1000);
    lsn_t end = resume(&bench, 1000);
    ck_assert(end > 1000 && end < 9000);
    ck_assert_int_lt(file_size(&bench, 3), 0);
    expect_taken(&bench, 1000, 1100, end);
    bench_close(&bench);
}
END_TEST

START_TEST(there_is_no_room_for_more_than_max_bytes)
{
    struct bench bench;
    struct spool_picture picture;
    bench_open(&bench);
    bench.config.max_bytes = 4 * MB;
    must_reopen(&bench, LSN_NONE);
    extend(&bench, 1000, 1000);
    lsn_t end = 1100;
    while (put_piece(&bench, end, 500000, false, false) == BACKLOG_OK)
        end += 100;
    spool_look(bench.spool, &picture);
    ck_assert_int_eq(picture.state, SPOOL_FULL);
    ck_assert_uint_le(picture.bytes, 4 * MB);
    ck_assert_uint_gt(picture.bytes, 3 * MB);
    trim(&bench, end - 300);
    put_all(&bench, end, end, 500000);
    expect_taken(&bench, end - 300, end - 200, end);
    bench_close(&bench);
}
END_TEST

START_TEST(room_is_left_on_the_disk)
{
    struct bench bench;
    bench_open(&bench);
    bench.config.min_free = UINT64_MAX / 2;
    must_reopen(&bench, LSN_NONE);
    extend(&bench, 1000, 1000);
    ck_assert_int_eq(put_piece(&bench, 1100, 10, false, false), BACKLOG_NONE);
    ck_assert_int_lt(file_size(&bench, 1), 0);
    bench_close(&bench);
}
END_TEST

START_TEST(another_s_spool_is_refused_and_kept)
{
    static const struct spool_identity others[] = {
        {"other", "slackwater_shop", "7000", "db", 1},
        {"shop", "slackwater_x", "7000", "db", 1},
        {"shop", "slackwater_shop", "7001", "db", 1},
        {"shop", "slackwater_shop", "7000", "d", 1},
        {"shop", "slackwater_shop", "7000", "db", 1},
    };
    struct bench bench;
    bench_open(&bench);
    bench.config.identity.timeline = 2;
    must_reopen(&bench, LSN_NONE);
    struct spool_identity ours = bench.config.identity;
    extend(&bench, 1000, 1000);
    put_all(&bench, 1100, 1500, 10);
    for (size_t i = 0; i < UNIT_COUNT(others); i++) {
        bench.config.identity = others[i];
        ck_assert(!reopen(&bench, 1000));
        ck_assert_int_eq(bench.err.class, ERR_CONFIG);
        ck_assert(i > 1 || !spool_remove(bench.folder, &others[i], &bench.err));
    }
    bench.config.identity = ours;
    must_reopen(&bench, 1000);
    expect_taken(&bench, 1000, 1100, 1500);
    bench_close(&bench);
}
END_TEST

/* The file as another version would have made it: its checksum is right. */
static void change_version(const struct bench *bench)
{
    size_t size;
    char *bytes = read_file(bench, &size);
    struct reader reader;
    struct buf sum = {0};
    reader_init(&reader, bytes + 12, 4);
    size_t summed = reader_u32(&reader) - 8;
    bytes[11] ^= 2;
    buf_append_u64(&sum, XXH64(bytes, summed, 0));
    memcpy(bytes + summed, sum.data, sum.size);
    write_file(bench, bytes, size);
    buf_free(&sum);
    free(bytes);
}

START_TEST(a_segment_of_another_version_is_refused_and_kept)
{
    struct bench bench;
    bench_filled(&bench, 1500, 10);
    change_version(&bench);
    off_t before = file_size(&bench, 1);
    ck_assert(!reopen(&bench, 1000));
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(bench.err.message, "another version"));
    ck_assert_int_eq(file_size(&bench, 1), before);
    change_version(&bench);
    must_reopen(&bench, 1000);
    expect_taken(&bench, 1000, 1100, 1500);
    bench_close(&bench);
}
END_TEST

/* A promoted source goes on with it; where what came before ends is told. */
START_TEST(what_is_of_an_older_timeline_is_told_and_not_added_to)
{
    struct bench bench;
    struct spool_picture picture;
    bench_filled(&bench, 1500, 10);
    must_reopen(&bench, 1000);
    spool_follow(bench.spool, 2);
    spool_look(bench.spool, &picture);
    ck_assert_uint_eq(picture.older, 1);
    ck_assert_uint_eq(picture.older_end, 1500);
    put_all(&bench, 1600, 1900, 10);
    bench.config.identity.timeline = 2;
    must_reopen(&bench, 1000);
    spool_look(bench.spool, &picture);
    ck_assert_uint_eq(picture.older, 1);
    ck_assert_uint_eq(picture.older_end, 1500);
    ck_assert_uint_eq(picture.end, 1900);
    ck_assert_uint_eq(picture.segments, 2);
    expect_taken(&bench, 1000, 1100, 1900);
    bench_close(&bench);
}
END_TEST

START_TEST(a_folder_that_cannot_be_had_is_named)
{
    static const struct {
        const char *below, *says;
    } CASES[] = {{"missing/spool", "cannot be made"}, {"file", "cannot be opened"}};
    struct bench bench;
    char path[128];
    bench_open(&bench);
    snprintf(path, sizeof(path), "%s/file", bench.folder);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    for (size_t i = 0; i < UNIT_COUNT(CASES); i++) {
        struct spool_config config = bench.config;
        struct spool *spool = NULL;
        char folder[128];
        snprintf(folder, sizeof(folder), "%s/%s", bench.folder, CASES[i].below);
        config.folder = folder;
        ck_assert(!spool_open(&config, &spool, &bench.cut, &bench.err));
        ck_assert_ptr_null(spool);
        ck_assert_int_eq(bench.err.class, ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(bench.err.message, folder));
        ck_assert_ptr_nonnull(strstr(bench.err.message, CASES[i].says));
    }
    ck_assert_int_eq(unlink(path), 0);
    bench_close(&bench);
}
END_TEST

/* No file of this process may grow beyond `bytes`: the disk's refusal that is no lack of room.
 * Nothing is asserted under the limit: an assertion writes a file of its own. */
static enum backlog_result put_under_limit(struct bench *bench, const struct batch *batch,
                                           off_t bytes)
{
    struct rlimit limit, low;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)bytes, .rlim_max = limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    int lowered = setrlimit(RLIMIT_FSIZE, &low);
    enum backlog_result result = bench->backlog->ops->put(bench->backlog, batch, &bench->err);
    int raised = setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_DFL);
    ck_assert_int_eq(lowered, 0);
    ck_assert_int_eq(raised, 0);
    return result;
}

START_TEST(a_write_that_fails_leaves_what_was_before_it)
{
    struct bench bench;
    bench_filled(&bench, 1500, 10);
    off_t before = file_size(&bench, 1);
    struct batch *batch = make_batch(&bench, 1600, 100000, false, false);
    ck_assert_int_eq(put_under_limit(&bench, batch, before + 100), BACKLOG_FAILED);
    ck_assert_int_eq(bench.err.class, ERR_DISK);
    ck_assert_ptr_nonnull(strstr(bench.err.message, "cannot write"));
    ck_assert_int_eq(file_size(&bench, 1), before);
    must_reopen(&bench, 1000);
    expect_taken(&bench, 1000, 1100, 1500);
    batch_destroy(batch);
    bench_close(&bench);
}
END_TEST

START_TEST(what_came_as_text_is_told_and_not_added_to_in_binary)
{
    struct bench bench;
    struct spool_picture picture;
    bench_filled(&bench, 1500, 10);
    ck_assert(!spool_holds_text(bench.folder));
    bench.config.text = true;
    must_reopen(&bench, 1000);
    put_all(&bench, 1600, 1900, 10);
    spool_look(bench.spool, &picture);
    ck_assert(picture.text);
    ck_assert_uint_eq(picture.segments, 2);
    ck_assert(spool_holds_text(bench.folder));
    ck_assert(!spool_holds_text("/nowhere"));
    bench_close(&bench);
}
END_TEST

START_TEST(a_folder_has_one_user)
{
    struct bench bench;
    struct spool *second = NULL;
    bench_open(&bench);
    ck_assert(!spool_open(&bench.config, &second, &bench.cut, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_CONFIG);
    ck_assert(!spool_remove(bench.folder, &bench.config.identity, &bench.err));
    bench_close(&bench);
}
END_TEST

START_TEST(a_file_that_is_removed_while_in_use_is_not_relied_on)
{
    struct bench bench;
    lsn_t synced = 7;
    bench_filled(&bench, 1500, 10);
    remove_file(&bench, 1);
    ck_assert(!bench.backlog->ops->sync(bench.backlog, &synced, &bench.err));
    ck_assert_int_eq(bench.err.class, ERR_DISK);
    ck_assert_uint_eq(synced, 7);
    bench_close(&bench);
}
END_TEST

START_TEST(files_of_others_in_the_folder_are_left_alone)
{
    struct bench bench;
    char path[128];
    bench_open(&bench);
    snprintf(path, sizeof(path), "%s/lost+found.spool", bench.folder);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    must_reopen(&bench, LSN_NONE);
    spool_close(bench.spool);
    bench.spool = NULL;
    ck_assert(spool_remove(bench.folder, &bench.config.identity, &bench.err));
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    bench_close(&bench);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        what_is_put_is_taken_in_order,
        it_is_there_after_a_restart,
        segments_go_when_the_target_has_them,
        one_who_has_less_than_it_begins_with_gets_nothing_of_it,
        what_was_taken_can_be_taken_again,
        a_transaction_without_an_end_is_cut_off,
        pieces_over_segments_come_back_as_pieces,
        a_file_that_is_cut_anywhere_is_a_prefix,
        a_file_with_any_bit_flipped_is_a_prefix,
        damage_in_what_is_applied_already_does_no_harm,
        damage_that_is_found_while_reading_is_cut_off,
        a_segment_that_is_missing_ends_it,
        there_is_no_room_for_more_than_max_bytes,
        room_is_left_on_the_disk,
        another_s_spool_is_refused_and_kept,
        a_segment_of_another_version_is_refused_and_kept,
        a_folder_that_cannot_be_had_is_named,
        a_write_that_fails_leaves_what_was_before_it,
        what_is_of_an_older_timeline_is_told_and_not_added_to,
        what_came_as_text_is_told_and_not_added_to_in_binary,
        a_folder_has_one_user,
        a_file_that_is_removed_while_in_use_is_not_relied_on,
        files_of_others_in_the_folder_are_left_alone,
    };
    return unit_run("spool", tests, UNIT_COUNT(tests));
}
