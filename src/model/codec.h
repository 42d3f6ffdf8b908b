/* A batch as bytes and back, for a disk.
 *
 *   batch         u32 relations, relation*   those that its changes name, numbered from 0
 *                 u8  1: begins open, 2: ends open
 *                 u64 end LSN
 *                 u32 transactions, transaction*
 *                 u32 changes, change*
 *   relation      u32 oid, u8 replica identity, u8 match, schema\0, name\0, u16 columns,
 *                 (u32 type, u32 modifier, u8 1: key, name\0)*       as the source described it
 *   transaction   u32 xid, u64 commit LSN, u64 end LSN, u64 commit time, u64 heartbeat,
 *                 u32 first change
 *   change        u8 kind, u8 old image, u64 LSN, u32 relation,
 *                 TRUNCATE: u8 restart identity, u16 further relations, u32 relation*
 *                 else the old row (unless there is no old image), the new row (unless DELETE)
 *   row           value*, one a column of the relation
 *   value         u8 kind, of TEXT and BINARY: u32 size, bytes
 *
 * Integers are big-endian. A batch is whole by itself: it can be read without those before it.
 * What only a target's batch has (notes, what rules found out) is not kept; nor is what a
 * relation was read as, for who reads the bytes may know better (schema/former.h). */
#ifndef MODEL_CODEC_H
#define MODEL_CODEC_H

#include "base/buf.h"
#include "base/err.h"
#include "model/batch.h"
#include "model/interner.h"

/* How bytes are read. */
struct codec_reading {
    bool keep_heartbeats;      /* they were emitted by this process */
    struct interner *interner; /* whose the relations are */
    /* What a relation means that a transaction brought which is committed there. NULL: what it
     * says. */
    void (*read)(void *context, lsn_t commit, struct relation *relation);
    void *context;
};

/* Appends the bytes of a batch that came from a source. */
void codec_encode(const struct batch *batch, struct buf *out);

/* Appends to the batch what the bytes, which may be anything, are of: the first of them to what
 * the batch left open, if they go on with it. The bytes must live as long as the batch's
 * content (its arena is the place). ERR_CORRUPT when the bytes break the format; the batch then
 * holds a part. */
bool codec_decode(const void *bytes, size_t size, const struct codec_reading *reading,
                  struct batch *batch, struct err *err);

#endif
