/* The contract of reading one row of the source again, by its replica identity: for values that
 * the stream left out because the change did not touch them (unchanged TOAST), where a rule needs
 * them and no old image holds them.
 *
 * What is read may be newer than the change. Whatever made it newer is in the stream and follows,
 * so the end is right; in between a reader of the target may see the newer value
 * (docs/delivery.md). It is never older: the reading sees the change's transaction, and waits for
 * it to become visible where it must.
 *
 * One thread: `seen` too. Connects when first used. */
#ifndef PIPELINE_ROW_READER_H
#define PIPELINE_ROW_READER_H

#include "base/arena.h"
#include "base/err.h"
#include "model/lsn.h"
#include "model/relation.h"
#include "model/row.h"

enum row_read { ROW_READ, ROW_GONE, ROW_FAILED };

struct row_reader;

struct row_reader_ops {
    /* Reads the row of `from` that has the same values in the key columns as `row`, which the
     * transaction xid wrote. ROW_READ: *out has all of the relation's columns, in the arena.
     * ROW_GONE: no such row now; a later change in the stream took it away. */
    enum row_read (*read)(struct row_reader *reader, const struct relation *from,
                          const struct row *row, xid_t xid, struct arena *arena,
                          struct row *out, struct err *err);
    void (*destroy)(struct row_reader *reader);
};

struct row_reader {
    const struct row_reader_ops *ops;
    lsn_t seen; /* a WAL position that no commit which a reading has seen is behind */
};

#endif
