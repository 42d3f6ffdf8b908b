/* Segment files (segment.h). */
#include "spool/segment.h"

#include "base/mem.h"
#include "base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MAGIC "SLWSPOOL"
#define MAGIC_SIZE 8
#define VERSION 1
#define HEADER_MOST 4096
#define CHECKSUM_SIZE 8
#define BEGINS_OPEN 1
#define TEXT 2

uint64_t segment_seed(uint64_t number, uint64_t offset)
{
    return number << 40 ^ offset;
}

bool segment_read(int fd, uint64_t offset, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

bool segment_write(int fd, uint64_t offset, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put =
            pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

void segment_grew(struct segment *segment, const struct frame *frame)
{
    segment->bytes += FRAME_HEADER + frame->stored;
    segment->frames++;
    segment->end = frame->after;
    segment->ends_open = frame->ends_open;
    if (!frame->ends_open)
        segment->closed = (struct closing){segment->bytes, segment->frames, segment->end};
}

/* Of no frame yet. */
static void begin_frames(struct segment *segment)
{
    segment->end = segment->floor;
    segment->ends_open = segment->begins_open;
    segment->bytes = segment->header;
    segment->frames = 0;
    segment->closed = segment->begins_open
                          ? (struct closing){0}
                          : (struct closing){segment->header, 0, segment->floor};
}

/* ---- the header ---- */

static void append_texts(const struct spool_identity *identity, struct buf *out)
{
    const char *const texts[] = {identity->system_identifier, identity->database,
                                 identity->slot, identity->migration};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        buf_append(out, texts[i], strlen(texts[i]) + 1);
}

static size_t header_size(const struct spool_identity *identity)
{
    struct buf texts = {0};
    append_texts(identity, &texts);
    size_t size = MAGIC_SIZE + 4 + 4 + 8 + 8 + 1 + 4 + 8 + 8 + texts.size + CHECKSUM_SIZE;
    buf_free(&texts);
    return size;
}

static void append_header(const struct spool_identity *identity, const struct segment *segment,
                          struct buf *out)
{
    buf_append(out, MAGIC, MAGIC_SIZE);
    buf_append_u32(out, VERSION);
    buf_append_u32(out, (uint32_t)segment->header);
    buf_append_u64(out, segment->number);
    buf_append_u64(out, segment->floor);
    buf_append_char(
        out, (char)((segment->begins_open ? BEGINS_OPEN : 0) | (segment->text ? TEXT : 0)));
    buf_append_u32(out, segment->timeline);
    buf_append_u64(out, segment->instance);
    buf_append_u64(out, (uint64_t)segment->created_at);
    append_texts(identity, out);
    buf_append_u64(out, XXH64(out->data, out->size, 0));
}

static bool out_of_room(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static bool make_failed(const struct folder *folder, int error, struct err *err)
{
    return out_of_room(error) || err_set(err, ERR_DISK, "spool %s: cannot make a segment: %s",
                                         folder->path, strerror(error));
}

bool segment_make(const struct folder *folder, const struct spool_identity *identity,
                  struct segment *segment, int *fd, struct err *err)
{
    struct buf header = {0};
    segment->header = header_size(identity);
    begin_frames(segment);
    append_header(identity, segment, &header);
    *fd = folder_file(folder, segment->number, O_RDWR | O_CREAT | O_TRUNC);
    bool written = *fd >= 0 && segment_write(*fd, 0, header.data, header.size);
    int error = errno;
    buf_free(&header);
    if (written)
        return folder_sync(folder, err);
    if (*fd >= 0) {
        struct err ignored = {0};
        close(*fd);
        (void)folder_remove(folder, segment->number, &ignored);
    }
    *fd = -1;
    return make_failed(folder, error, err);
}

static bool same_text(struct reader *reader, const char *wanted)
{
    return strcmp(reader_string(reader), wanted) == 0;
}

/* A source that was promoted goes on with what came from it before (segment.h). */
static bool is_ours(struct reader *reader, const struct spool_identity *identity,
                    uint32_t timeline)
{
    bool same = same_text(reader, identity->system_identifier);
    same &= same_text(reader, identity->database);
    same &= same_text(reader, identity->slot);
    same &= same_text(reader, identity->migration);
    return same && reader_ok(reader) && timeline <= identity->timeline;
}

static bool refuse(const struct folder *folder, const char *why, struct err *err)
{
    err_set(err, ERR_CONFIG, "spool %s: it is %s", folder->path, why);
    return err_remedy(err, "give this migration a folder of its own as spool.dir; remove the "
                           "files in this one if nobody needs them any more");
}

/* What a header has. The reader stands before its texts. False when it is none. */
static bool parse_header(const uint8_t *bytes, size_t size, struct reader *reader,
                         struct segment *segment, uint32_t *version)
{
    struct reader sum;
    reader_init(reader, bytes, size);
    const uint8_t *magic = reader_bytes(reader, MAGIC_SIZE);
    *version = reader_u32(reader);
    segment->header = reader_u32(reader);
    if (magic == NULL || memcmp(magic, MAGIC, MAGIC_SIZE) != 0 ||
        segment->header <= CHECKSUM_SIZE || segment->header > size)
        return false;
    reader_init(&sum, bytes + segment->header - CHECKSUM_SIZE, CHECKSUM_SIZE);
    if (reader_u64(&sum) != XXH64(bytes, segment->header - CHECKSUM_SIZE, 0))
        return false;
    reader_init(reader, bytes, segment->header - CHECKSUM_SIZE); /* what follows is no header */
    (void)reader_bytes(reader, MAGIC_SIZE + 8);
    uint64_t number = reader_u64(reader);
    segment->floor = reader_u64(reader);
    uint8_t flags = reader_u8(reader);
    segment->begins_open = (flags & BEGINS_OPEN) != 0;
    segment->text = (flags & TEXT) != 0;
    segment->timeline = reader_u32(reader);
    segment->instance = reader_u64(reader);
    segment->created_at = (usec_t)reader_u64(reader);
    return number == segment->number || *version != VERSION;
}

/* *valid: it has a header of ours; else the file does not count. */
static bool read_header(const struct folder *folder, const struct spool_identity *identity,
                        const uint8_t *bytes, size_t size, struct segment *segment, bool *valid,
                        struct err *err)
{
    struct reader reader;
    uint32_t version;
    *valid = parse_header(bytes, size, &reader, segment, &version);
    if (!*valid)
        return true;
    if (version != VERSION)
        return refuse(folder, "of another version of slackwater", err);
    begin_frames(segment);
    return is_ours(&reader, identity, segment->timeline) ||
           refuse(folder, "of another migration, source, slot or timeline", err);
}

static bool read_start(const struct folder *folder, uint64_t number, uint8_t *bytes,
                       size_t room, size_t *size, struct err *err)
{
    int fd = folder_file(folder, number, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : pread(fd, bytes, room, 0);
    if (got < 0)
        err_set(err, ERR_DISK, "spool %s: cannot read: %s", folder->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    *size = got < 0 ? 0 : (size_t)got;
    return got >= 0;
}

bool segment_look(const struct folder *folder, uint64_t number,
                  const struct spool_identity *identity, struct segment_label *label,
                  struct err *err)
{
    uint8_t header[HEADER_MOST];
    size_t size;
    struct segment segment = {.number = number};
    struct reader reader;
    uint32_t version;
    *label = (struct segment_label){0};
    if (!read_start(folder, number, header, sizeof(header), &size, err))
        return false;
    if (!parse_header(header, size, &reader, &segment, &version))
        return true;
    (void)reader_string(&reader); /* system identifier */
    (void)reader_string(&reader); /* database */
    label->text = segment.text;
    label->foreign = !same_text(&reader, identity->slot);
    label->foreign |= !same_text(&reader, identity->migration);
    return true;
}

/* ---- scanning ---- */

struct scan {
    int fd;
    uint64_t size; /* that may be looked at */
    lsn_t applied;
    struct buf bytes;
    int error; /* errno of a read that failed; 0: none did */
};

static bool scan_bytes(struct scan *scan, uint64_t offset, void *bytes, size_t size)
{
    if (segment_read(scan->fd, offset, bytes, size))
        return true;
    scan->error = errno;
    return false;
}

/* False when the frame does not count. */
static bool scan_frame(struct scan *scan, const struct segment *segment, struct frame *frame)
{
    uint8_t header[FRAME_HEADER];
    uint64_t left = scan->size - segment->bytes;
    if (left < FRAME_HEADER || !scan_bytes(scan, segment->bytes, header, FRAME_HEADER) ||
        !frame_read_header(header, segment_seed(segment->number, segment->bytes), frame) ||
        frame->stored > left - FRAME_HEADER || frame->before != segment->end ||
        frame->begins_open != segment->ends_open)
        return false;
    if (frame->after <= scan->applied && !frame->ends_open)
        return true;
    buf_clear(&scan->bytes);
    buf_reserve(&scan->bytes, frame->stored);
    return scan_bytes(scan, segment->bytes + FRAME_HEADER, scan->bytes.data, frame->stored) &&
           frame_fits(frame, scan->bytes.data);
}

static bool scan_file(const struct folder *folder, const struct spool_identity *identity,
                      struct scan *scan, struct segment *segment, bool *whole, struct err *err)
{
    uint8_t header[HEADER_MOST];
    struct frame frame;
    bool valid = false;
    size_t size = scan->size < HEADER_MOST ? scan->size : HEADER_MOST;
    *whole = false;
    if (scan_bytes(scan, 0, header, size) &&
        !read_header(folder, identity, header, size, segment, &valid, err))
        return false;
    if (!valid)
        segment->bytes = segment->closed.bytes = 0;
    while (valid && segment->bytes < scan->size && scan_frame(scan, segment, &frame))
        segment_grew(segment, &frame);
    *whole = valid && segment->bytes == scan->size;
    return scan->error == 0 || err_set(err, ERR_DISK, "spool %s: cannot read: %s", folder->path,
                                       strerror(scan->error));
}

bool segment_scan(const struct folder *folder, const struct spool_identity *identity,
                  uint64_t number, lsn_t applied, uint64_t limit, struct segment *segment,
                  bool *whole, struct err *err)
{
    struct stat file;
    struct scan scan = {.fd = folder_file(folder, number, O_RDONLY), .applied = applied};
    *segment = (struct segment){.number = number};
    if (scan.fd < 0 || fstat(scan.fd, &file) != 0) {
        err_set(err, ERR_DISK, "spool %s: cannot open a segment: %s", folder->path,
                strerror(errno));
        if (scan.fd >= 0)
            close(scan.fd);
        return false;
    }
    scan.size = (uint64_t)file.st_size < limit ? (uint64_t)file.st_size : limit;
    bool ok = scan_file(folder, identity, &scan, segment, whole, err);
    buf_free(&scan.bytes);
    close(scan.fd);
    return ok;
}
