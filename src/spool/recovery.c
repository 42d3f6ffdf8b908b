/* Recovery (recovery.h). What is removed goes from the end to the beginning, so that a kill in
 * between leaves a spool that is shorter, and none with a hole. */
#include "spool/recovery.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool truncate_file(const struct folder *folder, uint64_t number, uint64_t bytes,
                          struct err *err)
{
    int fd = folder_file(folder, number, O_RDWR);
    bool ok = fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && fsync(fd) == 0;
    if (!ok)
        err_set(err, ERR_DISK, "spool %s: cannot shorten a segment: %s", folder->path,
                strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool file_bytes(const struct folder *folder, uint64_t number, uint64_t *bytes,
                       struct err *err)
{
    struct stat file;
    int fd = folder_file(folder, number, O_RDONLY);
    bool ok = fd >= 0 && fstat(fd, &file) == 0;
    if (ok)
        *bytes = (uint64_t)file.st_size;
    else
        err_set(err, ERR_DISK, "spool %s: cannot open a segment: %s", folder->path,
                strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool follows(const struct segments *segments, const struct segment *next)
{
    if (segments->count == 0)
        return !next->begins_open;
    const struct segment *last = &segments->items[segments->count - 1];
    return next->number == last->number + 1 && next->floor == last->end &&
           next->begins_open == last->ends_open;
}

/* What counts of the files, in order. *used: how many of them count, the last perhaps in part.
 */
static bool scan_all(const struct folder *folder, const struct spool_identity *identity,
                     lsn_t applied, const uint64_t *numbers, size_t count,
                     struct segments *segments, size_t *used, struct err *err)
{
    bool whole = true;
    *used = 0;
    for (size_t i = 0; i < count && whole; i++) {
        struct segment segment;
        if (!segment_scan(folder, identity, numbers[i], applied, UINT64_MAX, &segment, &whole,
                          err))
            return false;
        if (segment.bytes == 0 || !follows(segments, &segment))
            return true;
        segments->items =
            mem_grow(segments->items, segments->count + 1, sizeof(*segments->items));
        segments->items[segments->count++] = segment;
        *used = i + 1;
    }
    return true;
}

static bool remove_files(const struct folder *folder, const uint64_t *numbers, size_t from,
                         size_t count, uint64_t *cut, struct err *err)
{
    for (size_t i = count; i > from; i--) {
        uint64_t bytes;
        if (!file_bytes(folder, numbers[i - 1], &bytes, err) ||
            !folder_remove(folder, numbers[i - 1], err))
            return false;
        *cut += bytes;
    }
    return true;
}

/* To what is known of it. */
static bool fit_last(const struct folder *folder, const struct segments *segments,
                     uint64_t *cut, struct err *err)
{
    if (segments->count == 0)
        return true;
    const struct segment *last = &segments->items[segments->count - 1];
    uint64_t bytes;
    if (!file_bytes(folder, last->number, &bytes, err))
        return false;
    if (bytes <= last->bytes)
        return true;
    *cut += bytes - last->bytes;
    return truncate_file(folder, last->number, last->bytes, err);
}

static uint64_t total(const struct segments *segments)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < segments->count; i++)
        bytes += segments->items[i].bytes;
    return bytes;
}

bool recover(const struct folder *folder, const struct spool_identity *identity, lsn_t applied,
             struct segments *segments, uint64_t *cut, struct err *err)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    size_t used = 0;
    *cut = 0;
    bool ok = folder_list(folder, &numbers, &count, err) &&
              scan_all(folder, identity, applied, numbers, count, segments, &used, err) &&
              remove_files(folder, numbers, used, count, cut, err) &&
              fit_last(folder, segments, cut, err);
    free(numbers);
    uint64_t before = total(segments);
    ok = ok && recover_close(folder, segments, err);
    *cut += before - total(segments);
    return ok && folder_sync(folder, err);
}

static bool drop_last(const struct folder *folder, struct segments *segments, struct err *err)
{
    return folder_remove(folder, segments->items[--segments->count].number, err);
}

bool recover_close(const struct folder *folder, struct segments *segments, struct err *err)
{
    while (segments->count > 0 && segments->items[segments->count - 1].closed.bytes == 0)
        if (!drop_last(folder, segments, err))
            return false;
    if (segments->count == 0)
        return true;
    struct segment *last = &segments->items[segments->count - 1];
    if (!last->ends_open)
        return true;
    last->bytes = last->closed.bytes;
    last->frames = last->closed.frames;
    last->end = last->closed.end;
    last->ends_open = false;
    return truncate_file(folder, last->number, last->bytes, err);
}

bool recover_cut(const struct folder *folder, const struct spool_identity *identity,
                 struct segments *segments, uint64_t number, uint64_t offset, struct err *err)
{
    bool whole;
    while (segments->count > 0 && segments->items[segments->count - 1].number > number)
        if (!drop_last(folder, segments, err))
            return false;
    if (segments->count == 0 || segments->items[segments->count - 1].number != number)
        return true;
    struct segment *last = &segments->items[segments->count - 1];
    if (!segment_scan(folder, identity, number, last->end, offset, last, &whole, err))
        return false;
    return (last->bytes == 0 ? drop_last(folder, segments, err)
                             : truncate_file(folder, number, last->bytes, err)) &&
           recover_close(folder, segments, err);
}
