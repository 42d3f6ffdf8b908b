/* Taking from the spool: what was put first and is not read yet (spool_state.h). */
#include "spool/spool_state.h"

#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

uint64_t spool_count_unread(const struct spool *spool)
{
    uint64_t unread = 0;
    for (size_t i = 0; i < spool->segments.count; i++) {
        const struct segment *segment = &spool->segments.items[i];
        if (segment->number >= spool->at.number)
            unread += segment->frames;
        if (segment->number == spool->at.number)
            unread -= spool->at.frames;
    }
    return unread;
}

void spool_close_take(struct spool *spool)
{
    if (spool->take_fd >= 0)
        close(spool->take_fd);
    spool->take_fd = -1;
}

/* Where the next frame is, and of which segment; false when there is none. */
static bool find_next(struct spool *spool, struct place *at, uint64_t *left)
{
    bool found = false;
    pthread_mutex_lock(&spool->lock);
    for (size_t i = 0; i < spool->segments.count && !found; i++) {
        const struct segment *segment = &spool->segments.items[i];
        if (segment->number < spool->at.number)
            continue;
        if (segment->number > spool->at.number)
            spool->at = (struct place){segment->number, segment->header, 0};
        found = spool->at.offset < segment->bytes;
        *left = segment->bytes - spool->at.offset;
        spool->take_instance = segment->instance;
        spool->take_text = segment->text;
    }
    *at = spool->at;
    pthread_mutex_unlock(&spool->lock);
    return found;
}

/* Unless what was read is trimmed by now. */
static void pass(struct spool *spool, const struct place *at, const struct frame *frame)
{
    pthread_mutex_lock(&spool->lock);
    if (spool->at.number == at->number && spool->at.offset == at->offset) {
        spool->at.offset += FRAME_HEADER + frame->stored;
        spool->at.frames++;
    }
    pthread_mutex_unlock(&spool->lock);
}

static enum backlog_result damage(struct spool *spool, const struct place *at, struct err *err)
{
    pthread_mutex_lock(&spool->lock);
    spool->damaged = *at;
    pthread_mutex_unlock(&spool->lock);
    err_set(
        err, ERR_RETRY,
        "spool %s: segment %016llx is damaged at byte %llu: what is from there on must come "
        "from the slot again",
        spool->folder.path, (unsigned long long)at->number, (unsigned long long)at->offset);
    return BACKLOG_FAILED;
}

static bool open_take(struct spool *spool, uint64_t number, struct err *err)
{
    if (spool->take_fd >= 0 && spool->take_number == number)
        return true;
    spool_close_take(spool);
    spool->take_fd = folder_file(&spool->folder, number, O_RDONLY);
    spool->take_number = number;
    return spool->take_fd >= 0 || spool_disk_failed(spool, "cannot open a segment", errno, err);
}

/* What cannot be read may be read another time: it is not damaged, and not to be cut off. */
static enum backlog_result misread(struct spool *spool, const struct place *at, struct err *err)
{
    if (spool->take_error == 0)
        return damage(spool, at, err);
    spool_disk_failed(spool, "cannot read a segment", spool->take_error, err);
    return BACKLOG_FAILED;
}

static bool take_bytes(struct spool *spool, uint64_t offset, void *bytes, size_t size)
{
    if (segment_read(spool->take_fd, offset, bytes, size))
        return true;
    spool->take_error = errno;
    return false;
}

static bool read_header(struct spool *spool, const struct place *at, uint64_t left,
                        struct frame *frame)
{
    uint8_t header[FRAME_HEADER];
    return left >= FRAME_HEADER && take_bytes(spool, at->offset, header, FRAME_HEADER) &&
           frame_read_header(header, segment_seed(at->number, at->offset), frame) &&
           frame->stored <= left - FRAME_HEADER;
}

static bool read_bytes(struct spool *spool, const struct place *at, const struct frame *frame)
{
    buf_clear(&spool->bytes);
    buf_reserve(&spool->bytes, frame->stored);
    return take_bytes(spool, at->offset + FRAME_HEADER, spool->bytes.data, frame->stored) &&
           frame_fits(frame, spool->bytes.data);
}

static bool makes_text(const struct spool *spool)
{
    return spool->config.text && !spool->take_text && spool->config.reading.to_text != NULL;
}

static void read_relation(void *context, lsn_t commit, struct relation *relation)
{
    const struct spool *spool = context;
    const struct spool_reading *reading = &spool->config.reading;
    if (reading->relation != NULL)
        reading->relation(reading->context, commit, makes_text(spool), relation);
}

/* What the frame holds, as it is understood now. BACKLOG_NONE: it is damaged. */
static enum backlog_result unpack(struct spool *spool, const struct frame *frame,
                                  struct batch *batch, struct err *err)
{
    const struct codec_reading reading = {
        .keep_heartbeats = spool->take_instance == spool->config.instance,
        .interner = &spool->interner,
        .read = read_relation,
        .context = spool,
    };
    uint32_t before = batch->change_count;
    if (!frame_unpack(spool->unpacker, frame, spool->bytes.data, &reading, batch, err))
        return BACKLOG_NONE;
    return !makes_text(spool) || spool->config.reading.to_text(spool->config.reading.context,
                                                               batch, before, err)
               ? BACKLOG_OK
               : BACKLOG_FAILED;
}

static enum backlog_result take_frame(struct spool *spool, const struct place *at,
                                      uint64_t left, struct batch *batch, struct err *err)
{
    struct frame frame;
    if (!open_take(spool, at->number, err))
        return BACKLOG_FAILED;
    spool->take_error = 0;
    if (!read_header(spool, at, left, &frame))
        return misread(spool, at, err);
    if (frame.after <= spool->applied && !frame.begins_open && !frame.ends_open) {
        pass(spool, at, &frame);
        return BACKLOG_NONE;
    }
    if (!read_bytes(spool, at, &frame))
        return misread(spool, at, err);
    enum backlog_result result = unpack(spool, &frame, batch, err);
    if (result == BACKLOG_NONE)
        return damage(spool, at, err);
    pass(spool, at, &frame);
    return failpoint(SPOOL_TAKEN, err) ? result : BACKLOG_FAILED;
}

enum backlog_result spool_take(struct backlog *backlog, struct batch *batch, struct err *err)
{
    struct spool *spool = spool_self(backlog);
    struct place at;
    uint64_t left;
    while (find_next(spool, &at, &left)) {
        enum backlog_result result = take_frame(spool, &at, left, batch, err);
        if (result != BACKLOG_NONE)
            return result;
    }
    return BACKLOG_NONE;
}

uint64_t spool_unread(struct backlog *backlog)
{
    struct spool *spool = spool_self(backlog);
    pthread_mutex_lock(&spool->lock);
    uint64_t unread = spool_count_unread(spool);
    pthread_mutex_unlock(&spool->lock);
    return unread;
}
