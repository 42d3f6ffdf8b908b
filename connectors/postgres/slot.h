/* The source's side of a migration: publications and the logical replication slot.
 *
 * Two publications, because a publication decides what a table's writers may do: a table without
 * replica identity in one that publishes updates makes the application's UPDATE fail. So such
 * tables stand in `<name>_insert_only`, which publishes inserts and truncates.
 *
 * Publications are made before the slot (a slot older than its publication cannot be read,
 * pgjdbc#1147), and the slot is never made a second time unless nothing was ever taken from it. */
#ifndef POSTGRES_SLOT_H
#define POSTGRES_SLOT_H

#include "model/lsn.h"
#include "postgres/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_NAME_SIZE 64

/* "slackwater_" and the migration's name, lower-cased, with _ for what a slot name cannot hold;
 * cut with a hash when too long. The name of slot, publication and origin. */
void slot_name(const char *migration, char name[SLOT_NAME_SIZE]);
/* The second publication's name. */
void slot_insert_only_name(const char *slot, char name[SLOT_NAME_SIZE + 16]);

struct slot_table {
    const char *schema;
    const char *name;
    bool insert_only;
};

/* Makes both publications, with partitions published as their root; also the second when no table
 * is in it yet: one that is made after the slot cannot be read. Existing ones of the same name are
 * replaced. */
bool slot_create_publications(struct session *session, const char *slot, size_t count,
                              const struct slot_table *tables, struct err *err);
/* Adds tables to the publications, in one transaction; those that are published already are
 * accepted. The lock this takes (SHARE UPDATE EXCLUSIVE) lets the application write. */
bool slot_publish(struct session *session, const char *slot, size_t count,
                  const struct slot_table *tables, struct err *err);
bool slot_drop_publications(struct session *session, const char *slot, struct err *err);
/* False in *same when what is published is not what is wanted; `difference` (caller frees)
 * then names the first table that is missing or too much. */
bool slot_check_publications(struct session *session, const char *slot, size_t count,
                             const struct slot_table *tables, bool *same, char **difference,
                             struct err *err);

enum slot_kind {
    SLOT_PLAIN,
    SLOT_FAILOVER,  /* 17 and later: a standby that synchronizes slots keeps a copy of it */
    SLOT_TWO_PHASE, /* 15 and later, else plain: prepared transactions are decoded when they are
                       prepared */
};

/* Creates the slot over a replication session of its own, and reads what its start contains:
 * *snapshot (pg_snapshot text, caller frees) and *consistent_lsn. */
bool slot_create(const char *dsn, const char *slot, enum slot_kind kind,
                 const struct stop *stop, char **snapshot, lsn_t *consistent_lsn,
                 struct err *err);
/* Drops it if it exists; waits up to 10 s for a walsender that is just leaving it. */
bool slot_drop(struct session *session, const char *slot, struct err *err);

struct slot_state {
    bool exists;
    bool ours; /* logical, pgoutput, of this database */
    bool active;
    char wal_status[16]; /* reserved, extended, unreserved, lost */
    lsn_t confirmed_flush;
    lsn_t restart;
    int64_t safe_wal_size;  /* -1: no limit */
    int64_t retained_bytes; /* from restart to the present */
    char invalidation[32];  /* why it was invalidated, where the server (17) says so; else "" */
    bool failover;          /* standbys keep a copy (17) */
    int64_t idle_left; /* seconds until the server (18) gives an unused slot up; -1: never */
};

/* Why an invalidated slot is of no use any more, in words. */
const char *slot_loss(const struct slot_state *state);

bool slot_state(struct session *session, const char *slot, struct slot_state *state,
                struct err *err);

#endif
