/* A frame: one stored batch, compressed, with what is known of it without reading it.
 *
 *      0  u32  bytes behind the header, compressed (zstd)
 *      4  u32  the same, not compressed (model/codec.h)
 *      8  u32  1: begins in an open transaction, 2: ends in one
 *     12  u32  0
 *     16  u64  position before it: all commits up to there are in earlier frames, or older
 *     24  u64  position after it: all commits up to there are in this frame, or earlier
 *     32  u64  xxh64 of the bytes behind the header
 *     40  u64  xxh64 of the 40 bytes before, seeded with the frame's place in the spool
 *     48       the compressed bytes
 *
 * A header is valid if its own checksum is, and its lengths are within bounds; a frame if its
 * header is, and its bytes fit theirs. The seed is what tells a frame from an older one that
 * lay at that place of a file, or in another. */
#ifndef SPOOL_FRAME_H
#define SPOOL_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "model/batch.h"
#include "model/codec.h"

#define FRAME_HEADER 48
/* One row of 1 GB, the most that a server sends, and what may come before it in its batch. */
#define FRAME_MOST ((uint32_t)1100 << 20)

struct frame {
    uint32_t stored;
    uint32_t raw;
    bool begins_open;
    bool ends_open;
    lsn_t before;
    lsn_t after;
    uint64_t checksum;
};

struct frame_packer; /* the compressor and its memory. One thread */
struct frame_packer *frame_packer_create(void);
void frame_packer_destroy(struct frame_packer *packer); /* NULL is accepted */

/* The batch as a frame: header and bytes, borrowed until the next call. ERR_DATA when it is
 * larger than FRAME_MOST. */
bool frame_pack(struct frame_packer *packer, const struct batch *batch, lsn_t before,
                uint64_t seed, struct frame *frame, const void **bytes, size_t *size,
                struct err *err);

/* FRAME_HEADER bytes, which may be anything. False when they are no valid header. */
bool frame_read_header(const void *bytes, uint64_t seed, struct frame *frame);
/* False when the bytes behind a header are not what it says. */
bool frame_fits(const struct frame *frame, const void *bytes);

struct frame_unpacker;
struct frame_unpacker *frame_unpacker_create(void);
void frame_unpacker_destroy(struct frame_unpacker *unpacker); /* NULL is accepted */

/* Appends the batch of a frame whose bytes fit (codec_decode()). ERR_CORRUPT. */
bool frame_unpack(struct frame_unpacker *unpacker, const struct frame *frame, const void *bytes,
                  const struct codec_reading *reading, struct batch *batch, struct err *err);

#endif
