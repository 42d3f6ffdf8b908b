/* Loads chunks into target tables by COPY, with their records in the same transaction
 * (pipeline/table_copy.h).
 *
 * Where the target tables had no row of ours when the copy was planned, COPY goes straight into
 * them. Where they had, because the application writes both sides already, it goes through a
 * staging table and an upsert by key; without a key that would double rows, and is refused.
 * COPY cannot evaluate what the target is to make (schema/formula.h): such a table is staged
 * too.
 *
 * Chunks load while the stream is applied. Each holds the copiers' lock (postgres/control.h),
 * and gives way, ERR_RETRY, when it waits long for a row: the apply's open transaction may hold
 * that row while the apply waits for the chunk, which the server cannot see. */
#ifndef POSTGRES_TABLE_WRITER_H
#define POSTGRES_TABLE_WRITER_H

#include "base/stop.h"
#include "pipeline/table_copy.h"
#include "postgres/session.h"
#include "postgres/sink.h"

struct pg_writer_config { /* all borrowed */
    const char *dsn;
    const char *migration;
    const struct catalog *catalog;        /* of the target */
    const struct pg_target_table *tables; /* by relation->table */
    size_t table_count;
    const char *const *sources; /* by source table: the copy records' names */
    bool use_replica_role;
    bool defer_indexes; /* drop indexes before a copy (postgres/deferred_index.h) */
    bool alone;         /* no stream runs that would have lost chunks copied again */
    const struct dead_letter_config *letters; /* how what is parked is written */
    const struct stop *stop;
};

/* Does not connect. */
struct table_writer *pg_table_writer_create(const struct pg_writer_config *config);

/* True if the target table holds a row that is ours. */
bool pg_table_has_rows(struct session *session, const struct pg_target_table *table, bool *has,
                       struct err *err);

#endif
