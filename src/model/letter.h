/* Dead letters: changes that cannot be made, or that wait behind one of their key that could not.
 *
 * A letter is a change of the source, as the rules were given it, and why it is parked. Letters
 * that belong together (the keys of their rows hang together by key changes) share a chain: the
 * id of the first of them. They travel with the batch that they were left out of and are kept at
 * the target in its transaction. Borrowed from the source batch; plain data. */
#ifndef MODEL_LETTER_H
#define MODEL_LETTER_H

#include "base/err.h"
#include "model/batch.h"

struct letter {
    uint64_t id, chain;
    const struct change *change;
    uint32_t table; /* the run's index of the source table */
    xid_t xid;
    lsn_t commit_lsn;
    usec_t commit_time;
    bool copied;           /* a row of the copy: the change is an insert */
    bool moot;             /* a later TRUNCATE of the same batch has taken its rows away */
    const struct err *why; /* NULL: it waits behind another of its chain */
};

/* Two chains have met in one change: all of `from` are of `into` now. */
struct letter_join {
    uint64_t from, into;
};

/* A truncated table: earlier letters of it are moot. Those of a copy that comes later have ids of
 * `before` and up. */
struct letter_emptying {
    uint32_t table;
    uint64_t before;
};

/* All that a batch has to say of dead letters. */
struct letters {
    struct letter *items;
    uint32_t count, capacity;
    struct letter_join *joins;
    uint32_t join_count, join_capacity;
    struct letter_emptying *emptied;
    uint32_t emptied_count, emptied_capacity;
};

static inline bool letters_are_none(const struct letters *letters)
{
    return letters == NULL ||
           letters->count + letters->join_count + letters->emptied_count == 0;
}

#endif
