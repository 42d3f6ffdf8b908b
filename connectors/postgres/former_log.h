/* Where the names of a migration's source columns are kept (schema/former.h): table
 * slackwater.former at the target, a row for each name that a column, or a table, was seen under. */
#ifndef POSTGRES_FORMER_LOG_H
#define POSTGRES_FORMER_LOG_H

#include "postgres/session.h"
#include "schema/former.h"

/* What is kept of the migration; empty where nothing is. Caller frees. */
bool former_log_load(struct session *session, const char *migration, struct former *former,
                     struct err *err);

/* A column of the target. */
struct former_place {
    uint32_t table_oid; /* 0: none */
    int16_t number;
};

struct former_table { /* borrowed */
    const struct catalog_table *table;
    const struct former_place *places; /* by its columns: where values go as they are */
};

/* Keeps the tables as they are by now, before the stream brings a change of theirs. `at`: where the
 * source was after they were looked at. */
bool former_log_note(struct session *session, const char *migration, lsn_t at,
                     size_t table_count, const struct former_table *tables, struct err *err);

/* The records of a source table's copy go by its name: under the new one from here on. */
bool former_log_rename(struct session *session, const char *migration, const char *from,
                       const char *to, struct err *err);

#endif
