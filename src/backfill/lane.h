/* A table's lanes: what of it is copied, under which snapshots, and what is under way.
 *
 *     lane i:  lower <= keys < lane i+1's lower
 *              [chunk 0 | chunk 1 | ... ]   in flight or to come   ]
 *                       ^ upto    ^ upto
 *
 * Plain data and its arithmetic; locking and waiting are the handoff's. */
#ifndef BACKFILL_LANE_H
#define BACKFILL_LANE_H

#include "backfill/snapshot.h"
#include "backfill/unseen.h"
#include "base/buf.h"
#include "pipeline/table_copy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
    struct buf upto; /* encoded (chunk_key.h); the last one of an ended lane has none */
    bool judges;     /* the stream has not passed its snapshot yet */
    struct snapshot snapshot;
    lsn_t lsn;
};

enum lane_state {
    LANE_REST,    /* nothing is in flight */
    LANE_OPENING, /* a snapshot is being taken: it is not known what it will see */
    LANE_READING, /* a chunk is in flight under `snapshot` */
};

/* Of a chunk that is to be let in by the stream. */
enum door {
    DOOR_AWAY,
    DOOR_OPENING,  /* what it will wait for is not known yet */
    DOOR_AWAITING, /* awaits is */
};

struct lane {
    struct buf lower;     /* encoded first columns; empty for the first lane */
    struct chunk *chunks; /* those that judge no more become one in time */
    size_t chunk_count;
    size_t first_judging; /* all chunks before it are passed */
    uint32_t loaded;      /* how many chunks were: the next one's number */
    uint64_t rows;        /* of its chunks */
    char **after;         /* the last chunk's key as texts; NULL: no chunk yet */
    bool ended;           /* its last chunk reaches its end */
    bool claimed;         /* a worker is at it */
    enum lane_state state;
    struct snapshot snapshot; /* of the chunk in flight */
    struct unseen required;   /* what that must see */
    uint64_t compares;        /* the handoff's, when it was taken */
    enum door door;
    lsn_t awaits;   /* the chunk in flight waits for the stream; LSN_NONE: it does not */
    bool stuck;     /* the stream cannot come there without its end */
    bool at_stream; /* the stream has come there */
};

struct lanes {
    const struct copy_key *key;
    struct copy_plan plan;
    size_t count; /* 0: not planned yet */
    struct lane *items;
    lsn_t last;             /* the greatest position of all chunks */
    uint16_t bound_columns; /* the most values of a bound */
};

/* Takes the plan. ERR_CORRUPT when its bounds are no keys in order. */
bool lanes_plan(struct lanes *lanes, const struct copy_key *key, struct copy_plan *plan,
                struct err *err);
/* Forgets plan and chunks. */
void lanes_free(struct lanes *lanes);

/* Appends a chunk to its lane; the record's snapshot stays the caller's. */
bool lanes_add(struct lanes *lanes, const struct chunk_record *record, struct err *err);

/* The lane that an encoded key belongs to. The key of a whole table may be empty. */
struct lane *lanes_find(struct lanes *lanes, const struct buf *key);
/* The loaded chunk of the lane that holds the key; NULL: it is not loaded yet. */
const struct chunk *lane_find(const struct lane *lane, const struct buf *key);

/* How many rows the copy will have, seen from what is loaded: lanes were made to be of about
 * equal size, so those at their end tell of the others. `expected`: what was thought before, or
 * -1. The result is -1 while nothing tells. */
int64_t lanes_expected_rows(const struct lanes *lanes, int64_t expected);

bool lanes_all_ended(const struct lanes *lanes);
bool lanes_any_claimed(const struct lanes *lanes);
/* The stream is durably past this position: snapshots up to it judge no more. True when none
 * judges any more and all lanes are at their end. */
bool lanes_pass(struct lanes *lanes, lsn_t durable);

#endif
