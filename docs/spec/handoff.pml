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
 * also stands for the xid. Sets of them are bit masks. A chunk holds one key, and each has a
 * worker of its own: workers carry nothing from chunk to chunk. */

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
#define NONE                        0
#define DROPPED_NOT_PERSISTED       1
#define DROPPED_NOT_CHECKED         2
#define DROPPED_ADDED_AT_COMMIT     3
#define DROPPED_PRUNED_WITHOUT_FLOOR 4
#define DROPPED_ONLY_IS_NOT_WRITTEN 5
#define OTHER_SNAPSHOT_STORED       6
#define IN_FLIGHT_NOT_AWAITED       7
#define ACK_BEFORE_FLUSH            8
#define COMPLETE_BEFORE_CHUNK_FLUSH 9
#define COMPLETE_BEFORE_STREAM      10
#define KEY_CHANGE_BY_OLD_CHUNK     11
#define TRUNCATE_RESETS_NOTHING     12
#define TRUNCATE_RESETS_ALL         13
#define TRUNCATE_WITHOUT_BARRIER    14
#define SNAPSHOT_BEFORE_LOCK        15
#define SNAPSHOT_NOT_FLUSHED        16
#define OUTCOME_GUESSED             17
#define OUTCOME_READ_TOO_EARLY      18
#define LATE_REPLY_BELIEVED         19
#define NO_LOCK_TIMEOUT             20
#define FLOOR_NOT_FLUSHED           21
#define TRANSACTION_CUT             22
#define SNAPSHOT_KEPT               23
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
    byte dropped[KEYS];  /* the set DROPPED by chunk, in the same commit too */
    bit loaded[KEYS];    /* chunk states, each in the commit that writes the chunk's rows */
    byte snapshot[KEYS]
};
Target live, disk;
byte acked;              /* what the slot was told; it never sends that again */

/* ---- the program: all of it is lost with the process ---- */

mtype = { NOT_LOADED, IN_FLIGHT, LOADED, RESETTING };
bit up;                  /* the slot is made; since then the program runs, or starts again at once */
mtype state[KEYS];       /* the handoff's belief, guarded by its lock */
byte snapshot[KEYS];
byte dropped[KEYS];
byte floor;              /* a snapshot by which DROPPED was pruned; those accepted must cover it */
bit barrier;             /* a TRUNCATE was met and has not committed: no chunk may begin */

byte reached;            /* last transaction judged whole; live.position..reached is uncommitted */
byte judged;             /* keys judged of the one behind it */
byte pending[KEYS];      /* writes of the open target transaction */
byte to_drop[KEYS];      /* used by DROPPED_ADDED_AT_COMMIT alone */

mtype = { IDLE, SNAPPED, READING, SENT, REPLIED };
mtype phase[KEYS];       /* of each chunk's worker; SENT is a COMMIT under way */
byte own_snapshot[KEYS]; /* the worker's */
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
#define holds_table_lock(chunk) (phase[chunk] == SNAPPED || phase[chunk] == READING)
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
    own_snapshot[chunk] = 0;
    own_row[chunk] = ABSENT
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

/* Rows and state in one commit. It is an upsert, which deletes nothing. */
inline write_chunk(chunk, seen, rows)
{
    live.value[chunk] = (rows == ABSENT -> live.value[chunk] : rows);
    live.loaded[chunk] = 1;
    live.snapshot[chunk] = (wrong(OTHER_SNAPSHOT_STORED) -> visible : seen);
    printf("target: commits chunk %d with S=%d, row is %d\n", chunk, live.snapshot[chunk],
        live.value[chunk])
}

#define acceptable(chunk) \
    ((wrong(DROPPED_NOT_CHECKED) || !lacks(own_snapshot[chunk], dropped[chunk])) \
     && (wrong(DROPPED_PRUNED_WITHOUT_FLOOR) || !lacks(own_snapshot[chunk], floor)) \
     && !barrier)
/* What a snapshot sees can no more be lost by the source; the stream has passed it, durably. */
#define source_has(seen) (!lacks(UPTO(flushed), seen))
#define passed(seen) (!lacks(UPTO(disk.position), seen))
#define blocked (ROW_LOCKS && (pending[0] != KEEP || pending[1] != KEEP))

proctype Worker(byte me)
{
    do
    /* Table lock, then S. */
    :: d_step { up && state[me] == NOT_LOADED && phase[me] == IDLE && !truncating ->
           printf("worker %d: takes S=%d\n", me, visible);
           phase[me] = SNAPPED;
           own_snapshot[me] = visible }

    /* Under the handoff's lock: accept S, or give it up with nothing in flight. */
    :: d_step { phase[me] == SNAPPED && acceptable(me) ->
           printf("worker %d: S=%d accepted, in flight\n", me, own_snapshot[me]);
           phase[me] = READING;
           state[me] = IN_FLIGHT;
           snapshot[me] = own_snapshot[me];
           if
           :: source_has(own_snapshot[me]) || wrong(FLOOR_NOT_FLUSHED) ->
               dropped[0] = dropped[0] & ~own_snapshot[me];
               dropped[1] = dropped[1] & ~own_snapshot[me];
               floor = own_snapshot[me]
           :: else
           fi }
    :: d_step { phase[me] == SNAPPED && !acceptable(me) ->
           printf("worker %d: gives S=%d up\n", me, own_snapshot[me]);
           if
           :: wrong(SNAPSHOT_KEPT)
           :: else -> idle(me)
           fi }

    /* All is read and written; COMMIT goes out when what S saw cannot be lost by the source. */
    :: d_step { phase[me] == READING && !blocked &&
           (source_has(own_snapshot[me]) || wrong(SNAPSHOT_NOT_FLUSHED)) ->
           printf("worker %d: sends COMMIT\n", me);
           read_chunk(me, own_snapshot[me]);
           phase[me] = SENT }
    :: d_step { phase[me] == READING && blocked && !wrong(NO_LOCK_TIMEOUT) ->
           printf("worker %d: lock timeout, chunk fails\n", me);
           idle(me); not_loaded(me) }

    /* The target commits, whether or not the process still lives. */
    :: d_step { phase[me] == SENT ->
           write_chunk(me, own_snapshot[me], own_row[me]);
           phase[me] = REPLIED;
           check(live) }
    :: d_step { zombie[me] ->
           write_chunk(me, zombie_snapshot[me], zombie_row[me]);
           zombie[me] = 0; zombie_snapshot[me] = 0; zombie_row[me] = 0;
           check(live) }

    /* The outcome is the state row's, read when the old transaction has surely ended. */
    :: d_step { phase[me] == REPLIED ->
           printf("worker %d: believes its chunk loaded\n", me);
           state[me] = LOADED;
           snapshot[me] = own_snapshot[me];
           idle(me) }
    :: d_step { fault && wrong(OUTCOME_GUESSED) && phase[me] == REPLIED ->
           printf("worker %d: chunk fails\n", me);
           faults++; idle(me); not_loaded(me) }
    :: d_step { fault && wrong(OUTCOME_READ_TOO_EARLY) && phase[me] == SENT ->
           faults++;
           printf("worker %d: reads the outcome before it is there, chunk fails\n", me);
           leave_zombie(me);
           idle(me); not_loaded(me) }

    /* The chunk fails: a connection is lost, a server refuses, or rolls back at COMMIT. */
    :: d_step { fault && (phase[me] == READING || phase[me] == SENT) ->
           printf("worker %d: chunk fails\n", me);
           faults++; idle(me); not_loaded(me) }
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
#define must_wait(key) (touches(key) && !wrong(IN_FLIGHT_NOT_AWAITED) \
    && state[judge(key)] == IN_FLIGHT && !sees(judge(key)))

inline drop(key)
{
    printf("apply: change of %d dropped, chunk %d not loaded\n", next, key);
    if
    :: wrong(DROPPED_ADDED_AT_COMMIT) -> to_drop[key] = to_drop[key] | BIT(next)
    :: else -> dropped[key] = dropped[key] | BIT(next)
    fi
}

inline judge_change(key)
{
    if
    :: !touches(key)
    :: else ->
        if
        :: state[judge(key)] == NOT_LOADED || state[judge(key)] == RESETTING -> drop(key)
        :: else ->
            if
            :: sees(judge(key)) -> /* the copy holds it, or will, or a later one will */
                printf("apply: change of %d dropped, S of chunk %d sees it\n", next, judge(key))
            :: else ->
                printf("apply: change of %d applied to chunk %d\n", next, key);
                pending[key] = txn[next].value[key]
            fi
        fi
    fi
}

/* TRUNCATE takes all rows at the target. A chunk of which S sees it loses what it should keep, so
 * it must be copied again; one of which S does not see it is right: empty, and all later changes
 * are behind S. */
inline judge_truncate(key)
{
    printf("apply: TRUNCATE of %d empties chunk %d\n", next, key);
    pending[key] = ABSENT;
    if
    :: state[key] == NOT_LOADED || state[key] == RESETTING -> drop(key)
    :: else ->
        if
        :: wrong(TRUNCATE_RESETS_ALL) || (sees(key) && !wrong(TRUNCATE_RESETS_NOTHING)) ->
            state[key] = RESETTING;
            drop(key)
        :: else
        fi
    fi
}

inline end_of_target_transaction()
{
    pending[0] = KEEP;
    pending[1] = KEEP;
    to_drop[0] = 0;
    to_drop[1] = 0;
    barrier = 0
}

#define unchanged (pending[0] == KEEP && pending[1] == KEEP)
/* Its commit is flushed. To who believes in a commit that a crash took, it looks flushed after. */
#define chunk_flushed(chunk) (wrong(COMPLETE_BEFORE_CHUNK_FLUSH) || wrong(LATE_REPLY_BELIEVED) \
    || (disk.loaded[chunk] && disk.snapshot[chunk] == snapshot[chunk]))
#define chunk_done(chunk) (state[chunk] == LOADED && chunk_flushed(chunk) \
    && (wrong(COMPLETE_BEFORE_STREAM) || passed(snapshot[chunk])))

inline commit_key(key)
{
    live.value[key] = (pending[key] == KEEP -> live.value[key] : pending[key]);
    dropped[key] = dropped[key] | to_drop[key];
    live.dropped[key] = (wrong(DROPPED_NOT_PERSISTED) -> 0 : dropped[key]);
    if
    :: state[key] == RESETTING ->
        live.loaded[key] = 0;
        live.snapshot[key] = 0;
        not_loaded(key)
    :: else
    fi
}

proctype Apply()
{
    do
    :: d_step { up && reached < flushed && !txn[next].truncates && judged == 0 && !must_wait(0) ->
           judge_change(0); judged = 1 }
    :: d_step { judged == 1 && !must_wait(1) ->
           judge_change(1); judged = 0; reached++ }

    /* TRUNCATE: let nothing begin, wait for what is in flight, judge all chunks. */
    :: d_step { up && reached < flushed && txn[next].truncates && judged == 0 && !barrier &&
           !wrong(TRUNCATE_WITHOUT_BARRIER) -> barrier = 1 }
    :: d_step { up && reached < flushed && txn[next].truncates && judged == 0 &&
           (barrier || wrong(TRUNCATE_WITHOUT_BARRIER)) &&
           state[0] != IN_FLIGHT && state[1] != IN_FLIGHT ->
           judge_truncate(0); judge_truncate(1); reached++ }

    /* One or more whole transactions in one commit, with progress and DROPPED. */
    :: d_step { (judged == 0 && reached > live.position) || (wrong(TRANSACTION_CUT) && judged == 1) ->
           if
           :: wrong(DROPPED_ONLY_IS_NOT_WRITTEN) && unchanged -> acked = reached
           :: else ->
               commit_key(0);
               commit_key(1);
               printf("target: commits the stream up to %d, rows are %d, %d\n", reached,
                   live.value[0], live.value[1]);
               live.position = reached;
               acked = (wrong(ACK_BEFORE_FLUSH) -> reached : acked)
           fi;
           end_of_target_transaction();
           check(live) }

    /* It fails: all that was judged in it will be judged again. Meanwhile DROPPED holds too much. */
    :: d_step { fault && (judged > 0 || reached > live.position) ->
           printf("apply: target transaction fails\n");
           faults++;
           state[0] = (state[0] == RESETTING -> LOADED : state[0]);
           state[1] = (state[1] == RESETTING -> LOADED : state[1]);
           judged = 0;
           reached = live.position;
           end_of_target_transaction() }

    :: d_step { up && !complete && chunk_done(0) && chunk_done(1) ->
           printf("apply: backfill is complete\n");
           complete = 1;
           check(live) }
    :: finished -> break
    od
}

/* ---- what goes on and what breaks ---- */

inline copy_target(to, from, key)
{
    to.value[key] = from.value[key];
    to.dropped[key] = from.dropped[key];
    to.loaded[key] = from.loaded[key];
    to.snapshot[key] = from.snapshot[key];
    to.position = from.position
}

/* A COMMIT under way is the old server process's. The new process ends that before it reads. */
inline restart_chunk(chunk, process_lives)
{
    if
    :: wrong(OUTCOME_READ_TOO_EARLY) && phase[chunk] == SENT ->
        leave_zombie(chunk)
    :: else
    fi;
    if
    :: process_lives && wrong(LATE_REPLY_BELIEVED) && phase[chunk] == REPLIED
    :: else -> idle(chunk)
    fi;
    not_loaded(chunk);
    if
    :: live.loaded[chunk] ->
        state[chunk] = LOADED;
        snapshot[chunk] = live.snapshot[chunk]
    :: else
    fi;
    dropped[chunk] = live.dropped[chunk]
}

/* What was in memory is lost or not believed any more, and is read from what the target has. */
inline restart(process_lives)
{
    floor = 0;
    judged = 0;
    reached = (acked > live.position -> acked : live.position);
    end_of_target_transaction();
    restart_chunk(0, process_lives);
    restart_chunk(1, process_lives)
}

inline lose_reader(chunk)
{
    if
    :: phase[chunk] == SNAPPED || phase[chunk] == READING -> idle(chunk); not_loaded(chunk)
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
           live.position = flushed;
           live.dropped[0] = UPTO(flushed);
           live.dropped[1] = UPTO(flushed);
           copy_target(disk, live, 0);
           copy_target(disk, live, 1);
           acked = flushed;
           restart(0) }
#endif

    /* The program is killed. */
    :: d_step { fault && up ->
           printf("program is killed\n");
           faults++;
           restart(0) }

    /* The target writes its WAL to disk, and the slot is told so. */
    :: d_step { !finished && (disk.position != live.position ||
           disk.loaded[0] != live.loaded[0] || disk.loaded[1] != live.loaded[1] ||
           disk.snapshot[0] != live.snapshot[0] || disk.snapshot[1] != live.snapshot[1]) ->
           printf("target: flushes up to %d\n", live.position);
           copy_target(disk, live, 0);
           copy_target(disk, live, 1);
           acked = (acked < disk.position -> disk.position : acked) }

    /* The target crashes and loses what was not there; its sessions are gone. */
    :: d_step { fault && up ->
           printf("target crashes, left is up to %d\n", disk.position);
           faults++;
           copy_target(live, disk, 0);
           copy_target(live, disk, 1);
           phase[0] = (phase[0] == SENT -> IDLE : phase[0]);
           phase[1] = (phase[1] == SENT -> IDLE : phase[1]);
           restart(1);
           check(live) }

#if SOURCE_CRASH
    /* The source crashes and loses what was not flushed; what was is visible when it is back, and
     * the numbers of what is lost are given anew. Readers lose their connection. */
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
           lose_reader(0);
           lose_reader(1) }
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
