/* The state of a run at one moment: the one picture that /status, /metrics, /cutover, the page,
 * the terminal view and the gates are all drawn from, so that they cannot disagree.
 *
 * Filled by the composition root from the pipeline's progress, the backfill and the probes of
 * both servers; plain data that owns its texts. Times are microseconds, wall clock where named
 * *_at. -1 means "not known" in signed fields. */
#ifndef OBSERVE_STATUS_H
#define OBSERVE_STATUS_H

#include "base/clock.h"
#include "model/lsn.h"
#include "pipeline/breaker.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum phase {
    PHASE_STARTING,
    PHASE_BACKFILL,
    PHASE_CATCHING_UP, /* streaming, more behind than readiness allows */
    PHASE_STREAMING,
    PHASE_WAITING, /* source or target away: retrying */
    PHASE_STOPPING,
};

enum copy_state {
    COPY_WAITING,
    COPY_RUNNING,
    COPY_DONE,
    COPY_NOT_NEEDED,
    COPY_HELD,     /* not in this run (--backfill-only) */
    COPY_INDEXING, /* copied; indexes dropped for that are being built */
};

/* Why the backfill is slower than it could be, or stands. */
enum backfill_wait {
    WAIT_PAUSED,
    WAIT_REPLICA_LAG, /* pressure: no new chunk is begun, as for the next two */
    WAIT_TARGET_LATENCY,
    WAIT_SOURCE_LOAD,
    WAIT_RATE_LIMIT, /* rows or bytes a second */
    WAIT_COMMITS,    /* the stream has brought commits that new snapshots do not see yet */
    WAIT_OPEN_TRANSACTIONS, /* that must end before a copy begins */
    WAIT_STREAM,            /* it is far behind, and chunks are loaded at its position */
    BACKFILL_WAITS
};

struct wait_status {
    bool waits;
    char detail[200]; /* for people; "" when it does not */
};

struct pressure_status { /* -1: not known, or not asked because no limit is set */
    usec_t replica_lag;
    int64_t standbys;
    usec_t target_latency; /* of a small durable commit */
    int64_t source_load;   /* sessions at work there, beside ours */
};

struct table_status {
    char *source;          /* "public.users" */
    char *target;          /* "app.users" */
    bool insert_only;      /* no usable replica identity */
    int64_t unseen_writes; /* updates and deletes at an insert-only source table since the
                                migration began: changes that the stream cannot show */
    enum copy_state copy;
    uint64_t copied_rows, copied_bytes;
    uint64_t copy_overwritten;               /* rows that others wrote */
    int64_t estimated_rows, estimated_bytes; /* -1 unknown; of the copy, and of the table */
    uint64_t chunks, chunks_retried;
    double copy_rows_per_second, copy_bytes_per_second; /* over fifteen seconds */
    double copy_share;                                  /* 0..1; 1 only when it is done */
    usec_t copy_eta;                                    /* -1 unknown */
    uint64_t received, applied, filtered, skipped_by_handoff, quarantined;
    uint64_t copy_quarantined;          /* rows of the copy */
    uint64_t dead_letters, parked_keys; /* of this run and those before */
    enum breaker_state breaker;
    uint64_t inserts, updates, deletes, truncates;
    uint64_t conflict_insert_exists, conflict_update_missing, conflict_delete_missing;
};

/* How the stream's batches went to the target. */
struct apply_status {
    uint64_t batches_ordered; /* a statement a change, in source order */
    uint64_t batches_set;     /* set-wise */
    uint64_t fallbacks;       /* set-wise first, then undone and in source order */
    uint64_t batches_ahead;   /* whose rules ran while the target was at the batch before */
    uint64_t rows_copied, rows_staged,
        rows_single;         /* of the set-wise ones: by COPY, by a stage,
                                                       by a statement each */
    uint64_t changes_folded; /* that needed no row of their own */
};

struct slot_status {
    bool known; /* the probe has run; else `error` says why not */
    char error[256];
    char wal_status[16]; /* reserved, extended, unreserved, lost */
    bool active;
    int64_t safe_wal_size; /* bytes that may be written before the slot is lost; -1 unlimited */
    int64_t retained_bytes;  /* WAL held back by the slot */
    int64_t seconds_to_loss; /* at the present rate; -1: not foreseeable */
    bool idle;      /* ... which is when the source gives up a slot that nobody reads */
    char loss[128]; /* why a lost one was lost */
};

struct transactions_status { /* open at the source */
    bool known;
    char error[256];
    int64_t open_longer_than_threshold; /* count */
    usec_t oldest_open;                 /* age */
    int64_t prepared;                   /* count */
    usec_t oldest_prepared;             /* age */
};

struct kept_status {                 /* what of open transactions is kept here until they end */
    uint64_t transactions, prepared; /* now */
    uint64_t memory_bytes, file_bytes;
    uint64_t committed; /* since the start */
};

struct source_status { /* is it still the source that the migration began with? */
    bool known;
    char error[256];  /* not known: why not */
    char change[512]; /* known: what is different; "" nothing */
};

enum spool_use {
    SPOOL_OFF, /* not configured */
    SPOOL_IDLE,
    SPOOL_HOLDS, /* what the target lacks, or has not on its disk yet */
    SPOOL_STUCK, /* full: the source has to wait */
};

struct spool_status {
    enum spool_use use;
    uint64_t bytes, segments;
    uint64_t unread; /* stored batches that are not read back yet */
    uint64_t cut;    /* bytes that did not count when it was opened */
    lsn_t from, to;  /* what it holds; LSN_NONE: nothing */
    usec_t oldest;   /* age of its oldest segment; -1: there is none */
};

struct schema_status { /* are both schemas as the rules were bound to them? */
    bool known;
    char error[256];
    char change[512]; /* known: the first difference; "" none */
};

struct lag_status {
    bool known;
    int64_t bytes;         /* source's WAL position minus applied position */
    usec_t time;           /* age of the oldest source position seen and not yet applied */
    usec_t end_to_end;     /* last heartbeat's way, or the age of one still under way */
    bool end_to_end_known; /* one has been sent since the start: it is at least so much */
    bool heartbeat_came;   /* and one has come through: a small figure means something */
    usec_t eta;            /* until caught up at the present rate; -1: not foreseeable */
    usec_t below_since;    /* monotonic: since when all three are under threshold; 0 now over */
};

#define GATE_TEXT 256

enum gate_verdict { GATE_GO, GATE_NO_GO, GATE_UNKNOWN };

struct gate_status {
    const char *name; /* static: "backfill", "lag_time", ... */
    const char *why;  /* static: why it matters, one sentence */
    enum gate_verdict verdict;
    char value[GATE_TEXT];
    char threshold[GATE_TEXT];
    char reason[GATE_TEXT]; /* "" when GO */
    char remedy[GATE_TEXT]; /* "" when GO */
};

#define GATE_MAX 24

struct readiness_limits { /* and those of the copy, for the forecast */
    usec_t max_lag;       /* by time and end to end */
    int64_t max_lag_bytes;
    usec_t hold;                  /* lag must have been below for so long */
    double max_error_rate;        /* share of failed batches over the window */
    usec_t max_transaction;       /* open transactions older than this block */
    int64_t copy_rows_per_second; /* of the backfill; 0: no limit */
    int64_t copy_bytes_per_second;
};

struct status {
    const char *version;
    char *migration;
    char *instance; /* random id of this run */
    enum phase phase;
    char *note; /* what it waits for, or "" */
    usec_t now; /* wall */
    usec_t now_monotonic;
    usec_t started_at;

    lsn_t source_lsn;      /* newest position known at the source; LSN_NONE unknown */
    lsn_t received_lsn;    /* decoded up to here */
    lsn_t applied_lsn;     /* committed at the target */
    lsn_t flushed_lsn;     /* durable at the target */
    lsn_t acked_lsn;       /* what the slot may be told: that, or what is in the spool */
    usec_t last_commit_at; /* source's commit time of the last applied transaction; 0 none */

    uint64_t transactions, changes, batches; /* applied since the start */
    uint64_t bytes_received;
    struct apply_status apply;
    enum breaker_state target_circuit; /* of failures that pass by themselves */
    struct spool_status spool;
    uint64_t retries;    /* batches tried again */
    uint64_t reconnects; /* of the stream */
    uint64_t errors;     /* batches that failed, in the whole run */
    double error_rate;   /* failed share of batches in the last five minutes */
    char last_error[512];
    usec_t last_error_at;
    uint64_t queue_bytes;    /* decoded and not yet applied */
    uint64_t resident_bytes; /* of the process; 0 unknown */
    uint64_t http_refused;   /* requests, and connections that ended without a whole one */

    double rows_per_second; /* stream and copy, over the last ten seconds */
    double transactions_per_second;
    double bytes_per_second;

    bool backfill_complete; /* all copied, and the stream has passed every snapshot */
    uint64_t backfill_rows, backfill_bytes;
    int64_t backfill_estimated_rows;
    usec_t backfill_eta;   /* until all is copied; -1 unknown */
    double backfill_share; /* 0..1 */
    double backfill_rows_per_second, backfill_bytes_per_second; /* without the stream */
    bool paused;
    struct wait_status waits[BACKFILL_WAITS]; /* none when nothing is left to copy */
    struct pressure_status pressure;

    struct lag_status lag;
    struct slot_status slot;
    struct source_status source;
    struct schema_status schema;
    size_t ignored_count; /* new columns of the source that are not carried: "public.t.c" */
    char **ignored_columns;
    struct transactions_status transactions_open;
    struct kept_status kept;
    struct readiness_limits limits;

    size_t gate_count;
    struct gate_status gates[GATE_MAX];
    bool go; /* every gate is GO */

    size_t table_count;
    struct table_status *tables;
};

void status_free(struct status *status); /* frees what it owns, not itself */

/* detail is kept while it waits. */
void status_wait(struct status *status, enum backfill_wait wait, bool waits,
                 const char *detail);

/* The /status document. Caller decrefs. Lag in seconds as reals, LSNs as text, enums as
 * lower-case words; docs/operations.md lists the members. */
json_t *status_to_json(const struct status *status);
/* The /cutover document: {"verdict":"GO"|"NO-GO","migration","at","gates":[...]}. */
json_t *status_verdict_json(const struct status *status);

const char *phase_name(enum phase phase);
const char *backfill_wait_name(enum backfill_wait wait);
const char *spool_use_name(enum spool_use use);
const char *copy_state_name(enum copy_state state);
const char *gate_verdict_name(enum gate_verdict verdict); /* "GO", "NO-GO", "UNKNOWN" */

#endif
