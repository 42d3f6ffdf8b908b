/* The contracts of copying a table: a reader at the source, a writer at the target. Each is used
 * by one thread at a time.
 *
 *   reader: open -> (begin -> (read -> next*)* -> end)* -> close
 *   writer: open -> (begin -> (load -> write* -> loaded)* -> commit | rollback)* -> close
 *
 * A source table may go to several target tables: it is read once for each, all under one
 * snapshot, and all are loaded in one target transaction with one record.
 *
 * A reader's rows carry their snapshot: the set of transactions that the rows contain. It is
 * stored with the rows, in the same target transaction, so that the handoff can judge later
 * streamed changes exactly (src/backfill/snapshot.h). After a failure: end or rollback, then
 * close and open. */
#ifndef PIPELINE_TABLE_COPY_H
#define PIPELINE_TABLE_COPY_H

#include "base/err.h"
#include "model/lsn.h"
#include "model/relation.h"
#include "model/row.h"

enum table_read { TABLE_ROW, TABLE_END, TABLE_FAILED };

struct table_reader;

struct table_reader_ops {
    bool (*open)(struct table_reader *reader, struct err *err);
    /* Opens a repeatable-read snapshot for the copy of a source table, which is locked against
     * rewrites first: they are not versioned.
     * *snapshot: pg_snapshot text, borrowed until end();
     * *lsn: a WAL position that is not before any commit the snapshot sees. */
    bool (*begin)(struct table_reader *reader, const struct relation *table,
                  const char **snapshot, lsn_t *lsn, struct err *err);
    /* Begins to read all rows of the relation's columns; what was read before is at its end. */
    bool (*read)(struct table_reader *reader, const struct relation *relation, bool binary,
                 struct err *err);
    /* The row's values are borrowed until the next call. *bytes: its size on the wire. */
    enum table_read (*next)(struct table_reader *reader, struct row *row, size_t *bytes,
                            struct err *err);
    void (*end)(struct table_reader *reader);
    void (*close)(struct table_reader *reader);
    void (*destroy)(struct table_reader *reader);
};

struct table_reader {
    const struct table_reader_ops *ops;
};

/* How a table's copy came out, as kept at the target. */
struct copy_record {
    bool done;
    char *snapshot; /* owned; NULL unless done */
    lsn_t lsn;      /* the stream must pass this before the copy is current */
    uint64_t rows;
    uint64_t bytes;
};

struct table_writer;

struct table_writer_ops {
    bool (*open)(struct table_writer *writer, struct err *err);
    /* The record of a source table (the run's index) as it is at the target: after a lost COMMIT
     * reply the copy may be done. The caller frees record->snapshot. */
    bool (*record)(struct table_writer *writer, uint32_t source, struct copy_record *record,
                   struct err *err);
    /* Begins a target transaction that holds the copy of the source table. */
    bool (*begin)(struct table_writer *writer, uint32_t source, struct err *err);
    /* Begins to load a target relation. */
    bool (*load)(struct table_writer *writer, const struct relation *relation, bool binary,
                 struct err *err);
    bool (*write)(struct table_writer *writer, const struct row *row, struct err *err);
    bool (*loaded)(struct table_writer *writer, struct err *err);
    /* Rows and record become visible together. */
    bool (*commit)(struct table_writer *writer, const struct copy_record *record,
                   struct err *err);
    void (*rollback)(struct table_writer *writer);
    void (*close)(struct table_writer *writer);
    void (*destroy)(struct table_writer *writer);
};

struct table_writer {
    const struct table_writer_ops *ops;
};

#endif
