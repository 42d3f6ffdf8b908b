/* The contracts of copying a table in chunks: a reader at the source, a writer at the target.
 * Each instance is used by one thread at a time.
 *
 *   reader: open -> (plan | begin -> (read -> next*)* -> end)* -> close
 *   writer: open -> (plan | begin -> (load -> write* -> loaded)* -> commit | rollback)* -> close
 *
 * The keys of a table are split into lanes by values of the leading key column, or of the first
 * few where many rows share the leading one's; each lane is the work of one worker at a time, and is
 * copied in chunks, in key order:
 *
 *     lane 0               lane 1                         lane 2
 *     [chunk 0][chunk 1]..)[chunk 0][chunk 1][ in flight..)[..
 *      ^ from              ^ bounds[0]       ^ after      ^ bounds[1], below
 *
 * A chunk is what one repeatable-read transaction at the source reads and one transaction at the
 * target writes, together with its record: how far it reaches, and the snapshot: the set of
 * transactions that its rows contain. So the handoff can judge later streamed changes exactly.
 * A table without a usable key is one lane and one chunk. Where only the source knows the keys'
 * order, lanes are many and small, and each is one chunk, from bound to bound.
 *
 * A source table may go to several target tables: a chunk is then read once for each, all under
 * one snapshot, and all are loaded in one target transaction.
 *
 * After a failure: end or rollback, then close and open. */
#ifndef PIPELINE_TABLE_COPY_H
#define PIPELINE_TABLE_COPY_H

#include "base/err.h"
#include "model/letter.h"
#include "model/lsn.h"
#include "model/relation.h"
#include "model/row.h"

#include <stddef.h>

/* ---- keys and ranges ---- */

/* How the source orders the values of a key column, for types whose order we know. */
enum key_order {
    KEY_NONE,     /* not known here */
    KEY_SIGNED,   /* int2, int4, int8 */
    KEY_UNSIGNED, /* oid */
    KEY_BOOL,
    KEY_UUID,
    KEY_BYTES, /* text, varchar, name under collation C: by bytes */
    KEY_ASKED, /* any other that a btree orders: only the source can tell (key_places.h) */
};

struct copy_key_column {
    const char *name;
    const char *type; /* as SQL writes it, for casts */
    enum key_order order;
    /* Of KEY_ASKED only: */
    const char *collation; /* as SQL writes it; NULL: none */
    const char *version;   /* of the library behind that; NULL: not known */
    uint32_t type_oid;     /* at the source */
};

/* The leading columns of the index that identifies the source's rows; if the order of the first
 * is KEY_ASKED, at most two, and the other's is too. Borrowed. */
struct copy_key {
    uint16_t count; /* 0: none; the table is copied whole */
    const struct copy_key_column *columns;
};

/* Rows of a table by key. All values are the types' text. Borrowed. */
struct copy_range {
    const char *const
        *from; /* first key columns, NULL behind them, inclusive; NULL: no bound */
    const char *const *below; /* first key columns, NULL behind them, exclusive; NULL */
    const char *const *after; /* all key columns, exclusive; NULL */
    const char *const *upto;  /* all key columns, inclusive; NULL */
    uint64_t most_rows; /* in key order, and all that share the last key; 0: no such bound */
};

/* ---- what is kept at the target ---- */

struct copy_plan {
    bool made;
    bool whole;  /* one lane, one chunk, in no order */
    bool staged; /* the target has rows that are not the copy's: chunks go by a stage and an
                    upsert; set as well when a chunk has met one */
    char *key;   /* owned; copy_key_text() of the key that bounds and chunks are of */
    size_t bound_count; /* lanes less one */
    char ***bounds;     /* owned; ascending; each the first key columns' values, and a NULL */
};

struct chunk_record {
    uint32_t lane;
    uint32_t number; /* in its lane, from 0 */
    char **upto;     /* owned; the last key in it, a text a key column; NULL: the lane's end */
    char *snapshot;  /* owned; pg_snapshot text */
    lsn_t lsn;       /* not before any commit that the snapshot sees */
    uint32_t begun;  /* the copy's that it belongs to; see table_copy */
    uint64_t rows;
    uint64_t bytes;
    lsn_t stands_on; /* the target must still have applied this, or the chunk is ahead of the
                        stream; LSN_NONE: whatever it has; not kept */
    uint64_t met; /* of the rows, that were at the target by their key, and are overwritten; not
                     kept as such, see copy_plan.staged */
};

/* A source table's copy. */
struct table_copy {
    bool needed; /* else the target is said to hold the rows already */
    bool finished;
    uint32_t begun; /* how often it has begun anew */
    char *covers;   /* owned; pg_snapshot text: what every chunk's snapshot must cover besides
                     the slot's start; NULL: nothing */
    struct copy_plan plan;
    size_t chunk_count;
    struct chunk_record *chunks; /* owned; by lane and number */
    uint16_t key_count;          /* of each chunk's upto; 0 when no chunk has one */
};

/* What a copy that somebody wants made again begins with: what came before it is in it. */
struct copy_renewal {        /* borrowed */
    const char *covers;      /* for table_copy */
    const char *fingerprint; /* the source as it is measured from here on; copy_record.h */
    const char *stats_reset;
    int64_t updates_deletes;
};

static inline bool copy_key_usable(const struct copy_key *key)
{
    return key->count > 0;
}

/* Lanes are told apart by the source, and each is one chunk. */
static inline bool copy_key_is_asked(const struct copy_key *key)
{
    return key->count > 0 && key->columns[0].order == KEY_ASKED;
}

/* "a pg_catalog.int4, b pg_catalog.text": what keys are told apart by, and with them what they
 * were ordered by: 'a pg_catalog.text COLLATE pg_catalog."en_US" 2.36'. The caller frees. */
char *copy_key_text(const struct copy_key *key);

/* How many values a bound has. */
size_t copy_bound_size(const char *const *bound);
void copy_bound_free(char **bound);
void copy_plan_free(struct copy_plan *plan);
/* key_count: of the table's copy_key. */
void chunk_record_free(struct chunk_record *record, uint16_t key_count);
void table_copy_free(struct table_copy *copy);

/* ---- the reader ---- */

enum table_read { TABLE_ROW, TABLE_END, TABLE_FAILED };

struct table_reader;

struct table_reader_ops {
    bool (*open)(struct table_reader *reader, struct err *err);
    /* Splits the table into at most `lanes` of about equal size, from the source's statistics,
     * or from a sample where these do not tell of so many. Sets plan's bounds (possibly none)
     * and whole. */
    bool (*plan)(struct table_reader *reader, const struct relation *table,
                 const struct copy_key *key, size_t lanes, struct copy_plan *plan,
                 struct err *err);
    /* Opens a repeatable-read snapshot for a chunk of a source table, which is locked against
     * rewrites first: they are not versioned.
     * *snapshot: pg_snapshot text, borrowed until end();
     * *lsn: a WAL position that is not before any commit the snapshot sees. */
    bool (*begin)(struct table_reader *reader, const struct relation *table,
                  const char **snapshot, lsn_t *lsn, struct err *err);
    /* Begins to read the relation's columns of the range's rows; in key order when the range has
     * most_rows. A key of no columns and an empty range: all rows. What was read before is at its
     * end. */
    bool (*read)(struct table_reader *reader, const struct relation *relation, bool binary,
                 const struct copy_key *key, const struct copy_range *range, struct err *err);
    /* The row's values are borrowed until the next call. *bytes: its size on the wire. */
    enum table_read (*next)(struct table_reader *reader, struct row *row, size_t *bytes,
                            struct err *err);
    /* Waits until the source has flushed its WAL up to begin's lsn: what a crash of the source
     * could still take back must not become a chunk. After the last row. */
    bool (*settle)(struct table_reader *reader, struct err *err);
    void (*end)(struct table_reader *reader);
    void (*close)(struct table_reader *reader);
    void (*destroy)(struct table_reader *reader);
};

struct table_reader {
    const struct table_reader_ops *ops;
};

/* ---- the writer ---- */

struct table_writer;
struct quarantine; /* pipeline/quarantine.h */

struct table_writer_ops {
    bool (*open)(struct table_writer *writer, struct err *err);
    /* Drops indexes that are better built after the copy, where that is asked for. Finds out
     * whether the chunks must be staged (plan->staged), and keeps the plan. ERR_DATA
     * when the target has rows of ours and no key to find them by. */
    bool (*plan)(struct table_writer *writer, uint32_t source, struct copy_plan *plan,
                 struct err *err);
    /* Begins a target transaction that holds a chunk of the source table (the run's index).
     * staged: by a staging table and an upsert, else straight into the table. */
    bool (*begin)(struct table_writer *writer, uint32_t source, bool staged, struct err *err);
    /* Begins to load a target relation. */
    bool (*load)(struct table_writer *writer, const struct relation *relation, bool binary,
                 struct err *err);
    bool (*write)(struct table_writer *writer, const struct row *row, struct err *err);
    /* *met grows by the rows that were there and are overwritten (a partitioned target does not
     * tell); also on failure, at least by one, if another unique key was in the way of some: that
     * is kept then as commit() would, and the transaction is over. */
    bool (*loaded)(struct table_writer *writer, uint64_t *met, struct err *err);
    /* Rows loaded from here on (a target relation's, whole) can be undone, to the last call. */
    bool (*save)(struct table_writer *writer, struct err *err);
    bool (*undo)(struct table_writer *writer, struct err *err);
    /* Parks a row with the chunk: the transaction brings the letter. */
    bool (*park)(struct table_writer *writer, const struct letter *letter, struct err *err);
    /* On any connection, when the chunk is committed: tells the quarantine of the keys that its
     * letters wait for. */
    bool (*parked)(struct table_writer *writer, const struct letter *letters, size_t count,
                   struct quarantine *quarantine, struct err *err);
    /* Rows and record become visible together, on the target's disk. key_count: of upto.
     * When the target does not have the copy that it belongs to, or lacks a chunk before it or
     * what it stands on (it has come back without them): ERR_RETRY, or ERR_CONFIG where nobody
     * would see to it. */
    bool (*commit)(struct table_writer *writer, const struct chunk_record *record,
                   uint16_t key_count, struct err *err);
    /* On a new connection, after a commit whose reply was lost: whether that chunk is there. The
     * transaction is surely over when this returns. */
    bool (*outcome)(struct table_writer *writer, uint32_t source,
                    const struct chunk_record *record, bool *committed, struct err *err);
    /* The next index of the table's targets that was dropped for the copy and is to be built;
     * *name (borrowed until the next call): NULL when there is none. */
    bool (*next_index)(struct table_writer *writer, uint32_t source, const char **name,
                       struct err *err);
    /* Builds that one. beside: the stream is applied meanwhile. Then close and open. */
    bool (*build_index)(struct table_writer *writer, bool beside, struct err *err);
    /* All chunks are there: keeps that, and brings the target tables' statistics up to date. */
    bool (*finish)(struct table_writer *writer, uint32_t source, struct err *err);
    /* In one transaction: removes the table's rows of ours from all its targets, and all chunks;
     * its plan is gone, and the next is whole if `whole`. renewal: kept with the copy from here
     * on; NULL: what was kept stays, and of a copy without chunks no row is removed, for none is of
     * it. ERR_DATA where nothing says which rows are ours. */
    bool (*reset)(struct table_writer *writer, uint32_t source, bool whole,
                  const struct copy_renewal *renewal, struct err *err);
    void (*rollback)(struct table_writer *writer);
    void (*close)(struct table_writer *writer);
    void (*destroy)(struct table_writer *writer);
};

struct table_writer {
    const struct table_writer_ops *ops;
};

#endif
