/* The monitor's own things, as its two halves see them: monitor.c, whose thread reads the source,
 * and monitor_picture.c, which says what the run looks like. For them alone. */
#ifndef CLI_MONITOR_STATE_H
#define CLI_MONITOR_STATE_H

#include "cli/alarm.h"
#include "cli/conflicts.h"
#include "cli/monitor.h"
#include "cli/schema_probe.h"
#include "observe/lag.h"
#include "observe/pace.h"
#include "postgres/session.h"

#include <pthread.h>

struct monitor {
    struct monitor_config config;
    struct stop stop; /* its own: it outlives the run's, to show the stopping */
    pthread_t thread;
    usec_t started_at;
    atomic_int stage;

    /* owned by the thread */
    struct session session;
    struct schema_probe *schema; /* any thread may fill from it */
    usec_t probed_at, seldom_at, emitted_at, connect_after;
    bool emit_failed;   /* said once */
    lsn_t slot_restart; /* read last */
    char *seen;         /* the snapshot before, which counts when the source cannot lose it */
    lsn_t seen_at;      /* no commit that it sees is behind this */
    struct alarms alarms;
    struct conflicts *conflicts;

    /* guarded by lock */
    pthread_mutex_t lock;
    struct table_handoff *handoff;
    struct governor *governor;
    struct spool *spool;
    struct pace *paces; /* of the copy: by table, then of all */
    struct lag lag;
    lsn_t source_lsn;
    struct slot_status slot;
    struct transactions_status transactions;
    struct source_status source;
    usec_t slot_at, transactions_at, source_at; /* when they were read */
    int64_t *unseen; /* by table; -1 not known. Never less than it was: see latch() */
    int64_t safe_before;
    usec_t safe_at;
};

/* ---- monitor_picture.c; on the monitor's thread, each tick ---- */

/* A lag that nobody asked about ends the hold as well. */
void monitor_watch_lag(struct monitor *m);
/* About what the probes found, which only this thread writes. */
void monitor_raise_alarms(struct monitor *m);

#endif
