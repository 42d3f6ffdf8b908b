/* The control tables at the target: schema `slackwater`, shared by all migrations there.
 *
 *   migration  one row: whose source, which slot, where it stands, who runs it, whether its
 *              backfill is paused
 *   progress   one row: the end LSN of the last source transaction applied, and the backfill's
 *              note at that position; written in the same target transaction as the rows
 *              (delivery rule 1)
 *   copy       one row a source table: whether and how it is copied, and what its source is
 *              measured against
 *   chunk      one row a loaded chunk of a table: its last key, snapshot and counts; written in
 *              the same target transaction as the copied rows
 *   lane       one row a lane: how many chunks it has, which tells if some were removed; a row of
 *              its own, so that the commits of one lane do not wait for those of another
 *   deferred_index  one row an index that a copy dropped: how to make it again, and whether that
 *              is done (deferred_index.h)
 *   claim      which rows of which target tables are the migration's (claim.h)
 *   former     one row a name that a source column had (former_log.h)
 *
 * The rows of copy, chunk and lane are copy_record.h's, and tables of what is parked dead_letter.h's.
 *
 * Life of a migration row:
 *
 *   (none) --control_begin--> creating --control_started--> started
 *
 * `creating` is committed before the slot is made and `started` after: a crash in between
 * leaves `creating`, and then whatever slot exists has nothing of ours behind it. */
#ifndef POSTGRES_CONTROL_H
#define POSTGRES_CONTROL_H

#include "base/buf.h"
#include "model/lsn.h"
#include "postgres/copy_record.h"
#include "postgres/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_SCHEMA "slackwater"

enum control_state { CONTROL_NONE, CONTROL_CREATING, CONTROL_STARTED };

struct control_migration {
    enum control_state state;
    char *system_identifier; /* of the source */
    uint32_t timeline;
    char *source_database;
    char *initial_snapshot; /* what the slot's start already contained; pg_snapshot text */
    lsn_t consistent_lsn;   /* the slot's start */
    lsn_t applied;          /* progress */
    char *note;             /* what the backfill keeps with it; "" when there is none */
    char *http_address;     /* of the running or last instance */
    bool paused;            /* the backfill begins no new chunk */
    lsn_t slot_restart;     /* continuity.h */
};

/* Creates the schema and tables where missing. Refuses (ERR_CONFIG) another layout. */
bool control_install(struct session *session, struct err *err);

/* state CONTROL_NONE when there is no such migration, also when nothing is installed. */
bool control_load(struct session *session, const char *migration,
                  struct control_migration *found, struct err *err);
void control_migration_free(struct control_migration *migration);

/* Takes the migration for this session (an advisory lock, gone with the session). False in
 * *taken when another session has it. */
bool control_lock(struct session *session, const char *migration, bool *taken, struct err *err);

/* Where an instance's transactions that hold chunks begin: with this they share the lock that
 * control_end_copiers() takes alone. SQL, appended. */
void control_append_copier_lock(struct buf *sql, const char *migration);
/* After control_lock(): a predecessor that was killed may have sent a chunk's COMMIT which its
 * server process has not carried out. Ends such processes, where the role may, and waits until
 * none is left: only then are the chunks that copy_records_load() finds all there will be.
 * ERR_RETRY when one lives on for long. */
bool control_end_copiers(struct session *session, const char *migration, struct err *err);

bool control_begin(struct session *session, const char *migration,
                   const struct control_migration *facts, struct err *err);
/* The source that is the migration's goes on under another timeline, with a slot of its own. */
bool control_set_timeline(struct session *session, const char *migration, uint32_t timeline,
                          struct err *err);
bool control_note_slot(struct session *session, const char *migration, lsn_t slot_restart,
                       struct err *err);
/* In one transaction: state started, initial snapshot, progress at the slot's start, and a
 * copy row for each table, of which `copy.needed` is kept. */
bool control_started(struct session *session, const char *migration, const char *snapshot,
                     lsn_t consistent_lsn, size_t copy_count, const struct copy_record *copies,
                     struct err *err);
/* Compares the rules (any text that says what they do) with those the migration began with, and
 * remembers the present ones. */
bool control_note_rules(struct session *session, const char *migration, const char *rules,
                        bool *same, struct err *err);
bool control_set_http_address(struct session *session, const char *migration,
                              const char *address, struct err *err);

/* Pauses the backfill or lets it go on; *changed: it was not so before. ERR_CONFIG when there
 * is no such migration, or no control schema. Needs no lock: the running instance looks for it.
 */
bool control_set_paused(struct session *session, const char *migration, bool paused,
                        bool *changed, struct err *err);
bool control_read_paused(struct session *session, const char *migration, bool *paused,
                         struct err *err);

/* Drops the replication origin if it exists and the role may. Waits a little for a session of ours
 * that has it and is leaving. */
bool control_drop_origin(struct session *session, const char *origin, struct err *err);

/* Deletes the migration's rows, and the schema when no other migration is left. */
bool control_remove(struct session *session, const char *migration, struct err *err);

#endif
