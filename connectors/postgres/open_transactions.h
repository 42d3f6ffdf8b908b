/* What the server has sent of transactions that are not committed yet: streamed ones, which it
 * sends while they are open, and prepared ones. Raw messages, in order, until it says what becomes
 * of them.
 *
 * Life cycle of one: begin -> append* and take_back* -> rewind -> read* -> end. All of them share a
 * bound on memory. When one more byte would pass it, the one that holds the most goes to a
 * temporary file of its own, which has no name and so goes with the process. Nothing is synced: a
 * restart begins empty, for the server sends again what was not acknowledged.
 *
 *     position 0 ............. filed ........... filed + tail.size
 *              in the file             in memory
 *
 * A subtransaction that rolls back takes what came since it first wrote: a session does one thing
 * after another, so that is its own and its children's. (PostgreSQL's worker.c does the same.)
 *
 * ERR_RETRY when the file cannot be made, written or read. One thread. */
#ifndef POSTGRES_OPEN_TRANSACTIONS_H
#define POSTGRES_OPEN_TRANSACTIONS_H

#include "base/buf.h"
#include "base/err.h"
#include "model/lsn.h"
#include "model/row.h"
#include "postgres/shape_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Subtransactions that are kept apart in memory, 16 bytes each. */
#define OPEN_PARTS_MOST ((size_t)1 << 20)

struct open_part { /* a subtransaction that has written */
    xid_t xid;
    uint64_t since; /* position of its first message */
};

struct open_tail {
    char *data;
    size_t size;
    size_t capacity;
};

struct open_transaction {
    xid_t xid; /* top-level */

    /* the caller's */
    char *gid;               /* it is prepared under this name; owned; NULL: it is not */
    lsn_t prepare_lsn;       /* of that, where it came as it was prepared; else LSN_NONE */
    struct shape_map shapes; /* that hold within it */

    /* the storage's own */
    struct open_tail tail;
    int file; /* -1: none */
    uint64_t filed;
    struct open_part *parts; /* by xid: a child has a later one than its parent */
    size_t part_count;
    size_t part_capacity;
    uint64_t read_at;
    uint64_t window_at; /* position of the window's first byte */
    struct buf window;  /* what was read of the file */
};

struct open_transactions;

/* directory: for the files; borrowed. */
struct open_transactions *open_transactions_create(const char *directory, size_t max_memory);
void open_transactions_destroy(struct open_transactions *all);
/* All of them end. */
void open_transactions_clear(struct open_transactions *all);

/* True if a file can be made in the directory; else ERR_CONFIG. */
bool open_transactions_usable(const char *directory, struct err *err);

/* NULL: there is none. */
struct open_transaction *open_transactions_find(const struct open_transactions *all, xid_t xid);
/* There is none of that xid yet. */
struct open_transaction *open_transactions_begin(struct open_transactions *all, xid_t xid);
void open_transactions_end(struct open_transactions *all, struct open_transaction *transaction);

struct open_message {
    const void *data; /* borrowed, until the next call for this transaction */
    size_t size;
    uint64_t tag; /* as it was given */
};

/* xid: whose message it is, the transaction's or of a subtransaction of it. tag: kept with it.
 * ERR_RETRY too when there are more than OPEN_PARTS_MOST subtransactions over all. */
bool open_transactions_append(struct open_transactions *all,
                              struct open_transaction *transaction, xid_t xid,
                              const struct open_message *message, struct err *err);
/* The subtransaction has rolled back. One that has written nothing is none. */
bool open_transactions_take_back(struct open_transactions *all,
                                 struct open_transaction *transaction, xid_t xid,
                                 struct err *err);

/* To the first message. Nothing is appended after that. */
void open_transaction_rewind(struct open_transaction *transaction);
/* message->data is NULL after the last one. */
bool open_transaction_read(struct open_transaction *transaction, struct open_message *message,
                           struct err *err);

struct open_totals {
    size_t transactions;
    size_t prepared;
    uint64_t in_memory; /* bytes */
    uint64_t in_files;
};

struct open_totals open_transactions_totals(const struct open_transactions *all);

#endif
