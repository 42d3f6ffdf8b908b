/* Frames (frame.h). Level 1: it must keep up with a walsender on the thread that answers it. */
#include "spool/frame.h"

#include "base/mem.h"
#include "base/reader.h"
#include "model/codec.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#define LEVEL 1
#define BEGINS_OPEN 1
#define ENDS_OPEN 2
#define CHECKED 40                   /* bytes of the header that its checksum is of */
#define KEEP_BYTES ((size_t)8 << 20) /* of a buffer that one large row has made larger */

struct frame_packer {
    ZSTD_CCtx *context;
    struct buf raw;
    struct buf packed; /* header and compressed bytes; written by hand */
};

struct frame_unpacker {
    ZSTD_DCtx *context;
};

struct frame_packer *frame_packer_create(void)
{
    struct frame_packer *packer = mem_zero(1, sizeof(*packer));
    packer->context = ZSTD_createCCtx();
    return packer;
}

void frame_packer_destroy(struct frame_packer *packer)
{
    if (packer == NULL)
        return;
    ZSTD_freeCCtx(packer->context);
    buf_free(&packer->raw);
    buf_free(&packer->packed);
    free(packer);
}

static void empty(struct buf *buf)
{
    if (buf->capacity > KEEP_BYTES)
        buf_free(buf);
    buf_clear(buf);
}

static void write_header(const struct frame *frame, uint64_t seed, char *out)
{
    struct buf header = {0};
    buf_append_u32(&header, frame->stored);
    buf_append_u32(&header, frame->raw);
    buf_append_u32(&header, (uint32_t)((frame->begins_open ? BEGINS_OPEN : 0) |
                                       (frame->ends_open ? ENDS_OPEN : 0)));
    buf_append_u32(&header, 0);
    buf_append_u64(&header, frame->before);
    buf_append_u64(&header, frame->after);
    buf_append_u64(&header, frame->checksum);
    buf_append_u64(&header, XXH64(header.data, CHECKED, seed));
    memcpy(out, header.data, FRAME_HEADER);
    buf_free(&header);
}

/* Behind the room for a header. */
static bool compress_raw(struct frame_packer *packer, size_t *stored, struct err *err)
{
    size_t most = ZSTD_compressBound(packer->raw.size);
    buf_reserve(&packer->packed, FRAME_HEADER + most);
    *stored = ZSTD_compressCCtx(packer->context, packer->packed.data + FRAME_HEADER, most,
                                packer->raw.data, packer->raw.size, LEVEL);
    return !ZSTD_isError(*stored) ||
           err_set(err, ERR_BUG, "spool: zstd: %s", ZSTD_getErrorName(*stored));
}

bool frame_pack(struct frame_packer *packer, const struct batch *batch, lsn_t before,
                uint64_t seed, struct frame *frame, const void **bytes, size_t *size,
                struct err *err)
{
    size_t stored = 0;
    empty(&packer->raw);
    empty(&packer->packed);
    codec_encode(batch, &packer->raw);
    if (packer->raw.size > FRAME_MOST)
        return err_set(err, ERR_DATA, "spool: a batch of %zu bytes", packer->raw.size);
    if (!compress_raw(packer, &stored, err))
        return false;
    *frame = (struct frame){
        .stored = (uint32_t)stored,
        .raw = (uint32_t)packer->raw.size,
        .begins_open = batch->begins_open,
        .ends_open = batch->ends_open,
        .before = before,
        .after = batch->end_lsn > before ? batch->end_lsn : before,
        .checksum = XXH64(packer->packed.data + FRAME_HEADER, stored, 0),
    };
    write_header(frame, seed, packer->packed.data);
    *bytes = packer->packed.data;
    *size = FRAME_HEADER + stored;
    return true;
}

bool frame_read_header(const void *bytes, uint64_t seed, struct frame *frame)
{
    struct reader reader;
    reader_init(&reader, bytes, FRAME_HEADER);
    frame->stored = reader_u32(&reader);
    frame->raw = reader_u32(&reader);
    uint32_t flags = reader_u32(&reader);
    uint32_t zero = reader_u32(&reader);
    frame->before = reader_u64(&reader);
    frame->after = reader_u64(&reader);
    frame->checksum = reader_u64(&reader);
    frame->begins_open = (flags & BEGINS_OPEN) != 0;
    frame->ends_open = (flags & ENDS_OPEN) != 0;
    return reader_u64(&reader) == XXH64(bytes, CHECKED, seed) && zero == 0 &&
           flags <= (BEGINS_OPEN | ENDS_OPEN) && frame->before <= frame->after &&
           frame->raw <= FRAME_MOST && frame->stored <= ZSTD_compressBound(FRAME_MOST);
}

bool frame_fits(const struct frame *frame, const void *bytes)
{
    return XXH64(bytes, frame->stored, 0) == frame->checksum;
}

struct frame_unpacker *frame_unpacker_create(void)
{
    struct frame_unpacker *unpacker = mem_zero(1, sizeof(*unpacker));
    unpacker->context = ZSTD_createDCtx();
    return unpacker;
}

void frame_unpacker_destroy(struct frame_unpacker *unpacker)
{
    if (unpacker == NULL)
        return;
    ZSTD_freeDCtx(unpacker->context);
    free(unpacker);
}

bool frame_unpack(struct frame_unpacker *unpacker, const struct frame *frame, const void *bytes,
                  const struct codec_reading *reading, struct batch *batch, struct err *err)
{
    void *raw = arena_alloc(&batch->arena, frame->raw + 1U);
    size_t size = ZSTD_decompressDCtx(unpacker->context, raw, frame->raw, bytes, frame->stored);
    if (ZSTD_isError(size) || size != frame->raw)
        return err_set(err, ERR_CORRUPT, "spool: a frame that cannot be decompressed");
    return codec_decode(raw, size, reading, batch, err);
}
