/* The records of copies at the target: the rows of slackwater.copy, chunk and lane
 * (postgres/control.h).
 *
 * A copy is named by its migration and by its source table: the quoted, qualified name. Whoever
 * has the migration (control_lock()) may write. Chunks are added by the transactions that load
 * them, many at a time, and so are counted by lane: a record without all that came before it is
 * refused. A failure leaves the session's transaction to be rolled back. */
#ifndef POSTGRES_COPY_RECORD_H
#define POSTGRES_COPY_RECORD_H

#include "pipeline/table_copy.h"
#include "postgres/session.h"

struct copy_record {
    char *source;
    struct table_copy copy;
    size_t chunks; /* that were ever recorded since the copy began */
    /* of the source table when its copy was first asked for, or last made again */
    char *fingerprint;       /* continuity.h */
    int64_t updates_deletes; /* of an insert-only table */
    char *stats_reset;       /* when the statistics that say so were last reset; "" never */
};

/* ---- of a migration ---- */

/* A table's copy, of which `copy.needed` and `copy.covers` are kept. What is there already stays. */
bool copy_record_insert(struct session *session, const char *migration,
                        const struct copy_record *copy, struct err *err);
/* The same for tables that join a migration that has started, in one transaction. */
bool copy_records_join(struct session *session, const char *migration, size_t copy_count,
                       const struct copy_record *copies, struct err *err);
/* The source tables of a migration. Free with text_array_free(). */
bool copy_record_sources(struct session *session, const char *migration, char ***names,
                         size_t *count, struct err *err);
/* All of them, with their chunks by lane and number. ERR_CONFIG when chunks are gone. The caller
 * frees with copy_records_free(). */
bool copy_records_load(struct session *session, const char *migration,
                       struct copy_record **copies, size_t *count, struct err *err);
void copy_records_free(struct copy_record *copies, size_t count);

/* ---- of one copy. ERR_CONFIG when its record is gone ---- */

bool copy_record_keep_plan(struct session *session, const char *migration, const char *source,
                           const struct copy_plan *plan, struct err *err);
/* Rows that are not the copy's are at the target: from here on as if they had been before it. */
bool copy_record_keep_staged(struct session *session, const char *migration, const char *source,
                             struct err *err);
/* In the transaction that loads it; upto has key_count values. Refused when the target lacks what
 * was recorded before, or what the chunk stands on: ERR_RETRY, or ERR_CONFIG when no stream runs
 * that would notice (`alone`). */
bool copy_record_add_chunk(struct session *session, const char *migration, const char *source,
                           const struct chunk_record *chunk, uint16_t key_count, bool alone,
                           struct err *err);
/* Whether the chunk was committed. */
bool copy_record_has_chunk(struct session *session, const char *migration, const char *source,
                           const struct chunk_record *chunk, bool *has, struct err *err);
/* Without a chunk no row there is of the copy, nor of the stream, which drops what is to come. */
bool copy_record_has_chunks(struct session *session, const char *migration, const char *source,
                            bool *has, struct err *err);
bool copy_record_finish(struct session *session, const char *migration, const char *source,
                        struct err *err);
/* Forgets its chunks and its plan; in a transaction. */
bool copy_record_begin_anew(struct session *session, const char *migration, const char *source,
                            bool whole, struct err *err);
/* Its fingerprint is none that the source could have again. */
bool copy_record_note_change(struct session *session, const char *migration, const char *source,
                             struct err *err);
bool copy_record_renew(struct session *session, const char *migration, const char *source,
                       const struct copy_renewal *renewal, struct err *err);

#endif
