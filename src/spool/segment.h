/* A segment: a file of the spool, of frames in order.
 *
 *     header          "SLWSPOOL", u32 version, u32 bytes of the header, u64 number,
 *                     u64 position before its first frame, u8 1: that begins in an open
 *                     transaction, 2: values came as text, u32 timeline, u64 instance,
 *                     u64 time of its making,
 *                     system identifier\0, database\0, slot\0, migration\0,
 *                     u64 xxh64 of all before
 *     frame*          frame.h
 *
 * Integers are big-endian. Validity: a header is valid if its checksum is. A frame counts only
 * if it is valid, follows on the frame before it (or on the header) in position and in whether
 * a transaction is open, and all before it count. So whatever is behind the first bad byte is
 * no part of the segment, and a segment that does not follow on the one before it is no part of
 * the spool. Of what counts, a reader who is to resume uses what ends outside a transaction. */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/clock.h"
#include "base/err.h"
#include "model/lsn.h"
#include "spool/folder.h"
#include "spool/frame.h"

/* Whose spool it is. Borrowed. */
struct spool_identity {
    const char *migration;
    const char *slot;
    const char *system_identifier; /* of the source */
    const char *database;
    uint32_t timeline; /* older ones are the spool's too */
};

/* Where a reader may stop: no transaction is open there. */
struct closing {
    uint64_t bytes; /* of the file up to there; 0: there is no such place in the segment */
    uint64_t frames;
    lsn_t end;
};

struct segment {
    uint64_t number;
    uint64_t instance; /* of the process that made it: its heartbeats are on its clock */
    usec_t created_at; /* wall */
    uint64_t header;   /* bytes */
    bool begins_open;
    bool text; /* values came as text, not in binary */
    uint32_t timeline;
    lsn_t floor; /* position before the first frame */

    /* after the last frame: */
    lsn_t end;
    bool ends_open;
    uint64_t bytes; /* of the file */
    uint64_t frames;
    struct closing closed; /* the last one */
};

/* A new, empty file. errno is kept in *error when it cannot be made for want of room (ENOSPC,
 * EDQUOT; *fd is -1 then, and it is no failure). ERR_DISK. */
bool segment_make(const struct folder *folder, const struct spool_identity *identity,
                  struct segment *segment, int *fd, struct err *err);

/* Reads a segment as far as it counts, and no further than `limit` bytes. `applied`: bytes of
 * frames that are of no use to one who has all up to there need not be right.
 * *whole: all that the file has counts. ERR_CONFIG when it is another's, or of another version;
 * ERR_DISK when it cannot be read. */
bool segment_scan(const struct folder *folder, const struct spool_identity *identity,
                  uint64_t number, lsn_t applied, uint64_t limit, struct segment *segment,
                  bool *whole, struct err *err);

/* What a file's header says, without looking further; neither, when it has none that is right. */
struct segment_label {
    bool text;
    bool foreign; /* it is another migration's */
};
/* ERR_DISK when it cannot be read. */
bool segment_look(const struct folder *folder, uint64_t number,
                  const struct spool_identity *identity, struct segment_label *label,
                  struct err *err);

/* A frame was added. */
void segment_grew(struct segment *segment, const struct frame *frame);
/* What tells a frame's place. */
uint64_t segment_seed(uint64_t number, uint64_t offset);
/* Reads size bytes there. False, with errno 0, when there are fewer. */
bool segment_read(int fd, uint64_t offset, void *bytes, size_t size);
bool segment_write(int fd, uint64_t offset, const void *bytes, size_t size);

#endif
