/* Readings of the source for lag, gates and heartbeats: small queries on an ordinary session,
 * with rights that any monitoring role has. */
#ifndef POSTGRES_PROBE_H
#define POSTGRES_PROBE_H

#include "model/lsn.h"
#include "postgres/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The newest WAL position. */
bool probe_position(struct session *session, lsn_t *lsn, struct err *err);
/* Not before any commit that the session can see, written or not. */
bool probe_insert_position(struct session *session, lsn_t *lsn, struct err *err);

/* A snapshot of now, as text, which the caller frees; a position that no commit it sees is behind;
 * and how far the WAL was flushed. */
bool probe_visible(struct session *session, char **snapshot, lsn_t *inserted, lsn_t *flushed,
                   struct err *err);

/* All transactions that have got an xid by now, ended or not, as pg_snapshot text "N:N:": a
 * snapshot that covers it has seen each of them end. Takes an xid. The caller frees. */
bool probe_begun(struct session *session, char **snapshot, struct err *err);

/* Sends a transactional logical message (a heartbeat needs no table). */
bool probe_emit(struct session *session, const char *prefix, const char *content,
                struct err *err);

struct probe_transactions {
    bool hidden;         /* sessions of other roles could not be looked at */
    int64_t open_longer; /* than the threshold, in this database */
    usec_t oldest_open;
    int64_t prepared;
    usec_t oldest_prepared;
};

bool probe_transactions(struct session *session, usec_t threshold,
                        struct probe_transactions *found, struct err *err);

/* The source's physical standbys. A standby that is not connected is not there; one that keeps no
 * position of its replay (pg_receivewal) is none. */
struct probe_standbys {
    bool hidden; /* the role may not see how far a walsender's client is */
    int64_t count;
    lsn_t position; /* the newest WAL position, read together with the rest */
    lsn_t replayed; /* by the one furthest behind; LSN_NONE without any */
    usec_t lag;     /* the longest that the server knows of those that are behind; it does not
                        grow while a standby replays nothing */
    char name[64];  /* application_name of the one furthest behind */
};

bool probe_standbys(struct session *session, struct probe_standbys *found, struct err *err);

struct probe_load {
    bool hidden; /* sessions of other roles could not be looked at */
    int64_t
        active; /* client sessions of the whole server that are at work; ours do not count */
};

bool probe_load(struct session *session, struct probe_load *found, struct err *err);

/* When the database's statistics, and the server's, were last reset: text to compare. The caller
 * frees. */
bool probe_stats_reset(struct session *session, char **reset, struct err *err);

/* Updates and deletes that the table (with its partitions) has seen, by the statistics. */
bool probe_updates_deletes(struct session *session, uint32_t table_oid, int64_t *count,
                           struct err *err);

#endif
