/* The PostgreSQL sink: two ways to write a batch. Rows, progress row and replication origin
 * commit together.
 *
 *   ordered    every change is one prepared statement, sent in source order through libpq's
 *              pipeline mode, so that a batch costs about one round trip. Exact for whatever the
 *              source did: unique swaps, key moves, several changes of one row.
 *   set-wise   what the batch comes to, by COPY and statements over many rows (setwise.h). It
 *              commits only if every row was found as the stream says; whatever else happens,
 *              the batch is undone and goes in source order. So conflicts are counted, and a row
 *              at fault is named, by one path alone.
 *
 * Durability: the session commits with synchronous_commit = off and asks how far the target's
 * WAL is flushed; flushed() reports only source positions whose target commit is behind that. */
#ifndef POSTGRES_SINK_H
#define POSTGRES_SINK_H

#include "base/stop.h"
#include "pipeline/counters.h"
#include "pipeline/sink.h"
#include "schema/catalog.h"

struct dead_letter_config; /* postgres/dead_letter.h */
struct session;            /* postgres/session.h */

enum engine {
    ENGINE_AUTO,    /* set-wise where it pays (strategy.h) */
    ENGINE_ORDERED, /* never */
    ENGINE_SET,     /* wherever it is allowed, for tests */
};

/* What the sink must know of a target table beyond its relation. */
struct pg_target_table {
    const struct relation *relation;
    const struct catalog_table *table;
    uint32_t source;             /* the run's index of the source table its rows come from */
    const char *owner_condition; /* SQL: which rows are ours; NULL: all */
    enum value_kind
        format;  /* text or binary: that the stream's values have; VALUE_ABSENT: both */
    bool shared; /* rows of other source tables are there too, and nothing tells them apart */
};

struct pg_sink_config { /* all borrowed; must outlive the sink */
    const char *dsn;
    const char *migration;
    const char *origin;
    bool use_origin;       /* the role may */
    bool use_replica_role; /* the role may: triggers and foreign keys do not fire again */
    const struct catalog *catalog;
    const struct pg_target_table *tables; /* by relation->table */
    size_t table_count;
    struct table_counters *counters; /* by source table: conflicts */
    struct apply_counters *apply;
    enum engine engine;
    const struct dead_letter_config *letters; /* how what is parked is written */
    const struct stop *stop;
};

/* Between transactions, on a connected sink: its session; and writes the batch's changes in source
 * order in a transaction of their own, which moves no position and in which `also` is run too, and
 * waits for the disk. When they are refused, all is as it was. */
struct session *pg_sink_session(struct sink *sink);
bool pg_sink_write_beside(struct sink *sink, const struct batch *batch, const char *also,
                          int count, const char *const *values, struct err *err);

/* Does not connect. */
struct sink *pg_sink_create(const struct pg_sink_config *config);

#endif
