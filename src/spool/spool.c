/* The spool (spool.h): its row of segments, what is put at the end and trimmed at the front, and
 * its life cycle. */
#include "spool/spool_state.h"

#include "base/failpoint.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_MOST ((uint64_t)64 << 20)
#define SEGMENT_LEAST ((uint64_t)1 << 20)
/* Of a spool that is as large as it may be: room is made by segments. */
#define SEGMENTS_WANTED 16

bool spool_disk_failed(const struct spool *spool, const char *what, int error, struct err *err)
{
    return err_set(err, ERR_DISK, "spool %s: %s: %s", spool->folder.path, what,
                   strerror(error));
}

static bool write_failed(const struct spool *spool, const char *what, int error,
                         struct err *err)
{
    spool_disk_failed(spool, what, error, err);
    return err_remedy(err, "look after the disk. The source was not told of what could not be "
                           "written, so slackwater may then just be started again");
}

/* ---- the row of segments ---- */

/* There is one. */
static struct segment *last_of(struct spool *spool)
{
    return &spool->segments.items[spool->segments.count - 1];
}

static struct segment *last_or_null(struct spool *spool)
{
    return spool->segments.count == 0 ? NULL : last_of(spool);
}

static uint64_t bytes_of(const struct spool *spool)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < spool->segments.count; i++)
        bytes += spool->segments.items[i].bytes;
    return bytes;
}

static void forget_first(struct spool *spool, size_t count)
{
    struct segments *segments = &spool->segments;
    if (count == 0)
        return;
    segments->count -= count;
    memmove(segments->items, segments->items + count,
            segments->count * sizeof(*segments->items));
}

/* The reader stands behind all there is. */
static void stand_at_end(struct spool *spool)
{
    const struct segment *last = last_or_null(spool);
    spool->at =
        last ? (struct place){last->number, last->bytes, last->frames} : (struct place){0};
}

static void close_put(struct spool *spool)
{
    if (spool->put_fd >= 0)
        close(spool->put_fd);
    spool->put_fd = -1;
}

/* Files go from the front, so that a kill leaves no hole; and are gone for good, so that a
 * crash of the machine brings none back. */
static bool remove_first(struct spool *spool, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!folder_remove(&spool->folder, spool->segments.items[i].number, err))
            return false;
    return count == 0 || folder_sync(&spool->folder, err);
}

static bool clear(struct spool *spool, struct err *err)
{
    bool ok = remove_first(spool, spool->segments.count, err);
    close_put(spool);
    spool_close_take(spool);
    forget_first(spool, spool->segments.count);
    stand_at_end(spool);
    spool->unsynced = false;
    return ok;
}

/* ---- syncing ---- */

/* What did not get to the disk may still be in memory, and look written to the next who reads
 * it; so it is taken away. */
static bool sync_failed(struct spool *spool, int error, struct err *err)
{
    spool->sync_error = error;
    if (ftruncate(spool->put_fd, (off_t)spool->synced_bytes) != 0)
        error = errno;
    return write_failed(spool, "fsync of a segment", error, err);
}

static bool sync_file(struct spool *spool, struct err *err)
{
    struct stat file;
    if (spool->sync_error != 0)
        return write_failed(spool, "fsync failed before", spool->sync_error, err);
    if (!spool->unsynced)
        return true;
    if (fdatasync(spool->put_fd) != 0)
        return sync_failed(spool, errno, err);
    if (fstat(spool->put_fd, &file) != 0)
        return spool_disk_failed(spool, "cannot look at a segment", errno, err);
    if (file.st_nlink == 0)
        return spool_disk_failed(spool, "a segment that is in use was removed", ENOENT, err);
    spool->synced_bytes = last_of(spool)->bytes;
    spool->unsynced = false;
    return true;
}

/* The last commit that is here whole. */
static lsn_t last_commit(const struct spool *spool)
{
    for (size_t i = spool->segments.count; i > 0; i--)
        if (spool->segments.items[i - 1].closed.bytes > 0)
            return spool->segments.items[i - 1].closed.end;
    return spool->next_floor;
}

static bool spool_sync(struct backlog *backlog, lsn_t *synced, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    if (!sync_file(spool, err))
        return false;
    *synced = last_commit(spool);
    return failpoint(SPOOL_SYNCED, err);
}

/* ---- putting ---- */

static bool has_room(struct spool *spool, uint64_t more, bool *room, struct err *err)
{
    uint64_t left = 0;
    if (!folder_free_bytes(&spool->folder, &left, err))
        return false;
    *room = bytes_of(spool) + more <= spool->config.max_bytes && left >= more &&
            left - more >= spool->config.min_free;
    return true;
}

static void add_segment(struct spool *spool, const struct segment *segment)
{
    struct segments *segments = &spool->segments;
    pthread_mutex_lock(&spool->lock);
    segments->items = mem_grow(segments->items, segments->count + 1, sizeof(*segments->items));
    segments->items[segments->count++] = *segment;
    spool->next_number = segment->number + 1;
    pthread_mutex_unlock(&spool->lock);
}

/* *room: there was some. */
static bool begin_segment(struct spool *spool, bool *room, struct err *err)
{
    const struct segment *last = last_or_null(spool);
    struct segment segment = {
        .number = spool->next_number,
        .instance = spool->config.instance,
        .created_at = clock_wall(),
        .begins_open = last && last->ends_open,
        .text = spool->config.text,
        .timeline = spool->config.identity.timeline,
        .floor = last ? last->end : spool->next_floor,
    };
    if (!sync_file(spool, err))
        return false;
    close_put(spool);
    if (!segment_make(&spool->folder, &spool->config.identity, &segment, &spool->put_fd, err))
        return false;
    *room = spool->put_fd >= 0;
    spool->synced_bytes = segment.bytes;
    if (!*room)
        return true;
    add_segment(spool, &segment);
    return failpoint(SPOOL_SEGMENT, err);
}

/* Whether what comes may be added to the segment. */
static bool has_place(const struct spool *spool, const struct segment *segment)
{
    return segment->bytes < spool->segment_bytes && segment->text == spool->config.text &&
           segment->timeline == spool->config.identity.timeline;
}

/* The last segment's file, to be added to. */
static bool open_put(struct spool *spool, bool *room, struct err *err)
{
    const struct segment *last = last_or_null(spool);
    *room = true;
    if (last == NULL || !has_place(spool, last))
        return begin_segment(spool, room, err);
    if (spool->put_fd >= 0)
        return true;
    spool->put_fd = folder_file(&spool->folder, last->number, O_RDWR);
    spool->synced_bytes = last->bytes;
    return spool->put_fd >= 0 || spool_disk_failed(spool, "cannot open a segment", errno, err);
}

/* Nothing of it is left when it does not fit. */
static bool write_frame(struct spool *spool, const void *bytes, size_t size, bool *room,
                        struct err *err)
{
    uint64_t offset = last_of(spool)->bytes;
    spool->unsynced = true;
    *room = segment_write(spool->put_fd, offset, bytes, size);
    if (*room)
        return true;
    int error = errno;
    if (ftruncate(spool->put_fd, (off_t)offset) == 0 && (error == ENOSPC || error == EDQUOT))
        return true;
    return write_failed(spool, "cannot write", error, err);
}

static bool put(struct spool *spool, const struct batch *batch, bool *room, struct err *err)
{
    struct frame frame;
    const void *bytes;
    size_t size;
    if (!has_room(spool, 0, room, err))
        return false;
    if (!*room)
        return true;
    if (!open_put(spool, room, err))
        return false;
    if (!*room)
        return true;
    struct segment *last = last_of(spool);
    if (!frame_pack(spool->packer, batch, last->end, segment_seed(last->number, last->bytes),
                    &frame, &bytes, &size, err) ||
        !has_room(spool, size, room, err))
        return false;
    if (!*room)
        return true;
    if (!write_frame(spool, bytes, size, room, err))
        return false;
    if (!*room)
        return true;
    pthread_mutex_lock(&spool->lock);
    segment_grew(last, &frame);
    pthread_mutex_unlock(&spool->lock);
    return failpoint(SPOOL_WRITTEN, err);
}

static enum backlog_result spool_put(struct backlog *backlog, const struct batch *batch,
                                     struct err *err)
{
    struct spool *spool = spool_self(backlog);
    bool room = false;
    if (!put(spool, batch, &room, err))
        return BACKLOG_FAILED;
    pthread_mutex_lock(&spool->lock);
    spool->full = !room;
    pthread_mutex_unlock(&spool->lock);
    return room ? BACKLOG_OK : BACKLOG_NONE;
}

/* ---- trimming ---- */

/* The longest run of segments that hold nothing above `durable`, and end outside a transaction.
 */
static size_t count_obsolete(const struct spool *spool, lsn_t durable)
{
    size_t obsolete = 0;
    for (size_t i = 0; i < spool->segments.count; i++) {
        const struct segment *segment = &spool->segments.items[i];
        if (segment->end > durable)
            break;
        if (!segment->ends_open)
            obsolete = i + 1;
    }
    return obsolete;
}

static bool spool_trim(struct backlog *backlog, lsn_t durable, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    size_t count = count_obsolete(spool, durable);
    if (count == 0)
        return true;
    lsn_t end = spool->segments.items[count - 1].end;
    bool all = count == spool->segments.count;
    if (!remove_first(spool, count, err))
        return false;
    if (all)
        close_put(spool);
    pthread_mutex_lock(&spool->lock);
    forget_first(spool, count);
    spool->full = false;
    if (all) {
        spool->next_floor = end;
        spool->unsynced = false;
        stand_at_end(spool);
    }
    pthread_mutex_unlock(&spool->lock);
    return failpoint(SPOOL_TRIMMED, err);
}

/* ---- beginning, while nobody else uses it ---- */

static bool spool_settle(struct backlog *backlog, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    struct place damaged = spool->damaged;
    lsn_t synced;
    if (!spool_sync(backlog, &synced, err))
        return false;
    close_put(spool);
    spool_close_take(spool);
    spool->damaged = (struct place){0};
    pthread_mutex_lock(&spool->lock);
    bool ok = (damaged.number == 0 ||
               recover_cut(&spool->folder, &spool->config.identity, &spool->segments,
                           damaged.number, damaged.offset, err)) &&
              recover_close(&spool->folder, &spool->segments, err);
    const struct segment *last = last_or_null(spool);
    if (last == NULL || spool->at.number > last->number ||
        (spool->at.number == last->number && spool->at.offset > last->bytes))
        stand_at_end(spool);
    pthread_mutex_unlock(&spool->lock);
    return ok;
}

static bool is_helpful(struct spool *spool, lsn_t applied)
{
    return spool->segments.count > 0 && spool->segments.items[0].floor <= applied &&
           applied < last_of(spool)->end;
}

static lsn_t spool_resume(struct backlog *backlog, lsn_t applied)
{
    struct spool *spool = spool_self(backlog);
    return is_helpful(spool, applied) ? last_of(spool)->end : applied;
}

/* The last segment that begins no later than there, outside a transaction; all from it on is
 * unread. */
static void stand_before(struct spool *spool, lsn_t applied)
{
    spool->at = (struct place){0};
    for (size_t i = 0; i < spool->segments.count; i++) {
        const struct segment *segment = &spool->segments.items[i];
        if (segment->floor <= applied && !segment->begins_open)
            spool->at = (struct place){segment->number, segment->header, 0};
    }
}

static bool spool_begin(struct backlog *backlog, lsn_t applied, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    bool ok = true;
    pthread_mutex_lock(&spool->lock);
    spool->applied = applied;
    if (is_helpful(spool, applied))
        stand_before(spool, applied);
    else if (spool->segments.count > 0 && spool->segments.items[0].floor > applied)
        ok = clear(spool, err);
    else
        stand_at_end(spool);
    pthread_mutex_unlock(&spool->lock);
    return ok;
}

static bool spool_extend(struct backlog *backlog, lsn_t durable, lsn_t *from, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    bool ok = spool_settle(backlog, err);
    pthread_mutex_lock(&spool->lock);
    if (ok && (spool->segments.count == 0 || last_of(spool)->end <= durable)) {
        ok = clear(spool, err);
        spool->next_floor = durable;
    }
    stand_at_end(spool);
    *from = last_commit(spool);
    pthread_mutex_unlock(&spool->lock);
    return ok;
}

/* ---- life cycle ---- */

/* Whoever wrote it may have been killed before it was synced. */
static bool sync_last(struct spool *spool, struct err *err)
{
    const struct segment *last = last_or_null(spool);
    if (last == NULL)
        return true;
    spool->put_fd = folder_file(&spool->folder, last->number, O_RDWR);
    if (spool->put_fd < 0)
        return spool_disk_failed(spool, "cannot open a segment", errno, err);
    spool->synced_bytes = last->bytes;
    spool->unsynced = true;
    return sync_file(spool, err);
}

static uint64_t segment_size(uint64_t max_bytes)
{
    uint64_t bytes = max_bytes / SEGMENTS_WANTED;
    return bytes > SEGMENT_MOST ? SEGMENT_MOST : bytes < SEGMENT_LEAST ? SEGMENT_LEAST : bytes;
}

static struct spool_config copy_config(const struct spool_config *config)
{
    struct spool_config copy = *config;
    copy.folder = mem_string(config->folder);
    copy.identity = (struct spool_identity){
        .migration = mem_string(config->identity.migration),
        .slot = mem_string(config->identity.slot),
        .system_identifier = mem_string(config->identity.system_identifier),
        .database = mem_string(config->identity.database),
        .timeline = config->identity.timeline,
    };
    return copy;
}

/* What copy_config() made. */
static void free_config(struct spool_config *config)
{
    const char *const texts[] = {config->folder, config->identity.migration,
                                 config->identity.slot, config->identity.system_identifier,
                                 config->identity.database};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free((char *)(uintptr_t)texts[i]);
}

bool spool_open(const struct spool_config *config, struct spool **spool, uint64_t *cut,
                struct err *err)
{
    static const struct backlog_ops OPS = {
        .settle = spool_settle,
        .resume = spool_resume,
        .begin = spool_begin,
        .extend = spool_extend,
        .put = spool_put,
        .sync = spool_sync,
        .trim = spool_trim,
        .take = spool_take,
        .unread = spool_unread,
    };
    struct spool *s = mem_zero(1, sizeof(*s));
    s->backlog.ops = &OPS;
    s->config = copy_config(config);
    s->segment_bytes = segment_size(config->max_bytes);
    s->put_fd = s->take_fd = -1;
    s->packer = frame_packer_create();
    s->unpacker = frame_unpacker_create();
    pthread_mutex_init(&s->lock, NULL);
    if (folder_open(&s->folder, s->config.folder, err) &&
        recover(&s->folder, &s->config.identity, config->applied, &s->segments, cut, err) &&
        sync_last(s, err)) {
        s->cut = *cut;
        stand_at_end(s);
        s->next_number = s->segments.count > 0 ? last_of(s)->number + 1 : 1;
        *spool = s;
        return true;
    }
    spool_close(s);
    return false;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    close_put(spool);
    spool_close_take(spool);
    frame_packer_destroy(spool->packer);
    frame_unpacker_destroy(spool->unpacker);
    interner_free(&spool->interner);
    buf_free(&spool->bytes);
    free(spool->segments.items);
    pthread_mutex_destroy(&spool->lock);
    folder_close(&spool->folder);
    free_config(&spool->config);
    free(spool);
}

struct backlog *spool_backlog(struct spool *spool)
{
    return &spool->backlog;
}

void spool_follow(struct spool *spool, uint32_t timeline)
{
    spool->config.identity.timeline = timeline;
}

static void look_at_segments(const struct spool *spool, struct spool_picture *picture)
{
    for (size_t i = 0; i < spool->segments.count; i++) {
        const struct segment *segment = &spool->segments.items[i];
        picture->text |= segment->text;
        if (segment->timeline == spool->config.identity.timeline)
            continue;
        picture->older = segment->timeline;
        picture->older_end = segment->end;
    }
}

void spool_look(struct spool *spool, struct spool_picture *picture)
{
    *picture = (struct spool_picture){0};
    pthread_mutex_lock(&spool->lock);
    const struct segments *segments = &spool->segments;
    if (segments->count > 0) {
        *picture = (struct spool_picture){
            .state = spool->full ? SPOOL_FULL : SPOOL_IN_USE,
            .bytes = bytes_of(spool),
            .segments = segments->count,
            .unread = spool_count_unread(spool),
            .floor = segments->items[0].floor,
            .end = segments->items[segments->count - 1].end,
            .oldest_at = segments->items[0].created_at,
        };
        look_at_segments(spool, picture);
    } else if (spool->full) {
        picture->state = SPOOL_FULL;
    }
    picture->cut = spool->cut;
    pthread_mutex_unlock(&spool->lock);
}
