/* Loads target tables by COPY, with their source's copy record in the same transaction
 * (pipeline/table_copy.h).
 *
 * An empty table (of rows that are ours) takes the COPY directly. One that has rows, because
 * the application writes both sides already, takes it through a staging table and an upsert by
 * key; without a key that would double rows, and is refused. COPY cannot evaluate what the
 * target is to make (schema/formula.h): such a table is staged too. */
#ifndef POSTGRES_TABLE_WRITER_H
#define POSTGRES_TABLE_WRITER_H

#include "base/stop.h"
#include "pipeline/table_copy.h"
#include "postgres/session.h"
#include "postgres/sink.h"

struct pg_writer_config { /* all borrowed */
    const char *dsn;
    const char *migration;
    const struct pg_target_table *tables; /* by relation->table */
    const char *const *sources;           /* by source table: the copy records' names */
    bool use_replica_role;
    const struct stop *stop;
};

/* Does not connect. */
struct table_writer *pg_table_writer_create(const struct pg_writer_config *config);

/* True if the target table holds a row that is ours. */
bool pg_table_has_rows(struct session *session, const struct pg_target_table *table, bool *has,
                       struct err *err);

#endif
