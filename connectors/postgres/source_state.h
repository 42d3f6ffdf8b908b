/* The source's own things, as its parts see them: source.c, which has the connection and receives,
 * source_message.c, which decodes and fills batches, and source_open.c, which keeps transactions
 * that are not committed yet and brings them when they are. For them alone. */
#ifndef POSTGRES_SOURCE_STATE_H
#define POSTGRES_SOURCE_STATE_H

#include "model/interner.h"
#include "postgres/ghost.h"
#include "postgres/open_transactions.h"
#include "postgres/pgoutput.h"
#include "postgres/session.h"
#include "postgres/shape_map.h"
#include "postgres/source.h"

/* A prepared transaction that the server will not send again once its PREPARE is acknowledged. */
struct ack_hold {
    xid_t xid;
    lsn_t prepare_lsn; /* acknowledged at most */
    lsn_t until;       /* the end of its COMMIT PREPARED; LSN_NONE: not seen yet */
};

struct pg_source {
    struct source source;
    struct pg_source_config config;
    struct session session;
    struct arena scratch; /* of messages that leave nothing in the batch */
    struct ghost ghost;   /* of the last connection */
    struct pgoutput decoder;

    lsn_t from;      /* transactions that ended at or before this were given, or are skipped */
    lsn_t received;  /* newest position seen */
    usec_t heard_at; /* when the server last sent anything */
    usec_t listened_at;     /* when receive() last looked */
    usec_t listening_since; /* without a gap: silence counts only while we listen */
    usec_t sent_at;         /* the newest message, by the source's clock */
    usec_t positioned_at;   /* when a keepalive last moved a batch's position */

    bool in_transaction;
    bool skipping;                  /* the transaction was applied before */
    struct transaction transaction; /* the open one */

    struct interner shapes; /* every version seen */
    struct shape_map
        known;         /* the current ones; emptied at start, as the server sends them again */
    uint64_t arrivals; /* shapes described so far */

    /* source_open.c's */
    bool two_phase;        /* the slot sends prepared transactions */
    lsn_t acknowledged;    /* by the slot, at the start: what was before is not sent again */
    usec_t streaming_from; /* monotonic: before that open transactions are left to the server */
    bool streams;          /* this connection has them sent while they are open */
    usec_t quiet_at;       /* monotonic: when it was last considered to begin again with that */
    struct open_transactions *open;
    struct open_transaction *filling;   /* what comes now is of this one; NULL: of none */
    struct open_transaction *replaying; /* committed, and given piece by piece; NULL: none */
    lsn_t replay_end;                   /* of that one */
    lsn_t seen; /* all that was prepared or committed before it, this connection has sent */
    struct ack_hold *holds;
    size_t hold_count;
    size_t hold_capacity;
};

/* ---- source.c ---- */

bool pg_source_batch_full(const struct pg_source *s, const struct batch *batch);

/* ---- source_message.c ---- */

/* A transaction begins and ends, of which messages are taken. */
bool pg_source_begin(struct pg_source *s, struct batch *batch,
                     const struct transaction *transaction, struct err *err);
void pg_source_end(struct pg_source *s, struct batch *batch, lsn_t end_lsn);
/* A message as it stands in an ordinary transaction. tag: open_message's. */
bool pg_source_take(struct pg_source *s, struct batch *batch, const void *bytes, size_t size,
                    lsn_t lsn, struct err *err);
/* The relation as described; numbered as the newest. */
struct shape pg_source_shape(struct pg_source *s, const struct pgoutput_message *message);

/* ---- source_open.c ---- */

/* The options of START_REPLICATION that say which transactions come when: the highest protocol
 * that the server has, and whether large ones come while they are open. */
void source_open_append_options(const struct pg_source *s, struct buf *sql);
/* Learns over the walsender's session how the slot was made, and where it stands. */
bool source_open_look(struct pg_source *s, struct err *err);
/* They are left to the server, and need not be any more; and to begin again costs little now.
 */
bool source_open_may_begin(struct pg_source *s, struct err *err);
/* The stream starts anew: nothing is kept. */
void source_open_reset(struct pg_source *s);
/* Part of a transaction that is kept. The bytes may be written to. */
bool source_open_keep(struct pg_source *s, char *bytes, size_t size, lsn_t lsn,
                      struct err *err);
/* All messages that begin, end or undo such a transaction. */
bool source_open_message(struct pg_source *s, struct batch *batch,
                         const struct pgoutput_message *message, struct err *err);
/* Goes on with a committed one until the batch is full, or as much was read as a batch holds. */
bool source_open_replay(struct pg_source *s, struct batch *batch, struct err *err);
/* What is kept, for the counters. */
void source_open_publish(const struct pg_source *s);
/* What of `flushed` may be acknowledged. */
lsn_t source_open_ack(struct pg_source *s, lsn_t flushed);

#endif
