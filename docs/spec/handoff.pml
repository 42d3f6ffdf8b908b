/* The handoff from copy to stream: chunked backfill beside logical replication, with crashes.
 *
 * README.md in this folder says in words what is modelled, what the bounds are and what each
 * mutant shows; tests/model/run_model.py runs the verifier over all of it.
 *
 * The actors are loops of atomic steps over shared state, in the manner of TLA+: a crash may fall
 * between any two steps. A step is what happens under one lock (the handoff's), in one commit
 * (a server's), or at one moment (a snapshot).
 *
 * Transactions are numbered by their place in the source's commit order, 1..TXNS, and that number
 * also stands for the xid. Sets of them are bit masks. There is one table of two lanes, each of one
 * chunk that holds one key, and each lane has a worker of its own. Names are the implementation's
 * (src/backfill/handoff.c) where it has one. */

#ifndef TXNS
#define TXNS 2          /* transactions that the source commits, at most 3 */
#endif
#ifndef FAULTS
#define FAULTS 1        /* how many things go wrong, whichever and whenever */
#endif
#ifndef SOURCE_CRASH
#define SOURCE_CRASH 0  /* commits at the source are asynchronous, and it may crash and lose some */
#endif
#ifndef ROW_LOCKS
#define ROW_LOCKS 0     /* a worker's write waits for rows that the open apply transaction wrote */
#endif
#ifndef CLASHES
#define CLASHES 0       /* chunks may meet duplicate keys: faults, too */
#endif
#ifndef FAILOVER
#define FAILOVER 0      /* the target may come back without chunks that it had committed and flushed */
#endif
#ifndef SLOT_LATE
#define SLOT_LATE 0     /* the slot is made at any time, else before the first transaction */
#endif
#ifndef KINDS
/* what transactions do, beside writing one row */
#define KINDS (BOTH_ROWS | DELETES | KEY_CHANGES | TRUNCATES)
#endif
#define BOTH_ROWS   1
#define DELETES     2
#define KEY_CHANGES 4
#define TRUNCATES   8
#ifndef MUTANT
#define MUTANT NONE
#endif

/* The algorithm with one thing left out or done wrong; each must be found wrong. */
#define NONE                           0
#define NOTE_NOT_PERSISTED             1
#define REQUIRED_NOT_CHECKED           2
#define UNSEEN_ADDED_AT_COMMIT         3
#define REQUIRED_COPIED_AFTER_SNAPSHOT 4
#define NOTE_ALONE_IS_NOT_WRITTEN      5
#define OTHER_SNAPSHOT_STORED          6
#define IN_FLIGHT_NOT_AWAITED          7
#define OPENING_NOT_AWAITED            8
#define IN_FLIGHT_DROP_NOT_KEPT        9
#define APPLIED_NOT_KEPT               10
#define PRUNED_BEFORE_SETTLED          11
#define ACK_BEFORE_FLUSH               12
#define CHUNK_NOT_FLUSHED              13
#define COMPLETE_BEFORE_STREAM         14
#define KEY_CHANGE_BY_OLD_CHUNK        15
#define TRUNCATE_TAKES_ALL             16
#define TRUNCATE_TAKES_NOTHING         17
#define TRUNCATE_DOES_NOT_WAIT         18
#define RESET_WITH_WORKERS             19
#define RESET_FORGETS_UNSEEN           20
#define ANEW_NOT_LOOKED_FOR            21
#define CLASH_WAITS_THROUGH_ANEW       22
#define COMPARE_NOT_DONE               23
#define RESET_NOT_COMPARED             24
#define SNAPSHOT_BEFORE_LOCK           25
#define SNAPSHOT_NOT_FLUSHED           26
#define OUTCOME_GUESSED                27
#define OUTCOME_READ_TOO_EARLY         28
#define LATE_REPLY_BELIEVED            29
#define NO_LOCK_TIMEOUT                30
#define TRANSACTION_CUT                31
#define SNAPSHOT_KEPT                  32
#define wrong(mutant) (MUTANT == mutant)

#define KEYS     2
#define OLD      (TXNS + 1) /* the value of a row that was there before the first transaction */
#define ABSENT   0
#define KEEP     15         /* in a pending write: not written */
#define BIT(t)   (1 << (t))
#define UPTO(t)  ((1 << ((t) + 1)) - 2) /* the set 1..t */
#define lacks(set, wanted) (((wanted) & ~(set)) != 0)

/* ---- the source ---- */

typedef Transaction {
    byte touched;     /* the set of keys, bit by bit */
    bit truncates;
    byte value[KEYS]  /* the image of the table after it; a value tells its writer */
};
Transaction txn[4];
byte wal;             /* commits in the WAL */
byte flushed;         /* of these, on disk: only they are streamed */
byte visible;         /* the set that a snapshot taken now would see */
bit crashed;
bit silent;           /* after a crash nobody need write any more */

/* ---- the target: what its sessions see, and what would be left after a crash ---- */

typedef Target {
    byte value[KEYS];
    byte position;       /* progress, in the same commit as the rows */
    byte note;           /* the unseen set, in the same commit too */
    byte begun;          /* how often the copy has begun anew */
    bit loaded[KEYS];    /* chunk states, each in the commit that writes the chunk's rows */
    byte snapshot[KEYS]
};
Target live, disk;
byte acked;              /* what the slot was told; it never sends that again */

/* ---- the program: all of it is lost with the process ---- */

mtype = { NOT_LOADED, OPENING, READING, LOADED };
bit up;                  /* the slot is made; since then the program runs, or starts again at once */
byte initial;            /* what the slot's start contained */
mtype state[KEYS];       /* the handoff's belief, guarded by its lock */
byte snapshot[KEYS];     /* of a chunk in flight or loaded */
byte required[KEYS];     /* what the snapshot of the chunk being opened must see */
byte unseen;
bit anew;                /* the copy must begin anew, in resume() */
byte begun;              /* how often it has */

mtype = { STREAMING, STOPPED, RELOADING, RESUMING };
mtype stream;            /* all but STREAMING are between two runs of it, in resume() */
byte reached;            /* last transaction judged whole; live.position..reached is uncommitted */
byte judged;             /* keys judged of the one behind it */
byte pending[KEYS];      /* writes of the open target transaction */
byte to_add;             /* used by UNSEEN_ADDED_AT_COMMIT alone */

/* HOLDS has a snapshot that the handoff has not seen; SENT is a COMMIT under way; ASKS is to find
 * out what came of one; PASSES waits for the stream. */
mtype = { IDLE, OPENED, HOLDS, READS, SENT, REPLIED, ASKS, PASSES };
mtype phase[KEYS];       /* of each lane's worker */
bit is_cut[KEYS];        /* its session at the source is gone; it has not noticed */
byte own_snapshot[KEYS]; /* the worker's */
byte own_begun[KEYS];    /* of the copy that its chunk belongs to */
byte own_row[KEYS];      /* what it read */
bit zombie[KEYS];        /* a COMMIT that nobody waits for any more: only in mutants */
byte zombie_snapshot[KEYS];
byte zombie_row[KEYS];

byte faults;
bit complete;            /* was declared, once and for ever */

#define finished ((wal == TXNS || silent) && visible == UPTO(wal) && complete && disk.position == wal)
#define fault    (faults < FAULTS && !finished)

byte i, t, value;        /* scratch, left at 0 so that they make no states */

/* Invariants of what the target holds, after every commit and every crash. */
inline check(target)
{
    assert(target.position >= acked); /* else the slot cannot send what is missing */
    i = 0;
    do
    :: i < KEYS ->
        /* The promise. */
        assert(!complete || target.value[i] == txn[target.position].value[i]);
        /* Why it holds: a loaded chunk is the image of its snapshot plus what was streamed;
         * what is not loaded has no rows of ours, so that it can be copied into. */
#ifndef PROMISE_ONLY
        as_of(i, target.snapshot[i] | UPTO(target.position));
        assert(target.value[i] == (target.loaded[i] -> value : ABSENT));
#endif
        i++
    :: else -> break
    od;
    i = 0;
    value = 0
}

/* value = the row of a key that a set of transactions leaves. Those that touch one key become
 * visible in commit order, because each waits for the row lock of the one before. */
inline as_of(key, set)
{
    t = TXNS;
    do
    :: t > 0 && (((set) & BIT(t)) == 0 || (txn[t].touched & BIT(key)) == 0) -> t--
    :: else -> break
    od;
    value = txn[t].value[key];
    t = 0
}

/* ---- source ---- */

/* Row and table locks are held until a transaction is visible. */
#define unlocked(key) (!lacks(visible, writers(key)))
#define writer(key, n) (n <= wal && (txn[n].touched & BIT(key)) -> BIT(n) : 0)
#define writers(key) (writer(key, 1) | writer(key, 2) | writer(key, 3))
#define truncates_unseen(n) (txn[n].truncates && !(visible & BIT(n)))
#define truncating (truncates_unseen(1) || truncates_unseen(2) || truncates_unseen(3))
#define holds_table_lock(chunk) ((phase[chunk] == HOLDS || phase[chunk] == READS) && !is_cut[chunk])
#define row(key) (txn[wal].value[key])
/* A lost transaction's number is given again, with other rows. */
#define written (wal + (crashed -> 4 : 0))

inline commit(keys, value0, value1, truncate)
{
    wal++;
    txn[wal].touched = keys;
    txn[wal].truncates = truncate;
    txn[wal].value[0] = (keys & BIT(0) -> value0 : txn[wal - 1].value[0]);
    txn[wal].value[1] = (keys & BIT(1) -> value1 : txn[wal - 1].value[1]);
    flushed = (SOURCE_CRASH -> flushed : wal);
    printf("source: %d commits, %d->%d %d->%d\n", wal,
        txn[wal - 1].value[0], txn[wal].value[0], txn[wal - 1].value[1], txn[wal].value[1])
}

inline appear(n)
{
    printf("source: %d is visible\n", n);
    visible = visible | BIT(n)
}

#define can_write(key) (wal < TXNS && !silent && unlocked(key))
#define ONE  BIT(0)
#define TWO  BIT(1)
#define BOTH (ONE | TWO)

proctype Source()
{
    do
    /* insert or update of either row, or of both in one transaction */
    :: d_step { can_write(0) -> commit(ONE, written, 0, 0) }
    :: d_step { can_write(1) -> commit(TWO, 0, written, 0) }
    :: d_step { (KINDS & BOTH_ROWS) && can_write(0) && can_write(1) ->
           commit(BOTH, written, written, 0) }
    /* delete */
    :: d_step { (KINDS & DELETES) && can_write(0) && row(0) != ABSENT -> commit(ONE, ABSENT, 0, 0) }
    :: d_step { (KINDS & DELETES) && can_write(1) && row(1) != ABSENT -> commit(TWO, 0, ABSENT, 0) }
    /* key change from one chunk to the other */
    :: d_step { (KINDS & KEY_CHANGES) && can_write(0) && can_write(1) &&
           row(0) != ABSENT && row(1) == ABSENT ->
           commit(BOTH, ABSENT, written, 0) }
    :: d_step { (KINDS & KEY_CHANGES) && can_write(0) && can_write(1) &&
           row(1) != ABSENT && row(0) == ABSENT ->
           commit(BOTH, written, ABSENT, 0) }
    /* TRUNCATE waits for the readers' table locks */
    :: d_step { (KINDS & TRUNCATES) && can_write(0) && can_write(1) &&
           (wrong(SNAPSHOT_BEFORE_LOCK) || (!holds_table_lock(0) && !holds_table_lock(1))) ->
           commit(BOTH, ABSENT, ABSENT, 1) }
#if SOURCE_CRASH
    :: d_step { flushed < wal -> flushed++ }
    :: d_step { crashed && !silent && wal < TXNS -> silent = 1 }
#endif
    /* A commit becomes visible at any time later, and not in commit order. */
    :: d_step { wal >= 1 && !(visible & BIT(1)) -> appear(1) }
    :: d_step { wal >= 2 && !(visible & BIT(2)) -> appear(2) }
    :: d_step { wal >= 3 && !(visible & BIT(3)) -> appear(3) }
    :: finished -> break
    od
}

/* ---- copy ---- */

inline idle(chunk)
{
    phase[chunk] = IDLE;
    is_cut[chunk] = 0;
    own_snapshot[chunk] = 0;
    own_begun[chunk] = 0;
    own_row[chunk] = ABSENT;
    required[chunk] = 0
}

inline leave_zombie(chunk)
{
    zombie[chunk] = 1;
    zombie_snapshot[chunk] = own_snapshot[chunk];
    zombie_row[chunk] = own_row[chunk]
}

inline not_loaded(chunk)
{
    state[chunk] = NOT_LOADED;
    snapshot[chunk] = 0
}

inline fail(chunk)
{
    printf("worker %d: chunk fails\n", chunk);
    idle(chunk);
    not_loaded(chunk)
}

inline believe_loaded(chunk, seen)
{
    printf("worker %d: chunk is loaded\n", chunk);
    state[chunk] = LOADED;
    snapshot[chunk] = seen;
    unseen = unseen & ~seen;
    idle(chunk)
}

/* A read is repeatable, so it can be modelled as done when the last row is there; but TRUNCATE
 * empties a table also for snapshots that do not see it. */
inline read_chunk(chunk, seen)
{
    as_of(chunk, seen);
    if
    :: wrong(SNAPSHOT_BEFORE_LOCK) && txn[wal].truncates && !(seen & BIT(wal)) -> value = ABSENT
    :: else
    fi;
    own_row[chunk] = value;
    value = 0
}

inline copy_target(to, from)
{
    to.value[0] = from.value[0]; to.value[1] = from.value[1];
    to.loaded[0] = from.loaded[0]; to.loaded[1] = from.loaded[1];
    to.snapshot[0] = from.snapshot[0]; to.snapshot[1] = from.snapshot[1];
    to.note = from.note;
    to.begun = from.begun;
    to.position = from.position
}

/* Rows and state in one commit, which is flushed. It is an upsert, which deletes nothing. */
inline write_chunk(chunk, seen, rows)
{
    live.value[chunk] = (rows == ABSENT -> live.value[chunk] : rows);
    live.loaded[chunk] = 1;
    live.snapshot[chunk] = (wrong(OTHER_SNAPSHOT_STORED) -> visible : seen);
    printf("target: commits chunk %d with S=%d, row is %d\n", chunk, live.snapshot[chunk],
        live.value[chunk]);
    if
    :: FAILOVER || wrong(CHUNK_NOT_FLUSHED)
    :: else -> copy_target(disk, live)
    fi;
    check(live)
}

#define must_see(chunk) ((wrong(REQUIRED_COPIED_AFTER_SNAPSHOT) -> unseen : required[chunk]) | initial)
#define acceptable(chunk) \
    (wrong(REQUIRED_NOT_CHECKED) || !lacks(own_snapshot[chunk], must_see(chunk)))
/* What a snapshot sees can no more be lost by the source; the stream has passed it, durably. */
#define source_has(seen) (!lacks(UPTO(flushed), seen))
#define passed(seen) (!lacks(UPTO(disk.position), seen))
#define blocked (ROW_LOCKS && (pending[0] != KEEP || pending[1] != KEEP))
#define commits(chunk) ((own_begun[chunk] == live.begun && !live.loaded[chunk]) \
    || wrong(RESET_WITH_WORKERS) || wrong(RESET_NOT_COMPARED))
#define barred (anew || stream == RELOADING)
/* After a failure a worker pauses, so a change that waited for its lane is judged before it opens
 * again. Fairness that only the question asks for whether it ends. */
#ifdef LIVENESS
#define comes_first(chunk) (stream == STREAMING && !anew && reached < flushed \
    && (txn[reached + 1].touched & BIT(chunk)) && !(chunk == 0 && judged == 1))
#else
#define comes_first(chunk) 0
#endif
#define workers_are_off (phase[0] == IDLE && phase[1] == IDLE)

proctype Worker(byte me)
{
    do
    /* handoff_open(): from here on changes of the lane wait. */
    :: d_step { up && state[me] == NOT_LOADED && phase[me] == IDLE && !barred && !complete &&
           !comes_first(me) ->
           printf("worker %d: opens its chunk, S must see %d\n", me, unseen | initial);
           phase[me] = OPENED;
           state[me] = OPENING;
           required[me] = unseen;
           own_begun[me] = begun }

    /* Table lock, then S. */
    :: d_step { phase[me] == OPENED && !truncating ->
           printf("worker %d: takes S=%d\n", me, visible);
           phase[me] = HOLDS;
           own_snapshot[me] = visible }

    /* handoff_read(): the chunk is in flight, or closed again. */
    :: d_step { phase[me] == HOLDS && acceptable(me) ->
           printf("worker %d: S=%d accepted, in flight\n", me, own_snapshot[me]);
           phase[me] = READS;
           state[me] = READING;
           required[me] = 0;
           snapshot[me] = own_snapshot[me];
           unseen = (wrong(PRUNED_BEFORE_SETTLED) -> unseen & ~own_snapshot[me] : unseen) }
    :: d_step { phase[me] == HOLDS && !acceptable(me) ->
           printf("worker %d: gives S=%d up\n", me, own_snapshot[me]);
           if
           :: wrong(SNAPSHOT_KEPT)
           :: else -> idle(me); not_loaded(me)
           fi }

    /* All is read and written; COMMIT goes out when what S saw cannot be lost by the source. */
    :: d_step { phase[me] == READS && !blocked &&
           ((source_has(own_snapshot[me]) && !is_cut[me]) || wrong(SNAPSHOT_NOT_FLUSHED)) ->
           printf("worker %d: sends COMMIT\n", me);
           read_chunk(me, own_snapshot[me]);
           is_cut[me] = 0;
           phase[me] = SENT }
    :: d_step { phase[me] == READS && is_cut[me] -> fail(me) }
    :: d_step { phase[me] == READS && blocked && !wrong(NO_LOCK_TIMEOUT) ->
           printf("worker %d: lock timeout\n", me);
           fail(me) }

    /* The target commits, whether or not the process still lives; but no chunk of a copy that it
     * does not know, or knows already. */
    :: d_step { phase[me] == SENT && !commits(me) -> fail(me) }
    :: d_step { phase[me] == SENT && commits(me) ->
           write_chunk(me, own_snapshot[me], own_row[me]);
           phase[me] = REPLIED }
    :: d_step { zombie[me] ->
           write_chunk(me, zombie_snapshot[me], zombie_row[me]);
           zombie[me] = 0; zombie_snapshot[me] = 0; zombie_row[me] = 0 }

    /* handoff_loaded() */
    :: d_step { phase[me] == REPLIED -> believe_loaded(me, own_snapshot[me]) }

    /* The reply is lost: the old transaction is ended for certain, then the chunk's row is read. */
    :: d_step { fault && !wrong(OUTCOME_GUESSED) && (phase[me] == SENT || phase[me] == REPLIED) ->
           printf("worker %d: the reply is lost\n", me);
           faults++;
           if
           :: wrong(OUTCOME_READ_TOO_EARLY) && phase[me] == SENT -> leave_zombie(me)
           :: else
           fi;
           phase[me] = ASKS }
    :: d_step { phase[me] == ASKS && live.loaded[me] -> believe_loaded(me, own_snapshot[me]) }
    :: d_step { phase[me] == ASKS && !live.loaded[me] -> fail(me) }
    :: d_step { fault && wrong(OUTCOME_GUESSED) && phase[me] == REPLIED -> faults++; fail(me) }

    /* The chunk fails: a connection is lost, a server refuses, or rolls back. */
    :: d_step { fault && (phase[me] == OPENED || phase[me] == HOLDS || phase[me] == READS) ->
           faults++; fail(me) }

#if CLASHES
    /* A duplicate key: the stream is let pass S, and the chunk is read again. */
    :: d_step { fault && phase[me] == READS && !is_cut[me] ->
           printf("worker %d: duplicate key, lets the stream pass S=%d\n", me, own_snapshot[me]);
           faults++;
           not_loaded(me);
           phase[me] = PASSES }
    :: d_step { phase[me] == PASSES && (!lacks(UPTO(live.position), own_snapshot[me])
           || (barred && !wrong(CLASH_WAITS_THROUGH_ANEW))) -> idle(me) }
#endif
    :: finished -> break
    od
}

/* ---- stream ---- */

#define next (reached + 1)
#define sees(chunk) (snapshot[chunk] & BIT(next))
#define touches(key) (txn[next].touched & BIT(key))
#define moves_row (txn[next].touched == BOTH && !txn[next].truncates \
    && (txn[next].value[0] == ABSENT) != (txn[next].value[1] == ABSENT))
#define old_key (txn[next].value[0] == ABSENT -> 0 : 1)
/* The chunk by which a key's change is judged: its own. */
#define judge(key) (wrong(KEY_CHANGE_BY_OLD_CHUNK) && moves_row -> old_key : key)
#define may_judge (up && stream == STREAMING && reached < flushed && !anew)
#define undecided(chunk) ((state[chunk] == OPENING && !wrong(OPENING_NOT_AWAITED)) \
    || (state[chunk] == READING && !sees(chunk) && !wrong(IN_FLIGHT_NOT_AWAITED)))
#define must_wait(key) (touches(key) && !complete && undecided(judge(key)))

inline keep()
{
    if
    :: wrong(UNSEEN_ADDED_AT_COMMIT) -> to_add = to_add | BIT(next)
    :: else -> unseen = unseen | BIT(next)
    fi
}

/* judge() */
inline judge_change(key)
{
    if
    :: !touches(key)
    :: else ->
        if
        :: !complete && (state[judge(key)] == NOT_LOADED || state[judge(key)] == OPENING) ->
            printf("apply: change of %d dropped, chunk %d is to come\n", next, judge(key));
            keep()
        :: !complete && state[judge(key)] == READING && sees(judge(key)) ->
            printf("apply: change of %d dropped, chunk %d in flight sees it\n", next, judge(key));
            if
            :: wrong(IN_FLIGHT_DROP_NOT_KEPT)
            :: else -> keep() /* the chunk may fail */
            fi
        :: !complete && state[judge(key)] == LOADED && sees(judge(key)) ->
            printf("apply: change of %d dropped, S of chunk %d sees it\n", next, judge(key))
        :: else ->
            printf("apply: change of %d applied to chunk %d\n", next, key);
            pending[key] = txn[next].value[key];
            if
            :: complete || wrong(APPLIED_NOT_KEPT)
            :: else -> keep() /* the copy may begin anew */
            fi
        fi
    fi
}

#define truncate_waits (!complete && !wrong(TRUNCATE_DOES_NOT_WAIT) && (undecided(0) || undecided(1)))
#define spared(chunk) (state[chunk] == LOADED && !sees(chunk))
#define spares (spared(0) || spared(1))
#define keeps (!spared(0) || !spared(1))

inline truncate_target()
{
    printf("apply: TRUNCATE of %d applied\n", next);
    pending[0] = ABSENT;
    pending[1] = ABSENT
}

/* judge_truncate(): the target can only be emptied as a whole. */
inline judge_truncation()
{
    if
    :: complete -> truncate_target()
    :: else ->
        keep();
        if
        :: spares && (!keeps || wrong(TRUNCATE_TAKES_ALL)) -> truncate_target()
        :: spares && keeps && !wrong(TRUNCATE_TAKES_ALL) && !wrong(TRUNCATE_TAKES_NOTHING) ->
            printf("apply: for TRUNCATE of %d the copy must begin anew\n", next);
            anew = 1
        :: else -> printf("apply: TRUNCATE of %d dropped\n", next)
        fi
    fi;
    reached = (anew -> reached : next)
}

inline end_of_target_transaction()
{
    pending[0] = KEEP;
    pending[1] = KEEP;
    to_add = 0
}

/* What was judged and not committed will be judged again; the unseen set keeps it meanwhile. */
inline stop_stream()
{
    stream = STOPPED;
    judged = 0;
    reached = (acked > live.position -> acked : live.position);
    end_of_target_transaction()
}

#define unchanged (pending[0] == KEEP && pending[1] == KEEP)
/* With FAILOVER: a commit behind the chunk's is durable, so the target cannot come back without the
 * chunk and with that. */
#define chunk_is_safe(chunk) (wrong(CHUNK_NOT_FLUSHED) || wrong(LATE_REPLY_BELIEVED) \
    || wrong(COMPARE_NOT_DONE) || (disk.loaded[chunk] && disk.snapshot[chunk] == snapshot[chunk]))
#define chunk_done(chunk) (state[chunk] == LOADED && chunk_is_safe(chunk) \
    && (wrong(COMPLETE_BEFORE_STREAM) || passed(snapshot[chunk])))
#define lost_chunk(chunk) (state[chunk] == LOADED && !live.loaded[chunk])
#define has_lost (lost_chunk(0) || lost_chunk(1) \
    || (begun != live.begun && !wrong(RESET_NOT_COMPARED)))

inline commit_key(key)
{
    live.value[key] = (pending[key] == KEEP -> live.value[key] : pending[key])
}

inline load_chunk(chunk)
{
    not_loaded(chunk);
    if
    :: live.loaded[chunk] ->
        state[chunk] = LOADED;
        snapshot[chunk] = live.snapshot[chunk]
    :: else
    fi
}

proctype Apply()
{
    do
    :: d_step { may_judge && !txn[next].truncates && judged == 0 && !must_wait(0) ->
           judge_change(0); judged = 1 }
    :: d_step { judged == 1 && !anew && !must_wait(1) ->
           judge_change(1); judged = 0; reached++ }
    :: d_step { may_judge && txn[next].truncates && judged == 0 && !truncate_waits ->
           judge_truncation() }

    /* One or more whole transactions in one commit, with progress and note. */
    :: d_step { stream == STREAMING &&
           ((judged == 0 && reached > live.position) || (wrong(TRANSACTION_CUT) && judged == 1)) ->
           if
           :: wrong(NOTE_ALONE_IS_NOT_WRITTEN) && unchanged -> acked = reached
           :: else ->
               commit_key(0);
               commit_key(1);
               printf("target: commits the stream up to %d, rows are %d, %d\n", reached,
                   live.value[0], live.value[1]);
               unseen = unseen | to_add;
               live.note = (wrong(NOTE_NOT_PERSISTED) || complete -> 0 : unseen);
               live.position = reached;
               acked = (wrong(ACK_BEFORE_FLUSH) -> reached : acked)
           fi;
           end_of_target_transaction();
           check(live) }

    :: d_step { fault && stream == STREAMING && (judged > 0 || reached > live.position) ->
           printf("apply: target transaction fails\n");
           faults++;
           stop_stream() }
    :: d_step { stream == STREAMING && anew && (reached < flushed || !wrong(ANEW_NOT_LOOKED_FOR)) ->
           printf("apply: the stream stops, the copy must begin anew\n");
           stop_stream() }

    /* resume(): what is known is held against what is kept; then the copy begins anew. */
    :: d_step { stream == STOPPED ->
           stream = (!complete && !wrong(COMPARE_NOT_DONE) && has_lost ->
               RELOADING : RESUMING) }
    :: d_step { stream == RELOADING && workers_are_off ->
           printf("apply: the target has lost chunks, all is read again\n");
           load_chunk(0);
           load_chunk(1);
           begun = live.begun;
           stream = RESUMING }
    :: d_step { stream == RESUMING && anew && (workers_are_off || wrong(RESET_WITH_WORKERS)) ->
           printf("apply: empties the target, the copy begins anew\n");
           live.value[0] = ABSENT; live.value[1] = ABSENT;
           live.loaded[0] = 0; live.loaded[1] = 0;
           live.snapshot[0] = 0; live.snapshot[1] = 0;
           not_loaded(0);
           not_loaded(1);
           unseen = (wrong(RESET_FORGETS_UNSEEN) -> 0 : unseen);
           live.begun++;
           begun = live.begun;
           if
           :: FAILOVER
           :: else -> copy_target(disk, live)
           fi;
           anew = 0;
           check(live) }
    :: d_step { stream == RESUMING && !anew -> stream = STREAMING }

    :: d_step { up && !complete && !anew && stream == STREAMING && chunk_done(0) && chunk_done(1) ->
           printf("apply: backfill is complete\n");
           complete = 1;
           unseen = 0;
           check(live) }
    :: finished -> break
    od
}

/* ---- what goes on and what breaks ---- */

/* A COMMIT under way is the old server process's. The new process ends that before it reads. */
inline restart_worker(chunk)
{
    if
    :: wrong(OUTCOME_READ_TOO_EARLY) && phase[chunk] == SENT -> leave_zombie(chunk)
    :: else
    fi;
    idle(chunk);
    load_chunk(chunk)
}

/* What was in memory is lost, and read from what the target has. */
inline restart()
{
    stop_stream();
    stream = STREAMING;
    anew = 0;
    unseen = live.note;
    begun = live.begun;
    restart_worker(0);
    restart_worker(1)
}

/* The target's sessions are gone. Of a reply that was read it is taken that it is acted upon
 * before the stream has come back. */
inline lose_writer(chunk)
{
    if
    :: phase[chunk] == READS -> fail(chunk)
    :: phase[chunk] == SENT -> phase[chunk] = ASKS
    :: phase[chunk] == REPLIED && !wrong(LATE_REPLY_BELIEVED) -> phase[chunk] = ASKS
    :: else
    fi
}

proctype World()
{
    do
#if SLOT_LATE
    /* The slot is made. What came before it will not be streamed, so every S must see it. */
    :: d_step { !up ->
           printf("program makes the slot at %d\n", flushed);
           up = 1;
           initial = UPTO(flushed);
           live.position = flushed;
           copy_target(disk, live);
           acked = flushed;
           restart() }
#endif

    /* The program is killed. */
    :: d_step { fault && up ->
           printf("program is killed\n");
           faults++;
           restart() }

#if CLASHES
    /* A worker or the stream has met duplicate keys again and again. */
    :: d_step { fault && up && !complete && !anew ->
           printf("worker or apply: duplicate keys, the copy must begin anew\n");
           faults++;
           anew = 1 }
#endif

    /* The target writes its WAL to disk, and the slot is told so. */
    :: d_step { !finished && (disk.position != live.position ||
           disk.loaded[0] != live.loaded[0] || disk.loaded[1] != live.loaded[1] ||
           disk.snapshot[0] != live.snapshot[0] || disk.snapshot[1] != live.snapshot[1] ||
           disk.begun != live.begun || acked < disk.position) ->
           printf("target: flushes up to %d\n", live.position);
           copy_target(disk, live);
           acked = (acked < disk.position -> disk.position : acked) }

    /* The target crashes and loses what was not there. */
    :: d_step { fault && up ->
           printf("target crashes, left is up to %d\n", disk.position);
           faults++;
           copy_target(live, disk);
           lose_writer(0);
           lose_writer(1);
           stop_stream();
           check(live) }

#if SOURCE_CRASH
    /* The source crashes and loses what was not flushed; what was is visible when it is back, and
     * the numbers of what is lost are given anew. Readers lose their connection, and notice later. */
    :: d_step { fault ->
           printf("source crashes, left is up to %d\n", flushed);
           faults++;
           crashed = 1;
           do
           :: wal > flushed ->
               txn[wal].touched = 0; txn[wal].truncates = 0;
               txn[wal].value[0] = 0; txn[wal].value[1] = 0;
               wal--
           :: else -> break
           od;
           visible = UPTO(flushed);
           is_cut[0] = (phase[0] == HOLDS || phase[0] == READS);
           is_cut[1] = (phase[1] == HOLDS || phase[1] == READS) }
#endif
    :: finished -> break
    od;
    assert(live.value[0] == txn[wal].value[0] && live.value[1] == txn[wal].value[1])
}

init
{
    atomic {
        txn[0].value[0] = OLD;
        not_loaded(0); not_loaded(1);
        idle(0); idle(1);
        end_of_target_transaction();
        up = !SLOT_LATE;
        stream = STREAMING;
        run Source();
        run Worker(0);
        run Worker(1);
        run Apply();
        run World()
    }
}

#ifdef LIVENESS
ltl ends { <> finished }
#endif
