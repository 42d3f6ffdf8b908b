/* The disk refuses: the n-th call of each kind that the spool makes fails, for every n of a story
 * that has all it does. It says so, with the folder and the disk's own words, and nothing that it
 * told to be synced is lost, nor is anything in there that was not put. */
#include "base/buf.h"
#include "spool/spool.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MB ((uint64_t)1 << 20)
#define FIRST 1000
#define STEP 100

/* ---- calls that fail ---- */

enum call {
    FOLDER,
    LOCK,
    ACCESS,
    MAKE,
    LIST,
    OPEN,
    READ,
    WRITE,
    SHORTEN,
    SYNC,
    SYNC_FOLDER,
    REMOVE,
    LOOK,
    ROOM,
    CALLS
};

static struct {
    bool armed;
    enum call call;
    enum call second; /* fails too, each time; CALLS: none */
    int error;
    unsigned at;  /* the call of that kind that fails */
    bool lasting; /* and so do all after it */
    unsigned passed;
    bool hit;
} fault = {.second = CALLS};

static bool is_due(enum call call)
{
    if (call == fault.second)
        return true;
    if (call != fault.call)
        return false;
    fault.passed++;
    return fault.passed == fault.at || (fault.lasting && fault.passed > fault.at);
}

static bool strikes(enum call call)
{
    if (!fault.armed || !is_due(call))
        return false;
    fault.hit = true;
    errno = fault.error;
    return true;
}

/* The linker has the spool's calls come here (CMakeLists.txt). A release calls the checked form
 * of some. */
#define WRAPPED(result, failed, call, name, parameters, arguments)                             \
    result __real_##name parameters;                                                           \
    result __wrap_##name parameters;                                                           \
    result __wrap_##name parameters                                                            \
    {                                                                                          \
        return strikes(call) ? (failed) : __real_##name arguments;                             \
    }
WRAPPED(int, -1, LOCK, flock, (int fd, int how), (fd, how))
WRAPPED(int, -1, ACCESS, faccessat, (int fd, const char *path, int mode, int flags),
        (fd, path, mode, flags))
WRAPPED(int, -1, MAKE, mkdir, (const char *path, mode_t mode), (path, mode))
WRAPPED(void *, NULL, LIST, opendir, (const char *path), (path))
WRAPPED(ssize_t, -1, READ, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
WRAPPED(ssize_t, -1, READ, __pread_chk, (int fd, void *to, size_t size, off_t at, size_t room),
        (fd, to, size, at, room))
WRAPPED(ssize_t, -1, WRITE, pwrite, (int fd, const void *from, size_t size, off_t at),
        (fd, from, size, at))
WRAPPED(int, -1, SHORTEN, ftruncate, (int fd, off_t size), (fd, size))
WRAPPED(int, -1, SYNC, fdatasync, (int fd), (fd))
WRAPPED(int, -1, SYNC_FOLDER, fsync, (int fd), (fd))
WRAPPED(int, -1, REMOVE, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
WRAPPED(int, -1, LOOK, fstat, (int fd, struct stat *file), (fd, file))
WRAPPED(int, -1, ROOM, fstatvfs, (int fd, struct statvfs *disk), (fd, disk))

static mode_t mode_of(int flags, va_list more)
{
    return (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return strikes(FOLDER) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return strikes(OPEN) ? -1 : __real_openat(fd, path, flags, mode);
}

/* ---- the story ---- */

struct tale {
    char folder[64];
    struct spool_config config;
    struct relation *relation;
    struct batch *batch;
    struct spool *spool;
    struct backlog *log;
    lsn_t put;     /* the last transaction that is put */
    lsn_t told;    /* what the slot may have been told */
    lsn_t durable; /* what the target has */
    bool full;     /* there was no room: no failure */
    struct err err;
};

/* Of so many bytes that do not compress. `open`: its end is not put. */
static bool put(struct tale *tale, size_t filling, bool open)
{
    lsn_t end = tale->put + STEP;
    struct batch *batch = tale->batch;
    uint32_t dice = (uint32_t)end;
    batch_reset(batch);
    char *text = arena_alloc(&batch->arena, filling + 32);
    size_t size = (size_t)snprintf(text, 32, "%llu ", (unsigned long long)end);
    for (size_t i = 0; i < filling; i++)
        text[size++] = (char)((dice = dice * 1664525 + 1013904223) >> 24);
    *batch_add_transaction(batch) = (struct transaction){
        .xid = (xid_t)end, .commit_lsn = end - 50, .end_lsn = open ? LSN_NONE : end};
    struct row row = batch_row(batch, 1);
    row.values[0] = (struct value){text, (uint32_t)size, VALUE_TEXT};
    *batch_add_change(batch) =
        (struct change){.kind = CHANGE_INSERT, .relation = tale->relation, .new = row};
    batch->ends_open = open;
    batch->end_lsn = open ? LSN_NONE : end;
    enum backlog_result result = tale->log->ops->put(tale->log, batch, &tale->err);
    tale->full = result == BACKLOG_NONE;
    if (result != BACKLOG_OK)
        return false;
    tale->put = open ? tale->put : end;
    return true;
}

static bool sync_all(struct tale *tale)
{
    return tale->log->ops->sync(tale->log, &tale->told, &tale->err);
}

static void expect(const struct batch *batch, lsn_t end)
{
    ck_assert_uint_eq(batch->transaction_count, 1);
    ck_assert_uint_eq(batch->transactions[0].end_lsn, end);
    ck_assert_uint_eq(strtoull(batch->changes[0].new.values[0].data, NULL, 10), end);
}

/* All up to `last`, from what the target has. */
static bool take_to(struct tale *tale, lsn_t last)
{
    if (!tale->log->ops->begin(tale->log, tale->durable, &tale->err))
        return false;
    for (lsn_t end = tale->durable + STEP; end <= last; end += STEP) {
        batch_reset(tale->batch);
        enum backlog_result result = tale->log->ops->take(tale->log, tale->batch, &tale->err);
        if (result == BACKLOG_FAILED)
            return false;
        ck_assert_int_eq(result, BACKLOG_OK);
        expect(tale->batch, end);
    }
    return true;
}

static bool trim(struct tale *tale, lsn_t durable)
{
    tale->durable = durable;
    return tale->log->ops->trim(tale->log, durable, &tale->err);
}

static bool extend(struct tale *tale)
{
    lsn_t from = 0;
    if (!tale->log->ops->extend(tale->log, tale->durable, &from, &tale->err))
        return false;
    ck_assert_uint_eq(from, tale->put);
    return true;
}

static bool open_spool(struct tale *tale)
{
    uint64_t cut;
    spool_close(tale->spool);
    tale->spool = NULL;
    tale->config.applied = tale->durable;
    if (!spool_open(&tale->config, &tale->spool, &cut, &tale->err))
        return false;
    tale->log = spool_backlog(tale->spool);
    return true;
}

/* The machine stood still while the last file was written. */
static void tear(const struct tale *tale)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%016x.spool", tale->folder, 2);
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_gt(fprintf(file, "what was never whole"), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static bool remove_spool(struct tale *tale)
{
    spool_close(tale->spool);
    tale->spool = NULL;
    return spool_remove(tale->folder, &tale->config.identity, &tale->err);
}

static bool begin_it(struct tale *tale)
{
    return open_spool(tale) && extend(tale) && put(tale, 700000, false) &&
           put(tale, 400000, false) && put(tale, 10, false) && put(tale, 10, false) &&
           sync_all(tale) && take_to(tale, FIRST + 4 * STEP) && trim(tale, FIRST + 2 * STEP) &&
           put(tale, 10, false) && put(tale, 10, true) && sync_all(tale);
}

static bool go_on_with_it(struct tale *tale)
{
    return open_spool(tale) && take_to(tale, tale->put) && extend(tale) &&
           put(tale, 1100000, false) && put(tale, 10, false) && sync_all(tale) &&
           take_to(tale, tale->put) && trim(tale, tale->put);
}

/* False when it comes to its end too early. */
static bool tell(struct tale *tale)
{
    if (!begin_it(tale))
        return false;
    spool_close(tale->spool);
    tale->spool = NULL;
    tear(tale);
    return go_on_with_it(tale) && put(tale, 10, false) && sync_all(tale) &&
           trim(tale, tale->put) && put(tale, 10, false) && sync_all(tale) &&
           remove_spool(tale);
}

static void tale_begin(struct tale *tale)
{
    char name[] = "id";
    *tale = (struct tale){
        .relation = relation_create("public", "t", 1, &(struct column){.name = name}),
        .batch = batch_create(),
        .config = {.identity = {"shop", "slackwater_shop", "7000", "db", 1},
                   .instance = 1,
                   .max_bytes = 16 * MB} /* in segments of 1 MB */,
        .put = FIRST,
        .durable = FIRST,
    };
    snprintf(tale->folder, sizeof(tale->folder), "%s/spool-unit-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(tale->folder));
    tale->config.folder = tale->folder;
}

static void tale_end(struct tale *tale)
{
    spool_close(tale->spool);
    ck_assert(spool_remove(tale->folder, &tale->config.identity, &tale->err));
    ck_assert_int_eq(rmdir(tale->folder), 0);
    batch_destroy(tale->batch);
    relation_free(tale->relation);
}

/* What is there is taken from what the target has, with no hole. The last of it. */
static lsn_t take_what_is_there(struct tale *tale)
{
    lsn_t end = tale->durable;
    ck_assert_msg(open_spool(tale), "%s", tale->err.message);
    ck_assert(tale->log->ops->begin(tale->log, tale->durable, &tale->err));
    for (;;) {
        batch_reset(tale->batch);
        enum backlog_result result = tale->log->ops->take(tale->log, tale->batch, &tale->err);
        ck_assert_msg(result != BACKLOG_FAILED, "%s", tale->err.message);
        if (result == BACKLOG_NONE)
            return end;
        expect(tale->batch, end += STEP);
    }
}

/* ---- the disk's refusals ---- */

struct refusal {
    const char *name;
    enum call call;
    int error;
    enum err_class class;
    unsigned least;      /* so many of the kind are made in the story */
    const char *says[4]; /* one of these */
    bool is_full;        /* it is no failure: there is no room */
};

static const struct refusal REFUSALS[] = {
    {"folder", FOLDER, EACCES, ERR_CONFIG, 2, {"cannot be opened"}, false},
    {"lock", LOCK, ENOLCK, ERR_CONFIG, 2, {"cannot be locked"}, false},
    {"access", ACCESS, EROFS, ERR_CONFIG, 2, {"cannot be written"}, false},
    {"mkdir", MAKE, ENOTDIR, ERR_CONFIG, 2, {"cannot be made"}, false},
    {"list", LIST, EMFILE, ERR_CONFIG, 2, {"cannot be read"}, false},
    {"open",
     OPEN,
     EMFILE,
     ERR_DISK,
     8,
     {"cannot open a segment", "cannot make a segment", "cannot shorten a segment",
      "cannot read"},
     false},
    {"read", READ, EIO, ERR_DISK, 12, {"cannot read"}, false},
    {"write", WRITE, EIO, ERR_DISK, 8, {"cannot write", "cannot make a segment"}, false},
    {"no space", WRITE, ENOSPC, ERR_DISK, 8, {""}, true},
    {"quota", WRITE, EDQUOT, ERR_DISK, 8, {""}, true},
    {"shorten", SHORTEN, EIO, ERR_DISK, 2, {"cannot shorten a segment"}, false},
    {"sync", SYNC, EIO, ERR_DISK, 4, {"fsync of a segment", "fsync failed before"}, false},
    {"sync of the folder",
     SYNC_FOLDER,
     EIO,
     ERR_DISK,
     3,
     {"fsync of the folder", "cannot shorten a segment"},
     false},
    {"remove", REMOVE, EPERM, ERR_DISK, 2, {"cannot remove a segment"}, false},
    {"look",
     LOOK,
     EIO,
     ERR_DISK,
     3,
     {"cannot open a segment", "cannot look at a segment"},
     false},
    {"room", ROOM, EIO, ERR_DISK, 8, {"its free space cannot be read"}, false},
};

static void expect_said(const struct tale *tale, const struct refusal *refusal)
{
    bool said = false;
    for (size_t i = 0; i < UNIT_COUNT(refusal->says) && refusal->says[i] != NULL; i++)
        said |= strstr(tale->err.message, refusal->says[i]) != NULL;
    ck_assert_msg(said && strstr(tale->err.message, tale->folder) != NULL &&
                      strstr(tale->err.message, strerror(refusal->error)) != NULL &&
                      tale->err.class == refusal->class,
                  "%s, the %u. time: %s", refusal->name, fault.at, tale->err.message);
}

/* What was told to be synced is there, with nothing that was not put. */
static void expect_kept(struct tale *tale, const struct refusal *refusal)
{
    lsn_t there = take_what_is_there(tale);
    ck_assert_msg(there >= tale->told && there <= tale->put, "%s, the %u. time: %llu of %llu",
                  refusal->name, fault.at, (unsigned long long)there,
                  (unsigned long long)tale->told);
    /* What the disk may not have is not taken for written. */
    ck_assert(refusal->call != SYNC || tale->told >= tale->put || there < tale->put);
}

/* False when there was no such call. */
static bool refuse_one(const struct refusal *refusal)
{
    struct tale tale;
    tale_begin(&tale);
    fault.passed = 0;
    fault.hit = false;
    fault.armed = true;
    bool ended = tell(&tale);
    fault.armed = false;
    ck_assert_msg(ended != fault.hit, "%s, the %u. time: %s", refusal->name, fault.at,
                  ended ? "nobody said so" : tale.err.message);
    if (!ended) {
        ck_assert_int_eq(tale.full, refusal->is_full);
        if (!tale.full)
            expect_said(&tale, refusal);
        expect_kept(&tale, refusal);
    }
    tale_end(&tale);
    return !ended;
}

static void refuse_each(const struct refusal *refusal, bool lasting)
{
    fault.call = refusal->call;
    fault.error = refusal->error;
    fault.lasting = lasting;
    for (fault.at = 1; refuse_one(refusal); fault.at++)
        continue;
    ck_assert_msg(fault.at > refusal->least, "%s: only %u", refusal->name, fault.at - 1);
}

START_TEST(each_call_that_fails_is_told_and_loses_nothing)
{
    for (size_t i = 0; i < UNIT_COUNT(REFUSALS); i++)
        refuse_each(&REFUSALS[i], false);
}
END_TEST

START_TEST(a_disk_that_fails_for_good_is_told_and_loses_nothing)
{
    for (size_t i = 0; i < UNIT_COUNT(REFUSALS); i++)
        refuse_each(&REFUSALS[i], true);
}
END_TEST

/* Half a frame that cannot be taken away again is no lack of room: it may not be written behind. */
START_TEST(what_cannot_be_taken_back_is_a_failure)
{
    static const struct refusal CASES[] = {
        {"no space", WRITE, ENOSPC, ERR_DISK, 0, {"cannot write"}, false},
        {"sync", SYNC, EIO, ERR_DISK, 0, {"fsync of a segment"}, false},
    };
    struct tale tale;
    for (size_t i = 0; i < UNIT_COUNT(CASES); i++) {
        tale_begin(&tale);
        ck_assert(open_spool(&tale) && extend(&tale) && put(&tale, 10, false) &&
                  sync_all(&tale));
        fault.call = CASES[i].call;
        fault.error = CASES[i].error;
        fault.at = 1;
        fault.passed = 0;
        fault.second = SHORTEN;
        fault.armed = true;
        bool ok = put(&tale, 10, false) && sync_all(&tale);
        fault.armed = false;
        fault.second = CALLS;
        ck_assert(!ok && !tale.full);
        expect_said(&tale, &CASES[i]);
        ck_assert_uint_ge(take_what_is_there(&tale), tale.told);
        tale_end(&tale);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        each_call_that_fails_is_told_and_loses_nothing,
        a_disk_that_fails_for_good_is_told_and_loses_nothing,
        what_cannot_be_taken_back_is_a_failure,
    };
    return unit_run("spool faults", tests, UNIT_COUNT(tests));
}
