/* The pgoutput messages of logical replication, protocol 1 to 4, decoded from untrusted bytes.
 *
 * Source: PostgreSQL documentation, "Logical Replication Message Formats"; proto.c. Protocol 2
 * adds streamed transactions (S E c A; inside a streamed block R Y I U D T M carry an xid),
 * protocol 3 two-phase commit (b P K r p). Protocol 4 (STREAM ABORT with position and time) is for
 * `streaming 'parallel'`, which is not asked for: with 'on' it is protocol 3.
 *
 * The decoder's only state is whether it is inside a streamed block. Strings and values are
 * borrowed from the input; arrays are from the arena. */
#ifndef POSTGRES_PGOUTPUT_H
#define POSTGRES_PGOUTPUT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "model/lsn.h"
#include "model/row.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PGOUTPUT_MAX_COLUMNS 1664 /* the server's own bound on target list entries */

enum pgoutput_kind {
    PGOUTPUT_BEGIN = 'B',
    PGOUTPUT_COMMIT = 'C',
    PGOUTPUT_ORIGIN = 'O',
    PGOUTPUT_RELATION = 'R',
    PGOUTPUT_TYPE = 'Y',
    PGOUTPUT_INSERT = 'I',
    PGOUTPUT_UPDATE = 'U',
    PGOUTPUT_DELETE = 'D',
    PGOUTPUT_TRUNCATE = 'T',
    PGOUTPUT_MESSAGE = 'M',
    PGOUTPUT_STREAM_START = 'S',
    PGOUTPUT_STREAM_STOP = 'E',
    PGOUTPUT_STREAM_COMMIT = 'c',
    PGOUTPUT_STREAM_ABORT = 'A',
    PGOUTPUT_BEGIN_PREPARE = 'b',
    PGOUTPUT_PREPARE = 'P',
    PGOUTPUT_COMMIT_PREPARED = 'K',
    PGOUTPUT_ROLLBACK_PREPARED = 'r',
    PGOUTPUT_STREAM_PREPARE = 'p',
};

struct pgoutput_column {
    const char *name;
    uint32_t type_oid;
    int32_t type_modifier;
    bool key;
};

/* Which old image came with an update or delete: 'K' key columns (the others are sent as
 * nulls, and are not: the reader must ignore them), 'O' the whole row, 0 none. */
struct pgoutput_change {
    uint32_t relation_oid;
    char old_kind;
    struct row old;
    struct row new;
};

struct pgoutput_message {
    enum pgoutput_kind kind;
    xid_t xid; /* BEGIN and the transaction-level messages; in streamed blocks, of the
                  (sub)transaction */
    union {
        struct {
            lsn_t commit_lsn; /* start of the commit record */
            usec_t commit_time;
        } begin;
        struct {
            lsn_t commit_lsn;
            lsn_t end_lsn;
            usec_t commit_time;
        } commit; /* COMMIT, STREAM_COMMIT */
        struct {
            lsn_t lsn;
            const char *name;
        } origin;
        struct {
            uint32_t oid;
            const char *schema; /* "" stands for pg_catalog */
            const char *name;
            char replica_identity;
            uint16_t column_count;
            struct pgoutput_column *columns;
        } relation;
        struct {
            uint32_t oid;
            const char *schema;
            const char *name;
        } type;
        struct pgoutput_change change;
        struct {
            uint32_t count;
            bool cascade;
            bool restart_identity;
            uint32_t *relation_oids;
        } truncate;
        struct {
            bool transactional;
            lsn_t lsn;
            const char *prefix;
            const char *content; /* not NUL-terminated */
            uint32_t size;
        } message;
        struct {
            bool first;
        } stream_start;
        struct {
            xid_t subxid;
        } stream_abort;
        struct {
            lsn_t prepare_lsn; /* ROLLBACK_PREPARED: prepare end; COMMIT_PREPARED: commit */
            lsn_t end_lsn;
            usec_t time;
            usec_t second_time; /* ROLLBACK_PREPARED: of the rollback */
            const char *gid;
        } prepare; /* b P K r p */
    };
};

struct pgoutput {
    bool in_stream;
};

/* Decodes one message. ERR_CORRUPT when it breaks the format: a length past the end, bytes left
 * over, an unknown kind, too many columns. */
bool pgoutput_decode(struct pgoutput *decoder, const void *data, size_t size,
                     struct arena *arena, struct pgoutput_message *message, struct err *err);

/* Whether a message of this kind is part of a transaction's content, and of those, whether it
 * carries an xid behind its kind inside a streamed block. */
bool pgoutput_is_content(char kind);
bool pgoutput_carries_xid(char kind);

/* One line of text for people and golden tests, without newline. */
void pgoutput_print(const struct pgoutput_message *message, struct buf *out);

#endif
