/* Is the source still the one that the migration began with, and is its stream whole?
 *
 * Asked at the start, before every start of the stream, and by the monitor while it runs:
 * whatever happens to a slot while nobody is connected to it would else be a silent gap. */
#ifndef POSTGRES_CONTINUITY_H
#define POSTGRES_CONTINUITY_H

#include "model/lsn.h"
#include "pipeline/progress.h"
#include "postgres/session.h"
#include "postgres/slot.h"

#include <stdatomic.h>

/* The timeline that the server is on. What the last checkpoint says is older for a while after a
 * promotion. */
#define CONTINUITY_TIMELINE                                                                    \
    "CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())"     \
    " ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END"

enum continuity_change {
    CONTINUITY_SAME,
    CONTINUITY_CHANGED, /* seen, and not kept at the target yet */
    CONTINUITY_NOTED,
};

struct continuity { /* all borrowed; as recorded when the migration began */
    const char *system_identifier;
    uint32_t timeline;
    const char *database;
    bool failover; /* a start may follow it to a promoted standby */
    const char *slot;
    /* Where the slot's restart_lsn was, on the source's disk; LSN_NONE: not known. It never goes
     * back, unless the whole server does. */
    const counter_t *slot_restart;
    size_t table_count;
    const struct slot_table *tables;
    char **fingerprints; /* by table, the asking thread's; NULL or "": none was taken */
    const uint32_t *table_oids;
    counter_t *changed; /* by table, enum continuity_change: what is put back stays changed */
    /* By table, and from one thread to the other: the fingerprint with partitions that were empty,
     * until it is kept at the target (continuity_take_grown()). */
    _Atomic(char *) *grown;
    const char *spool; /* its folder, for messages; NULL: there is none */
};

/* System, timeline and database; the slot, which must not be ahead of `applied` (what the target
 * has, or the spool on top of it; LSN_NONE while the stream is connected, when nobody else can move it). ERR_SOURCE_LOST. */
bool continuity_check_source(struct session *session, const struct continuity *known,
                             lsn_t applied, struct err *err);
/* The same, and the publications' tables and what they publish: ERR_CONFIG, with a remedy. */
bool continuity_check(struct session *session, const struct continuity *known, lsn_t applied,
                      struct err *err);

/* What is done to these sends nothing that the table publishes, and leaves no trace once it is
 * undone: that it was taken out of its publication and put back, or that the publication left out
 * what it publishes for a while ("publication"); and that one of its partitions was truncated,
 * attached or detached by itself, also if it is attached again by now ("partitions"). So what
 * the catalog holds of them is kept by its identity, not by what it says. */
struct continuity_place { /* borrowed */
    const char *slot;     /* whose publications are meant */
    uint32_t table_oid;
};

/* Takes no locks. The caller frees *fingerprint. */
bool continuity_fingerprint(struct session *session, const struct continuity_place *place,
                            char **fingerprint, struct err *err);
/* ERR_SOURCE_LOST when a fingerprint is, or was at an earlier look, another than the recorded one:
 * a partition that came, had rows and went leaves no trace. If all that differs is that there are
 * more partitions, and no row was ever in these, theirs is the fingerprint from here on: what comes
 * to be in them comes by the stream. ERR_RETRY, and the session can be used on, when locks_refused()
 * to look into them. */
bool continuity_check_tables(struct session *session, const struct continuity *known,
                             struct err *err);
/* The table's new fingerprint, once, or NULL. The caller keeps it at the target and frees it, or
 * gives it back: a newer one stays. From any one thread. */
char *continuity_take_grown(const struct continuity *known, size_t table);
void continuity_give_back_grown(const struct continuity *known, size_t table,
                                char *fingerprint);

#endif
