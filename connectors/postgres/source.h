/* The PostgreSQL source: a pgoutput slot read over the streaming replication protocol.
 *
 * Keepalives are answered inside receive() and by feedback(); the server is asked for a sign of
 * life with each feedback, and a connection silent for SOURCE_SILENCE is given up, so that a
 * black hole is noticed. Between transactions a keepalive moves the batch's position, so that an
 * idle database does not pin WAL; it becomes an ack only after the batches before it are durable
 * (the position travels through the same queue).
 *
 * Large transactions come while they are open, and prepared ones if the slot was made for that. They
 * are kept (open_transactions.h) and given when they are committed, as if they came then. When there
 * is no room for them the stream fails with ERR_RETRY, and for the next hour leaves them to the
 * server, which then keeps them itself. */
#ifndef POSTGRES_SOURCE_H
#define POSTGRES_SOURCE_H

#include "base/stop.h"
#include "pipeline/progress.h"
#include "pipeline/source.h"
#include "postgres/continuity.h"
#include "schema/former.h"

#define SOURCE_SILENCE (20 * USEC_PER_SEC)

struct pg_source_config { /* all borrowed; must outlive the source */
    const char *dsn;
    const char *slot;
    bool insert_only_publication; /* there is a second publication */
    bool binary;
    bool streaming;                  /* ask for transactions while they are open */
    const char *temporary_directory; /* for what of them does not fit in memory */
    bool local_only;                 /* no changes that have an origin (16 and later) */
    const char *heartbeat_prefix;    /* logical messages with this prefix are ours */
    const char *heartbeat_instance;  /* and this instance's count for the lag */
    struct source_limits limits;
    struct progress *progress;           /* received position and bytes */
    const struct continuity *continuity; /* checked before every start */
    const struct former *former;   /* how relations are read, against the catalog that the rules
                                        were bound to; */
    const struct catalog *catalog; /* NULL: as they come */
    lsn_t catalog_at;              /* what committed before this, the catalog shows */
    const struct stop *stop;
};

/* Does not connect. The relations that its batches refer to live until destroy. */
struct source *pg_source_create(const struct pg_source_config *config);

/* The content of a heartbeat message: "<instance> <monotonic usec>". */
void pg_heartbeat_format(const char *instance, usec_t now, char *text, size_t size);

#endif
