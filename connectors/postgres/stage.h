/* Stages: temporary tables that take rows by COPY, for one statement that applies them to a
 * target table. Here is their SQL, and what is known of those that a session has.
 *
 * A stage is made once for a session, a target table, an operation, the columns that it
 * brings and the user who keeps his rows apart, with the target's own types and collations. A
 * commit empties it (ON COMMIT DELETE ROWS); a second use in one transaction empties it first.
 *
 * Each commit looks at all of them, so their number has a bound. And the server can freeze them
 * for nobody but us: old ones would hold back what is known to be committed (datfrozenxid)
 * until the target refuses writes, so now and then they are all to be made anew. */
#ifndef POSTGRES_STAGE_H
#define POSTGRES_STAGE_H

#include "base/buf.h"
#include "base/clock.h"
#include "model/relation.h"
#include "model/row.h"
#include "schema/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGES_MOST 256
#define STAGES_LAST (3600 * USEC_PER_SEC)
#define STAGES_LAST_REFUSED (300 * USEC_PER_SEC) /* where others want their places */

enum stage_operation {
    STAGE_DELETE, /* by key */
    STAGE_UPDATE, /* by key, of the columns that it brings */
    STAGE_UPSERT, /* insert, or overwrite what has the key; tells how many had it, where the
                     table lets it see that */
};

struct stage {
    char name[32];
    enum stage_operation operation;
    unsigned user; /* the caller's number */
    const struct relation *relation;
    bool *columns; /* that it has */
    bool made;     /* in this session */
    bool fresh;    /* in this transaction: gone if that is rolled back */
    bool used;     /* in this transaction: not empty */
};

struct stages {
    struct stage **items;
    size_t count;
    usec_t since; /* the first was made */
    bool refused; /* one more was wanted than there may be */
};

/* The stage for the rows, a new one if need be; never one of another `user`, whose rows may be
 * waiting in it. NULL: there are as many as there may be. `known`: of UPDATE, the columns that are
 * known; else not looked at. */
struct stage *stages_find(struct stages *stages, enum stage_operation operation, unsigned user,
                          const struct relation *relation, const bool *known);
/* The session has none of them any more; pointers to them are void. */
void stages_forget(struct stages *stages);
/* They are to be given up: between transactions, those in use are then made anew. */
bool stages_are_old(const struct stages *stages, usec_t now);
void stages_committed(struct stages *stages);
void stages_rolled_back(struct stages *stages, bool to_savepoint);

/* What COPY is given of a row's values: those that the stage has, into `room`. */
uint16_t stage_pick(const struct stage *stage, const struct value *row, struct value *room);

/* Statements, appended to `sql`. `table` is the relation's catalog entry. */
void stage_create_sql(struct buf *sql, const struct stage *stage,
                      const struct catalog_table *table);
void stage_empty_sql(struct buf *sql, const struct stage *stage);
void stage_copy_sql(struct buf *sql, const struct stage *stage, bool binary);
/* The statement that applies the rows. *counts: its answer is the number of rows that were
 * there before; else what it affects tells. */
void stage_merge_sql(struct buf *sql, const struct stage *stage,
                     const struct catalog_table *table, bool *counts);
/* COPY straight into the target table, of all the relation's columns. */
void stage_straight_sql(struct buf *sql, const struct relation *relation, bool binary);

#endif
