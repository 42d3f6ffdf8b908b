/* A run's own things, as its two halves see them: run_establish.c, which begins or resumes the
 * migration, and run.c, which carries it on. For them alone. */
#ifndef CLI_RUN_STATE_H
#define CLI_RUN_STATE_H

#include "backfill/copier.h"
#include "backfill/handoff.h"
#include "cli/choice.h"
#include "cli/command.h"
#include "cli/copy_tasks.h"
#include "cli/errands.h"
#include "cli/governor.h"
#include "cli/letter_facts.h"
#include "cli/migration.h"
#include "cli/monitor.h"
#include "observe/http.h"
#include "pipeline/stream.h"
#include "postgres/continuity.h"
#include "spool/spool.h"

struct run {
    const struct invocation *invocation;
    const struct config *config;
    struct migration migration;
    struct choice choice;
    struct progress progress;
    char instance[17];
    char heartbeat_prefix[96];

    struct table_copy *copies; /* by source table, as the next five; as kept at the start */
    _Atomic int *copy_states;
    int64_t *baselines;
    char **stats_resets;
    char **fingerprints;
    uint32_t *table_oids;
    counter_t *tables_changed;
    struct continuity continuity;
    lsn_t slot_noted; /* of its slot_restart, at the target */
    struct snapshot initial;
    lsn_t started_at;  /* the source's position at the start */
    bool indexes_left; /* an earlier run has dropped some */
    lsn_t began_at;    /* the source's position */
    lsn_t until;       /* of the stream; LSN_NONE: no end */

    struct sink *sink;
    struct source *source;
    struct lookup_maker lookup_maker;
    struct transform *transform;
    struct row_reader *row_reader;
    struct key_places *key_places;
    struct letter_facts letter_facts;
    struct quarantine *quarantine;
    struct letter_store *letters;
    struct redelivery redelivery;
    struct errands errands;
    struct copy_tasks tasks;
    struct stop copy_stop; /* the copiers': ends them with the run, also when that fails */
    struct table_handoff *handoff;
    struct throttle throttle;
    struct brake brake;
    struct governor *governor;
    struct copier *copier;
    struct spool *spool; /* NULL: without one */
    struct monitor *monitor;
    struct http_server *http;
};

/* Begins the migration or resumes it, and learns what is copied. The sessions of run->migration
 * are open, and the migration is ours. */
bool run_establish(struct run *run, struct err *err);
/* A source that was promoted is the migration's from here on, if nothing was lost with the old
 * one; else ERR_SOURCE_LOST. Nothing happens with any other, or without source.failover. */
bool run_follow_failover(struct run *run, struct err *err);
/* The view shows what is kept of the table's copy. */
void run_show_copy(struct run *run, int table, const struct table_copy *copy);
int run_table_by_name(const struct run *run, const char *name); /* -1: none */
/* The caller destroys it. */
struct table_writer *run_make_writer(struct run *run, const struct stop *stop);

#endif
